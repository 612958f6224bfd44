"""A tree SPLIT/CLASS/PICTURE as torchvision's ImageFolder reads it, of links or copies, with an index of what is what.

Class folders are names (one that cannot be a folder name everywhere is percent-encoded), zero-padded labels or WNIDs.
ImageFolder counts the class folders of a split in the order of their names; only folders of labels keep the labels,
and for that every label has a folder, an empty one too (ImageFolder then wants allow_empty=True). `index.csv` names the
picture of every row (`file`) and carries all columns, so that reading the tree back loses nothing.
Where folders do not name their class, `<split>/metadata.jsonl` does, with label and all else that is known, and
`datasets.load_dataset("imagefolder", data_dir=<split>)` of Hugging Face reads it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats import comma_separated, containers, loose_pictures
from curation.formats.annotations import (
    ANNOTATIONS,
    EXTRAS,
    AnnotationSet,
    Options,
    annotation_table,
    every_wnid,
    names_of,
)
from curation.formats.loose_pictures import folded, safe_name, unique
from curation.pictures import EXTENSIONS

INDEX, METADATA = "index.csv", "metadata.jsonl"
HOLDS = frozenset({*ANNOTATIONS.names, *EXTRAS.names})
CLASS_FOLDERS = ("name", "index", "wnid")
_MOST_EMPTY = 100_000  # folders of labels without images
_PICTURES = EXTENSIONS | {f".{suffix}" for suffix in containers.SUFFIXES}


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write the tree `<stem>/` and return its index; a picture that is gone is left out of it, see `missing`.

    Pictures of a set that gives their bytes are written as copies.

    Raises:
        ArgumentError: nothing says where the pictures are, an unknown kind of link or of class folders, or a class
            without WNID.
        CurationError: the disk is full, or the tree is there already.
    """
    loose_pictures.check(annotations, options)
    names = tree(annotations, options.class_folders)
    with files.replacing_folder(folder / stem) as part:
        write_index(annotations, part, names)
        for parent in _parents(annotations, names, options.class_folders):
            (part / parent).mkdir(parents=True, exist_ok=True)
        final = ((options.final or folder) / stem).resolve()
        put = loose_pictures.place_all(annotations.table["path"].to_pylist(), names, part, final, annotations, options)
        containers.check_any(annotations.table["path"].filter(pa.array(~put)).to_pylist(), len(put))
        if options.class_folders != "name":
            _write_metadata(annotations, names, put, part)
    return [folder / stem / INDEX]


def write_index(annotations: AnnotationSet, folder: Path, names: list[str] | None = None) -> Path:
    """Write only the index of the tree into `folder`; `names` as `tree` gives them."""
    names = tree(annotations) if names is None else names
    comma_separated.write_table(folder / INDEX, annotations.table.append_column("file", pa.array(names, pa.string())))
    return folder / INDEX


def missing(folder: Path, index: pa.Table | None = None) -> list[str]:
    """Pictures of the index (read when None) that the tree does not have (or whose link leads nowhere)."""
    index = comma_separated.read_table(folder / INDEX) if index is None else index
    return [name for name in _index_files(folder, index) if not (folder / name).is_file()]


def tree(annotations: AnnotationSet, kind: str = "name") -> list[str]:
    """Where each row's picture goes, as SPLIT/CLASS/PICTURE, safe and without two the same in any letter case.

    Args:
        annotations: the set.
        kind: of the class folders (CLASS_FOLDERS).
    """
    folders = class_folders(annotations.classes, kind, annotations.about)
    table = annotations.table
    splits = {name: safe_name(name) for name in annotations.splits}
    parents = [
        f"{splits[s]}/{folders[c]}" for s, c in zip(table["split"].to_pylist(), table["label"].to_pylist(), strict=True)
    ]
    paths = table["path"].to_pylist()
    names = [f"{parent}/{safe_name(PurePosixPath(p).name or p)}" for parent, p in zip(parents, paths, strict=True)]
    often = Counter(map(folded, names))
    return [n if often[folded(n)] == 1 else unique(n, p) for n, p in zip(names, paths, strict=True)]


def class_folders(classes: tuple[str, ...], kind: str = "name", about: pa.Table | None = None) -> list[str]:
    """Folder of every label: its `name` (those that differ only in letter case get their label behind them), its
    `index` (so many digits that the order of the folders is that of the labels), or its `wnid`.

    Raises:
        ArgumentError: an unknown kind, a class without WNID, or two of one WNID.
    """
    if kind == "index":
        width = max(4, len(str(len(classes) - 1)))
        return [f"{label:0{width}d}" for label in range(len(classes))]
    if kind == "wnid":
        return every_wnid(classes, about, "choose class folders by name or index")
    if kind != "name":
        raise ArgumentError(f"unknown class folders {kind!r}: choose one of {', '.join(CLASS_FOLDERS)}")
    names = [safe_name(name) for name in classes]
    often = Counter(map(folded, names))
    return [n if often[folded(n)] == 1 else f"{n}%7E{i}" for i, n in enumerate(names)]


