"""The text lists of OLTR and ImageNet-LT: one file a split, one `path label` a line.

(zhmiao/OpenLongTailRecognition-OLTR; read by its successors with str.split, so a path can hold no white space.) Beside
them `<stem>_classes.txt` names the classes, one a line in the order of labels.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats.annotations import AnnotationSet, Options, annotation_table, names_of

_BLANK = re.compile(r"\s")


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write `<stem>_<split>.txt` for every split that has images, and `<stem>_classes.txt`.

    Raises:
        ArgumentError: a path holds white space, or a class name a line break.
    """
    for name in annotations.classes:
        if len(f"{name}x".splitlines()) > 1:
            raise ArgumentError(
                f"class name {name!r} holds a line break, which a text list cannot: choose csv or parquet"
            )
    written = [_write(folder / f"{stem}_classes.txt", [f"{name}\n" for name in annotations.classes])]
    for split in annotations.splits:
        rows = annotations.of(split)
        if not len(rows):
            continue
        files.check_name(split, "the split")
        paths = rows["path"].to_pylist()
        if (bad := next((p for p in paths if _BLANK.search(p) or not p), None)) is not None:
            what = {" ": "a blank", "\t": "a tab", "\n": "a line break"}.get(
                (_BLANK.findall(bad) or [""])[0], "white space"
            )
            raise ArgumentError(
                f"path {bad!r} holds {what}, and readers of `path label` lines split at it: "
                "rename the file, or choose csv, parquet or glt-json"
            )
        lines = [f"{p} {label}\n" for p, label in zip(paths, rows["label"].to_pylist(), strict=True)]
        written.append(_write(folder / f"{stem}_{split}.txt", lines))
    return written


def read(path: Path) -> AnnotationSet:
    """Read `<stem>_<split>.txt`, or all splits of a stem through its `<stem>_classes.txt`.

    Raises:
        CurationError: a line is not `path label`; names the line.
    """
    path = Path(path)
    stem, _, last = path.stem.rpartition("_")
    if last == "classes":
        lists = sorted(p for p in path.parent.glob("*.txt") if p.stem.startswith(f"{stem}_") and p != path)
    else:
        lists = [path]
    paths: list[str] = []
    labels: list[int] = []
    sizes = []
    for file in lists:
        before = len(paths)
        _read(file, paths, labels)
        sizes.append(len(paths) - before)
    names = path.with_name(f"{stem}_classes.txt")
    classes = _lines(names) if names.is_file() else []
    classes += [str(label) for label in range(len(classes), max(labels, default=-1) + 1)]
    splits = tuple(file.stem.removeprefix(f"{stem}_") for file in lists)
    columns = {
        "path": pa.array(paths, pa.string()),
        "label": pa.array(labels, pa.int32()),
        "class_name": names_of(labels, classes),
        "split": names_of(np.repeat(np.arange(len(lists)), sizes), splits),
    }
    return AnnotationSet(annotation_table(columns), tuple(classes), splits)


def _write(path: Path, lines: list[str]) -> Path:
    with files.replacing(path) as part, open(part, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
    return path


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")[:-1]
    except FileNotFoundError:
        raise CurationError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        raise CurationError(f"{path} is not UTF-8 text: {error}") from None


def _read(path: Path, paths: list[str], labels: list[int]) -> None:
    for number, line in enumerate(_lines(path), 1):
        words = line.split()
        if not words:
            continue
        if len(words) < 2 or not words[1].isdecimal() or int(words[1]) > 10_000_000:
            raise CurationError(f"{path}, line {number}: {line!r} is not `path label`")
        paths.append(words[0])
        labels.append(int(words[1]))
