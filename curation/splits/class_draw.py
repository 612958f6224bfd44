"""Which images go to which split: a class plan made true, near duplicates on one side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from curation.splits.class_plan import Carving, ClassPlan, Counts
from curation.splits.inputs import Inputs
from curation.splits.pool import Pool, gather
from curation.splits.random_keys import random_keys
from curation.splits.result import Reasons, Result, funnel, listed, split_table

TO_SPARE = "to spare: more than the recipe asks of its class"
NOT_ASKED = "class not asked for"
CLASS_DROPPED = "class dropped"
OTHER_SOURCE = "in a source split that the recipe does not use"
WITH_SOURCE = "near duplicate: of an image of a source split that is taken whole"
NO_SIDE = "near duplicates: the group fits in no split"

Planner = Callable[[Counts, Any], ClassPlan]
Keys = Callable[[Pool, Any], np.ndarray]
"""For every image of a pool a number, any dtype (N,): low ones are taken first."""


def carve(inputs: Inputs, p: Carving, *, plan: Planner, keys: Keys | None = None) -> Result:
    """Carve a split by class: a pure function of inputs and parameters.

    Args:
        inputs: tables of the recipe.
        p: parameters.
        plan: sizes from counts.
        keys: which images are taken first; random ones when None. The first split of the plan's `carving` that is not
            taken whole has the first choice.

    Raises:
        CurationError: there is nothing to split, or too little of it.
    """
    pool = gather(inputs)
    planned = plan(Counts.of(pool, inputs), p)
    order_of = random_order(pool, p.seed) if keys is None else keys(pool, p)
    codes, reasons, groups = assign(pool, planned, order_of)
    return finished(pool, planned, p, codes, reasons, {"groups": groups} if inputs.groups is not None else {})


def random_order(pool: Pool, seed: int) -> np.ndarray:
    """Random keys, uint64 (N,): each class has its own stream from (seed, class name)."""
    sizes = np.bincount(pool.cls, minlength=len(pool.names))
    found = np.empty(len(pool.cls), np.uint64)
    # The pool is in the order of classes, and images of a class in byte order of paths.
    for name, start, size in zip(pool.names, np.cumsum(sizes) - sizes, sizes, strict=True):
        found[start : start + size] = random_keys(int(size), seed, name)
    return found


def assign(pool: Pool, planned: ClassPlan, keys: np.ndarray) -> tuple[np.ndarray, list[Reasons], dict[str, int]]:
    """Split of every image of a pool: int64 (N,), -1 for none; reasons for these; how groups fared."""
    label = np.full(len(pool.names), -1, np.int64)
    label[planned.order] = np.arange(len(planned.order))
    of = label[pool.cls]
    codes = np.full(len(of), -1, np.int64)
    source = np.array([pool.sources.index(s) for s in planned.pool], np.int64)
    drawn = (of >= 0) & np.isin(pool.source, source)
    reasons: list[Reasons] = _unasked(pool, planned, of)
    for split, name in planned.whole.items():
        mine = (of >= 0) & (pool.source == pool.sources.index(name))
        codes[mine] = planned.splits.index(split)
        drawn &= ~mine
    reasons.append((pool.image_id[(of >= 0) & ~drawn & (codes < 0)], OTHER_SOURCE))
    taken = np.isin(pool.group, pool.group[codes >= 0]) & (pool.group >= 0) & drawn
    reasons.append((pool.image_id[taken], WITH_SOURCE))
    drawn &= ~taken
    left = _left(planned)
    spare = np.bincount(of[drawn], minlength=len(planned.order)) - left.sum(0)
    sides = np.vstack([left, np.maximum(0, spare)])
    homeless, groups = _place_groups(pool, of, drawn, codes, sides, keys)
    reasons.append((pool.image_id[homeless], NO_SIDE))
    drawn &= (codes == -1) & ~homeless
    _fill(of, keys, codes, np.flatnonzero(drawn), sides[:-1], planned)
    codes[codes == len(planned.splits)] = -1
    told = np.concatenate([np.asarray(ids, np.int64) for ids, _ in reasons])
    rest = pool.image_id[codes < 0]
    reasons.append((rest[~np.isin(rest, told)], TO_SPARE))
    return codes, reasons, groups


def finished(
    pool: Pool,
    planned: ClassPlan,
    p: Carving,
    codes: np.ndarray,
    reasons: list[Reasons],
    more: dict[str, Any] | None = None,
) -> Result:
    """The split table, in the order of splits, labels and paths, with its report."""
    label = np.full(len(pool.names), -1, np.int64)
    label[planned.order] = np.arange(len(planned.order))
    inside = np.flatnonzero(codes >= 0)
    of = label[pool.cls[inside]]
    inside = inside[np.lexsort((inside, of, codes[inside]))]
    of = label[pool.cls[inside]]
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


def _left(planned: ClassPlan) -> np.ndarray:
    """Images that each split still takes from the pool, int64 (S, L); none for splits that are taken whole."""
    left = planned.counts.copy()
    left[[planned.splits.index(split) for split in planned.whole]] = 0
    return left


def _place_groups(
    pool: Pool, of: np.ndarray, drawn: np.ndarray, codes: np.ndarray, sides: np.ndarray, keys: np.ndarray
) -> tuple[np.ndarray, dict[str, int]]:
    """Give every group of near duplicates to one side that has room for all of it; the last side is to be left out.

    Each goes where the largest share of what its classes were promised is still free, so that sides fill alike.
    `codes` and `sides` (S + 1, L) are changed in place.

    Returns:
        Images of groups that fit nowhere, bool (N,); and counts for the report.
    """
    homeless = np.zeros(len(of), bool)
    rows = np.flatnonzero(drawn & (pool.group >= 0))
    rows = rows[np.lexsort((keys[rows], pool.group[rows]))]
    starts = np.flatnonzero(np.diff(pool.group[rows], prepend=-1))
    members = [m for m in np.split(rows, starts[1:]) if len(m) > 1]
    # Large groups first: they fit while there is room. Among equals the random keys decide.
    members.sort(key=lambda m: (-len(m), keys[m[0]], m[0]))
    promised = np.maximum(1, sides)
    for group in members:
        labels, need = np.unique(of[group], return_counts=True)
        room = sides[:, labels]
        free = np.where((room >= need).all(1), (room / promised[:, labels]).min(1), -1.0)
        if (side := int(free.argmax())) >= 0 and free[side] >= 0:
            sides[side, labels] -= need
            codes[group] = side
        else:
            homeless[group] = True
    return homeless, {"groups": len(members), "images": sum(map(len, members)), "left_out": int(homeless.sum())}


def _fill(
    of: np.ndarray, keys: np.ndarray, codes: np.ndarray, rows: np.ndarray, left: np.ndarray, planned: ClassPlan
) -> None:
    """Give single images to the splits in the order in which they carve, by key inside each class."""
    rows = rows[np.lexsort((rows, keys[rows], of[rows]))]
    label = of[rows]
    position = np.arange(len(rows)) - np.searchsorted(label, label)
    carving = [planned.splits.index(split) for split in planned.carving]
    edges = np.cumsum(left[carving], axis=0)
    turn = (position >= edges[:, label]).sum(0) if len(rows) else np.empty(0, np.int64)
    codes[rows] = np.array([*carving, -1])[turn]
