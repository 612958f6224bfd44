from itertools import permutations

import numpy as np
import paired
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.exclusions import EXCLUSIONS
from curation.splits import class_draw, expected_leaks
from curation.splits.carving import Carving
from curation.splits.class_plan import Counts, allot
from curation.splits.expected_leaks import Candidates, locate, made_leaks, pairs_of, planned_leaks, straddling
from curation.splits.inputs import GROUPS, Inputs
from curation.splits.pool import gather
from curation.splits.result import split_table


def inputs_of(classes, sources=None, groups=None):
    count = len(classes)
    images = pa.table(
        {
            "image_id": pa.array(range(count), pa.int32()),
            "root": ["images"] * count,
            "path": [f"{i:04d}.jpg" for i in range(count)],
            "class_name": list(classes),
            "source_split": sources or [""] * count,
        }
    )
    return Inputs(images, EXCLUSIONS.empty_table(), groups=groups)


def candidates(pairs, probability=None, doubted=None):
    a, b = (np.array(side, np.int64) for side in zip(*pairs, strict=True))
    probability = np.ones(len(a)) if probability is None else np.array(probability, np.float64)
    return Candidates(a, b, probability, np.zeros(len(a), bool) if doubted is None else np.array(doubted))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_closed_form_equals_the_count_of_all_draws(data):
    """Two classes of up to five images: every way to deal their images to the splits, each as likely."""
    available = np.array(data.draw(st.lists(st.integers(2, 5), min_size=2, max_size=2)))
    sizes = np.zeros((3, 2), np.int64)
    for label, count in enumerate(available):
        cuts = sorted(data.draw(st.lists(st.integers(0, count), min_size=3, max_size=3)))
        sizes[:, label] = np.diff([0, *cuts])
    left = np.vstack([sizes, available - sizes.sum(0)])
    deals = [set(permutations(np.repeat([0, 1, 2, -1], column).tolist())) for column in left.T]
    same, other = np.zeros((3, 3)), np.zeros((3, 3))
    for first in deals[0]:
        if first[0] >= 0 and first[1] >= 0:
            same[first[0], first[1]] += 1 / len(deals[0])
        for second in deals[1]:
            if first[0] >= 0 and second[0] >= 0:
                other[first[0], second[0]] += 1 / len(deals[0]) / len(deals[1])
    for wanted, pair in ((same, (0, 0)), (other, (0, 1))):
        found = straddling(np.array([pair[0]]), np.array([pair[1]]), np.ones(1), sizes, available)
        assert found == pytest.approx(np.triu(wanted + wanted.T, 1), abs=1e-12)


