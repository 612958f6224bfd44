"""The ILSVRC CLS-LOC tree: train/WNID/…, and a flat val whose classes stand in a ground-truth file.

Two publications exist: the challenge's own development kit (`ILSVRC2012_validation_ground_truth.txt`, one number a
line, in the order of the file names; `meta.mat` says which WNID a number is) and Kaggle's (`LOC_val_solution.csv`,
`ImageId,PredictionString`, the WNID first). The numbers of the development kit are not the rank of the sorted WNIDs,
nor the line numbers of Kaggle's `LOC_synset_mapping.txt`: without `meta.mat` they mean nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from curation.errors import CurationError
from curation.images.walk import Folder, Tree

KAGGLE = "LOC_val_solution.csv"
DEVKIT = "ILSVRC2012_validation_ground_truth.txt"
META = "meta.mat"
LABEL_FILES = (KAGGLE, DEVKIT, META)
WNID = re.compile(r"n\d{8}")
# CLS-LOC itself may be the root; then the label files lie beside ILSVRC/, three folders up.
_UP = 3


def base(tree: Tree) -> str | None:
    """The folder that holds train/WNID/… ('' when it is the root itself); None when there is none."""
    for folder in tree.folders:
        parts = folder.parts
        if folder.names and len(parts) >= 2 and parts[-2] == "train" and WNID.fullmatch(parts[-1]):
            return "/".join(parts[:-2])
    return None


def is_flat(tree: Tree, base: str) -> bool:
    """Whether pictures lie directly in val."""
    return any(folder.names for folder in tree.folders if folder.path == _join(base, "val"))


def groups(tree: Tree, truth: str | Path | None = None) -> Iterator[tuple[Folder, str, str]]:
    """(folder, WNID, split) of a CLS-LOC tree; `truth` is the ground-truth file when it lies elsewhere.

    Raises:
        CurationError: there is no train/WNID/ folder; or val is flat and its classes are not known, or are for
            another number of pictures.
    """
    top = base(tree)
    if top is None:
        raise CurationError(f"{tree.root} has no folder train/WNID/ with pictures: choose layout 'folders' or 'splits'")
    depth = len(Path(top).parts)
    for folder in tree.folders:
        below = folder.parts[depth:] if folder.path.startswith(top) else ()
        if len(below) >= 2 and below[0] in ("train", "val"):
            yield folder, below[1], below[0]
        elif below == ("val",) and folder.names:
            yield from _flat_val(tree, folder, truth)
        elif folder.names:
            where = "without a class (test)" if below[:1] == ("test",) else "outside train and val"
            tree.ignored[where] += len(folder.names)


def _flat_val(tree: Tree, folder: Folder, truth: str | Path | None) -> Iterator[tuple[Folder, str, str]]:
    path = Path(truth) if truth is not None else _search(tree, KAGGLE) or _search(tree, DEVKIT)
    if path is None:
        raise CurationError(
            f"{len(folder.names):,} pictures lie directly in {tree.root / folder.path} and no file says their classes: "
            f"put {KAGGLE} (Kaggle), or {DEVKIT} together with {META} (development kit), into {tree.root}, "
            "or name a file with lines FILE WNID as the table"
        )
    order = sorted(range(len(folder.names)), key=folder.names.__getitem__)
    classes = _read_truth(path, tree, [Path(folder.names[i]).stem for i in order])
    by_class: dict[str, list[int]] = defaultdict(list)
    for i in order:
        if wnid := classes.get(Path(folder.names[i]).stem):
            by_class[wnid].append(i)
        else:
            tree.ignored[f"not in {path.name}"] += 1
    for wnid in sorted(by_class):
        yield folder.pick(by_class[wnid]), wnid, "val"


def _search(tree: Tree, name: str) -> Path | None:
    inside = [tree.root / path for path in tree.others if Path(path).name == name]
    above = [folder / name for folder in list(tree.root.resolve().parents)[:_UP]]
    return next((path for path in inside + above if path.is_file()), None)


def _read_truth(path: Path, tree: Tree, stems: list[str]) -> dict[str, str]:
    """WNID of each file name without its ending; `stems` are the pictures in byte order."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CurationError(f"{path} cannot be read as text: {error}") from None
    rows = [(number, re.split(r"[,\s]+", line.strip())) for number, line in enumerate(lines, 1) if line.strip()]
    if rows and rows[0][1][0] == "ImageId":
        del rows[0]
    if rows and len(rows[0][1]) > 1:
        return {Path(row[0]).stem: _wnid(path, number, row[1]) for number, row in rows}
    if len(rows) != len(stems):
        raise CurationError(f"{path} has {len(rows):,} lines, but val has {len(stems):,} pictures: they must match")
    words = [row[0] for _, row in rows]
    if all(word.isdecimal() for word in words):
        numbers = _devkit_numbers(path, tree)
        words = [numbers.get(int(word), word) for word in words]
    wnids = [_wnid(path, number, word) for (number, _), word in zip(rows, words, strict=True)]
    return dict(zip(stems, wnids, strict=True))


def _wnid(path: Path, line: int, word: str) -> str:
    if not WNID.fullmatch(word):
        raise CurationError(f"{path}, line {line}: {word!r} is not a WNID (n and eight digits)")
    return word


def _devkit_numbers(path: Path, tree: Tree) -> dict[int, str]:
    """WNID of each ILSVRC2012_ID, from the development kit's `synsets` structure in meta.mat."""
    beside = path.with_name(META)
    meta = beside if beside.is_file() else _search(tree, META)
    if meta is None:
        raise CurationError(
            f"{path} numbers its classes, and {META} (development kit, folder data) says which WNID a number is: "
            f"put it beside {path.name}"
        )
    from scipy.io import loadmat

    try:
        synsets = loadmat(meta, squeeze_me=True, variable_names=["synsets"])["synsets"]
        return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets if int(row["num_children"]) == 0}
    except Exception as error:  # a damaged MAT file makes the reader raise nearly anything
        raise CurationError(f"{meta} cannot be read as the development kit's {META}: {error}") from error


def _join(*parts: str) -> str:
    return "/".join(part for part in parts if part)
