"""k-means of one class: scikit-learn's result, in an order that does not depend on labels or listing order."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from curation import derived

SILHOUETTE_IMAGES = 1000


@dataclass(frozen=True)
class Fit:
    """Clusters of one class, in the order of its rows.

    Attributes:
        cluster: int16 (N,), 0 is the largest.
        attribute: int16 (N,), 0 is that of the largest clusters.
        distance: float32 (N,), Euclidean, to the cluster's centre.
        clusters: K', how many there are (fewer than asked for when the class has fewer distinct features).
        inertia: sum of squared distances.
        silhouette: mean over at most `SILHOUETTE_IMAGES` images; None for fewer than two clusters.
    """

    cluster: np.ndarray
    attribute: np.ndarray
    distance: np.ndarray
    clusters: int
    inertia: float
    silhouette: float | None


@contextmanager
def one_thread() -> Iterator[None]:
    """One BLAS and one OpenMP thread: at the size of a class more threads cost more than they bring."""
    import sklearn.cluster  # noqa: F401 - only libraries that are loaded can be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def class_seed(seed: int, class_name: str) -> int:
    """A seed for one class: the first four bytes of SHA-256 of the run's seed, a newline and the class name."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{class_name}".encode()).digest()[:4], "big")


def fit(x: np.ndarray, *, clusters: int, attributes: int, n_init: int, seed: int) -> Fit:
    """Cluster one class.

    Args:
        x: float32 (N, D), rows in the order of image paths; N at least 1.
        clusters: K; a class with fewer distinct rows gets fewer.
        attributes: A; see `derived.attribute_of`.
        seed: random_state of scikit-learn's KMeans.
    """
    labels, centres, inertia = kmeans(x, clusters=min(clusters, len(x)), n_init=n_init, seed=seed)
    distance = np.linalg.norm(x - centres[labels], axis=1)
    cluster = by_size(labels)
    found = int(cluster.max()) + 1
    return Fit(
        cluster=cluster,
        attribute=derived.attribute_of(cluster, found, attributes),
        distance=distance.astype(np.float32),
        clusters=found,
        inertia=inertia,
        silhouette=mean_silhouette(x, cluster, seed=seed),
    )


