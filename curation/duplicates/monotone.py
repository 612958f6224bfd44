"""A chance that falls with distance, from yes and no at measured distances, and how sure it is: arrays in, arrays out.

The chance is fitted by isotonic regression (Ayer et al., "An empirical distribution function for sampling with
incomplete information", Annals of Mathematical Statistics 26, 1955). Its band is that of Dimitriadis, Dümbgen, Henzi,
Puke and Ziegel, "Honest calibration assessment for binary outcome predictions", Biometrika 110 (2023): Clopper-Pearson
bounds of the share of yes in many runs of neighbouring observations, each passed on to whatever lies beyond the run.
A chance that falls with distance is all that it assumes, and it holds at all distances at once. Here runs begin and
end at quantiles of the distances, never at what was observed there, which leaves fewer of them to pay for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEVEL = 0.95
RUNS = 24
"""Into so many groups of like size the observations are cut, of which runs are made."""


class Curve(NamedTuple):
    """Chance by distance, a step function that never rises.

    Attributes:
        distance: float64 (K,), ascending; the chance holds from here to the next.
        chance, low, high: float64 (K,), the fit and its band.
        observed, yes: how many observations there were, and yes among them.
        tail: what each of the band's bounds may fail with.
    """

    distance: np.ndarray
    chance: np.ndarray
    low: np.ndarray
    high: np.ndarray
    observed: int
    yes: int
    tail: float

    def at(self, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Chance, low and high at some distances; 0.5, 0 and 1 when nothing was observed.

        Between two observations the chance is at most what it is at the nearer and at least what it is at the farther.
        """
        if not self.observed:
            wide = np.zeros(len(distance))
            return wide + 0.5, wide, wide + 1.0
        nearer = np.searchsorted(self.distance, distance, side="right") - 1
        farther = np.searchsorted(self.distance, distance, side="left")
        return (
            self.chance[np.maximum(nearer, 0)],
            np.append(self.low, 0.0)[farther],
            np.where(nearer < 0, 1.0, self.high[nearer]),
        )


def fit(distance: np.ndarray, yes: np.ndarray, *, level: float = LEVEL, runs: int = RUNS) -> Curve:
    """The chance of yes by distance, falling, with a band that holds everywhere at once with probability `level`.

    Args:
        distance: (N,) of the observations, no NaN.
        yes: bool (N,).
        level: of confidence, above 0 and below 1.
        runs: groups that runs are made of; more follow the curve closer and pay for it in width.
    """
    from scipy.optimize import isotonic_regression

    if not len(distance):
        empty = np.zeros(0)
        return Curve(empty, empty, empty, empty, 0, 0, (1 - level) / 2)
    knots, where = np.unique(np.asarray(distance, np.float64), return_inverse=True)
    seen = np.bincount(where)
    said = np.bincount(where, weights=yes)
    chance = isotonic_regression(said / seen, weights=seen, increasing=False).x
    ends = _ends(seen, runs)
    low, high, tail = _band(np.append(0, np.cumsum(seen)), np.append(0, np.cumsum(said)), ends, level)
    # The fit lies within its band but for chance; drawing it inside keeps low <= chance <= high for every reader.
    low, high = np.minimum(low, chance), np.maximum(high, chance)
    return Curve(knots, chance, low, high, int(seen.sum()), int(said.sum()), tail)


def _ends(seen: np.ndarray, runs: int) -> np.ndarray:
    """Where groups begin and end among the knots (0 to K), ascending: quantiles of the observations."""
    total = np.append(0, np.cumsum(seen))
    wanted = np.linspace(0, total[-1], min(runs, total[-1]) + 1)
    return np.unique(np.searchsorted(total, wanted))


def _band(seen: np.ndarray, said: np.ndarray, ends: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Low and high at every knot, and what each bound may fail with; `seen` and `said` are running sums (K + 1,)."""
    first, last = np.triu_indices(len(ends), 1)
    begin, end = ends[first], ends[last]
    tail = (1 - level) / (2 * len(begin))
    lower, upper = clopper_pearson(said[end] - said[begin], seen[end] - seen[begin], tail)
    count = len(seen) - 1
    # Up to the run's last knot the chance is at least that of the run; from its first knot on at most.
    low, high = np.zeros(count), np.ones(count)
    np.maximum.at(low, begin, lower)
    np.minimum.at(high, end - 1, upper)
    return np.maximum.accumulate(low[::-1])[::-1], np.minimum.accumulate(high), tail


def clopper_pearson(yes: np.ndarray, of: np.ndarray, tail: float) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of a share, each of which fails with probability `tail` at most; `of` is above 0.

    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26 (1934).
    """
    from scipy.special import betaincinv

    yes, of = np.asarray(yes, np.float64), np.asarray(of, np.float64)
    with np.errstate(all="ignore"):
        low = np.where(yes > 0, betaincinv(yes, of - yes + 1, tail), 0.0)
        high = np.where(yes < of, betaincinv(yes + 1, of - yes, 1 - tail), 1.0)
    return low, high
