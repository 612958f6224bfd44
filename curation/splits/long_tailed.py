"""The kind of recipe `long-tailed`: training classes whose sizes follow a published list or a law."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from curation.errors import ArgumentError
from curation.splits import class_draw, profiles
from curation.splits.carving import POLICIES, Carving
from curation.splits.class_plan import ClassPlan, Counts, allot, label_order, room
from curation.splits.inputs import Inputs
from curation.splits.kind import Kind
from curation.splits.pool import Pool
from curation.splits.random_keys import permutation
from curation.splits.result import Result
from curation.splits.settings import MOST, option

PROFILES = {
    "imagenet-lt": "ImageNet-LT, as published",
    "places-lt": "Places-LT, by its totals",
    "pareto": "Pareto",
    "exp": "exponential, as CIFAR-LT",
    "step": "step, as CIFAR-LT",
    "uniform": "uniform draws",
    "balanced": "all alike",
    "natural": "as they are",
    "list": "sizes of my own",
}
SIZES_BY = {"size": "by size of class", "label": "by order of labels", "random": "by chance"}
DRAWS = {"quantiles": "quantiles of the law", "random": "by chance"}
CHOICES = {"seeded": "by seed", "ldam": "as LDAM-DRW does"}
_LAWS = ("pareto", "exp", "step", "uniform")
_SCALED = ("imagenet-lt", "places-lt", "balanced")


@dataclass(frozen=True, kw_only=True)
class LongTailed(Carving):
    """How train gets its long tail; val and test are drawn, or source splits taken whole, before it is.

    Train is drawn from what val and test leave, so a class may have fewer images than its size asks for: with the
    policy `shrink`, as published, it then has what there is.
    """

    KIND: ClassVar[str] = "long-tailed"

    policy: str = option("shrink", "A class too small", choices=POLICIES)
    profile: str = option("imagenet-lt", "Training images by class", choices=PROFILES)
    imbalance: float = option(
        100.0, "Imbalance factor", "Largest class over smallest", least=1, most=MOST, when={"profile": _LAWS}
    )
    power: float = option(
        6.0, "Power of the Pareto law", "ImageNet-LT was drawn with 6", least=0.01, most=1000,
        when={"profile": ["pareto"]},
    )  # fmt: skip
    largest: int | None = option(
        None, "Largest class", "Images; what there is when empty", least=1, most=MOST, rare=True,
        when={"profile": [*_LAWS, *_SCALED]},
    )  # fmt: skip
    smallest: int | None = option(
        None, "Smallest class", "Images, instead of the imbalance factor", least=1, most=MOST, rare=True,
        when={"profile": _LAWS},
    )  # fmt: skip
    sizes: tuple[int, ...] = option((), "Sizes", "One for each class", when={"profile": ["list"]})
    draw: str = option("quantiles", "Sizes of the law", choices=DRAWS, rare=True, when={"profile": ["pareto"]})
    sizes_by: str = option("size", "Which class gets which size", choices=SIZES_BY)
    choose: str = option("seeded", "Which images", choices=CHOICES, rare=True)

    def check(self) -> None:
        super().check()
        profiles.check_listed(self.profile, self.sizes)
        if self.largest is not None and self.smallest is not None and self.smallest > self.largest:
            raise ArgumentError(f"smallest is {self.smallest:,} and largest {self.largest:,}: swap them")
        if self.choose == "ldam" and self.seed >= 2**32:
            raise ArgumentError(f"seed is {self.seed}, and with choose=ldam must be below {2**32}")


def plan(counts: Counts, p: LongTailed) -> ClassPlan:
    """Split sizes by class; see `class_plan.allot`.

    Raises:
        ArgumentError: `sizes` has not one entry for each class.
    """
    first = ("train",) if p.choose == "ldam" else ("test", "val")
    if p.profile != "list":
        return allot(counts, p, train=partial(_train, p), first=first)
    # A class keeps its entry of the list whatever other classes are dropped.
    everyone, listed = label_order(counts, p), np.zeros(len(counts.names), np.int64)
    listed[everyone] = _train(p, room(counts, p)[everyone], everyone)
    return allot(counts, p, train=lambda _, order: listed[order], first=first)


def carve(inputs: Inputs, p: LongTailed) -> Result:
    """Carve a long-tailed split; see `class_draw.carve`."""
    return class_draw.carve(inputs, p, plan=plan, keys=ldam_keys if p.choose == "ldam" else None)


def ldam_keys(pool: Pool, p: Carving) -> np.ndarray:
    """Place of every image in its class's list as kaidic/LDAM-DRW (imbalance_cifar.py) shuffles it, int64 (N,).

    One `numpy.random.RandomState(seed)` shuffles the index list of each class in the order of labels, and the first
    images are train's. Images that no split draws from are in no list; byte order of paths stands for the order of the
    data set.
    """
    whole = {value[7:] for value in (p.val, p.test) if isinstance(value, str)}
    drawn_from = {p.pool} if p.pool else set(pool.sources) - whole
    drawn = np.isin(pool.source, [i for i, source in enumerate(pool.sources) if source in drawn_from])
    rows = np.flatnonzero(drawn)
    edges = np.searchsorted(pool.cls[rows], np.arange(len(pool.names) + 1))
    keys = np.full(len(pool.cls), len(pool.cls), np.int64)
    generator = np.random.RandomState(p.seed)
    for row in label_order(Counts(pool.names, pool.sources, pool.by_source()), p):
        mine = rows[edges[row] : edges[row + 1]]
        generator.shuffle(mine)
        keys[mine] = np.arange(len(mine))
    return keys


KIND = Kind(
    name="long-tailed",
    title="Long tail",
    about="Train with class sizes from a published list or a law, such as ImageNet-LT's or CIFAR-LT's; val and test",
    settings=LongTailed,
    carve=carve,
    plan=plan,
)


# -- below: sizes ----------------------------------------------------------------------------------------------------


def _train(p: LongTailed, has: np.ndarray, _order: np.ndarray) -> np.ndarray:
    """Training images wanted of every label, int64 (L,), of `has` (L,) that val and test leave."""
    drawn = p.profile == "uniform" or (p.profile == "pareto" and p.draw == "random")
    ranked = profiles.sizes(
        p.profile,
        has,
        imbalance=p.imbalance,
        power=p.power,
        class_size=p.largest,
        smallest=p.smallest,
        seed=p.seed if drawn else None,
        given=p.sizes,
    )
    if p.profile == "natural" or p.sizes_by == "label":
        return ranked
    if p.sizes_by == "random":
        return ranked[permutation(len(has), p.seed, "sizes")]
    found = np.empty_like(ranked)
    found[np.argsort(-has, kind="stable")] = -np.sort(-ranked)
    return found
