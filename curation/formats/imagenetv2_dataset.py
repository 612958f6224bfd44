"""Other files of ImageNetV2 that name images with their class: data sets and search results. They are only read.

Source of the formats: modestyachts/ImageNetV2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.errors import CurationError
from curation.formats.imagenetv2_state import load

CLASS = re.compile(r"n[0-9]{8}")
POOL = pa.schema({"name": pa.string(), "class_name": pa.string(), "burst": pa.string()})


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
    value = load(path)
    images = value.get("image_filenames") if isinstance(value, dict) else None
    if not isinstance(images, list):
        raise CurationError(f"{path} has no list `image_filenames`: it is no ImageNetV2 data set")
    for row, image in enumerate(images):
        good = isinstance(image, list) and len(image) == 2 and all(isinstance(word, str) for word in image)
        if not good or not CLASS.fullmatch(image[1]):
            raise CurationError(f"{path}: image {row + 1} of {len(images):,} is {image!r}, not [name, WNID]")
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
        records = load(path)
        if not isinstance(records, list):
            raise CurationError(f"{path} holds no list of search results")
        for row, record in enumerate(records):
            if not isinstance(record, dict) or not all(record.get(key) for key in ("id_ours", "wnid", "url")):
                raise CurationError(f"{path}: record {row + 1} of {len(records):,} lacks id_ours, wnid or url")
            found.setdefault(record["id_ours"], record)
    records = found.values()
    bursts = [str(record.get("id_search_engine") or "") for record in records]
    return pa.table([list(found), [record["wnid"] for record in records], bursts], schema=POOL)
