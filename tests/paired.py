"""Small workspaces with near duplicates that are made from columns and pairs instead of pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation import files, references
from curation.ledger import Event
from curation.workspace import IMAGES, PAIRS, Workspace

Pair = tuple[Any, ...]


def table(schema: pa.Schema, known: dict[str, Any], count: int) -> pa.Table:
    """A table of a schema with the columns that are known; nulls in the others."""
    columns = {
        f.name: pa.array(known[f.name]).cast(f.type) if f.name in known else pa.nulls(count, f.type) for f in schema
    }
    return pa.table(columns, schema=schema)


def build(folder: Path, count: int, pairs: Iterable[Pair] = (), **columns: Any) -> Workspace:
    """A workspace of `count` pictures of 10 x 10, with pairs as `store` takes them."""
    pictures = folder.with_name(f"{folder.name}-pictures")
    pictures.mkdir(parents=True)
    workspace = Workspace.create(folder, roots={"images": pictures})
    known = {
        "image_id": range(count),
        "root": ["images"] * count,
        "path": [f"a/{i}.jpg" for i in range(count)],
        "class_name": ["a"] * count,
        "source_split": [""] * count,
        "width": [10] * count,
        "height": [10] * count,
        "bytes": [99] * count,
        "status": ["ok"] * count,
        "reason": [""] * count,
    }
    files.write_table(workspace.images_path, table(IMAGES, known | columns, count))
    store(workspace, pairs)
    return workspace


def store(workspace: Workspace, pairs: Iterable[Pair]) -> None:
    """Write pairs (a, b) or (a, b, {column: value}) that the rule calls duplicates; `reference` names a set for b."""
    usual = {"reference": "", "exact": False, "phash": 2, "phash_mirror": 30, "cosine": 0.97, "decision": "duplicate"}
    rows = [{"image_a": a, "image_b": b} | usual | (more[0] if more else {}) for a, b, *more in pairs]
    rows.sort(key=lambda row: (row["reference"], row["image_a"], row["image_b"]))
    names = dict.fromkeys(name for row in rows for name in row)
    known = {name: [row.get(name) for row in rows] for name in names}
    files.write_table(workspace.path / "duplicates" / "pairs.parquet", table(PAIRS, known, len(rows)))


def refer(workspace: Workspace, name: str, count: int, **columns: Any) -> Workspace:
    """A reference set of `count` pictures beside the workspace."""
    there = build(workspace.path.with_name(f"{workspace.path.name}-{name}"), count, **columns)
    references.register(workspace, there.path, name=name, probes=name == references.PROBES)
    return there


def say(workspace: Workspace, kind: str, subject: str, verdict: str, reviewer: str = "anna", note: str = "") -> Event:
    """Append a decision."""
    event = Event(reviewer=reviewer, kind=kind, subject=subject, verdict=verdict, note=note)
    workspace.ledger.append([event])
    return event
