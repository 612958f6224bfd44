"""Generalised long-tail splits: imbalance between classes and between the attributes inside each class.

The protocol is that of ImageNet-GLT (Tang et al., ECCV 2022, arXiv 2207.09504), generalised to any number of classes
and attributes: feasibility is known before anything is carved, every draw comes from the seed and from names rather
than from a listing, each split takes from all clusters of an attribute, and every image is in a split or listed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.derived import attribute_of
from curation.errors import ArgumentError, CurationError
from curation.exclusions import EXCLUSIONS
from curation.splits.apportion import spread
from curation.splits.parameters import Parameters
from curation.splits.plan import SPLITS, Infeasible, Plan, plan, random_keys, suggest
from curation.workspace import SPLIT

NOT_CLUSTERED = "not clustered"
CLASS_DROPPED = "class dropped"
TO_SPARE = "to spare: more than the profile wants of its class and attribute"

Reasons = tuple[np.ndarray, str | Sequence[str]]
"""Image ids with one reason for all of them, or with a reason each."""

# Each cell gives its images to the splits in this order, as published.
_CARVING = ("test_bbl", "test_bl", "test_lt", "val", "train")


@dataclass(frozen=True)
class Result:
    """`split` (schema SPLIT), `left_out` (schema EXCLUSIONS, by image id) and a report that JSON can hold."""

    split: pa.Table
    left_out: pa.Table
    report: dict[str, Any]


@dataclass(frozen=True)
class Pool:
    """The images that can be carved, in byte order of class name and path.

    `image_id`, `cls` (row of `names`), `attribute`, `cluster`: int64 (N,); `names`: classes that have images, in byte
    order; `attributes`: how many there are; `left_out`: (ids, reasons) of all others, for `listed`; `images`: of the
    input.
    """

    image_id: np.ndarray
    cls: np.ndarray
    attribute: np.ndarray
    cluster: np.ndarray
    names: list[str]
    attributes: int
    left_out: list[Reasons]
    images: int

    def counts(self) -> np.ndarray:
        """Images of every class and attribute, int64 (C, A)."""
        cell = self.cls * self.attributes + self.attribute
        return np.bincount(cell, minlength=len(self.names) * self.attributes).reshape(len(self.names), self.attributes)


def carve(images: pa.Table, clusters: pa.Table, excluded: pa.Table, parameters: Parameters) -> Result:
    """Carve Train, Val, Test-GLT, Test-CBL and Test-GBL out of clustered images.

    Args:
        images: columns image_id, class_name and, where there is one, path; any order of rows gives the same split.
        clusters: schema CLUSTERS.
        excluded: schema EXCLUSIONS; these images are in no split.
        parameters: of the recipe, in default mode.

    Raises:
        Infeasible: too few images; names the classes and attributes with have, need and short.
        ArgumentError: parameters do not fit the data.
    """
    pool = gather(images, clusters, excluded, attributes=parameters.attributes)
    try:
        planned = plan(pool.counts(), parameters, names=pool.names)
    except Infeasible as error:
        raise Infeasible(_explain(error, pool.names), error.counts, error.parameters) from None
    split, spare, clusters_of = _draw(pool, planned, parameters)
    dropped = [(pool.image_id[pool.cls == row], f"{CLASS_DROPPED}: {pool.names[row]!r}") for row in planned.dropped]
    left_out = listed(*pool.left_out, *dropped, (spare, TO_SPARE))
    report = _report(pool, planned, parameters) | {"clusters": clusters_of}
    return Result(split, left_out, report | {"funnel": funnel(pool.images, split, left_out)})


def gather(images: pa.Table, clusters: pa.Table, excluded: pa.Table, *, attributes: int | None = None) -> Pool:
    """Join images with clusters and exclusions, in an order that no listing can change.

    Raises:
        ArgumentError: more attributes are asked for than there are clusters.
        CurationError: an image id is there twice.
    """
    images = images.select([c for c in ("image_id", "class_name", "path") if c in images.column_names])
    keys = [(c, "ascending") for c in ("class_name", "path", "image_id") if c in images.column_names]
    words = [pa.string() if pa.types.is_dictionary(t) else t for t in images.schema.types]
    images = images.cast(pa.schema(list(zip(images.column_names, words, strict=True)))).sort_by(keys)
    ids = images["image_id"].to_numpy().astype(np.int64)
    place = np.full(int(ids.max(initial=-1)) + 1, -1, np.int64)
    place[ids] = np.arange(len(ids))
    if (place >= 0).sum() != len(ids):
        raise CurationError(f"{len(ids):,} images have only {(place >= 0).sum():,} different ids")
    cluster, attribute = (np.full(len(ids), -1, np.int64) for _ in range(2))
    where = place[_known(clusters["image_id"].to_numpy(), place)]
    rows = _known(clusters["image_id"].to_numpy(), place, mask=True)
    cluster[where] = clusters["cluster"].to_numpy()[rows]
    attribute[where] = clusters["attribute"].to_numpy()[rows]
    out, first = np.unique(excluded["image_id"].to_numpy(), return_index=True)
    there = _known(out, place, mask=True)
    used = cluster >= 0
    left_out: list[Reasons] = [(out[there], excluded["reason"].take(first[there]).to_pylist())]
    used[place[out[there]]] = False
    left_out.append((np.setdiff1d(ids[~used], out), NOT_CLUSTERED))
    encoded = images["class_name"].combine_chunks().filter(pa.array(used)).dictionary_encode()
    cls, names = encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()
    cluster, attribute = cluster[used], attribute[used]
    total = int(attribute.max(initial=-1)) + 1
    if attributes is not None:
        attribute, total = _merged(cls, cluster, attributes), attributes
    return Pool(ids[used], cls, attribute, cluster, names, total, left_out, len(ids))


def listed(*groups: Reasons) -> pa.Table:
    """Images with the reason why they are in no split, schema EXCLUSIONS, in the order of ids."""
    ids = np.concatenate([np.asarray(g[0], np.int64) for g in groups])
    reasons = pa.chunked_array(
        [pa.repeat(r, len(i)) if isinstance(r, str) else pa.array(r, pa.string()) for i, r in groups], pa.string()
    )
    order = np.argsort(ids, kind="stable")
    return pa.table({"image_id": ids[order], "reason": reasons.take(pa.array(order))}).cast(EXCLUSIONS)


def split_table(codes: np.ndarray, columns: dict[str, np.ndarray]) -> pa.Table:
    """A table of the schema SPLIT from split numbers (as in SPLITS) and the other columns."""
    split = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(SPLITS))
    arrays = {name: pa.array(values).cast(SPLIT.field(name).type) for name, values in columns.items()}
    return pa.table({"split": split} | arrays).select(SPLIT.names).cast(SPLIT)


def reason_kind(reason: str) -> str:
    """The part of a reason before its detail: what the funnel counts."""
    return re.split(r":| of image | \(", reason, maxsplit=1)[0]


# -- below: joining, drawing, telling --------------------------------------------------------------------------------


def _known(ids: np.ndarray, place: np.ndarray, *, mask: bool = False) -> np.ndarray:
    """The ids that are images (or which of them are, bool)."""
    ids = np.asarray(ids, np.int64)
    there = (ids >= 0) & (ids < len(place))
    there[there] = place[ids[there]] >= 0
    return there if mask else ids[there]


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


def _draw(pool: Pool, planned: Plan, p: Parameters) -> tuple[pa.Table, np.ndarray, dict[str, int]]:
    """Realise the plan: the split table, ids to spare, and how many clusters are represented where."""
    label_of = np.full(len(pool.names), -1, np.int64)
    label_of[planned.order] = np.arange(len(planned.order))
    kept = np.flatnonzero(label_of[pool.cls] >= 0)
    cell = label_of[pool.cls[kept]] * pool.attributes + pool.attribute[kept]
    key = np.empty(len(kept), np.uint64)
    by_cell = np.argsort(cell, kind="stable")  # rows of a cell stay in byte order of paths
    key[by_cell] = _keys(pool, planned, p, np.bincount(cell, minlength=planned.left.size))
    order = np.lexsort((key, pool.cluster[kept], cell))
    group = np.stack([cell[order], pool.cluster[kept][order]])
    first = np.flatnonzero(np.diff(group, axis=1, prepend=-1).any(0))
    sizes = np.diff(first, append=len(order))
    taken = _by_cluster(group[0, first], sizes, planned)
    codes = np.empty(len(kept), np.int64)
    pattern = np.tile([*(SPLITS.index(s) for s in _CARVING), -1], len(sizes))
    codes[order] = np.repeat(pattern, np.column_stack([*taken, sizes - sum(taken)]).ravel())
    inside = np.flatnonzero(codes >= 0)
    inside = inside[np.lexsort((inside, cell[inside], codes[inside]))]
    rows = kept[inside]
    columns = {
        "image_id": pool.image_id[rows],
        "label": label_of[pool.cls[rows]],
        "frequency": planned.frequency[label_of[pool.cls[rows]]],
        "attribute": pool.attribute[rows],
        "cluster": pool.cluster[rows],
    }
    found = {s: int((t > 0).sum()) for s, t in zip(_CARVING, taken, strict=True)} | {"all": len(sizes)}
    return split_table(codes[inside], columns), pool.image_id[kept[codes < 0]], found


def _keys(pool: Pool, planned: Plan, p: Parameters, sizes: np.ndarray) -> np.ndarray:
    """Random keys cell by cell, each cell with its own stream from (seed, class, attribute)."""
    streams = [
        random_keys(int(sizes[label * pool.attributes + a]), p.seed, pool.names[row], a)
        for label, row in enumerate(planned.order)
        for a in range(pool.attributes)
    ]
    return np.concatenate(streams)


def _by_cluster(cells: np.ndarray, sizes: np.ndarray, planned: Plan) -> list[np.ndarray]:
    """How many images each split takes of every (cell, cluster), in the order of _CARVING; each int64 (G,)."""
    column = np.arange(len(cells)) - np.searchsorted(cells, cells)
    room = np.zeros((planned.left.size, int(column.max(initial=0)) + 1), np.int64)
    room[cells, column] = sizes
    taken = []
    for split in _CARVING:
        given = spread(planned.of(split).ravel(), room)
        room -= given
        taken.append(given[cells, column])
    return taken


def _report(pool: Pool, planned: Plan, p: Parameters) -> dict[str, Any]:
    train = planned.of("train")
    relaxed = np.flatnonzero(planned.per_cell < p.per_cell)
    return {
        "kind": "glt",
        "mode": "default",
        "classes": [pool.names[row] for row in planned.order],
        "attributes": pool.attributes,
        "dropped_classes": [pool.names[row] for row in planned.dropped],
        "smaller_cells": [
            {"class_name": pool.names[planned.order[i]], "per_cell": int(planned.per_cell[i]), "asked": p.per_cell}
            for i in relaxed
        ],
        "class_size": {"asked": planned.asked.tolist(), "had": planned.pool.tolist(), "train": train.sum(1).tolist()},
        "train_cells_without_images": int((train == 0).sum()),
        "train_classes_without_images": int((train.sum(1) == 0).sum()),
    }


def funnel(images: int, split: pa.Table, left_out: pa.Table) -> dict[str, Any]:
    """Counts that add up: images = left out (by kind of reason) + in splits (by split)."""
    by_split = {entry["values"]: entry["counts"] for entry in pc.value_counts(split["split"]).to_pylist()}
    kinds: dict[str, int] = {}
    for entry in pc.value_counts(left_out["reason"]).to_pylist():
        kind = reason_kind(entry["values"])
        kinds[kind] = kinds.get(kind, 0) + entry["counts"]
    return {
        "images": images,
        "left_out": {kind: kinds[kind] for kind in sorted(kinds)},
        "splits": {name: by_split.get(name, 0) for name in SPLITS},
    }


def _explain(error: Infeasible, names: list[str]) -> str:
    """The message with the worst cells by class name, and what would help."""
    rows = sorted((r for r in error.table.to_pylist() if r["short"] > 0), key=lambda r: -r["short"])
    cells = [
        (f"class {names[r['class_index']]!r}" if r["class_index"] is not None else r["what"])
        + (f", attribute {r['attribute']}," if r["attribute"] is not None else "")
        + f" has {r['have']:,} and needs {r['need']:,} (short {r['short']:,})"
        for r in rows[:5]
    ]
    more = f"; and {len(rows) - 5:,} more" if len(rows) > 5 else ""
    fit = suggest(error.counts, error.parameters)
    sizes = f"per_cell={fit.per_cell} and val_per_cell={fit.val_per_cell} (instead of {error.parameters.per_cell} and "
    sizes += f"{error.parameters.val_per_cell})" + (" with policy=shrink" if fit.policy == "shrink" else "")
    return f"{error}: {'; '.join(cells)}{more}. Set {sizes}, or policy=shrink, drop_class or relax_class_balance"
