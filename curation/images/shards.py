"""The unit of reading: a few hundred pictures, one finished file."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation import files
from curation.images import decode
from curation.images.fingerprint import GREY_SIDE, fingerprint, phashes
from curation.images.merge import FACTS, PLACE
from curation.workspace import Workspace

# Raised when the same file would give another row; parts of an older program are then not used.
VERSION = "1"


@dataclass(frozen=True)
class Shard:
    """Rows `first` to `first + rows` of the plan, read into `out`."""

    plan: Path
    out: Path
    first: int
    rows: int
    roots: dict[str, Path]


def folder(workspace: Workspace) -> Path:
    """Where the finished shards of an unfinished run lie."""
    return workspace.path / "images.parts"


def finished(workspace: Workspace) -> pa.Table:
    """Rows that an interrupted run has read (schema FACTS); which of them still hold is for the caller to say."""
    paths = sorted(folder(workspace).glob("*.parquet"))
    tables = [pq.read_table(path) for path in paths if _is_ours(path)]
    return pa.concat_tables([FACTS.empty_table(), *(table.cast(FACTS) for table in tables)])


def _is_ours(path: Path) -> bool:
    try:
        return (pq.read_schema(path).metadata or {}).get(b"version") == VERSION.encode()
    except (OSError, pa.ArrowInvalid):
        return False


def plan(workspace: Workspace, todo: pa.Table, rows: int) -> list[Shard]:
    """Write the list of pictures to read where the workers can map it, and cut it into shards.

    A shard's file is named by what is to be read, so a plan made anew after a change cannot overwrite other parts.
    """
    if not len(todo):
        return []
    path = folder(workspace) / "plan.arrow"
    with files.replacing(path) as part, pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, todo.schema) as out:
        out.write_table(todo.combine_chunks())
    digest = files.sha256_file(path)[:12]
    return [
        Shard(path, folder(workspace) / f"{digest}-{first:09d}.parquet", first, rows, workspace.roots)
        for first in range(0, len(todo), rows)
    ]


def read_shard(shard: Shard) -> int:
    """Read a shard's pictures and write their rows; returns how many there were. Runs in a worker process."""
    with pa.memory_map(str(shard.plan)) as source:
        todo = pa.ipc.open_file(source).read_all().slice(shard.first, shard.rows)
        listed = todo.select(PLACE).to_pylist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # format readers remark on odd files that they can read
        rows = [row | _measure(shard, row) for row in listed]
    grey = np.stack([row["grey"] for row in rows])
    usable = np.array([row["status"] == "ok" for row in rows])
    hashes = {"phash": phashes(grey) * usable, "phash_mirror": phashes(grey[:, :, ::-1]) * usable}
    columns = [hashes[name] if name in hashes else [row[name] for row in rows] for name in FACTS.names]
    table = pa.table(columns, schema=FACTS.with_metadata({"version": VERSION}))
    files.write_table(shard.out, table)
    return len(rows)


def results(work: list[Shard]) -> pa.Table:
    """The rows of finished shards, in order."""
    return pa.concat_tables([FACTS.empty_table(), *(pq.read_table(shard.out).cast(FACTS) for shard in work)])


_MEASURED = ("width", "height", "sha256", "pixels", "brightness", "flat", "status", "reason")
_NO_GREY = np.zeros((GREY_SIDE, GREY_SIDE), np.uint8)
_BROKEN = {
    "width": 0,
    "height": 0,
    "sha256": "",
    "pixels": "",
    "brightness": 0.0,
    "flat": False,
    "status": "broken",
    "grey": _NO_GREY,
}


def _measure(shard: Shard, row: dict) -> dict:
    """The measured columns of one picture; bytes are read once."""
    path, sha256 = shard.roots[row["root"]] / row["path"], ""
    try:
        data = decode.read_bytes(path)
        sha256 = hashlib.sha256(data).hexdigest()
        picture = decode.decode(data, name=row["path"])
    except decode.BrokenImage as error:
        return _BROKEN | {"sha256": sha256, "reason": str(error)}
    print_ = fingerprint(picture.image)
    return {
        "width": picture.image.width,
        "height": picture.image.height,
        "sha256": sha256,
        "pixels": print_.pixels,
        "brightness": print_.brightness,
        "flat": print_.flat,
        "status": "ok",
        "reason": "; ".join(picture.notes),
        "grey": print_.grey,
    }
