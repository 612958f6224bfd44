"""Nearest neighbours by pixels: squared Euclidean distance of 256 x 256 x 3 bytes, exact, without measuring most pairs.

Sketches (see `sketch`) bound every distance from below at a fiftieth of its cost, by products of small integers. A
first pass finds, for every query, the k targets that are probably nearest, and measures them: the k-th distance is the
query's limit (Seidl and Kriegel, Optimal multi-step k-nearest neighbor search, SIGMOD 1998). A second pass measures
what the bound does not rule out. All sums are of whole numbers: any number of workers and any device give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import numpy as np

from curation.duplicates.bounds import FAR, Side, probable, within
from curation.duplicates.neighbours import Near
from curation.duplicates.renditions import BYTES, Renditions
from curation.engine import Progress, quiet
from curation.errors import ArgumentError

if TYPE_CHECKING:
    import torch

_PAIRS = 256  # measured by a thread at a time
_REPORTED = 64  # of these make a step of progress
_CACHED = 64  # pictures, 12 MB, that stay in the processor's cache while others are compared with them
_COLUMNS = 16_384  # bytes of every picture at a time, where a whole block is measured
# Share of a block's pairs from which products of the whole block take less time than its pairs one by one.
_DENSE = {"cpu": 1 / 8, "cuda": 1 / 500}
_COLLECTED = 10_000_000  # pairs found before those that cannot be among the nearest are thrown out


def near(
    queries: Renditions,
    query_ids: np.ndarray,
    targets: Renditions,
    target_ids: np.ndarray,
    *,
    k: int = 30,
    radius: float | None = None,
    workers: int = 1,
    device: str | None = None,
    progress: Progress = quiet,
) -> Near:
    """The k nearest targets of every query, and all within `radius`; exact, ties by id.

    Where both sides are the same set and have the same ids, every pair is measured once for both. Memory is bounded
    by the size of a block and of the answer, whatever the number of images.

    Args:
        queries, targets: renditions; an image is no neighbour of itself where both are those of the same pictures.
        query_ids, target_ids: images with a rendition, in any order.
        k: neighbours a query; 0 for the radius alone.
        radius: squared Euclidean distance, `sources.REVIEWED` as published; None for the k nearest alone.
        workers: threads.
        device: "cpu" or "cuda"; the GPU where there is one when None. Only products run there.
        progress: called after every block of targets, in both passes.

    Raises:
        ArgumentError: neither k nor radius, a negative one, or an image that has no rendition.
    """
    if k < 0 or (radius is not None and not radius >= 0) or (k == 0 and radius is None):
        raise ArgumentError(f"k = {k} and radius = {radius}: give k > 0 or a radius, and neither below 0")
    with _threads(workers) as pool:
        first, second = (Side(r, ids, _device(device)) for r, ids in ((queries, query_ids), (targets, target_ids)))
        search = _Search(first, second, k, -1.0 if radius is None else float(radius), pool)
        passes, blocks = (2 if k else 1), len(second.starts)
        if k:
            search.seed(lambda done: progress(done, passes * blocks, "pixels: probable neighbours"))
        search.measure(lambda done: progress((passes - 1) * blocks + done, passes * blocks, "pixels: distances"))
        return search.result()


def distances(
    first: Renditions,
    a: np.ndarray,
    second: Renditions,
    b: np.ndarray,
    *,
    workers: int = 1,
    progress: Progress = quiet,
) -> np.ndarray:
    """Squared Euclidean distances of given pairs, image a[i] of `first` and b[i] of `second`.

    Returns:
        float64 (P,), exact.

    Raises:
        ArgumentError: an image has no rendition.
    """
    a, b = first.check(a), second.check(b)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        return _exact(first, a, second, b, pool, progress).astype(np.float64)


class _Search:
    """Pairs are named by positions: `row` among the queries' ids, `column` among the targets'."""

    def __init__(self, first: Side, second: Side, k: int, radius: float, pool: ThreadPoolExecutor) -> None:
        self.first, self.second, self.k, self.radius, self.pool = first, second, k, radius, pool
        self.same = first.renditions.same(second.renditions)
        self.mirrored = self.same and np.array_equal(first.ids, second.ids)
        self.limit = np.full(len(first.ids), radius)
        self.seeds = np.zeros(0, np.int64)
        self.found = [(np.zeros(0, np.int64),) * 3]
        self.size = 0

    def seed(self, report: Callable[[int], None]) -> None:
        """Measure the k targets of every query that are probably nearest; the k-th distance becomes its limit."""
        rows, columns = self._probable(report)
        self.seeds = np.unique(self._key(rows, columns))
        rows, columns = np.divmod(self.seeds, max(1, len(self.second.ids)))
        self.limit[:] = np.inf
        self._add(rows, columns, self._distances(rows, columns))
        self._shrink()
        rows, _, distance = self.found[0]
        last = np.flatnonzero(np.arange(len(rows)) - np.searchsorted(rows, rows) == self.k - 1)
        self.limit[rows[last]] = np.maximum(distance[last], self.radius)

    def measure(self, report: Callable[[int], None]) -> None:
        """Measure every pair that a bound does not rule out."""
        for done, column in enumerate(self.second.starts):
            for row in self.first.starts:
                if not (self.mirrored and row > column):
                    self._measure_block(row, column)
            report(done + 1)

    def result(self) -> Near:
        """What was found, by ids."""
        self._shrink()
        row, column, distance = self.found[0]
        return Near(self.first.ids[row], self.second.ids[column], distance.astype(np.float64))

    def _probable(self, report: Callable[[int], None]) -> tuple[np.ndarray, np.ndarray]:
        import torch

        best: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        for done, column in enumerate(self.second.starts):
            for row in self.first.starts:
                value = probable(self.first.points(row), self.second.points(column))
                value[self._selves(row, column)] = FAR
                value, where = _least(value, self.k)
                where += column
                if row in best:
                    value, where = (torch.cat(pair, 1) for pair in zip(best[row], (value, where), strict=True))
                    value, order = _least(value, self.k)
                    where = where.gather(1, order)
                best[row] = value, where
            report(done + 1)
        rows, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for start, (value, where) in best.items():
            row, place = (value < FAR).nonzero(as_tuple=True)
            rows.append(row.cpu().numpy() + start)
            columns.append(where[row, place].cpu().numpy())
        return np.concatenate(rows), np.concatenate(columns)

    def _selves(self, row: int, column: int) -> tuple[np.ndarray, np.ndarray]:
        """Places in a block of pairs of an image with itself."""
        if not self.same:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        _, own, other = np.intersect1d(self.first.block(row), self.second.block(column), True, return_indices=True)
        return own, other

    def _measure_block(self, row: int, column: int) -> None:
        other_limit = self.limit[column : column + len(self.second.block(column))] if self.mirrored else None
        limit = self.limit[row : row + len(self.first.block(row))]
        rows, columns = within(self.first.points(row), self.second.points(column), limit, other_limit)
        rows, columns = rows + row, columns + column
        if self.mirrored and row == column:
            rows, columns = rows[rows < columns], columns[rows < columns]
        elif self.same:
            other = self.first.ids[rows] != self.second.ids[columns]
            rows, columns = rows[other], columns[other]
        new = ~_in_sorted(self._key(rows, columns), self.seeds)
        rows, columns = rows[new], columns[new]
        whole = len(self.first.block(row)) * len(self.second.block(column))
        if len(rows) > whole * _DENSE[self.first.device.partition(":")[0]]:
            self._add(rows, columns, self._block_distances(row, column)[rows - row, columns - column])
        else:
            self._add(rows, columns, self._distances(rows, columns))

    def _block_distances(self, row: int, column: int) -> np.ndarray:
        """Distances of all pairs of a block, int64, by products of the pictures themselves."""
        import torch

        from curation.duplicates.integers import products

        pictures = [
            side.renditions.rows(side.block(start)) for side, start in ((self.first, row), (self.second, column))
        ]
        x, y = (torch.from_numpy(p.reshape(-1, BYTES)).bitwise_xor_(128).view(torch.int8) for p in pictures)
        total = torch.zeros(len(x), len(y), dtype=torch.int64, device=self.first.device)
        for start in range(0, BYTES, _COLUMNS):
            a, b = (z[:, start : start + _COLUMNS].to(total.device).contiguous() for z in (x, y))
            total -= 2 * products(a, b).to(torch.int64)
            total += a.to(torch.int16).square_().sum(1)[:, None] + b.to(torch.int16).square_().sum(1)[None]
        return total.cpu().numpy()

    def _distances(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        a, b = self.first.ids[rows], self.second.ids[columns]
        return _exact(self.first.renditions, a, self.second.renditions, b, self.pool)

    def _key(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """One number for a pair, the same for both directions of it where both are sought."""
        if self.mirrored:
            rows, columns = np.minimum(rows, columns), np.maximum(rows, columns)
        return rows * len(self.second.ids) + columns

    def _add(self, rows: np.ndarray, columns: np.ndarray, distance: np.ndarray) -> None:
        """Collect pairs within the limit of their query, in both directions where both are sought."""
        for one, other in ((rows, columns), (columns, rows))[: 1 + self.mirrored]:
            kept = distance <= self.limit[one]
            self.found.append((one[kept], other[kept], distance[kept]))
            self.size += int(kept.sum())
        if self.size > _COLLECTED:
            self._shrink()

    def _shrink(self) -> None:
        """Sort what was found by query, distance and target, and keep the k nearest and all within the radius."""
        row, column, distance = (np.concatenate(part) for part in zip(*self.found, strict=True))
        order = np.lexsort((column, distance, row))
        row, column, distance = row[order], column[order], distance[order]
        kept = (np.arange(len(row)) - np.searchsorted(row, row) < self.k) | (distance <= self.radius)
        self.found = [(row[kept], column[kept], distance[kept])]
        self.size = -int(kept.sum())  # what has to stay may double before all is looked through again


def _exact(
    first: Renditions,
    a: np.ndarray,
    second: Renditions,
    b: np.ndarray,
    pool: ThreadPoolExecutor,
    progress: Progress = quiet,
) -> np.ndarray:
    """Squared distances of pairs, int64, in the order given."""
    order = np.lexsort((a, b, a // _CACHED))
    result = np.empty(len(order), np.int64)
    parts = [order[start : start + _PAIRS] for start in range(0, len(order), _PAIRS)]
    with closing(pool.map(lambda p: _norms(first, a[p], second, b[p]), parts)) as found:
        for number, (part, distance) in enumerate(zip(parts, found, strict=True), 1):
            result[part] = distance
            if number % _REPORTED == 0 or number == len(parts):
                progress(min(number * _PAIRS, len(order)), len(order), "pixels: distances")
    return result


def _norms(first: Renditions, a: np.ndarray, second: Renditions, b: np.ndarray) -> np.ndarray:
    import cv2

    # One call a pair takes less time than arrays of all pairs' bytes, which would not fit into the cache.
    pairs = zip(first.views(a), second.views(b), strict=True)
    return np.rint([cv2.norm(x, y, cv2.NORM_L2SQR) for x, y in pairs]).astype(np.int64)


def _least(value: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k least values of each row, in no order, and where they are."""
    return value.topk(min(k, value.shape[1]), dim=1, largest=False, sorted=False)


def _in_sorted(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Whether each value is among `known`, which is sorted."""
    if not len(known):
        return np.zeros(len(values), bool)
    return known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values


def _device(device: str | None) -> str:
    from curation.duplicates.integers import best_device

    return device or best_device()


@contextmanager
def _threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads, and as many for products, until the block ends."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, workers))
    try:
        with ThreadPoolExecutor(max(1, workers)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)
