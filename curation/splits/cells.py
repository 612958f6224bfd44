"""Cells, the attributes of the classes: how many images each needs, and what the policies make of the sizes asked for.

Rows are classes in the order of labels, columns attributes; sizes a cell are of Test-GBL, of Test-CBL and of Val.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from curation.splits import profiles
from curation.splits.apportion import apportion
from curation.splits.parameters import PUBLISHED_CLASS_SIZE, Parameters

_HAIR = 1e-9  # 0.1 * 30 may come out as 3.0000000000000004


@dataclass(frozen=True)
class Cells:
    """Sizes a class, int64 (L,): Test-GBL images a cell; Test-CBL and Val images a cell on average; those that
    parameters list for the class as a whole, 0 where they list none."""

    gbl: np.ndarray
    cbl: np.ndarray
    val: np.ndarray
    listed: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Cells:
        return Cells(self.gbl[rows], self.cbl[rows], self.val[rows], self.listed[rows])


def as_asked(classes: int, p: Parameters) -> Cells:
    """Sizes of so many classes. Raises ArgumentError when the parameters list sizes of more or fewer."""
    given = profiles.sizes("list", np.zeros(classes), given=p.sizes) if p.profile == "list" else np.zeros(classes, int)
    return Cells(*(np.full(classes, size, np.int64) for size in (p.per_cell, p.per_cell, p.val_per_cell)), given)


def needs(cells: Cells, weights: np.ndarray, p: Parameters) -> np.ndarray:
    """Images that every cell must have for both balanced tests (and with bl for Val and the least of train)."""
    need = cells.gbl[:, None] + apportion(cells.cbl * len(weights), weights)
    if p.inter == "bl":
        least = cells.val * len(weights) + p.min_train_per_class
        need += np.ceil(least[:, None] * weights / weights.sum() - _HAIR).astype(np.int64)
    return np.maximum(need, np.ceil(cells.gbl / p.cap - _HAIR).astype(np.int64)[:, None])


def class_ok(rows: np.ndarray, cells: Cells, weights: np.ndarray, p: Parameters) -> np.ndarray:
    """Which classes have all they need, bool (L,)."""
    fine = (rows >= needs(cells, weights, p)).all(1)
    if p.inter == "bl":
        return fine
    return fine & (pool_of(rows, cells, weights, p)[1].sum(1) >= p.min_train_per_class)


def pool_of(rows: np.ndarray, cells: Cells, weights: np.ndarray, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """Size wanted of every class (L,), and what train, Val and Test-GLT get of every cell (L, A)."""
    left = np.maximum(0, rows - cells.gbl[:, None] - apportion(cells.cbl * len(weights), weights))
    if p.inter == "lt":
        options = {"imbalance": p.imbalance, "power": p.power, "class_size": p.class_size, "given": cells.listed}
        wanted = profiles.sizes(p.profile, rows.sum(1), **options)
        wanted = np.maximum(wanted, p.min_train_per_class)
        return wanted, np.minimum(apportion(wanted, weights), left)
    # The most that a class can hold in the exact proportions of the weights; all classes get what the smallest can.
    most = np.floor((left * weights.sum() / weights).min(1) + _HAIR).astype(np.int64)
    asked = np.full(len(rows), p.class_size or PUBLISHED_CLASS_SIZE, np.int64)
    size = np.minimum(asked, most)
    if p.policy != "relax_class_balance":
        whole = cells.gbl >= p.per_cell
        size = np.minimum(size, size[whole].min(initial=asked[0]))
    return asked, np.minimum(apportion(size, weights), left)


def shrunk(rows: np.ndarray, cells: Cells, weights: np.ndarray, p: Parameters) -> Cells:
    """Cell sizes lowered class by class until they fit: all three tests' alike, or only Test-GBL's (relaxed)."""
    relax = p.policy == "relax_class_balance"
    wanted = cells.gbl
    size = np.minimum(wanted, np.floor(rows.min(1) * p.cap + _HAIR).astype(np.int64))
    while True:
        val = cells.val if relax else size * p.val_per_cell // p.per_cell
        cells = replace(cells, gbl=size, cbl=wanted if relax else size, val=val)
        lower = ~class_ok(rows, cells, weights, p) & (size > 0)
        if not lower.any():
            return cells
        size = size - lower
