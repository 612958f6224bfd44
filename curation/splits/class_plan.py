"""What a split by class would contain, from the counts of images alone: for every recipe without attributes.

Arrays are in the order of labels; S splits, L labels, C classes that have images, U source splits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from curation.errors import ArgumentError, CurationError
from curation.splits.apportion import apportion
from curation.splits.carving import Carving
from curation.splits.counts import Counts
from curation.splits.settings import Share

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Shortfall:
    """A class that a split has too few images of."""

    class_name: str
    split: str
    wanted: int
    has: int
    reason: str


class TooFew(CurationError):
    """Classes with too few images, under the policy `error`; `plan` is what there would be."""

    def __init__(self, plan: ClassPlan) -> None:
        super().__init__(told(plan.shortfalls))
        self.plan = plan


@dataclass(frozen=True)
class ClassPlan:
    """Sizes by split and class.

    - `splits`: names, in the order of the split table; `carving`: the same in the order in which they take images.
    - `order` int64 (L,): row of the counts that became label 0, 1, …; `counts`, `asked` int64 (S, L).
    - `available` int64 (L,): images of the class in the pool and in source splits that are taken whole.
    - `pool`: source splits that images are drawn from; `whole`: source split of each split that takes all of one.
    - `frequency` int8 (L,): 0 head, 1 medium, 2 tail; `dropped` int64: rows that are too small;
      `unwanted` int64: rows that were not asked for.
    """

    splits: tuple[str, ...]
    carving: tuple[str, ...]
    order: np.ndarray
    counts: np.ndarray
    asked: np.ndarray
    available: np.ndarray
    pool: tuple[str, ...]
    whole: Mapping[str, str]
    frequency: np.ndarray
    shortfalls: list[Shortfall]
    dropped: np.ndarray
    unwanted: np.ndarray

    def of(self, split: str) -> np.ndarray:
        """Counts of one split, int64 (L,); zeros when there is no such split."""
        return self.counts[self.splits.index(split)] if split in self.splits else np.zeros(len(self.order), np.int64)

    def label_of(self, classes: int) -> np.ndarray:
        """Label of every row of the counts, of which there are `classes`, int64 (classes,); -1 for those without."""
        found = np.full(classes, -1, np.int64)
        found[self.order] = np.arange(len(self.order))
        return found


Train = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Training images wanted of every label from (room, order), int64 (L,) each: room is what val and test leave."""
Sizes = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Images wanted of train, val and test, int64 (3, L), from (has, order): those that every label has to draw from."""


def allot(
    counts: Counts,
    p: Carving,
    *,
    train: Train | None = None,
    sizes: Sizes | None = None,
    first: Sequence[str] = ("test", "val"),
) -> ClassPlan:
    """Sizes of train, val and test for every class.

    Args:
        counts: of the images that may be used.
        p: parameters.
        train: training images wanted; all that val and test leave when None.
        sizes: instead of `train`: images wanted of all three, whatever val and test say; a class that has fewer is too
            small.
        first: splits that take their images before the others.

    Raises:
        ArgumentError: unknown classes or source split.
        TooFew: a class is too small and the policy is `error`; names the worst with both numbers.
    """
    everyone, whole = label_order(counts, p), _whole(p)
    pool = _pool(counts, p, whole)
    inside = counts.available[:, [counts.sources.index(s) for s in pool]].sum(1)
    order, asked, got = _settled(p, inside, everyone, sizes or partial(_wanted, p, train))
    if not len(order):
        raise CurationError(_nothing(counts))
    has = inside[order]
    shortfalls = _shortfalls(counts, order, asked, got, has)
    available = has + sum(counts.available[order, counts.sources.index(s)] for s in set(whole.values()))
    for split, source in whole.items():
        row = SPLITS.index(split)
        got[row] = asked[row] = counts.available[order, counts.sources.index(source)]
    splits = tuple(s for s, n in zip(SPLITS, asked, strict=True) if s == "train" or n.any() or getattr(p, s))
    keep = [SPLITS.index(s) for s in splits]
    planned = ClassPlan(
        splits=splits,
        carving=(*(s for s in first if s in splits), *(s for s in splits if s not in first)),
        order=order,
        counts=got[keep],
        asked=asked[keep],
        available=available,
        pool=pool,
        whole=whole,
        frequency=frequency(got[0], p),
        shortfalls=shortfalls,
        dropped=np.setdiff1d(everyone, order),
        unwanted=np.setdiff1d(np.arange(len(counts.names)), everyone),
    )
    if p.policy == "error" and shortfalls:
        raise TooFew(planned)
    return planned


def room(counts: Counts, p: Carving) -> np.ndarray:
    """Images of every class that val and test leave train, int64 (C,).

    Raises:
        ArgumentError: unknown source split.
    """
    has = counts.available[:, [counts.sources.index(s) for s in _pool(counts, p, _whole(p))]].sum(1)
    return np.maximum(0, has - share(p.val, has) - share(p.test, has))


def label_order(counts: Counts, p: Carving) -> np.ndarray:
    """Rows of the counts in the order of labels, int64 (L,).

    Raises:
        ArgumentError: a class that has no images is asked for.
    """
    rows = np.arange(len(counts.names))
    if p.classes:
        place = {name: i for i, name in enumerate(counts.names)}
        missing = [name for name in p.classes if name not in place]
        if missing:
            raise ArgumentError(
                f"{len(missing):,} of {len(p.classes):,} classes have no images that may be used, such as "
                f"{missing[0]!r}: take them off the list"
            )
        rows = np.array([place[name] for name in p.classes], np.int64)
    if p.order == "size":
        rows = np.sort(rows)
        return rows[np.argsort(-counts.available[rows].sum(1), kind="stable")]
    return rows if p.order == "given" else np.sort(rows)


def share(value: Share, has: np.ndarray) -> np.ndarray:
    """Images that a share is of classes with `has` images, int64 (L,); of a source split none, as it is taken whole."""
    if value is None or isinstance(value, str):
        return np.zeros(len(has), np.int64)
    if value < 1:
        return np.floor(has * value + 0.5).astype(np.int64)
    return np.full(len(has), int(value), np.int64)


def frequency(train: np.ndarray, p: Carving) -> np.ndarray:
    """Head (0), medium (1) or tail (2) of every label by its training images, int8 (L,).

    By count: head above the first threshold, tail below the second ((100, 20): Kang et al., ICLR 2020). By rank: of
    the classes by falling size, equal ones in the order of labels (Tang et al., ECCV 2022).
    """
    if p.frequency == "count":
        return by_count(train, p.thresholds)
    found = np.empty(len(train), np.int8)
    found[np.argsort(-train, kind="stable")] = by_rank(len(train), p.fractions)
    return found


def by_count(train: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Head (0), medium (1) or tail (2) by training images, int8 (L,); see `frequency`."""
    return ((train <= thresholds[0]).astype(np.int8) + (train < thresholds[1])).astype(np.int8)


