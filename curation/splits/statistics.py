"""What is in each split: images by class and by attribute, head / medium / tail, how uneven the classes are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from curation.errors import ArgumentError
from curation.splits.result import coded

GROUPS = ("head", "medium", "tail")
BETA = 0.999


@dataclass(frozen=True)
class SplitStatistics:
    """Counts of one split; every list by label or attribute has the same length in every split.

    `imbalance` is the largest class over the smallest that has images (None where there is none); `gini` is over all
    classes of the recipe, those without images included; `entropy` in bits, `evenness` its share of the most that it
    can be; `effective` is the effective number of images of each class, `effective_images` their sum.
    """

    images: int
    classes: int
    per_class: list[int]
    per_attribute: list[int]
    per_class_attribute: list[list[int]]
    groups: dict[str, int]
    imbalance: float | None
    gini: float
    entropy: float
    evenness: float
    effective: list[float]
    effective_images: float


def statistics(split: pa.Table, *, classes: int | None = None, beta: float = BETA) -> dict[str, SplitStatistics]:
    """Statistics of every split of a split table, in the order in which splits first appear in its dictionary.

    Args:
        split: schema SPLIT; attributes and frequencies may be null.
        classes: number of labels; the largest label + 1 when None.
        beta: of the effective number.

    Raises:
        ArgumentError: beta is not from 0 to 1.
    """
    names, code = coded(split["split"])
    label, attribute, group = (_ints(split[c]) for c in ("label", "attribute", "frequency"))
    classes = max(classes or 0, int(label.max(initial=-1)) + 1)
    attributes = int(attribute.max(initial=-1)) + 1
    # An image without an attribute or frequency (-1) is counted by class alone.
    shape = (len(names), classes, attributes + 1)
    cells = np.bincount((code * classes + label) * (attributes + 1) + attribute + 1, minlength=int(np.prod(shape)))
    by_group = np.bincount(code * 4 + group + 1, minlength=4 * len(names)).reshape(-1, 4)
    cells = cells.reshape(shape)
    return {name: _of(cells[i], by_group[i], beta) for i, name in enumerate(names)}


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


def entropy(counts: np.ndarray) -> float:
    """Shannon entropy of non-negative counts (C,) as shares, in bits; 0 when there are none."""
    present = np.asarray(counts, np.float64)
    present = present[present > 0]
    share = present / present.sum() if len(present) else present
    return float(-(share * np.log2(share)).sum()) + 0.0


def evenness(counts: np.ndarray) -> float:
    """Entropy of counts (C,) over log2 C, the most that it can be: 1 when all C are equal; 0 when C is below 2."""
    return entropy(counts) / float(np.log2(len(counts))) if len(counts) > 1 else 0.0


def effective_number(counts: np.ndarray, *, beta: float = BETA) -> np.ndarray:
    """Effective number of images of each class, (1 - beta^n) / (1 - beta), float64 (C,).

    Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, equation 3: beta is (N - 1) / N for
    classes of N different images at most, so that 0.999, the default, means 1,000. At 0 every class counts once, at 1
    every image does.

    Raises:
        ArgumentError: beta is not from 0 to 1.
    """
    if not 0 <= beta <= 1:
        raise ArgumentError(f"beta is {beta}, and must be from 0 to 1, such as 0.999")
    counts = np.asarray(counts, np.float64)
    if beta == 1:
        return counts
    with np.errstate(divide="ignore", invalid="ignore"):
        # Exact also where beta is so near to 1 that beta^n would lose its digits.
        return -np.expm1(np.where(counts > 0, counts * np.log(np.float64(beta)), 0.0)) / (1 - beta)


def _ints(column: pa.ChunkedArray) -> np.ndarray:
    return column.combine_chunks().cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)


def _of(cells: np.ndarray, by_group: np.ndarray, beta: float) -> SplitStatistics:
    per_class = cells.sum(1)
    effective = effective_number(per_class, beta=beta)
    return SplitStatistics(
        images=int(per_class.sum()),
        classes=int((per_class > 0).sum()),
        per_class=per_class.tolist(),
        per_attribute=cells[:, 1:].sum(0).tolist(),
        per_class_attribute=cells[:, 1:].tolist(),
        groups=dict(zip(GROUPS, by_group[1:].tolist(), strict=True)),
        imbalance=imbalance(per_class),
        gini=gini(per_class),
        entropy=entropy(per_class),
        evenness=evenness(per_class),
        effective=effective.tolist(),
        effective_images=float(effective.sum()),
    )