def read(path: Path) -> AnnotationSet:
    """Read a tree: through its index where there is one, else as torchvision does, class folders in order of names.

    Raises:
        CurationError: not such a tree, or a file of its index leads out of it.
    """
    path = Path(path)
    if path.name == INDEX or (path / INDEX).is_file():
        folder = path.parent if path.name == INDEX else path
        index = comma_separated.read_table(folder / INDEX)
        found = comma_separated.from_table(index, folder / INDEX)
        # An index can be without its tree; then the pictures are elsewhere.
        there = any(entry.is_dir() for entry in folder.iterdir())
        return replace(found, pictures=_pictures(folder, found.table, _index_files(folder, index))) if there else found
    found = _walk(path)
    return replace(found, pictures=_pictures(path, found.table, found.table["path"].to_pylist()))


# -- below: writing ---------------------------------------------------------------------------------------------------


def _parents(annotations: AnnotationSet, names: list[str], kind: str) -> list[str]:
    parents = {str(PurePosixPath(name).parent) for name in names}
    if kind == "index":
        if len(annotations.classes) > 10 * len(names) + _MOST_EMPTY:
            raise ArgumentError(
                f"{len(names):,} images in {len(annotations.classes):,} folders, one a label, would leave nearly all "
                "of them empty: choose class folders by name"
            )
        splits = {name.partition("/")[0] for name in names}
        parents |= {f"{split}/{label}" for split in splits for label in class_folders(annotations.classes, kind)}
    return sorted(parents)


def _write_metadata(annotations: AnnotationSet, names: list[str], put: np.ndarray, part: Path) -> None:
    """Write what is known of the pictures that are there, split by split; only columns without gaps, since `datasets`
    wants the same types in all splits."""
    table = annotations.table.filter(pa.array(put))
    columns = [f.name for f in table.schema if f.name != "split" and not table[f.name].null_count]
    table = table.select(columns).append_column("file_name", pa.array(names, pa.string()).filter(pa.array(put)))
    split_of = pc.list_element(pc.split_pattern(table["file_name"], "/", max_splits=1), 0)
    for split in sorted(pc.unique(split_of).to_pylist()):
        rows = table.filter(pc.equal(split_of, split))
        with files.replacing(part / split / METADATA) as to, open(to, "w", encoding="utf-8", newline="\n") as file:
            for batch in rows.to_batches(max_chunksize=65_536):
                for row in batch.to_pylist():
                    row = {"file_name": row.pop("file_name").partition("/")[2], **row}
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")


# -- below: reading ---------------------------------------------------------------------------------------------------


class _Files:
    """Gives the pictures of a tree by the number of their row; None of one that is gone."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self._folder, self._names = folder, pa.array(names, pa.string())

    def __call__(self, row: int) -> bytes | None:
        name = self._names[row].as_py()
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CurationError(f"{self._folder}: {name!r:.200} cannot be read: {error.strerror}") from error


def _pictures(folder: Path, table: pa.Table, names: list[str]) -> containers.ByPath:
    if (row := files.first_outside(pa.array(names, pa.string()))) is not None:
        raise CurationError(f"{folder / INDEX}: file {names[row]!r} leads out of the tree")
    return containers.ByPath(table["path"].combine_chunks(), _Files(folder, names))


def _walk(path: Path) -> AnnotationSet:
    found = sorted(p for p in _shown(path.glob("*/*/*"), path) if p.suffix.lower() in _PICTURES and p.is_file())
    if not found:
        raise CurationError(f"{path} is no tree of SPLIT/CLASS/PICTURE")
    parts = [p.relative_to(path).parts for p in found]
    splits = sorted({split for split, *_ in parts})
    classes = sorted({p.name for p in _shown(path.glob("*/*"), path) if p.is_dir()})
    split_of, label_of = ({name: i for i, name in enumerate(names)} for names in (splits, classes))
    labels = np.array([label_of[part[1]] for part in parts])
    columns = {
        "path": pa.array(["/".join(part) for part in parts], pa.string()),
        "label": labels,
        "class_name": names_of(labels, classes),
        "split": names_of([split_of[part[0]] for part in parts], splits),
    }
    return AnnotationSet(annotation_table(columns), tuple(classes), tuple(splits))


def _shown(found: Iterable[Path], below: Path) -> Iterator[Path]:
    """What is not hidden: systems and editors leave folders and files of their own."""
    return (p for p in found if not any(part.startswith(".") for part in p.relative_to(below).parts))


def _index_files(folder: Path, table: pa.Table) -> list[str]:
    if "file" not in table.column_names or table["file"].null_count:
        raise CurationError(f"{folder / INDEX}: the column file is missing, or has gaps")
    return table["file"].to_pylist()