def test_what_is_expected_is_what_draws_give_on_the_average():
    """400 splits carved with other seeds, val from a source split as it is; the mean within four standard errors."""
    rng = np.random.default_rng(0)
    classes = np.repeat(["a", "b", "c"], [30, 12, 8])
    sources = np.where(np.arange(len(classes)) % 6 == 0, "val", "train").tolist()
    inputs = inputs_of(classes, sources)
    pairs = np.unique(np.sort(rng.integers(0, len(classes), (60, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    found = candidates(pairs, rng.random(len(pairs)), rng.random(len(pairs)) < 0.3)
    pool = gather(inputs)
    p = Carving(val="source:val", test=3)

    def plan(counts, p):
        return allot(counts, p, train=lambda room, order: np.minimum(room, 9))

    counts = Counts.of(pool, inputs)
    expected = planned_leaks(locate(found, pool), counts, plan(counts, p))
    made = [made_leaks(found, class_draw.carve(inputs, p.replace(seed=i), plan=plan).split) for i in range(400)]
    order = [made[0].splits.index(split) for split in expected.splits]
    totals = np.array([leaks.total for leaks in made])
    assert abs(totals.mean() - expected.total) < 4 * totals.std() / np.sqrt(len(totals))
    doubted = np.array([leaks.doubted for leaks in made])
    assert abs(doubted.mean() - expected.doubted) < 4 * doubted.std() / np.sqrt(len(doubted))
    each = np.array([(m.between + m.between.T)[np.ix_(order, order)] for m in made])
    error = each.std(0) / np.sqrt(len(made))
    assert (np.abs(each.mean(0) - expected.between - expected.between.T) <= 4 * error + 1e-9).all()
    assert 0 < expected.doubted < expected.total


def test_a_class_of_one_image_and_images_that_are_not_drawn_leak_nothing():
    one = straddling(
        np.array([0, -1, 1]), np.array([0, 1, -1]), np.ones(3), np.array([[1, 1], [0, 1]]), np.array([1, 2])
    )
    assert one.sum() == 0


def test_leaks_of_a_split_that_is_made():
    columns = {"image_id": np.arange(5), "label": np.zeros(5, np.int64)}
    split = split_table(np.array([0, 0, 1, 1, 2]), ["train", "val", "test"], columns)
    pairs = [(0, 1), (0, 2), (1, 4), (2, 4), (3, 9)]
    found = made_leaks(candidates(pairs, [0.9, 0.5, 0.25, 1, 1], [False, True, False, False, True]), split)
    assert found.total == pytest.approx(1.75)
    assert found.to_dict() == {
        "expected": 1.75,
        "doubted": 0.5,
        "pairs": 5,
        "doubted_pairs": 2,
        "between": {"train": {"val": 0.5, "test": 0.25}, "val": {"test": 1.0}},
    }


def test_pairs_are_read_with_what_people_said(tmp_path):
    rows = [
        (0, 1, {"decision": "candidate", "probability": 0.6}),
        (0, 2, {"decision": "candidate"}),  # without a probability
        (0, 3, {"decision": "different", "probability": 0.1}),
        (1, 2, {"decision": "candidate", "probability": 0.7}),  # people: different
        (1, 3, {"decision": "duplicate", "probability": 0.8}),  # people: unsure
        (2, 3, {"decision": "candidate", "probability": 0.4}),  # people disagree
        (2, 4, {"decision": "candidate", "probability": 0.9}),  # image 4 is excluded
        (5, 6, {"decision": "candidate", "probability": 0.3}),  # in one group
        (5, 7, {"decision": "duplicate"}),
        (6, 7, {"decision": "candidate", "probability": 0.2}),  # people: duplicate
    ]
    workspace = paired.build(tmp_path / "w", 8, rows)
    for subject, verdicts in {
        "1-2": ["different"], "1-3": ["unsure"], "2-3": ["duplicate", "different"], "6-7": ["duplicate"],
        "0-7": ["unsure"],
    }.items():  # fmt: skip
        for reviewer, verdict in zip(("ann", "bob"), verdicts, strict=False):
            paired.say(workspace, "pair", subject, verdict, reviewer=reviewer)
    groups = pa.table({"image_id": [5, 6], "group": [0, 0]}).cast(GROUPS)
    inputs = inputs_of("a" * 8, groups=groups)
    out = pa.table({"image_id": [4], "reason": ["broken"]}).cast(EXCLUSIONS)
    inputs = Inputs(inputs.images, out, groups=groups)
    found = pairs_of(workspace, inputs)
    assert list(zip(found.image_a.tolist(), found.image_b.tolist(), strict=True)) == [
        (0, 1), (0, 2), (0, 7), (1, 3), (2, 3), (5, 7), (6, 7),
    ]  # fmt: skip
    assert found.probability == pytest.approx([0.6, 0, 0, 0.8, 0.4, 1, 1])
    assert found.doubted.tolist() == [False, False, True, True, True, False, False]
    early = pairs_of(workspace, inputs, until=0)
    assert not early.doubted.any()
    assert len(early.image_a) == 7


def test_no_search_no_pairs(tmp_path):
    workspace = paired.build(tmp_path / "w", 3)
    (workspace.path / "duplicates" / "pairs.parquet").unlink()
    inputs = inputs_of("aaa")
    found = pairs_of(workspace, inputs)
    assert len(found.image_a) == 0
    pool = gather(inputs)
    counts = Counts.of(pool, inputs)
    planned = allot(counts, Carving(val=1, test=1))
    assert planned_leaks(locate(found, pool), counts, planned).total == 0


def test_pairs_with_an_image_outside_the_pool_are_not_located():
    inputs = inputs_of("aab")
    pool = gather(Inputs(inputs.images, pa.table({"image_id": [1], "reason": ["x"]}).cast(EXCLUSIONS)))
    assert len(locate(candidates([(0, 1), (0, 2), (0, 99)]), pool).cls) == 1
    assert expected_leaks.locate(candidates([(0, 2)]), pool).other_cls.tolist() == [pool.names.index("b")]
