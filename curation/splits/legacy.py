"""The published ImageNet-GLT carving to the letter, for results that must match the original files byte for byte.

Follows the generation script of KaihuaTang/Generalized-Long-Tailed-Benchmarks.pytorch (ECCV 2022, arXiv 2207.09504):
clusters merged in pairs by rank, lists used from the front and never shuffled, one uniform draw for Test-GLT and Val.
It knows three attributes, at most six clusters a class and at most 1000 classes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from curation.errors import ArgumentError, CurationError
from curation.splits.glt import TO_SPARE
from curation.splits.inputs import Inputs
from curation.splits.parameters import Parameters
from curation.splits.plan import SPLITS
from curation.splits.pool import gather
from curation.splits.profiles import imagenet_glt
from curation.splits.result import Result, funnel, listed, split_table

ATTRIBUTES = 3
TEST, VAL, WEIGHTS = 20, 10, (7, 2, 1)
BALANCED_CLASS = 145
_FIXED = ("per_cell", "val_per_cell", "weights", "cap", "profile", "order", "policy", "iid", "frequency", "attributes")

Cells = list[list[np.ndarray]]
"""Items of every attribute of every class, classes by label; the items are row numbers of some list."""


def carve(images: pa.Table, clusters: pa.Table, excluded: pa.Table, parameters: Parameters) -> Result:
    """Carve clustered images as the original does, listing classes and files in byte order of their paths.

    Args and result are those of `glt.carve`; of the parameters only inter and seed may differ from the published.

    Raises:
        CurationError: the original would fail; names class, attribute, have and need.
        ArgumentError: a parameter that the original has no choice about was changed.
    """
    check_parameters(parameters)
    pool = gather(Inputs(images, excluded, clusters=clusters))
    members, order = by_class(pool.cls, pool.cluster, pool.names)
    drawn = draw([members[row] for row in order], [pool.names[row] for row in order], parameters)
    rows = np.concatenate([drawn[name] for name in SPLITS])
    codes = np.repeat(np.arange(len(SPLITS)), [len(drawn[name]) for name in SPLITS])
    label_of = np.empty(len(order), np.int64)
    label_of[order] = np.arange(len(order))
    label, attribute = label_of[pool.cls[rows]], attribute_of_rows(members, len(pool.cls))[rows]
    columns = {
        "image_id": pool.image_id[rows],
        "label": label,
        "frequency": frequency(label),
        "attribute": attribute,
        "cluster": pool.cluster[rows],
    }
    split = split_table(codes, SPLITS, columns)
    spare = np.setdiff1d(pool.image_id, columns["image_id"])
    left_out = listed(*pool.left_out, (spare, TO_SPARE))
    report = {
        "kind": "glt",
        "mode": "legacy",
        "classes": [pool.names[row] for row in order],
        "attributes": ATTRIBUTES,
        "funnel": funnel(pool.images, split, left_out, SPLITS),
    }
    return Result(split, left_out, report)


def check_parameters(parameters: Parameters) -> None:
    """Raises ArgumentError when a parameter that is fixed in the original was changed."""
    published = Parameters(weights=WEIGHTS)
    if parameters.weights is None:
        parameters = parameters.replace(weights=WEIGHTS)
    for key in _FIXED:
        if getattr(parameters, key) != getattr(published, key):
            raise ArgumentError(
                f"{key} is {getattr(parameters, key)}, and mode legacy has {getattr(published, key)} built in: "
                "use mode default, or leave it out"
            )


def by_class(cls: np.ndarray, cluster: np.ndarray, names: Sequence[str]) -> tuple[Cells, np.ndarray]:
    """Cells of each class and the classes by size, from items listed class by class in the original's order.

    Args:
        cls: class of every item, ascending, int (N,).
        cluster: cluster of every item, int (N,).
        names: of the classes.

    Returns:
        (cells by class, row numbers of classes in label order).
    """
    edges = np.searchsorted(cls, np.arange(len(names) + 1))
    cells = []
    for row, name in enumerate(names):
        items = np.arange(edges[row], edges[row + 1])
        labels, first = np.unique(cluster[items], return_index=True)
        lists = [items[cluster[items] == label] for label in labels[np.argsort(first)]]
        cells.append(merge(lists, name))
    return cells, np.argsort(-np.diff(edges), kind="stable")


def merge(lists: Sequence[np.ndarray], name: str) -> list[np.ndarray]:
    """Clusters of one class by size (ties as listed), joined in pairs: ranks 0 and 1 are attribute 0, and so on.

    Raises:
        CurationError: more than six clusters.
    """
    if len(lists) > 2 * ATTRIBUTES:
        raise CurationError(
            f"class {name!r} has {len(lists)} clusters, and mode legacy takes {2 * ATTRIBUTES} at most: "
            "use mode default"
        )
    ranked = sorted(lists, key=len, reverse=True)
    empty = np.empty(0, np.int64)
    return [np.concatenate([empty, *ranked[2 * a : 2 * a + 2]]) for a in range(ATTRIBUTES)]


def draw(cells: Cells, names: Sequence[str], parameters: Parameters) -> dict[str, np.ndarray]:
    """Items of every split, int64, in the order in which the original writes them.

    Args:
        cells: by label.
        names: of the classes, by label; for messages.
        parameters: inter and seed.

    Raises:
        CurationError: the original would fail.
    """
    check(np.array([[len(c) for c in row] for row in cells]), names, parameters.inter)
    balanced, weighted, pool = [], [], []
    profile = imagenet_glt()
    for label, row in enumerate(cells):
        quota = min(TEST, *(len(c) // 4 for c in row))
        part = _shares(TEST * ATTRIBUTES)
        balanced += [c[:quota] for c in row]
        weighted += [c[quota : quota + n] for c, n in zip(row, part, strict=True)]
        left = [c[quota + n :] for c, n in zip(row, part, strict=True)]
        size = int(profile[label]) if parameters.inter == "lt" else min(BALANCED_CLASS, sum(map(len, left)))
        pool += [c[: size * w // 10] for c, w in zip(left, WEIGHTS, strict=True)]
    found = {"test_bbl": np.concatenate(balanced), "test_bl": np.concatenate(weighted)}
    if parameters.inter == "lt":
        return found | _uniform(np.concatenate(pool), len(cells), parameters.seed)
    val = _shares(VAL * ATTRIBUTES) * len(cells)
    return found | {
        "test_lt": np.empty(0, np.int64),
        "val": np.concatenate([c[:n] for c, n in zip(pool, val, strict=True)]),
        "train": np.concatenate([c[n:] for c, n in zip(pool, val, strict=True)]),
    }


def check(sizes: np.ndarray, names: Sequence[str], inter: str) -> None:
    """Raise where the original would end in an IndexError or ValueError of its own.

    Args:
        sizes: images of every attribute of every class by label, int (C, 3).
    """
    profile = imagenet_glt()
    if len(sizes) > len(profile):
        raise CurationError(f"{len(sizes):,} classes, and the published profile has {len(profile):,}: use mode default")
    left = sizes - np.minimum(TEST, sizes.min(1) // 4)[:, None]
    _check_cells(left, _shares(TEST * ATTRIBUTES), names, "left for Test-CBL")
    left = left - _shares(TEST * ATTRIBUTES)
    totals = profile[: len(sizes)] if inter == "lt" else np.minimum(BALANCED_CLASS, left.sum(1))
    kept = np.minimum(left, totals[:, None] * np.array(WEIGHTS) // 10)
    if inter == "bl":
        _check_cells(kept, _shares(VAL * ATTRIBUTES), names, "left for Val")
    elif kept.sum() < (need := len(sizes) * (TEST + VAL) * ATTRIBUTES):
        raise CurationError(
            f"Test-GLT and Val need {need:,} images, and the pool of all {len(sizes):,} classes has {kept.sum():,}: "
            "mode legacy cannot carve this; use mode default"
        )


def frequency(label: np.ndarray) -> np.ndarray:
    """Head (0) below label 400, medium (1) below 850, tail (2) from there, whatever the number of classes."""
    return np.searchsorted([400, 850], label, side="right")


def attribute_of_rows(cells: Cells, rows: int) -> np.ndarray:
    """Attribute of every item, int64 (rows,)."""
    found = np.zeros(rows, np.int64)
    for row in cells:
        for attribute, items in enumerate(row):
            found[items] = attribute
    return found


def _shares(total: int) -> list[int]:
    return [total // sum(WEIGHTS) * w for w in WEIGHTS]


def _check_cells(have: np.ndarray, need: Sequence[int], names: Sequence[str], what: str) -> None:
    short = np.argwhere(have < np.array(need))
    if len(short):
        label, attribute = (int(i) for i in short[0])
        more = f" (and {len(short) - 1:,} more cells are short)" if len(short) > 1 else ""
        raise CurationError(
            f"class {names[label]!r}, attribute {attribute}, has {have[label, attribute]:,} images {what} and needs "
            f"{need[attribute]:,}{more}: mode legacy cannot carve this; use mode default"
        )


def _uniform(pool: np.ndarray, classes: int, seed: int) -> dict[str, np.ndarray]:
    """Test-GLT, then Val, each drawn one by one from what is left; train is the rest in its order."""
    rng = random.Random(seed)
    first, rest = take_one_by_one(rng, len(pool), classes * TEST * ATTRIBUTES)
    test_lt, pool = pool[first], pool[rest]
    second, rest = take_one_by_one(rng, len(pool), classes * VAL * ATTRIBUTES)
    return {"test_lt": test_lt, "val": pool[second], "train": pool[rest]}


def take_one_by_one(rng: random.Random, size: int, count: int, *, block: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """`count` times draw `randint(0, left - 1)` and remove that position; as on one list, but in blocks.

    A Fenwick tree over the lengths of short lists finds the block of a position (Fenwick, 1994), so that a draw costs
    a few steps instead of moving half the list.

    Returns:
        (positions in order of drawing, positions that are left in ascending order), int64.
    """
    blocks = [list(range(start, min(size, start + block))) for start in range(0, size, block)]
    top = 1 << max(0, len(blocks).bit_length() - 1)
    tree = [0] * (len(blocks) + 1)
    for i, members in enumerate(blocks, 1):
        tree[i] += len(members)
        if (parent := i + (i & -i)) < len(tree):
            tree[parent] += tree[i]
    taken = []
    for left in range(size, size - count, -1):
        position, at, step = rng.randint(0, left - 1), 0, top
        while step:  # go down to the last block edge that is not beyond the position
            ahead = at + step
            if ahead < len(tree) and tree[ahead] <= position:
                at, position = ahead, position - tree[ahead]
            step >>= 1
        taken.append(blocks[at].pop(position))
        at += 1
        while at < len(tree):
            tree[at] -= 1
            at += at & -at
    rest = [item for members in blocks for item in members]
    return np.array(taken, np.int64), np.array(rest, np.int64)


def from_table(table: Mapping[str, Mapping[Any, Sequence[str]]]) -> tuple[list[str], Cells, list[str]]:
    """Paths, cells by label and class names by label of a cluster table {class: {cluster: [paths]}}.

    Classes and clusters count in the order in which the table lists them.
    """
    paths: list[str] = []
    cells: Cells = []
    for name, of_class in table.items():
        lists = []
        for members in of_class.values():
            lists.append(np.arange(len(paths), len(paths) + len(members)))
            paths.extend(members)
        cells.append(merge(lists, name))
    names = list(table)
    order = sorted(range(len(names)), key=lambda row: -sum(map(len, cells[row])))
    return paths, [cells[row] for row in order], [names[row] for row in order]
