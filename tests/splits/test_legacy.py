import itertools
import json
import random
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.splits import legacy
from curation.splits.carve_table import glt_carve, read
from curation.splits.parameters import Parameters


@pytest.fixture(scope="module")
def published(shared_data, tmp_path_factory):
    """The cluster table of the golden files, as JSON, and their hashes."""
    folder = shared_data / "glt"
    sys.path.insert(0, str(folder))
    try:
        import cluster_table
    finally:
        sys.path.remove(str(folder))
    path = tmp_path_factory.mktemp("table") / "table.json"
    path.write_text(json.dumps(cluster_table.table(folder / "meta_clsloc.csv", "alpha")))
    return path, json.loads((folder / "golden.json").read_text())


def test_golden_files(published, tmp_path):
    table, golden = published
    summary = glt_carve(table, out=tmp_path, mode="legacy", seed=golden["seed"])
    assert summary["images"] == 1_281_167
    for inter, found in zip(("lt", "bl"), summary["files"], strict=True):
        name = f"imagenet_sup_intra_lt_inter_{inter}.json"
        assert files.sha256_file(tmp_path / name) == golden[name]["sha256"] == found["sha256"]
        assert found["images"] == golden[name]["images"]
    balanced = json.loads((tmp_path / "imagenet_sup_intra_lt_inter_bl.json").read_text())
    train = balanced["train"]
    assert np.bincount(list(train["attribute"].values())).tolist() == [80_000, 23_000, 11_000]
    assert np.bincount([int(label) for label in train["label"].values()]).tolist() == [114] * 1000
    for split, counts in (("val", [21_000, 6_000, 3_000]), ("test_bl", [42_000, 12_000, 6_000]),
                          ("test_bbl", [20_000] * 3)):  # fmt: skip
        assert np.bincount(list(balanced[split]["attribute"].values())).tolist() == counts
    for found, sized in zip(summary["files"], (207_014, 144_000), strict=True):
        left = summary["images"]
        for split, pool in (("test_bbl", 1_221_167), ("test_bl", 1_161_167)):
            left -= found["images"][split]
            assert left == pool
        assert sized == sum(found["images"][split] for split in ("test_lt", "val", "train")) <= 212_661


def test_every_second_cluster_is_hardly_drawn_from():
    """The published carving takes lists from the front: where the first of a pair is large enough, the second waits."""
    sizes = (62, 61, 32, 31, 26, 25)
    table = {f"c{c}": {str(r): [f"{c}/{r}/{i}" for i in range(n)] for r, n in enumerate(sizes)} for c in range(4)}
    paths, cells, names = legacy.from_table(table)
    rank = np.array([int(path.split("/")[1]) for path in paths])
    found = legacy.draw(cells, names, Parameters(inter="bl", mode="legacy"))
    quota = (26 + 25) // 4  # of the smallest attribute
    assert np.bincount(rank[found["test_bbl"]], minlength=6).tolist() == [4 * quota, 0] * 3
    assert np.bincount(rank[found["test_bl"]], minlength=6).tolist() == [4 * 42, 0, 4 * 12, 0, 4 * 6, 0]


def carve(sizes, inter="bl"):
    """Legacy carving of classes whose clusters are all in the first of each pair: attribute sizes are as given."""
    cells, start = [], 0
    for row in sizes:
        edges = start + np.cumsum([0, *row])
        cells.append([np.arange(a, b) for a, b in itertools.pairwise(edges)])
        start = edges[-1]
    return legacy.draw(cells, [f"class {i}" for i in range(len(sizes))], Parameters(inter=inter, mode="legacy"))


