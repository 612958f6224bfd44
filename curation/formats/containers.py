"""What the formats that hold pictures share: safe paths, pictures that are gone, what is known, pictures by path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats import split_files
from curation.formats.annotations import (
    ABOUT,
    ANNOTATIONS,
    EXTRAS,
    AnnotationSet,
    Options,
    annotation_table,
    check_pictures,
    classes_of,
    names_of,
    picture,
)

MISSING = "missing.txt"
HOLDS = frozenset({*ANNOTATIONS.names, *EXTRAS.names, "meta", "about", "classes", "splits"})
SUFFIXES = frozenset(
    {
        "avif",
        "bmp",
        "gif",
        "heic",
        "jp2",
        "jpeg",
        "jpg",
        "jxl",
        "pbm",
        "pgm",
        "png",
        "pnm",
        "ppm",
        "tif",
        "tiff",
        "webp",
    }
)
# Columns of a row besides its path, class, label and split.
FACTS = tuple(kind for kind in (*ANNOTATIONS, *EXTRAS) if kind.name not in ("path", "class_name", "label", "split"))
_BLOCK = 1024
_MAGIC = ((b"\xff\xd8\xff", "jpg"), (b"\x89PNG", "png"), (b"GIF8", "gif"), (b"BM", "bmp"), (b"II*\0", "tif"))


def check(annotations: AnnotationSet, options: Options) -> None:
    """Check what every container of pictures asks of a set, before anything is written.

    Raises:
        ArgumentError: nothing says where the pictures are, a split cannot be a file name, a label has no class, a path
            leads out of the data set, or no pictures are allowed in a shard.
    """
    check_pictures(annotations, options)
    if options.shard_images < 1:
        raise ArgumentError(f"{options.shard_images} pictures in a shard: allow 1 or more")
    split_files.check(annotations)
    paths = annotations.table["path"]
    if (row := files.first_outside(paths)) is not None:
        raise ArgumentError(
            f"path {paths[row].as_py()!r} leads out of the data set: this format holds relative paths without '..'"
        )


def split_of(path: Path, root: Path) -> str:
    """The split that a name tells, as `train-000000.tar`, `train-00000-of-00003.parquet` and `train/0.tar` do."""
    name = re.sub(r"((^|[-_.])\d+)?([-_.]of[-_.]\d+.*)?$", "", path.stem)
    return name or (path.parent.name if path.parent != root else "all")


def rows_of(annotations: AnnotationSet, split: str) -> pa.Array:
    """Places in the table of the rows of a split, in order."""
    return pc.indices_nonzero(pc.fill_null(pc.equal(annotations.table["split"], split), False))


def records(annotations: AnnotationSet, rows: pa.Array) -> Iterator[tuple[int, dict[str, Any]]]:
    """(Place in the table, row) of every row asked for; a block of them at a time in memory."""
    for start in range(0, len(rows), _BLOCK):
        places = rows.slice(start, _BLOCK)
        yield from zip(places.to_pylist(), annotations.table.take(places).to_pylist(), strict=True)


def held(
    annotations: AnnotationSet, rows: pa.Array, options: Options, lost: list[str]
) -> Iterator[tuple[int, dict[str, Any], bytes]]:
    """(Place, row, encoded picture) of the rows asked for; paths whose picture is gone go to `lost` instead."""
    for done, (place, record) in enumerate(records(annotations, rows)):
        if done % _BLOCK == 0:
            options.progress(done, len(rows), "writing pictures")
        data = encoded(annotations, options, record["path"])
        if data is None:
            lost.append(record["path"])
        else:
            yield place, record, data
    options.progress(len(rows), len(rows), "writing pictures")


def encoded(annotations: AnnotationSet, options: Options, path: str) -> bytes | None:
    """The encoded bytes of a picture; None when it is gone.

    Raises:
        CurationError: it is there and cannot be read.
    """
    try:
        return picture(annotations, options, path)
    except OSError as error:
        raise CurationError(f"the picture {path!r} cannot be read: {error.strerror or error}") from error


def check_any(lost: Sequence[str], rows: int, why: str = "there is no such file") -> None:
    """Raises CurationError when not one picture can be had; `why` is so of the first."""
    if rows and len(lost) == rows:
        raise CurationError(f"0 of {rows:,} pictures can be had ({lost[0]!r:.200}: {why}): nothing was written")


def write_missing(folder: Path, lost: Sequence[str]) -> None:
    """List the pictures that are gone, one path a line; no file when there are none."""
    if lost:
        with files.replacing(folder / MISSING) as part:
            # What splits lines in Python would make two paths of one.
            lines = [
                re.sub(r"[\x00-\x1f\x85\u2028\u2029\\]", lambda c: c[0].encode("unicode_escape").decode(), p)
                for p in lost
            ]
            part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def suffix(path: str, data: bytes) -> str:
    """The suffix of a picture's file, lower-case, without the dot: that of its path, else as its first bytes say."""
    own = PurePosixPath(path).suffix[1:].lower()
    if own in SUFFIXES:
        return own
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), "jpg")


# -- what is known of a set besides its rows --------------------------------------------------------------------------


