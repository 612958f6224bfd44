"""From what was measured of a pair, to the probability that it is a near duplicate.

A logistic function of two margins (see `curation.duplicates.measures`) and of the geometric check's score (see
`curation.duplicates.geometry`). A pair is judged against the surroundings of its two images, never by a bare
threshold, since in one collection all pictures look alike and in another none do. The numbers come from
`python -m benchmarks.fit_duplicates`, which also prints how well they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

DUPLICATE, CANDIDATE, WORTH_KEEPING = 0.85, 0.10, 0.02
DECISIONS = ("duplicate", "candidate", "different")
"""Decisions from the rule: at or above DUPLICATE, at or above CANDIDATE, below."""
WORTH_CHECKING = 0.006
"""The probability by margins alone from which geometry looks at a pair."""
TERMS = ("phash", "cosine", "score")


class Fit(NamedTuple):
    """logit = intercept + phash * max(0, margin in bits / 8)^2 + cosine * margin + score * score of the geometry"""

    intercept: float
    phash: float
    cosine: float
    score: float


# By what looked at the pair.
FITS = {
    ("phash", "cosine"): Fit(-7.22, 1.98, 41.69, 0.0),
    ("phash", "cosine", "score"): Fit(-8.16, 0.52, 23.87, 6.21),
    ("phash",): Fit(-5.75, 3.4, 0.0, 0.0),
    ("phash", "score"): Fit(-5.71, 0.58, 0.0, 6.85),
    ("cosine",): Fit(-6.77, 0.0, 44.81, 0.0),
    ("cosine", "score"): Fit(-8.15, 0.0, 23.98, 6.74),
    ("score",): Fit(-5.55, 0.0, 0.0, 7.16),
}


def terms(margins: Mapping[str, np.ndarray], score: np.ndarray | None = None) -> np.ndarray:
    """What the logistic function weighs, float64 (P, 3) in the order of `TERMS`, NaN where nothing looked.

    Args:
        margins: of `phash` and `cosine`; one may be absent.
        score: of the geometric check, float (P,); None where it was not run.
    """
    count = len(next(iter(margins.values())) if margins else score)
    absent = np.full(count, np.nan)
    phash = np.square(np.maximum(margins.get("phash", absent), 0.0) / 8.0)
    return np.stack([phash, margins.get("cosine", absent), absent if score is None else score], axis=1)


def probability(exact: np.ndarray, margins: Mapping[str, np.ndarray], score: np.ndarray | None = None) -> np.ndarray:
    """Probability that each pair is a near duplicate, float32 (P,).

    Args:
        exact: bool (P,), same decoded pixels.
        margins: by measure, float (P,), NaN where it could not look.
        score: of the geometric check, float (P,), NaN where it did not look; None where it was not run.
    """
    return np.where(exact, 1.0, weigh(terms(margins, score), FITS)).astype(np.float32)


def weigh(values: np.ndarray, fits: Mapping[tuple[str, ...], Fit]) -> np.ndarray:
    """Probability by `terms` alone, float64 (P,), each row by the fit for what is known of it; 0 where nothing is."""
    looked = ~np.isnan(values)
    logit = np.full(len(values), -np.inf)
    for known, fit in fits.items():
        here = (looked == [name in known for name in TERMS]).all(axis=1)
        logit[here] = fit.intercept + np.where(looked[here], values[here], 0.0) @ np.array(fit[1:])
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-logit))


def worth_checking(exact: np.ndarray, margins: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which pairs the geometric check could still change, bool (P,).

    Not those with the same pixels, nor those that stand out so little that their margins make them less probable than
    `WORTH_CHECKING`: 0.05 of cosine where hashes say nothing, 3.5 bits where there are hashes alone. What is left is
    at most what the measures propose (30 pairs an image and measure); on photographs it is 3 to 4 pairs an image.
    """
    return ~exact & (probability(exact, margins) >= WORTH_CHECKING)


def decide(chances: np.ndarray) -> np.ndarray:
    """Index into `DECISIONS` for each probability, int64."""
    return np.where(chances >= DUPLICATE, 0, np.where(chances >= CANDIDATE, 1, 2))


def numbers() -> dict[str, Any]:
    """All numbers of the rule, for recipes."""
    fits = {"+".join(known): fit._asdict() for known, fit in FITS.items()}
    limits = {"duplicate": DUPLICATE, "candidate": CANDIDATE, "kept": WORTH_KEEPING, "checked": WORTH_CHECKING}
    return limits | fits
