"""Parquet files that hold pictures and their labels, of ours and of others, as Hugging Face `datasets` keeps them.

The schema of such a file says under `huggingface` which column holds pictures and how labels are named; what only we
know of a set is under `annotations`. (huggingface/datasets, `Features.arrow_schema`.)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import files
from curation.errors import CurationError
from curation.formats import containers
from curation.formats.annotations import AnnotationSet

FEATURES, KNOWN = b"huggingface", b"annotations"


def read(path: Path) -> AnnotationSet:
    """Read a folder of Parquet files with pictures, or one such file.

    Raises:
        CurationError: a file is missing or no Parquet, lacks a column, a row has no label, or a path leads out; names
            the file.
    """
    found = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    if not found:
        raise CurationError(f"{path} holds no Parquet files" if path.is_dir() else f"{path} does not exist")
    root = path if path.is_dir() else path.parent
    parts = [_open(file, containers.split_of(file, root)) for file in found]
    _check_whole(parts, path.is_dir())
    known = parts[0].known
    splits = known["splits"] if known and path.is_dir() else []
    splits = list(dict.fromkeys([*splits, *(part.split for part in parts)]))
    parts.sort(key=lambda part: splits.index(part.split))
    rows = containers.Rows([], [], [], [], {name: [] for part in parts for name in part.facts})
    for part in parts:
        _read(part, root, rows)
    if known is None and parts[0].names is not None:
        known = {"classes": parts[0].names}
    pictures = _Pictures([p.path for p in parts], [p.image for p in parts], np.cumsum([p.rows for p in parts]))
    return containers.assemble(rows, where=str(path), splits=splits, pictures=pictures, known=known)


@dataclass(frozen=True)
class _File:
    """A Parquet file: its split, rows, column of pictures and of labels, names of labels, and what else is known."""

    path: Path
    split: str
    rows: int
    image: str
    label: str
    names: list[str] | None
    paths: str | None
    facts: list[str]
    known: dict[str, Any] | None


@dataclass
class _Pictures:
    """The pictures of the rows of `files`, of which file f has the rows up to `ends[f]`; keeps one row group."""

    files: list[Path]
    columns: list[str]
    ends: np.ndarray
    group: tuple[int, int, pa.ChunkedArray] | None = field(default=None, repr=False)

    def __call__(self, row: int) -> bytes:
        number = int(np.searchsorted(self.ends, row, side="right"))
        inside = row - (int(self.ends[number - 1]) if number else 0)
        kept = self.group
        if kept is None or kept[0] != number or not 0 <= inside - kept[1] < len(kept[2]):
            kept = self.group = (number, *self._load(number, inside))
        data = kept[2][inside - kept[1]].as_py()
        if data is None:
            raise CurationError(f"{self.files[number]}, row {inside + 1}: it holds no picture, only the name of one")
        return data

    def _load(self, number: int, inside: int) -> tuple[int, pa.ChunkedArray]:
        path = self.files[number]
        try:
            with pq.ParquetFile(path) as file:
                sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
                ends = np.cumsum(sizes)
                group = int(np.searchsorted(ends, inside, side="right"))
                column = file.read_row_group(group, columns=[self.columns[number]]).column(0)
        except (OSError, pa.ArrowException, IndexError) as error:
            raise CurationError(f"{path} cannot be read: {error}") from error
        return int(ends[group]) - sizes[group], _bytes(column)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"group": None}


def _bytes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column


def _open(path: Path, split: str) -> _File:
    """What the schema of a file says."""
    try:
        with pq.ParquetFile(path) as file:
            schema, count = file.schema_arrow, file.metadata.num_rows
    except (OSError, pa.ArrowException) as error:
        raise CurationError(f"{path} cannot be read as a Parquet file: {error}") from None
    told = {key: text for key, text in (schema.metadata or {}).items() if key in (FEATURES, KNOWN)}
    metadata = {key: files.parse_json(text, f"{path}, {key.decode()} in its schema") for key, text in told.items()}
    features = _features(metadata.get(FEATURES))
    image = _column(path, schema, "pictures", _is_image, [n for n, f in features.items() if f.get("_type") == "Image"])
    named = [n for n, f in features.items() if f.get("_type") == "ClassLabel"]
    label = _column(path, schema, "labels", _is_label, ["label", *named, "labels", "class_name", "class", "category"])
    names = features.get(label, {}).get("names")
    held = schema.field(image).type
    inside = f"{image}.path" if pa.types.is_struct(held) and held.get_field_index("path") >= 0 else None
    facts = [f.name for f in containers.FACTS if f.name in schema.names and _alike(schema.field(f.name).type, f.type)]
    known = _known(metadata[KNOWN], path) if KNOWN in metadata else None
    paths = "path" if "path" in schema.names and _is_text(schema.field("path").type) else inside
    return _File(path, split, count, image, label, names if isinstance(names, list) else None, paths, facts, known)


def _known(document: Any, path: Path) -> dict[str, Any]:
    known = containers.check_known(document, str(path))
    splits = known.get("splits")
    if not isinstance(splits, list) or not all(isinstance(split, str) for split in splits):
        raise CurationError(f"{path}: key 'splits' of its metadata is no list of names")
    return known


def _features(document: Any) -> dict[str, dict[str, Any]]:
    for key in ("info", "features"):
        document = document.get(key) if isinstance(document, dict) else None
    return {n: f for n, f in document.items() if isinstance(f, dict)} if isinstance(document, dict) else {}


def _column(path: Path, schema: pa.Schema, what: str, fits: Callable[[pa.DataType], bool], first: list[str]) -> str:
    """The column that holds what is asked for: one of `first` if it can, else (of pictures) the first that can."""
    others = schema.names if what == "pictures" else []
    for name in (*first, *others):
        if name in schema.names and fits(schema.field(name).type):
            return name
    raise CurationError(f"{path} has no column of {what}: its columns are {', '.join(schema.names)}")


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return (at := kind.get_field_index("bytes")) >= 0 and _is_image(kind.field(at).type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_label(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or _is_text(kind)


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _alike(kind: pa.DataType, ours: pa.DataType) -> bool:
    return pa.types.is_integer(kind) if pa.types.is_integer(ours) else _is_text(kind)


def _check_whole(parts: list[_File], folder: bool) -> None:
    """All of the files that their names count must be there, and name the same classes."""
    first = parts[0]
    for part in parts:
        if (part.names, part.label) != (first.names, first.label):
            raise CurationError(f"{part.path} names other classes than {first.path}")
    counted = [(part.path, re.search(r"-\d+-of-(\d+)", part.path.name)) for part in parts] if folder else []
    there = Counter((path.parent, path.name[: found.start()], int(found[1])) for path, found in counted if found)
    for (place, name, count), found in there.items():
        if found != count:
            raise CurationError(f"{place} has {found:,} of the {count:,} files of {name!r}: get the others")


def _read(part: _File, root: Path, rows: containers.Rows) -> None:
    """Append the rows of a file, without its pictures."""
    wanted = dict.fromkeys([part.label, *([part.paths] if part.paths else []), *part.facts])
    try:
        with pq.ParquetFile(part.path) as file:
            table = file.read(columns=list(wanted))
    except (OSError, pa.ArrowException) as error:
        raise CurationError(f"{part.path} cannot be read: {error}") from None
    labels = table[part.label]
    if labels.null_count:
        raise CurationError(f"{part.path}: {labels.null_count:,} of {part.rows:,} rows have no {part.label!r}")
    numbered = pa.types.is_integer(labels.type)
    rows.label += labels.to_pylist() if numbered else [None] * part.rows
    rows.class_name += [None] * part.rows if numbered else labels.to_pylist()
    rows.split += [part.split] * part.rows
    rows.path += _paths(part, table, root)
    for name, values in rows.facts.items():
        values += _fact(part.path, table[name], name) if name in part.facts else [None] * part.rows


def _fact(path: Path, column: pa.ChunkedArray, name: str) -> list[Any]:
    kind = next(fact.type for fact in containers.FACTS if fact.name == name)
    try:
        return column.cast(pa.string() if pa.types.is_dictionary(kind) else kind).to_pylist()
    except pa.ArrowInvalid as error:
        raise CurationError(f"{path}, column {name!r}: {error}") from None


def _paths(part: _File, table: pa.Table, root: Path) -> list[str]:
    """Paths of the rows: ours as they are; of others, the place in the file and the name of the picture."""
    if part.known is not None and part.paths == "path":
        return table["path"].to_pylist()
    held = [None] * part.rows if part.paths is None else table[part.paths.partition(".")[0]].to_pylist()
    place = part.path.relative_to(root).with_suffix("").as_posix()
    names = [value.get("path") if isinstance(value, dict) else value for value in held]
    return [f"{place}/{row:08d}-{PureWindowsPath(name or '').name}".rstrip("-") for row, name in enumerate(names)]
