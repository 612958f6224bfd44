"""All pairs of 64-bit hashes within a Hamming radius, exactly: multi-index hashing on whole arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from curation.engine import Progress, quiet

BITS = 64
_MAX_WIDTH = 22  # a table of bucket offsets has 2**width entries


@dataclass(frozen=True)
class Band:
    """`width` bits of a hash, `shift` bits from the lowest; searched to `radius` differing bits."""

    shift: int
    width: int
    radius: int

    def of(self, hashes: np.ndarray) -> np.ndarray:
        """These bits of each hash, as int64."""
        return ((hashes >> np.uint64(self.shift)) & np.uint64((1 << self.width) - 1)).astype(np.int64)

    def flips(self) -> list[int]:
        """Every pattern of at most `radius` bits, fewest bits first."""
        chosen = (c for n in range(self.radius + 1) for c in combinations(range(self.width), n))
        return [sum(1 << bit for bit in bits) for bits in chosen]


def bands(count: int, radius: int, queries: int | None = None) -> list[Band]:
    """Cut 64 bits into bands such that two hashes within `radius` agree closely enough in at least one of them.

    With B bands and radius = q B + a, one of the first a + 1 bands differs in at most q bits, or one of the others in
    at most q - 1 (M. Norouzi, A. Punjani and D. Fleet, Fast Search in Hamming Space with Multi-Index Hashing, CVPR
    2012, section 3.1). B is the number that makes the expected work of `queries` (`count` when None) among `count`
    hashes least.
    """

    def cut(number: int) -> list[Band]:
        edges = [BITS * i // number for i in range(number + 1)]
        near, rest = divmod(radius, number)
        radii = [near if i <= rest else near - 1 for i in range(number)]
        return [Band(edges[i], edges[i + 1] - edges[i], radii[i]) for i in range(number) if radii[i] >= 0]

    looks = count if queries is None else queries
    return min((cut(n) for n in range(-(-BITS // _MAX_WIDTH), 17)), key=lambda chosen: _work(chosen, count, looks))


def _work(chosen: list[Band], count: int, queries: int) -> float:
    """Expected work of a search among `count` hashes, in looks at one candidate or one bucket."""
    # A probe of a bucket costs about as much as a look at one candidate in it; each pattern has a fixed cost too.
    probes = [(sum(comb(b.width, n) for n in range(b.radius + 1)), b.width) for b in chosen]
    return sum(p * (1_000 + queries * (1 + count / 2**width)) for p, width in probes)


class Index:
    """Hashes in buckets by each band, to be searched many times."""

    def __init__(self, targets: np.ndarray, *, radius: int, queries: int) -> None:
        """Sort the targets.

        Args:
            targets: uint64 (N,).
            radius: 0 to 64, in bits; work grows steeply beyond 16 or so.
            queries: how many are asked for at a time, which decides on the bands.
        """
        self.targets, self.radius = targets, radius
        self.bands = bands(max(len(targets), queries), radius, queries)
        self.buckets = [_Buckets(targets, band) for band in self.bands]

    def search(
        self, queries: np.ndarray, *, block: int = 2_000_000, progress: Progress = quiet
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Every pair (query, target) whose hashes differ in at most `radius` bits, each once, in pieces.

        Args:
            queries: uint64 (M,).
            block: candidates held at a time; bounds the memory.

        Yields:
            (i, j, distance): int64, int64 and uint8, i into the queries and j into the targets.
        """
        total = sum(len(band.flips()) for band in self.bands)
        done = 0
        for number, (band, bucket) in enumerate(zip(self.bands, self.buckets, strict=True)):
            probes = _Probes(band.of(queries))
            for flip in band.flips():
                for i, j in bucket.candidates(probes, flip, block):
                    different = queries[i] ^ self.targets[j]
                    distance = np.bitwise_count(different)
                    close = np.flatnonzero(distance <= self.radius)
                    # A pair that an earlier band has found already is left to that band.
                    close = close[_new(different[close], self.bands[:number])]
                    if len(close):
                        yield i[close], j[close], distance[close]
                done += 1
                progress(done, total, "perceptual hashes")


def _new(different: np.ndarray, earlier: list[Band]) -> np.ndarray:
    fresh = np.ones(len(different), bool)
    for band in earlier:
        fresh &= np.bitwise_count(band.of(different)) > band.radius
    return fresh


class _Probes:
    """Queries sorted by one band: neighbouring probes then read neighbouring buckets."""

    def __init__(self, values: np.ndarray) -> None:
        self.queries = np.argsort(values, kind="stable")
        self.values = values[self.queries]


class _Buckets:
    """Targets sorted by one band, and where each value of the band begins."""

    def __init__(self, targets: np.ndarray, band: Band) -> None:
        values = band.of(targets)
        self.targets = np.argsort(values, kind="stable")
        self.starts = np.zeros((1 << band.width) + 1, np.int64)
        np.cumsum(np.bincount(values, minlength=1 << band.width), out=self.starts[1:])

    def candidates(self, probes: _Probes, flip: int, block: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pairs whose bands differ in exactly the bits of `flip`, at most about `block` at a time."""
        probe = probes.values ^ flip
        low, size = self.starts[probe], self.starts[probe + 1] - self.starts[probe]
        hit = np.flatnonzero(size)
        low, size = low[hit], size[hit]
        ends = np.cumsum(size)
        begin = 0
        while begin < len(hit):
            before = ends[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, before + block, side="right")))
            n = size[begin:end]
            offset = np.arange(ends[end - 1] - before) - np.repeat(ends[begin:end] - n - before, n)
            yield (
                np.repeat(probes.queries[hit[begin:end]], n),
                self.targets[np.repeat(low[begin:end], n) + offset],
            )
            begin = end
