"""Which images go to which split: a class plan made true, near duplicates on one side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from curation.errors import CurationError
from curation.splits.carving import Carving
from curation.splits.class_plan import ClassPlan, Counts, Shortfall
from curation.splits.inputs import Inputs
from curation.splits.pool import Pool, gather
from curation.splits.random_keys import random_keys
from curation.splits.result import Reasons, Result, funnel, listed, split_table
from curation.splits.settings import Settings

TO_SPARE = "to spare: more than the recipe asks of its class"
NOT_ASKED = "class not asked for"
CLASS_DROPPED = "class dropped"
OTHER_SOURCE = "in a source split that the recipe does not use"
WITH_SOURCE = "near duplicate: of an image of a source split that is taken whole"
NO_SIDE = "near duplicates: the group fits in no split"
LOST = "near duplicates go to one side: too few images are left to draw from"

Planner = Callable[[Counts, Any], ClassPlan]
Keys = Callable[[Pool, Any], np.ndarray]
"""For every image of a pool a number, any dtype (N,): low ones are taken first; NaN where it is not known."""


def carve(inputs: Inputs, p: Carving, *, plan: Planner, keys: Keys | None = None, chooser: str = "") -> Result:
    """Carve a split by class: a pure function of inputs and parameters.

    Args:
        inputs: tables of the recipe.
        p: parameters.
        plan: sizes from counts.
        keys: which images are taken first; random ones when None. The first split of the plan's `carving` that is not
            taken whole has the first choice.
        chooser: the only split that takes by `keys`: those before it in `carving` draw at random from all images, it
            takes from what they leave, and the others draw at random from what it leaves.

    Raises:
        CurationError: there is nothing to split, or too little of it.
    """
    pool = gather(inputs)
    planned = plan(Counts.of(pool, inputs), p)
    order_of = random_order(pool, p.seed) if keys is None or chooser else keys(pool, p)
    codes, reasons, groups = assign(pool, planned, order_of, chooser, keys(pool, p) if keys and chooser else None)
    planned = replace(planned, shortfalls=_shortfalls(pool, planned, codes))
    return finished(pool, planned, p, codes, reasons, {"groups": groups} if inputs.groups is not None else {})


def random_order(pool: Pool, seed: int) -> np.ndarray:
    """Random keys, uint64 (N,): each class has its own stream from (seed, class name)."""
    sizes = np.bincount(pool.cls, minlength=len(pool.names))
    found = np.empty(len(pool.cls), np.uint64)
    # The pool is in the order of classes, and images of a class in byte order of paths.
    for name, start, size in zip(pool.names, np.cumsum(sizes) - sizes, sizes, strict=True):
        found[start : start + size] = random_keys(int(size), seed, name)
    return found


def assign(
    pool: Pool, planned: ClassPlan, keys: np.ndarray, chooser: str = "", scores: np.ndarray | None = None
) -> tuple[np.ndarray, list[Reasons], dict[str, int]]:
    """Split of every image of a pool: int64 (N,), -1 for none; reasons for these; how groups fared.

    Args:
        pool: of images.
        planned: sizes.
        keys: for every image; low ones are taken first.
        chooser: a split that takes by `scores` (N,) instead.
        scores: as `keys`.

    Raises:
        CurationError: an image that the chooser may take has no score.
    """
    draw = _Draw.begin(pool, planned)
    sizes = np.unique(pool.group[draw.free & (pool.group >= 0)], return_counts=True)[1]
    sizes = sizes[sizes > 1]
    for splits in _turns(planned, chooser):
        chooses = splits == (chooser,) and scores is not None
        draw.take(splits, scores if chooses else keys, chooses=chooses)
    told = np.concatenate([np.asarray(ids, np.int64) for ids, _ in draw.reasons])
    rest = pool.image_id[draw.codes < 0]
    lost = pool.image_id[draw.homeless]
    spare = rest[~np.isin(rest, np.r_[told, lost])]
    groups = {"groups": len(sizes), "images": int(sizes.sum()), "left_out": len(lost)}
    return draw.codes, [*draw.reasons, (lost, NO_SIDE), (spare, TO_SPARE)], groups


def undecided(pool: Pool, planned: ClassPlan, keys: np.ndarray, chooser: str) -> np.ndarray:
    """Images that the chooser of `assign` takes from: what the splits before it leave, bool (N,)."""
    draw = _Draw.begin(pool, planned)
    turns = _turns(planned, chooser)
    for splits in turns[: turns.index((chooser,))]:
        draw.take(splits, keys)
    return draw.free


def finished(
    pool: Pool,
    planned: ClassPlan,
    p: Settings,
    codes: np.ndarray,
    reasons: list[Reasons],
    more: dict[str, Any] | None = None,
) -> Result:
    """The split table, in the order of splits, labels and paths, with its report."""
    of = planned.label_of(len(pool.names))[pool.cls]
    inside = np.flatnonzero(codes >= 0)
    inside = inside[np.lexsort((inside, of[inside], codes[inside]))]
    of = of[inside]
    columns = {"image_id": pool.image_id[inside], "label": of, "frequency": planned.frequency[of]}
    if pool.attributes:
        columns |= {"attribute": pool.attribute[inside], "cluster": pool.cluster[inside]}
    split = split_table(codes[inside], planned.splits, columns)
    left_out = listed(*pool.left_out, *reasons)
    classes = [pool.names[row] for row in planned.order]
    report = {
        "kind": p.KIND,
        "classes": classes,
        "attributes": pool.attributes,
        "dropped_classes": [pool.names[row] for row in planned.dropped],
        "short_cells": [vars(s) for s in planned.shortfalls],
        "class_size": {s: planned.asked[i].tolist() for i, s in enumerate(planned.splits)},
        **(more or {}),
        "funnel": funnel(pool.images, split, left_out, planned.splits),
    }
    return Result(split, left_out, report)


# -- below: who goes where -------------------------------------------------------------------------------------------


def _unasked(pool: Pool, planned: ClassPlan, of: np.ndarray) -> list[Reasons]:
    dropped = [(pool.image_id[pool.cls == row], f"{CLASS_DROPPED}: {pool.names[row]!r}") for row in planned.dropped]
    return [*dropped, (pool.image_id[(of < 0) & np.isin(pool.cls, planned.unwanted)], NOT_ASKED)]


def _turns(planned: ClassPlan, chooser: str) -> list[tuple[str, ...]]:
    """Splits in the order in which they take images; those of one turn take together."""
    order = tuple(split for split in planned.carving if split not in planned.whole)
    if chooser not in order:
        return [order]
    at = order.index(chooser)
    return [turn for turn in (order[:at], (chooser,), order[at + 1 :]) if turn]


@dataclass
class _Draw:
    """Who has gone where so far; all arrays are (N,).

    `of`: label, -1 where the class is not wanted; `codes`: split, -1 for none; `free`: may still be taken;
    `homeless`: of a group that fits nowhere.
    """

    pool: Pool
    planned: ClassPlan
    of: np.ndarray
    codes: np.ndarray
    free: np.ndarray
    homeless: np.ndarray
    reasons: list[Reasons]

    @classmethod
    def begin(cls, pool: Pool, planned: ClassPlan) -> Self:
        """Source splits that are taken whole are; no near duplicate of theirs may be taken any more."""
        of = planned.label_of(len(pool.names))[pool.cls]
        codes, taken = np.full(len(of), -1, np.int64), np.zeros(len(of), bool)
        for split in (s for s in planned.carving if s in planned.whole):
            mine = (of >= 0) & (pool.source == pool.sources.index(planned.whole[split]))
            # Two source splits may share near duplicates: the first to take them has them.
            taken |= mine & _near(pool, codes >= 0)
            codes[mine & ~taken] = planned.splits.index(split)
        source = np.array([pool.sources.index(s) for s in planned.pool], np.int64)
        free = (of >= 0) & np.isin(pool.source, source) & (codes < 0)
        other = (of >= 0) & ~free & (codes < 0) & ~taken
        taken |= free & _near(pool, codes >= 0)
        reasons = _unasked(pool, planned, of)
        reasons += [(pool.image_id[other], OTHER_SOURCE), (pool.image_id[taken], WITH_SOURCE)]
        return cls(pool, planned, of, codes, free & ~taken, np.zeros(len(of), bool), reasons)

    def groups(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the groups that have several free images, one group after the other, and the sizes of the groups.

        Large groups come first, equal ones by the lowest key of theirs, which is that of their first row.
        """
        rows = np.flatnonzero(self.free & (self.pool.group >= 0))
        rows = rows[np.lexsort((rows, keys[rows], self.pool.group[rows]))]
        starts = np.flatnonzero(np.diff(self.pool.group[rows], prepend=-1))
        sizes = np.diff(starts, append=len(rows))
        starts, sizes = starts[sizes > 1], sizes[sizes > 1]
        order = np.lexsort((rows[starts], keys[rows[starts]], -sizes))
        starts, sizes = starts[order], sizes[order]
        return rows[np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())], sizes

    def take(self, splits: Sequence[str], keys: np.ndarray, *, chooses: bool = False) -> None:
        """Give the splits the images that the plan promises them, near duplicates together; the others stay free.

        Args:
            splits: none of them taken whole.
            keys: low ones are taken first.
            chooses: groups, too, go by the lowest of their keys; else to where there is most room.
        """
        if chooses and (unknown := int(np.isnan(keys[self.free]).sum())):
            raise CurationError(
                f"{unknown:,} of {int(self.free.sum()):,} images have no score: the scores were made for other "
                "parameters or images; make the split again"
            )
        rows = [self.planned.splits.index(split) for split in splits]
        left = self.planned.counts[rows]
        there = np.bincount(self.of[self.free], minlength=left.shape[1])
        sides = np.vstack([left, np.maximum(0, there - left.sum(0))])  # the last side is to stay free
        side = np.full(len(self.of), len(rows), np.int64)
        if chooses:
            _fill(self.of, keys, side, np.flatnonzero(self.free), left)
        members, sizes = self.groups(keys)
        placed = _place_groups(self.of[members], sizes, sides, side[members] if chooses else None)
        side[:] = len(rows)
        side[members] = np.repeat(placed, sizes)
        together = np.zeros(len(self.of), bool)
        together[members] = True
        self.homeless |= side < 0
        _fill(self.of, keys, side, np.flatnonzero(self.free & ~together), sides[:-1])
        self.codes = np.where(self.free, np.array([*rows, -1, -1])[side], self.codes)
        self.free &= side == len(rows)


