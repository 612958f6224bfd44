"""Generalised long-tail splits: imbalance between classes and between the attributes inside each class.

The protocol is that of ImageNet-GLT (Tang et al., ECCV 2022, arXiv 2207.09504), generalised to any number of classes
and attributes: feasibility is known before anything is carved, every draw comes from the seed and from names rather
than from a listing, each split takes from all clusters of an attribute, and every image is in a split or listed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curation.splits.apportion import spread
from curation.splits.inputs import Inputs
from curation.splits.parameters import Parameters
from curation.splits.plan import SPLITS, Infeasible, Plan, plan, suggest
from curation.splits.pool import Pool, gather
from curation.splits.random_keys import random_keys
from curation.splits.result import Result, funnel, listed, split_table

CLASS_DROPPED = "class dropped"
TO_SPARE = "to spare: more than the profile wants of its class and attribute"

# Each cell gives its images to the splits in this order, as published.
_CARVING = ("test_bbl", "test_bl", "test_lt", "val", "train")


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
    pool = gather(Inputs(images, excluded, clusters=clusters), attributes=parameters.attributes)
    try:
        planned = plan(pool.counts(), parameters, names=pool.names)
    except Infeasible as error:
        raise Infeasible(_explain(error, pool.names), error.counts, error.parameters) from None
    split, spare, clusters_of = _draw(pool, planned, parameters)
    dropped = [(pool.image_id[pool.cls == row], f"{CLASS_DROPPED}: {pool.names[row]!r}") for row in planned.dropped]
    left_out = listed(*pool.left_out, *dropped, (spare, TO_SPARE))
    report = _report(pool, planned, parameters) | {"clusters": clusters_of}
    return Result(split, left_out, report | {"funnel": funnel(pool.images, split, left_out, SPLITS)})


# -- below: drawing, telling ------------------------------------------------------------------------------------------


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
    return split_table(codes[inside], SPLITS, columns), pool.image_id[kept[codes < 0]], found


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
