"""Parameters that all recipes share which carve train, val and test out of the images of each class."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from curation.errors import ArgumentError
from curation.splits.settings import MOST, Settings, Share, check_groups, check_share, option

ORDERS = {"name": "by name", "size": "largest first", "given": "as listed"}
POLICIES = {
    "error": "refuse, and say what is short",
    "shrink": "take what there is",
    "drop_class": "leave the class out",
}
RULES = {"count": "by training images", "rank": "by rank of the class"}


@dataclass(frozen=True, kw_only=True)
class Carving(Settings):
    """Parameters of every recipe that carves train, val and test out of the images of each class."""

    CLASS_LISTS: ClassVar[tuple[str, ...]] = ("classes",)

    classes: tuple[str, ...] = option((), "Classes", "Only these, by name or WNID; all when empty", rare=True)
    val: Share = option(0.1, "Val", "A share of each class, images a class, or source:NAME")
    test: Share = option(0.1, "Test", "A share of each class, images a class, or source:NAME")
    pool: str = option("", "Draw from source split", "Empty: all that no split takes whole", rare=True)
    order: str = option("name", "Order of labels", choices=ORDERS, rare=True)
    policy: str = option("error", "A class too small", choices=POLICIES)
    least: int = option(1, "Training images a class, at least", least=0, most=MOST, rare=True)
    frequency: str = option("count", "Head, medium, tail", choices=RULES, rare=True)
    thresholds: tuple[float, ...] = option(
        (100.0, 20.0), "Head above, tail below", "Training images", rare=True, when={"frequency": ["count"]}
    )
    fractions: tuple[float, ...] = option(
        (0.40, 0.85), "Medium and tail begin at", "Shares of the classes", rare=True, when={"frequency": ["rank"]}
    )
    seed: int = option(25, "Seed", "Every random draw comes from it", least=0, rare=True)

    def check(self) -> None:
        for key in ("val", "test"):
            check_share(key, getattr(self, key))
        (name, times) = next(iter(Counter(self.classes).most_common(1)), ("", 0))
        if times > 1:
            raise ArgumentError(f"classes lists {name!r} {times} times: list every class once")
        if self.order == "given" and not self.classes:
            raise ArgumentError("order is 'given' and classes lists 0: list the classes in the order of labels")
        shares = [v for v in (self.val, self.test) if isinstance(v, float) and v < 1]
        if sum(shares) >= 1:
            raise ArgumentError(f"val and test are {self.val} and {self.test}: together they must be below 1")
        if isinstance(self.val, str) and self.val == self.test:
            raise ArgumentError(f"val and test are both {self.val!r}: one source split cannot be two splits")
        check_groups(self.fractions, self.thresholds)
