import dataclasses

import numpy as np
import pytest
import tallied
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ArgumentError, CurationError
from curation.splits.class_plan import Counts, TooFew
from curation.splits.even import BALANCED, K_SHOT, STRATIFIED, Balanced, KShot, Stratified, shares
from curation.splits.kind import Kind

KINDS = (STRATIFIED, BALANCED, K_SHOT)
HAS = st.lists(st.integers(1, 60), min_size=1, max_size=12).map(np.array)
SHARE = st.sampled_from([0.05, 0.1, 1 / 3, 0.2, 0.45])


def counts_of(**sizes):
    return Counts(list(sizes), [""], np.array(list(sizes.values()), np.int64)[:, None])


def planned(kind: Kind, counts: Counts, **parameters):
    found = kind.plan(counts, kind.settings.from_dict(parameters))
    return {split: found.of(split).tolist() for split in found.splits}


@settings(max_examples=100, deadline=None)
@given(HAS, SHARE, SHARE, st.sampled_from([None, 0.1]))
def test_totals_of_shares_are_exact(has, val, test, train):
    found = shares(train, val, test, has, 1)
    assert (found[0] >= 1).all()
    assert (found >= 0).all()
    assert (found.sum(0) <= has).all()
    held = int(has.sum() * val + 0.5) + int(has.sum() * test + 0.5)
    assert found[1:].sum() == min(held, (has - 1).sum())
    if held <= (has - 1).sum():
        assert found[1:].sum(1).tolist() == [int(has.sum() * v + 0.5) for v in (val, test)]
    assert train or (found.sum(0) == has).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(20, 90), min_size=1, max_size=12).map(np.array), SHARE, SHARE)
def test_no_class_is_far_from_its_share(has, val, test):
    train, *tests = shares(None, val, test, has, 1)
    for got, share in ((tests[0], val), (train, 1 - val - test), (tests[0] + tests[1], val + test)):
        assert (abs(got - share * has) < 1.0001).all()
    assert (abs(tests[1] - test * has) < 2).all()


def test_classes_of_one_size_give_alike_to_val_and_test_together():
    """1.5 images each for val and for test: whom val takes two of gives test one."""
    train, val, test = shares(None, 0.1, 0.1, np.full(10, 15), 1)
    assert train.tolist() == [12] * 10
    assert sorted(val.tolist()) == [1] * 5 + [2] * 5
    assert (val + test).tolist() == [3] * 10
    by_class = shares(None, 0.1, 0.1, np.full(10, 15), 1, exact=False)
    assert by_class.tolist() == [[11] * 10, [2] * 10, [2] * 10]


def test_counts_are_as_they_are():
    assert shares(5, 3, 0.1, np.array([20, 40]), 1).tolist() == [[5, 5], [3, 3], [2, 4]]
    assert shares(None, 9, None, np.array([4, 40]), 1).tolist() == [[1, 31], [9, 9], [0, 0]]
    assert shares(0.5, "source:val", 0.5, np.array([4, 40]), 1).tolist() == [[2, 20], [0, 0], [2, 20]]


def test_stratified():
    counts = counts_of(ant=100, bee=33, cat=7)
    assert planned(STRATIFIED, counts, val=0.1, test=0.1) == {
        "train": [80, 26, 6], "val": [10, 3, 1], "test": [10, 4, 0]
    }  # fmt: skip
    assert planned(STRATIFIED, counts, val=0.1, test=0.1, rounding="class") == {
        "train": [80, 27, 5], "val": [10, 3, 1], "test": [10, 3, 1]
    }  # fmt: skip
    assert planned(STRATIFIED, counts, val=None, test=5, train=0.1) == {"train": [10, 3, 1], "test": [5, 5, 5]}
    with pytest.raises(TooFew, match="class 'cat' has 5 for train and needs 30"):
        planned(STRATIFIED, counts, val=None, test=2, train=30)
    found = STRATIFIED.plan(counts, Stratified(val=None, test=2, train=30, policy="drop_class"))
    assert found.dropped.tolist() == [2]
    assert found.of("train").tolist() == [30, 30]


def test_the_smallest_classes_stay_in_train():
    assert planned(STRATIFIED, counts_of(ant=1, bee=1, cat=40), val=0.4, test=0.4) == {
        "train": [1, 1, 6], "val": [0, 0, 17], "test": [0, 0, 17]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"train": 0.9}, "train, val and test are 0.9, 0.1 and 0.1: together 1.1, and 1 is all"),
        ({"train": "source:train"}, "train is 'source:train': .*set pool"),
        ({"train": 2.5}, "train is 2.5: give a share"),
        ({"rounding": "up"}, "rounding is 'up': choose one of total, class"),
    ],
)
def test_stratified_settings(parameters, message):
    with pytest.raises(ArgumentError, match=message):
        Stratified.from_dict(parameters)
    assert Stratified.from_dict({"train": 0.8}).train == 0.8


