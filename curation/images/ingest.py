"""Reading pictures into a workspace: images.parquet and classes.parquet.

A run lists every root, keeps the rows of files whose size and time have not changed, and reads the others shard by
shard on worker processes. Each finished shard is a file in `images.parts/`, so a killed run goes on where it stood;
the parts are merged at the end and removed. An image id, once given, never changes: new files are appended in the
order of their paths, missing ones are marked `gone`.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import engine, files
from curation.engine import Progress, quiet
from curation.errors import ArgumentError, CurationError
from curation.images import merge, readers, shards
from curation.images.names import describe
from curation.workspace import CLASSES, IMAGES, Workspace

SHARD_ROWS = 512
RECIPE = "images.json"


def read(
    workspace: Workspace,
    *,
    layout: str = "auto",
    table: str | Path | None = None,
    root: str | None = None,
    workers: int | None = None,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Read what is new or changed under the workspace's roots, and mark what is gone.

    Args:
        layout, table: see `readers.find`. A root that was read before is read the same way again when `layout` is
            `auto` and no table is given, so that its images keep their classes.
        root: read only this root; all of them when None.
        workers: processes; as many as there are processors when None.

    Returns:
        Counts: `files` = `found` + `ignored` (by reason); `found` = `new` + `changed` + `back` + `unchanged`, and
        also `ok` + `broken`, of the roots that were read; `gone` are rows whose file is not there; `images` are the
        rows of the whole table; `flat`, `classes`, `layouts` by root, `notes`, `set_aside` (= `broken`).

    Raises:
        ArgumentError: unknown root or layout, or one table for several roots.
        CurationError: nothing to read, the disk is full, or another run is reading into this workspace. What was in
            the workspace before stays as it was.
    """
    names = sorted(workspace.roots) if root is None else [root]
    if unknown := [name for name in names if name not in workspace.roots]:
        raise ArgumentError(f"unknown root {unknown[0]!r}: {workspace.path} has {sorted(workspace.roots)}")
    if table is not None and len(names) > 1:
        raise ArgumentError(f"one table was given for {len(names)} roots: say which root it is for")
    with _alone(workspace):
        recipe = _recipe(workspace)
        found = {name: _find(workspace, name, layout, table, recipe, progress) for name in names}
        listing = merge.one_table({name: part.table for name, part in found.items()})
        before = workspace.images() if workspace.images_path.is_file() else IMAGES.empty_table()
        old = merge.plain(before)
        known = pa.concat_tables([shards.finished(workspace), old.select(merge.FACTS.names)])
        known = known.filter(pc.invert(merge.worth_another_look(known)))
        todo = listing.filter(pc.is_null(merge.match(listing, known)))
        fresh = _read_shards(workspace, todo, workers, progress)
        new = merge.merged(old, listing, pa.concat_tables([fresh, known]), names)
        if not new.equals(before):
            files.write_table(workspace.images_path, new)
        _write_classes(workspace, new)
        _write_recipe(workspace, recipe, found, table)
        shutil.rmtree(shards.folder(workspace), ignore_errors=True)
    return _summary(old, new, listing, found)


