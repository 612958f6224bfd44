"""How many images there are of each class: all that a plan needs to know of a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curation.splits.inputs import Inputs
from curation.splits.pool import Pool
from curation.splits.result import coded


@dataclass(frozen=True)
class Counts:
    """Images that there are: `available` int64 (C, U), `names` of classes and `sources` in byte order.

    `base`: images of every class (C,) in each split of a given split, of those that may still be used; `wanted`: class
    sizes (C,) to match, -1 where none is told; `attributed`: images (C,) that have an attribute, where a table tells.
    """

    names: list[str]
    sources: list[str]
    available: np.ndarray
    base: Mapping[str, np.ndarray] = field(default_factory=dict)
    wanted: np.ndarray | None = None
    attributed: np.ndarray | None = None

    @classmethod
    def of(cls, pool: Pool, inputs: Inputs) -> Counts:
        """Count a pool, and what the tables `base`, `histogram` and `attributes` say of its classes."""
        base: dict[str, np.ndarray] = {}
        if inputs.base is not None:
            base = {
                name: np.bincount(pool.cls[np.isin(pool.image_id, ids)], minlength=len(pool.names))
                for name, ids in base_ids(inputs.base).items()
            }
        wanted = None
        if inputs.histogram is not None:
            told = dict(zip(*(inputs.histogram[c].to_pylist() for c in ("class_name", "images")), strict=True))
            wanted = np.array([told.get(name, -1) for name in pool.names], np.int64)
        attributed = None
        if inputs.attributes is not None:
            having = np.isin(pool.image_id, inputs.attributes["image_id"].to_numpy())
            attributed = np.bincount(pool.cls[having], minlength=len(pool.names))
        return cls(pool.names, pool.sources, pool.by_source(), base, wanted, attributed)


def base_ids(base: Any) -> dict[str, np.ndarray]:
    """Image ids of every split of a table BASE, ascending."""
    names, codes = coded(base["split"])
    ids = base["image_id"].to_numpy()
    return {name: np.sort(ids[codes == i]) for i, name in enumerate(names)}
