"""Other files of ImageNetV2 that name images with their class: data sets, read and written, and search results.

A data set is {..., "image_filenames": [[name, WNID], ...], ...}, indented by two; how it was drawn stands in its other
fields, and the images follow `seed` (modestyachts/ImageNetV2, `data/datasets`). Published files come out byte for byte.
It knows no splits, and labels count in byte order of the WNIDs. What that would lose lies in one more field,
`annotation_set`: the split's name, all splits of the set and, by label, the WNIDs with the names of their classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats import split_files
from curation.formats.annotations import WNID, AnnotationSet, Options, annotation_table, every_wnid, names_of

CLASS = WNID
POOL = pa.schema({"name": pa.string(), "class_name": pa.string(), "burst": pa.string()})
HOLDS = frozenset({"path", "class_name", "label", "split", "meta", "classes", "splits"})
_IMAGES, _OWN, _BEFORE = "image_filenames", "annotation_set", "seed"
_SPLIT = "all"
# One published file was mended by hand and ends with a line break; kept in the meta under this key.
_END = "file_ends_with"


@dataclass(frozen=True)
class Dataset:
    """A data set: `names` and `classes` (WNIDs) of its images, in its order, and all other `fields` of the file."""

    name: str
    names: list[str]
    classes: list[str]
    fields: dict[str, Any]


def read_dataset(path: str | Path) -> Dataset:
    """Read a data set file (`data/datasets/<name>.json`).

    Raises:
        CurationError: there is no such file, or an image of it is no pair of a name and a WNID, or there twice.
    """
    path = Path(path)
    value = files.read_json(path, once=True)
    images = value.get("image_filenames") if isinstance(value, dict) else None
    if not isinstance(images, list):
        raise CurationError(f"{path} has no list `image_filenames`: it is no ImageNetV2 data set")
    for row, image in enumerate(images):
        good = isinstance(image, list) and len(image) == 2 and all(isinstance(word, str) for word in image)
        if not good or not CLASS.fullmatch(image[1]):
            raise CurationError(f"{path}: image {row + 1} of {len(images):,} is {image!r:.200}, not [name, WNID]")
    names = [name for name, _ in images]
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))
        raise CurationError(f"{path} names {twice!r} more than once")
    fields = {key: field for key, field in value.items() if key != "image_filenames"}
    return Dataset(path.stem, names, [wnid for _, wnid in images], fields)


def read_pool(paths: Iterable[str | Path]) -> pa.Table:
    """The candidates of search result files: name, class_name (WNID) and burst (Flickr's id of the photo).

    Files count in the order of their names; of several records of a name the first holds.

    Raises:
        CurationError: a record lacks its name, class or URL.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((Path(path) for path in paths), key=lambda path: path.name):
        records = files.read_json(path, once=True)
        if not isinstance(records, list):
            raise CurationError(f"{path} holds no list of search results")
        for row, record in enumerate(records):
            if not isinstance(record, dict) or not all(record.get(key) for key in ("id_ours", "wnid", "url")):
                raise CurationError(f"{path}: record {row + 1} of {len(records):,} lacks id_ours, wnid or url")
            found.setdefault(record["id_ours"], record)
    records = found.values()
    bursts = [str(record.get("id_search_engine") or "") for record in records]
    return pa.table([list(found), [record["wnid"] for record in records], bursts], schema=POOL)


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write `<stem>.json` when there is one split, else `<stem>_<split>.json` for each; `meta` becomes other fields.

    Raises:
        ArgumentError: a class has no WNID or shares it, a split has a path twice, a split that cannot be a file name, a
            label without class, a path with `..`, or `meta` has a key that the file needs.
    """
    split_files.check(annotations)
    if (key := next((key for key in (_IMAGES, _OWN) if key in annotations.meta), None)) is not None:
        raise ArgumentError(f"the meta of the set has the key {key!r}, which the file itself needs: rename it")
    wnids = every_wnid(annotations.classes, annotations.about, "ImageNetV2 tells classes by it; choose another format")
    splits = annotations.splits
    for split in splits:
        paths = annotations.of(split)["path"]
        if (different := pc.count_distinct(paths).as_py()) < len(paths):
            raise ArgumentError(
                f"split {split!r} has {len(paths):,} images and only {different:,} different paths: "
                "an ImageNetV2 data set names each once"
            )
    several = len(splits) > 1
    written = [folder / (f"{stem}_{split}.json" if several else f"{stem}.json") for split in splits]
    classes = _classes_to_tell(annotations, wnids)
    for split, path in zip(splits, written, strict=True):
        told = {"split": split} if several or split != _SPLIT else {}
        told |= {"splits": list(splits)} if several else {}
        with files.replacing(path) as part, open(part, "w", encoding="ascii", newline="\n") as file:
            _write(file, annotations, split, wnids, told | classes)
    return written


def read(path: Path) -> AnnotationSet:
    """Read a data set; of several splits all, given any of them under the name that it was written with.

    A published file is one split, `all`, with labels in byte order of its WNIDs and its other fields as `meta`.

    Raises:
        CurationError: not such a file; names the image or the field.
    """
    path = Path(path)
    first = read_dataset(path)
    told = _told(path, first)
    found = split_files.members(path, told, split_files.place_of(path, told.get("split")))
    members = found or [split_files.Member(_SPLIT, path)]
    sets = [first if member.path == path else read_dataset(member.path) for member in members]
    for member, dataset in zip(members, sets, strict=True):
        own = _told(member.path, dataset)
        if len(members) > 1 and own != told | {"split": member.split}:
            raise CurationError(f"{member.path} is no split {member.split!r} of the set of {path}: write both again")
    names = told.get("classes") or {wnid: wnid for wnid in sorted({w for dataset in sets for w in dataset.classes})}
    meta = {key: value for key, value in first.fields.items() if key != _OWN}
    meta |= {_END: "\n"} if path.read_bytes()[-1:] == b"\n" else {}
    about = pa.table({"class_name": _texts(path, names.values()), "wnid": _texts(path, names)})
    splits = tuple(member.split for member in members)
    return AnnotationSet(_table(path, sets, splits, names), tuple(names.values()), splits, meta, about)


# -- below: the parts of a data set -----------------------------------------------------------------------------------


def _classes_to_tell(annotations: AnnotationSet, wnids: list[str]) -> dict[str, dict[str, str]]:
    """Classes by WNID in order of labels; nothing where a reader finds the same without."""
    used = sorted(wnids[label] for label in pc.unique(annotations.table["label"]).to_pylist())
    plain = wnids == used and list(annotations.classes) == wnids
    return {} if plain else {"classes": dict(zip(wnids, annotations.classes, strict=True))}


def _write(file: TextIO, annotations: AnnotationSet, split: str, wnids: list[str], told: dict[str, Any]) -> None:
    fields = dict(annotations.meta)
    end = fields.pop(_END) if fields.get(_END) == "\n" else ""
    first = list(fields).index(_BEFORE) + 1 if _BEFORE in fields else len(fields)
    before = {key: fields.pop(key) for key in list(fields)[:first]}
    before |= {_OWN: told} if told else {}
    texts = [_field(key, value) for key, value in before.items()]
    file.write("{\n" + "".join(f"{text},\n" for text in texts) + f'  "{_IMAGES}": [')
    between = "\n"
    for block in annotations.blocks(split):
        rows = zip(block["path"].to_pylist(), block["label"].to_pylist(), strict=True)
        pairs = [f'    [\n      {json.dumps(name)},\n      "{wnids[label]}"\n    ]' for name, label in rows]
        file.write(between + ",\n".join(pairs))
        between = ",\n"
    file.write("]" if between == "\n" else "\n  ]")
    file.write("".join(f",\n{_field(key, value)}" for key, value in fields.items()) + "\n}" + end)


def _field(key: str, value: Any) -> str:
    return f"  {json.dumps(key)}: " + json.dumps(value, indent=2).replace("\n", "\n  ")


def _table(path: Path, sets: list[Dataset], splits: tuple[str, ...], names: dict[str, str]) -> pa.Table:
    place = {wnid: label for label, wnid in enumerate(names)}
    wnids = [wnid for dataset in sets for wnid in dataset.classes]
    if (other := next((wnid for wnid in wnids if wnid not in place), None)) is not None:
        raise CurationError(f"{path}: the class {other} of an image is none of the {len(place)} of {_OWN}.classes")
    paths = _texts(path, [name for dataset in sets for name in dataset.names])
    if (row := files.first_outside(paths, rooted=True)) is not None:
        raise CurationError(f"{path}: the image {paths[row].as_py()!r} climbs out of its folder")
    labels = np.array([place[wnid] for wnid in wnids], np.int32)
    of = names_of(np.repeat(np.arange(len(sets)), [len(dataset.names) for dataset in sets]), splits)
    return annotation_table(
        {"path": paths, "label": labels, "class_name": names_of(labels, list(names.values())), "split": of}
    )


def _texts(path: Path, values: Iterable[str]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError as error:  # JSON can hold half of a surrogate pair
        raise CurationError(f"{path}: {error.object!r} is no Unicode text") from None


def _told(path: Path, dataset: Dataset) -> dict[str, Any]:
    """What a file of ours says of itself; empty for others."""
    told = dataset.fields.get(_OWN, {})
    kinds = {"split": str, "splits": list, "classes": dict}
    wrong = not isinstance(told, dict) or any(
        not isinstance(told.get(key, kind()), kind) for key, kind in kinds.items()
    )
    texts = [] if wrong else [*told.get("splits", []), *told.get("classes", {}).values()]
    if wrong or not all(isinstance(text, str) for text in texts):
        raise CurationError(
            f"{path}: key {_OWN} must be an object of split (text), splits (texts), classes (names by WNID)"
        )
    return told