def kmeans(x: np.ndarray, *, clusters: int, n_init: int, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """scikit-learn's KMeans(clusters, n_init=n_init, random_state=seed): (labels (N,), centres (K, D), inertia)."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    model = KMeans(clusters, init=PlusPlus(n_init), n_init=n_init, random_state=seed)
    with warnings.catch_warnings():
        # Fewer distinct points than clusters: the caller sees fewer labels and says so in its own words.
        warnings.filterwarnings("ignore", message="Number of distinct clusters", category=ConvergenceWarning)
        model.fit(x)
    return model.labels_, model.cluster_centers_, float(model.inertia_)


class PlusPlus:
    """All starts of scikit-learn's k-means++ at once, as the `init` of its KMeans.

    scikit-learn makes one start after the other, each with its own float64 copy of all points. Here the draws are made
    in the same order, but the distances of all starts come from one product: a quarter less time a class at 1,300 x
    1,280. Draws and arithmetic are those of sklearn.cluster.kmeans_plusplus (greedy k-means++ of Arthur and
    Vassilvitskii 2007, 2 + log K trials a centre), so the centres are the same.
    """

    def __init__(self, starts: int) -> None:
        self.starts = starts
        self._waiting: list[np.ndarray] = []

    def __call__(self, x: np.ndarray, n_clusters: int, random_state: np.random.RandomState) -> np.ndarray:
        """Centres (n_clusters, D) of the next start, rows of `x` (N, D) float32."""
        if not self._waiting:
            self._waiting = list(self._choose(x, n_clusters, random_state))
        return x[self._waiting.pop(0)]

    def _choose(self, x: np.ndarray, n_clusters: int, random_state: np.random.RandomState) -> np.ndarray:
        """Row numbers of the starting centres, int64 (starts, n_clusters)."""
        starts, trials, weight = self.starts, 2 + int(np.log(n_clusters)), np.ones(len(x), x.dtype)
        chosen = np.empty((starts, n_clusters), np.int64)
        drawn = np.empty((starts, n_clusters - 1, trials))
        for start in range(starts):
            chosen[start, 0] = random_state.choice(len(x), p=weight / weight.sum())
            drawn[start] = random_state.uniform(size=(n_clusters - 1, trials))
        wide = x.astype(np.float64)
        closest = _squared_distances(wide, chosen[:, 0])[:, None, :]
        potential = [row @ weight for row in closest]
        for c in range(1, n_clusters):
            sums = [np.cumsum(weight * row) for row in closest]
            found = [np.searchsorted(sums[s], drawn[s, c - 1] * potential[s]) for s in range(starts)]
            candidates = np.clip(found, None, len(x) - 1)
            distances = _squared_distances(wide, candidates.ravel()).reshape(starts, trials, len(x))
            np.minimum(closest, distances, out=distances)
            potentials = [rows @ weight.reshape(-1, 1) for rows in distances]
            best = [int(np.argmin(p)) for p in potentials]
            chosen[:, c] = candidates[np.arange(starts), best]
            potential = [p[b] for p, b in zip(potentials, best, strict=True)]
            closest = distances[np.arange(starts), best][:, None, :]
        return chosen


def _squared_distances(wide: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """From some rows of `wide` (N, D) to all, computed in float64, kept as float32 (len(rows), N)."""
    squares = np.einsum("ij,ij->i", wide, wide)
    product = -2 * (wide[rows] @ wide.T)
    product += squares[rows, None]
    product += squares
    return np.maximum(product.astype(np.float32), 0)


def by_size(labels: np.ndarray) -> np.ndarray:
    """Number clusters from the largest, equal sizes by their first row; int16, the shape of `labels`.

    Rows stand in the order of paths, so the first row is the smallest path.
    """
    _, first, inverse, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), np.int16)
    rank[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    return rank[inverse]


def mean_silhouette(x: np.ndarray, cluster: np.ndarray, *, seed: int) -> float | None:
    """Mean silhouette, of `SILHOUETTE_IMAGES` images drawn by the seed where there are more.

    Returns:
        -1 to 1; None for fewer than two clusters.
    """
    if len(x) > SILHOUETTE_IMAGES:
        drawn = np.random.RandomState(seed).choice(len(x), SILHOUETTE_IMAGES, replace=False)
        x, cluster = x[drawn], cluster[drawn]
    if len(np.unique(cluster)) < 2:
        return None
    return float(silhouettes(x, cluster).mean())


def silhouettes(x: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """Silhouette of each row (Rousseeuw 1987): (b - a) / max(a, b), 0 in a cluster of one.

    a is the mean distance to the other rows of the own cluster, b the smallest mean distance to another cluster.

    Args:
        x: float32 (N, D).
        cluster: integers (N,), at least two different ones.

    Returns:
        float32 (N,), -1 to 1.
    """
    _, own, sizes = np.unique(cluster, return_inverse=True, return_counts=True)
    x = x - x.mean(axis=0)  # small norms: less is lost where two distances nearly cancel
    norms = np.einsum("ij,ij->i", x, x)
    squared = norms[:, None] + norms - 2 * (x @ x.T)
    np.fill_diagonal(squared, 0)
    distances = np.sqrt(np.maximum(squared, 0, out=squared), out=squared)
    sums = distances @ np.eye(len(sizes), dtype=np.float32)[own]
    rows = np.arange(len(x))
    a = sums[rows, own] / np.maximum(sizes[own] - 1, 1)
    others = sums / sizes
    others[rows, own] = np.inf
    b = others.min(axis=1)
    larger = np.maximum(a, b)
    value = np.divide(b - a, larger, out=np.zeros_like(a), where=larger > 0)
    return np.where(sizes[own] == 1, 0, value).astype(np.float32)
