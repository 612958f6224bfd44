"""Parameters of the recipe `glt`: their defaults, and what each may be."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.errors import ArgumentError
from curation.splits.profiles import PROFILES

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
class Parameters:
    """How a generalised long-tail split is carved. The defaults are those of ImageNet-GLT.

    (Tang et al., ECCV 2022, arXiv 2207.09504; repository KaihuaTang/Generalized-Long-Tailed-Benchmarks.pytorch.)
    A cell is one attribute of one class.
    """

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

    def __post_init__(self) -> None:
        _check_choices(self)
        _check_numbers(self)
        _check_lists(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Parameters:
        """Parameters from a recipe's JSON or the command line.

        Raises:
            ArgumentError: a key is unknown, or a value has the wrong type or cannot work; names key and both numbers.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
                raise ArgumentError(f"unknown parameter {key!r} of recipe 'glt': {hint}")
        return cls(**{key: _typed(key, str(known[key].type), value) for key, value in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Every parameter as JSON has it; `from_dict` reads it back."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {k: list(v) if isinstance(v, tuple) else dict(v) if k == "custom" else v for k, v in found.items()}

    def replace(self, **changes: Any) -> Parameters:
        """A copy with some parameters changed, checked again."""
        return Parameters.from_dict(self.to_dict() | changes)

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


def _typed(key: str, annotation: str, value: Any) -> Any:
    """The value as the field has it, so that 20 passes for 20.0 but '20' and true do not."""
    if value is None and annotation.endswith("| None"):
        return None
    kind = annotation.removesuffix(" | None")
    number = isinstance(value, int | float) and not isinstance(value, bool) and value == value
    if kind == "str" and isinstance(value, str):
        return value
    if kind == "int" and number and value == int(value if math.isfinite(value) else 0):
        return int(value)
    if kind == "float" and number:
        return float(value)
    if kind.startswith("tuple") and isinstance(value, Sequence) and not isinstance(value, str):
        inner = "str" if "str" in kind else "float"
        return tuple(_typed(f"{key}[{i}]", inner, entry) for i, entry in enumerate(value))
    if kind.startswith("Mapping") and isinstance(value, Mapping):
        return {str(name): _typed(f"{key}[{name}]", "int", entry) for name, entry in value.items()}
    wanted = {"str": "a text", "int": "a whole number", "float": "a number"}.get(kind, "a list")
    wanted = "a table of class names" if kind.startswith("Mapping") else wanted
    raise ArgumentError(f"{key} is {value!r} ({type(value).__name__}), and must be {wanted}")
