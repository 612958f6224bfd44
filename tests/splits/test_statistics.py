import numpy as np
import pyarrow as pa
import pytest

from curation.splits.statistics import as_dict, gini, imbalance, statistics
from curation.workspace import SPLIT


def table(rows):
    columns = list(zip(*rows, strict=True))
    return pa.table({"image_id": np.arange(len(rows)), **dict(zip(SPLIT.names[1:], columns, strict=True))}).cast(SPLIT)


def test_classes_are_aligned_across_splits():
    found = statistics(
        table([("train", 0, 0, 0, 0), ("train", 0, 0, 1, 2), ("train", 2, 2, 0, 0), ("test_bbl", 1, 1, 1, 3)]),
        classes=4,
    )
    assert found["train"].per_class == [2, 0, 1, 0]
    assert found["test_bbl"].per_class == [0, 1, 0, 0]
    assert found["train"].per_attribute == [2, 1]
    assert found["train"].per_class_attribute == [[1, 1], [0, 0], [1, 0], [0, 0]]
    assert found["train"].groups == {"head": 2, "medium": 0, "tail": 1}
    assert (found["train"].images, found["train"].classes, found["train"].imbalance) == (3, 2, 2.0)
    assert as_dict(found)["train"]["gini"] == pytest.approx(gini([2, 0, 1, 0]))


def test_images_without_attribute_count_by_class_alone():
    rows = table([("train", 0, None, None, None), ("train", 0, 0, 0, 0)])
    found = statistics(rows)["train"]
    assert (found.per_class, found.per_attribute, found.groups["head"]) == ([2], [1], 1)


def test_chunks_with_other_dictionaries():
    one, two = table([("train", 0, 0, 0, 0)]), table([("val", 0, 0, 0, 0)])
    found = statistics(pa.concat_tables([one, two]))
    assert {name: entry.images for name, entry in found.items()} == {"train": 1, "val": 1}


def test_measures_of_imbalance():
    assert gini([5, 5, 5]) == pytest.approx(0)
    assert gini([0, 0, 9]) == pytest.approx(2 / 3)
    assert gini([0, 0]) == 0
    assert imbalance([1280, 5]) == 256
    assert imbalance([0, 0]) is None