def _near(pool: Pool, chosen: np.ndarray) -> np.ndarray:
    """Images that share a group with one of those chosen, bool (N,)."""
    return (pool.group >= 0) & np.isin(pool.group, pool.group[chosen & (pool.group >= 0)])


def _place_groups(labels: np.ndarray, sizes: np.ndarray, sides: np.ndarray, wish: np.ndarray | None) -> np.ndarray:
    """Give every group of near duplicates to one side that has room for all of it; `sides` (S, L) is changed in place.

    Each goes where its first image is wished, or else where the largest share of what its classes were promised is
    still free, so that sides fill alike.

    Args:
        labels: of the images, one group after the other, int (M,).
        sizes: of the groups, int (G,).
        sides: room that there is.
        wish: sides of the images, int (M,).

    Returns:
        Sides, int64 (G,); -1 where a group fits nowhere.
    """
    # Numbers of Python: for the few sides that there are, arrays would take ten times as long for each group.
    promised, room, of = np.maximum(1, sides).T.tolist(), sides.T.tolist(), labels.tolist()
    starts, placed = (np.cumsum(sizes) - sizes).tolist(), []
    for start, size in zip(starts, sizes.tolist(), strict=True):
        need = Counter(of[start : start + size])
        free = [
            [has / most if has >= count else -1.0 for has, most in zip(room[label], promised[label], strict=True)]
            for label, count in need.items()
        ]
        least = free[0] if len(free) == 1 else [min(shares) for shares in zip(*free, strict=True)]
        side = least.index(max(least))
        if wish is not None and least[wish[start]] >= 0:
            side = int(wish[start])
        for label, count in need.items() if least[side] >= 0 else ():
            room[label][side] -= count
        placed.append(side if least[side] >= 0 else -1)
    sides[:] = np.array(room, np.int64).reshape(-1, len(sides)).T
    return np.array(placed, np.int64)


