"""Test sets in which attributes are as even as can be: one image after the other, each the one that evens most.

The rule is that of MSCOCO-GLT (Tang et al., ECCV 2022, arXiv 2207.09504; `_COCOGeneration` of
KaihuaTang/Generalized-Long-Tailed-Benchmarks.pytorch): of a class's images with an attribute, take the one after which
the normalised attribute counts have the least population standard deviation; the first of equal ones.

With counts c that sum to S and whose squares sum to Q, that standard deviation is sqrt(Q / S² - 1 / A) / sqrt(A). An
image with d attributes of which c counts s so far makes Q + 2s + d of Q and S + d of S, so that of all images with the
same d the one with the least s is best, and only one a class and d need be compared. That is done in whole numbers:
equal ones are equal. The original computes floats with 1e-9 added to S; it may tell two images apart by the last bits
where they are equal here, and choose the other one.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

_TAKEN = 1 << 62  # above every key, and far enough below the end of int64
_HAIR = 1e-15  # more than three roundings of a float can do


def evenest(
    cls: np.ndarray, rank: np.ndarray, image: np.ndarray, attribute: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Images of every class, one at a time, that keep its attributes as even as can be.

    All classes take their next image at once, so that time does not grow with their number.

    Args:
        cls: class of every image, int (N,), from 0.
        rank: of images that are equally good the lowest is taken; the numbers 0 to N - 1 in any order.
        image, attribute: what images have: int (M,) each, no pair twice, the pairs of an image side by side.
        wanted: images to take of every class, int (C,); fewer where fewer have an attribute.

    Returns:
        int64 (N,): in which turn of its class an image was taken, from 0; -1 for all others.
    """
    turn = np.full(len(cls), -1, np.int64)
    many = np.bincount(image, minlength=len(cls))
    wanted = np.minimum(wanted, np.bincount(cls[many > 0], minlength=len(wanted)))
    usable = (many > 0) & (wanted[cls] > 0)
    if not usable.any():
        return turn
    state = _State.of(cls, rank, image, attribute, many, usable)
    wanted = wanted[wanted > 0]
    for step in range(int(wanted.max())):
        taken = state.best(wanted > step)
        turn[taken] = step
        state.take(taken, np.flatnonzero(wanted > step))
    return turn


@dataclass
class _State:
    """Images by class and number of attributes: each class and number is one range of places, G ranges in all.

    `key` int64: s * one + rank, at least _TAKEN for images that are taken; its least in a range names the image.
    `total`, `squares`: S and Q of the K classes that take images.
    """

    key: np.ndarray
    one: int
    by_rank: np.ndarray  # image of every rank
    place: np.ndarray  # of every image in key
    starts: np.ndarray  # (G,) where each range begins
    owner: np.ndarray  # (G,) its class, 0 to K - 1
    size: np.ndarray  # (G,) its d
    first: np.ndarray  # (K,) the first range of a class
    total: np.ndarray
    squares: np.ndarray
    pairs: tuple[np.ndarray, np.ndarray]  # where the pairs of an image begin, and how many there are; (N,) each
    shares: tuple[np.ndarray, np.ndarray, np.ndarray]  # of a pair, those of its class that have it: from, to; places

    @classmethod
    def of(
        cls,
        classes: np.ndarray,
        rank: np.ndarray,
        image: np.ndarray,
        attribute: np.ndarray,
        many: np.ndarray,
        usable: np.ndarray,
    ) -> _State:
        images = np.flatnonzero(usable)
        images = images[np.lexsort((many[images], classes[images]))]
        place = np.zeros(len(usable), np.int32)
        place[images] = np.arange(len(images))
        owner, size = classes[images], many[images]
        starts = np.flatnonzero((np.diff(owner, prepend=-1) != 0) | (np.diff(size, prepend=-1) != 0))
        first = np.flatnonzero(np.diff(owner[starts], prepend=-1))
        by_rank = np.empty(len(rank), np.int64)
        by_rank[rank] = np.arange(len(rank))
        return cls(
            key=rank[images].astype(np.int64),
            one=1 << len(rank).bit_length(),
            by_rank=by_rank,
            place=place,
            starts=starts,
            owner=np.searchsorted(owner[starts][first], owner[starts]),
            size=size[starts],
            first=first,
            total=np.zeros(len(first), np.int64),
            squares=np.zeros(len(first), np.int64),
            pairs=(_begins(image, len(usable)), many),
            shares=_shares(classes, image, attribute, place, usable),
        )

    def best(self, active: np.ndarray) -> np.ndarray:
        """The image that each active class takes next, in the order of classes."""
        least = np.minimum.reduceat(self.key, self.starts)
        squares = self.squares[self.owner] + 2 * (least // self.one) + self.size
        total = self.total[self.owner] + self.size
        ratio = np.where(least < _TAKEN, squares / total.astype(np.float64) ** 2, np.inf)
        low = np.minimum.reduceat(ratio, self.first)
        ranges = np.flatnonzero((ratio <= low[self.owner] * (1 + _HAIR)) & active[self.owner])
        if len(ranges) > active.sum():
            ranges = _exactly(ranges, self.owner, squares, total, least % self.one)
        return self.by_rank[least[ranges] % self.one]

    def take(self, images: np.ndarray, owners: np.ndarray) -> None:
        """Count the attributes of one image of each of some classes, and take it out."""
        begin, many = self.pairs
        d = many[images]
        s = self.key[self.place[images]] // self.one
        self.squares[owners] += 2 * s + d
        self.total[owners] += d
        self.key[self.place[images]] = _TAKEN
        low, high, places = self.shares
        pairs = _ranges(begin[images], d)
        np.add.at(self.key, places[_ranges(low[pairs], high[pairs] - low[pairs])], self.one)


def _begins(image: np.ndarray, count: int) -> np.ndarray:
    """Where the pairs of every image begin, int64 (count,)."""
    begin = np.zeros(count, np.int64)
    edges = np.flatnonzero(np.diff(image, prepend=-1))
    begin[image[edges]] = edges
    return begin


def _shares(
    classes: np.ndarray, image: np.ndarray, attribute: np.ndarray, place: np.ndarray, usable: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every pair where in a list of places, from and to, the images of its class that share the attribute are."""
    group = classes[image].astype(np.int64) * (int(attribute.max()) + 1) + attribute
    order = np.argsort(group)  # the order inside a group does not matter
    order = order[usable[image[order]]]
    group = group[order]
    edges = np.flatnonzero(np.diff(group, prepend=-1))
    sizes = np.diff(edges, append=len(group))
    low, high = np.zeros(len(image), np.int32), np.zeros(len(image), np.int32)
    low[order], high[order] = np.repeat(edges, sizes), np.repeat(edges + sizes, sizes)
    return low, high, place[image[order]]


def _ranges(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The numbers starts[0], starts[0] + 1, … of the first range, then those of the others."""
    ends = np.cumsum(sizes, dtype=np.int64)
    return np.arange(ends[-1]) + np.repeat(starts - (ends - sizes), sizes)


def _exactly(
    ranges: np.ndarray, owner: np.ndarray, squares: np.ndarray, total: np.ndarray, rank: np.ndarray
) -> np.ndarray:
    """Of ranges that floats cannot tell apart, the best of each class; of equal ones that with the lowest rank."""
    found: dict[int, tuple[Fraction, int, int]] = {}
    for r in ranges.tolist():
        entry = (Fraction(int(squares[r]), int(total[r]) ** 2), int(rank[r]), r)
        found[int(owner[r])] = min(entry, found.get(int(owner[r]), entry))
    return np.array([found[k][2] for k in sorted(found)], np.int64)
