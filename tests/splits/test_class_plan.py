import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ArgumentError, CurationError
from curation.splits.carving import Carving
from curation.splits.class_plan import TooFew, allot, frequency, label_order, room, share
from curation.splits.counts import Counts

SHARES = st.one_of(st.none(), st.sampled_from([0, 0.1, 0.25, 0.45, "source:val", "source:test"]), st.integers(1, 9))


def counts_of(**sizes):
    """Counts of classes without source splits."""
    return Counts(list(sizes), [""], np.array(list(sizes.values()), np.int64)[:, None])


def some_counts(sizes, sources=("", "test", "val")):
    sizes = np.array(sizes, np.int64)
    return Counts([f"c{i:02d}" for i in range(len(sizes))], list(sources), sizes)


def allotted(counts, p):
    """The plan, or None when all classes are too small."""
    try:
        return allot(counts, p)
    except CurationError:
        return None


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3).filter(any), min_size=1, max_size=5),
    SHARES,
    SHARES,
    st.sampled_from(["shrink", "drop_class"]),
    st.integers(0, 5),
)
def test_no_more_is_planned_than_there_is(sizes, val, test, policy, least):
    if isinstance(val, str) and val == test:
        return
    counts = some_counts(sizes)
    planned = allotted(counts, Carving(val=val, test=test, policy=policy, least=least))
    if planned is None:
        assert policy == "drop_class"
        return
    inside = counts.available[:, [counts.sources.index(s) for s in planned.pool]].sum(1)[planned.order]
    drawn = [i for i, split in enumerate(planned.splits) if split not in planned.whole]
    assert (planned.counts >= 0).all()
    assert (planned.counts[drawn].sum(0) <= inside).all()
    assert (planned.counts <= planned.asked).all()
    assert (planned.available <= counts.available[planned.order].sum(1)).all()
    for split, source in planned.whole.items():
        assert (planned.of(split) == counts.available[planned.order, counts.sources.index(source)]).all()
    train = planned.of("train")
    assert (train >= np.minimum(least, inside)).all()  # the least of train comes before val and test
    told = {(s.class_name, s.split): (s.wanted, s.has) for s in planned.shortfalls}
    short = {
        (counts.names[planned.order[i]], planned.splits[s]): (planned.asked[s, i], planned.counts[s, i])
        for s, i in np.argwhere(planned.counts < planned.asked)
    }
    assert told == short
    rows = np.r_[planned.order, planned.dropped, planned.unwanted]
    assert sorted(rows.tolist()) == list(range(len(sizes)))
    if policy == "drop_class":
        assert not short
        assert (train >= least).all()


def test_shares_counts_and_source_splits():
    has = np.array([1, 5, 15, 1000])
    assert share(0.1, has).tolist() == [0, 1, 2, 100]  # halves up
    assert share(3, has).tolist() == [3, 3, 3, 3]
    assert share(1.0, has).tolist() == [1, 1, 1, 1]
    for value in (None, 0, "source:val"):
        assert share(value, has).tolist() == [0, 0, 0, 0]


def test_train_gets_what_val_and_test_leave():
    planned = allot(counts_of(ant=10, bee=25), Carving(val=0.2, test=3))
    assert planned.splits == ("train", "val", "test")
    assert planned.carving == ("test", "val", "train")
    assert planned.counts.tolist() == [[5, 17], [2, 5], [3, 3]]
    assert planned.of("test_bbl").tolist() == [0, 0]


def test_splits_that_take_nothing_are_not_there():
    assert allot(counts_of(ant=10), Carving(val=0, test=None)).splits == ("train",)
    assert allot(counts_of(ant=10), Carving(val=None, test=0.01)).splits == ("train", "test")


def test_source_splits_that_are_taken_whole():
    counts = some_counts([[10, 4, 0], [20, 0, 2]])
    planned = allot(counts, Carving(val="source:val", test="source:test"))
    assert planned.pool == ("",)
    assert planned.counts.tolist() == [[10, 20], [0, 2], [4, 0]]
    assert planned.available.tolist() == [14, 22]
    planned = allot(counts, Carving(val=None, test=2, pool=""))
    assert planned.pool == ("", "test", "val")
    assert planned.counts.tolist() == [[12, 20], [2, 2]]
    assert allot(counts, Carving(val=1, test="source:test", pool="", policy="shrink")).pool == ("", "val")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"val": "source:va"}, "there is no source split 'va' among 3: there is test, val"),
        ({"pool": "dev"}, "there is no source split 'dev' among 3"),
        ({"val": "source:val", "pool": "val"}, "pool is 'val', and a split takes all of it"),
        ({"classes": ["c00", "dodo", "emu"]}, "2 of 3 classes have no images that may be used, such as 'dodo'"),
    ],
)
def test_names_that_are_not_there(parameters, message):
    with pytest.raises(ArgumentError, match=message):
        allot(some_counts([[9, 9, 9]]), Carving.from_dict(parameters))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"val": 0.5, "test": 0.5}, "val and test are 0.5 and 0.5: together they must be below 1"),
        ({"val": "source:x", "test": "source:x"}, "val and test are both 'source:x'"),
        ({"val": "val"}, "val is 'val': give a share below 1"),
        ({"classes": ["a", "b", "a"]}, "classes lists 'a' 2 times"),
        ({"order": "given"}, "order is 'given' and classes lists 0"),
        ({"fractions": [0.9, 0.2]}, "must rise"),
        ({"thresholds": [1.0]}, "thresholds has 1 entries, and must have 2"),
        ({"thresholds": [20, 100]}, "first must not be below"),
        ({"policy": "hope"}, "policy is 'hope': choose one of error, shrink, drop_class"),
        ({"least": -1}, "least is -1, and must be at least 0"),
    ],
)
def test_parameters_that_cannot_be(parameters, message):
    with pytest.raises(ArgumentError, match=message):
        Carving.from_dict(parameters)