def by_rank(count: int, fractions: Sequence[float]) -> np.ndarray:
    """Head (0), medium (1) or tail (2) of every rank, int8 (count,); see `frequency`."""
    cuts = np.floor(np.array(fractions) * count + 0.5)
    return np.searchsorted(cuts, np.arange(count), side="right").astype(np.int8)


def told(shortfalls: Sequence[Shortfall]) -> str:
    """The worst shortfalls in words, and what would help."""
    worst = sorted(shortfalls, key=lambda s: s.has - s.wanted)
    lines = [f"class {s.class_name!r} has {s.has:,} for {s.split} and needs {s.wanted:,}" for s in worst[:5]]
    classes = len({s.class_name for s in shortfalls})
    more = f"; and {len(worst) - 5:,} more" if len(worst) > 5 else ""
    return (
        f"{classes:,} classes have too few images: {'; '.join(lines)}{more}. Ask for fewer, or set policy=shrink or "
        "drop_class"
    )


# -- below: fitting --------------------------------------------------------------------------------------------------


def _whole(p: Carving) -> dict[str, str]:
    """Source split of each split that takes all of one."""
    return {s: value[7:] for s in ("val", "test") if isinstance(value := getattr(p, s), str)}


def _pool(counts: Counts, p: Carving, whole: Mapping[str, str]) -> tuple[str, ...]:
    asked = [*whole.values(), *([p.pool] if p.pool else [])]
    for source in asked:
        if source not in counts.sources:
            there = ", ".join(s for s in counts.sources if s) or "none"
            raise ArgumentError(f"there is no source split {source!r} among {len(counts.sources)}: there is {there}")
    if p.pool in whole.values():
        raise ArgumentError(f"pool is {p.pool!r}, and a split takes all of it: draw from another source split")
    if p.pool:
        return (p.pool,)
    return tuple(s for s in counts.sources if s not in whole.values())


def _settled(
    p: Carving, inside: np.ndarray, order: np.ndarray, sizes: Sizes
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows that stay, in order, and what they ask for and get, int64 (3, L) each; asked again when classes are dropped.

    Args:
        p: parameters.
        inside: images of every class to draw from, int64 (C,).
        order: rows in the order of labels.
        sizes: that are asked for.
    """
    while True:
        asked = sizes(inside[order], order)
        asked[0] = np.maximum(asked[0], p.least)
        got = _fit(asked, inside[order], p.least)
        short = (got < asked).any(0)
        if p.policy != "drop_class" or not short.any():
            return order, asked, got
        order = order[~short]


def _wanted(p: Carving, train: Train | None, has: np.ndarray, order: np.ndarray) -> np.ndarray:
    val, test = share(p.val, has), share(p.test, has)
    left = np.maximum(0, has - val - test)
    return np.stack([left if train is None else train(left, order), val, test])


def _nothing(counts: Counts) -> str:
    if not counts.names:
        return "0 images may be used: all are excluded, broken or gone"
    return f"all of {len(counts.names):,} classes are too small: ask for fewer images a class, or set policy=shrink"


def _fit(asked: np.ndarray, has: np.ndarray, least: int) -> np.ndarray:
    """What there is of what was asked, int64 (3, L): the least of train, then val and test alike, then train."""
    train = np.minimum(np.minimum(asked[0], least), has)
    tests = apportion(np.minimum(asked[1:].sum(0), has - train), asked[1:].T, asked[1:].T).T
    return np.stack([np.minimum(asked[0], has - tests.sum(0)), *tests])


def _shortfalls(
    counts: Counts, order: np.ndarray, asked: np.ndarray, got: np.ndarray, has: np.ndarray
) -> list[Shortfall]:
    found = []
    for split, label in np.argwhere(got < asked).tolist():
        reason = f"the class has {has[label]:,} images to draw from"
        name, numbers = counts.names[order[label]], (int(asked[split, label]), int(got[split, label]))
        found.append(Shortfall(name, SPLITS[split], *numbers, reason))
    return found
