"""Subsets of ImageNet packed as arrays, as baunilhamarga/imagenet-subset (MIT) publishes them.

Parts `<stem>_cls_part1.npz`, … of consecutive classes, stored as they are; or, concatenated, one compressed
`<stem>_cls.npz`; and `<stem>_cls_metadata.csv` (see subset_csv). Each NPZ file has the arrays X_train, y_train,
train_id, X_val, y_val, val_id: pictures (n, 224, 224, 3) uint8 (see crops), labels (n,) int32 of the whole subset, and
numbers (n,) int32 by which ILSVRC lists its pictures. Rows are in the order of these numbers, in the concatenated file
part after part.

Everything is streamed: memory does not grow with the number of pictures.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats import comma_separated, containers, crops, npz_writer, subset_csv
from curation.formats.annotations import ABOUT, AnnotationSet, Options, annotation_table, names_of
from curation.formats.npz_arrays import Arrays, open_npz

__all__ = ["HOLDS", "KEYS", "classes_per_part", "open_npz", "read", "write"]

HOLDS = frozenset({"label", "split", "number", "about", "classes"})
KEYS = npz_writer.KEYS
REASONS = "missing.csv"
_GB_PER_CLASS = 0.2  # the published estimate; 1,350 pictures take 0.203
_PICTURE_BYTES = crops.BYTES + 8  # and its label and number
_FILE = re.compile(r"(?P<stem>.+)_cls(?:_part(?P<part>[1-9][0-9]*))?\.npz", re.DOTALL)
_PICTURE = re.compile(r"(train|val)/[^/]+/(-?[0-9]+)\.png")


def classes_per_part(classes: int, max_ram: float | None) -> int:
    """Classes in each part but the last, as published: ⌈C/N⌉ with N = max(1, ⌈0.2 C / max_ram⌉) parts wanted.

    Fewer than N parts may do; the published program then adds empty ones, which are never written here.

    Args:
        classes: their number C.
        max_ram: memory for a part, in GB (10^9 bytes); None: one part.

    Raises:
        ArgumentError: `max_ram` is not above 0.
    """
    if max_ram is None:
        return max(1, classes)
    if not max_ram > 0:
        raise ArgumentError(f"max_ram is {max_ram} GB: give a number above 0")
    return max(1, math.ceil(classes / max(1, math.ceil(min(_GB_PER_CLASS * classes / max_ram, classes)))))


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write the folder `<stem>/` with the NPZ files and the metadata CSV.

    The splits are train and val; a split `test` stands in for val. Numbers are those of the column `number`, else the
    places, from 1, of the paths of a split in byte order. Pictures that are gone or broken are left out, and listed
    in `missing.txt`, with the reasons in `missing.csv`. Pictures read from NPZ files are packed as they are.

    Parts have as many classes as published, or fewer where the arrays of a part would take more than `max_ram`. One
    concatenated file is loaded whole anyway; its rows are in the order of the published parts.

    Raises:
        ArgumentError: other splits, a number given twice, nothing says where the pictures are, or a class takes more
            than `max_ram` by itself.
        CurationError: the folder is there already, or the disk is full.
    """
    files.check_name(stem, "the name of the files")
    names = _splits(annotations)
    size = _size(annotations, names, options)
    source = npz_writer.Source(annotations, options)
    splits = {name: _rows(annotations, name, size) for name in names}
    count = max(1, math.ceil(len(annotations.classes) / size))
    parts = [None] if options.concatenate else list(range(count))
    written = []
    with files.replacing_folder(folder / stem) as place, npz_writer.Packer(source, splits, options.progress) as packer:
        for part in parts:
            name = f"{stem}_cls.npz" if part is None else f"{stem}_cls_part{part + 1}.npz"
            packer.write(place / name, part)
            written.append(name)
        counts = packer.kept["train"]
        subset_csv.write(place / f"{stem}_cls_metadata.csv", annotations.classes, annotations.about, counts)
        written.append(f"{stem}_cls_metadata.csv")
        if packer.missing:
            lost, rows = [path for path, _ in packer.missing], sum(len(split.labels) for split in splits.values())
            containers.check_any(lost, rows, packer.missing[0][1])
            containers.write_missing(place, lost)
            reasons = [{"path": path, "reason": reason} for path, reason in packer.missing]
            comma_separated.write_table(place / REASONS, pa.Table.from_pylist(reasons))
            written += [containers.MISSING, REASONS]
    return [folder / stem / name for name in written]


def unheld(annotations: AnnotationSet) -> dict[str, int]:
    """Rows whose split gets another name."""
    return {"split": len(annotations.of("test"))}


