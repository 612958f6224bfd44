"""Blocked exact search: candidates of a block of queries in low precision on the device, ranked on the CPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from curation.duplicates import candidates
from curation.duplicates.ranking import Ranked, Ranking
from curation.engine import Progress
from curation.errors import ArgumentError

ROWS = 1024
SLAB_BYTES = 2**29
PENDING = 2_000_000
# Lengths of rows that leave room for products in float32.
SHORTEST, LONGEST = 1e-12, 1e12


@contextmanager
def threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool whose threads each compute alone: waiting for one another would cost more where cores are shared."""
    before, matmul = torch.get_num_threads(), torch.backends.cuda.matmul
    reduced, matmul.allow_bf16_reduced_precision_reduction = matmul.allow_bf16_reduced_precision_reduction, False
    with warnings.catch_warnings():
        # Memory maps cannot be written to, and nothing writes; sparse products call themselves new.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable|Sparse CSR tensor support")
        try:
            with ThreadPoolExecutor(max(1, workers), initializer=lambda: torch.set_num_threads(1)) as pool:
                yield pool
        finally:
            torch.set_num_threads(before)
            matmul.allow_bf16_reduced_precision_reduction = reduced


def lengths(rows: np.ndarray, pool: ThreadPoolExecutor) -> np.ndarray:
    """Lengths of rows, float64 (N,)."""

    def squares(start: int) -> np.ndarray:
        part = rows[start : start + ROWS]
        return np.einsum("nd,nd->n", part, part, dtype=np.float64)

    norms = np.sqrt(np.concatenate(list(pool.map(squares, range(0, len(rows), ROWS)))))
    bad = np.flatnonzero(~((norms == 0) | ((norms >= SHORTEST) & (norms <= LONGEST))))
    if len(bad):
        raise ArgumentError(
            f"{len(bad):,} of {len(rows):,} rows cannot be compared; the first is row {bad[0]:,} of length "
            f"{norms[bad[0]]:g}, and lengths from {SHORTEST:g} to {LONGEST:g} can be (or 0)"
        )
    return norms


def index_of(ids: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Where each id stands in `among`, -1 where it does not; int64."""
    order = np.argsort(among)
    at = order[np.minimum(np.searchsorted(among, ids, sorter=order), len(among) - 1)]
    return np.where(among[at] == ids, at, -1)


def ordered(pool: ThreadPoolExecutor, function: Callable, items: range, workers: int) -> Iterator[tuple[int, Any]]:
    """(item, function(item)) for every item, in order; few under way at once, so that stopping is quick."""
    waiting: list = []
    for item in items:
        waiting.append((item, pool.submit(function, item)))
        if len(waiting) > workers:
            first, future = waiting.pop(0)
            yield first, future.result()
    for first, future in waiting:
        yield first, future.result()


class Search:
    """Query blocks against slabs of targets: as many targets at a time as fit in `SLAB_BYTES` when rounded."""

    def __init__(
        self, ranking: Ranking, queries: np.ndarray, norms: np.ndarray, own: np.ndarray, device: str | None
    ) -> None:
        self.ranking, self.queries, self.norms, self.own = ranking, queries, norms, own
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = candidates.precision(self.device)
        self.step = -(-len(queries) // -(-len(queries) // ROWS))
        longest = max(norms.max(), ranking.norms.max())
        # A power of two, so that scaling rounds nothing.
        self.scale = 2.0 ** -np.ceil(np.log2(longest)) if longest > 0 else 1.0
        self.margin = 0.0 if ranking.squared else 2 * float(ranking.error(norms[:1])[0])

    def run(self, among: np.ndarray, pool: ThreadPoolExecutor, workers: int, progress: Progress) -> list[Ranked]:
        """The neighbours of every query block of `step` rows among the targets at the places `among`, ascending."""
        slab = max(ROWS, SLAB_BYTES // (self.queries.shape[1] * self.dtype.itemsize))
        starts = range(0, len(self.queries), self.step)
        found: list[Ranked | None] = [None] * len(starts)
        total = len(starts) * len(range(0, len(among), slab))
        for first in range(0, len(among), slab):
            some = among[first : first + slab]
            blocks = self._blocks(some, pool)

            def task(number: int, blocks: list = blocks, some: np.ndarray = some) -> Ranked:
                return self._block(number, blocks, some, found[number])

            for number, result in ordered(pool, task, range(len(starts)), workers):
                found[number] = result
                progress(first // slab * len(starts) + number + 1, total, "nearest neighbours")
            # Not while the next slab is made.
            del blocks, task
        return found

    def _scales(self, norms: np.ndarray) -> np.ndarray:
        if self.ranking.squared:
            return np.full(len(norms), self.scale)
        return np.divide(1.0, norms, out=np.zeros(len(norms)), where=norms > 0)

    def _blocks(self, places: np.ndarray, pool: ThreadPoolExecutor) -> list:
        count = -(-len(places) // candidates.COLUMNS)

        def make(number: int) -> candidates.Block:
            chosen = places[number::count]
            norms = self.ranking.norms[chosen]
            lengths = norms if self.ranking.squared else None
            rows = self.ranking.targets[chosen]
            return candidates.block(rows, self._scales(norms), lengths, self.dtype, self.device)

        return list(pool.map(make, range(count)))

    def _floor(self, norms: np.ndarray) -> np.ndarray:
        """The score that a target within the radius has at least, float32, by query."""
        radius = self.ranking.radius
        if radius == -np.inf:
            return np.full(len(norms), np.inf, np.float32)
        if not self.ranking.squared:
            return np.full(len(norms), 1 - radius - 1e-6, np.float32)
        floor = (norms**2 - radius) / 2 - 1e-6 * (norms**2 + abs(radius))
        return (floor * self.scale**2).astype(np.float32)

    def _block(self, number: int, blocks: list, places: np.ndarray, earlier: Ranked | None) -> Ranked:
        """The neighbours of one query block among these targets and `earlier` ones."""
        part = slice(number * self.step, (number + 1) * self.step)
        queries, norms = self.queries[part], self.norms[part]
        low = candidates.rounded(queries, self._scales(norms), self.dtype, self.device)
        cutoff = candidates.Cutoff(low, self.ranking.k, self._floor(norms), self.margin)
        own = index_of(self.own[part], places)
        held: list[tuple[np.ndarray, ...]] = [] if earlier is None else [_certain(earlier)]
        for found in candidates.search(blocks, own, cutoff):
            held.append((found.row, places[found.place], found.upper))
            if sum(len(row) for row, _, _ in held) > PENDING:
                held = [_certain(self._settled(queries, norms, held, cutoff))]
        return self._settled(queries, norms, held, cutoff)

    def _settled(self, queries: np.ndarray, norms: np.ndarray, held: list, cutoff: Any) -> Ranked:
        row, place, upper = (np.concatenate(column) for column in zip(*held, strict=True))
        kept = upper >= cutoff.least.cpu().numpy()[row]
        return self.ranking.settle(queries, norms, row[kept], place[kept])


def _certain(ranked: Ranked) -> tuple[np.ndarray, ...]:
    """Ranked pairs as candidates that no cutoff drops."""
    return ranked.row, ranked.place, np.full(len(ranked.row), np.inf, np.float32)
