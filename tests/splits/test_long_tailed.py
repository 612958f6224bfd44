import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ArgumentError, CurationError
from curation.exclusions import EXCLUSIONS
from curation.splits import profiles
from curation.splits.class_plan import Counts
from curation.splits.inputs import GROUPS, Inputs
from curation.splits.long_tailed import KIND, PROFILES
from curation.splits.presets import PRESETS

rng = np.random.default_rng(0)
# Class sizes like those of ILSVRC 2012: most of 1,300 images, the smallest of 732.
ILSVRC = np.r_[np.full(895, 1300), rng.integers(733, 1300, 104), 732][rng.permutation(1000)]


def counts(sizes, **sources):
    """Counts of classes c0000, c0001, … with `sizes` in train and so many in each other source split."""
    columns = {"train": np.asarray(sizes), **{name: np.full(len(sizes), n) for name, n in sources.items()}}
    names = sorted(columns)
    return Counts([f"c{i:04d}" for i in range(len(sizes))], names, np.stack([columns[n] for n in names], axis=1))


def plan(there, parameters, **more):
    return KIND.plan(there, KIND.settings.from_dict({**parameters, **more}))


def groups(planned):
    return np.bincount(planned.frequency, minlength=3).tolist()


def test_imagenet_lt():
    there = counts(ILSVRC, val=50)
    planned = plan(there, PRESETS["imagenet-lt"].parameters)
    train = planned.of("train")
    assert (train.sum(), planned.of("val").sum(), planned.of("test").sum()) == (115_846, 20_000, 50_000)
    assert planned.shortfalls == []
    text = ",".join(map(str, sorted(train.tolist(), reverse=True)))
    assert hashlib.sha256(text.encode()).hexdigest().startswith("2d32e9530b62")
    assert groups(planned) == [385, 479, 136]
    assert train[ILSVRC == 1300].min() >= train[ILSVRC < 1300].max()  # the largest class the largest
    assert groups(plan(there, PRESETS["imagenet-lt"].parameters, thresholds=[99, 21])) == [391, 463, 146]


def test_imagenet_lt_by_chance_is_capped_by_what_there_is():
    there = counts(ILSVRC, val=50)
    planned = plan(there, PRESETS["imagenet-lt"].parameters, sizes_by="random", seed=4)
    asked, got, room = planned.asked[0], planned.of("train"), ILSVRC - 20
    assert sorted(asked.tolist()) == sorted(profiles.imagenet_lt().tolist())
    assert (got == np.minimum(asked, room)).all()
    assert abs(np.corrcoef(asked, ILSVRC)[0, 1]) < 0.1
    planned = plan(counts(np.full(1000, 300), val=50), PRESETS["imagenet-lt"].parameters)
    short = {s.class_name: (s.wanted, s.has) for s in planned.shortfalls}
    assert len(short) == (profiles.imagenet_lt() > 280).sum()
    assert short["c0000"] == (1280, 280)


def test_places_lt():
    planned = plan(counts(np.full(365, 5000), val=100), PRESETS["places-lt"].parameters)
    assert [planned.of(s).sum() for s in ("train", "val", "test")] == [62_500, 7_300, 36_500]
    assert groups(planned) == [131, 163, 71]


