"""The text lists of OLTR and ImageNet-LT: one file a split, one `path label` a line.

(zhmiao/OpenLongTailRecognition-OLTR; read by its successors with str.split, so a path can hold no white space.) Beside
them `<stem>_classes.txt` names the classes, one a line in the order of labels. Published lists come without, as
`ImageNet_LT_{train,val,test,open}.txt` and those of Places-LT do; there classes are called after their folders. A
picture of no class has the label -1 there: here the class `open`, behind all others, and -1 again in a split `open`.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats import split_files
from curation.formats.annotations import WNID, AnnotationSet, Options, annotation_table, names_of

LISTS = re.compile(r"(?P<stem>.+)_(?P<split>train|val|test|open)")
"""Names, without suffix, of published lists."""
OPEN = "open"
"""The split, and the class, of pictures that are of no class."""
_CLASSES = "_classes"
_BLANK = re.compile(r"\s")
_ORDER = ("train", "val", "test", OPEN)
_DEEPEST = 8  # folders of a path that are tried as names of classes


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write `<stem>_<split>.txt` for every split that has images, and `<stem>_classes.txt`.

    Raises:
        ArgumentError: a path holds white space or `..`, a class name a line break, or a split that cannot be a file
            name.
    """
    _check(annotations)
    written = [_write(folder / f"{stem}{_CLASSES}.txt", [f"{name}\n" for name in annotations.classes])]
    for split in annotations.splits:
        rows = annotations.of(split)
        if not len(rows):
            continue
        labels = rows["label"].to_numpy()
        if split == OPEN and annotations.classes[-1] == OPEN:
            labels = np.where(labels == len(annotations.classes) - 1, -1, labels)
        lines = [f"{path} {label}\n" for path, label in zip(rows["path"].to_pylist(), labels.tolist(), strict=True)]
        written.append(_write(folder / f"{stem}_{split}.txt", lines))
    return written


def read(path: Path) -> AnnotationSet:
    """Read one list `<stem>_<split>.txt`; or all of a stem, given `<stem>_classes.txt` or the folder it is alone in.

    Without that file, a class is called after the part of its pictures' paths that tells its label from all others, as
    the folder n01440764 does in `train/n01440764/n01440764_10026.JPEG`; by its label where none does.

    Raises:
        CurationError: there are no lists or those of several stems, a line is not `path label` (named), or they hold no
            images.
    """
    path = Path(path)
    if not path.exists():
        raise CurationError(f"{path} does not exist")
    if path.is_dir() or path.stem.endswith(_CLASSES):
        stem, lists = _stem_of(path) if path.is_dir() else _of_stem(path.stem.removesuffix(_CLASSES), path.parent)
    else:
        stem, lists = _split_name(path)[0], [path]
    paths: list[str] = []
    labels: list[int] = []
    sizes = []
    for file in lists:
        before = len(paths)
        _read(file, paths, labels)
        sizes.append(len(paths) - before)
    if not paths:
        raise CurationError(f"{path}: its {len(lists)} lists hold 0 images: choose others")
    names = (path if path.is_dir() else path.parent) / f"{stem}{_CLASSES}.txt"
    table = pa.table({"path": pa.array(paths, pa.string()), "label": pa.array(labels, pa.int32())})
    if (row := files.first_outside(table["path"], rooted=True)) is not None:
        raise CurationError(f"{path}: the path {paths[row]!r:.200} {files.fault(paths[row])}")
    classes = _lines(names) if names.is_file() else _folders(table.filter(pc.greater_equal(table["label"], 0)))
    classes += [str(label) for label in range(len(classes), max(labels) + 1)]
    if -1 in labels:
        classes += [OPEN] if classes[-1:] != [OPEN] else []
        labels = [len(classes) - 1 if label < 0 else label for label in labels]
    splits = tuple(_split_name(file)[1] for file in lists)
    columns = {
        "path": table["path"],
        "label": pa.array(labels, pa.int32()),
        "class_name": names_of(labels, classes),
        "split": names_of(np.repeat(np.arange(len(lists)), sizes), splits),
    }
    return AnnotationSet(annotation_table(columns), tuple(classes), splits)


