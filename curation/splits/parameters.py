"""Parameters of the recipe `glt`: their defaults, and what each may be."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from curation.errors import ArgumentError
from curation.splits.profiles import PROFILES
from curation.splits.settings import Settings

PUBLISHED_WEIGHTS = (7.0, 2.0, 1.0)
PUBLISHED_CLASS_SIZE = 145

CHOICES = {
    "inter": ("lt", "bl"),
    "mode": ("default", "legacy"),
    "profile": PROFILES,
    "order": ("size", "name", "random", "given"),
    "policy": ("error", "shrink", "drop_class", "relax_class_balance"),
    "iid": ("stratified", "uniform"),
    "frequency": ("rank", "count", "custom"),
}


@dataclass(frozen=True, kw_only=True)
class Parameters(Settings):
    """How a generalised long-tail split is carved. The defaults are those of ImageNet-GLT.

    (Tang et al., ECCV 2022, arXiv 2207.09504; repository KaihuaTang/Generalized-Long-Tailed-Benchmarks.pytorch.)
    A cell is one attribute of one class.
    """

    KIND: ClassVar[str] = "glt"

    inter: str = "lt"  # classes of train long-tailed or balanced
    mode: str = "default"  # legacy: the published procedure to the letter
    seed: int = 25
    attributes: int | None = None  # merge clusters anew into so many; as they stand in the clusters when None
    weights: tuple[float, ...] | None = None  # of attributes inside a class; (7, 2, 1) for three
    per_cell: int = 20  # Test-GBL images of a cell; Test-CBL and Test-GLT have as many a class in all
    val_per_cell: int = 10  # a class's Val images are this times the attributes
    cap: float = 0.25  # the most of a cell that Test-GBL may take
    profile: str = "imagenet-glt"  # class sizes of train, Val and Test-GLT together, before these are drawn (lt)
    imbalance: float = 100.0  # of the profiles pareto, exp and step
    power: float = 6.0  # of the profile pareto
    class_size: int | None = None  # bl: the most images a class has for train and Val, 145; lt: see `profiles.sizes`
    order: str = "size"  # of classes in the profile, which is that of labels
    class_order: tuple[str, ...] = ()  # the order `given`
    policy: str = "error"  # what happens to a class with a cell too small
    min_train_per_class: int = 1
    iid: str = "stratified"  # Test-GLT and Val of lt: by cell, or a uniform draw from the pool
    frequency: str = "rank"  # head, medium, tail by rank of label, by training images, or as told
    fractions: tuple[float, ...] = (0.40, 0.85)  # of classes: where medium and tail begin (rank)
    thresholds: tuple[float, ...] = (100.0, 20.0)  # head above the first, tail below the second (count)
    custom: Mapping[str, int] = dataclasses.field(default_factory=dict)  # class name: 0, 1 or 2 (custom)

    def check(self) -> None:
        _check_choices(self)
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


def _check_choices(p: Parameters) -> None:
    for key, allowed in CHOICES.items():
        if getattr(p, key) not in allowed:
            raise ArgumentError(f"{key} is {getattr(p, key)!r}: choose one of {', '.join(allowed)}")


def _check_numbers(p: Parameters) -> None:
    for key, least in (("per_cell", 1), ("val_per_cell", 0), ("min_train_per_class", 0), ("imbalance", 1), ("seed", 0)):
        if not getattr(p, key) >= least or math.isinf(getattr(p, key)):
            raise ArgumentError(f"{key} is {getattr(p, key)}, and must be at least {least}")
    for key in ("attributes", "class_size"):
        if getattr(p, key) is not None and getattr(p, key) < 1:
            raise ArgumentError(f"{key} is {getattr(p, key)}, and must be at least 1")
    for key in ("per_cell", "val_per_cell", "min_train_per_class", "class_size", "attributes"):
        if (getattr(p, key) or 0) > 1_000_000:
            raise ArgumentError(f"{key} is {getattr(p, key):,}, and may be 1,000,000 at most")
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
    for key in ("fractions", "thresholds"):
        if len(getattr(p, key)) != 2:
            raise ArgumentError(f"{key} has {len(getattr(p, key))} entries, and must have 2")
    if not 0 <= p.fractions[0] <= p.fractions[1] <= 1:
        raise ArgumentError(f"fractions are {list(p.fractions)}: they must rise from 0 to 1")
    if p.thresholds[0] < p.thresholds[1]:
        raise ArgumentError(f"thresholds are {list(p.thresholds)}: the first must not be below the second")
    if p.order == "given" and not p.class_order:
        raise ArgumentError("order is 'given' and class_order names 0 classes: name every class once")
    if any(value not in (0, 1, 2) for value in p.custom.values()):
        raise ArgumentError(f"custom says {sorted(set(p.custom.values()))}: use 0 (head), 1 (medium) or 2 (tail)")
