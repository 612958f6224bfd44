"""The JSON of iNaturalist's competitions since 2018, in the manner of COCO: one file a split.

{"info": {…}, "categories": [{"id": label, "name": class, …}], "images": [{"id", "file_name", "width", "height"}],
"annotations": [{"id", "image_id", "category_id"}]}, one annotation an image (visipedia/inat_comp; read by torchvision,
pycocotools and the loaders of long-tailed recognition). What is known of a class lies in its category, how the set was
made in `info`. Files of ours also say `split` and `splits`: given any file of a set, all are read, unless it was
renamed. A file of others is a split by itself, with the name of the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as quote
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import pyarrow as pa

from curation import files
from curation.errors import CurationError
from curation.formats import split_files
from curation.formats.annotations import ABOUT, AnnotationSet, Options, annotation_table, classes_of, names_of

HOLDS = frozenset({"path", "class_name", "label", "split", "width", "height", "meta", "about", "classes", "splits"})
_SIZES = ("width", "height")


class _Image(NamedTuple):
    id: Any
    file_name: Any
    width: Any
    height: Any


class _Annotation(NamedTuple):
    image_id: Any
    category_id: Any


@dataclass(frozen=True)
class _Part:
    """One file."""

    paths: pa.Array
    labels: np.ndarray
    sizes: dict[str, pa.Array]
    categories: list[dict[str, Any]]
    info: dict[str, Any]


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write `<stem>_<split>.json` for every split; ids of images count on from file to file.

    Raises:
        ArgumentError: a split that cannot be a file name, a label without class, or a path with `..`.
    """
    split_files.check(annotations)
    paths = [folder / f"{stem}_{split}.json" for split in annotations.splits]
    first = 0
    for split, path in zip(annotations.splits, paths, strict=True):
        head = {"info": annotations.meta, "split": split, "splits": list(annotations.splits)}
        head["categories"] = _categories(annotations)
        with files.replacing(path) as part, open(part, "w", encoding="ascii", newline="\n") as file:
            file.write(json.dumps(head)[:-1])
            _write_list(file, "images", annotations.blocks(split), first, _images)
            after = _write_list(file, "annotations", annotations.blocks(split), first, _labels)
            file.write("}")
        first = after
    return paths


def read(path: Path) -> AnnotationSet:
    """Read one file, or all of its set when it is of ours.

    Raises:
        CurationError: not such a file, naming the key or the id; or another file of the set is gone or of another set.
    """
    path = Path(path)
    document = _load(path)
    found = split_files.members(path, document, split_files.place_of(path, document.get("split")))
    members = found or [split_files.Member(path.stem, path)]
    parts = []
    for member in members:
        other = document if member.path == path else _load(member.path)
        if found and len(found) > 1 and (other.get("split"), other.get("splits")) != (member.split, document["splits"]):
            raise CurationError(f"{member.path} is no split {member.split!r} of the set of {path}: write both again")
        parts.append(_part(member.path, other))
        if parts[-1].categories != parts[0].categories:
            raise CurationError(f"{member.path}: categories are not those of {members[0].path}: write both again")
    return _join(path, members, parts, document)


# -- writing ----------------------------------------------------------------------------------------------------------


def _categories(annotations: AnnotationSet) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"id": i, "name": name} for i, name in enumerate(annotations.classes)]
    if annotations.about is not None:
        rows = annotations.about.drop_columns(["class_name"]).to_pylist()
        for category, known in zip(found, rows, strict=True):
            category |= {key: value for key, value in known.items() if value is not None}
    return found


def _write_list(
    file: TextIO, key: str, blocks: Iterable[pa.Table], first: int, texts: Callable[[pa.Table, int], list[str]]
) -> int:
    """Write a list of objects whose ids count from `first`; returns the id after the last."""
    file.write(f', "{key}": [')
    start = first
    for block in blocks:
        file.write((", " if start > first else "") + ", ".join(texts(block, start)))
        start += len(block)
    file.write("]")
    return start


def _images(block: pa.Table, first: int) -> list[str]:
    texts = [f'"id": {i}, "file_name": {quote(p)}' for i, p in enumerate(block["path"].to_pylist(), first)]
    for name in _SIZES:
        if name in block.column_names:
            values = block[name].to_pylist()
            texts = [t if v is None else f'{t}, "{name}": {v}' for t, v in zip(texts, values, strict=True)]
    return [f"{{{text}}}" for text in texts]


def _labels(block: pa.Table, first: int) -> list[str]:
    labels = enumerate(block["label"].to_pylist(), first)
    return [f'{{"id": {i}, "image_id": {i}, "category_id": {label}}}' for i, label in labels]


# -- reading ----------------------------------------------------------------------------------------------------------


def _load(path: Path) -> dict[str, Any]:
    """The document; its images and annotations as tuples, so that a million of them need little memory."""

    def slim(found: dict[str, Any]) -> Any:
        if "file_name" in found and "id" in found:
            return _Image(found["id"], found["file_name"], found.get("width"), found.get("height"))
        if "image_id" in found and "category_id" in found:
            return _Annotation(found["image_id"], found["category_id"])
        return found

    document = files.read_json(path, once=True, made=slim)
    if not isinstance(document, dict):
        raise CurationError(f"{path} holds a {type(document).__name__}, and an iNaturalist JSON file holds an object")
    return document


