import json

import clustered
import numpy as np
import pyarrow as pa
import pytest
from attributed import NOBODY, make, matrix

from curation.errors import ArgumentError, CurationError
from curation.exclusions import EXCLUSIONS
from curation.splits import class_draw, kinds, recipes
from curation.splits.class_plan import Counts
from curation.splits.inputs import GROUPS, Inputs
from curation.splits.multi_attribute import KIND, plan
from curation.splits.pool import gather
from curation.workspace import SPLIT

# Class sizes of COCO-Attributes (Patterson and Hays, ECCV 2016), by rank.
COCO = {
    "person": 65000, "car": 7666, "truck": 5654, "motorcycle": 5524, "sheep": 5428, "horse": 5323, "cow": 5183,
    "broccoli": 5074, "elephant": 4973, "dog": 4969, "giraffe": 4889, "pizza": 4851, "bus": 4808, "zebra": 4788,
    "cat": 4773, "cake": 4701, "banana": 4649, "bird": 4578, "train": 4337, "donut": 4164, "boat": 3949,
    "airplane": 3648, "sandwich": 3636, "bicycle": 3368, "orange": 3305, "carrot": 3043, "apple": 2821,
    "hot dog": 1966, "bear": 1358,
}  # fmt: skip
SMALL = KIND.settings(test=10, val=5, imbalance=4.0)


THREE = {"ant": 200, "bee": 120, "cat": 90}
HAS = matrix(THREE, 12)


# -- the published sizes ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coco():
    return make(COCO, matrix(COCO, 204, mean=8.0))


def test_published_sizes_of_the_long_tail(coco):
    result = KIND.carve(coco, KIND.settings())
    report = result.report
    assert report["classes"] == list(COCO)
    assert report["funnel"]["splits"] == {
        "train": 144_573, "val": 2_900, "test_lt": 5_800, "test_bl": 5_800, "test_bbl": 5_800,
    }  # fmt: skip
    assert len(result.split) == 164_873
    table = result.split.to_pandas()
    assert table.groupby("label")["frequency"].first().value_counts(sort=False).tolist() == [11, 12, 6]
    pool = table[table["split"].isin(["train", "val", "test_lt"])]
    assert len(pool) == 153_273
    assert pool["label"].value_counts().loc[[0, 28]].tolist() == [64_600, 323]
    assert report["attribute_std"]["test_bbl"] < report["attribute_std"]["test_bl"] - 0.001
    assert report["images_without_attributes"] == 188_426 - len(np.unique(coco.attributes["image_id"]))


def test_published_sizes_of_balanced_classes(coco):
    result = KIND.carve(coco, KIND.settings(inter="bl"))
    assert result.report["funnel"]["splits"] == {
        "train": 32_132, "val": 1_450, "test_lt": 0, "test_bl": 2_900, "test_bbl": 2_900,
    }  # fmt: skip
    assert len(result.split) == 39_382
    train = result.split.to_pandas().query("split == 'train'")["label"].value_counts()
    assert set(train) == {1_158 - 50}
    assert result.report["attribute_std"]["test_lt"] is None
    assert result.report["attribute_std"]["test_bbl"] < result.report["attribute_std"]["test_bl"] - 0.001


def test_a_plan_needs_counts_alone():
    counts = Counts(list(COCO), [""], np.array(list(COCO.values()))[:, None])
    found = plan(counts, KIND.settings())
    assert found.counts.sum(1).tolist() == [144_573, 2_900, 5_800, 5_800, 5_800]
    for inter, chain in (("lt", [182_626, 176_826, 153_273, 147_473, 144_573]),
                         ("bl", [185_526, 182_626, 33_582, 33_582, 32_132])):  # fmt: skip
        of = {s: int(plan(counts, KIND.settings(inter=inter)).of(s).sum()) for s in found.splits}
        left = 188_426 - of["test_bbl"], 188_426 - of["test_bbl"] - of["test_bl"]
        sized = of["train"] + of["val"] + of["test_lt"]
        assert [*left, sized, sized - of["test_lt"], of["train"]] == chain
    balanced = plan(counts, KIND.settings(inter="bl"))
    rest = counts.available[balanced.order, 0] - balanced.of("test_bbl") - balanced.of("test_bl")
    assert (rest.max(), rest.min()) == (64_800, 1_158)
    assert (found.of("val") + found.of("test_lt"))[[0, -1]].tolist() == [3_667, 18]  # in proportion to 64,600 and 323
    uniform = plan(counts, KIND.settings(iid="uniform"))
    assert uniform.counts.sum(1).tolist() == [144_573, 2_900, 5_800, 5_800, 5_800]
    assert (uniform.of("val") != found.of("val")).any()


