"""What a generalised long-tail split would contain, from the counts of images alone and without drawing any.

Counts are integers (C, A): images of every attribute of every class, classes in byte order of their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from curation.errors import ArgumentError, CurationError
from curation.splits.apportion import apportion
from curation.splits.cells import Cells, as_asked, class_ok, needs, pool_of, shrunk
from curation.splits.class_plan import by_count, by_rank
from curation.splits.parameters import Parameters
from curation.splits.random_keys import random_keys

SPLITS = ("train", "val", "test_lt", "test_bl", "test_bbl")

FEASIBILITY = pa.schema(
    {
        "class_index": pa.int32(),  # row of the counts; null: all classes together
        "attribute": pa.int16(),  # null: the class as a whole
        "have": pa.int64(),
        "need": pa.int64(),
        "short": pa.int64(),
        "what": pa.string(),
    }
)


class Infeasible(CurationError):
    """A split that cannot be carved from these counts."""

    def __init__(self, message: str, counts: np.ndarray, parameters: Parameters) -> None:
        super().__init__(message)
        self.counts, self.parameters = counts, parameters

    @property
    def table(self) -> pa.Table:
        """What every cell has and needs; schema FEASIBILITY."""
        return feasibility(self.counts, self.parameters)


@dataclass(frozen=True)
class Plan:
    """Counts of a split, by label.

    `order` int64 (L,): row of the counts that became label 0, 1, …; `counts` int64 (5, L, A) in the order of SPLITS;
    `left` int64 (L, A): images in no split; `frequency` int8 (L,): 0 head, 1 medium, 2 tail; `asked` and `pool`
    int64 (L,): images wanted and had for train, Val and Test-GLT together, before the latter two are drawn;
    `per_cell`, `val_per_cell` int64 (L,): the cell sizes in use; `dropped` int64: rows that became no label.
    """

    order: np.ndarray
    counts: np.ndarray
    left: np.ndarray
    frequency: np.ndarray
    asked: np.ndarray
    pool: np.ndarray
    per_cell: np.ndarray
    val_per_cell: np.ndarray
    dropped: np.ndarray

    def of(self, split: str) -> np.ndarray:
        """Counts of one split, int64 (L, A)."""
        return self.counts[SPLITS.index(split)]


def plan(counts: np.ndarray, parameters: Parameters, *, names: Sequence[str] | None = None) -> Plan:
    """Split sizes by class and attribute.

    Args:
        counts: images, int (C, A).
        parameters: of the recipe, in default mode.
        names: class names; needed only for the order `given` and the frequency `custom`.

    Raises:
        Infeasible: a cell, a class or the pool is too small and the policy does not allow for it.
        ArgumentError: parameters do not fit the counts.
    """
    counts, weights = _checked(counts, parameters)
    order = class_order(counts.sum(1), parameters, names)
    kept, cells = _apply_policy(counts, order, weights, parameters)
    rows = counts[kept]
    asked, pool = pool_of(rows, cells, weights, parameters)
    if parameters.inter == "lt":
        test_lt, val = _iid(pool, cells, parameters, counts)
    else:
        test_lt, val = np.zeros_like(pool), apportion(cells.val * len(weights), weights, pool)
    train = pool - test_lt - val
    balanced = apportion(cells.cbl * len(weights), weights)
    found = np.stack([train, val, test_lt, balanced, np.broadcast_to(cells.gbl[:, None], rows.shape)])
    return Plan(
        order=kept,
        counts=found,
        left=rows - found.sum(0),
        frequency=_frequency(train.sum(1), kept, parameters, names),
        asked=asked,
        pool=pool.sum(1),
        per_cell=cells.gbl,
        val_per_cell=cells.val,
        dropped=np.setdiff1d(order, kept),
    )


def feasibility(counts: np.ndarray, parameters: Parameters) -> pa.Table:
    """What every cell has and needs with the cell sizes as asked for, before any policy; schema FEASIBILITY.

    A row for each cell, for each class whose pool would stay under `min_train_per_class`, and, with inter=lt, one for
    the pool of all classes that Test-GLT and Val are drawn from.
    """
    counts, weights = _checked(counts, parameters)
    order = class_order(counts.sum(1), parameters, None)
    cells = as_asked(len(counts), parameters)
    need = needs(cells, weights, parameters)
    classes, attributes = counts.shape
    short_class = ~class_ok(counts[order], cells, weights, parameters)
    small = np.sort(order[short_class & (counts[order] >= need).all(1)])
    _, pool = pool_of(counts[order], cells, weights, parameters)
    columns = {
        "class_index": [*np.repeat(np.arange(classes), attributes).tolist(), *small.tolist()],
        "attribute": [*np.tile(np.arange(attributes), classes).tolist(), *[None] * len(small)],
        "have": [*counts.ravel().tolist(), *pool.sum(1)[np.argsort(order)][small].tolist()],
        "need": [*need.ravel().tolist(), *[parameters.min_train_per_class] * len(small)],
        "what": ["cell"] * counts.size + ["training images of the class"] * len(small),
    }
    if parameters.inter == "lt":
        wanted = (parameters.per_cell + parameters.val_per_cell) * counts.size
        row = (None, None, int(pool.sum()), wanted + classes * parameters.min_train_per_class)
        for key, value in zip(columns, (*row, "Test-GLT, Val and the least of train"), strict=True):
            columns[key].append(value)
    short = np.maximum(0, np.array(columns["need"], np.int64) - np.array(columns["have"], np.int64))
    return pa.table(columns | {"short": short}).select(FEASIBILITY.names).cast(FEASIBILITY)


def suggest(
    counts: np.ndarray,
    parameters: Parameters | None = None,
    *,
    most: int = 20,
    train_share: float = 1 / 3,
) -> Parameters:
    """Cell sizes that fit the data: the largest `per_cell` up to `most`, `val_per_cell` half of it, nothing short.

    Where the smallest classes would hold all others to fewer than five images a cell, the policy becomes `shrink` and
    the size that three quarters of the classes can have.

    Args:
        counts: images, int (C, A).
        parameters: everything else; the defaults when None.
        train_share: least share of train in all the splits together; .35 (lt) and .43 (bl) in ImageNet-GLT.
    """
    base = (parameters or Parameters()).replace(policy="error", frequency="rank")
    base = base.replace(order="size") if base.order == "given" else base
    counts, weights = _checked(counts, base)
    order = class_order(counts.sum(1), base, None)
    sizes = shrunk(counts[order], as_asked(len(counts), _sized(base, most)), weights, _sized(base, most)).gbl
    largest, policy = int(sizes.min()), "error"
    if largest < min(5, most):
        largest, policy = max(1, int(np.sort(sizes)[len(sizes) // 4])), "shrink"
    for per_cell in range(largest, 0, -1):
        trial = _sized(base, per_cell).replace(policy=policy)
        try:
            found = plan(counts, trial)
        except Infeasible:
            continue
        if per_cell == 1 or found.of("train").sum() >= train_share * found.counts.sum():
            return _merge(parameters, trial)
    return _merge(parameters, _sized(base, 1).replace(policy="shrink"))


def class_order(sizes: np.ndarray, parameters: Parameters, names: Sequence[str] | None) -> np.ndarray:
    """Rows in the order of labels, int64 (C,); classes come in byte order of names, equal sizes stay in it.

    Raises:
        ArgumentError: the order is given and does not name every class once.
    """
    if parameters.order == "size":
        return np.argsort(-np.asarray(sizes, np.int64), kind="stable")
    if parameters.order == "random":
        return np.argsort(random_keys(len(sizes), parameters.seed, "class order"), kind="stable")
    if parameters.order == "given" and names is not None:
        missing = sorted(set(names) - set(parameters.class_order))
        if missing or len(set(parameters.class_order)) != len(parameters.class_order):
            raise ArgumentError(
                f"class_order names {len(parameters.class_order)} classes and the data has {len(names)}: name every "
                f"class once{f'; missing is {missing[0]!r}' if missing else ''}"
            )
        place = {name: i for i, name in enumerate(parameters.class_order)}
        return np.argsort([place[name] for name in names], kind="stable")
    return np.arange(len(sizes))


# -- checks and policies ---------------------------------------------------------------------------------------------


def _checked(counts: np.ndarray, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
    counts = np.asarray(counts, np.int64)
    if counts.ndim != 2 or len(counts) < 2:
        raise CurationError(f"{len(counts)} classes have images to split, and a long tail needs 2 at least")
    return counts, p.attribute_weights(counts.shape[1])


def _apply_policy(
    counts: np.ndarray, order: np.ndarray, weights: np.ndarray, p: Parameters
) -> tuple[np.ndarray, Cells]:
    """The rows that become labels, in order, and their cell sizes."""
    cells = as_asked(len(order), p)
    if p.policy == "drop_class":
        while not (fine := class_ok(counts[order], cells, weights, p)).all():
            order, cells = order[fine], cells[fine]
            if len(order) < 2:
                raise _infeasible(counts, p, f"policy drop_class would leave {len(order)} of {len(counts)} classes")
        return order, cells
    if p.policy != "error":
        cells = shrunk(counts[order], cells, weights, p)
    fine = class_ok(counts[order], cells, weights, p)
    if not fine.all():
        raise _infeasible(counts, p, f"{(~fine).sum():,} of {len(counts):,} classes have too few images")
    return order, cells


# -- Test-GLT and Val, drawn from the pool of all classes ------------------------------------------------------------


def _iid(pool: np.ndarray, cells: Cells, p: Parameters, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of Test-GLT and Val, int64 (L, A) each."""
    test, val = int(cells.cbl.sum()) * pool.shape[1], int(cells.val.sum()) * pool.shape[1]
    free = int(pool.sum()) - len(pool) * p.min_train_per_class
    if test + val > free:
        if p.policy != "shrink":
            raise _infeasible(counts, p, f"Test-GLT and Val want {test + val:,} images, and the pool has {free:,}")
        test, val = free * test // (test + val), free * val // (test + val)
    draw = _uniform if p.iid == "uniform" else _stratified
    first = draw(pool, test, p, "test_lt")
    return first, draw(pool - first, val, p, "val")


