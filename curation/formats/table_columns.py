"""The columns of annotations in any table, of ours or of others, checked row by row."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import CurationError
from curation.formats.annotations import ANNOTATIONS, EXTRAS

_NEEDED = ("path", "class_name", "label", "split")


def check_once(names: list[str], path: Path) -> None:
    """Raises CurationError when two columns of a table have one name."""
    often = Counter(names)
    if len(often) < len(names):
        twice = max(often, key=often.get)
        raise CurationError(f"{path} has {often[twice]} columns {twice!r:.200}: keep one of them")


def columns_of(table: pa.Table, path: Path) -> dict[str, pa.ChunkedArray]:
    """The columns of ANNOTATIONS and EXTRAS that a table has, of their types (texts plain); others are left.

    Raises:
        CurationError: a column is there twice, a value cannot be of its type, or a path, class, label or split is
            missing; names the file, the column and the row.
    """
    check_once(table.column_names, path)
    there = [kind for kind in (*ANNOTATIONS, *EXTRAS) if kind.name in table.column_names]
    found = {kind.name: _cast(table[kind.name], kind, path) for kind in there}
    for name in _NEEDED:
        if name in found and (row := pc.index(pc.is_null(found[name]), True).as_py()) >= 0:
            raise CurationError(f"{path}, column {name!r}, row {row + 1}: there is none")
    if "path" in found:
        row = pc.index(pc.match_substring_regex(found["path"], r"^$|\x00"), True).as_py()
        if row >= 0:
            what = "it is empty" if not found["path"][row].as_py() else "it holds a NUL character"
            raise CurationError(f"{path}, column 'path', row {row + 1}: {what}")
    return found


def _cast(column: pa.ChunkedArray, field: pa.Field, path: Path) -> pa.ChunkedArray:
    kind = pa.string() if pa.types.is_dictionary(field.type) else field.type
    if _fits(column, kind):
        return column.cast(kind)
    row, rows = 0, len(column)
    while rows > 1:  # the first half that does not fit
        half = rows // 2
        row, rows = (row + half, rows - half) if _fits(column.slice(row, half), kind) else (row, half)
    value = repr(column[row].as_py()) if rows else str(column.type)
    wanted = "a text" if pa.types.is_string(kind) else f"a whole number of {kind.bit_width} bits"
    raise CurationError(f"{path}, column {field.name!r}, row {row + 1}: {value:.80} is not {wanted}")


def _fits(column: pa.ChunkedArray, kind: pa.DataType) -> bool:
    try:
        column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True