def _check(annotations: AnnotationSet) -> None:
    split_files.check(annotations)
    for name in annotations.classes:
        if len(f"{name}x".splitlines()) > 1:
            raise ArgumentError(
                f"class name {name!r} holds a line break, which a text list cannot: choose csv or parquet"
            )
    for split in annotations.splits:
        if f"_{split}".endswith(_CLASSES):
            raise ArgumentError(f"the list of a split {split!r} would be taken for that of the classes: rename it")
    if (bad := next((path for path in annotations.table["path"].to_pylist() if _BLANK.search(path)), None)) is not None:
        what = {" ": "a blank", "\t": "a tab", "\n": "a line break"}.get(_BLANK.findall(bad)[0], "white space")
        raise ArgumentError(
            f"path {bad!r} holds {what}, and readers of `path label` lines split at it: "
            "rename the file, or choose csv, parquet or glt-json"
        )


def _write(path: Path, lines: list[str]) -> Path:
    with files.replacing(path) as part, open(part, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
    return path


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise CurationError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        raise CurationError(f"{path} is not UTF-8 text: {error}") from None
    return lines if lines[-1] else lines[:-1]


def _read(path: Path, paths: list[str], labels: list[int]) -> None:
    for number, line in enumerate(_lines(path), 1):
        words = line.split()
        if not words:
            continue
        if len(words) < 2 or not re.fullmatch("[0-9]{1,9}|-1", words[1]) or int(words[1]) > 10_000_000:
            raise CurationError(f"{path}, line {number}: {line!r:.200} is not `path label`")
        paths.append(words[0])
        labels.append(int(words[1]))


# -- below: which lists belong together, and what classes they are of --------------------------------------------------


def _stem_of(folder: Path) -> tuple[str, list[Path]]:
    """The only stem in a folder, and its lists."""
    own = {path.stem.removesuffix(_CLASSES) for path in folder.glob(f"*{_CLASSES}.txt")}
    published = {found["stem"] for path in folder.glob("*.txt") if (found := LISTS.fullmatch(path.stem))}
    stems = own | {stem for stem in published if not any(stem == s or stem.startswith(f"{s}_") for s in own)}
    if len(stems) != 1:
        there = f"lists of {', '.join(sorted(stems))}: give one list" if stems else "no lists <stem>_<split>.txt"
        raise CurationError(f"{folder} has {there}")
    return _of_stem(stems.pop(), folder)


def _of_stem(stem: str, folder: Path) -> tuple[str, list[Path]]:
    of = {p: _split_name(p) for p in folder.glob("*.txt") if not p.stem.endswith(_CLASSES)}
    splits = {p: split for p, (name, split) in of.items() if name == stem}
    if not splits:
        raise CurationError(f"{folder} has no lists {stem}_<split>.txt")
    order = {name: place for place, name in enumerate(_ORDER)}
    return stem, sorted(splits, key=lambda p: (order.get(splits[p].split("_")[0], len(order)), splits[p]))


def _split_name(path: Path) -> tuple[str, str]:
    """(Stem, split) of a list: as the file of its classes tells, else as published lists are called."""
    known = (p.stem.removesuffix(_CLASSES) for p in path.parent.glob(f"*{_CLASSES}.txt"))
    stem = max((stem for stem in known if path.stem.startswith(f"{stem}_")), key=len, default=None)
    if stem is None:
        found = LISTS.fullmatch(path.stem)
        stem = found["stem"] if found else path.stem.rpartition("_")[0]
    return stem, path.stem.removeprefix(f"{stem}_") if stem else path.stem.removeprefix("_")


def _folders(table: pa.Table) -> list[str]:
    """Name of every label by the part of paths that tells it from all others; of those no row has, the label.

    Args:
        table: path and label of every row.
    """
    depth = min(_DEEPEST, pc.max(pc.count_substring(table["path"], "/")).as_py() or 0)
    up = [rf"^(?:.*/)?(?P<name>[^/]+)(?:/[^/]+){{{i}}}$" for i in range(1, depth + 1)]
    down = [rf"^(?:[^/]*/){{{i}}}(?P<name>[^/]+)/" for i in range(depth)]
    rest = [rf"^(?:[^/]*/){{{i}}}(?P<name>.+)/[^/]+$" for i in range(depth)]
    for pattern in (*up, *down, *rest):
        names = pc.struct_field(pc.extract_regex(table["path"], pattern), "name")
        pairs = pa.table({"label": table["label"], "name": names}).group_by(["label", "name"]).aggregate([])
        known = dict(zip(pairs["label"].to_pylist(), pairs["name"].to_pylist(), strict=True))
        # Of one label alone any folder would do.
        told = len(known) > 1 or all(name and WNID.fullmatch(name) for name in known.values())
        if told and len(pairs) == len(known) == len(set(known.values())) and None not in known.values():
            classes = [known.get(label, str(label)) for label in range(max(known) + 1)]
            return classes if len(set(classes)) == len(classes) else []
    return []
