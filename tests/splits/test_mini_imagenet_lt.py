import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.exclusions import EXCLUSIONS
from curation.splits import class_names, mini_imagenet_lt
from curation.splits.class_plan import Counts
from curation.splits.inputs import IMAGE_COLUMNS, Inputs
from curation.splits.mini_imagenet_lt import KIND, published
from curation.splits.parameters import Parameters
from curation.splits.presets import PRESETS
from curation.splits.trim_tail import TrimTail
from curation.workspace import CLASSES, Workspace


def counts(sizes):
    names = sorted(sizes)
    return Counts(names, [""], np.array([[sizes[name]] for name in names]))


def typed(**parameters):
    return KIND.settings.from_dict(parameters)


def inputs(sizes, order=None):
    rows = [(name, f"{name}/{name}{i:08d}.jpg") for name, count in sizes.items() for i in range(count)]
    columns = [np.arange(len(rows), dtype=np.int32), ["r"] * len(rows), [p for _, p in rows], [n for n, _ in rows]]
    table = pa.table([*columns, [""] * len(rows)], names=IMAGE_COLUMNS)
    return Inputs(table if order is None else table.take(order), EXCLUSIONS.empty_table())


def test_the_published_sizes():
    planned = KIND.plan(counts(dict.fromkeys([*published(), "n99999999"], 600)), typed(sizes="published"))
    assert PRESETS["mini-imagenet-lt-published"].parameters == {"sizes": "published"}
    train = planned.of("train")
    assert (len(train), train.sum(), train.min(), train.max()) == (100, 23_192, 12, 479)
    assert np.bincount(planned.frequency).tolist() == [79, 17, 4]
    assert (train.mean(), np.median(train)) == (231.92, 239.5)
    assert planned.of("val").tolist() == planned.of("test").tolist() == [60] * 100
    assert (480 - train).sum() == 24_808  # what was generated
    names = sorted([*published(), "n99999999"])
    labels = [names[row] for row in planned.order]
    assert [labels[i] for i in (0, 1, 2, 99)] == ["n04522168", "n04275548", "n03272010", "n04067472"]
    assert (train[0], train[99]) == (147, 161)
    assert [names[row] for row in planned.unwanted] == ["n99999999"]


def test_published_sizes_of_other_classes():
    few = dict.fromkeys(list(published())[:3], 600)
    with pytest.raises(ArgumentError, match=r"97 of 100 have no images that may be used, such as 'n03773504'"):
        KIND.plan(counts(few), typed(sizes="published"))
    planned = KIND.plan(counts(few), typed(sizes="published", classes=["n03272010", "n04522168"], order="given"))
    assert planned.of("train").tolist() == [82, 147]
    with pytest.raises(ArgumentError, match=r"1 of the classes listed are not among them, such as 'ant'"):
        KIND.plan(counts(few | {"ant": 600}), typed(sizes="published", classes=["ant"]))


def test_published_sizes_of_classes_that_are_not_called_by_their_wnid(tmp_path):
    (tmp_path / "pictures").mkdir()
    workspace = Workspace.create(tmp_path / "w", roots={"r": tmp_path / "pictures"})
    called = {wnid: f"class {i}" for i, wnid in enumerate(published())}
    table = {"class_name": list(called.values()), "wnid": list(called), "images": [600] * 100}
    table |= {"lemmas": [""] * 100, "definition": [""] * 100}
    files.write_table(workspace.path / "classes.parquet", pa.table(table).select(CLASSES.names).cast(CLASSES))
    there = counts(dict.fromkeys(called.values(), 600))
    asked = class_names.named(workspace, typed(sizes="published"))
    planned = KIND.plan(there, typed(**asked.to_dict()))
    assert [there.names[row] for row in planned.order] == list(called.values())
    assert planned.of("train").tolist() == list(published().values())
    few = class_names.named(workspace, typed(sizes="published", classes=["n04275548", "class 0"], order="given"))
    assert few.classes == ("class 1", "class 0")
    assert KIND.plan(there, few).of("train").tolist() == [106, 147]
    assert class_names.named(workspace, typed()) == typed()
    assert class_names.named(workspace, TrimTail(base="b", drop=("n04275548",))).drop == ("class 1",)
    assert class_names.named(workspace, Parameters(order="given", class_order=("n04522168",))).class_order == (
        "class 0",
    )


