"""Images that are one photograph to its uploader: they share its id, and so they are linked as near duplicates are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.workspace import Workspace

BURSTS = pa.schema({"image_id": pa.int32(), "burst": pa.string()})


def bursts_path(workspace: Workspace) -> Path:
    """Where the table of bursts lies."""
    return workspace.path / "duplicates" / "bursts.parquet"


def read(workspace: Workspace) -> pa.Table:
    """image_id (ascending, each once) and burst, the id that the uploader gave; without rows when there are none.

    Raises:
        CurationError: the table names images that the workspace does not have.
    """
    path = bursts_path(workspace)
    if not path.is_file():
        return BURSTS.empty_table()
    table = files.read_table(path, columns=BURSTS.names)
    remedy = "it belongs to another workspace; remove it and import the bursts again"
    workspace.check_ids(table["image_id"].to_numpy(), str(path), remedy)
    return table


def write(workspace: Workspace, image_ids: Sequence[int] | np.ndarray, bursts: Sequence[str]) -> dict[str, Any]:
    """Add images with the id of their photograph; an image that had another one takes the new one.

    Returns:
        images and bursts that the table has now, and linked: images that share theirs with another.
    """
    old = read(workspace)
    ids = np.concatenate([old["image_id"].to_numpy(), np.asarray(image_ids, np.int64)]).astype(np.int64)
    words = np.array([*old["burst"].to_pylist(), *bursts], object)
    ids, last = np.unique(ids[::-1], return_index=True)
    words = words[::-1][last]
    table = pa.table({"image_id": ids, "burst": words}, schema=BURSTS)
    if not bursts_path(workspace).is_file() or not table.equals(old):
        files.write_table(bursts_path(workspace), table)
    _, sizes = np.unique(words.astype(str), return_counts=True)
    return {"images": len(ids), "bursts": len(sizes), "linked": int(sizes[sizes > 1].sum())}


def import_table(workspace: Workspace, table: str | Path) -> dict[str, Any]:
    """Read bursts from a CSV or Parquet file with columns `path` (as in the images table) and `burst`.

    Returns:
        As `write`, and set_aside: rows whose path is of no image of the workspace.

    Raises:
        ArgumentError: there is no such file.
        CurationError: a column is missing, or a path is that of images of two roots.
    """
    file = Path(table)
    if not file.is_file():
        raise ArgumentError(f"there is no table {file}")
    words = _text(file)
    if missing := {"path", "burst"} - set(words.column_names):
        raise CurationError(f"{file} has the columns {words.column_names}, and {sorted(missing)[0]!r} is missing")
    words = words.filter(pc.not_equal(pc.fill_null(words["burst"], ""), ""))
    known = workspace.images(["path"])["path"].combine_chunks()
    row = pc.index_in(words["path"].combine_chunks(), value_set=known)
    twice = np.flatnonzero(known.take(row.drop_null()).to_pandas().isin(_repeated(known)))
    if len(twice):
        path = known[row.drop_null()[int(twice[0])].as_py()].as_py()
        raise CurationError(f"{file} names {path!r}, which is an image in two roots of the workspace: it is ambiguous")
    found = words.filter(pc.is_valid(row))
    result = write(workspace, row.drop_null().to_numpy(), found["burst"].to_pylist())
    return result | {"set_aside": len(words) - len(found)}


def links(table: pa.Table) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Stars: the first image (smallest id) of each burst, each other image of it (int64), and the burst's id."""
    coded = pc.dictionary_encode(table["burst"].combine_chunks())
    code, ids = coded.indices.to_numpy(), table["image_id"].to_numpy().astype(np.int64)
    _, first, group = np.unique(code, return_index=True, return_inverse=True)
    centre = ids[first][group] if len(ids) else ids
    other = centre != ids
    return centre[other], ids[other], coded.dictionary.take(pa.array(code[other])).to_pylist()


def _text(file: Path) -> pa.Table:
    if file.suffix.lower() == ".parquet":
        table = files.read_table(file)
        return table.cast(pa.schema([field.with_type(pa.string()) for field in table.schema]))
    try:
        text = pv.ConvertOptions(column_types=dict.fromkeys(("path", "burst"), pa.string()), strings_can_be_null=False)
        return pv.read_csv(file, convert_options=text)
    except (pa.ArrowInvalid, OSError) as error:
        raise CurationError(f"{file} cannot be read as a table: {error}") from None


def _repeated(words: pa.Array) -> list[str]:
    counted = pc.value_counts(words)
    return counted.filter(pc.greater(counted.field("counts"), 1)).field("values").to_pylist()