def read(path: Path) -> AnnotationSet:
    """Read a part, the concatenated file, or a folder that has all parts; the metadata CSV beside them where it is.

    A picture's path is train/CLASS/NUMBER.png or val/CLASS/NUMBER.png; `pictures` makes the PNG file when asked.

    Raises:
        CurationError: not such files; names the file and the key.
    """
    path = Path(path)
    places = _parts(path) if path.is_dir() else [path]
    archives = [open_npz(place) for place in places]
    for arrays in archives:
        _check(arrays)
    found = _FILE.fullmatch(places[0].name)
    table = places[0].with_name(f"{found['stem']}_cls_metadata.csv") if found else None
    labels, numbers = ({s: _joined(archives, key.format(s)) for s in ("train", "val")} for key in ("y_{}", "{}_id"))
    about = subset_csv.read(table) if table is not None and table.is_file() else None
    label, number = np.concatenate([*labels.values()]), np.concatenate([*numbers.values()])
    classes = _classes(places[0], label, about)
    pictures = Pictures(archives, numbers)
    of = np.repeat([0, 1], [len(ids) for ids in numbers.values()])
    columns = {
        "path": _paths(of, label, number, classes),
        "label": label,
        "class_name": names_of(label, classes),
        "split": names_of(of, ("train", "val")),
        "number": number,
    }
    known = about.select(ABOUT.names) if about is not None else None
    return AnnotationSet(annotation_table(columns), tuple(classes), ("train", "val"), {}, known, pictures)


class Pictures:
    """Pictures of NPZ files by path: calling gives a PNG file; `pixels` the packed bytes as they are."""

    def __init__(self, archives: Sequence[Arrays], numbers: dict[str, np.ndarray]) -> None:
        self._archives = archives
        self._order = {split: np.argsort(ids, kind="stable") for split, ids in numbers.items()}
        self._sorted = {split: ids[self._order[split]] for split, ids in numbers.items()}
        self._starts = {s: np.cumsum([0, *(a.kinds[f"{s}_id"][1][0] for a in archives)]) for s in numbers}
        for split, ids in self._sorted.items():
            if len(twice := ids[1:][ids[1:] == ids[:-1]]):
                raise CurationError(f"{archives[0].path}: the number {twice[0]} is twice in {split}_id")

    def __call__(self, path: str) -> bytes:
        return crops.png(self.pixels(path))

    def pixels(self, path: str) -> bytes:
        """The pixels of the picture of a path: uint8, (224, 224, 3) in C order, as bytes.

        Raises:
            CurationError: there is no such picture.
        """
        if found := _PICTURE.fullmatch(path):
            split, number = found[1], int(found[2])
            place = int(np.searchsorted(self._sorted[split], number))
            if place < len(self._sorted[split]) and self._sorted[split][place] == number:
                row, starts = int(self._order[split][place]), self._starts[split]
                part = int(np.searchsorted(starts, row, "right")) - 1
                return self._archives[part][f"X_{split}"][row - starts[part]].tobytes()
        raise CurationError(f"there is no picture {path!r} in {self._archives[0].path}")


# -- below: rows of a set ----------------------------------------------------------------------------------------------


def _splits(annotations: AnnotationSet) -> tuple[str, str]:
    """The names of the training split and of that for validation."""
    there = [split for split in annotations.splits if len(annotations.of(split))]
    other = [split for split in there if split not in ("train", "val", "test")]
    if other or {"val", "test"} <= set(there):
        raise ArgumentError(
            f"subset-npz holds two splits, train and val (or test in place of val), and there are: {', '.join(there)}"
        )
    return "train", "test" if "test" in there else "val"


def _size(annotations: AnnotationSet, splits: Sequence[str], options: Options) -> int:
    """Classes in a part: the published number, or the most below it with which no part takes more than the budget."""
    classes = len(annotations.classes)
    size = classes_per_part(classes, options.max_ram)
    if options.max_ram is None or options.concatenate:
        return size
    chosen = pc.is_in(annotations.table["split"].cast(pa.string()), pa.array(splits))
    labels = annotations.table["label"].filter(chosen).drop_null().to_numpy()
    pictures = np.bincount(labels[(labels >= 0) & (labels < classes)], minlength=classes)
    before = np.concatenate([[0], np.cumsum(pictures * _PICTURE_BYTES)])
    for fewer in range(size, 0, -1):
        if np.diff(before[np.append(np.arange(0, classes, fewer), classes)]).max() <= options.max_ram * 1e9:
            return fewer
    largest = int(pictures.argmax())
    need, name = pictures[largest] * _PICTURE_BYTES / 1e9, annotations.classes[largest]
    raise ArgumentError(
        f"the {pictures[largest]:,} pictures of class {name!r} take {need:.3f} GB, and a part may take "
        f"{options.max_ram:g} GB: give --max-ram {math.ceil(need * 1000) / 1000:g} or more"
    )