def _stratified(pool: np.ndarray, total: int, p: Parameters, _: str) -> np.ndarray:
    """In proportion to the pool by class, then by attribute, leaving every class its least of train."""
    by_class = pool.sum(1)
    room = np.maximum(0, by_class - p.min_train_per_class)
    shares = apportion([total], by_class[None], room[None])[0]
    return apportion(shares, pool, pool)


def _uniform(pool: np.ndarray, total: int, p: Parameters, split: str) -> np.ndarray:
    """Counts of a uniform draw without replacement, as published."""
    keys = random_keys(int(pool.sum()), p.seed, "uniform", split)
    taken = np.argsort(keys, kind="stable")[:total]
    cell = np.repeat(np.arange(pool.size), pool.ravel())
    return np.bincount(cell[taken], minlength=pool.size).reshape(pool.shape)


def _frequency(train: np.ndarray, order: np.ndarray, p: Parameters, names: Sequence[str] | None) -> np.ndarray:
    """Head (0), medium (1) or tail (2) of every label, int8 (L,)."""
    if p.frequency == "count":
        return by_count(train, p.thresholds)
    if p.frequency == "custom" and names is not None:
        missing = [names[row] for row in order if names[row] not in p.custom]
        if missing:
            raise ArgumentError(f"custom names {len(p.custom)} classes of {len(order)}: missing is {missing[0]!r}")
        return np.array([p.custom[names[row]] for row in order], np.int8)
    return by_rank(len(order), p.fractions)


def _infeasible(counts: np.ndarray, p: Parameters, what: str) -> Infeasible:
    return Infeasible(what, counts, p)


def _sized(p: Parameters, per_cell: int) -> Parameters:
    return p.replace(per_cell=per_cell, val_per_cell=max(1, per_cell // 2))


def _merge(asked: Parameters | None, found: Parameters) -> Parameters:
    return (asked or Parameters()).replace(
        per_cell=found.per_cell, val_per_cell=found.val_per_cell, policy=found.policy
    )
