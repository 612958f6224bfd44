from dataclasses import replace

import numpy as np
import pytest
import tallied
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import CurationError
from curation.splits import class_draw
from curation.splits.carving import Carving
from curation.splits.class_plan import Counts, allot
from curation.splits.pool import gather

SHARES = st.one_of(st.none(), st.sampled_from([0.1, 0.25, 0.4]), st.integers(1, 5))


def carve(inputs, p, **options):
    return class_draw.carve(inputs, p, plan=allot, **options)


def planned(inputs, p):
    return allot(Counts.of(gather(inputs), inputs), p)


@st.composite
def parameters(draw, inputs):
    """Parameters that fit the source splits of inputs."""
    sources = sorted(set(gather(inputs).sources))
    whole = st.sampled_from([f"source:{s}" for s in sources]) if len(sources) > 1 else st.none()
    val, test = draw(st.one_of(SHARES, whole)), draw(st.one_of(SHARES, whole))
    if isinstance(val, str) and val == test:
        test = None
    return Carving(val=val, test=test, policy="shrink", seed=draw(st.integers(0, 3)))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 99))
def test_without_groups_counts_are_those_planned(data, seed):
    inputs = data.draw(tallied.any_inputs())
    if not gather(inputs).names:
        return
    p = data.draw(parameters(inputs))
    found = carve(inputs, p)
    tallied.check(inputs, found)
    assert tallied.counts(found).tolist() == planned(inputs, p).counts.tolist()
    assert tallied.same(carve(tallied.shuffled(inputs, seed), p), found)
    assert found.report["classes"] == sorted(found.report["classes"], key=str.encode)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(0, 99))
def test_no_group_is_on_two_sides(data, seed):
    inputs = data.draw(tallied.any_inputs(grouped=True))
    if not gather(inputs).names:
        return
    p = data.draw(parameters(inputs))
    chooser = data.draw(st.sampled_from(["", "train", "val", "test"]))
    scores = np.random.default_rng(seed).random(len(inputs.images) + 3).round(1)
    options = {"keys": lambda pool, _: scores[pool.image_id], "chooser": chooser} if chooser else {}
    found = carve(inputs, p, **options)
    tallied.check(inputs, found)
    assert tallied.same(carve(tallied.shuffled(inputs, seed), p, **options), found)
    plan, got = planned(inputs, p), tallied.counts(found)
    wanted = plan.counts
    assert (got <= wanted).all()
    cells = [(s["class_name"], s["split"]) for s in found.report["short_cells"]]
    assert len(cells) == len(set(cells))  # each is told once
    told = {(s["class_name"], s["split"]): (s["wanted"], s["has"], class_draw.LOST in s["reason"])
            for s in found.report["short_cells"]}  # fmt: skip
    splits, classes = list(found.report["class_size"]), found.report["classes"]
    assert told == {
        (classes[i], splits[s]): (plan.asked[s, i], got[s, i], got[s, i] < wanted[s, i])
        for s, i in np.argwhere(got < plan.asked)
    }
    out = set(tallied.reasons(found).values())
    if not {class_draw.NO_SIDE, class_draw.WITH_SOURCE} & out:
        assert got.tolist() == wanted.tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(2, 6), max_size=8), st.sampled_from([0.1, 0.25, 3]), st.integers(0, 9))
def test_counts_are_exact_whenever_there_are_enough_images_that_stand_alone(groups, share, seed):
    """Four sides, of which a group fits none only when each has less room than it: fewer than 4 * 5 images."""
    marks = [0] * 40 + [number for number, size in enumerate(groups, 1) for _ in range(size)]
    inputs = tallied.made({"ant": len(marks)}, groups=np.random.default_rng(seed).permutation(marks))
    p = Carving(val=share, test=share, seed=seed)
    found = carve(inputs, p)
    tallied.check(inputs, found)
    assert tallied.counts(found).tolist() == planned(inputs, p).counts.tolist()
    assert found.report["groups"] == {"groups": len(groups), "images": sum(groups), "left_out": 0}
    assert not len(found.left_out)


