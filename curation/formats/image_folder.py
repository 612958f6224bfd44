"""A tree SPLIT/CLASS/PICTURE as torchvision's ImageFolder reads it, of links or copies, with an index of what is what.

A class name that cannot be a folder name everywhere is percent-encoded. `index.csv` names the picture of every row
(`file`) and carries all columns, so that reading the tree back loses nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats import comma_separated
from curation.formats.annotations import AnnotationSet, Options, annotation_table, names_of

INDEX = "index.csv"
LINKS = ("link", "hardlink", "copy")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|%]|^\.|[. ]$')


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write the tree `<stem>/` and return its index; a picture that is gone is left out of it, see `missing`.

    Raises:
        ArgumentError: nothing says where the pictures are, or an unknown kind of link.
        CurationError: the disk is full, or the tree is there already.
    """
    if options.link not in LINKS:
        raise ArgumentError(f"unknown link {options.link!r}: choose one of {', '.join(LINKS)}")
    if options.locate is None:
        raise ArgumentError("the format folder needs to know where the pictures are")
    names = tree(annotations)
    with files.replacing_folder(folder / stem) as part:
        write_index(annotations, part, names)
        final = (folder / stem).resolve()
        for parent in sorted({str(PurePosixPath(name).parent) for name in names}):
            (part / parent).mkdir(parents=True, exist_ok=True)
        for path, name in zip(annotations.table["path"].to_pylist(), names, strict=True):
            place(options.locate(path), part / name, final / name, options.link)
    return [folder / stem / INDEX]


def write_index(annotations: AnnotationSet, folder: Path, names: list[str] | None = None) -> Path:
    """Write only the index of the tree into `folder`."""
    names = tree(annotations) if names is None else names
    comma_separated.write_table(folder / INDEX, annotations.table.append_column("file", pa.array(names, pa.string())))
    return folder / INDEX


def missing(folder: Path) -> list[str]:
    """Pictures of the index that the tree does not have (or whose link leads nowhere)."""
    return [name for name in _index_files(folder) if not (folder / name).is_file()]


def tree(annotations: AnnotationSet) -> list[str]:
    """Where each row's picture goes, as SPLIT/CLASS/PICTURE, safe and without two the same in any letter case."""
    folders = class_folders(annotations.classes)
    table = annotations.table
    splits = {name: safe_name(name) for name in annotations.splits}
    parents = [
        f"{splits[s]}/{folders[c]}" for s, c in zip(table["split"].to_pylist(), table["label"].to_pylist(), strict=True)
    ]
    paths = table["path"].to_pylist()
    names = [f"{parent}/{safe_name(PurePosixPath(p).name or p)}" for parent, p in zip(parents, paths, strict=True)]
    often = Counter(name.casefold() for name in names)
    return [n if often[n.casefold()] == 1 else _unique(n, p) for n, p in zip(names, paths, strict=True)]


def class_folders(classes: tuple[str, ...]) -> list[str]:
    """Folder of every label; names that differ only in letter case get their label behind them."""
    names = [safe_name(name) for name in classes]
    often = Counter(name.casefold() for name in names)
    return [n if often[n.casefold()] == 1 else f"{n}%7E{i}" for i, n in enumerate(names)]


def safe_name(text: str) -> str:
    """The text as a file name on any system: unsafe characters percent-encoded; a very long one by its hash."""
    name = _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text) or "%00"
    if len(name.encode()) <= 200:
        return name
    suffix = PurePosixPath(name).suffix
    return files.slug(text) + (suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", suffix) else "")


def place(source: Path, target: Path, final: Path, link: str) -> None:
    """Put one picture at `target`, which later moves to `final`; nothing when there is no such picture."""
    try:
        if link == "link":
            if source.is_file():
                # Relative, so that images and tree can move together and no home folder is told.
                target.symlink_to(os.path.relpath(source.resolve(), final.parent))
        elif link == "hardlink":
            os.link(source.resolve(), target)
        else:
            shutil.copyfile(source, target)
    except FileNotFoundError:
        return
    except OSError as error:
        what = {28: "no space left on the disk", 122: "disk quota used up", 18: "on another disk (choose copy)"}
        raise CurationError(f"cannot {link} {source.name} into the tree: {what.get(error.errno, error)}") from error


def read(path: Path) -> AnnotationSet:
    """Read a tree: through its index where there is one, else as torchvision does, class folders in order of names.

    Raises:
        CurationError: not such a tree.
    """
    path = Path(path)
    if path.name == INDEX or (path / INDEX).is_file():
        return comma_separated.read(path if path.name == INDEX else path / INDEX)
    found = sorted(p for p in path.glob("*/*/*") if p.is_file()) if path.is_dir() else []
    if not found:
        raise CurationError(f"{path} is no tree of SPLIT/CLASS/PICTURE")
    parts = [p.relative_to(path).parts for p in found]
    splits, classes = (sorted({part[i] for part in parts}) for i in (0, 1))
    split_of, label_of = ({name: i for i, name in enumerate(names)} for names in (splits, classes))
    labels = np.array([label_of[part[1]] for part in parts])
    columns = {
        "path": pa.array(["/".join(part) for part in parts], pa.string()),
        "label": labels,
        "class_name": names_of(labels, classes),
        "split": names_of([split_of[part[0]] for part in parts], splits),
    }
    return AnnotationSet(annotation_table(columns), tuple(classes), tuple(splits))


def _index_files(folder: Path) -> list[str]:
    return comma_separated.read_table(folder / INDEX)["file"].to_pylist()


def _unique(name: str, path: str) -> str:
    place = PurePosixPath(name)
    return str(place.with_name(f"{place.stem}-{hashlib.sha256(path.encode()).hexdigest()[:12]}{place.suffix}"))
