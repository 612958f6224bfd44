"""Where a search looks: which images each image is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curation.errors import ArgumentError

SCOPES = ("auto", "all", "class", "splits")
ALL_UP_TO = 100_000
GROUP = 1024
SIMILAR = 6
"""Most similar classes that DSSIM looks into, the own one among them, as published with ImageNetV2."""


class Plan(NamedTuple):
    """Which images are compared with which.

    Attributes:
        group: int64 (N,), of every image that asks; -1 where it asks nobody.
        targets: for each group, the ids that its images are compared with (int64, ascending).
    """

    group: np.ndarray
    targets: list[np.ndarray]


def resolve(scope: str, count: int) -> str:
    """`scope` where `auto` is one of the others: `all` up to 100,000 images, `class` beyond.

    Raises:
        ArgumentError: unknown scope.
    """
    if scope not in SCOPES:
        raise ArgumentError(f"unknown scope {scope!r}: choose one of {', '.join(SCOPES)}")
    return scope if scope != "auto" else "all" if count <= ALL_UP_TO else "class"


def everything(count: int, targets: int) -> Plan:
    """Each of `count` images with all of `targets` images."""
    return Plan(np.zeros(count, np.int64), [np.arange(targets)])


def within(scope: str, images: pa.Table) -> Plan:
    """The plan of a workspace's own images in scope `all`, `class` or `splits`.

    Classes are taken in byte order of their names and put together until a group has `GROUP` images: the smallest
    ones are searched together. In `splits` an image is compared with those of every other split of the source.
    """
    if scope == "class":
        group = _packed(codes(images["class_name"])[0])
        return Plan(group, _members(group))
    if scope == "splits":
        split, names = codes(images["source_split"])
        return Plan(split, [np.flatnonzero(split != number) for number in range(len(names))])
    return everything(len(images), len(images))


def classes(images: pa.Table, targets: pa.Table, similar: Mapping[str, Sequence[str]] | None = None) -> Plan:
    """Each image with all `targets` of its own class, and of the classes that `similar` lists for it.

    With `similar`, the first `SIMILAR` classes count, the own one among them; a class that it does not name is
    compared with itself.
    """
    group, names = codes(images["class_name"])
    there, others = codes(targets["class_name"])
    members = dict(zip(others, _members(there), strict=True))
    empty = np.zeros(0, np.int64)
    wanted = [list(dict.fromkeys([name, *(similar or {}).get(name, ())]))[:SIMILAR] for name in names]
    joined = [np.sort(np.concatenate([empty, *(members.get(name, empty) for name in some)])) for some in wanted]
    return Plan(group, joined)


def codes(words: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Number of each word, int64 (N,), and the words, numbered in byte order; null counts as ''."""
    words = words.cast(pa.string()).fill_null("").combine_chunks().dictionary_encode()
    if isinstance(words, pa.ChunkedArray):
        words = words.combine_chunks()
    names = words.dictionary.to_pylist()
    order = sorted(range(len(names)), key=lambda i: names[i].encode())
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    return place[words.indices.to_numpy()], [names[i] for i in order]


def _packed(code: np.ndarray) -> np.ndarray:
    """Numbers of groups: neighbouring codes are put together until a group has `GROUP` entries."""
    sizes = np.bincount(code)
    group, number, filled = np.empty(len(sizes), np.int64), 0, 0
    for place, size in enumerate(sizes.tolist()):
        group[place] = number
        filled += size
        if filled >= GROUP:
            number, filled = number + 1, 0
    return group[code]


def _members(group: np.ndarray) -> list[np.ndarray]:
    """Ids of each group, ascending."""
    order = np.argsort(group, kind="stable")
    return np.split(order, np.searchsorted(group[order], np.arange(1, group.max(initial=0) + 1)))
