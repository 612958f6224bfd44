from dataclasses import replace

import numpy as np
import paired
import pytest
import tallied

from curation import arrays
from curation.errors import ArgumentError, CurationError
from curation.splits import recipes
from curation.splits.chosen import DIVERSE, HARD, TYPICAL, Chosen, Diverse, Hard
from curation.splits.class_draw import NO_SIDE
from curation.splits.even import STRATIFIED
from curation.splits.inputs import SCORES, stored

KINDS = (DIVERSE, HARD, TYPICAL)
SIZES = {"ant": 30, "bee": 50}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """80 images of two classes whose ids are not in the order of paths; pairs join some of them."""
    names = [name for name, size in SIZES.items() for _ in range(size)]
    order = np.random.default_rng(5).permutation(80)
    names = [names[i] for i in order]
    columns = {"class_name": names, "path": [f"{name}/{i:03d}.jpg" for i, name in zip(order, names, strict=True)]}
    found = paired.build(tmp_path_factory.mktemp("chosen") / "w", 80, [(0, 1), (1, 2), (5, 9), (20, 30)], **columns)
    arrays.write_features(found, "f", np.random.default_rng(2).normal(1, 1, (80, 5)).astype(np.float32))
    return found


def carve(workspace, kind, *, duplicates="ignore", **parameters):
    p = kind.settings.from_dict(parameters)
    inputs = tallied.complete(workspace, kind, p, duplicates=duplicates)
    found = kind.carve(inputs, p)
    tallied.check(inputs, found)
    return inputs, found


def naive(workspace, ids, kind, count):
    """The images that come first, by a plain loop over one class."""
    paths = workspace.images(["path"])["path"].to_pylist()
    ids = sorted(ids, key=lambda i: paths[i])
    points = arrays.Features(workspace, "f").rows(ids).astype(float)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    far = np.linalg.norm(points - points.mean(0), axis=1)
    if kind is not DIVERSE:
        order = np.argsort(far if kind is TYPICAL else -far)
        return {ids[i] for i in order[:count]}
    chosen = [int(far.argmin())]
    while len(chosen) < count:
        nearest = np.linalg.norm(points[:, None] - points[None, chosen], axis=2).min(1)
        chosen.append(int(nearest.argmax()))
    return {ids[i] for i in chosen}


def of_class(workspace, name):
    return {i for i, other in enumerate(workspace.images(["class_name"])["class_name"].to_pylist()) if other == name}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_train_chooses_from_what_val_and_test_leave(workspace, kind):
    _, found = carve(workspace, kind, train=0.3, val=0.2, test=0.2)
    taken = tallied.by_split(found)
    assert {split: len(ids) for split, ids in taken.items()} == {"train": 24, "val": 16, "test": 16}
    held = set(taken["val"]) | set(taken["test"])
    for name, count in (("ant", 9), ("bee", 15)):
        rest = of_class(workspace, name) - held
        assert set(taken["train"]) & of_class(workspace, name) == naive(workspace, rest, kind, count)


def test_val_and_test_are_as_random_as_those_of_other_recipes(workspace):
    plain = tallied.by_split(carve(workspace, STRATIFIED, val=0.2, test=0.2)[1])
    for kind in KINDS:
        taken = tallied.by_split(carve(workspace, kind, val=0.2, test=0.2)[1])
        assert (taken["val"], taken["test"]) == (plain["val"], plain["test"])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("chooser", ["val", "test"])
def test_a_test_set_that_chooses_is_first(workspace, kind, chooser):
    parameters = {"train": None, "val": 3, "test": 4, "choose_for": chooser}
    _, found = carve(workspace, kind, **parameters)
    taken = tallied.by_split(found)
    for name in SIZES:
        mine = of_class(workspace, name)
        assert set(taken[chooser]) & mine == naive(workspace, mine, kind, parameters[chooser])
    assert len(taken["train"]) == 80 - 2 * 7
    again = tallied.by_split(carve(workspace, kind, **parameters, seed=1)[1])
    other = "val" if chooser == "test" else "test"
    assert again[chooser] == taken[chooser]
    assert again[other] != taken[other]


def test_a_larger_core_set_holds_the_smaller_one(workspace):
    small, large = (set(tallied.by_split(carve(workspace, DIVERSE, train=n)[1])["train"]) for n in (5, 9))
    assert small < large


def test_near_duplicates_are_on_one_side_and_go_by_their_best_image(workspace):
    inputs, found = carve(workspace, HARD, duplicates="together", train=8, val=None, test=5, choose_for="train")
    assert len(inputs.groups) == 7
    assert tallied.counts(found).sum(1).tolist() == [16, 10]
    assert NO_SIDE not in tallied.reasons(found).values()
    score = dict(zip(*(inputs.scores[c].to_pylist() for c in SCORES.names), strict=True))
    group = dict(zip(*(inputs.groups[c].to_pylist() for c in ("image_id", "group")), strict=True))
    alone = [score[i] for i in tallied.by_split(found)["train"] if i not in group]
    assert max(alone) < 11  # of ranks in classes of 25 and 45


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_order_of_rows_does_not_matter(workspace, kind):
    p = kind.settings(train=10)
    inputs = tallied.complete(workspace, kind, p, duplicates="together")
    mixed = tallied.shuffled(inputs, 3)
    assert tallied.same(kind.carve(mixed, p), kind.carve(inputs, p))
    assert kind.tables(workspace, p, mixed)["scores"].equals(inputs.scores)
    assert inputs.scores.schema.equals(SCORES)


