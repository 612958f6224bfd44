"""The kind of recipe `glt-multi`: a generalised long tail where an image has any number of attributes.

The protocol is that of MSCOCO-GLT (Tang et al., ECCV 2022, arXiv 2207.09504; `_COCOGeneration` of
KaihuaTang/Generalized-Long-Tailed-Benchmarks.pytorch): Test-GBL from each class so that its attributes are even, then
Test-CBL at random, then a long-tailed or balanced pool that Test-GLT (lt), Val and Train are drawn from. Unlike the
original it is seeded: every class has its own stream of random numbers from the seed and its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation.errors import ArgumentError
from curation.splits import class_draw
from curation.splits.class_plan import ClassPlan, Counts
from curation.splits.greedy import evenest
from curation.splits.inputs import Inputs
from curation.splits.kind import Kind
from curation.splits.multi_attribute_plan import MultiAttribute, plan, suggest
from curation.splits.multi_attribute_table import Positives, positives, read
from curation.splits.pool import Pool, gather, place_of
from curation.splits.result import Result
from curation.workspace import Workspace

RANKS = 3  # thirds of a split by how usual the attributes of its images are

__all__ = ["KIND", "MultiAttribute", "carve", "fitted", "plan", "tables"]


def tables(_workspace: Workspace, p: MultiAttribute, inputs: Inputs) -> Mapping[str, pa.Table]:
    """The table of attributes that the parameters name; see `multi_attribute_table.read`.

    Raises:
        ArgumentError: none is named, or there is no such file.
        CurationError: a column, value or image in it cannot be.
    """
    if not p.attributes:
        raise ArgumentError("recipe 'glt-multi' takes 1 table of attributes and 0 are named: set attributes=FILE")
    return {"attributes": read(Path(p.attributes), inputs.images, threshold=p.threshold)}


def carve(inputs: Inputs, p: MultiAttribute) -> Result:
    """Carve Train, Val, Test-GLT, Test-CBL and Test-GBL: a pure function of inputs and parameters.

    Raises:
        CurationError: there is nothing to split, or too little of it.
        ArgumentError: without attributes, or with groups of near duplicates.
    """
    pool = _gathered(inputs)
    had = positives(inputs.attributes, pool.image_id)
    planned = plan(Counts.of(pool, inputs), p)
    codes, reasons, _ = class_draw.assign(pool, planned, _keys(pool, had, planned, p))
    result = class_draw.finished(pool, planned, p, codes, reasons, _report(pool, had, planned, codes, p))
    if not p.rank_attributes:
        return result
    ranks = _ranks(pool, had, planned, codes)
    column = pa.array(ranks[place_of(result.split["image_id"].to_numpy(), pool.image_id)].astype(np.int16))
    at = result.split.schema.get_field_index("attribute")
    return replace(result, split=result.split.set_column(at, "attribute", column))


def fitted(inputs: Inputs, p: MultiAttribute) -> MultiAttribute:
    """The largest tests that all classes can fill."""
    return suggest(Counts.of(_gathered(inputs), inputs), p)


KIND = Kind(
    name=MultiAttribute.KIND,
    title="Generalised long tail, many attributes",
    about="Images with any number of attributes each, from a table: one test has them as even as they come",
    settings=MultiAttribute,
    carve=carve,
    plan=plan,
    counted=True,
    suggest=suggest,
    tables=tables,
    fitted=fitted,
)


# -- below: drawing --------------------------------------------------------------------------------------------------


def _gathered(inputs: Inputs) -> Pool:
    if inputs.groups is not None:
        raise ArgumentError(
            "recipe 'glt-multi' takes one image of each group of near duplicates: set duplicates=decided"
        )
    if inputs.attributes is None:
        raise ArgumentError("recipe 'glt-multi' takes 1 table of attributes and has 0: set attributes=FILE")
    return gather(replace(inputs, clusters=None))


def _keys(pool: Pool, had: Positives, planned: ClassPlan, p: MultiAttribute) -> np.ndarray:
    """What each image is drawn by, int64 (N,): those for Test-GBL first, the others as the seed has them."""
    order = np.lexsort((np.arange(len(pool.cls)), class_draw.random_order(pool, p.seed), pool.cls))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    wanted = np.zeros(len(pool.names), np.int64)
    wanted[planned.order] = planned.of("test_bbl")
    turn = evenest(pool.cls, rank, had.image, had.code, wanted)
    return np.where(turn >= 0, turn - len(rank), rank)


# -- below: telling --------------------------------------------------------------------------------------------------


def _report(pool: Pool, had: Positives, planned: ClassPlan, codes: np.ndarray, p: MultiAttribute) -> dict[str, Any]:
    """How often every attribute is in each split, and how evenly.

    `attribute_std` is the sample standard deviation over attributes of their normalised counts, as the original prints
    it; None for a split without attributes.
    """
    many = len(had.names)
    counts = np.zeros((len(planned.splits) + 1, many), np.int64)
    np.add.at(counts, (codes[had.image], had.code), 1)  # the last row is of images in no split
    spread = {
        split: float(np.std(row / row.sum(), ddof=1)) if row.sum() and many > 1 else None
        for split, row in zip(planned.splits, counts[:-1], strict=True)
    }
    train = planned.of("train")
    return {
        "attributes": RANKS if p.rank_attributes else 0,
        "attribute_names": had.names,
        "attribute_counts": {s: row.tolist() for s, row in zip(planned.splits, counts[:-1], strict=True)},
        "attribute_std": spread,
        "images_without_attributes": int((np.bincount(had.image, minlength=len(pool.cls)) == 0).sum()),
        "train_classes_without_images": int((train == 0).sum()),
    }


def _ranks(pool: Pool, had: Positives, planned: ClassPlan, codes: np.ndarray) -> np.ndarray:
    """0, 1 or 2 for the images of every split, by thirds from the usual to the rare; int64 (N,).

    An image scores the mean, over its attributes, of their share among all attributes of its class in train; images
    above that at a third of the split's falling scores are 0, above that at two thirds 1, the others 2 (MSCOCO-GLT,
    `mscoco_glt_crop.py`). Each score is one division of whole numbers, so that equal ones are equal on every machine.
    """
    cell = pool.cls[had.image] * len(had.names) + had.code
    in_train = codes[had.image] == planned.splits.index("train")
    shape = (len(pool.names), len(had.names))
    usual = np.bincount(cell[in_train], minlength=shape[0] * shape[1])
    among = usual.reshape(shape).sum(1)[pool.cls] * np.bincount(had.image, minlength=len(codes))
    hits = np.zeros(len(codes), np.int64)
    np.add.at(hits, had.image, usual[cell])
    score = hits / np.maximum(1, among)
    ranks = np.zeros(len(codes), np.int64)
    for code in range(len(planned.splits)):
        mine = np.flatnonzero(codes == code)
        if len(mine):
            falling = np.sort(score[mine])[::-1]
            third = len(mine) // 3
            ranks[mine] = 2 - (score[mine] > falling[third]).astype(int) - (score[mine] > falling[2 * third])
    return ranks
