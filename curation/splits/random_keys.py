"""Random numbers that depend on a seed and on names alone, the same on every machine and with every NumPy."""

from __future__ import annotations

import hashlib

import numpy as np


def random_keys(count: int, seed: int, *what: object) -> np.ndarray:
    """Random uint64 (count,) that depend on the seed and the words alone: raw PCG64, the same with every NumPy."""
    words = hashlib.sha256("\0".join(map(str, (seed, *what))).encode()).digest()
    return np.random.PCG64(int.from_bytes(words, "big")).random_raw(count)


def permutation(count: int, seed: int, *what: object) -> np.ndarray:
    """A permutation, int64 (count,), that depends on the seed and the words alone."""
    return np.argsort(random_keys(count, seed, *what), kind="stable")
