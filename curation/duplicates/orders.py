"""In which order pairs are looked at, and what is decided by lot: numbers in, row numbers out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

ORDERS: dict[str, str] = {
    "uncertain": "closest to undecided",
    "distance": "most alike first",
    "class": "class by class",
    "measure": "by one measure",
    "splits": "between sets first",
}
"""Every order and what it is called."""
MEASURES = ("phash", "pixels", "dssim", "fc7", "cosine", "inliers", "probability")
"""Measures that pairs can be put in order by, and calibrated by."""
EVERY = 20
"""One pair in so many is a planted probe, until there is no more of them."""


def distance(columns: Mapping[str, np.ndarray], measure: str) -> np.ndarray:
    """A measure as a distance: smaller is more alike; float64 (N,), NaN where it did not look.

    The perceptual hash counts the nearer of picture and mirror image; a similarity s (cosine, probability) becomes
    1 - s, and the number of inliers its negative.

    Args:
        columns: float64 arrays of the pairs table, NaN for null.
    """
    if measure == "phash":
        return np.fmin(columns["phash"], columns["phash_mirror"])
    if measure in ("cosine", "probability"):
        return 1 - columns[measure]
    return -columns[measure] if measure == "inliers" else columns[measure]


def lot(numbers: np.ndarray, *seed: str) -> np.ndarray:
    """A draw from [0, 1) for each number, float64 (N,), that depends on nothing but the number and the seed.

    SplitMix64's output function: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    salt = hashlib.blake2b("\0".join(seed).encode(), digest_size=8).digest()
    with np.errstate(over="ignore"):
        x = (numbers.astype(np.uint64) ^ np.uint64(int.from_bytes(salt, "little"))) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return (x ^ x >> np.uint64(31)).astype(np.float64) / 2.0**64


def arrange(keys: tuple[np.ndarray, ...], probe: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """Row numbers by keys (the first counts most; ties by row), planted probes strewn in at a steady rate.

    Args:
        keys: arrays (N,), nulls last.
        probe: bool (N,).
        draw: float64 (N,) from [0, 1): which probe comes when, and where between its neighbours.
    """
    real = np.flatnonzero(~probe)
    real = real[np.lexsort(tuple(key[real] for key in reversed(keys)))]
    planted = np.flatnonzero(probe)
    planted = planted[np.argsort(draw[planted], kind="stable")]
    # Where probes are many, they are as dense as it takes to have none left over at the end.
    step = min(EVERY - 1, len(real) / max(len(planted), 1))
    place = (np.arange(len(planted)) + (draw[planted] * 2**20) % 1) * step
    return np.concatenate([real, planted])[np.argsort(np.concatenate([np.arange(len(real)), place]), kind="stable")]
