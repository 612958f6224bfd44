"""What all annotation formats carry: one row an image of a split, and what is known about the whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.engine import Progress, quiet
from curation.errors import ArgumentError, CurationError

WNID = re.compile(r"n[0-9]{8}")
"""A WordNet id as ImageNet names its classes."""
_word = pa.dictionary(pa.int32(), pa.string())

ANNOTATIONS = pa.schema(
    {
        "path": pa.string(),  # POSIX; relative to a root unless asked otherwise
        "class_name": _word,
        "label": pa.int32(),
        "split": _word,
        "frequency": pa.int8(),  # 0 head, 1 medium, 2 tail; null where the format does not say
        "attribute": pa.int16(),
        "cluster": pa.int16(),
    }
)
# Columns that a table may have after those of ANNOTATIONS, in this order; absent where nothing of it is known.
EXTRAS = pa.schema(
    {
        "number": pa.int32(),  # by which the original data set lists the picture
        "width": pa.int32(),
        "height": pa.int32(),
        "sha256": pa.string(),  # of the picture's bytes
        "source": _word,  # real or generated
    }
)
# What may be known of the classes, one row a label in order; columns beyond class_name may be absent.
ABOUT = pa.schema(
    {
        "class_name": pa.string(),
        "wnid": pa.string(),
        "lemmas": pa.string(),
        "definition": pa.string(),
        "original_label": pa.int32(),  # of the class in the data set that the split was taken from
        "human_label": pa.string(),
    }
)


@dataclass(frozen=True)
class AnnotationSet:
    """Annotated images.

    `table` has the schema ANNOTATIONS, and may have columns of EXTRAS behind it; the order of its rows is that of the
    files. `classes` are the class names by label. `splits` names the splits in order, those without images included.
    `meta` is what the format keeps about how the set was made; empty where nothing is known. `about` is what is known
    of the classes (ABOUT). `pictures` gives the encoded bytes of the picture of a path where the set was read from
    files that hold pictures inside (shards, say).
    """

    table: pa.Table
    classes: tuple[str, ...]
    splits: tuple[str, ...]
    meta: dict[str, Any] = field(default_factory=dict)
    about: pa.Table | None = None
    pictures: Callable[[str], bytes] | None = None

    def of(self, split: str) -> pa.Table:
        """The rows of one split, in order."""
        return self.table.filter(pc.equal(self.table["split"], split))

    def counts(self) -> dict[str, int]:
        """Images of every split, in order."""
        found = {entry["values"]: entry["counts"] for entry in pc.value_counts(self.table["split"]).to_pylist()}
        return {split: found.get(split, 0) for split in self.splits}

    def blocks(self, split: str, *, rows: int = 65_536) -> Iterator[pa.Table]:
        """The rows of one split in blocks, so that a writer needs little memory."""
        part = self.of(split)
        for start in range(0, len(part), rows):
            yield part.slice(start, rows)


@dataclass(frozen=True)
class Options:
    """What a writer may need besides the annotations.

    - `locate`: gives the file of the picture of a path of the set.
    - `link`: how a tree holds pictures: `link` (symbolic), `hardlink` or `copy`.
    - `class_folders`: folders of a tree: `name` of the class, zero-padded `index` (label) or `wnid`.
    - `max_ram`: memory, in GB (10^9 bytes), that a reader has for one part of the format `subset-npz`; None: one part.
    - `concatenate`: `subset-npz` as one compressed file instead of parts.
    - `shard_images`: the most pictures in one shard or Parquet file.
    - `progress`: called after each block of pictures.
    - `final`: the folder that what is written moves to in the end; links count from there.
    """

    locate: Callable[[str], Path] | None = None
    link: str = "link"
    class_folders: str = "name"
    max_ram: float | None = None
    concatenate: bool = False
    shard_images: int = 10_000
    progress: Progress = quiet
    final: Path | None = None


def check_pictures(annotations: AnnotationSet, options: Options) -> None:
    """Raises ArgumentError when nothing says where the pictures of a set are."""
    if annotations.pictures is None and options.locate is None:
        raise ArgumentError("this format holds pictures, and nothing says where they are: give --root")


def picture(annotations: AnnotationSet, options: Options, path: str) -> bytes | None:
    """The encoded bytes of the picture of a path; None when there is no such picture any more.

    Raises:
        ArgumentError: nothing says where the pictures are.
    """
    check_pictures(annotations, options)
    if annotations.pictures is not None:
        return annotations.pictures(path)
    try:
        return options.locate(path).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return None


def annotation_table(columns: dict[str, Any]) -> pa.Table:
    """A table of the schema ANNOTATIONS, columns that are not given null; then those of EXTRAS that are given."""
    rows = len(columns["path"])
    fields = [*ANNOTATIONS, *(kind for kind in EXTRAS if columns.get(kind.name) is not None)]
    return pa.Table.from_arrays(
        [
            pa.nulls(rows, kind.type) if columns.get(kind.name) is None else _cast(columns[kind.name], kind.type)
            for kind in fields
        ],
        schema=pa.schema(fields),
    )


def names_of(labels: Any, classes: Sequence[str]) -> pa.DictionaryArray:
    """Class name of every label (N,), without writing each name N times."""
    indices = np.asarray(labels, np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(list(classes), pa.string()))


def known_of(classes: Sequence[str], about: pa.Table | None, name: str) -> list[Any]:
    """What a column of ABOUT says of every label; None where nothing is known."""
    return about[name].to_pylist() if about is not None and name in about.column_names else [None] * len(classes)


def wnids_of(classes: Sequence[str], about: pa.Table | None) -> list[str | None]:
    """WNID of every label: what is known of the class, else its name where that looks like one."""
    known = known_of(classes, about, "wnid")
    return [wnid or (name if WNID.fullmatch(name) else None) for wnid, name in zip(known, classes, strict=True)]


def every_wnid(classes: Sequence[str], about: pa.Table | None, instead: str) -> list[str]:
    """WNID of every label, as `wnids_of`.

    Args:
        classes: class names by label.
        about: what is known of them.
        instead: what to do where there is none, for the message.

    Raises:
        ArgumentError: a class has no WNID (n and 8 digits), or shares one.
    """
    found = wnids_of(classes, about)
    label_of: dict[str, int] = {}
    for label, wnid in enumerate(found):
        if wnid is None or not WNID.fullmatch(wnid):
            raise ArgumentError(f"class {classes[label]!r} has no WNID (n and 8 digits): {instead}")
        if label_of.setdefault(wnid, label) != label:
            raise ArgumentError(f"classes {classes[label_of[wnid]]!r} and {classes[label]!r} share the WNID {wnid}")
    return found


def classes_of(labels: np.ndarray, names: Sequence[str]) -> tuple[str, ...]:
    """Class names by label from rows; a label that no row has is named by its number.

    Raises:
        CurationError: two names share a label.
    """
    known: dict[int, str] = {}
    for label, name in dict.fromkeys(zip(np.asarray(labels).tolist(), names, strict=True)):
        if known.setdefault(label, name) != name:
            raise CurationError(f"label {label} belongs to two classes, {known[label]!r} and {name!r}")
    if min(known, default=0) < 0:
        raise CurationError(f"label {min(known)} of class {known[min(known)]!r} is below 0")
    if max(known, default=0) > 10_000_000:
        raise CurationError(f"label {max(known):,} of class {known[max(known)]!r} is above 10,000,000")
    return tuple(known.get(label, str(label)) for label in range(max(known, default=-1) + 1))


def _cast(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
        values = pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) else values
    array = values if isinstance(values, pa.Array) else pa.array(values)
    if not pa.types.is_dictionary(kind):
        return array.cast(kind)
    return array.cast(kind) if pa.types.is_dictionary(array.type) else array.cast(pa.string()).dictionary_encode()
