import numpy as np
import pyarrow as pa
import pytest

from curation.errors import ArgumentError
from curation.splits.statistics import effective_number, entropy, evenness, gini, imbalance, statistics
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
    assert found["train"].gini == pytest.approx(gini([2, 0, 1, 0]))
    assert found["train"].entropy == pytest.approx(np.log2(3) - 2 / 3)
    assert found["train"].evenness == pytest.approx((np.log2(3) - 2 / 3) / 2)


def test_images_without_attribute_count_by_class_alone():
    rows = table([("train", 0, None, None, None), ("train", 0, 0, 0, 0)])
    found = statistics(rows)["train"]
    assert (found.per_class, found.per_attribute, found.groups["head"]) == ([2], [1], 1)
    bare = statistics(table([("train", label, None, None, None) for label in (0, 2, 2)]))["train"]
    assert (bare.per_class, bare.per_attribute, bare.per_class_attribute) == ([1, 0, 2], [], [[], [], []])
    assert bare.groups == {"head": 0, "medium": 0, "tail": 0}


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


def test_entropy_of_shares():
    assert entropy([4, 4, 4, 4]) == pytest.approx(2)
    assert entropy([1, 1, 2]) == pytest.approx(1.5)
    assert entropy([7]) == entropy([0, 0]) == entropy([]) == 0
    assert evenness([3, 3, 3]) == pytest.approx(1)
    assert evenness([1, 1, 2, 0]) == pytest.approx(0.75)
    assert evenness([5]) == 0


def test_effective_number_is_the_sum_of_a_geometric_series():
    counts = np.array([0, 1, 5, 1280])
    for beta in (0.9, 0.999, 0.9999):
        series = [(beta ** np.arange(n)).sum() for n in counts]
        assert effective_number(counts, beta=beta) == pytest.approx(series)
    assert effective_number(counts, beta=0).tolist() == [0, 1, 1, 1]
    assert effective_number(counts, beta=1).tolist() == [0, 1, 5, 1280]
    # Classes of a billion different images: nearly every image counts in full.
    assert effective_number([100], beta=1 - 1e-9)[0] == pytest.approx(100, rel=1e-6)
    with pytest.raises(ArgumentError, match=r"beta is 1.5, and must be from 0 to 1"):
        effective_number(counts, beta=1.5)


def test_effective_numbers_of_a_split():
    rows = table([("train", 0, 0, 0, 0)] * 3 + [("train", 2, 0, 0, 0)])
    found = statistics(rows, beta=0.5)["train"]
    assert found.effective == [1.75, 0, 1]
    assert found.effective_images == 2.75
