"""Near-duplicate pairs that may end on two sides of a split: how many to expect before it is carved, and how many did.

A pair of images of one class with n images, of which k_s go to split s at random, is in splits s and t with the
probability k_s k_t / (n (n - 1)) for each order; two images of different classes with k_s l_t / (n m). The sums over
all pairs are exact as expectations, since they need no independence between pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from curation import judgements
from curation.exclusions import read_pairs
from curation.splits.class_plan import ClassPlan, Counts
from curation.splits.inputs import Inputs
from curation.splits.pool import Pool, place_of
from curation.splits.result import coded
from curation.workspace import Workspace

DOUBTED = ("unsure", judgements.CONTESTED)


class Candidates(NamedTuple):
    """Pairs of images that may be near duplicates, of which both may be drawn.

    `image_a`, `image_b` int64 (P,); `probability` float64 (P,), that they are; `doubted` bool (P,): people are unsure
    or disagree.
    """

    image_a: np.ndarray
    image_b: np.ndarray
    probability: np.ndarray
    doubted: np.ndarray


class Located(NamedTuple):
    """Candidates by class and source split: rows of a pool's `names` and `sources`, int64 (P,) each side of a pair."""

    cls: np.ndarray
    source: np.ndarray
    other_cls: np.ndarray
    other_source: np.ndarray
    probability: np.ndarray
    doubted: np.ndarray


@dataclass(frozen=True)
class Leaks:
    """`between` float64 (S, S), upper triangle: pairs expected in two splits; `doubted`: the part of `total` that is of
    pairs that people doubt; `pairs`: candidates that were looked at, `doubted_pairs` of them doubted."""

    splits: tuple[str, ...]
    between: np.ndarray
    doubted: float
    pairs: int
    doubted_pairs: int

    @property
    def total(self) -> float:
        return float(self.between.sum())

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `between` as {split: {split: pairs}}."""
        rows = {
            one: {two: float(self.between[i, j]) for j, two in enumerate(self.splits) if j > i}
            for i, one in enumerate(self.splits[:-1])
        }
        counts = {"pairs": self.pairs, "doubted_pairs": self.doubted_pairs}
        return {"expected": self.total, "doubted": self.doubted, **counts, "between": rows}


def pairs_of(workspace: Workspace, inputs: Inputs, *, until: int | None = None) -> Candidates:
    """Pairs of a workspace whose images may both be drawn, though they are or may be near duplicates.

    Undecided pairs count with the probability of the pairs table (0 where it has none): those that the rule leaves
    open, and those that people are unsure of or disagree on. Pairs that stand as duplicates count in full: there are
    some where the inputs take no note of duplicates. Pairs that are in one group, or of which an image is excluded, do
    not count, nor do those that the rule or people call different, or people related.

    Args:
        workspace: whose pairs and verdicts are read; without rows when no search was made.
        inputs: of the split.
        until: take people's verdicts only to this position of the ledger.
    """
    columns = ["image_a", "image_b", "reference", "probability", "decision"]
    keys = ["image_a", "image_b"]
    found = read_pairs(workspace, columns)
    found = found[found["reference"] == ""]
    said = judgements.verdicts(workspace, until=until)
    said = said.loc[said["reference"] == "", [*keys, "verdict"]]
    both = found.drop(columns="reference").merge(said, on=keys, how="outer")
    verdict = both["verdict"].astype(object).fillna("")
    decision = both["decision"].astype(object).fillna("")
    doubted = verdict.isin(DOUBTED)
    certain = (verdict == "duplicate") | ((verdict == "") & (decision == "duplicate"))
    probability = both["probability"].astype(np.float64).fillna(0.0).where(~certain, 1.0)
    both = both.assign(probability=probability, doubted=doubted)
    both = both[certain | doubted | ((verdict == "") & (decision == "candidate"))]
    both = both[_may_leak(both, inputs)].sort_values(keys)
    return Candidates(*(both[name].to_numpy() for name in (*keys, "probability", "doubted")))


def locate(candidates: Candidates, pool: Pool) -> Located:
    """Class and source split of the images of candidates; pairs with an image that is not in the pool are left out."""
    a, b = (place_of(ids, pool.image_id) for ids in (candidates.image_a, candidates.image_b))
    there = (a >= 0) & (b >= 0)
    a, b = a[there], b[there]
    rows = (pool.cls[a], pool.source[a], pool.cls[b], pool.source[b])
    return Located(*rows, candidates.probability[there], candidates.doubted[there])


def planned_leaks(located: Located, counts: Counts, planned: ClassPlan) -> Leaks:
    """Pairs expected on two sides of a split that is not carved yet, drawn as a class plan says.

    Images of a class that the plan draws from are taken to be alike; those in a source split that is taken whole are
    where it is.
    """
    sizes, available, rows = strata(counts, planned)
    row, other = rows[located.cls, located.source], rows[located.other_cls, located.other_source]
    return _leaks(planned.splits, (row, other, located.probability), located.doubted, sizes, available)


def made_leaks(candidates: Candidates, split: pa.Table) -> Leaks:
    """Pairs whose images are in two splits of a split table (schema SPLIT), by their probabilities."""
    names, inside = coded(split["split"])
    ids = split["image_id"].to_numpy()
    last = int(max((side.max(initial=-1) for side in (ids, *candidates[:2])), default=-1))
    codes = np.full(last + 1, -1, np.int64)
    codes[ids] = inside
    ends = (codes[candidates.image_a], codes[candidates.image_b])
    # One stratum a split, of one image that is in it for certain.
    unit, one = np.eye(len(names), dtype=np.int64), np.ones(len(names), np.int64)
    return _leaks(names, (*ends, candidates.probability), candidates.doubted, unit, one)


def strata(counts: Counts, planned: ClassPlan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sets of images that a plan draws from alike: each class in the plan's pool, and each source split taken whole.

    Returns:
        Images that go to each split, int64 (S, R); images that there are, int64 (R,); and the set of every class and
        source split, int64 (C, U), -1 where no image is drawn.
    """
    pool = np.array([counts.sources.index(name) for name in planned.pool], np.int64)
    whole = np.array([planned.splits.index(name) for name in planned.whole], np.int64)
    drawn = planned.counts.copy()
    drawn[whole] = 0
    labels = len(planned.order)
    sizes, available = [drawn], [counts.available[planned.order][:, pool].sum(1)]
    rows = np.full((len(counts.names), len(counts.sources)), -1, np.int64)
    rows[planned.order[:, None], pool] = np.arange(labels)[:, None]
    for step, (split, source) in enumerate(planned.whole.items(), 1):
        column = counts.sources.index(source)
        of = np.zeros_like(drawn)
        of[planned.splits.index(split)] = counts.available[planned.order, column]
        sizes.append(of)
        available.append(counts.available[planned.order, column])
        rows[planned.order, column] = step * labels + np.arange(labels)
    return np.hstack(sizes), np.concatenate(available), rows