def counts(workspace: Workspace) -> pa.Table:
    """Images by class and status: columns class_name, status, images (int64), sorted by class, then status."""
    table = workspace.images(["class_name", "status"]).unify_dictionaries()
    counted = table.group_by(["class_name", "status"]).aggregate([([], "count_all")])
    counted = counted.rename_columns(["class_name", "status", "images"])
    plain = pa.schema({"class_name": pa.string(), "status": pa.string(), "images": pa.int64()})
    return counted.cast(plain).sort_by([("class_name", "ascending"), ("status", "ascending")])


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    with open(workspace.path / "workspace.json", "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CurationError(f"another run is reading pictures into {workspace.path}: wait for its end") from None
        yield


def _find(
    workspace: Workspace, name: str, layout: str, table: str | Path | None, recipe: dict, progress: Progress
) -> readers.Listing:
    root = workspace.roots[name]
    if not root.is_dir():
        raise CurationError(f"there is no folder {root} (root {name!r}): is its disk there? Nothing was changed")
    if layout == "auto" and table is None and name in recipe:
        layout, table = recipe[name]["layout"], recipe[name]["table"]
    return readers.find(root, layout=layout, table=table, skip=workspace.path, progress=progress)


def _recipe(workspace: Workspace) -> dict[str, Any]:
    path = workspace.path / RECIPE
    return files.read_json(path)["roots"] if path.is_file() else {}


def _write_recipe(
    workspace: Workspace, before: dict[str, Any], found: dict[str, readers.Listing], table: str | Path | None
) -> None:
    now = dict(before)
    for name, part in found.items():
        kept = before[name]["table"] if name in before and before[name]["layout"] == part.layout else None
        used = Path(table).resolve().as_posix() if table is not None else kept
        now[name] = {"layout": part.layout, "table": used, "ignored": part.ignored, "notes": part.notes}
    value = {"roots": dict(sorted(now.items()))}
    path = workspace.path / RECIPE
    if not path.is_file() or files.read_json(path) != value:
        files.write_json(path, value)


def _read_shards(workspace: Workspace, todo: pa.Table, workers: int | None, progress: Progress) -> pa.Table:
    """Read the pictures of `todo` (schema merge.LISTED) and return the rows (schema merge.FACTS)."""
    work = shards.plan(workspace, todo, SHARD_ROWS)
    workers = min(workers or engine.default_workers(), len(work))
    done, total = 0, len(todo)
    progress(done, total, "reading pictures")
    for _, rows in engine.run(shards.read_shard, work, workers=workers):
        done += rows
        progress(done, total, "reading pictures")
    return shards.results(work)


def _write_classes(workspace: Workspace, images: pa.Table) -> None:
    there = images.filter(pc.not_equal(images["status"].cast(pa.string()), "gone"))
    there = there.select(["class_name", "status"]).cast(pa.schema({"class_name": pa.string(), "status": pa.string()}))
    usable = there.append_column("ok", pc.equal(there["status"], "ok").cast(pa.int32()))
    grouped = usable.group_by("class_name").aggregate([("ok", "sum")]).sort_by("class_name")
    names = grouped["class_name"].to_pylist()
    known = describe(names)
    columns = [names, *([getattr(s, field) for s in known] for field in ("wnid", "lemmas", "definition"))]
    table = pa.table([*columns, grouped["ok_sum"].cast(pa.int32())], schema=CLASSES)
    path = workspace.path / "classes.parquet"
    if not path.is_file() or not files.read_table(path).equals(table):
        files.write_table(path, table)


def _summary(old: pa.Table, new: pa.Table, listing: pa.Table, found: dict[str, readers.Listing]) -> dict[str, Any]:
    status = new["status"].cast(pa.string())
    here = pc.is_in(new["root"].cast(pa.string()), pa.array(list(found), pa.string()))
    ignored: dict[str, int] = {}
    for part in found.values():
        for reason, count in part.ignored.items():
            ignored[reason] = ignored.get(reason, 0) + count
    changes = merge.changes(old, new, here)
    broken = pc.and_(here, pc.equal(status, "broken"))
    result = {
        "images": len(new),
        "files": len(listing) + sum(ignored.values()),
        "found": len(listing),
        "ignored": ignored,
        **changes.counts,
        "ok": merge.count(pc.and_(here, pc.equal(status, "ok"))),
        "broken": merge.count(broken),
        "broken_by_reason": merge.by_reason(new.filter(broken)["reason"]),
        "gone": merge.count(pc.and_(here, pc.equal(status, "gone"))),
        "flat": merge.count(pc.and_(pc.and_(here, new["flat"]), pc.equal(status, "ok"))),
        "classes": len(pc.unique(new.filter(pc.not_equal(status, "gone"))["class_name"])),
        "layouts": {name: part.layout for name, part in found.items()},
        "notes": [note for part in found.values() for note in part.notes] + changes.notes,
    }
    return result | {"set_aside": result["broken"]}