def test_balanced():
    counts = counts_of(ant=100, bee=40, cat=20)
    assert planned(BALANCED, counts) == {"train": [16] * 3, "val": [2] * 3, "test": [2] * 3}
    assert planned(BALANCED, counts, val=3, test=None) == {"train": [17] * 3, "val": [3] * 3}
    assert planned(BALANCED, counts, size=10) == {"train": [10] * 3, "val": [2] * 3, "test": [2] * 3}
    with pytest.raises(TooFew, match="class 'cat' has 20 for train and needs 30"):
        planned(BALANCED, counts, size=30)
    shrunk = planned(BALANCED, counts, size=30, policy="shrink", test=None, val=2)
    assert shrunk == {"train": [30, 30, 20], "val": [2, 2, 0]}


def test_balanced_without_the_classes_that_are_too_small():
    counts = counts_of(ant=100, bee=40, cat=20)
    found = BALANCED.plan(counts, Balanced(size=30, policy="drop_class"))
    assert found.dropped.tolist() == [2]
    # The shares are of the smallest class that stays.
    assert found.counts.tolist() == [[30, 30], [4, 4], [4, 4]]
    found = BALANCED.plan(counts, Balanced(least=25, policy="drop_class"))
    assert (found.dropped.tolist(), found.counts.tolist()) == ([2], [[32, 32], [4, 4], [4, 4]])
    with pytest.raises(TooFew, match="class 'cat' has 20 for train and needs 32"):
        BALANCED.plan(counts, Balanced(least=25))


@settings(max_examples=40, deadline=None)
@given(HAS, SHARE, st.one_of(st.none(), st.integers(1, 3)))
def test_balanced_is_balanced(has, val, test):
    counts = Counts([f"{i:02d}" for i in range(len(has))], [""], has[:, None])
    p = Balanced(val=val, test=test, policy="drop_class")
    least = 1 + (test or 0) + np.floor(val * has + 0.5)
    if (has < least).all():
        with pytest.raises(CurationError, match="classes are too small"):
            BALANCED.plan(counts, p)
        return
    found = BALANCED.plan(counts, p)
    for split in found.splits:
        assert len(set(found.of(split).tolist())) == 1
    kept = has[found.order]
    assert found.counts[:, 0].sum() == kept.min()  # the smallest class is used up


def test_k_shot():
    counts = counts_of(ant=100, bee=40, cat=6)
    assert planned(K_SHOT, counts) == {"train": [5] * 3, "test": [95, 35, 1]}
    assert planned(K_SHOT, counts, k=1, val=1, test=4) == {"train": [1] * 3, "val": [1] * 3, "test": [4] * 3}
    assert planned(K_SHOT, counts, k=2, rest="spare") == {"train": [2] * 3}
    assert planned(K_SHOT, counts, k=2, test=0) == {"train": [2] * 3, "test": [98, 38, 4]}
    with pytest.raises(TooFew, match=r"1 classes have too few images: class 'cat' has 6 for train and needs 16"):
        planned(K_SHOT, counts, k=16)
    assert planned(K_SHOT, counts, k=5, test=3, policy="shrink") == {"train": [5] * 3, "test": [3, 3, 1]}
    found = K_SHOT.plan(counts, KShot(k=5, test=3, policy="drop_class"))
    assert found.dropped.tolist() == [2]


def test_k_shot_has_no_least_but_k():
    with pytest.raises(ArgumentError, match="least is 9 and k 5: every class has k training images"):
        KShot(least=9)
    assert KShot(least=0).replace(k=1).least == 0
    assert not next(f for f in dataclasses.fields(KShot) if f.name == "least").metadata["label"]


def test_k_shot_of_a_published_test_split():
    counts = Counts(["ant", "bee"], ["test", "train"], np.array([[4, 30], [6, 20]]))
    assert planned(K_SHOT, counts, k=4, test="source:test") == {"train": [4, 4], "test": [4, 6]}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_split_with_near_duplicates_whatever_the_order_of_rows(kind):
    groups = np.random.default_rng(3).integers(0, 12, 80)
    inputs = tallied.made({"ant": 40, "bee": 25, "cat": 15}, groups=groups * (groups < 5), excluded=[3])
    p = kind.settings.from_dict({"policy": "shrink"})
    found = kind.carve(inputs, p)
    tallied.check(inputs, found)
    assert found.report["kind"] == kind.name == kind.settings.KIND
    assert tallied.same(kind.carve(tallied.shuffled(inputs, 1), p), found)
    assert not found.split.equals(kind.carve(inputs, p.replace(seed=26)).split)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_pages_can_draw_the_settings(kind):
    usual = kind.settings()
    assert kind.settings.from_dict(usual.to_dict()) == usual
    assert kind.title
    assert kind.about
