import json

import numpy as np
import paired
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ArgumentError, CurationError
from curation.exclusions import EXCLUSIONS
from curation.splits import compare, histograms, kinds, match_histogram, recipes, trim_tail
from curation.splits.class_plan import Counts
from curation.splits.inputs import BASE, GROUPS, Inputs
from curation.splits.trim_tail import KIND, TrimTail, plan_trim

SIZES = {"ant": 6, "bee": 3, "cat": 9, "dog": 3}
"""Training images of each class in the base; each has two of val and one that the base leaves out."""


def counts_of(train, **others):
    names = [f"n{i:04d}" for i in range(len(train))]
    base = {name: np.array(sizes) for name, sizes in {"train": train, **others}.items()}
    return Counts(names, [""], np.array(train)[:, None], base)


@pytest.fixture(scope="module")
def inputs():
    rows = [
        (name, split)
        for name, size in SIZES.items()
        for split in ["train"] * size + ["val"] * 2 + [""]
    ]  # fmt: skip
    names, splits = zip(*rows, strict=True)
    images = pa.table(
        {
            "image_id": pa.array(range(len(rows)), pa.int32()),
            "root": ["images"] * len(rows),
            "path": [f"{i:04d}.jpg" for i in range(len(rows))],
            "class_name": list(names),
            "source_split": [""] * len(rows),
        }
    )
    ids = sorted((i for i, split in enumerate(splits) if split), key=lambda i: (splits[i], i))
    base = pa.table({"image_id": ids, "split": [splits[i] for i in ids]}).cast(BASE)
    classes = pa.table({"class_name": ["dog", "cat", "bee", "ant"]})
    return Inputs(images, EXCLUSIONS.empty_table(), base=base, class_metadata=classes)


def trimmed(inputs, **parameters):
    found = KIND.carve(inputs, KIND.settings(**{"at_least": 0, **parameters}))
    report, table = found.report, found.split.to_pandas()
    assert len(table) + len(found.left_out) == report["funnel"]["images"] == len(inputs.images)
    assert not set(table["image_id"]) & set(found.left_out["image_id"].to_pylist())
    before = dict(zip(*(inputs.base[c].to_pylist() for c in BASE.names), strict=True))
    assert all(before[i] == split for i, split in zip(table["image_id"], table["split"], strict=True))
    return found, sizes_of(found)


def sizes_of(found):
    """{split: {class: images}}, with the classes that have labels and no images."""
    table, classes = found.split.to_pandas(), found.report["classes"]
    return {
        split: {name: int(((table["split"] == split) & (table["label"] == i)).sum()) for i, name in enumerate(classes)}
        for split in ("train", "val")
    }


def test_published_sizes_of_trimmed_caption_sets(shared_data):
    """Tail-trimmed ImageNet-Captions: the `last` smallest classes keep `most` images each."""
    folder = shared_data / "captions"
    counts = histograms.read(folder / "meta" / "freqs" / "class_frequency_incaps_imagenet_ori.txt").images
    wanted = json.loads((folder / "golden" / "expected_numbers.json").read_text())["trim_tail_rows"]
    found = {}
    for key in wanted:
        last, most = key.removeprefix("lastk").split("_ceil")
        p = TrimTail(at_least=0, keep=1000 - int(last), tail_images=int(most))
        found[key] = int(plan_trim(counts_of(counts), p, rows=np.arange(1000)).of("train").sum())
    assert len(found) == 12
    assert found == wanted


def test_classes_below_a_size_leave_every_split(inputs):
    found, sizes = trimmed(inputs, at_least=4)
    assert found.report["classes"] == ["cat", "ant"]
    assert sizes == {"train": {"cat": 9, "ant": 6}, "val": {"cat": 2, "ant": 2}}
    assert found.report["dropped_classes"] == ["bee", "dog"]
    assert found.report["cut_classes"] == ["dog", "bee"]
    assert found.report["funnel"]["left_out"] == {"not in the split that is trimmed": 4, "tail cut": 10}
    assert "tail cut: class 'bee'" in found.left_out["reason"].to_pylist()


