"""Tables that a split is made from, made from class sizes; and what must hold of every split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from curation.exclusions import EXCLUSIONS
from curation.splits.inputs import GROUPS, Inputs, gather
from curation.splits.result import Result


def made(
    sizes: Mapping[str, int],
    *,
    sources: Sequence[str] = ("",),
    groups: Sequence[int] | None = None,
    excluded: Sequence[int] = (),
) -> Inputs:
    """`sizes` images of each class; ids follow neither paths nor rows.

    Args:
        sizes: by class.
        sources: of the images in turn, class by class.
        groups: of the images, class by class; -1 or 0 for none.
        excluded: places of images, class by class.
    """
    paths = [f"{name}/{i:04d}.jpg" for name, size in sizes.items() for i in range(size)]
    names = [path.split("/")[0] for path in paths]
    count = len(names)
    ids = np.random.default_rng(7).permutation(count + 3)[:count]
    images = {
        "image_id": pa.array(ids, pa.int32()),
        "root": ["images"] * count,
        "path": paths,
        "class_name": pa.array(names, pa.string()).dictionary_encode(),
        "source_split": pa.array([sources[i % len(sources)] for i in range(count)], pa.string()).dictionary_encode(),
    }
    out = {"image_id": ids[list(excluded)], "reason": ["excluded by ann: blurred"] * len(excluded)}
    found = Inputs(pa.table(images), pa.table(out).cast(EXCLUSIONS))
    if groups is None:
        return found
    numbers = np.asarray(groups)
    there = numbers > 0
    return replace(found, groups=pa.table({"image_id": ids[there], "group": numbers[there]}).cast(GROUPS))


def shuffled(inputs: Inputs, seed: int) -> Inputs:
    """The same tables with their rows in another order."""
    rng = np.random.default_rng(seed)
    tables = inputs.tables().items()
    return Inputs(**{name: table.take(pa.array(rng.permutation(len(table)))) for name, table in tables})


def by_split(result: Result) -> dict[str, list[int]]:
    """Image ids of every split, ascending."""
    rows = result.split.to_pylist()
    return {s: sorted(row["image_id"] for row in rows if row["split"] == s) for s in result.report["class_size"]}


def counts(result: Result) -> np.ndarray:
    """Images by split and label, int64 (S, L)."""
    splits, labels = list(result.report["class_size"]), len(result.report["classes"])
    found = np.zeros((len(splits), labels), np.int64)
    for row in result.split.select(["split", "label"]).to_pylist():
        found[splits.index(row["split"]), row["label"]] += 1
    return found


def reasons(result: Result) -> dict[int, str]:
    """Why images are left out, by id."""
    return dict(zip(result.left_out["image_id"].to_pylist(), result.left_out["reason"].to_pylist(), strict=True))


def check(inputs: Inputs, result: Result) -> None:
    """Every image is in one split or left out; labels are of its class; near duplicates are on one side."""
    inside = result.split["image_id"].to_pylist()
    assert sorted(inside + result.left_out["image_id"].to_pylist()) == sorted(inputs.images["image_id"].to_pylist())
    assert not set(inside) & set(inputs.excluded["image_id"].to_pylist())
    cls = dict(zip(*(inputs.images[c].to_pylist() for c in ("image_id", "class_name")), strict=True))
    classes = result.report["classes"]
    assert [cls[i] for i in inside] == [classes[label] for label in result.split["label"].to_pylist()]
    told = result.report["funnel"]
    assert told["images"] == len(cls) == sum(told["left_out"].values()) + sum(told["splits"].values())
    if inputs.groups is not None:
        group = dict(zip(*(inputs.groups[c].to_pylist() for c in ("image_id", "group")), strict=True))
        sides: dict[int, set[str]] = {}
        for image, split in zip(inside, result.split["split"].to_pylist(), strict=True):
            if image in group:
                sides.setdefault(group[image], set()).add(split)
        assert all(len(found) == 1 for found in sides.values())


def same(one: Result, other: Result) -> bool:
    """Whether two results are equal to the last row."""
    return one.split.equals(other.split) and one.left_out.equals(other.left_out) and one.report == other.report


@st.composite
def any_inputs(draw: Any, *, grouped: bool = False) -> Inputs:
    """A few small classes in one to three source splits, some images excluded."""
    sizes = draw(st.dictionaries(st.sampled_from(["ant", "Bee", "cat=1", "émeu", "z"]), st.integers(1, 24), min_size=1))
    count = sum(sizes.values())
    groups = draw(st.lists(st.integers(-3, 6), min_size=count, max_size=count)) if grouped else None
    sources = draw(st.lists(st.sampled_from(["train", "val", "test"]), min_size=1, max_size=4))
    excluded = draw(st.lists(st.integers(0, count - 1), unique=True, max_size=3))
    return made(sizes, sources=sources, groups=groups, excluded=excluded)


def complete(workspace, kind, settings, **options):
    """All tables that a recipe takes from a workspace."""
    return kind.complete(workspace, settings, gather(workspace, **options))
