"""Which images are compared with which."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curation.duplicates import scopes
from curation.errors import ArgumentError

IMAGES = pa.table(
    {"class_name": ["b", "a", "c", "é", "a", "c", "b", "c", "c"], "source_split": ["val", "train", "val"] * 3}
)


def targets(plan: scopes.Plan) -> list[list[int]]:
    """Whom every image is compared with."""
    return [plan.targets[group].tolist() for group in plan.group]


def test_auto_is_all_up_to_a_hundred_thousand_and_class_beyond():
    assert [scopes.resolve("auto", count) for count in (0, 100_000, 100_001)] == ["all", "all", "class"]
    assert scopes.resolve("all", 10**7) == "all"
    with pytest.raises(ArgumentError, match="unknown scope 'everywhere'"):
        scopes.resolve("everywhere", 1)


def test_classes_are_put_together_until_a_group_is_full(monkeypatch):
    monkeypatch.setattr(scopes, "GROUP", 4)
    plan = scopes.within("class", IMAGES)
    assert [ids.tolist() for ids in plan.targets] == [[0, 1, 4, 6], [2, 5, 7, 8], [3]]
    assert all(i in plan.targets[group] for i, group in enumerate(plan.group))


def test_splits_are_compared_with_each_other_only():
    split = np.array(IMAGES["source_split"].to_pylist())
    for i, others in enumerate(targets(scopes.within("splits", IMAGES))):
        assert others == np.flatnonzero(split != split[i]).tolist()


def test_one_split_has_nobody_to_be_compared_with():
    assert targets(scopes.within("splits", pa.table({"source_split": ["", "", None]}))) == [[], [], []]


def test_similar_classes_count_the_own_one_and_are_cut():
    plan = scopes.classes(IMAGES, IMAGES, {"a": ["c", "a", "é"], "b": list("defghijk")})
    by_image = targets(plan)
    assert by_image[1] == [1, 2, 3, 4, 5, 7, 8]
    assert by_image[3] == [3]  # named by nobody: only with itself
    assert by_image[0] == [0, 6]
    assert targets(scopes.classes(IMAGES, IMAGES))[2] == [2, 5, 7, 8]


def test_classes_of_another_set_are_found_by_name():
    other = pa.table({"class_name": ["z", "c", "a", "c"]})
    assert targets(scopes.classes(IMAGES, other))[:4] == [[], [2], [1, 3], []]


def test_no_images_at_all():
    plan = scopes.within("class", IMAGES.slice(0, 0))
    assert len(plan.group) == 0
    assert sum(map(len, plan.targets)) == 0