def test_a_class_that_is_dropped_leaves_the_others_their_sizes():
    sizes = {"a": 600, "b": 20, "c": 600}
    asked = KIND.plan(counts(sizes), typed(policy="shrink", low=100)).asked[0]
    found = KIND.plan(counts(sizes), typed(policy="drop_class", low=100))
    assert found.dropped.tolist() == [1]
    assert found.of("train").tolist() == asked[[0, 2]].tolist()


def test_drawn_sizes_depend_on_the_class_and_the_seed_alone():
    many = {f"k{i:03d}": 600 for i in range(300)}
    train = KIND.plan(counts(many), typed()).of("train")
    assert (train >= 10).all()
    assert (train <= 480).all()
    assert abs(train.mean() - 245) < 4 * 136 / 300**0.5
    assert abs(np.corrcoef(train, np.arange(300))[0, 1]) < 0.2
    fewer = dict.fromkeys(list(many)[::3], 600)
    assert KIND.plan(counts(fewer), typed()).of("train").tolist() == train[::3].tolist()
    assert KIND.plan(counts(many), typed(seed=1)).of("train").tolist() != train.tolist()


@pytest.mark.parametrize("size", [*range(3, 24), 600, 1300])
def test_a_tenth_by_largest_remainders(size):
    """No class is more than one image off its share, and each has one for val and test."""
    planned = KIND.plan(counts({"a": size}), typed(low=1, high=1))
    val, test = planned.of("val")[0], planned.of("test")[0]
    assert 0 <= val - test <= 1
    assert val == max(1, val)
    assert test == max(1, test)
    exact = size / 10
    assert abs(val - exact) < 1 or val == 1
    assert size < 6 or size - val - test >= np.floor(0.8 * size)


def test_a_class_with_fewer_candidates_than_asked():
    there = counts({"a": 600, "b": 100, "c": 60})
    for policy, message in (
        ("error", r"2 classes have too few images: class 'c' has 48 for train and needs 300"),
        ("drop_class", ""),
    ):
        asked = typed(low=300, high=300, policy=policy)
        if message:
            with pytest.raises(CurationError, match=message):
                KIND.plan(there, asked)
        else:
            planned = KIND.plan(there, asked)
            assert (planned.order.tolist(), planned.dropped.tolist()) == ([0], [1, 2])
            assert planned.of("train").tolist() == [300]
    shrunk = KIND.plan(there, typed(low=300, high=300, policy="shrink"))
    assert shrunk.of("train").tolist() == [300, 80, 48]
    assert [(s.class_name, s.wanted, s.has) for s in shrunk.shortfalls] == [("b", 300, 80), ("c", 300, 48)]
    with pytest.raises(ArgumentError, match="low is 9 and high 5: swap them"):
        typed(low=9, high=5)


def test_carved_as_planned_whatever_the_order_of_rows():
    sizes = {"n01": 60, "n02": 45, "n03": 52}
    asked = typed(low=5, high=30, seed=3)
    result = KIND.carve(inputs(sizes), asked)
    planned = KIND.plan(counts(sizes), asked)
    for split in ("train", "val", "test"):
        labels = result.split.filter(pc.equal(result.split["split"], split))["label"].to_numpy()
        assert np.bincount(labels, minlength=3).tolist() == planned.of(split).tolist()
    ids = [*result.split["image_id"].to_pylist(), *result.left_out["image_id"].to_pylist()]
    assert sorted(ids) == list(range(157))
    assert set(result.left_out["reason"].to_pylist()) == {"to spare: more than the recipe asks of its class"}
    shuffled = np.random.default_rng(1).permutation(157)
    assert KIND.carve(inputs(sizes, shuffled), asked).split.equals(result.split)


def test_sizes_that_fit_the_data():
    there = inputs({"a": 60, "b": 20})
    fit = mini_imagenet_lt.fitted(there, typed())
    assert (fit.low, fit.high) == (10, 16)
    assert KIND.carve(there, fit).report["short_cells"] == []
