import numpy as np
import pyarrow as pa
import pytest

from curation.errors import ArgumentError, CurationError
from curation.exclusions import EXCLUSIONS
from curation.splits.class_plan import Counts, TooFew
from curation.splits.inputs import HISTOGRAM, Inputs
from curation.splits.match_histogram import KIND, MatchHistogram, plan_match

NAMES = ["ant", "bee", "cat", "dog"]


def counts_of(available, wanted):
    return Counts(NAMES[: len(available)], [""], np.array(available)[:, None], {}, np.array(wanted))


def inputs_of(available, told):
    names = [name for name, count in zip(NAMES, available, strict=False) for _ in range(count)]
    images = pa.table(
        {
            "image_id": pa.array(range(len(names)), pa.int32()),
            "root": ["images"] * len(names),
            "path": [f"{i:04d}.jpg" for i in range(len(names))],
            "class_name": names,
            "source_split": [""] * len(names),
        }
    )
    histogram = pa.table({"class_name": list(told), "images": list(told.values())}, schema=HISTOGRAM)
    return Inputs(images, EXCLUSIONS.empty_table(), histogram=histogram)


@pytest.mark.parametrize(
    ("scale", "wanted", "train"),
    [
        ("exact", [10, 20, 5], [10, 20, 5]),
        ("proportional", [10, 20, 5], [13, 26, 7]),  # x 1.3: 26 images of bee; 6.5 rounds up
        ("proportional", [1000, 2000, 4], [13, 26, 1]),  # a class with any is not lost to rounding
        ("fit", [10, 20, 5], [10, 20, 5]),
        ("fit", [100, 200, 50], [13, 26, 7]),
    ],
)
def test_sizes(scale, wanted, train):
    """Of 40, 30 and 20 images val and test take 2 each; so bee has 26 left."""
    planned = plan_match(counts_of([40, 30, 20], wanted), MatchHistogram(scale=scale, val=2, test=2))
    assert planned.of("train").tolist() == train
    assert planned.shortfalls == []


def test_what_a_class_lacks_is_told():
    p = MatchHistogram(val=2, test=None)
    planned = plan_match(counts_of([40, 30, 20], [50, 20, 18]), p)
    assert planned.of("train").tolist() == [38, 20, 18]
    assert [(s.class_name, s.split, s.wanted, s.has) for s in planned.shortfalls] == [("ant", "train", 50, 38)]
    with pytest.raises(TooFew, match=r"class 'bee' has 28 for train and needs 50") as error:
        plan_match(counts_of([40, 30, 20], [-1, 50, 18]), p.replace(policy="error"))
    assert (error.value.plan.order.tolist(), error.value.plan.unwanted.tolist()) == ([1, 2], [0])
    dropped = plan_match(counts_of([40, 2, 20], [50, 20, 18]), p.replace(policy="drop_class"))
    assert (dropped.order.tolist(), dropped.dropped.tolist(), dropped.unwanted.tolist()) == ([2], [0, 1], [])


def test_a_class_without_room_does_not_hold_the_others_down():
    planned = plan_match(counts_of([40, 4, 20], [10, 10, 5]), MatchHistogram(scale="proportional", val=2, test=2))
    assert planned.of("train").tolist()[::2] == [32, 16]


def test_classes_without_a_number_are_left_out():
    counts = counts_of([9, 9, 9, 9], [5, -1, 0, 5])
    planned = plan_match(counts, MatchHistogram(val=1, test=1))
    assert (planned.order.tolist(), planned.unwanted.tolist()) == ([0, 3], [1, 2])
    planned = plan_match(counts, MatchHistogram(val=1, test=1, least=0))
    assert planned.counts.tolist() == [[5, 0, 5], [1, 1, 1], [1, 1, 1]]
    some = plan_match(counts, MatchHistogram(classes=("dog", "ant"), order="given"))
    assert (some.order.tolist(), some.unwanted.tolist()) == ([3, 0], [1, 2])
    with pytest.raises(ArgumentError, match=r"1 of 2 classes have no images in the histogram, such as 'bee'"):
        plan_match(counts, MatchHistogram(classes=("ant", "bee")))
    with pytest.raises(ArgumentError, match=r"classes have no images that may be used, such as 'emu'"):
        plan_match(counts, MatchHistogram(classes=("ant", "emu")))


def test_what_is_on_one_side_only_is_listed():
    told = {"ant": 3, "cat": 7, "dog": 0, "emu": 5}
    found = KIND.carve(inputs_of([8, 8, 8, 8], told), MatchHistogram(val=1, test=1))
    assert found.report["histogram"] == {
        "images": 10,
        "matched_classes": 1,
        "only_in_histogram": ["emu"],
        "only_in_images": ["bee"],
        "zero": ["dog"],
    }
    assert found.report["classes"] == ["ant", "cat"]
    assert found.report["short_cells"][0]["wanted"] == 7
    assert found.report["funnel"]["splits"] == {"train": 9, "val": 2, "test": 2}
    assert found.report["funnel"]["left_out"]["class not asked for"] == 16
    assert len(found.split) + len(found.left_out) == 32


def test_the_order_of_rows_changes_nothing():
    inputs = inputs_of([9, 7, 8], {"ant": 4, "bee": 2, "cat": 3})
    order = np.random.default_rng(0).permutation(len(inputs.images))
    shuffled = Inputs(inputs.images.take(order), inputs.excluded, histogram=inputs.histogram.take([2, 0, 1]))
    one, two = (KIND.carve(tables, MatchHistogram(seed=3)) for tables in (inputs, shuffled))
    assert one.split.equals(two.split)
    assert one.left_out.equals(two.left_out)


def test_what_cannot_be_is_refused():
    with pytest.raises(ArgumentError, match=r"match is 'a' and file is 'b.txt': give one of the two"):
        MatchHistogram(match="a", file="b.txt")
    with pytest.raises(ArgumentError, match=r"no histogram to match"):
        plan_match(Counts(["a"], [""], np.ones((1, 1), int)), MatchHistogram())
    with pytest.raises(CurationError, match=r"none of 2 classes has a number in the histogram"):
        plan_match(counts_of([5, 5], [-1, -1]), MatchHistogram())
