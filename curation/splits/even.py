"""Recipes for even splits: every class in its proportion, all classes alike, or a few training images of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from curation.errors import ArgumentError
from curation.splits import class_draw
from curation.splits.apportion import apportion
from curation.splits.carving import Carving
from curation.splits.class_plan import ClassPlan, Counts, allot, share
from curation.splits.kind import Kind
from curation.splits.settings import MOST, Share, check_share, option

ROUNDINGS = {"total": "to exact totals", "class": "class by class"}
RESTS = {"test": "to test", "spare": "to no split"}


@dataclass(frozen=True, kw_only=True)
class Stratified(Carving):
    """Parameters of `stratified`."""

    KIND: ClassVar[str] = "stratified"

    train: Share = option(None, "Train", "A share of each class, or images a class; all that is left when empty")
    rounding: str = option("total", "Shares are rounded", choices=ROUNDINGS, rare=True)

    def check(self) -> None:
        super().check()
        check_train(self.train, self.val, self.test)


def plan_stratified(counts: Counts, p: Stratified) -> ClassPlan:
    """Every class in its proportion.

    Shares are rounded by largest remainders, so that the total of each split is exact and every class less than two
    images off its share; or class by class.

    Raises:
        ArgumentError, TooFew: as for `class_plan.allot`.
    """
    exact = p.rounding == "total"
    return allot(counts, p, sizes=lambda has, _: shares(p.train, p.val, p.test, has, p.least, exact=exact))


@dataclass(frozen=True, kw_only=True)
class Balanced(Carving):
    """Parameters of `balanced`."""

    KIND: ClassVar[str] = "balanced"

    size: int | None = option(
        None, "Training images a class", "As many as the smallest class has when empty", least=1, most=MOST
    )
    val: Share = option(0.1, "Val", "A share of the smallest class, images a class, or source:NAME")
    test: Share = option(0.1, "Test", "A share of the smallest class, images a class, or source:NAME")


def plan_balanced(counts: Counts, p: Balanced) -> ClassPlan:
    """The same number of images of every class in each split.

    Without a size, train takes what the smallest class has left. Classes too small for the counts asked for do not
    hold the others down: they are short.

    Raises:
        ArgumentError, TooFew: as for `class_plan.allot`.
    """
    least = max(p.least, p.size or 0)

    def sizes(has: np.ndarray, _order: np.ndarray) -> np.ndarray:
        tests = np.stack([share(p.val, has), share(p.test, has)])
        enough = has - tests.sum(0) >= least
        smallest = int(has[enough if enough.any() else slice(None)].min(initial=MOST))
        val, test = (int(share(value, np.array([smallest]))[0]) for value in (p.val, p.test))
        size = p.size or max(least, smallest - val - test)
        return np.tile(np.array([[size], [val], [test]], np.int64), len(has))

    return allot(counts, p.replace(least=least), sizes=sizes)


@dataclass(frozen=True, kw_only=True)
class KShot(Carving):
    """Parameters of `k-shot`."""

    KIND: ClassVar[str] = "k-shot"

    k: int = option(5, "Training images a class", "k", least=1, most=MOST)
    val: Share = option(None, "Val", "A share of each class, images a class, or source:NAME")
    test: Share = option(None, "Test", "A share of each class, images a class, or source:NAME")
    rest: str = option("test", "The rest goes", "When test is empty", choices=RESTS, when={"test": [None, 0]})
    least: int = option(1, help="As for other recipes; k at most", least=0, most=MOST)

    def check(self) -> None:
        super().check()
        if self.least > self.k:
            raise ArgumentError(f"least is {self.least:,} and k {self.k:,}: every class has k training images")


def plan_k_shot(counts: Counts, p: KShot) -> ClassPlan:
    """k training images of every class; test is as asked for, or all that train and val leave.

    Raises:
        ArgumentError, TooFew: as for `class_plan.allot`.
    """

    def sizes(has: np.ndarray, _order: np.ndarray) -> np.ndarray:
        train, val, test = np.full(len(has), p.k, np.int64), share(p.val, has), share(p.test, has)
        if p.rest == "test" and not p.test:
            test = np.maximum(0, has - train - val)
        return np.stack([train, val, test])

    return allot(counts, p.replace(least=p.k), sizes=sizes)


def shares(train: Share, val: Share, test: Share, has: np.ndarray, least: int, *, exact: bool = True) -> np.ndarray:
    """Images of train, val and test for classes with `has` images (L,), int64 (3, L).

    Counts are as they are, and a class may have too few; shares are rounded, and leave train its least.

    Args:
        train: all that val and test leave when None.
        least: training images of a class, at least.
        exact: round shares so that their totals over all classes are exact.
    """
    found = np.stack([share(value, has) for value in (train, val, test)])
    if exact:
        room = np.maximum(0, has - least - sum(found[i] for i, v in ((1, val), (2, test)) if not _is_share(v)))
        totals = [int(has.sum() * v + 0.5) if _is_share(v) else 0 for v in (val, test)]
        # Both together first, so that a class that val rounds up is one that test rounds down.
        held = apportion([sum(totals)], has, room[None])[0]
        if _is_share(val):
            found[1] = apportion([totals[0]], has, held[None])[0]
        if _is_share(test):
            found[2] = held - (found[1] if _is_share(val) else 0)
        if _is_share(train):
            rest = np.maximum(0, has - found[1] - found[2])
            found[0] = apportion([int(has.sum() * train + 0.5)], has, rest[None])[0]
    if train is None:
        found[0] = has - found[1] - found[2]
    return np.vstack([np.maximum(found[0], least), found[1:]])


def check_train(train: Share, val: Share, test: Share) -> None:
    """Raises ArgumentError when `train` cannot be, or the three shares are more than all."""
    check_share("train", train)
    if isinstance(train, str):
        raise ArgumentError(f"train is {train!r}: give a share or a number, and set pool to draw from one source split")
    total = sum(v for v in (train, val, test) if _is_share(v))
    if total > 1 + 1e-9:
        raise ArgumentError(f"train, val and test are {train}, {val} and {test}: together {total:g}, and 1 is all")


def _is_share(value: Share) -> bool:
    return isinstance(value, int | float) and 0 < value < 1


STRATIFIED = Kind(
    name="stratified",
    title="Stratified",
    about="Train, val and test with every class in its proportion",
    settings=Stratified,
    carve=partial(class_draw.carve, plan=plan_stratified),
    plan=plan_stratified,
)
BALANCED = Kind(
    name="balanced",
    title="Balanced",
    about="The same number of images of every class",
    settings=Balanced,
    carve=partial(class_draw.carve, plan=plan_balanced),
    plan=plan_balanced,
)
K_SHOT = Kind(
    name="k-shot",
    title="k-shot",
    about="A few training images of every class, the rest to test",
    settings=KShot,
    carve=partial(class_draw.carve, plan=plan_k_shot),
    plan=plan_k_shot,
)