@pytest.mark.parametrize(
    ("preset", "classes", "totals"),
    [
        ("cifar-10-lt", 10, {10: 20_431, 20: 17_023, 50: 13_996, 100: 12_406, 200: 11_203}),
        ("cifar-100-lt", 100, {10: 19_573, 20: 15_907, 50: 12_608, 100: 10_847, 200: 9_502}),
        ("cifar-step", 10, {10: 27_500, 100: 25_250}),
        ("cifar-step", 100, {10: 27_500, 100: 25_250}),
    ],
)
def test_cifar_lt(preset, classes, totals):
    there = counts(np.full(classes, 50_000 // classes), test=10_000 // classes)
    for factor, total in totals.items():
        planned = plan(there, PRESETS[preset].parameters, imbalance=factor)
        assert (planned.splits, planned.of("train").sum()) == (("train", "test"), total)
        assert planned.of("test").tolist() == [10_000 // classes] * classes
        assert (np.diff(planned.of("train")) <= 0).all()  # in the order of labels
    planned = plan(there, PRESETS[preset].parameters)
    if preset == "cifar-10-lt":
        assert planned.of("train").tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    if preset == "cifar-100-lt":
        assert groups(planned) == [35, 35, 30]


def test_inaturalist_as_it_is():
    sizes = rng.integers(2, 1000, 8142)
    planned = plan(counts(sizes, val=3), PRESETS["inaturalist-2018"].parameters)
    assert planned.of("train").tolist() == sizes.tolist()
    assert planned.of("test").sum() == 24_426


def test_sizes_of_ones_own():
    there, own = counts([50, 90, 70]), {"profile": "list", "sizes": [5, 30, 20], "val": None, "test": None}
    assert plan(there, own, sizes_by="label").of("train").tolist() == [5, 30, 20]
    assert plan(there, own).of("train").tolist() == [5, 30, 20]
    assert plan(there, own, sizes=[30, 20, 5]).of("train").tolist() == [5, 30, 20]  # by size, whatever their order
    assert sorted(plan(there, own, sizes_by="random", seed=1).of("train").tolist()) == [5, 20, 30]


def test_the_least_of_train_is_asked_for_whatever_the_profile_says():
    there, own = counts([40, 12]), {"profile": "exp", "imbalance": 20, "least": 5, "val": 0.1, "test": 0.1}
    assert plan(there, {**own, "least": 1}).of("train").tolist() == [32, 1]
    for policy in ("shrink", "error", "drop_class"):
        assert plan(there, own, policy=policy).of("train").tolist() == [32, 5]


def test_a_listed_class_keeps_its_size_when_others_are_dropped():
    own = {"profile": "list", "policy": "drop_class", "val": None, "test": None}
    found = plan(counts([50, 9, 70]), own, sizes=[30, 10, 20], sizes_by="label")
    assert (found.of("train").tolist(), found.dropped.tolist()) == ([30, 20], [1])
    found = plan(counts([50, 9, 70]), own, sizes=[10, 20, 30])  # the largest class the largest
    assert (found.of("train").tolist(), found.dropped.tolist()) == ([20, 30], [1])


def test_color_mnist():
    """MNIST's digits 0 to 3, 4 to 6 and 7 to 9 as classes, each with a tenth of the images of the one before it."""
    found = plan(counts([24_754, 17_181, 18_065]), {"profile": "exp", "val": None, "test": None}, sizes_by="label")
    assert found.of("train").tolist() == [24_754, 2_475, 247]


def test_a_class_too_small_by_policy():
    there, own = counts([50, 9]), {"profile": "balanced", "largest": 30, "val": None, "test": None}
    assert plan(there, own).of("train").tolist() == [30, 9]
    with pytest.raises(CurationError, match=r"class 'c0001' has 9 for train and needs 30"):
        plan(there, own, policy="error")


def test_wrong_parameters():
    for parameters, message in (
        ({"profile": "zipf"}, "profile is 'zipf': choose one of imagenet-lt"),
        ({"profile": "list"}, "profile is 'list' and sizes lists 0"),
        ({"sizes": [3, 0]}, "sizes lists 0, and each must be from 1"),
        ({"imbalance": 0.5}, "imbalance is 0.5, and must be at least 1"),
        ({"smallest": 9, "largest": 5}, "smallest is 9 and largest 5"),
        ({"choose": "ldam", "seed": 2**32}, "seed is 4294967296, and with choose=ldam must be below 4294967296"),
        ({"power": float("nan")}, "power"),
    ):
        with pytest.raises(ArgumentError, match=message):
            KIND.settings.from_dict(parameters)
    with pytest.raises(ArgumentError, match="sizes lists 2 and there are 3 classes"):
        plan(counts([50, 90, 70]), {"profile": "list", "sizes": [5, 30]})
    with pytest.raises(ArgumentError, match="there is no source split 'val'"):
        plan(counts([50, 90, 70]), PRESETS["imagenet-lt"].parameters)


def images(rows):
    """An images table from (class, source split) of every image."""
    columns = {
        "image_id": np.arange(len(rows)),
        "root": ["r"] * len(rows),
        "path": [f"{source}/{name}/{i:05d}.png" for i, (name, source) in enumerate(rows)],
        "class_name": [name for name, _ in rows],
        "source_split": [source for _, source in rows],
    }
    return pa.table(columns).cast(
        pa.schema({"image_id": pa.int32(), "root": pa.string(), "path": pa.string(), "class_name": pa.string(),
                   "source_split": pa.string()})
    )  # fmt: skip


NOBODY = EXCLUSIONS.empty_table()


def test_images_are_those_that_ldam_drw_chooses():
    """imbalance_cifar.py seeds NumPy once, and shuffles the index list of each class in the order of labels."""
    targets = rng.integers(0, 5, 600)
    rows = [(f"k{t}", "train") for t in targets] + [(f"k{i % 5}", "test") for i in range(50)]
    parameters = {**PRESETS["cifar-10-lt"].parameters, "imbalance": 20, "largest": 60, "policy": "error"}
    found = KIND.carve(Inputs(images(rows), NOBODY), KIND.settings.from_dict(parameters)).split
    np.random.seed(0)  # noqa: NPY002
    chosen = []
    for label in range(5):
        places = np.where(targets == label)[0]
        np.random.shuffle(places)  # noqa: NPY002
        chosen += places[: int(60 * (1 / 20) ** (label / 4.0))].tolist()
    by_split = {s: found.filter(pa.compute.equal(found["split"], s))["image_id"].to_pylist() for s in ("train", "test")}
    assert sorted(by_split["train"]) == sorted(chosen)
    assert sorted(by_split["test"]) == list(range(600, 650))


@st.composite
def cases(draw):
    classes = draw(st.integers(1, 6))
    rows = [(f"k{i}", "train") for i in range(classes) for _ in range(draw(st.integers(3, 40)))]
    rows += [(f"k{i}", "val") for i in range(classes) for _ in range(3)]
    profile = draw(st.sampled_from([p for p in PROFILES if p != "list"]))
    parameters = {
        "profile": profile,
        "imbalance": draw(st.sampled_from([1, 4, 100])),
        "draw": draw(st.sampled_from(["quantiles", "random"])),
        "sizes_by": draw(st.sampled_from(["size", "label", "random"])),
        "choose": draw(st.sampled_from(["seeded", "ldam"])),
        "val": draw(st.sampled_from([0.2, 2, None])),
        "test": draw(st.sampled_from(["source:val", 0.1])),
        "seed": draw(st.integers(0, 9)),
    }
    ids = draw(st.permutations(range(len(rows) - 1)))  # the last stays, so that there is a source split val
    shuffled = draw(st.permutations(range(len(rows))))
    return rows, parameters, ids[:4], [g for g in (ids[4:6], ids[6:9]) if len(g) > 1], shuffled


@given(cases())
@settings(max_examples=25, deadline=None)
def test_a_split_is_as_planned(case):
    rows, parameters, out, together, shuffled = case
    excluded = pa.table({"image_id": sorted(out), "reason": ["excluded by ann"] * len(out)}, schema=EXCLUSIONS)
    pairs = sorted((i, g) for g, members in enumerate(together) for i in members)
    grouped = pa.table({"image_id": [i for i, _ in pairs], "group": [g for _, g in pairs]}, schema=GROUPS)
    typed = KIND.settings.from_dict(parameters)
    table = images(rows)
    alone = KIND.carve(Inputs(table, excluded), typed)
    planned = KIND.plan(_counted(rows, out), typed)
    _adds_up(alone, len(rows))
    split = alone.split.to_pandas()
    for name in planned.splits:
        got = split[split["split"] == name]["label"].value_counts().reindex(range(len(planned.order)), fill_value=0)
        assert got.tolist() == planned.of(name).tolist()
    assert KIND.carve(Inputs(table.take(shuffled), excluded), typed).split.equals(alone.split)
    result = KIND.carve(Inputs(table, excluded, groups=grouped), typed)
    _adds_up(result, len(rows))
    where = dict(zip(result.split["image_id"].to_pylist(), result.split["split"].to_pylist(), strict=True))
    for members in together:
        if not any(rows[i][1] == "val" for i in members):
            assert len({where.get(i) for i in members}) == 1


def _counted(rows, out):
    kept = [row for i, row in enumerate(rows) if i not in set(out)]
    names, sources = sorted({n for n, _ in kept}), sorted({s for _, s in kept})
    return Counts(names, sources, np.array([[kept.count((n, s)) for s in sources] for n in names]))


def _adds_up(result, total):
    ids = result.split["image_id"].to_pylist() + result.left_out["image_id"].to_pylist()
    assert sorted(ids) == list(range(total))
