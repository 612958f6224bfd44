"""Parameters of the recipe `glt-multi`, and what a split would contain from the counts of images alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from curation.errors import ArgumentError, CurationError
from curation.splits import profiles
from curation.splits.apportion import apportion
from curation.splits.carving import POLICIES
from curation.splits.class_plan import ClassPlan, Counts, Shortfall, by_rank
from curation.splits.plan import SPLITS
from curation.splits.random_keys import random_keys
from curation.splits.settings import MOST, Settings, check_groups, option

PUBLISHED = {"lt": (200, 100), "bl": (100, 50)}  # test and val images a class

_TESTS = ("test_bbl", "test_bl", "test_lt")
_CARVING = (*_TESTS, "val", "train")


@dataclass(frozen=True, kw_only=True)
class MultiAttribute(Settings):
    """How a generalised long tail is carved where an image has any number of attributes.

    The defaults are those of MSCOCO-GLT (Tang et al., ECCV 2022, arXiv 2207.09504; `_COCOGeneration` of
    KaihuaTang/Generalized-Long-Tailed-Benchmarks.pytorch).
    """

    KIND: ClassVar[str] = "glt-multi"

    attributes: str = option(
        "",
        "Table of attributes",
        "CSV or Parquet: path and attribute, or path and a column of 0, 1 or scores for each attribute",
        table="attributes",
    )
    threshold: float = option(0.5, "Attribute from scores above", "An image has an attribute above this", reads=True)
    inter: str = option("lt", "Classes of train", choices={"lt": "long-tailed", "bl": "balanced"})
    test: int | None = option(
        None, "Test images a class", "Of each test set; 200 with lt and 100 with bl unless told", least=1, most=MOST
    )
    val: int | None = option(None, "Val images a class", "100 with lt and 50 with bl unless told", least=0, most=MOST)
    imbalance: float = option(
        200.0,
        "Imbalance factor",
        "Largest to smallest class of train, falling exponentially",
        least=1,
        most=1e9,
        when={"inter": ["lt"]},
    )
    iid: str = option(
        "stratified",
        "Test-GLT and Val",
        "In proportion to the classes, or one uniform draw as published, which may empty a small class",
        choices=("stratified", "uniform"),
        rare=True,
    )
    policy: str = option("error", "A class too small", choices=POLICIES)
    least: int = option(1, "Training images a class, at least", least=0, most=MOST, rare=True)
    fractions: tuple[float, ...] = option((0.38, 0.79), "Medium and tail begin at", "Shares of the classes", rare=True)
    rank_attributes: bool = option(
        True, "Rank images by attributes", "Attribute 0, 1 or 2: the usual, the middle and the rare third", rare=True
    )
    seed: int = option(25, "Seed", "Every random draw comes from it", least=0, rare=True)

    def check(self) -> None:
        check_groups(self.fractions)
        if not np.isfinite(self.threshold):
            raise ArgumentError(f"threshold is {self.threshold}, and must be a number")

    def sizes(self) -> tuple[int, int]:
        """Test and val images a class."""
        test, val = PUBLISHED[self.inter]
        return test if self.test is None else self.test, val if self.val is None else self.val


def plan(counts: Counts, p: MultiAttribute) -> ClassPlan:
    """Split sizes by class; label 0 is the class with most images, equal ones in byte order of names.

    Args:
        counts: of the images that may be used; all have an attribute where nothing tells.
        p: parameters.

    Raises:
        CurationError: a class or the pool is too small and the policy does not allow for it; names the worst with both
            numbers, and sizes that fit.
    """
    total, attributed = _has(counts)
    test, val = p.sizes()
    rows, tests = _tested(counts, p)
    wanted, pool = _pool(total[rows] - 2 * tests, tests == test, p)
    test_lt, vals = _iid(pool, tests, tests * val // test, p)
    drawn = np.maximum(0, wanted - vals - test_lt)
    asked = np.stack([drawn, vals, test_lt, *np.full((2, len(rows)), test)])  # in the order of SPLITS
    found = np.stack([pool - vals - test_lt, vals, test_lt, tests, tests])
    return ClassPlan(
        splits=SPLITS,
        carving=_CARVING,
        order=rows,
        counts=found,
        asked=asked,
        available=total[rows],
        pool=tuple(counts.sources),
        whole={},
        frequency=by_rank(len(rows), p.fractions),
        shortfalls=_shortfalls(counts, rows, found, total, attributed, p),
        dropped=np.setdiff1d(np.arange(len(total)), rows),
        unwanted=np.empty(0, np.int64),
    )


def suggest(counts: Counts, p: MultiAttribute) -> MultiAttribute:
    """The largest tests, up to those asked for, for which no class and no pool is too small; val in proportion.

    Train has no fewer images than all tests together, unless it has so with one image a class; where not even that
    fits, the policy becomes `shrink`.
    """
    most = int(_fitting(*_has(counts), *p.sizes(), p).min(initial=p.sizes()[0]))
    fits, beyond = 0, most + 1
    while beyond - fits > 1:  # what is too much for the pool stays so with larger tests
        size = (fits + beyond) // 2
        fits, beyond = (size, beyond) if _spare(counts, p, size) >= 0 else (fits, size)
    if not fits and (not most or _spare(counts, p, 1) == -np.inf):
        return p.replace(policy="shrink")
    return _sized(p, max(1, fits))


# -- below: fitting --------------------------------------------------------------------------------------------------


def _has(counts: Counts) -> tuple[np.ndarray, np.ndarray]:
    """Images of every class, and those with an attribute, int64 (C,) each."""
    total = counts.available.sum(1)
    return total, total if counts.attributed is None else counts.attributed


def _tested(counts: Counts, p: MultiAttribute) -> tuple[np.ndarray, np.ndarray]:
    """Rows in the order of labels, and images of each test that they give, int64 (L,) each."""
    total, attributed = _has(counts)
    test, val = p.sizes()
    rows = np.argsort(-total, kind="stable")
    tests = _fitting(total, attributed, test, val, p)[rows]
    if p.policy == "error" and (tests < test).any():
        raise CurationError(_explain(counts, total, attributed, p))
    if p.policy == "drop_class":
        rows, tests = rows[tests == test], tests[tests == test]
    if not len(rows):
        raise CurationError(f"all of {len(total):,} classes are too small for {test:,} test images: lower test or val")
    return rows, tests


def _spare(counts: Counts, p: MultiAttribute, size: int) -> float:
    """Training images beyond those of all tests together, of `size` a class; -inf where the pool is too small."""
    try:
        found = plan(counts, _sized(p, size).replace(policy="error"))
    except CurationError:
        return -np.inf
    return float(found.of("train").sum() - sum(found.of(split).sum() for split in _TESTS))


def _sized(p: MultiAttribute, size: int) -> MultiAttribute:
    test, val = p.sizes()
    return p.replace(test=size, val=size * val // test)


def _fitting(total: np.ndarray, attributed: np.ndarray, test: int, val: int, p: MultiAttribute) -> np.ndarray:
    """Images of each test that a class can give, up to `test`, int64 (C,): train and bl's val go along."""
    sizes = np.arange(test + 1)
    need = 2 * sizes + p.least + (sizes * val // test if p.inter == "bl" else 0)
    fits = np.searchsorted(need, total, side="right") - 1
    return np.maximum(0, np.minimum(fits, np.minimum(attributed, test)))


def _pool(left: np.ndarray, whole: np.ndarray, p: MultiAttribute) -> tuple[np.ndarray, np.ndarray]:
    """Images wanted and had of every class for train, Val and Test-GLT together, int64 (L,) each.

    lt: an exponential profile from the largest class down, classes ordered anew by what the tests leave. bl: all get
    what the smallest has, those aside that already gave the tests less.
    """
    if p.inter == "bl":
        wanted = np.full(len(left), left[whole].min(initial=int(left.max())))
    else:
        order = np.argsort(-left, kind="stable")
        wanted = np.empty(len(left), np.int64)
        wanted[order] = profiles.sizes("exp", left[order], imbalance=p.imbalance)
    wanted = np.maximum(wanted, p.least)
    return wanted, np.minimum(wanted, left)


def _iid(pool: np.ndarray, tests: np.ndarray, vals: np.ndarray, p: MultiAttribute) -> tuple[np.ndarray, np.ndarray]:
    """Images of Test-GLT and Val by class, int64 (L,) each, both drawn from the pool of all classes."""
    test, val = int(tests.sum()) if p.inter == "lt" else 0, int(vals.sum())
    free = int(np.maximum(0, pool - p.least).sum())
    if test + val > free:
        if p.policy != "shrink":
            raise CurationError(
                f"Test-GLT and Val want {test + val:,} images, and the pool of train has {free:,} above the least of "
                "each class: lower test, val or imbalance, or set policy=shrink"
            )
        test, val = free * test // (test + val), free * val // (test + val)
    draw = _uniform if p.iid == "uniform" else _stratified
    first = draw(pool, test, p, "test_lt")
    return first, draw(pool - first, val, p, "val")


def _stratified(pool: np.ndarray, total: int, p: MultiAttribute, _: str) -> np.ndarray:
    """In proportion to the pool, leaving every class its least of train."""
    return apportion([total], pool[None], np.maximum(0, pool - p.least)[None])[0]


def _uniform(pool: np.ndarray, total: int, p: MultiAttribute, split: str) -> np.ndarray:
    """Counts of a uniform draw without replacement, as published."""
    keys = random_keys(int(pool.sum()), p.seed, "uniform", split)
    of = np.repeat(np.arange(len(pool)), pool)
    return np.bincount(of[np.argsort(keys, kind="stable")[:total]], minlength=len(pool))


def _shortfalls(
    counts: Counts, rows: np.ndarray, found: np.ndarray, total: np.ndarray, attributed: np.ndarray, p: MultiAttribute
) -> list[Shortfall]:
    """Tests of classes, and Test-GLT and Val of all classes together, that got less than was asked for."""
    test, val = p.sizes()
    short = []
    for label in np.flatnonzero(found[SPLITS.index("test_bbl")] < test).tolist():
        name, has = counts.names[rows[label]], int(found[SPLITS.index("test_bbl"), label])
        why = f"the class has {total[rows[label]]:,} images, {attributed[rows[label]]:,} of them with an attribute"
        short += [Shortfall(name, split, test, has, why) for split in ("test_bl", "test_bbl")]
    for split, wanted in (("test_lt", test if p.inter == "lt" else 0), ("val", val)):
        has = int(found[SPLITS.index(split)].sum())
        if has < wanted * len(rows):
            why = "drawn from the pool of all classes; smaller classes count for less"
            short.append(Shortfall("all classes", split, wanted * len(rows), has, why))
    return short


def _explain(counts: Counts, total: np.ndarray, attributed: np.ndarray, p: MultiAttribute) -> str:
    """The worst classes in words, and sizes that would fit."""
    test, val = p.sizes()
    need = 2 * test + p.least + (val if p.inter == "bl" else 0)
    lines = [
        (int(has - wanted), f"class {counts.names[row]!r} has {has:,} {what} and needs {wanted:,}")
        for row, pair in enumerate(zip(attributed.tolist(), total.tolist(), strict=True))
        for has, wanted, what in ((pair[0], test, "images with an attribute"), (pair[1], need, "images"))
        if has < wanted
    ]
    small = int(((attributed < test) | (total < need)).sum())
    more = f"; and {len(lines) - 5:,} more" if len(lines) > 5 else ""
    fit = suggest(counts, p)
    sizes = f"test={fit.sizes()[0]} and val={fit.sizes()[1]} (instead of {test} and {val}), or " * (
        fit.sizes() != p.sizes()
    )
    return (
        f"{small:,} of {len(total):,} classes are too small: {'; '.join(text for _, text in sorted(lines)[:5])}{more}. "
        f"Set {sizes}policy=shrink or drop_class"
    )