def _fill(of: np.ndarray, keys: np.ndarray, side: np.ndarray, rows: np.ndarray, left: np.ndarray) -> None:
    """Give single images to the sides in their order, by key inside each class; `side` (N,) is changed in place."""
    rows = rows[np.lexsort((rows, keys[rows], of[rows]))]
    label = of[rows]
    position = np.arange(len(rows)) - np.searchsorted(label, label)
    edges = np.cumsum(left, axis=0)
    side[rows] = (position >= edges[:, label]).sum(0) if len(rows) else 0


def _shortfalls(pool: Pool, planned: ClassPlan, codes: np.ndarray) -> list[Shortfall]:
    """Those of the plan, and of classes that got less than planned since groups of near duplicates fit nowhere."""
    inside = codes >= 0
    cell = codes[inside] * len(planned.order) + planned.label_of(len(pool.names))[pool.cls[inside]]
    got = np.bincount(cell, minlength=planned.counts.size).reshape(planned.counts.shape)
    found = {(s.class_name, s.split): s for s in planned.shortfalls}
    for row, label in np.argwhere(got < planned.counts).tolist():
        key, has = (pool.names[planned.order[label]], planned.splits[row]), int(got[row, label])
        known = found.get(key)
        # A class that was short already is told once, with all that it lacks.
        wanted, reason = (known.wanted, f"{known.reason}; {LOST}") if known else (int(planned.counts[row, label]), LOST)
        found[key] = Shortfall(*key, wanted, has, reason)
    return list(found.values())
