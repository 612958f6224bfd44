"""Look-alikes of planted probes: like the image, of its class, and no near duplicate by anything that is known."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curation import files
from curation.duplicates import lookalikes
from curation.workspace import PAIRS, Workspace


def store(workspace: Workspace, keys: list[tuple[str, int, int]]) -> None:
    known = {name: [key[i] for key in sorted(keys)] for i, name in enumerate(("reference", "image_a", "image_b"))}
    known["decision"] = ["different"] * len(keys)
    table = {f.name: pa.array(known[f.name]) if f.name in known else pa.nulls(len(keys)) for f in PAIRS}
    table = pa.table({f.name: table[f.name].cast(f.type) for f in PAIRS}, schema=PAIRS)
    files.write_table(workspace.path / "duplicates" / "pairs.parquet", table)


def chosen(workspace: Workspace, image: int) -> set[int]:
    """What any of many seeds would choose."""
    return {int(lookalikes.choose(workspace, np.array([image]), seed=seed)[0]) for seed in range(150)}


def test_they_are_usable_images_of_the_class(make):
    status, flat = ["ok"] * 8, np.zeros(8, bool)
    status[3], flat[4] = "broken", True
    workspace = make(8, class_name=["a"] * 6 + ["b"] * 2, status=status, flat=flat)
    assert chosen(workspace, 0) == {1, 2, 5}
    assert chosen(workspace, 7) == {6}


def test_none_is_within_a_few_bits_of_the_picture_or_its_mirror_image(make):
    hashes = np.random.default_rng(1).integers(0, 2**64, (2, 6), dtype=np.uint64)
    hashes[0, 1] = hashes[0, 0] ^ np.uint64(0b1111)
    hashes[1, 2] = hashes[0, 0] ^ np.uint64(0b1)
    workspace = make(6, phash=hashes[0], phash_mirror=hashes[1])
    assert chosen(workspace, 0) == {3, 4, 5}


def test_none_was_paired_by_the_search_whatever_it_decided(make):
    workspace = make(6)
    store(workspace, [("", 0, 1), ("", 2, 3), ("other", 0, 4)])
    assert chosen(workspace, 0) == {2, 3, 4, 5}
    assert chosen(workspace, 3) == {0, 1, 4, 5}


@pytest.mark.parametrize(("searched", "expected"), [(True, range(39, 29, -1)), (False, range(36, 26, -1))])
def test_the_nearest_by_features_are_taken_but_for_the_very_nearest_before_a_search(make, searched, expected):
    angle = np.linspace(1.5, 0, 41)  # image 40 is the one asked about, 39 the most like it
    workspace = make(41, features=np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32))
    if searched:
        store(workspace, [])
    assert chosen(workspace, 40) == set(expected)


def test_a_class_with_no_other_image_has_none(make):
    workspace = make(3, class_name=["a", "b", "b"])
    assert lookalikes.choose(workspace, np.array([0, 1]), seed=0).tolist() == [-1, 2]
