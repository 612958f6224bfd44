"""Measures on hashes of the picture: same decoded pixels, and perceptual hashes of the picture and its mirror image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.duplicates import hamming
from curation.duplicates.measures import FAR, NEAR, Compared, Proposals, Side, gathered, surroundings
from curation.duplicates.neighbours import Near, rank
from curation.duplicates.scopes import Plan
from curation.engine import Progress, quiet

# Closer than the median over the photographs that the rule was fitted on (18.6 bits), so that a small collection errs
# on the side of keeping.
TYPICAL = 18.0
SAMPLE = 4096
PENDING = 8_000_000


class Exact:
    """Same decoded pixels, shape included. It needs no table of neighbours: equal is equal."""

    name = "exact"

    def __init__(self, first: Side, second: Side, *, neighbours: int = 30) -> None:
        self.inside, self.neighbours = first is second, neighbours
        texts = [chunk for side in ((first,) if self.inside else (first, second)) for chunk in _pixels(side.images)]
        words = pa.chunked_array(texts, pa.string()).combine_chunks().dictionary_encode()
        numbers = words.indices.fill_null(-1).to_numpy().astype(np.int64)
        self.codes = numbers[: len(first)], numbers[0 if self.inside else len(first) :]

    def propose(self, plan: Plan) -> Proposals:
        """Copies among the images that `plan` compares; each is paired with the first `neighbours` of its copies."""
        order = np.argsort(plan.group, kind="stable")
        edges = np.searchsorted(plan.group[order], np.arange(len(plan.targets) + 1))
        blocks = ((order[edges[i] : edges[i + 1]], targets) for i, targets in enumerate(plan.targets))
        return gathered((self._copies(*block) for block in blocks), inside=self.inside)

    def _copies(self, queries: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(query, target, capped) of equal codes."""
        first, second = self.codes
        queries, targets = queries[first[queries] >= 0], targets[second[targets] >= 0]
        by_code = targets[np.argsort(second[targets], kind="stable")]
        start, end = (np.searchsorted(second[by_code], first[queries], side=side) for side in ("left", "right"))
        # One more than may be kept, since one of them may be the image itself.
        size = np.minimum(end - start, self.neighbours + self.inside)
        place = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        query, target = np.repeat(queries, size), by_code[np.repeat(start, size) + place]
        apart = (query != target) | (not self.inside)
        query, target = query[apart], target[apart]
        kept = rank(query) < self.neighbours
        return query[kept], target[kept], queries[end - start > self.neighbours + self.inside]

    def compare(self, a: np.ndarray, b: np.ndarray, progress: Progress = quiet) -> Compared:
        """Column `exact`, 1.0 or 0.0."""
        first, second = self.codes[0][a], self.codes[1][b]
        equal = (first == second) & (first >= 0)
        return Compared({"exact": equal.astype(np.float64)}, {"exact": equal})


class Hashes:
    """Perceptual hashes of one side, and the surroundings of its images in bits."""

    def __init__(self, side: Side) -> None:
        self.plain, self.mirror = (_hashes(side.images[column]) for column in ("phash", "phash_mirror"))
        known = pc.and_(pc.is_valid(side.images["phash"]), pc.is_valid(side.images["phash_mirror"]))
        self.known = side.usable & known.to_numpy()
        self.content = np.stack([self.plain, self.mirror, self.known.astype(np.uint64)], axis=1)
        self.around = np.full(len(side), np.nan)

    def surroundings(self, ids: np.ndarray, progress: Progress = quiet) -> np.ndarray:
        """Of the images `ids`, among an even sample of at most `SAMPLE` images; NaN where an image is not known."""
        todo = np.unique(ids)
        todo = todo[self.known[todo] & np.isnan(self.around[todo])]
        known = np.flatnonzero(self.known)
        sample = known[np.unique(np.linspace(0, len(known) - 1, min(SAMPLE, len(known))).astype(np.int64))]
        reach = min(FAR, len(sample) - 1)
        for start in range(0, len(todo), 1024):
            some = todo[start : start + 1024]
            bits = np.bitwise_count(self.plain[some][:, None] ^ self.plain[sample])
            bits[some[:, None] == sample] = hamming.BITS
            ring = np.full(len(some), np.nan)
            if reach > NEAR:
                ring = np.sort(np.partition(bits, reach, axis=1)[:, :reach], axis=1)[:, NEAR:].mean(axis=1)
            self.around[some] = surroundings(ring, TYPICAL, len(sample))
            progress(min(start + 1024, len(todo)), len(todo), "surroundings of hashes")
        return self.around[ids]


