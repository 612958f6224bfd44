"""Pictures and labels as FiftyOne's FiftyOneImageClassificationDataset has them on disk, one data set a split.

`<split>/data/` holds the pictures, in subfolders as their paths have them; `<split>/labels.json` is {"classes": [...],
"labels": {key: index}} (voxel51/fiftyone, fiftyone/utils/data/importers.py). A key is the path of a picture in `data`
without its suffix, so pictures whose paths differ in nothing else, or only in letter case, get a hash in their names.
What no file can be called is percent-encoded, the dot of a hidden file too, since the importer does not see those. It
reads no keys but the two; ours besides are `split`, `splits` (given one of the files, all are read) and `paths`: what a
picture that had to be renamed is called in the set.
"""

from __future__ import annotations

import functools
import json
import os
import posixpath
from collections import Counter
from json.encoder import encode_basestring_ascii as quote
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats import containers, loose_pictures, split_files
from curation.formats.annotations import AnnotationSet, Options, annotation_table, names_of
from curation.formats.loose_pictures import folded, safe_name, unique

HOLDS = frozenset({"path", "class_name", "label", "split", "classes", "splits"})
LABELS, DATA = "labels.json", "data"


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write `<stem>/<split>/data/` and `<stem>/<split>/labels.json`; returns the latter.

    Pictures are links or copies as `options.link` says, and copies where the set itself gives their bytes. One that is
    gone has no label either, and stands in `<stem>/missing.txt`.

    Raises:
        ArgumentError: nothing says where the pictures are, an unknown kind of link, or a path that leads out of the
            data set or is twice in a split.
        CurationError: the disk is full, or the folder is there already.
    """
    containers.check(annotations, options)
    loose_pictures.check(annotations, options)
    paths = {split: annotations.of(split)["path"].to_pylist() for split in annotations.splits}
    names = {split: _names(paths[split], split) for split in annotations.splits}
    lost: list[str] = []
    with files.replacing_folder(folder / stem) as part:
        final = ((options.final or folder) / stem).resolve()
        for split in annotations.splits:
            data = Path(split, DATA)
            for parent in sorted({posixpath.dirname(name) for name in names[split]} | {""}):
                (part / data / parent).mkdir(parents=True, exist_ok=True)
            put = loose_pictures.place_all(paths[split], names[split], part / data, final / data, annotations, options)
            _write_labels(annotations, split, names[split], put, part / split / LABELS)
            lost += [paths[split][row] for row in np.flatnonzero(~put)]
        containers.check_any(lost, len(annotations.table))
        containers.write_missing(part, lost)
    return [folder / stem / split / LABELS for split in annotations.splits]


def read(path: Path) -> AnnotationSet:
    """Read a data set (its folder or its `labels.json`), a folder of them, one a split, or all of a set of ours.

    Paths are those of the pictures in `data`, except where one had to be renamed.

    Raises:
        CurationError: not such a folder; names the file and the key.
    """
    path = Path(path)
    path = path.parent if path.name == LABELS else path
    places = [path / LABELS] if (path / LABELS).is_file() else sorted(path.glob(f"*/{LABELS}"))
    if not places:
        raise CurationError(f"{path} holds neither {LABELS} nor folders that do: it is no data set of FiftyOne")
    told = _load(places[0])
    siblings = places[0].parent.parent
    place = (lambda name: siblings / name / LABELS) if told.get("split") == places[0].parent.name else None
    members = split_files.members(places[0], told, place)
    members = members or [split_files.Member(place.parent.name, place) for place in places]
    parts = [(member.path.parent, told if member.path == places[0] else _load(member.path)) for member in members]
    return _join([member.split for member in members], parts)


# -- writing ----------------------------------------------------------------------------------------------------------


def _names(paths: list[str], split: str) -> list[str]:
    """Where each picture goes in `data`, as safe names that are different without suffix in any letter case."""
    if len(set(paths)) < len(paths):
        raise ArgumentError(
            f"split {split!r} has {len(paths):,} images and only {len(set(paths)):,} different paths: FiftyOne tells "
            "images apart by path"
        )
    names = ["/".join(safe_name(part) for part in path.split("/")) for path in paths]
    often = Counter(folded(_key(name)) for name in names)
    folders = {folded(str(parent)) for name in set(map(posixpath.dirname, names)) for parent in _ancestors(name)}
    names = [
        unique(name, path) if often[folded(_key(name))] > 1 or folded(name) in folders else name
        for name, path in zip(names, paths, strict=True)
    ]
    if (different := len({folded(_key(name)) for name in names})) < len(names):
        raise ArgumentError(
            f"split {split!r} has {len(names):,} images and only {different:,} names without suffix: rename some"
        )
    return names


def _ancestors(folder: str) -> list[PurePosixPath]:
    place = PurePosixPath(folder)
    return [place, *place.parents]


def _key(name: str) -> str:
    return posixpath.splitext(name)[0]


def _write_labels(annotations: AnnotationSet, split: str, names: list[str], put: np.ndarray, path: Path) -> None:
    rows = annotations.of(split).select(["path", "label"]).append_column("name", pa.array(names, pa.string()))
    rows = rows.filter(pa.array(put))
    renamed: dict[str, str] = {}
    with files.replacing(path) as part, open(part, "w", encoding="ascii", newline="\n") as file:
        file.write(f'{{"classes": {json.dumps(annotations.classes)}, "labels": {{')
        for start in range(0, len(rows), 65_536):
            columns = [column.to_pylist() for column in rows.slice(start, 65_536).columns]
            texts = ", ".join(f"{quote(_key(name))}: {label}" for _, label, name in zip(*columns, strict=True))
            file.write((", " if start else "") + texts)
            renamed |= {_key(name): path for path, _, name in zip(*columns, strict=True) if name != path}
        file.write(f'}}, "split": {json.dumps(split)}, "splits": {json.dumps(annotations.splits)}')
        file.write(f', "paths": {json.dumps(renamed)}}}' if renamed else "}")


# -- reading ----------------------------------------------------------------------------------------------------------


def _load(path: Path) -> dict[str, Any]:
    document = files.read_json(path, once=True)
    if not isinstance(document, dict) or "labels" not in document:
        raise CurationError(f"{path}: key labels is missing: it is no labels file of FiftyOne")
    for key, kind in (("labels", dict), ("classes", list), ("paths", dict)):
        if not isinstance(document.get(key, kind()), kind) and (key == "labels" or document[key] is not None):
            raise CurationError(f"{path}: key {key} is a {type(document[key]).__name__}, not a {kind.__name__}")
    for key, texts in (("classes", document.get("classes") or ()), ("paths", (document.get("paths") or {}).values())):
        if bad := [text for text in texts if not isinstance(text, str)]:
            raise CurationError(f"{path}: key {key} holds {bad[0]!r:.80}, which is no text")
    return document


def _join(splits: list[str], parts: list[tuple[Path, dict[str, Any]]]) -> AnnotationSet:
    found: list[tuple[str, int | str, Path]] = []
    classes = parts[0][1].get("classes") or None
    for folder, document in parts:
        if (document.get("classes") or None) != classes:
            raise CurationError(
                f"{folder / LABELS}: its classes are not those of {parts[0][0] / LABELS}: read it alone"
            )
        found += _rows(folder, document, classes)
    paths, labels, places = map(list, zip(*found, strict=True)) if found else ([], [], [])
    if classes is None:
        classes = sorted(set(labels))
        place = {name: label for label, name in enumerate(classes)}
        labels = [place[name] for name in labels]
    labels = np.array(labels, np.int32)
    of = np.repeat(np.arange(len(splits)), [len(document["labels"]) for _, document in parts])
    try:
        columns = {"path": pa.array(paths, pa.string()), "class_name": names_of(labels, classes)}
        table = annotation_table(columns | {"label": labels, "split": names_of(of, splits)})
    except UnicodeEncodeError as error:
        raise CurationError(f"{parts[0][0]}: {error.object!r} is no Unicode text: rename it") from None
    if (row := files.first_outside(table["path"])) is not None:
        raise CurationError(f"{parts[0][0] / LABELS}: path {paths[row]!r} leads out of the data set")
    by_path = containers.ByPath(table["path"].combine_chunks(), functools.partial(_bytes_of, places))
    return AnnotationSet(table, tuple(classes), tuple(splits), pictures=by_path)


def _rows(folder: Path, document: dict[str, Any], classes: list[str] | None) -> list[tuple[str, int | str, Path]]:
    """(Path, label or, where there are no classes, name of it, file) of every label."""
    there, told = _pictures(folder), document.get("paths") or {}
    # The first of twins.
    place = None if classes is None else {name: i for i, name in reversed(list(enumerate(classes)))}
    rows = []
    for key, value in document["labels"].items():
        label = _label(value.get("label") if isinstance(value, dict) else value, place, len(classes or ()))
        if label is None:
            known = "no name of a class" if classes is None else f"none of its {len(classes):,} classes"
            raise CurationError(f"{folder / LABELS}: labels[{key!r}] is {value!r:.80}, which is {known}")
        if there.get(key) is None:
            what = "two pictures" if key in there else "no picture"
            raise CurationError(f"{folder / LABELS}: labels[{key!r}] has {what} in {folder / DATA}")
        rows.append((told.get(key, there[key]), label, folder / DATA / there[key]))
    return rows


def _label(value: Any, place: dict[str, int] | None, classes: int) -> int | str | None:
    if place is None:
        return str(value) if type(value) in (int, str) else None
    if type(value) is int:
        return value if 0 <= value < classes else None
    return place.get(value) if isinstance(value, str) else None


def _pictures(folder: Path) -> dict[str, str | None]:
    """File by key, as the importer finds them; None for a key of two files."""
    found: dict[str, str | None] = {}
    for parent, _, names in os.walk(folder / DATA):
        for name in names:
            if not name.startswith("."):
                inside = Path(parent, name).relative_to(folder / DATA).as_posix()
                key = posixpath.normpath(_key(inside).replace("\\", "/"))
                found[key] = None if key in found else inside
    return found


def _bytes_of(places: list[Path], row: int) -> bytes | None:
    try:
        return places[row].read_bytes()
    except FileNotFoundError:
        return None
