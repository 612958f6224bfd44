"""Measures on stored features: cosine of any backbone's, and squared Euclidean distance of VGG-16's fc7."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from curation.arrays import Features
from curation.duplicates import neighbours
from curation.duplicates.measures import (
    FAR,
    Compared,
    Proposals,
    Side,
    gathered,
    ring_of,
    surroundings,
    within_radius,
)
from curation.duplicates.neighbours import Near, rank, unit
from curation.duplicates.scopes import Plan
from curation.engine import Progress, quiet

# Closer than the median over the photographs that the rule was fitted on (0.61); see `hashes.TYPICAL`.
TYPICAL = 0.70
BLOCK = 16_384


class Vectors:
    """Features of one side."""

    def __init__(self, side: Side, features: Features) -> None:
        self.features = features
        self.known = np.zeros(len(side), bool)
        self.known[features.ids] = True
        self.known &= side.usable
        digests = np.array([int(digest[:16], 16) for digest in features.shard_digests], np.uint64)
        shard = np.arange(len(side)) // features.shard_rows
        self.content = np.stack([digests[shard], self.known.astype(np.uint64)], axis=1)
        self._kept: tuple = (None, None)

    def rows(self, ids: np.ndarray, *, keep: bool = False) -> np.ndarray:
        """Float32 rows of `ids`; with `keep`, the same array again while the same `ids` are asked for."""
        if not keep:
            return self.features.rows(ids)
        if self._kept[0] is not ids:
            self._kept = ids, self.features.rows(ids)
        return self._kept[1]


class _FeatureMeasure:
    """What both measures share."""

    name = title = metric = ""

    def __init__(
        self,
        first: Side,
        second: Side,
        features: Features,
        others: Features | None = None,
        *,
        workers: int = 1,
        device: str | None = None,
    ) -> None:
        """`others` are the features of the second side where it is another; made by the same recipe."""
        self.first, self.second, self.workers, self.device = first, second, workers, device
        self.ours = Vectors(first, features)
        self.theirs = self.ours if first is second else Vectors(second, others)
        self.known = self.ours.known, self.theirs.known
        self.content = self.ours.content, self.theirs.content
        self.made_from = {"features": features.name, "features_recipe": features.recipe_digest}

    @property
    def inside(self) -> bool:
        return self.first is self.second

    def near(
        self, query_ids: np.ndarray, target_ids: np.ndarray, *, k: int, radius: float | None, progress: Progress = quiet
    ) -> Near:
        """See `neighbours.near`."""
        queries, targets = self.ours.rows(query_ids), self.theirs.rows(target_ids, keep=True)
        options = {"metric": self.metric, "k": k, "radius": radius, "workers": self.workers, "device": self.device}
        return neighbours.near(queries, query_ids, targets, target_ids, same=self.inside, progress=progress, **options)

    def _pairwise(
        self, function: Callable, a: np.ndarray, b: np.ndarray, progress: Progress
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(which pairs, function(rows, rows)) of pairs that have features on both sides, a block at a time."""
        looked = np.flatnonzero(self.ours.known[a] & self.theirs.known[b])
        for start in range(0, len(looked), BLOCK):
            some = looked[start : start + BLOCK]
            sides = []
            for vectors, ids in ((self.ours, a[some]), (self.theirs, b[some])):
                unlike, place = np.unique(ids, return_inverse=True)
                sides.append((vectors.rows(unlike), place))
            yield some, function(*sides)
            progress(min(start + BLOCK, len(looked)), len(looked), f"{self.title} of proposed pairs")