class PerceptualHash:
    """Hamming distance of 64-bit perceptual hashes, plain and to the mirror image. Flat pictures are left out."""

    name, title = "phash", "perceptual hashes"

    def __init__(self, first: Side, second: Side, *, radius: int = 8) -> None:
        self.first, self.second, self.radius = first, second, radius
        self.ours = Hashes(first)
        self.theirs = self.ours if first is second else Hashes(second)
        self.known = self.ours.known, self.theirs.known
        self.content = self.ours.content, self.theirs.content
        self.made_from: dict[str, object] = {}
        self._indexed: tuple = (None,)

    def near(
        self, query_ids: np.ndarray, target_ids: np.ndarray, *, k: int, radius: float | None, progress: Progress = quiet
    ) -> Near:
        """The nearest k of `target_ids` within the radius of each query, the lesser of plain and mirrored distance."""
        targets, plain, mirror = self._index(target_ids, k)
        both = np.stack([self.ours.plain[query_ids], self.ours.mirror[query_ids]])
        unlike, group = np.unique(both, axis=1, return_inverse=True)
        ways = ((plain, unlike[0]), (plain, unlike[1]), (mirror, unlike[0]))
        parts: list[tuple] = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint8))]
        for number, (index, queries) in enumerate(ways):

            def tell(done: int, total: int, message: str, number: int = number) -> None:
                progress(done + number * total, 3 * total, message)

            for part in index.search(queries, progress=tell):
                parts.append(part)
                if sum(len(i) for i, _, _ in parts) > PENDING:
                    parts = [_nearest(parts, k + 1)]
        return self._expanded(query_ids, group.ravel(), targets, _nearest(parts, k + 1), k)

    def _index(self, target_ids: np.ndarray, k: int) -> tuple[np.ndarray, hamming.Index, hamming.Index]:
        if self._indexed[0] is not target_ids:
            hashes = np.stack([self.theirs.plain[target_ids], self.theirs.mirror[target_ids]])
            # Of images with the same hashes only the first k, besides the image itself, are among anybody's nearest.
            _, group = np.unique(hashes, axis=1, return_inverse=True)
            first = rank(group.ravel()) <= k
            indices = (hamming.Index(row[first], radius=self.radius, queries=4096) for row in hashes)
            self._indexed = target_ids, target_ids[first], *indices
        return self._indexed[1:]

    def _expanded(
        self, query_ids: np.ndarray, group: np.ndarray, targets: np.ndarray, found: tuple[np.ndarray, ...], k: int
    ) -> Near:
        """Neighbours of every image from those of each group of equal hashes."""
        i, j, bits = found
        start, end = (np.searchsorted(i, group, side=side) for side in ("left", "right"))
        size = end - start
        place = np.repeat(start, size) + np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        query, target, bits = np.repeat(query_ids, size), targets[j[place]], bits[place]
        apart = (query != target) | (self.first is not self.second)
        query, target, bits = query[apart], target[apart], bits[apart]
        kept = rank(query) < k
        return Near(query[kept], target[kept], bits[kept].astype(np.float64))

    def propose(self, shards: Iterable[Near], k: int = 30) -> Proposals:
        """All neighbours in the table: they are within the radius. Images with `k` of them may have more."""
        parts = ((near.query, near.target, near.query[rank(near.query) == k - 1]) for near in shards)
        return gathered(parts, inside=self.first is self.second)

    def compare(self, a: np.ndarray, b: np.ndarray, progress: Progress = quiet) -> Compared:
        """Columns `phash` and `phash_mirror`, in bits; the margin in bits too."""
        looked = self.ours.known[a] & self.theirs.known[b]
        plain = np.bitwise_count(self.ours.plain[a] ^ self.theirs.plain[b])
        ways = ((self.ours.mirror, self.theirs.plain), (self.ours.plain, self.theirs.mirror))
        mirrored = np.minimum(*(np.bitwise_count(x[a] ^ y[b]) for x, y in ways))
        values = {name: np.where(looked, x, np.nan) for name, x in (("phash", plain), ("phash_mirror", mirrored))}
        around = np.minimum(self.ours.surroundings(a, progress), self.theirs.surroundings(b, progress))
        margin = around - np.minimum(values["phash"], values["phash_mirror"])
        return Compared(values, {name: value <= self.radius for name, value in values.items()}, margin)


def _nearest(parts: Iterable[tuple[np.ndarray, ...]], k: int) -> tuple[np.ndarray, ...]:
    """The k nearest of each i, in order of i, distance and j, from pieces (i, j, distance) that may repeat pairs."""
    i, j, bits = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((bits, j, i))
    i, j, bits = i[order], j[order], bits[order]
    fresh = np.r_[True, (i[1:] != i[:-1]) | (j[1:] != j[:-1])][: len(i)]
    i, j, bits = i[fresh], j[fresh], bits[fresh]
    order = np.lexsort((j, bits, i))
    i, j, bits = i[order], j[order], bits[order]
    kept = rank(i) < k
    return i[kept], j[kept], bits[kept]


def _hashes(column: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(column, pa.scalar(0, pa.uint64())).to_numpy()


def _pixels(images: pa.Table) -> Iterator[pa.Array]:
    """Hashes of decoded pixels, null where there are none."""
    readable = pc.equal(images["status"].cast(pa.string()), "ok")
    known = pc.and_(readable, pc.greater(pc.utf8_length(images["pixels"]), 0))
    yield from pc.if_else(known, images["pixels"], pa.scalar(None, pa.string())).chunks
