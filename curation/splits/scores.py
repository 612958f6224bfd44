"""Which images of a class come first by their features: far from each other, near the class centre, or far from it.

Everything is Euclidean: for the cosine, features are scaled to length 1 first, since then |a - b|^2 = 2 - 2 cos(a, b),
and the nearest to the mean is the one with the largest cosine to it. Distances are computed in float64 and rounded, so
that neither the number of threads nor the maker of the BLAS changes an order; equal distances are in the order of the
rows given.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from curation.arrays import Features

METHODS = ("diverse", "hard", "typical")
METRICS = {"cosine": "angle between features", "euclidean": "straight line"}

# Rows of features at once. Up to so many of a class, all distances of k-centre are computed in one go (288 MiB).
BLOCK = 6144
_DIGITS = 9  # of distances, as a fraction of the largest


def ranks(
    features: Features, ids: np.ndarray, cls: np.ndarray, *, method: str, metric: str, needed: np.ndarray
) -> np.ndarray:
    """Place of every image in its class, float64 (N,), 0 first; images without a feature come last.

    - `diverse`: greedy k-centre (Gonzalez, 1985; Sener & Savarese, ICLR 2018): the image nearest to the class mean,
      then always the one that is farthest from all those before it. Any number of first images covers the class
      within twice the smallest radius that so many images can.
    - `hard`, `typical`: farthest from the class mean first, or nearest (prototypes of Sorscher et al., NeurIPS 2022,
      arXiv 2206.14486, of a class instead of a k-means cluster: hard images help where there are many to train on,
      typical ones where there are few).

    Args:
        features: to compare images by.
        ids: image ids, those of a class together; equal distances are in this order.
        cls: class of each image, a row of `needed`.
        needed: how many images of each class have to be in the order of k-centre, int64 (C,); those after them are by
            falling distance to the nearest before.
    """
    found = np.empty(len(ids), np.float64)
    known = np.isin(ids, features.ids)
    edges = np.flatnonzero(np.diff(cls, prepend=-1, append=-1)) if len(ids) else np.empty(0, np.int64)
    for start, stop in pairwise(edges):
        rows = np.arange(start, stop)
        rows = np.r_[rows[known[start:stop]], rows[~known[start:stop]]]
        there = int(known[start:stop].sum())
        order = _order(features, ids[rows[:there]], method, metric, int(needed[cls[start]]))
        found[rows[np.r_[order, there : len(rows)]]] = np.arange(len(rows))
    return found


def k_centre(distances: Callable[[int], np.ndarray], first: int, count: int, images: int) -> np.ndarray:
    """Order of greedy k-centre, int64 (images,).

    Args:
        distances: of row i to all rows, any that grow with the distance, (images,).
        first: the row to start with.
        count: how many rows to choose; the others follow by falling distance to the nearest of them.
        images: rows.
    """
    order = np.empty(min(count, images), np.int64)
    nearest = np.full(images, np.inf)
    chosen = first
    for place in range(len(order)):
        if place:
            chosen = int(nearest.argmax())
        order[place] = chosen
        np.minimum(nearest, distances(chosen), out=nearest)
        nearest[chosen] = -1.0
    rest = np.setdiff1d(np.arange(images), order)
    return np.r_[order, rest[np.argsort(-nearest[rest], kind="stable")]]


# -- below: features ---------------------------------------------------------------------------------------------------


def _order(features: Features, ids: np.ndarray, method: str, metric: str, needed: int) -> np.ndarray:
    """Rows of one class in the order of the method, int64 (N,)."""
    if not len(ids):
        return np.empty(0, np.int64)
    if method == "diverse" and len(ids) > BLOCK:
        return _large(features, ids, metric, needed)
    blocks = _centred(features, ids, metric)
    if method == "diverse":
        points = next(blocks)
        squares = _squares(points)
        matrix = _matrix(points, squares)
        return k_centre(matrix.__getitem__, int(_round(squares, squares.max()).argmin()), needed, len(ids))
    squares = np.concatenate([_squares(points) for points in blocks])
    squares = _round(squares, squares.max())
    return np.argsort(-squares if method == "hard" else squares, kind="stable")


def _centred(features: Features, ids: np.ndarray, metric: str) -> Iterator[np.ndarray]:
    """Features less their mean, float64, in blocks of rows; of length 1 before for the cosine."""
    parts = np.split(ids, range(BLOCK, len(ids), BLOCK))
    if len(parts) == 1:
        points = _prepared(features, ids, metric)
        yield points - points.mean(0)
        return
    mean = sum(_prepared(features, part, metric).sum(0) for part in parts) / len(ids)
    for part in parts:
        yield _prepared(features, part, metric) - mean


def _prepared(features: Features, ids: np.ndarray, metric: str) -> np.ndarray:
    points = features.rows(ids).astype(np.float64)
    if metric == "cosine":
        points /= np.maximum(np.sqrt(_squares(points)), np.finfo(np.float32).tiny)[:, None]
    return points


def _squares(points: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", points, points)


def _round(squares: np.ndarray, largest: float) -> np.ndarray:
    """Round squared distances in place, by the power of two above the largest to the mean."""
    squares /= 2.0 ** np.frexp(largest)[1]
    return np.round(squares, _DIGITS, out=squares)


def _matrix(points: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Squared distances of all pairs, rounded, float64 (N, N)."""
    found = points @ points.T
    found *= -2
    found += squares
    found += squares[:, None]
    return _round(found, squares.max())


def _large(features: Features, ids: np.ndarray, metric: str, needed: int) -> np.ndarray:
    """k-centre of a class whose distances do not fit into memory: features lie in a file, read once for each centre."""
    with tempfile.NamedTemporaryFile() as file:
        points = np.memmap(file.name, np.float32, "w+", shape=(len(ids), features.dim))
        starts = range(0, len(ids), BLOCK)
        for start, block in zip(starts, _centred(features, ids, metric), strict=True):
            points[start : start + BLOCK] = block
        squares = np.concatenate([_squares(points[i : i + BLOCK].astype(np.float64)) for i in starts])
        largest = float(squares.max())

        def distances(chosen: int) -> np.ndarray:
            centre = points[chosen].astype(np.float64)
            products = [points[i : i + BLOCK].astype(np.float64) @ centre for i in starts]
            return _round(squares + squares[chosen] - 2 * np.concatenate(products), largest)

        return k_centre(distances, int(_round(squares.copy(), largest).argmin()), needed, len(ids))