def test_only_train_may_lose_them_and_labels_may_stay(inputs):
    found, sizes = trimmed(inputs, at_least=4, cut_in="train")
    assert sizes["train"] == {"dog": 0, "cat": 9, "bee": 0, "ant": 6}
    assert sizes["val"] == {"dog": 2, "cat": 2, "bee": 2, "ant": 2}
    assert found.report["dropped_classes"] == []
    found, sizes = trimmed(inputs, at_least=4, labels="keep")
    assert found.report["classes"] == ["dog", "cat", "bee", "ant"]
    assert sizes["train"] == {"dog": 0, "cat": 9, "bee": 0, "ant": 6}
    assert found.report["dropped_classes"] == ["bee", "dog"]
    assert sorted(set(found.split["label"].to_pylist())) == [1, 3]


@pytest.mark.parametrize(
    ("parameters", "classes"),
    [
        ({"keep": 3}, ["cat", "bee", "ant"]),  # of bee and dog, bee is the first in byte order
        ({"keep": 0.5}, ["cat", "ant"]),
        ({"keep": 0.74, "drop": ("cat",)}, ["bee", "ant"]),
        ({"drop": ("ant", "dog")}, ["cat", "bee"]),
        ({"keep": 99}, ["dog", "cat", "bee", "ant"]),
        ({"keep": 2, "at_least": 7}, ["cat"]),
    ],
)
def test_which_classes_stay(inputs, parameters, classes):
    assert trimmed(inputs, **parameters)[0].report["classes"] == classes


def test_bounds_are_nested_and_drawn_by_seed(inputs):
    drawn = {most: trimmed(inputs, at_most=most)[0].split for most in (2, 4, 5)}
    ids = {most: set(table["image_id"].to_pylist()) for most, table in drawn.items()}
    assert ids[2] < ids[4] < ids[5]
    assert trimmed(inputs, at_most=4)[1]["train"] == {"dog": 3, "cat": 4, "bee": 3, "ant": 4}
    assert trimmed(inputs, at_most=4)[1]["val"] == {"dog": 2, "cat": 2, "bee": 2, "ant": 2}
    assert trimmed(inputs, at_most=2)[0].report["funnel"]["left_out"]["to spare"] == 13
    other = {tuple(trimmed(inputs, at_most=2, seed=seed)[0].split["image_id"].to_pylist()) for seed in range(4)}
    assert len(other) == 4
    found, sizes = trimmed(inputs, at_least=4, tail_images=1, at_most=7)
    assert sizes["train"] == {"dog": 1, "cat": 7, "bee": 1, "ant": 6}
    assert found.report["cut_classes"] == ["dog", "bee"]
    assert found.report["funnel"]["left_out"] == {"not in the split that is trimmed": 4, "tail cut": 4, "to spare": 2}


def test_images_that_were_excluded_since_are_left_out_and_counted(inputs):
    train = inputs.base.to_pandas().query("split == 'train'")["image_id"].to_numpy()
    names = inputs.images["class_name"].to_numpy()
    out = train[names[train] == "bee"]
    gone = pa.table({"image_id": out, "reason": ["broken"] * 3}).cast(EXCLUSIONS)
    less = Inputs(inputs.images, gone, base=inputs.base, class_metadata=inputs.class_metadata)
    found, sizes = trimmed(less, at_least=1)
    assert found.report["base"] == {"images": 29, "excluded_since": 3, "labels": "compact"}
    assert "bee" not in sizes["train"]
    everything = pa.table({"image_id": np.flatnonzero(names == "bee"), "reason": ["x"] * 6}).cast(EXCLUSIONS)
    none = Inputs(inputs.images, everything, base=inputs.base, class_metadata=inputs.class_metadata)
    kept, sizes = trimmed(none, labels="keep", keep=0.5)
    assert kept.report["classes"] == ["dog", "cat", "bee", "ant"]
    assert sizes["train"] == {"dog": 0, "cat": 9, "bee": 0, "ant": 6}  # half of the three classes that are left