def _rows(annotations: AnnotationSet, split: str, size: int) -> npz_writer.Rows:
    """The rows of a split in the order of parts, of `size` classes each, and of numbers."""
    table = annotations.of(split)
    if table["label"].null_count:
        raise ArgumentError(f"{table['label'].null_count:,} rows of the split {split} have no label")
    labels, numbers = table["label"].to_numpy().astype(np.int32), _numbers(table, split)
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(annotations.classes):
        raise ArgumentError(f"label {labels.max()} of the split {split}, and {len(annotations.classes)} classes")
    order = np.lexsort((numbers, labels // size))
    return npz_writer.Rows(
        table["path"].take(pa.array(order)), labels[order], numbers[order], len(annotations.classes), size
    )


def _numbers(table: pa.Table, split: str) -> np.ndarray:
    given = table["number"] if "number" in table.column_names else None
    if given is None or given.null_count == len(given):
        # Code points of str and bytes of UTF-8 sort alike.
        return pc.rank(table["path"].combine_chunks(), tiebreaker="first").to_numpy().astype(np.int32)
    if given.null_count:
        raise ArgumentError(
            f"{given.null_count:,} of {len(given):,} rows of the split {split} have no number: give all or none"
        )
    numbers = given.to_numpy()
    values, counts = np.unique(numbers, return_counts=True)
    if len(values) < len(numbers):
        raise ArgumentError(f"the number {values[counts > 1][0]} is given twice in the split {split}")
    return numbers


# -- below: reading ----------------------------------------------------------------------------------------------------


def _parts(folder: Path) -> list[Path]:
    """The NPZ files of the one subset of a folder, parts in order."""
    found = [(m, p) for p in sorted(folder.glob("*.npz")) if (m := _FILE.fullmatch(p.name))]
    if not found:
        raise CurationError(f"{folder} has no files …_cls_part1.npz or …_cls.npz")
    if len(stems := sorted({m["stem"] for m, _ in found})) > 1:
        raise CurationError(f"{folder} has the subsets {', '.join(stems)}: give the file of one")
    parts = {int(m["part"] or 0): p for m, p in found}
    if 0 in parts and len(parts) > 1:
        raise CurationError(f"{folder} has {parts[0].name} and its parts: give one of them, or remove either")
    if 0 not in parts and (lost := sorted(set(range(1, max(parts) + 1)) - parts.keys())):
        raise CurationError(f"{folder} has {len(parts)} parts up to {max(parts)}, and part {lost[0]} is missing")
    return [parts[part] for part in sorted(parts)]


def _check(arrays: Arrays) -> None:
    """Raises CurationError when keys, dtypes or shapes are not those of the format."""
    for key in KEYS:
        if key not in arrays:
            raise CurationError(f"{arrays.path} has no array {key}, only {', '.join(arrays)}")
    for key in arrays:
        if key not in KEYS:
            raise CurationError(f"{arrays.path} has an array {key}, which is none of {', '.join(KEYS)}")
    for key in sorted(KEYS, key=lambda key: not key.endswith("_id")):  # the others have as many rows
        rows = (arrays.kinds["train_id" if "train" in key else "val_id"][1] or (0,))[:1]
        dtype, shape = (np.uint8, (*rows, *crops.SHAPE)) if key.startswith("X") else (np.int32, rows)
        if arrays.kinds[key] != (np.dtype(dtype), shape):
            raise CurationError(
                f"{arrays.path}: {key} is {arrays.kinds[key][0]} {arrays.kinds[key][1]}, "
                f"and it should be {np.dtype(dtype)} {shape}"
            )


def _joined(archives: Sequence[Arrays], key: str) -> np.ndarray:
    return np.concatenate([arrays[key] for arrays in archives])


def _classes(path: Path, labels: np.ndarray, about: pa.Table | None) -> list[str]:
    lowest, highest = int(labels.min(initial=0)), int(labels.max(initial=-1))
    limit = 10_000_000 if about is None else len(about)
    if lowest < 0 or highest >= limit:
        raise CurationError(
            f"{path}: label {lowest if lowest < 0 else highest} in y_train or y_val, "
            f"and {'at most' if about is None else 'the metadata CSV has'} {limit:,} classes"
        )
    return about["class_name"].to_pylist() if about is not None else [str(label) for label in range(highest + 1)]


def _paths(splits: np.ndarray, labels: np.ndarray, numbers: np.ndarray, classes: Sequence[str]) -> pa.Array:
    """SPLIT/CLASS/NUMBER.png of every row; a class that cannot be a file name goes by its label."""
    often = Counter(name.casefold() for name in classes)
    safe = [
        name if files.NAME.fullmatch(name) and often[name.casefold()] == 1 else str(label)
        for label, name in enumerate(classes)
    ]
    folders = pa.array(safe, pa.string()).take(pa.array(labels))
    ends = pa.array(numbers).cast(pa.string())
    places = pc.binary_join_element_wise(pa.array(["train", "val"]).take(pa.array(splits)), folders, ends, "/")
    return pc.binary_join_element_wise(places, ".png", "")