def straddling(
    a: np.ndarray, b: np.ndarray, probability: np.ndarray, sizes: np.ndarray, available: np.ndarray
) -> np.ndarray:
    """Expected number of pairs with one image in one split and one in another.

    Args:
        a, b: the sets that the images of each pair are of, integers (P,); -1 for images that are not drawn.
        probability: that the pair counts, float (P,).
        sizes: images of each set that go to each split, integers (S, R).
        available: images of each set, integers (R,).

    Returns:
        float64 (S, S), upper triangle.
    """
    drawn = (a >= 0) & (b >= 0)
    a, b, weight = a[drawn], b[drawn], np.asarray(probability, np.float64)[drawn]
    pairs = np.where(a == b, available[a] * (available[a] - 1.0), available[a] * available[b].astype(np.float64))
    weight = weight / np.where(pairs > 0, pairs, np.inf)
    between = (sizes[:, a] * weight) @ sizes[:, b].T.astype(np.float64)
    return np.triu(between + between.T, 1)


# -- below -------------------------------------------------------------------------------------------------------------


def _leaks(
    splits: Sequence[str],
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray],
    doubted: np.ndarray,
    sizes: np.ndarray,
    available: np.ndarray,
) -> Leaks:
    a, b, probability = pairs
    part = straddling(a[doubted], b[doubted], probability[doubted], sizes, available)
    between = straddling(a[~doubted], b[~doubted], probability[~doubted], sizes, available) + part
    return Leaks(tuple(splits), between, float(part.sum()), len(a), int(doubted.sum()))


def _may_leak(pairs: pd.DataFrame, inputs: Inputs) -> np.ndarray:
    """Pairs of which both images are there and not excluded, and that are not in one group, bool (P,)."""
    ids = inputs.images["image_id"].to_numpy()
    last = int(max(ids.max(initial=-1), pairs[["image_a", "image_b"]].to_numpy().max(initial=-1)))
    free, group = np.zeros(last + 1, bool), np.full(last + 1, -1, np.int64)
    free[ids] = True
    out = inputs.excluded["image_id"].to_numpy()
    free[out[(out >= 0) & (out <= last)]] = False
    if inputs.groups is not None:
        group[inputs.groups["image_id"].to_numpy()] = inputs.groups["group"].to_numpy()
    a, b = pairs["image_a"].to_numpy(), pairs["image_b"].to_numpy()
    return free[a] & free[b] & ((group[a] < 0) | (group[a] != group[b]))
