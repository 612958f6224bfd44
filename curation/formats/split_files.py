"""What formats with one file or folder a split share: what a set must be like, and from one of its files to all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats.annotations import AnnotationSet


@dataclass(frozen=True)
class Member:
    """A split and the file or folder that holds it."""

    split: str
    path: Path


def check(annotations: AnnotationSet) -> None:
    """Check what can be checked before anything is written.

    Raises:
        ArgumentError: a split cannot be a file name or is not among the set's splits, a label has no class, or a path
            climbs out of the folder that it is relative to.
    """
    seen: dict[str, str] = {}
    for split in annotations.splits:
        files.check_name(split, "the split")
        if seen.setdefault(split.casefold(), split) != split:
            raise ArgumentError(
                f"splits {seen[split.casefold()]!r} and {split!r} differ only in letter case: rename one"
            )
    table, classes = annotations.table, len(annotations.classes)
    if other := sorted(str(name) for name in set(pc.unique(table["split"]).to_pylist()) - set(annotations.splits)):
        raise ArgumentError(f"images have the split {other[0]!r}, which is none of the set's {len(annotations.splits)}")
    wrong = pc.or_(pc.less(table["label"], 0), pc.greater_equal(table["label"], classes))
    if (row := pc.index(pc.fill_null(wrong, True), True).as_py()) >= 0:
        path, label = table["path"][row].as_py(), table["label"][row].as_py()
        raise ArgumentError(f"{path!r} has the label {label}, and there are {classes} classes")
    if (row := files.first_outside(table["path"], rooted=True)) is not None:
        path = table["path"][row].as_py() or ""
        raise ArgumentError(f"path {path!r:.200} {files.fault(path)}: rename it")


def members(path: Path, told: Any, place: Callable[[str], Path] | None) -> list[Member] | None:
    """The files of all splits of the set that a file belongs to.

    Args:
        path: the file.
        told: what it says of itself: {"split": its own, "splits": all of its set}.
        place: gives the file of a split of the set; None when the file has another name than it was written with.

    Returns:
        None when it says nothing of that kind; itself alone when it was renamed.

    Raises:
        CurationError: a file of the set is not there.
    """
    split, splits = (told.get(key) for key in ("split", "splits")) if isinstance(told, dict) else (None, None)
    if not isinstance(split, str):
        return None
    if not isinstance(splits, list) or split not in splits or place is None:
        return [Member(split, path)]
    found = [Member(name, place(files.check_name(str(name), f"{path}: the split"))) for name in splits]
    gone = [member.path for member in found if not member.path.is_file()]
    if gone:
        raise CurationError(
            f"{path} is one of {len(found)} files, and {len(gone)} of them are not there ({gone[0]}): "
            f"put them there, or give {path.name} another name to read it alone"
        )
    return found


def place_of(path: Path, split: Any) -> Callable[[str], Path] | None:
    """Where the file of a split lies, from that of another: `<stem>_<split>`; None when it is not called so."""
    stem = path.stem.removesuffix(f"_{split}")
    return None if stem == path.stem else lambda name: path.with_name(f"{stem}_{name}{path.suffix}")