def test_of_near_duplicates_on_two_sides_those_of_the_last_split_stay(inputs):
    base = inputs.base.to_pandas()
    train, val = (base.loc[base["split"] == split, "image_id"].tolist() for split in ("train", "val"))
    groups = pa.table({"image_id": [train[0], train[1], val[0], train[4], train[5]], "group": [0, 0, 0, 1, 1]})
    more = Inputs(inputs.images, inputs.excluded, base=inputs.base, groups=groups.cast(GROUPS))
    found, _ = trimmed(more)
    ids = set(found.split["image_id"].to_pylist())
    assert ids == set(base["image_id"]) - {train[0], train[1]}
    assert found.report["funnel"]["left_out"]["near duplicate"] == 2


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(inputs, random):
    order = list(range(len(inputs.images)))
    random.shuffle(order)
    shuffled = Inputs(
        inputs.images.take(order), inputs.excluded, base=inputs.base, class_metadata=inputs.class_metadata
    )
    found, wanted = (trimmed(tables, at_most=2, at_least=4, tail_images=1)[0] for tables in (shuffled, inputs))
    assert found.split.equals(wanted.split)
    assert found.left_out.equals(wanted.left_out)
    assert found.report == wanted.report


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"drop": ("emu", "ant")}, r"1 of 2 classes to cut are none of the split's 4, such as 'emu'"),
        ({"at_least": 10}, r"all of 4 classes are cut: lower at_least \(10\), or keep more"),
        ({"keep": 1.5}, r"keep is 1.5: give a share below 1, or a whole number of classes"),
        ({"thresholds": (1.0, 20.0)}, r"thresholds are \[1.0, 20.0\]: the first must not be below the second"),
    ],
)
def test_what_cannot_be_is_refused(inputs, parameters, message):
    with pytest.raises(CurationError, match=message):
        trimmed(inputs, **parameters)


def test_a_split_without_train_cannot_be_trimmed():
    with pytest.raises(ArgumentError, match=r"has 1 splits and none is 'train': \['val'\]"):
        plan_trim(Counts(["a"], [""], np.ones((1, 1), int), {"val": np.ones(1, int)}), TrimTail())
    with pytest.raises(ArgumentError, match=r"no split to trim is named"):
        KIND.carve(Inputs(pa.table({}), EXCLUSIONS.empty_table()), TrimTail())


def test_from_a_frequency_file_to_a_trimmed_split_and_back(tmp_path, monkeypatch):
    """A split of a file's sizes is stored, trimmed, and drawn once more; each again from its recipe."""
    for kind in (KIND, match_histogram.KIND):
        monkeypatch.setitem(kinds.RECIPES, kind.name, kind)
    names = np.repeat(["ant", "bee", "cat"], [30, 20, 10]).tolist()
    workspace = paired.build(tmp_path / "w", 60, class_name=names)
    (tmp_path / "sizes.txt").write_text("bee\t12\ncat\t2\nant\t20\n")
    asked = {"file": str(tmp_path / "sizes.txt"), "val": 3, "test": None}
    recipes.make(workspace, recipe="match-histogram", name="first", parameters=asked)
    recipes.make(workspace, recipe="trim-tail", name="head", parameters={"base": "first", "at_least": 5})
    one, two = recipes.load(workspace, "first"), recipes.load(workspace, "head")
    assert one[0]["parameters"]["file"] == "sizes.txt"
    assert two[2]["classes"] == ["ant", "bee"]
    found = compare.compare(one, two)
    assert found.histograms["train"].tolist() == [[20, 12, 2], [20, 12, 0]]
    assert (found.added, found.dropped, found.kept) == (0, 5, 38)
    recipes.make(workspace, recipe="match-histogram", name="again", parameters={"match": "head", "val": 3})
    assert histograms.of_split(workspace, "again").images.tolist() == [20, 12]
    for name in ("first", "head", "again"):
        recipe, table, report = recipes.load(workspace, name)
        result = recipes.run(recipe, recipes.inputs.stored(workspace, name, recipe))
        assert result.split.equals(table)
        assert result.report == report
    with pytest.raises(ArgumentError, match=r"there is no split 'none'"):
        recipes.make(workspace, recipe="trim-tail", name="x", parameters={"base": "none"})
    with pytest.raises(ArgumentError, match=r"no split to trim is named"):
        recipes.make(workspace, recipe="trim-tail", name="x")
    with pytest.raises(ArgumentError, match=r"split 'first' has no 'test': it has train, val"):
        recipes.make(workspace, recipe="match-histogram", name="x", parameters={"match": "first", "match_part": "test"})
    assert trim_tail.NOT_IN_BASE in recipes.load(workspace, "head")[2]["funnel"]["left_out"]