class Cosine(_FeatureMeasure):
    """Cosine similarity of features; as a distance, 1 - similarity."""

    name, title, metric = "cosine", "feature cosine", "cosine"

    def __init__(
        self, first: Side, second: Side, features: Features, others: Features | None = None, **options
    ) -> None:
        """Options as of the base, and `margin`: how much closer than its surroundings a proposed pair is; `own`: the
        measure inside the first side, when the second is another."""
        self.least, own = options.pop("margin", 0.03), options.pop("own", None)
        super().__init__(first, second, features, others, **options)
        # Surroundings of the first side's images as similarities: among themselves, and in the second side.
        self.around = own.around if own else np.full(len(first), np.nan)
        self.across = self.around if self.inside else np.full(len(first), np.nan)

    def learn(self, shards: Iterable[Near], plan: Plan) -> None:
        """Take the surroundings of the first side's images from their table of neighbours."""
        seen = np.array([self.known[1][targets].sum() for targets in plan.targets])
        for near in shards:
            ids = np.unique(near.query)
            place = np.searchsorted(ids, near.query)
            ring = 1.0 - ring_of(Near(place, near.target, near.distance), len(ids))
            self.across[ids] = surroundings(ring, TYPICAL, seen[plan.group[ids]])

    def propose(self, shards: Iterable[Near], k: int = 30, radius: float | None = None) -> Proposals:
        """Of the k nearest, and all within the radius, those that stand out from the surroundings of one of the two."""
        return gathered((self._outstanding(near, k, radius) for near in shards), inside=self.inside)

    def _outstanding(self, near: Near, k: int, radius: float | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        around = np.fmin(self._typical(self.across)[near.query], self._typical(self.around)[near.query])
        if self.inside:
            around = np.minimum(around, self._typical(self.around)[near.target])
        hit, place = 1.0 - near.distance - around >= self.least, rank(near.query)
        kept = hit & ((place < k) | (near.distance <= (-1.0 if radius is None else radius)))
        more = self.known[1].sum() - self.inside > k
        return near.query[kept], near.target[kept], near.query[hit & (place == k - 1) & more]

    @staticmethod
    def _typical(around: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(around), TYPICAL, around)

    def compare(self, a: np.ndarray, b: np.ndarray, progress: Progress = quiet) -> Compared:
        """Column `cosine`, -1 to 1; call `learn` first, which learns the surroundings."""
        cosine = np.full(len(a), np.nan)
        for some, value in self._pairwise(_cosine, a, b, progress):
            cosine[some] = value
        others = self._typical(self.around)[b] if self.inside else self._theirs(b, progress)
        margin = cosine - np.minimum(self._typical(self.around)[a], others)
        return Compared({"cosine": cosine}, {"cosine": margin >= self.least}, margin)

    def _theirs(self, b: np.ndarray, progress: Progress) -> np.ndarray:
        """Surroundings of the second side's images `b`, among themselves or among ours, whichever are closer.

        A reference set may be too small to show how alike its pictures are.
        """
        ids, place = np.unique(b, return_inverse=True)
        known = ids[self.known[1][ids]]
        around = np.full(len(ids), TYPICAL)
        if len(known):
            closer = (self._surroundings(known, side, progress) for side in (self.theirs, self.ours))
            around[self.known[1][ids]] = np.maximum(*closer)
        return around[place]

    def _surroundings(self, ids: np.ndarray, among: Vectors, progress: Progress) -> np.ndarray:
        """Of images `ids` of the second side, among all images of a side."""
        targets = np.flatnonzero(among.known)

        def tell(done: int, total: int, _: str) -> None:
            progress(done, total, f"surroundings in {self.second.name}")

        options = {"k": FAR, "workers": self.workers, "device": self.device, "progress": tell}
        same, rows = among is self.theirs, (self.theirs.rows(ids), ids, among.rows(targets), targets)
        near = neighbours.near(*rows, metric=self.metric, same=same, **options)
        ring = 1.0 - ring_of(near._replace(query=np.searchsorted(ids, near.query)), len(ids))
        return surroundings(ring, TYPICAL, len(targets))


class Fc7(_FeatureMeasure):
    """Squared Euclidean distance of VGG-16's second hidden layer, as published with ImageNetV2."""

    name, title, metric = "fc7", "fc7 distances", "squared"

    def __init__(
        self, first: Side, second: Side, features: Features, others: Features | None = None, **options
    ) -> None:
        """Options as of the base, and `radius`: at what distance a pair is proposed."""
        self.radius = options.pop("radius")
        super().__init__(first, second, features, others, **options)

    def propose(self, shards: Iterable[Near]) -> Proposals:
        """All neighbours within the radius."""
        return within_radius(shards, self.radius, inside=self.inside)

    def compare(self, a: np.ndarray, b: np.ndarray, progress: Progress = quiet) -> Compared:
        """Column `fc7`."""
        squared = np.full(len(a), np.nan)
        for some, value in self._pairwise(_squared, a, b, progress):
            squared[some] = value
        return Compared({"fc7": squared}, {"fc7": squared <= self.radius})


def _cosine(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    (x, i), (y, j) = first, second
    return np.clip(np.einsum("nd,nd->n", unit(x)[i], unit(y)[j]), -1.0, 1.0)


def _squared(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    (x, i), (y, j) = first, second
    blocks = (slice(s, s + 1024) for s in range(0, len(i), 1024))
    apart = (x[i[block]].astype(np.float64) - y[j[block]] for block in blocks)
    return np.concatenate([np.einsum("nd,nd->n", d, d) for d in apart])