# -- carving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("iid", ["stratified", "uniform"])
@pytest.mark.parametrize("inter", ["lt", "bl"])
def test_every_image_is_in_a_split_or_listed_as_planned(inter, iid):
    inputs, p = make(THREE, HAS), SMALL.replace(inter=inter, iid=iid)
    result = KIND.carve(inputs, p)
    assert result.split.schema.equals(SPLIT)
    seen = [*result.split["image_id"].to_pylist(), *result.left_out["image_id"].to_pylist()]
    assert sorted(seen) == list(range(len(HAS)))
    pool = gather(inputs)
    planned = plan(Counts.of(pool, inputs), p)
    table = result.split.to_pandas()
    for split in planned.splits:
        labels = table.loc[table["split"] == split, "label"]
        assert np.bincount(labels, minlength=3).tolist() == planned.of(split).tolist(), split
    even = table.loc[table["split"] == "test_bbl", "image_id"].to_numpy()
    assert HAS[even].any(1).all()
    counted = HAS[even].sum(0)
    assert result.report["attribute_counts"]["test_bbl"] == counted.tolist()
    assert result.report["attribute_std"]["test_bbl"] == pytest.approx(np.std(counted / counted.sum(), ddof=1))
    json.dumps(result.report)


def test_the_order_of_rows_changes_nothing_and_the_seed_does():
    first = KIND.carve(make(THREE, HAS), SMALL)
    again = KIND.carve(make(THREE, HAS, shuffle=1), SMALL)
    assert again.split.equals(first.split)
    assert again.left_out.equals(first.left_out)
    assert again.report == first.report
    assert not KIND.carve(make(THREE, HAS), SMALL.replace(seed=26)).split.equals(first.split)


