import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ArgumentError, CurationError
from curation.exclusions import EXCLUSIONS
from curation.splits import glt
from curation.splits.inputs import Inputs
from curation.splits.parameters import Parameters
from curation.splits.plan import SPLITS, Infeasible, plan
from curation.splits.pool import NOT_CLUSTERED, gather
from curation.workspace import CLUSTERS, SPLIT

SMALL = Parameters(per_cell=4, val_per_cell=2, profile="exp", imbalance=3)


def make(sizes, *, clusters=6, attributes=3, shuffle=None, ids=None):
    """Images and clusters of classes with so many images in each cluster; `sizes` is {class: [images a cluster]}."""
    rows = [
        (name, rank, rank * attributes // clusters, f"{name}/{number:04d}-{rank}.jpg")
        for name, members in sizes.items()
        for rank, count in enumerate(members)
        for number in range(count)
    ]
    order = np.arange(len(rows)) if shuffle is None else np.random.default_rng(shuffle).permutation(len(rows))
    names, ranks, attribute, paths = zip(*(rows[i] for i in order), strict=True)
    ids = pa.array(order if ids is None else np.asarray(ids)[order], pa.int32())
    images = pa.table({"image_id": ids, "class_name": pa.array(names).dictionary_encode(), "path": paths})
    columns = [ids, names, ranks, attribute, np.zeros(len(rows), np.float32)]
    table = pa.table(dict(zip(CLUSTERS.names, columns, strict=True)))
    return images, table.cast(CLUSTERS)


def excluded(*rows):
    return pa.table({"image_id": [r[0] for r in rows], "reason": [r[1] for r in rows]}, schema=EXCLUSIONS)


def counts_of(result, attributes=3):
    found = np.zeros((len(SPLITS), len(result.report["classes"]), attributes), int)
    for row in result.split.to_pylist():
        found[SPLITS.index(row["split"]), row["label"], row["attribute"]] += 1
    return found


FOUR = {
    "ant": [60, 50, 40, 40, 30, 30],
    "bee": [80, 50, 40, 40, 40, 32],
    "cat": [70, 60, 50, 40, 30, 30],
    "dog": [50] * 6,
}


def test_every_image_is_in_a_split_or_listed():
    images, clusters = make(FOUR)
    out = excluded((3, "excluded by ann"), (7, "near duplicate: of 3"), (10**6, "no such image"))
    missing = clusters.slice(0, len(clusters) - 5)
    result = glt.carve(images, missing, out, SMALL)
    assert result.split.schema == SPLIT
    seen = [*result.split["image_id"].to_pylist(), *result.left_out["image_id"].to_pylist()]
    assert sorted(seen) == sorted(images["image_id"].to_pylist())
    funnel = result.report["funnel"]
    assert funnel["left_out"]["excluded by ann"] == funnel["left_out"]["near duplicate"] == 1
    assert funnel["left_out"][NOT_CLUSTERED] == 5
    assert funnel["images"] == sum(funnel["left_out"].values()) + sum(funnel["splits"].values())
    assert result.left_out["image_id"].to_pylist() == sorted(result.left_out["image_id"].to_pylist())


def test_labels_follow_class_sizes():
    result = glt.carve(*make(FOUR), excluded(), SMALL)
    assert result.report["classes"] == ["dog", "bee", "cat", "ant"]
    sizes = [sum(FOUR[name]) for name in result.report["classes"]]
    assert sizes == sorted(sizes, reverse=True)


def test_no_cluster_is_starved():
    """Of two clusters merged into one attribute, each split takes in proportion; the published carving takes one."""
    sizes = {name: [200, 150, 100, 90, 80, 60] for name in ("ant", "bee", "cat")}
    result = glt.carve(*make(sizes), excluded(), Parameters())
    table = result.split.to_pandas()
    for split in ("test_bbl", "test_bl"):
        for label in range(3):
            part = table[(table["split"] == split) & (table["label"] == label)]
            for attribute, pair in enumerate([(200, 150), (100, 90), (80, 60)]):
                got = (part["attribute"] == attribute).sum()
                first = (part["cluster"] == 2 * attribute).sum()
                assert abs(first - got * pair[0] / sum(pair)) <= 1
    assert {result.report["clusters"][s] for s in ("all", "train", "test_bl", "test_bbl")} == {18}


def test_cells_draw_from_their_own_stream():
    """Another class more changes nothing in the order in which a class is drawn."""
    p = Parameters(per_cell=4, val_per_cell=2, inter="bl", class_size=20)
    small, large = ({name: FOUR[name] for name in names} for names in (("ant", "bee"), ("ant", "bee", "cat")))

    def members(sizes):
        images, clusters = make(sizes)
        result = glt.carve(images, clusters, excluded(), p)
        path = dict(zip(images["image_id"].to_pylist(), images["path"].to_pylist(), strict=True))
        rows = zip(result.split["image_id"].to_pylist(), result.split["split"].to_pylist(), strict=True)
        return {(path[i], s) for i, s in rows if path[i].startswith(("ant/", "bee/"))}

    assert members(small) == members(large)


def test_the_seed_decides():
    images, clusters = make(FOUR)
    one, two = (glt.carve(images, clusters, excluded(), SMALL.replace(seed=seed)).split for seed in (25, 26))
    assert not one.equals(two)
    assert one.equals(glt.carve(images, clusters, excluded(), SMALL).split)


def test_attributes_can_be_merged_anew():
    images, clusters = make(FOUR)
    result = glt.carve(images, clusters, excluded(), SMALL.replace(attributes=2))
    table = result.split.to_pandas()
    assert set(table["attribute"]) == {0, 1}
    assert (table["attribute"] == (table["cluster"] >= 3)).all()
    with pytest.raises(ArgumentError, match="attributes is 9, and no class has more than 6 clusters"):
        glt.carve(images, clusters, excluded(), SMALL.replace(attributes=9))


def test_too_few_images_are_named_with_both_numbers():
    images, clusters = make({**FOUR, "eel": [5, 5, 4, 4, 2, 1]})
    with pytest.raises(Infeasible, match=r"class 'eel', attribute 2, has 3 and needs 16 \(short 13\).*Set per_cell="):
        glt.carve(images, clusters, excluded(), SMALL)


def test_dropped_classes_are_listed():
    images, clusters = make({**FOUR, "eel": [5, 5, 4, 4, 2, 1]})
    result = glt.carve(images, clusters, excluded(), SMALL.replace(policy="drop_class"))
    assert result.report["dropped_classes"] == ["eel"]
    assert result.report["funnel"]["left_out"][glt.CLASS_DROPPED] == 21
    assert "class dropped: 'eel'" in result.left_out["reason"].to_pylist()


def test_smaller_cells_are_reported():
    images, clusters = make({**FOUR, "eel": [9, 8, 7, 6, 5, 4]})
    result = glt.carve(images, clusters, excluded(), SMALL.replace(policy="shrink"))
    assert result.report["smaller_cells"] == [{"class_name": "eel", "per_cell": 2, "asked": 4}]


def test_an_id_twice():
    images, clusters = make(FOUR)
    with pytest.raises(CurationError, match=r"have only .* different ids"):
        glt.carve(pa.concat_tables([images, images.slice(0, 1)]), clusters, excluded(), SMALL)


def test_nothing_left_to_split():
    images, clusters = make(FOUR)
    with pytest.raises(CurationError, match="0 classes have images"):
        glt.carve(images, clusters.slice(0, 0), excluded(), SMALL)


sizes = st.lists(st.lists(st.integers(0, 60), min_size=4, max_size=4), min_size=2, max_size=4)
some = st.builds(
    Parameters,
    inter=st.sampled_from(["lt", "bl"]),
    per_cell=st.integers(1, 6),
    val_per_cell=st.integers(0, 3),
    profile=st.sampled_from(["exp", "natural", "imagenet-glt"]),
    policy=st.sampled_from(["error", "shrink", "drop_class", "relax_class_balance"]),
    iid=st.sampled_from(["stratified", "uniform"]),
)


@settings(max_examples=80, deadline=None)
@given(sizes, some, st.integers(0, 5))
def test_carving_realises_the_plan_whatever_the_listing(sizes, p, shuffle):
    named = {f"class {i}": members for i, members in enumerate(sizes)}
    if sum(sum(m) > 0 for m in sizes) < 2:
        return
    images, clusters = make(named, clusters=4, attributes=2)
    try:
        result = glt.carve(images, clusters, excluded(), p)
    except (Infeasible, CurationError):
        return
    pool = gather(Inputs(images, excluded(), clusters=clusters))
    found = counts_of(result, pool.attributes)
    assert (found == plan(pool.counts(), p, names=pool.names).counts).all()
    ids = result.split["image_id"].to_pylist()
    assert len(ids) == len(set(ids))  # disjoint
    assert sorted([*ids, *result.left_out["image_id"].to_pylist()]) == list(range(len(images)))
    mixed = glt.carve(*make(named, clusters=4, attributes=2, shuffle=shuffle), excluded(), p)
    assert mixed.split.equals(result.split)
    assert mixed.left_out.equals(result.left_out)
    _check_clusters(result, named)


def _check_clusters(result, named):
    """Test-GBL, the first carved, has every cluster of a cell when it has at least as many images as clusters."""
    table = result.split.to_pandas()
    for label, name in enumerate(result.report["classes"]):
        for attribute in range(2):
            there = [c for c in (2 * attribute, 2 * attribute + 1) if named[name][c]]
            part = table[(table["split"] == "test_bbl") & (table["label"] == label) & (table["attribute"] == attribute)]
            if len(part) >= len(there):
                assert sorted(set(part["cluster"])) == there
