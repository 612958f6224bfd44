"""Parameters of the recipe `glt`: their defaults, and what each may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from curation.errors import ArgumentError
from curation.splits.profiles import PROFILES, check_listed
from curation.splits.settings import MOST, Settings, check_groups, option

PUBLISHED_WEIGHTS = (7.0, 2.0, 1.0)
PUBLISHED_CLASS_SIZE = 145

POLICIES = {
    "error": "refuse, and say what is short",
    "shrink": "give it smaller test and val cells",
    "drop_class": "leave the class out",
    "relax_class_balance": "let its tests be smaller",
}
ORDERS = {"size": "largest first", "name": "by name", "random": "random", "given": "as given"}
RULES = {"rank": "by rank of the class", "count": "by training images", "custom": "as told"}
_SHAPED = ("pareto", "exp", "step")


@dataclass(frozen=True, kw_only=True)
class Parameters(Settings):
    """How a generalised long-tail split is carved. The defaults are those of ImageNet-GLT.

    (Tang et al., ECCV 2022, arXiv 2207.09504; repository KaihuaTang/Generalized-Long-Tailed-Benchmarks.pytorch.)
    A cell is one attribute of one class.
    """

    KIND: ClassVar[str] = "glt"
    CLASS_LISTS: ClassVar[tuple[str, ...]] = ("class_order",)

    inter: str = option("lt", "Classes of train", choices={"lt": "long-tailed", "bl": "balanced"})
    per_cell: int = option(20, "Test images a cell", "A cell is one attribute of one class", least=1, most=MOST)
    val_per_cell: int = option(10, "Val images a cell", "A class has as many times its attributes", least=0, most=MOST)
    profile: str = option(
        "imagenet-glt", "Class sizes", "Of train, Val and Test-GLT together", choices=PROFILES, when={"inter": ["lt"]}
    )
    imbalance: float = option(
        100.0,
        "Imbalance factor",
        "Largest class over the smallest",
        least=1,
        when={"inter": ["lt"], "profile": _SHAPED},
    )
    power: float = option(6.0, "Power of the Pareto law", when={"inter": ["lt"], "profile": ["pareto"]})
    sizes: tuple[int, ...] = option(
        (), "Sizes", "One for each class, in the order of labels", when={"inter": ["lt"], "profile": ["list"]}
    )
    class_size: int | None = option(
        None, "Images a class", "At most, for train and val", least=1, most=MOST, when={"inter": ["bl"]}
    )  # lt: see `profiles.sizes`; bl: 145 when None
    policy: str = option("error", "A class too small", choices=POLICIES)
    attributes: int | None = option(
        None, "Attributes", "Merge clusters anew into so many; empty: as clustered", least=1, most=MOST, rare=True
    )
    weights: tuple[float, ...] | None = option(
        None, "Weights of attributes", "Inside a class; 7, 2, 1 for three", rare=True
    )
    cap: float = option(0.25, "Test-GBL takes at most", "Share of a cell", rare=True)
    order: str = option(
        "size",
        "Order of classes",
        choices=ORDERS,
        rare=True,
    )
    class_order: tuple[str, ...] = option((), "Classes in order", when={"order": ["given"]}, rare=True)
    min_train_per_class: int = option(1, "Training images a class, at least", least=0, most=MOST, rare=True)
    iid: str = option(
        "stratified",
        "Val and Test-GLT drawn",
        "Stratified: by cell; uniform: from all classes alike, as published",
        choices=("stratified", "uniform"),
        when={"inter": ["lt"]},
        rare=True,
    )
    frequency: str = option(
        "rank",
        "Head, medium, tail",
        choices=RULES,
        rare=True,
    )
    fractions: tuple[float, ...] = option(
        (0.40, 0.85), "Medium and tail begin at", "Shares of the classes", when={"frequency": ["rank"]}, rare=True
    )
    thresholds: tuple[float, ...] = option(
        (100.0, 20.0), "Head above, tail below", "Training images", when={"frequency": ["count"]}, rare=True
    )
    custom: Mapping[str, int] = option({}, help="Class name: 0, 1 or 2 (head, medium, tail)")
    seed: int = option(25, "Seed", "Every random draw comes from it", least=0, rare=True)
    mode: str = option(
        "default",
        "Procedure",
        "As published: its sizes and its defects, to the letter",
        choices={"default": "corrected", "legacy": "as published"},
        rare=True,
    )

    def check(self) -> None:
        _check_numbers(self)
        _check_lists(self)

    def attribute_weights(self, attributes: int) -> np.ndarray:
        """Weight of every attribute, float64 (A,); by default 7 falling geometrically to 1, (7, 2, 1) for three.

        Raises:
            ArgumentError: there are not as many weights as attributes.
        """
        if self.weights is None:
            if attributes == 3:
                return np.array(PUBLISHED_WEIGHTS)
            return np.round(7.0 ** (1 - np.arange(attributes) / max(1, attributes - 1)), 2)
        if len(self.weights) != attributes:
            raise ArgumentError(
                f"weights has {len(self.weights)} entries and the clusters have {attributes} attributes: "
                "give one weight for each attribute"
            )
        return np.array(self.weights)


def _check_numbers(p: Parameters) -> None:
    if not 0 < p.cap <= 1:
        raise ArgumentError(f"cap is {p.cap}, and must be above 0 and at most 1")
    if not 0 < p.power < math.inf:
        raise ArgumentError(f"power is {p.power}, and must be above 0")


def _check_lists(p: Parameters) -> None:
    if p.weights is not None:
        bad = [w for w in p.weights if not 0 < w < math.inf]
        if bad or not p.weights:
            total = sum(p.weights)
            raise ArgumentError(
                f"weights are {list(p.weights)} and sum to {total:g}: every one must be above 0, {len(bad)} are not"
            )
    check_groups(p.fractions, p.thresholds)
    check_listed(p.profile, p.sizes)
    if p.order == "given" and not p.class_order:
        raise ArgumentError("order is 'given' and class_order names 0 classes: name every class once")
    if any(value not in (0, 1, 2) for value in p.custom.values()):
        raise ArgumentError(f"custom says {sorted(set(p.custom.values()))}: use 0 (head), 1 (medium) or 2 (tail)")