def test_ranks_are_thirds_by_how_usual_attributes_are_in_train():
    """Against a literal reckoning of the published rule."""
    result = KIND.carve(make(THREE, HAS), SMALL)
    table = result.split.to_pandas()
    train = table[table["split"] == "train"]
    usual = {c: HAS[train.loc[train["label"] == c, "image_id"]].sum(0) for c in range(3)}
    for _, part in table.groupby("split", observed=True):
        scores = [
            usual[row.label][HAS[row.image_id]].sum() / (usual[row.label].sum() * max(1, HAS[row.image_id].sum()))
            for row in part.itertuples()
        ]
        falling = sorted(scores, reverse=True)
        high, mid = falling[len(part) // 3], falling[len(part) // 3 * 2]
        assert part["attribute"].tolist() == [0 if s > high else 1 if s > mid else 2 for s in scores]
    assert result.report["attributes"] == 3
    without = KIND.carve(make(THREE, HAS), SMALL.replace(rank_attributes=False))
    assert without.split["attribute"].null_count == len(without.split)
    assert without.split.drop("attribute").equals(result.split.drop("attribute"))


def test_excluded_images_are_nowhere_and_images_without_attributes_not_in_the_even_test():
    has = HAS.copy()
    has[205:300] = False  # bees: 25 keep theirs
    inputs = make(THREE, has)
    out = pa.table({"image_id": [0, 1], "reason": ["excluded by ann", "broken"]}, schema=EXCLUSIONS)
    result = KIND.carve(Inputs(inputs.images, out, attributes=inputs.attributes), SMALL)
    assert result.report["funnel"]["left_out"]["excluded by ann"] == 1
    assert not np.isin([0, 1], result.split["image_id"].to_numpy()).any()
    table = result.split.to_pandas()
    assert has[table.loc[table["split"] == "test_bbl", "image_id"]].any(1).all()
    assert not has[table.loc[table["split"] == "test_bl", "image_id"]].any(1).all()


def test_a_class_that_is_too_small():
    has = HAS.copy()
    has[320:] = False
    has[320:326, 0] = True  # of 90 cats 6 have an attribute
    inputs = make(THREE | {"dog": 12}, np.vstack([has, np.ones((12, 12), bool)]))
    with pytest.raises(CurationError) as error:
        KIND.carve(inputs, SMALL)
    assert "class 'cat' has 6 images with an attribute and needs 10" in str(error.value)
    assert "class 'dog' has 12 images and needs 21" in str(error.value)
    assert "Set test=5 and val=2 (instead of 10 and 5), or policy=shrink or drop_class" in str(error.value)
    fit = KIND.fitted(inputs, SMALL)
    assert (fit.test, fit.val, fit.policy) == (5, 2, "error")
    assert KIND.carve(inputs, fit).report["funnel"]["splits"]["test_bbl"] == 20
    shrunk = KIND.carve(inputs, SMALL.replace(policy="shrink")).report
    assert shrunk["funnel"]["splits"]["test_bbl"] == shrunk["funnel"]["splits"]["test_bl"] == 10 + 10 + 6 + 5
    assert {(s["class_name"], s["wanted"], s["has"]) for s in shrunk["short_cells"] if s["split"] == "test_bl"} == {
        ("cat", 10, 6), ("dog", 10, 5),
    }  # fmt: skip
    assert {(s["split"], s["wanted"], s["has"]) for s in shrunk["short_cells"] if s["class_name"] == "all classes"} == {
        ("test_lt", 40, 31), ("val", 20, 15),
    }  # fmt: skip
    dropped = KIND.carve(inputs, SMALL.replace(policy="drop_class", inter="bl"))
    assert dropped.report["dropped_classes"] == ["cat", "dog"]
    assert dropped.report["funnel"]["left_out"][class_draw.CLASS_DROPPED] == 102


def test_a_class_without_any_attribute_and_tests_too_large():
    has = HAS.copy()
    has[200:320] = False
    with pytest.raises(CurationError, match=r"class 'bee' has 0 images with an attribute and needs 10.*Set policy="):
        KIND.carve(make(THREE, has), SMALL)
    with pytest.raises(CurationError, match=r"Test-GLT and Val want 180 images, and the pool of train has 159 above"):
        KIND.carve(make(THREE, HAS), SMALL.replace(test=20, val=40, imbalance=1e6))
    fit = KIND.fitted(make(THREE, HAS), SMALL.replace(test=20, val=40, imbalance=1e6))
    sizes = KIND.carve(make(THREE, HAS), fit).report["funnel"]["splits"]
    assert sizes["test_bbl"] == 3 * fit.test
    larger = KIND.carve(make(THREE, HAS), fit.replace(test=fit.test + 1, val=2 * fit.test + 2))
    for found, enough in ((sizes, True), (larger.report["funnel"]["splits"], False)):
        assert (found["train"] >= found["test_bbl"] + found["test_bl"] + found["test_lt"]) == enough
    with pytest.raises(CurationError, match=r"class 'cat' has 90 images and needs 10,001"):
        KIND.carve(make(THREE, HAS), SMALL.replace(test=5_000))


def test_what_fits_leaves_train_more_than_the_tests():
    """Ten classes of about 180, as scikit-learn's digits: 200 test images a class would leave train next to nothing."""
    counts = Counts([f"{i}" for i in range(10)], [""], np.array([[178, 182, 177, 183, 181, 182, 181, 179, 174, 180]]).T)
    for inter in ("lt", "bl"):
        found = plan(counts, KIND.suggest(counts, KIND.settings(inter=inter)))
        assert found.of("train").sum() >= sum(found.of(s).sum() for s in ("test_lt", "test_bl", "test_bbl"))
    tiny = Counts(["a", "b"], [""], np.array([[5], [4]]))
    assert KIND.suggest(tiny, KIND.settings(inter="bl")).sizes() == (1, 0)  # one of each is the least there is
    assert KIND.suggest(Counts(["a"], [""], np.array([[2]])), KIND.settings()).policy == "shrink"


def test_what_else_it_takes():
    inputs = make(THREE, HAS)
    with pytest.raises(ArgumentError, match="set attributes=FILE"):
        KIND.carve(Inputs(inputs.images, NOBODY), SMALL)
    groups = pa.table({"image_id": [], "group": []}, schema=GROUPS)
    with pytest.raises(ArgumentError, match="set duplicates=decided"):
        KIND.carve(Inputs(inputs.images, NOBODY, attributes=inputs.attributes, groups=groups), SMALL)
    with pytest.raises(ArgumentError, match=r"inter is 'both': choose one of lt, bl"):
        KIND.settings(inter="both")
    with pytest.raises(ArgumentError, match=r"fractions are \[0.8, 0.2\]"):
        KIND.settings(fractions=(0.8, 0.2))


def test_a_stored_split_is_made_again_from_its_own_tables(tmp_path, monkeypatch):
    monkeypatch.setitem(kinds.RECIPES, KIND.name, KIND)
    workspace = clustered.build(tmp_path)
    rng = np.random.default_rng(0)
    lines = [f"{i},{word}" for i in range(300) for word in ("=big", "<b>red</b>", "wet") if rng.random() < 0.5]
    table = tmp_path / "attributes.csv"
    table.write_text("image_id,attribute\n" + "\n".join(lines) + "\n")
    recipes.make(workspace, recipe="glt-multi", name="one", parameters={"fit": True, "attributes": str(table)})
    table.unlink()
    recipe, split, report = recipes.load(workspace, "one")
    assert recipe["parameters"]["attributes"] == "attributes.csv"
    assert report["attribute_names"] == ["<b>red</b>", "=big", "wet"]
    assert "attributes" in recipe["inputs"]
    again = recipes.run(recipe, recipes.inputs.stored(workspace, "one", recipe))
    assert again.split.equals(split)
    assert again.report == report