def test_excluded_images_are_neither_centres_nor_chosen(workspace, tmp_path):
    """What is excluded is not counted to the class centre: scores are those of a workspace without it."""
    p = Hard(train=5, val=None, test=None)
    inputs = tallied.complete(workspace, HARD, p)
    out = inputs.excluded["image_id"].to_pylist()
    assert out
    assert not set(out) & set(inputs.scores["image_id"].to_pylist())
    taken = tallied.by_split(HARD.carve(inputs, p))["train"]
    left = of_class(workspace, "ant") - set(out)
    assert set(taken) & of_class(workspace, "ant") == naive(workspace, left, HARD, 5)


def test_images_without_a_feature_are_taken_last(tmp_path):
    workspace = paired.build(tmp_path / "w", 10, source_split=["test"] * 3 + ["train"] * 7)
    values = np.random.default_rng(2).normal(1, 1, (10, 5)).astype(np.float32)
    values[4] = np.nan
    arrays.write_features(workspace, "f", values)
    inputs, found = carve(workspace, HARD, train=6, val=None, test="source:test")
    assert inputs.scores["image_id"].to_pylist() == [3, 4, 5, 6, 7, 8, 9]
    assert tallied.by_split(found) == {"train": [3, 5, 6, 7, 8, 9], "test": [0, 1, 2]}


def test_a_split_that_is_stored_is_made_again(workspace):
    summary = recipes.make(workspace, recipe="diverse", name="core", parameters={"train": 4}, duplicates="together")
    assert summary["splits"] == {"train": 8, "val": 8, "test": 8}
    recipe, table, _ = recipes.load(workspace, "core")
    inputs = stored(workspace, "core", recipe)
    assert list(inputs.tables()) == ["images", "excluded", "groups", "scores"]
    assert recipes.run(recipe, inputs).split.equals(table)


def test_scores_of_other_parameters_are_told(workspace):
    p = Diverse(train=5)
    inputs = tallied.complete(workspace, DIVERSE, p)
    with pytest.raises(CurationError, match=r"\d+ of 60 images have no score.*make the split again"):
        DIVERSE.carve(inputs, p.replace(seed=1))
    with pytest.raises(ArgumentError, match="recipe 'diverse' has 0 scores"):
        DIVERSE.carve(replace(inputs, scores=None), p)


def test_which_features(workspace, tmp_path):
    with pytest.raises(ArgumentError, match=r"there are no features 'g': the workspace has 1 \(f\)"):
        tallied.complete(workspace, HARD, Hard(features="g"))
    bare = paired.build(tmp_path / "w", 4)
    with pytest.raises(ArgumentError, match=r"which features to use: the workspace has 0 \(run `extract` first\)"):
        tallied.complete(bare, HARD, Hard())
    arrays.write_features(bare, "a", np.ones((4, 2), np.float32))
    arrays.write_features(bare, "b", np.ones((4, 2), np.float32))
    with pytest.raises(ArgumentError, match=r"the workspace has 2 \(a, b\)"):
        tallied.complete(bare, HARD, Hard())
    assert len(tallied.complete(bare, HARD, Hard(features="b")).scores) == 4


def test_features_that_are_corrupted(tmp_path):
    workspace = paired.build(tmp_path / "w", 8)
    arrays.write_features(workspace, "f", np.ones((8, 2), np.float32))
    np.save(workspace.path / "features" / "f" / "00000.npy", np.zeros((8, 2), np.float32))
    with pytest.raises(CurationError, match="is corrupted"):
        tallied.complete(workspace, HARD, Hard())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"metric": "manhattan"}, "metric is 'manhattan': choose one of cosine, euclidean"),
        ({"choose_for": "dev"}, "choose_for is 'dev': choose one of train, val, test"),
        ({"choose_for": "val", "val": None}, "choose_for is 'val', and val is None: give it a share or a number"),
        ({"choose_for": "test", "test": "source:test"}, "choose_for is 'test', and test is 'source:test'"),
        ({"train": 0.9}, "together 1.1, and 1 is all"),
    ],
)
def test_parameters_that_cannot_be(parameters, message):
    with pytest.raises(ArgumentError, match=message):
        Chosen.from_dict(parameters)


def test_a_class_with_too_few_images(workspace):
    with pytest.raises(CurationError, match=r"class 'ant' has \d+ for train and needs 40"):
        carve(workspace, HARD, train=40)
    _, found = carve(workspace, HARD, train=40, policy="drop_class", val=None, test=2)
    assert found.report["dropped_classes"] == ["ant"]
    assert set(found.split["label"].to_pylist()) == {0}