def test_classes_that_are_too_small():
    counts = counts_of(ant=10, bee=3, cat=1)
    asked = Carving(val=1, test=2)
    with pytest.raises(TooFew, match=r"2 classes have too few images: class 'cat' has 0 for test and needs 2") as error:
        allot(counts, asked)
    assert {s.class_name for s in error.value.plan.shortfalls} == {"bee", "cat"}
    shrunk = allot(counts, asked.replace(policy="shrink"))
    assert shrunk.counts.tolist() == [[7, 1, 1], [1, 1, 0], [2, 1, 0]]
    assert [(s.class_name, s.split, s.wanted, s.has) for s in shrunk.shortfalls] == [
        ("cat", "val", 1, 0), ("bee", "test", 2, 1), ("cat", "test", 2, 0)
    ]  # fmt: skip
    dropped = allot(counts, asked.replace(policy="drop_class"))
    assert (dropped.order.tolist(), dropped.dropped.tolist()) == ([0], [1, 2])
    with pytest.raises(CurationError, match="all of 3 classes are too small"):
        allot(counts, asked.replace(policy="drop_class", least=100))


def test_a_class_whose_only_image_val_would_round_up_to():
    counts = counts_of(ant=1, bee=10)
    with pytest.raises(TooFew, match="1 classes have too few images: class 'ant' has 0 for val and needs 1"):
        allot(counts, Carving(val=0.5, test=None))
    assert allot(counts, Carving(val=0.5, test=None, policy="shrink")).counts.tolist() == [[1, 5], [0, 5]]


def test_without_images():
    with pytest.raises(CurationError, match="0 images may be used"):
        allot(counts_of(), Carving())


def test_training_images_that_are_wanted():
    def wanted(room, order):
        return np.array([8, 4, 2])[order]

    counts = counts_of(ant=10, bee=10, cat=10)
    planned = allot(counts, Carving(val=1, test=1, classes=("cat", "ant"), order="given"), train=wanted)
    assert planned.of("train").tolist() == [2, 8]
    assert planned.unwanted.tolist() == [1]
    with pytest.raises(TooFew, match="class 'ant' has 6 for train and needs 8"):
        allot(counts, Carving(val=2, test=2), train=wanted)
    shrunk = allot(counts, Carving(val=2, test=2, policy="shrink"), train=wanted)
    assert shrunk.of("train").tolist() == [6, 4, 2]
    assert allot(counts, Carving(val=2, test=2, policy="drop_class"), train=wanted).dropped.tolist() == [0]


def test_room_that_val_and_test_leave():
    counts = some_counts([[10, 4, 1], [20, 0, 2]])
    assert room(counts, Carving(val=2, test="source:test")).tolist() == [9, 20]
    assert room(counts, Carving(val=0.5, test=30, pool="test")).tolist() == [0, 0]


def test_sizes_of_all_three():
    def sizes(has, order):
        return np.stack([np.array([4, 4])[order], has * 0, has - 4])

    planned = allot(counts_of(ant=9, bee=6), Carving(val=None, test=None), sizes=sizes, first=("train",))
    assert planned.splits == ("train", "test")
    assert planned.carving == ("train", "test")
    assert planned.counts.tolist() == [[4, 4], [5, 2]]
    dropped = allot(counts_of(ant=9, bee=3), Carving(val=None, test=None, policy="drop_class"), sizes=sizes)
    assert dropped.dropped.tolist() == [1]


def test_orders_of_labels():
    counts = counts_of(ant=1, bee=9, cat=5, dog=9)
    for order, expected in (("name", [0, 1, 2, 3]), ("size", [1, 3, 2, 0])):
        assert label_order(counts, Carving(order=order)).tolist() == expected
    listed = ("dog", "ant")
    assert label_order(counts, Carving(order="given", classes=listed)).tolist() == [3, 0]
    assert label_order(counts, Carving(classes=listed)).tolist() == [0, 3]


def test_head_medium_and_tail():
    train = np.array([101, 100, 20, 19, 0])
    assert frequency(train, Carving()).tolist() == [0, 1, 1, 2, 2]
    by_rank = Carving(frequency="rank", fractions=(0.4, 0.8))
    assert frequency(np.array([5, 9, 7, 9, 1]), by_rank).tolist() == [1, 0, 1, 0, 2]
