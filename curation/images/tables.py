"""A CSV, TSV or Parquet file of paths and labels as a listing of pictures."""

from __future__ import annotations

import csv
import os
import posixpath
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.images.walk import LISTING, Listing

PATHS = ("path", "image_path", "filepath", "file_path", "file", "filename", "file_name", "image")
LABELS = ("label", "class_name", "class", "category", "wnid", "target")
SPLIT_COLUMNS = ("split", "source_split", "subset")
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What the splits of a source are called, by the names that folders and tables give them."""


def read_table(root: str | Path, table: str | Path) -> Listing:
    """Read a table with a path column, a label column and perhaps a split column into a listing.

    Paths are relative to `root`, or absolute and below it. A file that is not there stays in the listing, with size
    0, and is found broken when it is read. The same path with the same label twice is taken once.

    Raises:
        ArgumentError: there is no such file.
        CurationError: no such column; an empty path or label; a path that leads out of the root; a path with two
            labels. Each with its line.
    """
    file, root = Path(table), Path(root)
    if not file.is_file():
        raise ArgumentError(f"there is no table {file}")
    words = files.read_table(file) if file.suffix.lower() == ".parquet" else _csv(file)
    columns = {name.strip().lower(): i for i, name in enumerate(words.column_names)}
    path = _strings(_pick(words, columns, PATHS, file))
    label = _strings(_pick(words, columns, LABELS, file))
    split_name = next((name for name in SPLIT_COLUMNS if name in columns), None)
    split = _strings(words.column(columns[split_name])) if split_name else pa.repeat("", len(words)).cast(pa.string())
    for column, what in ((path, "path"), (label, "label")):
        if len(empty := np.flatnonzero(pc.equal(pc.utf8_trim_whitespace(column), "").to_numpy(zero_copy_only=False))):
            raise CurationError(f"{_where(file, empty[0])}: the {what} is empty ({len(empty):,} such rows)")
    clean = pa.table({"path": _inside(path, root, file), "class_name": label, "source_split": _known_splits(split)})
    clean, notes = _once(clean, file)
    return Listing(_with_stats(root, clean.sort_by("path")), "table", {}, notes)


def _pick(table: pa.Table, columns: dict[str, int], names: tuple[str, ...], file: Path) -> pa.ChunkedArray:
    for name in names:
        if name in columns:
            return table.column(columns[name])
    raise CurationError(
        f"{file} has the columns {', '.join(map(repr, table.column_names))}, and none is called "
        f"{', '.join(map(repr, names[:-1]))} or {names[-1]!r}: rename one"
    )


def _csv(file: Path) -> pa.Table:
    delimiter = "," if file.suffix.lower() == ".csv" else "\t"
    try:
        with open(file, encoding="utf-8-sig", newline="") as lines:
            header = next(csv.reader(lines, delimiter=delimiter), [])
        return pv.read_csv(
            file,
            parse_options=pv.ParseOptions(delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=False),
            # Everything is text: a class called 007, NA or 1e3 keeps its name.
            convert_options=pv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError, OSError, csv.Error) as error:
        raise CurationError(f"{file} cannot be read as a table: {error}") from None


def _strings(column: pa.ChunkedArray) -> pa.Array:
    plain = column.cast(pa.string()) if not pa.types.is_string(column.type) else column
    plain = pc.fill_null(plain, "")
    return plain.combine_chunks() if isinstance(plain, pa.ChunkedArray) else plain


def _inside(path: pa.Array, root: Path, file: Path) -> pa.Array:
    """Normal paths relative to the root. Only the unusual ones cost Python time."""
    for base in dict.fromkeys((root.absolute().as_posix(), root.resolve().as_posix())):
        below = pc.starts_with(path, f"{base}/")
        path = pc.if_else(below, pc.utf8_slice_codeunits(path, len(base) + 1), path)
    odd = np.flatnonzero(pc.match_substring_regex(path, r"(^|/)\.{0,2}(/|$)").to_numpy(zero_copy_only=False))
    if not len(odd):
        return path
    words = path.to_pylist()
    for row in odd:
        normal = posixpath.normpath(words[row])
        if normal.startswith(("/", "../")) or normal in ("..", "."):
            raise CurationError(f"{_where(file, row)}: path {words[row]!r} leads out of {root}")
        words[row] = normal
    return pa.array(words, pa.string())


def _known_splits(split: pa.Array) -> pa.Array:
    coded = pc.dictionary_encode(split)
    names = [SPLITS.get(word.strip().lower(), word) for word in coded.dictionary.to_pylist()]
    return pc.take(pa.array(names, pa.string()), coded.indices)


def _once(table: pa.Table, file: Path) -> tuple[pa.Table, list[str]]:
    """The table without repeated paths."""
    paths = pc.dictionary_encode(table["path"].combine_chunks())
    codes = paths.indices.to_numpy()
    _, first = np.unique(codes, return_index=True)
    if len(first) == len(codes):
        return table, []
    first_of = first[codes]  # codes are numbered in order of appearance, so that row c of `first` is code c's
    labels = table["class_name"].combine_chunks()
    differs = pc.not_equal(labels, pc.take(labels, pa.array(first_of))).to_numpy(zero_copy_only=False)
    if len(rows := np.flatnonzero(differs)):
        row, other = int(rows[0]), int(first_of[rows[0]])
        raise CurationError(
            f"{_where(file, row)}: {table['path'][row].as_py()!r} has the label {labels[row].as_py()!r}, "
            f"and {labels[other].as_py()!r} in {_where(file, other)}: an image has one class"
        )
    return table.take(first), [f"{file.name} names {len(codes) - len(first):,} paths more than once: each is read once"]


def _with_stats(root: Path, table: pa.Table) -> pa.Table:
    sizes, modified = np.zeros(len(table), np.int64), np.zeros(len(table), np.int64)
    base = os.fspath(root)
    for i, path in enumerate(table["path"].to_pylist()):
        try:
            stat = os.stat(f"{base}/{path}")  # noqa: PTH116 (a million Path objects)
            sizes[i], modified[i] = stat.st_size, stat.st_mtime_ns
        except (OSError, ValueError):  # not there, or a name that no file can have: found broken when it is read
            pass
    table = table.append_column("bytes", pa.array(sizes)).append_column("modified", pa.array(modified))
    return table.cast(LISTING)


def _where(file: Path, row: int) -> str:
    """Name a row as its reader would find it: the first line of a text file is its header."""
    return f"{file}, row {row + 1}" if file.suffix.lower() == ".parquet" else f"{file}, line {row + 2}"
