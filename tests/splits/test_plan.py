import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ArgumentError, CurationError
from curation.splits.parameters import Parameters
from curation.splits.plan import SPLITS, Infeasible, feasibility, plan, suggest

PUBLISHED = np.tile([520, 480, 300], (1000, 1))


def test_the_published_sizes():
    found = plan(PUBLISHED, Parameters())
    totals = dict(zip(SPLITS, found.counts.sum((1, 2)).tolist(), strict=True))
    assert {k: totals[k] for k in SPLITS[1:]} == {
        "val": 30_000,
        "test_lt": 60_000,
        "test_bl": 60_000,
        "test_bbl": 60_000,
    }
    assert (found.of("test_bl") == [42, 12, 6]).all()
    assert (found.of("test_bbl") == 20).all()
    assert np.bincount(found.frequency).tolist() == [400, 450, 150]
    assert found.of("train")[0].sum() > 20 * found.of("train")[-1].sum() > 0


def test_balanced_classes():
    found = plan(PUBLISHED, Parameters(inter="bl"))
    assert found.of("test_lt").sum() == 0
    assert (found.of("val") == [21, 6, 3]).all()
    assert (found.of("train") == [81, 23, 11]).all()  # 145 = 102 + 29 + 14, none lost to rounding


def test_all_classes_get_what_the_smallest_can_have():
    counts = np.array([[500, 300, 200], [140, 90, 80]])
    found = plan(counts, Parameters(inter="bl"))
    size = found.of("train").sum(1) + found.of("val").sum(1)
    assert size[0] == size[1] == (140 - 20 - 42) * 10 // 7
    relaxed = plan(counts, Parameters(inter="bl", policy="relax_class_balance"))
    assert (relaxed.of("train").sum(1) + relaxed.of("val").sum(1)).tolist() == [145, size[1]]


def test_feasibility_names_each_cell():
    counts = np.array([[500, 300, 200], [70, 60, 30]])
    table = feasibility(counts, Parameters(inter="bl")).to_pylist()
    row = next(r for r in table if r["class_index"] == 1 and r["attribute"] == 2)
    assert (row["have"], row["need"], row["short"]) == (30, 80, 50)  # a quarter of the cell must be 20
    loose = feasibility(counts, Parameters(inter="bl", cap=1.0)).to_pylist()
    row = next(r for r in loose if r["class_index"] == 1 and r["attribute"] == 0)
    assert (row["have"], row["need"], row["short"]) == (70, 20 + 42 + 22, 14)


def test_feasibility_of_the_pool():
    table = feasibility(np.tile([90, 85, 82], (5, 1)), Parameters())
    last = table.to_pylist()[-1]
    assert last["class_index"] is None
    assert last["need"] == 5 * (20 + 10) * 3 + 5
    assert last["short"] == last["need"] - last["have"] > 0


SHORT = np.array([[400, 300, 200], [400, 300, 200], [60, 40, 20]])


def test_policy_error_carves_nothing():
    with pytest.raises(Infeasible, match="1 of 3 classes have too few images") as caught:
        plan(SHORT, Parameters(inter="bl"))
    assert caught.value.table["short"].to_numpy().max() == 60


def test_policy_shrink_keeps_attributes_balanced():
    found = plan(SHORT, Parameters(inter="bl", policy="shrink"))
    assert found.per_cell.tolist() == [20, 20, 5]
    assert (found.of("test_bbl")[2] == 5).all()
    assert found.of("test_bl")[2].sum() == 15
    assert found.of("train").sum(1)[:2].tolist() == [115, 115]


def test_policy_drop_class():
    found = plan(SHORT, Parameters(inter="bl", policy="drop_class"))
    assert found.order.tolist() == [0, 1]
    assert found.dropped.tolist() == [2]
    with pytest.raises(Infeasible, match="would leave 0 of 2 classes"):
        plan(SHORT[[2, 2]], Parameters(inter="bl", policy="drop_class"))


def test_policy_relax_shrinks_only_the_balanced_test():
    counts = np.array([[400, 300, 200], [400, 300, 60]])
    found = plan(counts, Parameters(inter="bl", policy="relax_class_balance"))
    assert found.of("test_bbl").tolist() == [[20] * 3, [15] * 3]
    assert found.of("test_bl").sum(1).tolist() == [60, 60]


def test_order_and_frequency():
    counts = np.array([[200, 190, 180], [300, 290, 280], [250, 240, 230]])
    names = ["ant", "bee", "cat"]
    free = Parameters(per_cell=2, val_per_cell=1, profile="exp", imbalance=4)
    assert plan(counts, free).order.tolist() == [1, 2, 0]
    assert plan(counts, free.replace(order="name")).order.tolist() == [0, 1, 2]
    given_ = free.replace(order="given", class_order=["cat", "ant", "bee"])
    assert plan(counts, given_, names=names).order.tolist() == [2, 0, 1]
    assert sorted(plan(counts, free.replace(order="random")).order.tolist()) == [0, 1, 2]
    with pytest.raises(ArgumentError, match=r"class_order names 1 classes and the data has 3.*'ant'"):
        plan(counts, free.replace(order="given", class_order=["cat"]), names=names)
    assert plan(counts, free.replace(fractions=[0.34, 0.67])).frequency.tolist() == [0, 1, 2]
    train = plan(counts, free).of("train").sum(1)
    by_count = free.replace(frequency="count", thresholds=[float(train[1]), float(train[1])])
    assert plan(counts, by_count).frequency.tolist() == [0, 1, 2]
    custom = free.replace(frequency="custom", custom={"ant": 0, "bee": 2, "cat": 1})
    assert plan(counts, custom, names=names).frequency.tolist() == [2, 1, 0]


