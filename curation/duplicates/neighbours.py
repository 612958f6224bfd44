"""Nearest neighbours: exact cosine top-k in blocks of bounded memory, and a limit on how many an image may have."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from curation.engine import Progress, quiet

ROWS = 1024
COLUMNS = 8192


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, float32, in place where they are float32 already."""
    vectors = np.asarray(vectors, np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
    return vectors


def cosine_top(
    vectors: np.ndarray, k: int, *, workers: int = 1, progress: Progress = quiet
) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar other rows of every row, exactly; the same bytes from any number of workers.

    Args:
        vectors: float32 (N, D), rows of length 1.
        k: neighbours a row, at most N - 1.
        workers: threads, each with one BLAS thread: a product's last digits depend on how BLAS divides it.

    Returns:
        (indices, similarities): int32 and float32, both (N, min(k, N - 1)), most similar first, ties by index.
    """
    count = len(vectors)
    k = min(k, count - 1)
    if k < 1:
        return np.zeros((count, 0), np.int32), np.zeros((count, 0), np.float32)
    indices, similarities = np.empty((count, k), np.int32), np.empty((count, k), np.float32)
    starts = range(0, count, ROWS)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(max(1, workers)) as pool:
        for done, (start, found) in enumerate(_ordered(pool, lambda s: _top_of_block(vectors, s, k), starts, workers)):
            indices[start : start + ROWS], similarities[start : start + ROWS] = found
            progress(done + 1, len(starts), "feature cosine")
    return indices, similarities


def _ordered(pool: ThreadPoolExecutor, function, starts: range, workers: int) -> Iterator[tuple[int, tuple]]:
    """(start, function(start)) for every start; few under way at once, so that stopping is quick."""
    waiting = []
    for start in starts:
        waiting.append((start, pool.submit(function, start)))
        if len(waiting) > workers:
            first, future = waiting.pop(0)
            yield first, future.result()
    for first, future in waiting:
        yield first, future.result()


def _top_of_block(vectors: np.ndarray, start: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    rows = vectors[start : start + ROWS]
    best: tuple[np.ndarray, ...] = (np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    least = np.full(len(rows), -np.inf, np.float32)
    for begin in range(0, len(vectors), COLUMNS):
        block = rows @ vectors[begin : begin + COLUMNS].T
        own = np.arange(len(rows)) + start - begin
        inside = (own >= 0) & (own < block.shape[1])
        block[np.flatnonzero(inside), own[inside]] = -np.inf
        if not begin and block.shape[1] > k:
            # Lets the k-th best through together with all that tie with it.
            least = np.nextafter(np.partition(block, -k, axis=1)[:, -k], np.float32(-np.inf))
        row, column = np.nonzero(block > least[:, None])
        new = (row, (column + begin).astype(np.int32), block[row, column])
        best = _best(*(np.concatenate(pair) for pair in zip(best, new, strict=True)), k)
        full = np.bincount(best[0], minlength=len(rows)) == k
        least[full] = best[2][np.cumsum(np.bincount(best[0], minlength=len(rows)))[full] - 1]
    return best[1].reshape(len(rows), k), best[2].reshape(len(rows), k)


def _best(row: np.ndarray, column: np.ndarray, value: np.ndarray, k: int) -> tuple[np.ndarray, ...]:
    """The k largest values of each row, in order of row, falling value and rising column."""
    order = np.lexsort((column, -value, row))
    kept = order[rank(row[order]) < k]
    return row[kept], column[kept], value[kept]


def closest(a: np.ndarray, b: np.ndarray, distance: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs to keep so that every image keeps its k closest; ties go to the smaller id.

    Args:
        a, b: integers (P,), the images of each pair; each unordered pair once.
        distance: (P,), smaller is closer.

    Returns:
        (kept, capped): bool (P,), true where either image has the other among its k closest; and the ids of the images
        that had more than k.
    """
    source, other = np.concatenate([a, b]), np.concatenate([b, a])
    order = np.lexsort((other, np.concatenate([distance, distance]), source))
    place = rank(source[order])
    kept = np.zeros(len(a), bool)
    kept[order[place < k] % max(len(a), 1)] = True
    return kept, np.unique(source[order[place >= k]])


def rank(groups: np.ndarray) -> np.ndarray:
    """How many earlier entries have the same value as each entry of `groups` (any order), int64."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(groups)])
    places = np.empty(len(groups), np.int64)
    places[order] = np.arange(len(groups)) - np.repeat(first, np.diff(np.r_[first, len(groups)]))
    return places


def same(ids: np.ndarray, groups: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs a < b of images in the same group, each image with at most the first k of its group before it.

    Args:
        ids: (N,), ascending.
        groups: (N,), of which group each is.

    Returns:
        (a, b, capped): ids of each pair, and the ids in groups of more than k + 1.
    """
    order = np.argsort(groups, kind="stable")
    place = rank(groups)[order]
    start = np.arange(len(ids)) - place
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    number = np.minimum(place, k)
    b = np.repeat(np.arange(len(ids)), number)
    a = np.repeat(start, number) + np.arange(len(b)) - np.repeat(np.cumsum(number) - number, number)
    return ids[order[a]], ids[order[b]], ids[sizes[group] > k + 1]


def unique_pairs(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each pair (a < b, ids below 2**31) once, sorted by a, then b; int64."""
    keys = np.unique(a.astype(np.int64) << 32 | b.astype(np.int64))
    return keys >> 32, keys & 0xFFFFFFFF