def test_a_group_across_classes_counts_in_each():
    groups = [1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    inputs = tallied.made({"ant": 8, "bee": 8}, groups=groups)
    for seed in range(5):
        found = carve(inputs, Carving(val=2, test=2, seed=seed))
        tallied.check(inputs, found)
        assert tallied.counts(found).tolist() == [[4, 4], [2, 2], [2, 2]]
        ids = inputs.images["image_id"].to_numpy()[[0, 1, 8, 9, 10]]
        assert set(ids) <= set(tallied.by_split(found)["train"])  # only train has room for three bees


def test_large_groups_are_placed_while_there_is_room():
    inputs = tallied.made({"ant": 10}, groups=[1] * 2 + [2] * 6 + [3] * 2)
    for seed in range(40):  # in some the keys of both small groups are lower
        found = carve(inputs, Carving(val=None, test=4, seed=seed))
        assert tallied.counts(found).tolist() == [[6], [4]]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_groups_are_placed_one_by_one_where_most_of_what_was_promised_is_free(data):
    """Against the rule as one would write it with arrays, group by group."""
    count, labels = data.draw(st.integers(2, 40)), data.draw(st.integers(1, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    sizes, of, sides = rng.integers(2, 5, count), rng.integers(0, labels, 4 * count), rng.integers(0, 30, (3, labels))
    wish = rng.integers(0, 3, 4 * count) if data.draw(st.booleans()) else None
    left, expected, start = sides.copy(), [], 0
    for size in sizes.tolist():
        mine, need = np.unique(of[start : start + size], return_counts=True)
        room = left[:, mine]
        free = np.where((room >= need).all(1), (room / np.maximum(1, sides[:, mine])).min(1), -1.0)
        side = int(free.argmax()) if wish is None or free[wish[start]] < 0 else int(wish[start])
        expected.append(side if free[side] >= 0 else -1)
        if free[side] >= 0:
            left[side, mine] -= need
        start += size
    room = sides.copy()
    assert class_draw._place_groups(of, sizes, room, wish).tolist() == expected
    assert room.tolist() == left.tolist()


def test_a_group_larger_than_any_split_is_left_out():
    inputs = tallied.made({"ant": 12}, groups=[1] * 7 + [0] * 5)
    found = carve(inputs, Carving(val=3, test=3))
    tallied.check(inputs, found)
    assert list(tallied.reasons(found).values()) == [class_draw.NO_SIDE] * 7
    assert found.report["groups"] == {"groups": 1, "images": 7, "left_out": 7}
    assert found.report["funnel"]["left_out"] == {"near duplicates": 7}
    short = [(s["split"], s["wanted"], s["has"]) for s in found.report["short_cells"]]
    assert short == [("train", 6, 0), ("val", 3, 2)]


def test_what_is_near_an_image_of_a_split_that_is_taken_whole_is_left_out():
    groups = [1, 1, 1, 2, 2, 0, 3, 0, 3, 0, 0, 0]
    inputs = tallied.made({"ant": 12}, sources=("train", "val", "test"), groups=groups)
    ids = inputs.images["image_id"].to_numpy()
    found = carve(inputs, Carving(val="source:val", test="source:test"))
    tallied.check(inputs, found)
    out = tallied.reasons(found)
    # Group 1 is in all three, 2 in train and val, 3 in train and test: test is taken first.
    assert out == dict.fromkeys(ids[[0, 1, 3, 6]].tolist(), class_draw.WITH_SOURCE)
    assert tallied.counts(found).tolist() == [[1], [3], [4]]
    assert {(s["split"], s["wanted"], s["has"]) for s in found.report["short_cells"]} == {
        ("train", 4, 1),
        ("val", 4, 3),
    }


def test_groups_of_which_one_image_may_be_used_hold_nothing_back():
    inputs = tallied.made({"ant": 10, "bee": 2}, groups=[1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0], excluded=[0])
    found = carve(inputs, Carving(val=1, test=1, classes=("ant",)))
    tallied.check(inputs, found)
    assert found.report["groups"]["groups"] == 0
    assert tallied.counts(found).tolist() == [[7], [1], [1]]
    assert sorted(tallied.reasons(found).values()) == [class_draw.NOT_ASKED] * 2 + ["excluded by ann: blurred"]


def test_why_images_are_left_out():
    inputs = tallied.made({"ant": 9, "bee": 2}, sources=("a", "b", "c"), excluded=[0])
    found = carve(inputs, Carving(val=1, test="source:c", pool="a", least=1, policy="drop_class"))
    told = {reason.split(":")[0] for reason in tallied.reasons(found).values()}
    assert told == {"excluded by ann", class_draw.OTHER_SOURCE, class_draw.CLASS_DROPPED}
    assert found.report["dropped_classes"] == ["bee"]
    found = class_draw.carve(
        inputs, Carving(val=1, test=None), plan=lambda c, p: allot(c, p, train=lambda room, _: np.ones_like(room))
    )
    assert found.report["funnel"]["left_out"] == {"excluded by ann": 1, "to spare": 6}
    assert found.report["short_cells"] == []


def test_a_class_is_drawn_alike_whatever_the_others_are():
    def drawn(inputs):
        path = dict(zip(*(inputs.images[c].to_pylist() for c in ("image_id", "path")), strict=True))
        found = tallied.by_split(carve(inputs, Carving(val=3, test=3)))
        return {s: sorted(path[i] for i in ids if path[i].startswith("bee")) for s, ids in found.items()}

    assert drawn(tallied.made({"bee": 20})) == drawn(tallied.made({"ant": 9, "bee": 20, "cow": 7}))


def test_low_keys_are_taken_first():
    inputs = tallied.made({"ant": 10, "bee": 6})
    place = {image: i for i, image in enumerate(gather(inputs).image_id.tolist())}
    found = carve(inputs, Carving(val=1, test=2), keys=lambda pool, _: np.arange(len(pool.cls))[::-1])
    taken = {split: [place[i] for i in ids] for split, ids in tallied.by_split(found).items()}
    assert sorted(taken["test"]) == [8, 9, 14, 15]
    assert sorted(taken["val"]) == [7, 13]


def test_only_the_chooser_takes_by_keys():
    inputs = tallied.made({"ant": 60})
    place = {image: i for i, image in enumerate(gather(inputs).image_id.tolist())}

    def plan(counts, p):
        first = ("test", "val") if p.test is None or p.val else ("test",)
        return allot(counts, p, train=lambda room, _: np.full_like(room, 10), first=first)

    def taken(chooser, **settings):
        options = {"keys": lambda pool, _: np.arange(len(pool.cls), dtype=float), "chooser": chooser}
        found = class_draw.carve(inputs, Carving(**settings), plan=plan, **options)
        return {split: sorted(place[i] for i in ids) for split, ids in tallied.by_split(found).items()}

    by_train = taken("train", val=10, test=10)
    left = [i for i in range(60) if i not in by_train["val"] + by_train["test"]]
    assert by_train["train"] == left[:10]
    assert by_train["test"] != list(range(10))
    random = class_draw.carve(inputs, Carving(val=10, test=10), plan=plan)
    assert sorted(place[i] for i in tallied.by_split(random)["test"]) == by_train["test"]
    by_test = taken("test", val=10, test=10)
    assert by_test["test"] == list(range(10))
    assert by_test["train"] != list(range(10, 20))


def test_a_chooser_needs_a_key_of_every_image_that_it_may_take():
    inputs = tallied.made({"ant": 10})
    keys = {"keys": lambda pool, _: np.where(np.arange(10) < 3, np.nan, 1.0), "chooser": "train"}
    with pytest.raises(CurationError, match=r"3 of 10 images have no score.*make the split again"):
        carve(inputs, Carving(val=None, test=None), **keys)


def test_a_group_is_chosen_by_its_best_image():
    groups = [0] * 30
    groups[3] = groups[20] = groups[25] = 1
    groups[21] = groups[22] = groups[27] = groups[28] = 2
    inputs = tallied.made({"ant": 30}, groups=groups)
    pool = gather(inputs)
    place = {image: i for i, image in enumerate(pool.image_id.tolist())}

    def plan(counts, p):
        return allot(counts, p, train=lambda room, _: np.full_like(room, 8), first=("train",))

    found = class_draw.carve(
        inputs, Carving(val=5, test=5), plan=plan, keys=lambda pool, _: np.arange(30.0), chooser="train"
    )
    tallied.check(inputs, found)
    assert sorted(place[i] for i in tallied.by_split(found)["train"]) == [0, 1, 2, 3, 4, 5, 20, 25]


def test_there_is_nothing_to_split():
    with pytest.raises(CurationError, match="0 images may be used: all are excluded, broken or gone"):
        carve(tallied.made({"ant": 2}, excluded=[0, 1]), Carving())


def test_the_extra_tables_do_not_change_a_draw():
    inputs = tallied.made({"ant": 12})
    with_groups = replace(inputs, groups=tallied.made({"ant": 12}, groups=[0] * 12).groups)
    assert carve(inputs, Carving()).split.equals(carve(with_groups, Carving()).split)
