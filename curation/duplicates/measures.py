"""What can be measured between two pictures: the parts that all measures share.

A measure finds the neighbours of images (`near`), proposes pairs from a table of neighbours (`propose`) and compares
any pairs that it is given (`compare`). It works between two sides: the workspace and itself, or the workspace and a
reference set. To add one, write a class like those in `hashes`, `vectors` and `rendered`, and name it in `sources`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.duplicates.neighbours import Near, rank, unique_pairs
from curation.engine import Progress, quiet
from curation.workspace import Workspace

COLUMNS = ("class_name", "source_split", "status", "flat", "pixels", "phash", "phash_mirror")
# An image's surroundings are its 11th to 30th nearest: nearer ones may be its own near duplicates.
NEAR, FAR = 10, 30
# In a small collection even the nearest are far: the surroundings are drawn towards a typical value, as if this many
# images more had been seen.
PRIOR = 100


class Side:
    """A set of images that pairs are made of.

    Attributes:
        workspace: that holds them.
        name: of the reference set; '' where it is the workspace that asks.
        images: `COLUMNS` of the images table.
        usable: which can be told apart by what they show: readable, not all of one colour; bool by image id.
    """

    def __init__(self, workspace: Workspace, name: str = "") -> None:
        self.workspace, self.name = workspace, name
        self.images = workspace.images(COLUMNS)
        plain = pc.and_not(
            pc.equal(self.images["status"].cast(pa.string()), "ok"), self.images["flat"].fill_null(False)
        )
        self.usable = plain.to_numpy()

    def __len__(self) -> int:
        return len(self.images)


class Proposals(NamedTuple):
    """Pairs, int64, each once; `capped` are the ids of images that may have had more than they could name.

    Inside a workspace a < b; otherwise a is of the workspace and b of the reference set.
    """

    a: np.ndarray
    b: np.ndarray
    capped: np.ndarray


class Compared(NamedTuple):
    """What a measure says of pairs.

    Attributes:
        values: its columns of the pairs table, float (P,) each, NaN where it could not look.
        found: which pairs it calls close, bool (P,), by column.
        margin: how far each pair stands out from the surroundings of its two images, float (P,), larger is closer;
            what the rule weighs. NaN where it could not look; None for measures that the rule does not weigh.
    """

    values: dict[str, np.ndarray]
    found: dict[str, np.ndarray]
    margin: np.ndarray | None = None


class Measure(Protocol):
    """Finds pairs by itself, and measures any pairs that it is given.

    Attributes:
        name: of the measure and its table of neighbours.
        title: what it does, for the progress bar.
        first, second: the side that asks and the side that is asked; the same object inside one workspace.
        known: for both, which images it can look at, bool by image id.
        content: for both, what it sees of each image, uint64 (N, w): an image with other content has other neighbours.
        made_from: what else the neighbours follow from, for the recipe.
    """

    name: str
    title: str
    first: Side
    second: Side
    known: tuple[np.ndarray, np.ndarray]
    content: tuple[np.ndarray, np.ndarray]
    made_from: dict[str, Any]

    def near(
        self, query_ids: np.ndarray, target_ids: np.ndarray, *, k: int, radius: float | None, progress: Progress = quiet
    ) -> Near: ...

    def propose(self, shards: Iterable[Near]) -> Proposals: ...

    def compare(self, a: np.ndarray, b: np.ndarray, progress: Progress = quiet) -> Compared: ...


def surroundings(ring: np.ndarray, typical: float, seen: int | np.ndarray) -> np.ndarray:
    """Mean values of the 11th to 30th nearest, drawn towards `typical` when few images were seen.

    Relating a similarity to the neighbourhood it lies in is the idea of CSLS (A. Conneau et al., Word Translation
    Without Parallel Data, ICLR 2018, section 2.3).

    Args:
        ring: (N,), the mean values of each image's 11th to 30th nearest; NaN where it has too few.
        typical: what to expect where there are too few.
        seen: among how many images the nearest were sought.
    """
    drawn = (seen * ring + PRIOR * typical) / (seen + PRIOR)
    return np.where(np.isnan(ring), typical, drawn)


def ring_of(near: Near, count: int) -> np.ndarray:
    """Mean distance of the 11th to 30th nearest of each image that asked, float64 (count,); NaN without any."""
    place = rank(near.query)
    inside = (place >= NEAR) & (place < FAR)
    query, distance = near.query[inside], near.distance[inside]
    with np.errstate(invalid="ignore"):
        return np.bincount(query, distance, count) / np.bincount(query, minlength=count)


def pairs_of(query: np.ndarray, target: np.ndarray, *, inside: bool) -> tuple[np.ndarray, np.ndarray]:
    """Pairs from neighbours, each once, sorted; a < b inside a workspace."""
    if inside:
        query, target = np.minimum(query, target), np.maximum(query, target)
    return unique_pairs(query, target)


def gathered(parts: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], *, inside: bool) -> Proposals:
    """Proposals from (queries, targets, capped ids) of one shard after another."""
    empty = np.zeros(0, np.int64)
    columns = list(zip(*((*pairs_of(q, t, inside=inside), capped) for q, t, capped in parts), strict=True))
    if not columns:
        return Proposals(empty, empty, empty)
    a, b, capped = (np.concatenate(column) for column in columns)
    return Proposals(*unique_pairs(a, b), np.unique(capped))


def within_radius(shards: Iterable[Near], radius: float, *, inside: bool) -> Proposals:
    """All pairs of neighbours at most `radius` apart."""
    empty = np.zeros(0, np.int64)
    hits = ((near, near.distance <= radius) for near in shards)
    return gathered(((near.query[hit], near.target[hit], empty) for near, hit in hits), inside=inside)


def content_of(texts: pa.ChunkedArray) -> np.ndarray:
    """Texts of at most 64 bytes as numbers, uint64 (N, 8)."""
    known = texts.cast(pa.string()).fill_null("").to_numpy()
    return np.array([text.encode() for text in known], "S64").view(np.uint64).reshape(len(texts), 8)