def known(annotations: AnnotationSet) -> dict[str, Any]:
    """What a set's table does not say, as JSON: classes, columns, meta and about."""
    about = annotations.about
    return {
        "classes": list(annotations.classes),
        "columns": annotations.table.column_names,
        "meta": annotations.meta,
        "about": None if about is None else {n: about[n].to_pylist() for n in ABOUT.names if n in about.column_names},
    }


def check_known(document: Any, where: str) -> dict[str, Any]:
    """Check what `known` gave, read back; `about` becomes a table again.

    Raises:
        CurationError: a key is missing or of another type; named.
    """
    kinds = {"classes": list, "columns": list, "meta": dict}
    for key, kind in kinds.items():
        if not isinstance(document, dict) or not isinstance(document.get(key), kind):
            raise CurationError(f"{where}: key {key!r} is missing or not a {kind.__name__}")
        if kind is list and (bad := [value for value in document[key] if not isinstance(value, str)]):
            raise CurationError(f"{where}: key {key!r} holds {bad[0]!r:.80}, which is no text")
    about = document.get("about")
    if about is None:
        return document | {"about": None}
    try:
        there = pa.schema([kind for kind in ABOUT if kind.name in about])
        table = pa.table([pa.array(about[kind.name], kind.type) for kind in there], schema=there)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise CurationError(f"{where}: key 'about' is no table of classes: {error}") from None
    return document | {"about": table}


@dataclass
class Rows:
    """Rows read from containers, column by column; `label` or `class_name` of a row may be None."""

    path: list[str]
    label: list[int | None]
    class_name: list[str | None]
    split: list[str]
    facts: dict[str, Any]


def assemble(
    rows: Rows,
    *,
    where: str,
    splits: Sequence[str],
    pictures: Callable[[int], bytes],
    known: Mapping[str, Any] | None = None,
) -> AnnotationSet:
    """A set from rows, in order; without labels, classes count in the order of their names.

    Args:
        rows: that were read.
        where: what they were read from, for messages.
        splits: in order, those without rows included.
        pictures: gives the encoded bytes of the picture of a row by its number.
        known: what `check_known` gave, where the writer was ours.

    Raises:
        CurationError: rows without label, labels that do not fit the classes, or a path that leads out.
    """
    known = known or {}
    labels, classes = _labels(rows, where, list(known.get("classes", ())))
    names = {name: i for i, name in enumerate(splits)}
    columns = {name: values for name, values in rows.facts.items() if _said(name, values, known)}
    columns |= {"path": pa.array(rows.path, pa.string()), "label": pa.array(labels, pa.int32())}
    columns |= {"class_name": names_of(labels, classes), "split": names_of([names[s] for s in rows.split], splits)}
    table = annotation_table(columns)
    if (row := files.first_outside(table["path"])) is not None:
        raise CurationError(f"{where}: path {table['path'][row].as_py()!r} leads out of the data set")
    by_path = ByPath(table["path"].combine_chunks(), pictures)
    return AnnotationSet(table, tuple(classes), tuple(splits), known.get("meta", {}), known.get("about"), by_path)


class ByPath:
    """Gives the encoded bytes of a picture by its path; can be sent to other processes."""

    def __init__(self, paths: pa.Array, read: Callable[[int], bytes]) -> None:
        self._paths, self._read = paths, read
        self._rows: dict[str, int] | None = None

    def __call__(self, path: str) -> bytes:
        if self._rows is None:
            self._rows = {name: row for row, name in enumerate(self._paths.to_pylist())}
        if path not in self._rows:
            raise CurationError(f"the data set holds no picture {path!r}")
        return self._read(self._rows[path])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_rows": None}


def _said(name: str, values: Any, known: Mapping[str, Any]) -> bool:
    """Whether a column has anything in it, or had its place in the set that was written."""
    nulls = values.null_count if isinstance(values, (pa.Array, pa.ChunkedArray)) else values.count(None)
    return nulls < len(values) or name in known.get("columns", ())


def _labels(rows: Rows, where: str, classes: list[str]) -> tuple[np.ndarray, list[str]]:
    if None not in rows.label:
        labels = np.array(rows.label, np.int64)
        if not classes:
            names = [str(i) if n is None else n for i, n in zip(rows.label, rows.class_name, strict=True)]
            return labels, list(classes_of(labels, names))
        wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
        if len(wrong):
            path, label = rows.path[wrong[0]], labels[wrong[0]]
            raise CurationError(f"{where}: {path!r} has the label {label}, and there are {len(classes)} classes")
        return labels, classes
    if None in rows.class_name:
        both = zip(rows.label, rows.class_name, strict=True)
        bare = sum(label is None and name is None for label, name in both)
        raise CurationError(f"{where}: {bare or rows.label.count(None):,} of {len(rows.path):,} rows have no label")
    classes = classes or sorted(set(rows.class_name))
    place = {name: i for i, name in enumerate(classes)}
    if (bad := next((name for name in rows.class_name if name not in place), None)) is not None:
        raise CurationError(f"{where}: {bad!r} is none of its {len(classes)} classes")
    return np.array([place[name] for name in rows.class_name], np.int64), classes
