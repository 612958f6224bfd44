"""The rule: from how far a pair stands out, by each measure, to the probability that it is a near duplicate.

A logistic function of two margins (see `curation.duplicates.measures`): a pair is judged against the surroundings of
its two images, never by a bare threshold, since in one collection all pictures look alike and in another none do.
The numbers come from `python benchmarks/fit_duplicates.py`, which also prints how well they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

DUPLICATE, CANDIDATE, WORTH_KEEPING = 0.85, 0.10, 0.02
DECISIONS = ("duplicate", "candidate", "different")
"""Decisions from the rule: at or above DUPLICATE, at or above CANDIDATE, below."""


class Fit(NamedTuple):
    """logit = intercept + phash * max(0, margin in bits / 8)^2 + cosine * margin"""

    intercept: float
    phash: float
    cosine: float


# Where both measures looked, and where only one did.
BOTH = Fit(-6.84, 1.87, 39.39)
PHASH = Fit(-5.75, 3.40, 0.0)
COSINE = Fit(-6.34, 0.0, 41.96)


def terms(margins: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the logistic function weighs, float64 (P, 2), from the margins of `phash` and `cosine` (absent: NaN)."""
    phash = np.square(np.maximum(margins["phash"], 0.0) / 8.0)
    return np.stack([phash, margins.get("cosine", np.full(len(phash), np.nan))], axis=1)


def probability(exact: np.ndarray, margins: Mapping[str, np.ndarray]) -> np.ndarray:
    """Probability that each pair is a near duplicate, float32 (P,).

    Args:
        exact: bool (P,), same decoded pixels.
        margins: by measure, float (P,), NaN where it could not look.
    """
    values = terms(margins)
    looked = ~np.isnan(values)
    logit = np.full(len(values), -np.inf)
    for fit, has in ((BOTH, (True, True)), (PHASH, (True, False)), (COSINE, (False, True))):
        here = (looked == has).all(axis=1)
        weighed = np.where(looked[here], values[here], 0.0)
        logit[here] = fit.intercept + fit.phash * weighed[:, 0] + fit.cosine * weighed[:, 1]
    logit[exact] = np.inf
    with np.errstate(over="ignore"):
        return (1.0 / (1.0 + np.exp(-logit))).astype(np.float32)


def decide(chances: np.ndarray) -> np.ndarray:
    """Index into `DECISIONS` for each probability, int64."""
    return np.where(chances >= DUPLICATE, 0, np.where(chances >= CANDIDATE, 1, 2))


def numbers() -> dict[str, Any]:
    """All numbers of the rule, for recipes."""
    fits = {name: fit._asdict() for name, fit in (("both", BOTH), ("phash", PHASH), ("cosine", COSINE))}
    return {"duplicate": DUPLICATE, "candidate": CANDIDATE, "kept": WORTH_KEEPING, **fits}
