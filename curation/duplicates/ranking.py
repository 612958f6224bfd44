"""Exact order of candidates: distances in float32, and in float64 wherever float32 could put two in the wrong order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CHUNK_BYTES = 2**24
MASK = (1 << 32) - 1


class Ranked(NamedTuple):
    """Sorted by row, distance and id: row of the query block and place among the targets, int64; float64; all (P,)."""

    row: np.ndarray
    place: np.ndarray
    distance: np.ndarray


class Ranking(NamedTuple):
    """What distances are taken between.

    Attributes:
        targets: float32 (T, D); `ids` int64 (T,) break ties.
        norms: of the targets, float64 (T,).
        squared: squared Euclidean distance; else 1 - cosine, which is 1 where a row is zero.
        k: how many to keep, besides all within `radius`.
    """

    targets: np.ndarray
    ids: np.ndarray
    norms: np.ndarray
    squared: bool
    k: int
    radius: float

    def error(self, norms: np.ndarray) -> np.ndarray:
        """How far a distance in float32 may be off, float64, for queries of these norms.

        A product is summed in at least four strands, whatever the machine's vectors (N. J. Higham, Accuracy and
        Stability of Numerical Algorithms, 2nd edition, section 3.1).
        """
        share = (self.targets.shape[1] / 4 + 8) * 2.0**-24
        if not self.squared:
            return np.full(len(norms), share)
        return share * (norms + self.norms.max(initial=0.0)) ** 2

    def settle(self, queries: np.ndarray, norms: np.ndarray, row: np.ndarray, place: np.ndarray) -> Ranked:
        """The k nearest candidates of every query and all within the radius.

        Args:
            queries: float32 (B, D), and their norms, float64 (B,).
            row, place: candidates, int64 (P,), each pair once, in any order.
        """
        key = np.sort(row << 32 | place)
        row, place = key >> 32, key & MASK
        value = self._roughly(queries, norms, row, place)
        order = np.argsort(row << 32 | value.view(np.uint32))
        row, place, value = row[order], place[order], value[order].astype(np.float64)
        error = self.error(norms)[row]
        start = np.searchsorted(row, np.arange(len(queries) + 1))
        last = start[:-1] + self.k - 1
        farthest = np.where(last < start[1:], np.append(value, np.inf)[np.minimum(last, len(value))], np.inf)
        if not self.k:
            farthest[:] = -np.inf
        kept = (value <= farthest[row] + 2 * error) | (value <= self.radius + error)
        row, place, value, error = row[kept], place[kept], value[kept], error[kept]
        self._sharpen(queries, row, place, value, error)
        within = np.arange(len(row)) - np.searchsorted(row, np.arange(len(queries)))[row]
        kept = (within < self.k) | (value <= self.radius)
        return Ranked(row[kept], place[kept], value[kept])

    def _roughly(self, queries: np.ndarray, norms: np.ndarray, row: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Distances from float32 products, not below 0; each is summed by one thread in one order."""
        import torch

        edges = torch.from_numpy(np.searchsorted(row, np.arange(len(queries) + 1)))
        shape = (len(queries), len(self.targets))
        pattern = torch.sparse_csr_tensor(
            edges, torch.from_numpy(place), torch.zeros(len(row)), size=shape, check_invariants=False
        )
        first, second = torch.from_numpy(queries), torch.from_numpy(self.targets)
        product = torch.sparse.sampled_addmm(pattern, first, second.T, beta=0.0).values().numpy()
        size = norms[row] * self.norms[place]
        if self.squared:
            value = norms[row] ** 2 + self.norms[place] ** 2 - 2.0 * product
        else:
            value = 1.0 - np.divide(product, size, out=np.zeros(len(size)), where=size > 0)
        return np.maximum(value, 0.0).astype(np.float32)

    def _sharpen(
        self, queries: np.ndarray, row: np.ndarray, place: np.ndarray, value: np.ndarray, error: np.ndarray
    ) -> None:
        """In place: float64 for what float32 cannot order, tell from the radius, or measure to two digits."""
        unsure = (np.abs(value - self.radius) <= error) | (value <= 100 * error) | self.squared
        close = (np.diff(value) <= 2 * error[1:]) & (row[1:] == row[:-1])
        unsure[1:] |= close
        unsure[:-1] |= close
        slots = np.flatnonzero(unsure)
        exact = self.exactly(queries, row[slots], place[slots])
        order = np.lexsort((self.ids[place[slots]], exact, row[slots]))
        place[slots], value[slots] = place[slots][order], exact[order]

    def exactly(self, queries: np.ndarray, row: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Distances in float64 of pairs, (P,); identical rows are at 0."""
        result = np.empty(len(row))
        step = max(1, CHUNK_BYTES // (8 * self.targets.shape[1]))
        for start in range(0, len(row), step):
            part = slice(start, start + step)
            q, t = queries[row[part]].astype(np.float64), self.targets[place[part]].astype(np.float64)
            if self.squared:
                q -= t
                result[part] = np.einsum("pd,pd->p", q, q)
                continue
            qt, qq, tt = (np.einsum("pd,pd->p", x, y) for x, y in ((q, t), (q, q), (t, t)))
            size = np.sqrt(qq * tt)
            result[part] = 1.0 - np.divide(qt, size, out=np.zeros(len(size)), where=size > 0)
        return np.maximum(result, 0.0)
