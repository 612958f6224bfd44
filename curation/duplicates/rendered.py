"""Measures on pictures as 256 x 256 pixels: squared Euclidean distance, and structural dissimilarity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from curation.duplicates.measures import Compared, Proposals, Side, content_of, within_radius
from curation.duplicates.neighbours import Near, rank
from curation.engine import Progress, quiet

if TYPE_CHECKING:
    from curation.duplicates.renditions import Renditions

PAIRS_AT_ONCE = 512  # 100 MB on each side at most
QUERIES_AT_ONCE = 16


class _RenditionMeasure:
    """What both measures share."""

    name = title = ""

    def __init__(
        self,
        first: Side,
        second: Side,
        ours: Renditions,
        theirs: Renditions,
        *,
        radius: float,
        workers: int = 1,
        device: str | None = None,
    ) -> None:
        self.first, self.second, self.ours, self.theirs = first, second, ours, theirs
        self.radius, self.workers, self.device = radius, workers, device
        self.made_from: dict[str, Any] = {}
        known, content = zip(*(self._seen(*one) for one in ((first, ours), (second, theirs))), strict=True)
        self.known, self.content = known, content

    @staticmethod
    def _seen(side: Side, renditions: Renditions) -> tuple[np.ndarray, np.ndarray]:
        known = np.zeros(len(side), bool)
        known[renditions.ids] = True
        known &= side.usable
        return known, np.column_stack([content_of(side.images["pixels"]), known.astype(np.uint64)])

    @property
    def inside(self) -> bool:
        return self.first is self.second

    def propose(self, shards: Iterable[Near]) -> Proposals:
        """All neighbours within the radius."""
        return within_radius(shards, self.radius, inside=self.inside)

    def compare(self, a: np.ndarray, b: np.ndarray, progress: Progress = quiet) -> Compared:
        """The column of this measure."""
        values = np.full(len(a), np.nan)
        looked = np.flatnonzero(self.known[0][a] & self.known[1][b])
        if len(looked):
            values[looked] = self.distances(a[looked], b[looked], progress)
        return Compared({self.name: values}, {self.name: values <= self.radius})

    def distances(self, a: np.ndarray, b: np.ndarray, progress: Progress = quiet) -> np.ndarray:
        raise NotImplementedError


class Pixels(_RenditionMeasure):
    """Squared Euclidean distance of all 196,608 bytes, as published with ImageNetV2."""

    name, title = "pixels", "pixel distances"

    def near(
        self, query_ids: np.ndarray, target_ids: np.ndarray, *, k: int, radius: float | None, progress: Progress = quiet
    ) -> Near:
        """See `pixels.near`."""
        from curation.duplicates import pixels

        sides = self.ours, query_ids, self.theirs, target_ids
        options = {"workers": self.workers, "device": self.device, "progress": progress}
        return pixels.near(*sides, k=k, radius=radius, **options)

    def distances(self, a: np.ndarray, b: np.ndarray, progress: Progress = quiet) -> np.ndarray:
        """See `pixels.distances`."""
        from curation.duplicates import pixels

        return pixels.distances(self.ours, a, self.theirs, b, workers=self.workers, progress=progress)


class Dssim(_RenditionMeasure):
    """Structural dissimilarity (1 - SSIM) / 2 with a window of 35 pixels, exact for the pairs that it compares."""

    name, title = "dssim", "structural dissimilarity"

    def __init__(self, *sides: Any, pairs: Proposals | None = None, **options: Any) -> None:
        """`pairs`: compare these and no others; all that the plan names when None."""
        super().__init__(*sides, **options)
        self.pairs = pairs
        if pairs is not None:
            self.made_from = {"compared": "proposed pairs"}
            query, target = pairs.a, pairs.b
            if self.inside:
                query, target = np.r_[query, target], np.r_[target, query]
            order = np.lexsort((target, query))
            self._asked = query[order], target[order]
            self.content = self._with_pairs(), self.content[1]

    def _with_pairs(self) -> np.ndarray:
        """What is seen of an image, and whom it is compared with."""
        query, target = self._asked
        mixed = (target.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        seen = mixed ^ self.content[1][target].sum(axis=1, dtype=np.uint64)
        total = np.zeros(len(self.first), np.uint64)
        np.add.at(total, query, seen)
        return np.column_stack([self.content[0], total])

    def near(
        self, query_ids: np.ndarray, target_ids: np.ndarray, *, k: int, radius: float | None, progress: Progress = quiet
    ) -> Near:
        """The k nearest, and all within the radius, of what each query is compared with."""
        if self.pairs is not None:
            query, target = self._asked
            here = np.isin(query, query_ids) & self.known[0][query] & self.known[1][target]
            blocks: Iterable = [(query[here], target[here])]
            k = len(target_ids)
        else:
            blocks = self._blocks(query_ids, target_ids)
        parts, done = [], 0
        for query, target in blocks:

            def tell(part: int, parts: int, message: str, done: int = done, query: np.ndarray = query) -> None:
                progress(done + len(np.unique(query)) * part // max(parts, 1), len(query_ids), message)

            parts.append(_kept(query, target, self.distances(query, target, tell), k, radius))
            done += len(np.unique(query))
        return Near(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _blocks(self, query_ids: np.ndarray, target_ids: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(query_ids), QUERIES_AT_ONCE):
            some = query_ids[start : start + QUERIES_AT_ONCE]
            query, target = np.repeat(some, len(target_ids)), np.tile(target_ids, len(some))
            apart = (query != target) | (not self.inside)
            yield query[apart], target[apart]

    def distances(self, a: np.ndarray, b: np.ndarray, progress: Progress = quiet) -> np.ndarray:
        """DSSIM of each pair, float64; inside a workspace each unordered pair is computed once."""
        from curation.duplicates import dssim

        place = slice(None)
        if self.inside:
            keys = np.minimum(a, b) << 32 | np.maximum(a, b)
            keys, place = np.unique(keys, return_inverse=True)
            a, b = keys >> 32, keys & 0xFFFFFFFF
        result = np.empty(len(a))
        for start in range(0, len(a), PAIRS_AT_ONCE):
            some = slice(start, start + PAIRS_AT_ONCE)
            (first, i), (second, j) = (np.unique(ids[some], return_inverse=True) for ids in (a, b))
            rows = self.ours.rows(first), self.theirs.rows(second)
            result[some] = dssim.dssim(*rows, pairs=(i, j), workers=self.workers)
            progress(min(start + PAIRS_AT_ONCE, len(a)), len(a), self.title)
        return result[place]


def _kept(
    query: np.ndarray, target: np.ndarray, distance: np.ndarray, k: int, radius: float | None
) -> tuple[np.ndarray, ...]:
    """Sorted by query, distance, target: the k nearest and all within the radius."""
    order = np.lexsort((target, distance, query))
    query, target, distance = query[order], target[order], distance[order]
    kept = (rank(query) < k) | (distance <= (-1.0 if radius is None else radius))
    return query[kept], target[kept], distance[kept]
