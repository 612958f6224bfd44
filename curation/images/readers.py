"""Readers of folder layouts: which pictures there are, of which class, from which split of the source."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

import numpy as np

from curation.engine import Progress, quiet
from curation.errors import ArgumentError, CurationError
from curation.images import ilsvrc
from curation.images.tables import SPLITS, read_table
from curation.images.walk import Folder, Listing, Tree, listing, walk

LAYOUTS = ("auto", "folders", "splits", "ilsvrc", "table")
_SHOWN = 5


def find(
    root: str | Path,
    *,
    layout: str = "auto",
    table: str | Path | None = None,
    skip: Path | None = None,
    progress: Progress = quiet,
) -> Listing:
    """List the candidate pictures under `root`.

    Layouts: `folders` is ROOT/CLASS/…; `splits` is ROOT/{train,val,test}/CLASS/…; `ilsvrc` is the CLS-LOC tree, with
    train/WNID/… and a flat val; `table` is a CSV, TSV or Parquet file of paths and labels; `auto` tells which.

    Args:
        table: the table of paths and labels, or for `ilsvrc` the ground-truth file of val when it lies elsewhere.
        skip: a folder to leave out.

    Raises:
        ArgumentError: unknown layout, or `table` is missing or not wanted.
        CurationError: there are no pictures, or they do not lie as the layout says.
    """
    if layout not in LAYOUTS:
        raise ArgumentError(f"unknown layout {layout!r}: choose one of {', '.join(LAYOUTS)}")
    if layout == "table" or (layout == "auto" and table is not None):
        if table is None:
            raise ArgumentError("layout 'table' needs a CSV, TSV or Parquet file with a path and a label column")
        return _checked(Path(root), read_table(root, table), 0)
    if table is not None and layout != "ilsvrc":
        raise ArgumentError(f"layout {layout!r} reads no table, but {table} was given: use layout 'table'")
    tree = walk(root, skip=skip, label_files=ilsvrc.LABEL_FILES, progress=progress)
    layout = detect(tree) if layout == "auto" else layout
    candidates = tree.candidates
    groups = {"folders": _folders, "splits": _splits, "ilsvrc": lambda tree: ilsvrc.groups(tree, table)}[layout](tree)
    return _checked(tree.root, listing(tree, layout, groups), candidates)


def detect(tree: Tree) -> str:
    """The layout of a tree: `ilsvrc`, `splits` or `folders`."""
    base = ilsvrc.base(tree)
    if base is not None and (base or ilsvrc.is_flat(tree, base)):
        return "ilsvrc"
    direct, nested = set(), set()
    for folder in tree.folders:
        if folder.names and folder.path:
            (direct if len(folder.parts) == 1 else nested).add(folder.parts[0])
    # A class may be called `train` too; then its pictures lie directly in it.
    split_like = {name for name in nested - direct if name.lower() in SPLITS}
    others = {name for name in nested | direct if name.lower() not in SPLITS}
    return "splits" if split_like and (not others or len(split_like) > 1) else "folders"


def _folders(tree: Tree) -> Iterator[tuple[Folder, str, str]]:
    for folder in tree.folders:
        if folder.path:
            yield folder, folder.parts[0], ""
        elif folder.names:
            tree.ignored["outside class folders"] += len(folder.names)
    _note_empty_classes(tree, 1)


def _splits(tree: Tree) -> Iterator[tuple[Folder, str, str]]:
    for folder in tree.folders:
        split = SPLITS.get(folder.parts[0].lower()) if folder.parts else None
        if split and len(folder.parts) > 1:
            yield folder, folder.parts[1], split
        elif folder.names:
            where = "outside class folders" if split else "outside train, val and test folders"
            tree.ignored[where] += len(folder.names)
    _note_empty_classes(tree, 2)


def _note_empty_classes(tree: Tree, depth: int) -> None:
    counts: Counter[str] = Counter()
    for folder in tree.folders:
        if len(folder.parts) >= depth:
            counts["/".join(folder.parts[:depth])] += len(folder.names)
    if empty := sorted(name for name, count in counts.items() if not count):
        tree.notes.append(f"{len(empty)} class folders have no picture: {_some(empty)}")


def _checked(root: Path, found: Listing, candidates: int) -> Listing:
    if not found.table.num_rows:
        ignored = ", ".join(f"{count:,} {reason}" for reason, count in found.ignored.items()) or "no files at all"
        hint = (
            "put them into one folder a class, or give a table of paths and labels"
            if candidates
            else "choose the folder that holds the class folders"
        )
        raise CurationError(f"{root} has no pictures that layout {found.layout!r} can read ({ignored}): {hint}")
    found.notes.extend(class_notes(found))
    return found


def class_notes(found: Listing) -> list[str]:
    """Classes of one image, and classes whose names differ only in case or in the way accents are encoded.

    Such classes are kept apart, since only the person knows whether they are one; a disk that ignores case would
    have merged them.
    """
    column = found.table["class_name"].combine_chunks()
    names = column.dictionary.to_pylist()
    counts = np.bincount(column.indices.to_numpy(), minlength=len(names))
    sizes = {name: int(count) for name, count in zip(names, counts, strict=True) if count}
    notes = []
    if single := sorted(name for name, count in sizes.items() if count == 1):
        notes.append(f"{len(single)} classes have one image: {_some(single)}")
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(sizes):
        alike[normalize("NFC", normalize("NFC", name).casefold())].append(name)
    for group in alike.values():
        if len(group) > 1:
            what = " and ".join(f"{name!r} ({sizes[name]:,} images)" for name in group)
            notes.append(f"classes {what} differ only in case: they are kept apart; rename one if they are the same")
    return notes


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name) for name in names[:_SHOWN]) + rest