def _part(path: Path, document: dict[str, Any]) -> _Part:
    images = _items(path, document, "images", _Image, ("id", "file_name"))
    notes = _items(path, document, "annotations", _Annotation, ("image_id", "category_id"))
    categories = _items(path, document, "categories", dict, ("id", "name"))
    if not isinstance(info := document.get("info", {}), dict):
        raise CurationError(f"{path}: key info is no object")
    paths = _column(path, "images", "file_name", [image.file_name for image in images], pa.string())
    if (row := files.first_outside(paths, rooted=True)) is not None:
        raise CurationError(
            f"{path}: images[{row}].file_name is {images[row].file_name!r}, which climbs out of its folder"
        )
    sizes = {
        name: _column(path, "images", name, [getattr(image, name) for image in images], pa.int32(), needed=False)
        for name in _SIZES
    }
    return _Part(paths, _labels_of(path, images, notes, categories), sizes, categories, info)


def _items(path: Path, document: dict[str, Any], key: str, kind: type, needed: Sequence[str]) -> list[Any]:
    found = document.get(key)
    if not isinstance(found, list):
        problem = "missing" if key not in document else f"a {type(found).__name__}"
        raise CurationError(f"{path}: key {key} is {problem}, and must be a list")
    for row, item in enumerate(found):
        lacks = [name for name in needed if name not in item] if isinstance(item, dict) else []
        if type(item) is not kind or lacks:
            raise CurationError(
                f"{path}: {key}[{row}] " + (f"has no key {lacks[0]!r}" if lacks else "is no such object")
            )
    return found


def _column(path: Path, key: str, name: str, values: list[Any], kind: pa.DataType, needed: bool = True) -> pa.Array:
    def made(some: list[Any]) -> pa.Array | None:
        try:
            array = pa.array(some, kind)
        except (pa.ArrowException, OverflowError, UnicodeError):
            return None
        return array if all(type(value) is wanted or (value is None and not needed) for value in some) else None

    wanted = str if pa.types.is_string(kind) else int
    if (array := made(values)) is not None:
        return array
    row = next(row for row, value in enumerate(values) if made([value]) is None)
    raise CurationError(f"{path}: {key}[{row}].{name} is {values[row]!r:.80}, which cannot be")


def _labels_of(
    path: Path, images: list[_Image], notes: list[_Annotation], categories: list[dict[str, Any]]
) -> np.ndarray:
    """Label of every image, through its one annotation."""
    ids = _ids(path, "images", "id", [image.id for image in images])
    targets = _ids(path, "annotations", "image_id", [note.image_id for note in notes])
    chosen = _ids(path, "annotations", "category_id", [note.category_id for note in notes])
    known = _ids(path, "categories", "id", [category["id"] for category in categories])
    for key, values in (("image", ids), ("category", known)):
        ordered = np.sort(values)
        if len(twice := ordered[1:][ordered[1:] == ordered[:-1]]):
            raise CurationError(f"{path}: the {key} id {twice[0]} is there twice")
    for name, values, among in (("image_id", targets, ids), ("category_id", chosen, known)):
        if len(lost := np.flatnonzero(~np.isin(values, among))):
            raise CurationError(f"{path}: annotations[{lost[0]}].{name} is {values[lost[0]]}, which no one has")
    order = np.argsort(ids)
    rows = order[np.searchsorted(ids[order], targets)]
    counts = np.bincount(rows, minlength=len(ids))
    if len(bad := np.flatnonzero(counts != 1)):
        raise CurationError(
            f"{path}: image {ids[bad[0]]} ({images[bad[0]].file_name!r}) has {counts[bad[0]]} annotations, not one; "
            f"so it is with {len(bad):,} of {len(ids):,} images"
        )
    labels = np.empty(len(ids), np.int64)
    labels[rows] = chosen
    return labels


def _ids(path: Path, key: str, name: str, values: list[Any]) -> np.ndarray:
    return _column(path, key, name, values, pa.int64()).to_numpy()


def _join(path: Path, members: list[split_files.Member], parts: list[_Part], document: dict[str, Any]) -> AnnotationSet:
    categories = parts[0].categories
    names = _column(path, "categories", "name", [c["name"] for c in categories], pa.string()).to_pylist()
    ids = np.array([c["id"] for c in categories], np.int64)
    try:
        classes = classes_of(ids, names)
    except CurationError as error:
        raise CurationError(f"{path}: {error}") from None
    labels = np.concatenate([part.labels for part in parts])
    splits = tuple(member.split for member in members)
    columns = {name: pa.concat_arrays([part.sizes[name] for part in parts]) for name in _SIZES}
    columns = {name: column for name, column in columns.items() if column.null_count < len(column)}
    columns |= {"path": pa.concat_arrays([part.paths for part in parts]), "label": labels}
    columns["class_name"] = names_of(labels, classes)
    columns["split"] = names_of(np.repeat(np.arange(len(parts)), [len(part.labels) for part in parts]), splits)
    info = parts[[member.path for member in members].index(path)].info
    return AnnotationSet(annotation_table(columns), classes, splits, info, _about(path, categories, classes))


def _about(path: Path, categories: list[dict[str, Any]], classes: tuple[str, ...]) -> pa.Table | None:
    by_label = {category["id"]: category for category in categories}
    columns = {"class_name": pa.array(classes, pa.string())}
    for kind in list(ABOUT)[1:]:
        values = [by_label.get(label, {}).get(kind.name) for label in range(len(classes))]
        if values.count(None) < len(values):
            columns[kind.name] = _column(path, "categories", kind.name, values, kind.type, needed=False)
    return pa.table(columns) if len(columns) > 1 else None