def test_listed_sizes():
    counts = np.array([[200, 190, 180], [10, 9, 8], [300, 290, 280]])
    listed = Parameters(per_cell=2, val_per_cell=1, profile="list", sizes=(90, 60, 30), policy="drop_class")
    found = plan(counts[[0, 2, 0]], listed)
    assert found.order.tolist() == [1, 0, 2]
    assert found.asked.tolist() == found.pool.tolist() == [90, 60, 30]
    found = plan(counts, listed.replace(per_cell=3))  # a class keeps its size when another is dropped
    assert (found.order.tolist(), found.dropped.tolist(), found.asked.tolist()) == ([2, 0], [1], [90, 60])
    with pytest.raises(ArgumentError, match="sizes lists 3 and there are 2 classes"):
        plan(counts[:2], listed)
    for parameters, message in (
        ({"profile": "list"}, "profile is 'list' and sizes lists 0"),
        ({"sizes": [9, 0]}, "sizes lists 0, and each must be from 1"),
    ):
        with pytest.raises(ArgumentError, match=message):
            Parameters.from_dict(parameters)


def test_one_class_is_no_long_tail():
    with pytest.raises(CurationError, match="1 classes have images"):
        plan(np.array([[100, 50, 20]]), Parameters())


def test_suggest_is_the_published_size_where_it_fits():
    found = suggest(PUBLISHED)
    assert (found.per_cell, found.val_per_cell, found.policy) == (20, 10, "error")


def test_suggest_for_one_tiny_class_shrinks_that_class():
    counts = np.array([[320, 150, 130], [200, 120, 100], [150, 90, 80], [12, 7, 4]])
    for inter in ("lt", "bl"):
        found = suggest(counts, Parameters(inter=inter))
        assert found.policy == "shrink"
        planned = plan(counts, found)
        assert planned.per_cell[0] >= 5
        assert planned.of("train").sum() >= planned.counts.sum() / 3


counted = st.integers(1, 4).flatmap(
    lambda a: st.lists(st.lists(st.integers(0, 400), min_size=a, max_size=a), min_size=2, max_size=8)
)
parameters = st.builds(
    Parameters,
    inter=st.sampled_from(["lt", "bl"]),
    per_cell=st.integers(1, 25),
    val_per_cell=st.integers(0, 12),
    cap=st.sampled_from([0.1, 0.25, 1.0]),
    profile=st.sampled_from(["imagenet-glt", "pareto", "exp", "step", "balanced", "natural"]),
    order=st.sampled_from(["size", "name", "random"]),
    policy=st.sampled_from(["error", "shrink", "drop_class", "relax_class_balance"]),
    iid=st.sampled_from(["stratified", "uniform"]),
    min_train_per_class=st.integers(0, 5),
    seed=st.integers(0, 3),
)


@settings(max_examples=300, deadline=None)
@given(counted, parameters)
def test_a_plan_adds_up_or_says_what_is_short(counts, p):
    counts = np.array(counts)
    try:
        found = plan(counts, p)
    except Infeasible as error:
        found = error
    if isinstance(found, Infeasible):
        assert p.policy != "error" or found.table["short"].to_numpy().max() > 0
        return
    rows = counts[found.order]
    assert (found.counts >= 0).all()
    assert (found.left >= 0).all()
    assert (found.counts.sum(0) + found.left == rows).all()
    assert sorted([*found.order, *found.dropped]) == list(range(len(counts)))
    assert np.ptp(found.of("test_bbl"), axis=1).max() == 0  # Test-GBL: the same for every attribute
    assert (found.of("test_bbl") <= p.cap * rows + 1e-9).all()
    attributes = counts.shape[1]
    if p.policy in ("error", "drop_class"):
        assert (found.of("test_bbl") == p.per_cell).all()
        assert (found.of("test_bl").sum(1) == p.per_cell * attributes).all()
        drawn = p.inter == "lt"
        assert found.of("test_lt").sum() == drawn * p.per_cell * rows.size
        assert found.of("val").sum() == p.val_per_cell * rows.size
    if p.policy == "error":
        assert feasibility(counts, p)["short"].to_numpy().max() == 0
    if p.iid == "stratified" or p.inter == "bl":
        assert (found.of("train").sum(1) >= p.min_train_per_class).all()


@settings(max_examples=60, deadline=None)
@given(counted, st.sampled_from(["lt", "bl"]))
def test_a_suggestion_without_shrinking_leaves_nothing_short(counts, inter):
    counts = np.array(counts) + 1
    found = suggest(counts, Parameters(inter=inter))
    if found.policy == "error":
        assert feasibility(counts, found)["short"].to_numpy().max() == 0
        plan(counts, found)
