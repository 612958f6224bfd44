r"""Comma-separated values: a header and one row an image, UTF-8, for spreadsheets and pandas.

A spreadsheet takes a cell that begins with =, +, - or @ (or a tab or carriage return) for a formula. Such a text, also
behind apostrophes, gets one apostrophe more in front when written, and loses it when read: `=1+1` is kept as `'=1+1`,
and `'=1+1` as `''=1+1`. All other texts stay as they are.
"""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats.annotations import ANNOTATIONS, EXTRAS, AnnotationSet, Options, annotation_table, classes_of
from curation.formats.table_columns import check_once, columns_of

_FORMULA = r"[=+\-@\t\r]"


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write `<stem>.csv` with the columns of the set."""
    path = folder / f"{stem}.csv"
    write_table(path, annotations.table)
    return [path]


def write_table(path: Path, table: pa.Table) -> None:
    """Write any table as CSV, its texts made safe for spreadsheets; block by block, atomically."""
    columns = [table[name] for name in table.column_names]
    texts = [_escape(c) if _is_text(c.type) else c for c in columns]
    with files.replacing(path) as part:
        arrow_csv.write_csv(pa.table(texts, names=table.column_names), part)


def read(path: Path) -> AnnotationSet:
    """Read a CSV with a header; `path` and `label` or `class_name` must be there, other columns of ours may be.

    Without labels, classes count in byte order of their names.

    Raises:
        CurationError: not such a file; names the line or column.
    """
    return from_table(read_table(path), path)


def read_table(path: Path) -> pa.Table:
    """Read any CSV with a header, its texts as they were before `write_table` made them safe.

    Raises:
        CurationError: not a CSV file; names the line.
    """
    kinds = {f.name: pa.string() if pa.types.is_dictionary(f.type) else f.type for f in (*ANNOTATIONS, *EXTRAS)}
    try:
        table = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(use_threads=False),  # errors then know their row
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=kinds | {"file": pa.string()}, null_values=[""], strings_can_be_null=False
            ),
        )
        names = table.column_names
    except FileNotFoundError:
        raise CurationError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise CurationError(f"{path} is a folder, not a CSV file") from None
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError) as error:
        raise CurationError(f"{path}: not an annotation CSV: {_named(path, str(error)):.300}") from None
    columns = [_unescape(c) if _is_text(c.type) else c for c in table.columns]
    check_once(names, path)
    return pa.table(columns, names=names)


def from_table(table: pa.Table, path: Path) -> AnnotationSet:
    """An annotation set from a table that has at least `path` and `label` or `class_name`.

    Raises:
        CurationError: a column is missing, or labels do not fit the class names.
    """
    columns = columns_of(table, path)
    if "path" not in columns or not columns.keys() & {"label", "class_name"}:
        raise CurationError(
            f"{path} has the columns {', '.join(table.column_names):.200}: it needs path and class_name or label"
        )
    if "class_name" not in columns:
        columns["class_name"] = pc.cast(columns["label"], pa.string())
    names = columns["class_name"].to_pylist()
    if "label" not in columns:
        place = {name: i for i, name in enumerate(sorted(set(names)))}
        columns["label"] = pa.array([place[name] for name in names], pa.int32())
    columns.setdefault("split", pa.array(["all"] * len(names)))
    found = annotation_table(columns)
    splits = tuple(dict.fromkeys(found["split"].to_pylist()))
    return AnnotationSet(found, classes_of(found["label"].to_numpy(), names), splits)


def _named(path: Path, message: str) -> str:
    """An Arrow message with the name of the column that it has only by number."""
    with open(path, encoding="utf-8", errors="replace") as file:
        header = file.readline(100_000).strip().split(",")
    return re.sub(
        r"CSV column #(\d+)", lambda m: f"column {header[int(m[1])]!r}" if int(m[1]) < len(header) else m[0], message
    )


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)


def _escape(column: pa.ChunkedArray) -> pa.ChunkedArray:
    column = column.cast(pa.string())
    if pc.any(pc.match_substring(column, "\0")).as_py():
        raise ArgumentError("a path or class name holds a NUL character, which CSV cannot: choose parquet")
    return pc.replace_substring_regex(column, rf"\A('*{_FORMULA})", r"'\1")


def _unescape(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.replace_substring_regex(column.cast(pa.string()), rf"\A'('*{_FORMULA})", r"\1")
