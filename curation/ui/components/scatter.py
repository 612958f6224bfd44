"""Points of a map as the browser draws them: 5 bytes each, and which of them lie inside a lasso."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from curation import derived, files
from curation.errors import ArgumentError, CurationError
from curation.workspace import Workspace

MOST_GROUPS = 255
"""Groups that one byte can tell apart; the smallest ones beyond that share the last."""
NO_GROUP = "not clustered"


@dataclass(frozen=True)
class Scatter:
    """A map ready to draw.

    Attributes:
        ids: image ids, (N,) int32, ascending.
        x, y: positions as stored, (N,) float32.
        origin, span: a position is `origin + span * u` for a drawn `u` in 0 to 1; one span for both axes, so that
            distances look the same in all directions.
        group: number of each point's group, (N,) uint8.
        labels, counts: name and size of each group.
    """

    ids: np.ndarray
    x: np.ndarray
    y: np.ndarray
    origin: tuple[float, float]
    span: float
    group: np.ndarray
    labels: list[str]
    counts: list[int]

    def points(self) -> bytes:
        """x then y of each point as uint16 pairs, then all groups as bytes; little-endian, 5 bytes a point."""
        unit = (np.stack([self.x, self.y], axis=1) - np.array(self.origin, np.float32)) / np.float32(self.span)
        return (unit * 65535).round().clip(0, 65535).astype("<u2").tobytes() + self.group.tobytes()


def scatter(workspace: Workspace, name: str, colour: str) -> Scatter:
    """A stored map with its points in groups; the last few are kept in memory.

    Args:
        colour: `class`, `split` (as found on disk) or `cluster:<cluster table>`.

    Raises:
        ArgumentError: unknown colour, or a name that cannot be one.
        CurationError: there is no such map or cluster table.
    """
    with _lock:
        return _scatter(workspace, name, colour, version(workspace, name, colour))


_lock = threading.Lock()


def version(workspace: Workspace, name: str, colour: str) -> str:
    """Changes whenever the points or their groups do; part of the URL, so that browsers may keep the answer."""
    files.check_name(name, "map")
    stamps = [_stamp(workspace.path / "maps" / f"{name}.parquet"), workspace.version()]
    if colour.startswith("cluster:"):
        table = files.check_name(colour.removeprefix("cluster:"), "cluster table")
        edits = workspace.ledger.events(derived.EDITS)
        stamps += [_stamp(workspace.path / "clusters" / f"{table}.parquet")]
        stamps += [hashlib.sha256(" ".join(e.event_id for e in edits).encode()).hexdigest()[:12]]
    elif colour not in ("class", "split"):
        raise ArgumentError(f"unknown colour {colour!r}: choose class, split or cluster:TABLE")
    return "-".join(stamps)


def _stamp(path: Path) -> str:
    if found := files.stamp(path):
        return found
    raise CurationError(f"{path} does not exist")


@lru_cache(maxsize=4)
def _scatter(workspace: Workspace, name: str, colour: str, version: str) -> Scatter:
    table = files.read_table(workspace.path / "maps" / f"{name}.parquet", columns=["image_id", "x", "y"])
    ids, x, y = (table[c].to_numpy().astype(t) for c, t in (("image_id", "i4"), ("x", "f4"), ("y", "f4")))
    shown = np.isfinite(x) & np.isfinite(y)
    ids, x, y = ids[shown], x[shown], y[shown]
    low, span = _frame(x, y)
    group, labels, counts = _groups(_words(workspace, ids, colour))
    return Scatter(ids, x, y, low, span, group, labels, counts)


def _frame(x: np.ndarray, y: np.ndarray) -> tuple[tuple[float, float], float]:
    """Lower left corner and side of the smallest centred square around all points."""
    if not len(x):
        return (0.0, 0.0), 1.0
    low, high = np.array([x.min(), y.min()], float), np.array([x.max(), y.max()], float)
    span = float((high - low).max()) or 1.0
    middle = (low + high) / 2
    return (float(middle[0] - span / 2), float(middle[1] - span / 2)), span


def _words(workspace: Workspace, ids: np.ndarray, colour: str) -> pa.DictionaryArray:
    """The word that says each point's group."""
    if colour in ("class", "split"):
        column = workspace.images(["class_name" if colour == "class" else "source_split"]).column(0)
        return column.unify_dictionaries().combine_chunks().take(pa.array(ids))
    table = derived.clusters(workspace, colour.removeprefix("cluster:"))
    members, cluster = (table[column].to_numpy() for column in ("image_id", "cluster"))
    at = np.searchsorted(members, ids)
    known = at < len(members)
    known[known] = members[at[known]] == ids[known]
    numbers = np.full(len(ids), -1, np.int32)
    numbers[known] = cluster[at[known]]
    distinct, which = np.unique(numbers, return_inverse=True)
    words = [f"cluster {number}" if number >= 0 else NO_GROUP for number in distinct]
    return pa.DictionaryArray.from_arrays(which.astype(np.int32), pa.array(words, pa.string()))


def _groups(words: pa.DictionaryArray) -> tuple[np.ndarray, list[str], list[int]]:
    """Number, name and size of groups, in natural order of their names; the smallest fold into one when too many."""
    names, number = words.dictionary.to_pylist(), words.indices.to_numpy()
    sizes = np.bincount(number, minlength=len(names))
    kept = sorted(np.flatnonzero(sizes).tolist(), key=lambda g: (-sizes[g], names[g]))
    folded = kept[MOST_GROUPS - 1 :] if len(kept) > MOST_GROUPS else []
    order = sorted(set(kept) - set(folded), key=lambda g: (names[g] == NO_GROUP, _natural(names[g])))
    place = np.full(len(names), len(order), np.uint8)
    place[order] = np.arange(len(order))
    labels, counts = [names[g] or "none" for g in order], [int(sizes[g]) for g in order]
    if folded:
        labels.append(f"{len(folded):,} smaller groups")
        counts.append(int(sizes[folded].sum()))
    return place[number], labels, counts


def _natural(text: str) -> tuple[str, int, str]:
    """Sorts `cluster 10` after `cluster 9`."""
    head, _, tail = text.rpartition(" ")
    return (head, int(tail), "") if tail.isdecimal() else (text, -1, text)


def inside(x: np.ndarray, y: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Which points lie inside a polygon, by the even-odd rule.

    Args:
        x, y: positions, (N,).
        polygon: corners in order, (M, 2); the last joins the first.

    Returns:
        (N,) bool.

    Reference: W. R. Franklin, "PNPOLY - Point Inclusion in Polygon Test", 1994.
    """
    corners = np.asarray(polygon, np.float64).reshape(-1, 2)
    found = np.zeros(len(x), bool)
    if len(corners) < 3:
        return found
    (left, low), (right, high) = corners.min(0), corners.max(0)
    near = np.flatnonzero((x >= left) & (x <= right) & (y >= low) & (y <= high))
    px, py, within = x[near].astype(np.float64), y[near].astype(np.float64), np.zeros(len(near), bool)
    for (x0, y0), (x1, y1) in zip(np.roll(corners, 1, axis=0), corners, strict=True):
        if y0 != y1:  # a level edge is never crossed
            within ^= ((y1 > py) != (y0 > py)) & (px < (x0 - x1) * (py - y1) / (y0 - y1) + x1)
    found[near] = within
    return found
