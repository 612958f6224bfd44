"""Tables of neighbours: duplicates/neighbours/MEASURE/00000.parquet …, one file for every 4,096 images that ask.

For a reference set the folder is MEASURE@NAME. A file carries what it was made from as a digest, so that a search that
was stopped goes on where it stood, and files whose images or settings have changed are made anew. `recipe.json` says
what was compared and how.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation import files
from curation.arrays import digest
from curation.duplicates.measures import Measure
from curation.duplicates.neighbours import Near, rank
from curation.duplicates.scopes import Plan
from curation.engine import Progress, quiet
from curation.errors import CurationError
from curation.workspace import NEIGHBOURS, Workspace

SHARD_ROWS = 4096
STEPS = 1000  # of progress within a shard


def compute(
    workspace: Workspace,
    measure: Measure,
    plan: Plan,
    *,
    scope: str,
    top_k: int,
    radius: float | None,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Bring the table of a measure up to date: the `top_k` nearest of every image, and all within the radius.

    Args:
        workspace: keeps the table; of the measure's first side.
        plan: which images are compared; `scope` names it in the recipe.

    Returns:
        shards, computed (of them, in this run).

    Raises:
        CurationError: the disk is full.
        Cancelled: from `progress`; finished shards are kept.
    """
    reference = measure.second.name
    place = folder(workspace, measure.name, reference)
    recipe = _recipe(workspace, measure, scope, top_k, radius)
    starts = range(0, len(measure.first), SHARD_ROWS)
    inputs = _Inputs(measure, plan, recipe)
    title = f"{measure.title} to {reference}" if reference else measure.title
    if not _same(place / "recipe.json", recipe):
        files.write_json(place / "recipe.json", recipe)
    computed = 0
    for number, start in enumerate(starts):
        path, made_from = _file(place, number), inputs.of(start)
        if _made_from(path) != made_from:

            def tell(done: int, total: int, _: str, number: int = number) -> None:
                progress(number * STEPS + STEPS * done // max(total, 1), len(starts) * STEPS, title)

            tell(0, 1, "")
            near = [measure.near(*block, k=top_k, radius=radius, progress=tell) for block in inputs.blocks(start)]
            files.write_table(path, _table(near, {"inputs": made_from, "recipe": settings_of(recipe)}))
            computed += 1
        progress((number + 1) * STEPS, len(starts) * STEPS, title)
    for path in place.glob(f"{'[0-9]' * 5}.parquet"):
        if int(path.stem) >= len(starts):
            path.unlink()
    return {"shards": len(starts), "computed": computed}


def shards(workspace: Workspace, measure: str, reference: str = "") -> Iterator[Near]:
    """The table, one shard of images after another.

    Raises:
        CurationError: there is no such table, it is unfinished or damaged, belongs to another workspace, or names
            images that there are not.
    """
    for table in _tables(workspace, measure, reference):
        columns = (table[name].to_numpy() for name in ("image_id", "neighbour_id", "distance"))
        yield Near(*(c.astype(t) for c, t in zip(columns, (np.int64, np.int64, np.float64), strict=True)))


def lookup(found: Iterator[Near], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distances of the pairs (a, b) that a table has, float64 (P,), NaN of the others."""
    by_a, result = np.argsort(a, kind="stable"), np.full(len(a), np.nan)
    for near in found:
        if not len(near.query):
            continue
        start, end = np.searchsorted(a[by_a], [near.query[0], near.query[-1] + 1])
        some = by_a[start:end]
        have = near.query << 32 | near.target
        order = np.argsort(have, kind="stable")
        wanted = a[some] << 32 | b[some]
        place = order[np.minimum(np.searchsorted(have, wanted, sorter=order), len(have) - 1)]
        hit = have[place] == wanted
        result[some[hit]] = near.distance[place[hit]]
    return result


def folder(workspace: Workspace, measure: str, reference: str = "") -> Path:
    """Where the table of a measure lies."""
    return workspace.path / "duplicates" / "neighbours" / (f"{measure}@{reference}" if reference else measure)


# -- below: what shards are made from ----------------------------------------------------------------------------------


class _Inputs:
    """What every shard is made from."""

    def __init__(self, measure: Measure, plan: Plan, recipe: dict[str, Any]) -> None:
        self.measure, self.plan = measure, plan
        self.salt = settings_of(recipe).encode()
        self.targets = [targets[measure.known[1][targets]] for targets in plan.targets]
        self._digest: list[bytes | None] = [None] * len(self.targets)

    def blocks(self, start: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(query ids, target ids) of the shard of images from `start`; every query in one block."""
        ids = np.arange(start, min(start + SHARD_ROWS, len(self.measure.first)))
        ids = ids[self.measure.known[0][ids] & (self.plan.group[ids] >= 0)]
        for group in np.unique(self.plan.group[ids]).tolist():
            if len(self.targets[group]):
                yield ids[self.plan.group[ids] == group], self.targets[group]

    def of(self, start: int) -> str:
        """SHA-256 over the recipe and what is seen of the shard's images and of all that they are compared with."""
        total = hashlib.sha256(self.salt)
        for ids, _ in self.blocks(start):
            total.update(np.ascontiguousarray(ids) if len(ids) else b"")
            total.update(np.ascontiguousarray(self.measure.content[0][ids]))
            total.update(self._of_targets(int(self.plan.group[ids[0]])))
        return total.hexdigest()

    def _of_targets(self, group: int) -> bytes:
        if self._digest[group] is None:
            ids = self.targets[group]
            seen = hashlib.sha256(np.ascontiguousarray(ids))
            seen.update(np.ascontiguousarray(self.measure.content[1][ids]))
            self._digest[group] = seen.digest()
        return self._digest[group]


def _recipe(workspace: Workspace, measure: Measure, scope: str, top_k: int, radius: float | None) -> dict[str, Any]:
    second = measure.second
    return {
        "workspace": workspace.id,
        "measure": measure.name,
        "reference": {"name": second.name, "workspace": second.workspace.id} if second.name else None,
        "scope": scope,
        "top_k": top_k,
        "radius": radius,
        "shard_rows": SHARD_ROWS,
        "images": len(measure.first),
        "neighbours": len(second),
        **measure.made_from,
    }


def settings_of(recipe: dict[str, Any]) -> str:
    """SHA-256 of a recipe but for the numbers of images: more images do not change what is known of the others."""
    return digest({name: value for name, value in recipe.items() if name not in ("images", "neighbours")})


def _same(path: Path, recipe: dict[str, Any]) -> bool:
    try:
        return files.read_json(path) == recipe
    except CurationError:
        return False


def _file(place: Path, number: int) -> Path:
    return place / f"{number:05d}.parquet"


def _made_from(path: Path) -> str | None:
    """The digest that a shard was written with; None where there is none or it is damaged."""
    try:
        return (pq.read_schema(path).metadata or {}).get(b"inputs", b"").decode()
    except (OSError, pa.ArrowInvalid):
        return None


def _table(near: list[Near], made_from: dict[str, str]) -> pa.Table:
    empty = Near(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    query, target, distance = (np.concatenate(column) for column in zip(empty, *near, strict=True))
    order = np.argsort(query, kind="stable")
    query, target, distance = query[order], target[order], distance[order]
    columns = {"image_id": query, "neighbour_id": target, "distance": distance, "rank": rank(query)}
    table = pa.table({f.name: pa.array(columns[f.name]).cast(f.type) for f in NEIGHBOURS}, schema=NEIGHBOURS)
    return table.replace_schema_metadata(made_from)


def _tables(workspace: Workspace, measure: str, reference: str) -> Iterator[pa.Table]:
    place = folder(workspace, measure, reference)
    again = "run `duplicates` again"
    if not (place / "recipe.json").is_file():
        raise CurationError(
            f"there is no table of neighbours {place.name!r} in {workspace.path}: {again} with {measure}"
        )
    recipe = files.read_json(place / "recipe.json")
    if recipe.get("workspace") != workspace.id:
        raise CurationError(
            f"{place} was made for workspace {recipe.get('workspace')}, and this is {workspace.id}: "
            f"remove it and {again}"
        )
    count = workspace.images(["image_id"]).num_rows
    others = int(recipe["neighbours"]) if reference else count
    for number in range(-(-int(recipe["images"]) // int(recipe["shard_rows"]))):
        path = _file(place, number)
        table = files.read_table(path) if path.is_file() else None
        if table is None or (table.schema.metadata or {}).get(b"recipe", b"").decode() != settings_of(recipe):
            raise CurationError(
                f"the table of neighbours {place} is unfinished at {path.name}: {again}; it goes on from there"
            )
        table = table.replace_schema_metadata(None)
        if not table.schema.equals(NEIGHBOURS):
            raise CurationError(
                f"{path} has the columns {table.column_names}, not {NEIGHBOURS.names}: remove it and {again}"
            )
        for column, most in (("image_id", count), ("neighbour_id", others)):
            ids = table[column].to_numpy()
            if len(ids) and (ids.min() < 0 or ids.max() >= most):
                wrong = ids.max() if ids.max() >= most else ids.min()
                raise CurationError(
                    f"{path} names image {wrong} as {column}, and there are {most:,} images: remove it and {again}"
                )
        yield table
