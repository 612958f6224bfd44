"""Nearest neighbours: exact top-k and radius search in blocks of bounded memory."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from curation.duplicates.ranking import Ranking
from curation.engine import Progress, quiet
from curation.errors import ArgumentError


class Near(NamedTuple):
    """Neighbours of images, sorted by query, then distance, then target; an image is never its own neighbour.

    Attributes:
        query, target: ids, int64 (P,).
        distance: float64 (P,), in the measure's own unit, smaller is closer.
    """

    query: np.ndarray
    target: np.ndarray
    distance: np.ndarray


def near(
    queries: np.ndarray,
    query_ids: np.ndarray,
    targets: np.ndarray,
    target_ids: np.ndarray,
    *,
    metric: str = "cosine",
    k: int = 30,
    radius: float | None = None,
    same: bool,
    workers: int = 1,
    device: str | None = None,
    progress: Progress = quiet,
) -> Near:
    """The k nearest targets of every query, and all within `radius`; exact, the same from any number of workers.

    Membership and order are those of distances in float64, ties by id. Candidates come from products in low precision
    (`curation.duplicates.candidates`), on the device; they are ranked on the CPU (`curation.duplicates.ranking`), so
    that a GPU gives the same table. Beside the vectors this needs 0.6 GB and 100 MB a worker, however many there are.

    Args:
        queries, targets: float32 (Q, D) and (T, D), of any length, finite; memory maps are not read in whole.
        query_ids, target_ids: integers (Q,) and (T,), unique, in any order.
        metric: "cosine" (1 - similarity, 1 where a row is zero; accurate to (D / 4 + 8) / 2**24, and where closer
            than a hundred times that, or not told apart by it, to 1e-15) or "squared" (Euclidean distance, squared; in
            float64).
        k: neighbours a query; 0 for the radius alone.
        same: whether ids are of one set: an image is not its own neighbour.
        workers: threads.
        device: "cpu" or "cuda"; by default the first of "cuda" and "cpu" that is there.

    Raises:
        ArgumentError: unknown metric, neither k nor radius, shapes that do not fit, or rows that are not finite or
            too long or short to be multiplied in float32.
    """
    queries, targets = (np.ascontiguousarray(rows, np.float32) for rows in (queries, targets))
    query_ids, target_ids = (np.asarray(ids, np.int64) for ids in (query_ids, target_ids))
    _check(queries, targets, (query_ids, target_ids), metric, k, radius)
    if not len(queries) or not len(targets) or not queries.shape[1]:
        return Near(*np.zeros((2, 0), np.int64), np.zeros(0))
    from curation.duplicates.search import Search, index_of, lengths, threads

    with threads(workers) as pool:
        norms = lengths(targets, pool)
        some = np.arange(len(targets))
        if radius is None:
            some = some[~surplus(targets, norms, target_ids, k + 1)]
        limit = -np.inf if radius is None else radius
        ranking = Ranking(targets, target_ids, norms, metric == "squared", k, limit)
        own = index_of(query_ids, target_ids) if same else np.full(len(queries), -1)
        search = Search(ranking, queries, lengths(queries, pool), own, device)
        found = search.run(some, pool, workers, progress)
    counts = [len(part.row) for part in found]
    row, place, distance = (np.concatenate(column) for column in zip(*found, strict=True))
    row += np.repeat(np.arange(len(found)) * search.step, counts)
    # Queries come in the order of their ids, whatever their order here.
    order = np.argsort(query_ids[row], kind="stable")
    return Near(query_ids[row[order]], target_ids[place[order]], distance[order])


def _check(queries: np.ndarray, targets: np.ndarray, ids: tuple, metric: str, k: int, radius: float | None) -> None:
    if metric not in ("cosine", "squared"):
        raise ArgumentError(f'there is no metric "{metric}"; there are "cosine" and "squared"')
    if k < 0 or (k == 0 and radius is None):
        raise ArgumentError(f"k is {k} and there is no radius; give one of them")
    if queries.ndim != 2 or targets.ndim != 2 or queries.shape[1] != targets.shape[1]:
        raise ArgumentError(f"queries of shape {queries.shape} cannot be compared with targets of {targets.shape}")
    for rows, numbers in zip((queries, targets), ids, strict=True):
        if numbers.shape != rows.shape[:1]:
            raise ArgumentError(f"there are {len(rows):,} rows, but ids of shape {numbers.shape}")


def surplus(rows: np.ndarray, norms: np.ndarray, ids: np.ndarray, most: int) -> np.ndarray:
    """Rows that have `most` identical rows of smaller id, so that they are nobody's neighbour; bool (N,).

    Args:
        rows: float32 (N, D).
        norms: their lengths: only rows of equal length are compared.
    """
    order = np.lexsort((ids, norms))
    result = np.zeros(len(rows), bool)
    edges = np.flatnonzero(np.diff(norms[order], prepend=np.nan, append=np.nan))
    for start, end in pairwise(edges.tolist()):
        if end - start > most:
            group = order[start:end]
            whole = np.ascontiguousarray(rows[group]).view(np.dtype((np.void, rows.shape[1] * rows.itemsize)))
            _, kind = np.unique(whole.ravel(), return_inverse=True)
            result[group] = rank(kind) >= most
    return result


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, float32, in place where they are float32 already."""
    vectors = np.asarray(vectors, np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
    return vectors


def rank(groups: np.ndarray) -> np.ndarray:
    """How many earlier entries have the same value as each entry of `groups` (any order), int64."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(groups)])
    places = np.empty(len(groups), np.int64)
    places[order] = np.arange(len(groups)) - np.repeat(first, np.diff(np.r_[first, len(groups)]))
    return places


def unique_pairs(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each pair (a < b, ids below 2**31) once, sorted by a, then b; int64."""
    keys = np.unique(a.astype(np.int64) << 32 | b.astype(np.int64))
    return keys >> 32, keys & 0xFFFFFFFF