@pytest.mark.parametrize(
    ("sizes", "quota"), [((200, 60, 7), 1), ((200, 15, 15), 3), ((55, 55, 55), 13), ((400, 200, 80), 20)]
)
def test_the_smallest_cells_that_the_original_can_carve(sizes, quota):
    legacy._check_cells(np.array([sizes]) - quota, [42, 12, 6], ["x"], "left")
    cells = np.array([sizes])
    assert min(20, cells.min() // 4) == quota


@pytest.mark.parametrize(
    ("sizes", "attribute", "have", "need"),
    [((200, 60, 6), 2, 5, 6), ((200, 14, 14), 1, 11, 12), ((54, 54, 54), 0, 41, 42), ((200, 60, 0), 2, 0, 6)],
)
def test_where_the_original_runs_out_of_images(sizes, attribute, have, need):
    text = f"class 'class 0', attribute {attribute}, has {have} images left for Test-CBL and needs {need}"
    with pytest.raises(CurationError, match=text):
        carve([sizes])


def test_val_of_balanced_classes():
    with pytest.raises(CurationError, match="attribute 2, has 1 images left for Val and needs 3"):
        carve([(300, 200, 9)])
    assert len(carve([(300, 200, 40)])["val"]) == 30


def test_the_pool_of_long_tailed_classes():
    with pytest.raises(CurationError, match=r"Test-GLT and Val need 270 images, and the pool of all 3 classes has"):
        carve([(90, 40, 30)] * 3, inter="lt")
    found = carve([(2000, 600, 300)] * 3, inter="lt")
    assert [len(found[s]) for s in ("test_bbl", "test_bl", "test_lt", "val")] == [180, 180, 180, 90]


def test_more_classes_or_clusters_than_the_original_knows():
    with pytest.raises(CurationError, match="1,001 classes, and the published profile has 1,000"):
        legacy.check(np.full((1001, 3), 500), ["x"] * 1001, "lt")
    with pytest.raises(CurationError, match="class 'ant' has 7 clusters, and mode legacy takes 6"):
        legacy.merge([np.arange(3)] * 7, "ant")


def test_ranks_are_merged_in_pairs_and_ties_stay_as_listed():
    lists = [np.full(n, i) for i, n in enumerate([2, 5, 2, 4, 1])]
    merged = legacy.merge(lists, "ant")
    assert [list(dict.fromkeys(a.tolist())) for a in merged] == [[1, 3], [0, 2], [4]]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 1500), st.integers(0, 9), st.sampled_from([1, 7, 64]), st.data())
def test_drawing_one_by_one_is_that_of_a_plain_list(size, seed, block, data):
    count = data.draw(st.integers(0, size))
    pool, rng, expected = list(range(size)), random.Random(seed), []
    for _ in range(count):
        expected.append(pool.pop(rng.randint(0, len(pool) - 1)))
    taken, rest = legacy.take_one_by_one(random.Random(seed), size, count, block=block)
    assert taken.tolist() == expected
    assert rest.tolist() == pool


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "holds no cluster table"),
        ('{"ant": [1]}', "class 'ant': clusters are a list"),
        ('{"ant": {"0": "a.jpg"}}', "class 'ant', cluster 0: must be a list of paths"),
        ('{"ant": {"0": [3]}}', "class 'ant', cluster 0: must be a list of paths"),
        ('{"ant": {"0": ["a", "b"]}, "bee": {"1": ["b"]}}', "class 'ant', cluster 0: 'b' is there 2 times"),
        ('{"ant": ', "line 1: not a JSON file"),
    ],
)
def test_a_wrong_table_is_named_with_its_key(tmp_path, content, message):
    (tmp_path / "table.json").write_text(content)
    with pytest.raises(CurationError, match=message):
        read(tmp_path / "table.json")


def _table(tmp_path, classes=4, sizes=(60, 50, 40, 40, 30, 30)):
    content = {
        f"class {c}": {str(k): [f"class {c}/{k}-{i:03d}.jpg" for i in range(n)] for k, n in enumerate(sizes)}
        for c in range(classes)
    }
    (tmp_path / "table.json").write_text(json.dumps(content))
    return tmp_path / "table.json"


def test_default_mode_writes_both_files(tmp_path):
    table = _table(tmp_path)
    settings = {"per_cell": 4, "val_per_cell": 2}
    summary = glt_carve(table, out=tmp_path / "out", mode="default", profile="exp", parameters=settings)
    assert [f["images"]["test_bbl"] for f in summary["files"]] == [48, 48]
    document = json.loads((tmp_path / "out" / "imagenet_sup_intra_lt_inter_lt.json").read_text())
    assert list(document) == ["cat2id", "id2cat", "train", "val", "test_lt", "test_bl", "test_bbl", "meta"]
    assert document["meta"]["recipe"]["parameters"]["per_cell"] == 4


def test_nothing_is_written_when_one_file_cannot_be_carved(tmp_path):
    with pytest.raises(CurationError, match="mode legacy cannot carve this"):
        glt_carve(_table(tmp_path, sizes=(30, 20, 10)), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_legacy_has_no_other_sizes(tmp_path):
    with pytest.raises(ArgumentError, match="profile is exp, and mode legacy has imagenet-glt built in"):
        glt_carve(_table(tmp_path), out=tmp_path / "out", profile="exp")
    legacy.check_parameters(Parameters(mode="legacy", weights=(7.0, 2.0, 1.0)))
