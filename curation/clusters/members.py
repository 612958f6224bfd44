"""Which images of a class have a feature, in the order of their paths."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.arrays import Features
from curation.errors import CurationError
from curation.workspace import Workspace

_BY_PATH = [("path", "ascending"), ("root", "ascending")]


def by_class(workspace: Workspace, features: Features) -> Iterator[tuple[str, np.ndarray, str]]:
    """Every class that has features, in the byte order of class names.

    Yields:
        (class name, int32 ids in the byte order of paths, SHA-256 over the images' file hashes in that order).
    """
    table = workspace.images(["class_name", "path", "root", "sha256"]).take(features.ids).unify_dictionaries()
    table = table.set_column(2, "root", table["root"].cast(pa.string())).combine_chunks()
    names = table["class_name"].chunk(0)
    codes = names.indices.to_numpy()
    grouped = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[grouped], np.arange(len(names.dictionary) + 1))
    for class_name, code in sorted((text, i) for i, text in enumerate(names.dictionary.to_pylist())):
        rows = grouped[edges[code] : edges[code + 1]]
        if len(rows):
            part = table.take(rows)
            order = pc.sort_indices(part, _BY_PATH).to_numpy()
            hashes = "\n".join(part["sha256"].take(order).to_pylist())
            yield class_name, features.ids[rows[order]], hashlib.sha256(hashes.encode()).hexdigest()


def of_class(workspace: Workspace, features: Features, class_name: str) -> np.ndarray:
    """Ids of one class's images that have a feature, int32, in the byte order of paths.

    Raises:
        CurationError: there are none.
    """
    table = workspace.images(["image_id", "class_name", "path", "root"])
    table = table.filter(pc.equal(table["class_name"].cast(pa.string()), class_name))
    table = table.set_column(3, "root", table["root"].cast(pa.string())).sort_by(_BY_PATH)
    ids = table["image_id"].to_numpy()
    known = ids[np.isin(ids, features.ids)]
    if not len(known):
        raise CurationError(
            f"class {class_name!r} has {len(ids):,} images, and 0 of them have a feature in {features.name!r}: "
            "choose another class, or run `extract`"
        )
    return known


def rows(workspace: Workspace, features: str, class_name: str) -> np.ndarray:
    """Features of one class, float32 (N, D), in the byte order of paths."""
    found = Features(workspace, features, check=False)
    return found.rows(of_class(workspace, found, class_name))


def check_finite(x: np.ndarray, ids: np.ndarray, features: str) -> np.ndarray:
    """Return the features `x` (N, D) of the images `ids` when all are numbers.

    Raises:
        CurationError: some are infinite, as float16 makes of what is beyond 65,504.
    """
    bad = ids[~np.isfinite(x).all(axis=1)]
    if len(bad):
        raise CurationError(
            f"features {features!r} of {len(bad):,} of {len(ids):,} images are not finite numbers, image {bad.min()} "
            "first: run `extract` with --dtype float32 under another name"
        )
    return x
