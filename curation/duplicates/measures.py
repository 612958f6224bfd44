"""What can be measured between two pictures. A measure proposes pairs and compares any pairs it is given.

To add one, write a class like those here and name it in `curation.duplicates.find.measures_of`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.arrays import Features
from curation.duplicates import hamming
from curation.duplicates.neighbours import closest, cosine_top, rank, same, unique_pairs, unit
from curation.engine import Progress, quiet

# An image's surroundings are its 11th to 30th nearest: nearer ones may be its own near duplicates.
NEAR, FAR = 10, 30
# In a small collection even the nearest are far: the surroundings are drawn towards a typical value, as if this many
# images more had been seen. Both values are closer than the medians over the photographs that the rule was fitted on
# (18.6 bits and 0.61), so that a small collection errs on the side of keeping. Chosen by trial on parts of them.
PRIOR = 100
TYPICAL_BITS, TYPICAL_COSINE = 18.0, 0.70
SAMPLE = 4096
PENDING = 8_000_000


class Proposals(NamedTuple):
    """Pairs with a < b, int64, each once; `capped` are the ids of images that had more than they may keep."""

    a: np.ndarray
    b: np.ndarray
    capped: np.ndarray


class Compared(NamedTuple):
    """What a measure says of pairs.

    Attributes:
        values: its columns of the pairs table, float (P,) each, NaN where it could not look.
        found: which pairs it calls close, bool (P,), by column.
        margin: how far each pair stands out from the surroundings of its two images, float (P,), larger is closer;
            what the rule weighs. NaN where it could not look.
    """

    values: dict[str, np.ndarray]
    found: dict[str, np.ndarray]
    margin: np.ndarray


class Measure(Protocol):
    """Finds pairs by itself, and measures any pairs that it is given."""

    name: str

    def propose(self, progress: Progress = quiet) -> Proposals: ...

    def compare(self, a: np.ndarray, b: np.ndarray, progress: Progress = quiet) -> Compared: ...


def surroundings(nearest: np.ndarray, typical: float, seen: int) -> np.ndarray:
    """Mean of each image's 11th to 30th nearest values, drawn towards `typical` when few images were seen.

    Relating a similarity to the neighbourhood it lies in is the idea of CSLS (A. Conneau et al., Word Translation
    Without Parallel Data, ICLR 2018, section 2.3).

    Args:
        nearest: (N, K), values of the K nearest, nearest first.
        typical: what to expect where there are too few.
        seen: among how many images the nearest were sought.
    """
    ring = nearest[:, NEAR:FAR]
    if not ring.shape[1]:
        return np.full(len(nearest), typical)
    return (seen * ring.mean(axis=1, dtype=np.float64) + PRIOR * typical) / (seen + PRIOR)


def usable(images: pa.Table) -> np.ndarray:
    """Which images can be told apart by what they show: readable, and not all of one colour; bool by image id."""
    plain = pc.and_not(pc.equal(images["status"].cast(pa.string()), "ok"), pc.fill_null(images["flat"], False))
    return plain.to_numpy()


def _hashes(column: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(column, pa.scalar(0, pa.uint64())).to_numpy()


class Exact:
    """Same decoded pixels, shape included."""

    name = "exact"

    def __init__(self, images: pa.Table, neighbours: int = 30) -> None:
        """`images` needs the columns status and pixels, one row an image id."""
        known = pc.and_(
            pc.equal(images["status"].cast(pa.string()), "ok"), pc.greater(pc.utf8_length(images["pixels"]), 0)
        )
        hashes = pc.if_else(known, images["pixels"], None).dictionary_encode().unify_dictionaries().combine_chunks()
        self.codes = pc.fill_null(hashes.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        self.neighbours = neighbours

    def propose(self, progress: Progress = quiet) -> Proposals:
        """Copies; in a large group each is paired with the first `neighbours` of it."""
        ids = np.flatnonzero(self.codes >= 0)
        a, b, capped = same(ids, self.codes[ids], self.neighbours)
        progress(1, 1, "exact copies")
        return Proposals(a, b, capped)

    def compare(self, a: np.ndarray, b: np.ndarray, progress: Progress = quiet) -> Compared:
        """Column `exact`, 1.0 or 0.0."""
        equal = (self.codes[a] == self.codes[b]) & (self.codes[a] >= 0)
        return Compared({"exact": equal.astype(np.float64)}, {"exact": equal}, np.full(len(a), np.nan))


class PerceptualHash:
    """Hamming distance of 64-bit perceptual hashes, plain and to the mirror image. Flat pictures are left out."""

    name = "phash"

    def __init__(self, images: pa.Table, *, radius: int = 8, neighbours: int = 30) -> None:
        """`images` needs the columns status, flat, phash and phash_mirror, one row an image id."""
        self.radius, self.neighbours = radius, neighbours
        self.hash, self.mirror = (_hashes(images[column]) for column in ("phash", "phash_mirror"))
        known = pc.and_(pc.is_valid(images["phash"]), pc.is_valid(images["phash_mirror"]))
        self.known = usable(images) & known.to_numpy()
        self.ids = np.flatnonzero(self.known)
        self.surroundings = np.full(len(images), np.nan)

    def propose(self, progress: Progress = quiet) -> Proposals:
        """All pairs within the radius, but at most the nearest `neighbours` of an image."""
        # Only the first of many images with the same hashes can be anybody's nearest; the rest are paired with those.
        _, groups = np.unique(np.stack([self.hash[self.ids], self.mirror[self.ids]]), axis=1, return_inverse=True)
        a, b, capped = same(self.ids, groups.ravel(), self.neighbours)
        first = self.ids[rank(groups.ravel()) <= self.neighbours]
        parts, more = [(a, b)], [capped]
        for pairs in self._near(first, progress):
            parts.append(pairs)
            if sum(len(x) for x, _ in parts) > PENDING:
                parts, more = self._reduce(parts, more)
        (pairs,), more = self._reduce(parts, more)
        return Proposals(*pairs, np.unique(np.concatenate(more)))

    def _near(self, ids: np.ndarray, progress: Progress) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        def half(number: int) -> Progress:
            return lambda done, total, message: progress(done + number * total, 2 * total, message)

        targets = self.hash[ids]
        for i, j, _ in hamming.within(targets, radius=self.radius, progress=half(0)):
            yield ids[i], ids[j]
        for i, j, _ in hamming.within(targets, self.mirror[ids], radius=self.radius, progress=half(1)):
            apart = i != j
            i, j = ids[i[apart]], ids[j[apart]]
            yield np.minimum(i, j), np.maximum(i, j)

    def _reduce(self, parts: list, more: list) -> tuple[list, list]:
        a, b = unique_pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        kept, capped = closest(a, b, self._nearer(a, b), self.neighbours)
        return [(a[kept], b[kept])], [*more, capped]

    def _plain(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.bitwise_count(self.hash[a] ^ self.hash[b])

    def _mirrored(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        ways = (np.bitwise_count(self.mirror[x] ^ self.hash[y]) for x, y in ((a, b), (b, a)))
        return np.minimum(*ways)

    def _nearer(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.minimum(self._plain(a, b), self._mirrored(a, b))

    def compare(self, a: np.ndarray, b: np.ndarray, progress: Progress = quiet) -> Compared:
        """Columns `phash` and `phash_mirror`, in bits; the margin in bits too."""
        self._survey(np.union1d(a, b), progress)
        looked = self.known[a] & self.known[b]
        values = {
            "phash": np.where(looked, self._plain(a, b), np.nan),
            "phash_mirror": np.where(looked, self._mirrored(a, b), np.nan),
        }
        around = np.minimum(self.surroundings[a], self.surroundings[b])
        margin = around - np.minimum(values["phash"], values["phash_mirror"])
        return Compared(values, {name: value <= self.radius for name, value in values.items()}, margin)

    def _survey(self, ids: np.ndarray, progress: Progress) -> None:
        """Fill in the surroundings of `ids`, against an even sample of at most `SAMPLE` images."""
        ids = ids[self.known[ids] & np.isnan(self.surroundings[ids])]
        sample = self.ids[np.unique(np.linspace(0, len(self.ids) - 1, min(SAMPLE, len(self.ids))).astype(np.int64))]
        reach = min(FAR, len(sample) - 1)
        for start in range(0, len(ids), 1024):
            some = ids[start : start + 1024]
            bits = np.bitwise_count(self.hash[some][:, None] ^ self.hash[sample])
            bits[some[:, None] == sample] = hamming.BITS
            near = np.sort(np.partition(bits, reach, axis=1)[:, :reach], axis=1) if reach > NEAR else bits[:, :0]
            self.surroundings[some] = surroundings(near, TYPICAL_BITS, len(sample))
            progress(min(start + 1024, len(ids)), len(ids), "surroundings of hashes")


class Cosine:
    """Cosine of features, sought inside groups of images (the whole workspace, or class by class)."""

    name = "cosine"

    def __init__(
        self,
        images: pa.Table,
        features: Features,
        *,
        groups: list[np.ndarray] | None = None,
        margin: float = 0.05,
        neighbours: int = 30,
        workers: int = 1,
    ) -> None:
        """`images` needs the columns status and flat; `groups` are ids to search among each other, all when None."""
        self.features, self.least, self.neighbours, self.workers = features, margin, neighbours, workers
        self.known = np.zeros(len(images), bool)
        self.known[features.ids] = True
        self.known &= usable(images)
        groups = [np.flatnonzero(self.known)] if groups is None else [g[self.known[g]] for g in groups]
        self.groups = [group for group in groups if len(group) > 1]
        self.surroundings = np.full(len(images), TYPICAL_COSINE)

    def propose(self, progress: Progress = quiet) -> Proposals:
        """Neighbours that are more similar by `margin` than the surroundings of one of the two images."""
        total, done = sum(len(group) for group in self.groups), 0
        found: list[tuple[np.ndarray, ...]] = []
        for ids in self.groups:

            def tell(part: int, parts: int, message: str, done: int = done, size: int = len(ids)) -> None:
                progress(done + size * part // parts, total, message)

            found.append(self._search(ids, tell))
            done += len(ids)
        if not found:
            return Proposals(*np.zeros((3, 0), np.int64))
        a, b, capped = (np.concatenate(column) for column in zip(*found, strict=True))
        return Proposals(*unique_pairs(a, b), capped)

    def _search(self, ids: np.ndarray, progress: Progress) -> tuple[np.ndarray, ...]:
        near, similarity = cosine_top(
            unit(self.features.rows(ids)), max(self.neighbours, FAR), workers=self.workers, progress=progress
        )
        self.surroundings[ids] = surroundings(similarity, TYPICAL_COSINE, len(ids))
        near, similarity = near[:, : self.neighbours], similarity[:, : self.neighbours]
        around = np.minimum(self.surroundings[ids][:, None], self.surroundings[ids[near]])
        hit = similarity - around >= self.least
        row, column = np.nonzero(hit)
        i, j = ids[row], ids[near[row, column]]
        full = ids[hit[:, -1]] if hit.shape[1] == self.neighbours < len(ids) - 1 else ids[:0]
        return np.minimum(i, j), np.maximum(i, j), full

    def compare(self, a: np.ndarray, b: np.ndarray, progress: Progress = quiet) -> Compared:
        """Column `cosine`, -1 to 1; call `propose` first, which learns the surroundings."""
        cosine = np.full(len(a), np.nan)
        looked = np.flatnonzero(self.known[a] & self.known[b])
        for start in range(0, len(looked), 16_384):
            some = looked[start : start + 16_384]
            ids, place = np.unique(np.concatenate([a[some], b[some]]), return_inverse=True)
            rows = unit(self.features.rows(ids))
            first, second = place[: len(some)], place[len(some) :]
            cosine[some] = np.clip(np.einsum("nd,nd->n", rows[first], rows[second]), -1.0, 1.0)
            progress(min(start + 16_384, len(looked)), len(looked), "cosine of proposed pairs")
        margin = cosine - np.minimum(self.surroundings[a], self.surroundings[b])
        return Compared({"cosine": cosine}, {"cosine": margin >= self.least}, margin)
