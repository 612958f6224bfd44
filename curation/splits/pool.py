"""The images that a split can be made of, in an order that no listing can change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from curation.derived import attribute_of
from curation.errors import ArgumentError, CurationError
from curation.splits.inputs import Inputs
from curation.splits.result import Reasons

NOT_CLUSTERED = "not clustered"


@dataclass(frozen=True)
class Pool:
    """The images that are not excluded, in byte order of class name and path.

    - `image_id`, `cls` (row of `names`): int64 (N,); `names`: classes that have images, in byte order.
    - `attribute`, `cluster`: int64 (N,), -1 without clusters; `attributes`: how many there are, 0 without clusters.
    - `source`: int64 (N,), the row of `sources`, names of the source splits in byte order ('' where they have none).
    - `group`: int64 (N,), a number that near duplicates share; -1 for images that stand alone.
    - `left_out`: (ids, reasons) of all others, for `result.listed`; `images`: how many there were.
    """

    image_id: np.ndarray
    cls: np.ndarray
    attribute: np.ndarray
    cluster: np.ndarray
    names: list[str]
    attributes: int
    left_out: list[Reasons]
    images: int
    source: np.ndarray
    sources: list[str]
    group: np.ndarray

    def counts(self) -> np.ndarray:
        """Images of every class and attribute, int64 (C, A)."""
        cell = self.cls * self.attributes + self.attribute
        return np.bincount(cell, minlength=len(self.names) * self.attributes).reshape(len(self.names), self.attributes)

    def by_source(self) -> np.ndarray:
        """Images of every class and source split, int64 (C, U)."""
        cell = self.cls * len(self.sources) + self.source
        shape = (len(self.names), len(self.sources))
        return np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)


def gather(inputs: Inputs, *, attributes: int | None = None) -> Pool:
    """Join images with exclusions and, where the inputs have them, clusters and groups.

    With clusters, an image without one is left out.

    Args:
        inputs: any order of rows gives the same pool.
        attributes: merge clusters anew into so many.

    Raises:
        ArgumentError: more attributes are asked for than there are clusters.
        CurationError: an image id is there twice, or images have no class.
    """
    images = _sorted(inputs.images)
    if nameless := images["class_name"].null_count:
        raise CurationError(f"{nameless:,} of {len(images):,} images have no class: read the images again")
    ids = images["image_id"].to_numpy().astype(np.int64)
    if (different := int((np.bincount(ids) > 0).sum())) != len(ids):
        raise CurationError(f"{len(ids):,} images have only {different:,} different ids")
    clustered = inputs.clusters is not None
    cluster, attribute = (joined(inputs.clusters, name, ids) for name in ("cluster", "attribute"))
    out, first = np.unique(inputs.excluded["image_id"].to_numpy(), return_index=True)
    place = place_of(out, ids)
    there = place >= 0
    used = cluster >= 0 if clustered else np.ones(len(ids), bool)
    left_out: list[Reasons] = [(out[there], inputs.excluded["reason"].take(first[there]).to_pylist())]
    used[place[there]] = False
    left_out.append((np.setdiff1d(ids[~used], out), NOT_CLUSTERED))
    kept = pa.array(used)
    cls, names = _coded(images["class_name"], kept)
    has_sources = "source_split" in images.column_names
    source, sources = np.zeros(len(cls), np.int64), [""]
    if has_sources:
        source, sources = _coded(images["source_split"].fill_null(""), kept)
    rank = np.argsort(np.argsort([name.encode() for name in sources], kind="stable"))
    cluster, attribute = cluster[used], attribute[used]
    total = int(attribute.max(initial=-1)) + 1
    if attributes is not None:
        attribute, total = _merged(cls, cluster, attributes), attributes
    group = joined(inputs.groups, "group", ids)[used]
    return Pool(
        ids[used], cls, attribute, cluster, names, total, left_out, len(ids),
        rank[source] if len(source) else source, sorted(sources, key=str.encode), group,
    )  # fmt: skip


def place_of(ids: np.ndarray, image_id: np.ndarray) -> np.ndarray:
    """Where each of some ids stands in `image_id`, int64 (M,); -1 for those that do not."""
    place = np.full(int(image_id.max(initial=-1)) + 2, -1, np.int64)  # the last is that of no image
    place[image_id] = np.arange(len(image_id))
    ids = np.asarray(ids, np.int64)
    return place[np.where((ids >= 0) & (ids < len(place)), ids, -1)]


def joined(table: pa.Table | None, column: str, ids: np.ndarray, *, missing: float = -1) -> np.ndarray:
    """A column of a table for each of some images, (N,) of the type of `missing`, which stands for images it lacks."""
    found = np.full(len(ids), missing)
    if table is not None:
        place = place_of(table["image_id"].to_numpy(), ids)
        found[place[place >= 0]] = table[column].to_numpy()[place >= 0]
    return found


# -- below: joining --------------------------------------------------------------------------------------------------


def _sorted(images: pa.Table) -> pa.Table:
    wanted = ("image_id", "class_name", "path", "source_split")
    images = images.select([c for c in wanted if c in images.column_names])
    keys = [(c, "ascending") for c in ("class_name", "path", "image_id") if c in images.column_names]
    words = [pa.string() if pa.types.is_dictionary(t) else t for t in images.schema.types]
    return images.cast(pa.schema(list(zip(images.column_names, words, strict=True)))).sort_by(keys)


def _coded(column: pa.ChunkedArray, kept: pa.Array) -> tuple[np.ndarray, list[str]]:
    encoded = column.combine_chunks().filter(kept).dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def _merged(cls: np.ndarray, cluster: np.ndarray, attributes: int) -> np.ndarray:
    """Attributes anew, by `attribute_of`: clusters of a class are ranked by size, then number."""
    base = int(cluster.max(initial=0)) + 1
    keys, inverse, sizes = np.unique(cls * base + cluster, return_inverse=True, return_counts=True)
    owner = keys // base
    order = np.lexsort((keys, -sizes, owner))
    many = np.bincount(owner)
    most = int(many.max(initial=0))
    if attributes > most:
        raise ArgumentError(f"attributes is {attributes}, and no class has more than {most} clusters: ask for fewer")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(many) - many, many)
    return attribute_of(rank, many[owner], attributes).astype(np.int64)[inverse]
