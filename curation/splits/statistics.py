"""What is in each split: images by class and by attribute, head / medium / tail, how uneven the classes are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

GROUPS = ("head", "medium", "tail")


@dataclass(frozen=True)
class SplitStatistics:
    """Counts of one split; every list by label or attribute has the same length in every split.

    `imbalance` is the largest class over the smallest that has images (None where there is none); `gini` is over all
    classes of the recipe, those without images included.
    """

    images: int
    classes: int
    per_class: list[int]
    per_attribute: list[int]
    per_class_attribute: list[list[int]]
    groups: dict[str, int]
    imbalance: float | None
    gini: float


def statistics(split: pa.Table, *, classes: int | None = None) -> dict[str, SplitStatistics]:
    """Statistics of every split of a split table, in the order in which splits first appear in its dictionary.

    Args:
        split: schema SPLIT.
        classes: number of labels; the largest label + 1 when None.
    """
    encoded = split["split"].combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    names = encoded.dictionary.to_pylist()
    label, attribute, group = (_ints(split[c]) for c in ("label", "attribute", "frequency"))
    classes = max(classes or 0, int(label.max(initial=-1)) + 1)
    attributes = int(attribute.max(initial=-1)) + 1
    code = encoded.indices.to_numpy().astype(np.int64)
    # An image without an attribute or frequency (-1) is counted by class alone.
    shape = (len(names), classes, attributes + 1)
    cells = np.bincount((code * classes + label) * (attributes + 1) + attribute + 1, minlength=int(np.prod(shape)))
    by_group = np.bincount(code * 4 + group + 1, minlength=4 * len(names)).reshape(-1, 4)
    cells = cells.reshape(shape)
    return {name: _of(cells[i], by_group[i]) for i, name in enumerate(names)}


def as_dict(found: dict[str, SplitStatistics]) -> dict[str, Any]:
    """The same, for JSON."""
    return {name: asdict(entry) for name, entry in found.items()}


def gini(counts: np.ndarray) -> float:
    """Gini coefficient of non-negative counts (C,): 0 when all are equal, towards 1 when one has all."""
    ordered = np.sort(np.asarray(counts, np.float64))
    if not ordered.sum():
        return 0.0
    rank = np.arange(1, len(ordered) + 1)
    return float(2 * (rank * ordered).sum() / (len(ordered) * ordered.sum()) - (len(ordered) + 1) / len(ordered))


def imbalance(counts: np.ndarray) -> float | None:
    """Largest class over the smallest that has images; None when no class has any."""
    present = np.asarray(counts)[np.asarray(counts) > 0]
    return float(present.max() / present.min()) if len(present) else None


def _ints(column: pa.ChunkedArray) -> np.ndarray:
    return column.combine_chunks().cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)


def _of(cells: np.ndarray, by_group: np.ndarray) -> SplitStatistics:
    per_class = cells.sum(1)
    return SplitStatistics(
        images=int(per_class.sum()),
        classes=int((per_class > 0).sum()),
        per_class=per_class.tolist(),
        per_attribute=cells[:, 1:].sum(0).tolist(),
        per_class_attribute=cells[:, 1:].tolist(),
        groups=dict(zip(GROUPS, by_group[1:].tolist(), strict=True)),
        imbalance=imbalance(per_class),
        gini=gini(per_class),
    )
