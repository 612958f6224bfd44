"""What a linter finds in data sets and workspaces."""

from __future__ import annotations

import json

import pytest
from paired import build, refer, say, table

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.lint import lint
from curation.workspace import SPLIT

PUBLISHED = {
    "imagenetv2-a-44": [
        ("duplicates", ["1ca05798", "2790189a", "80e6ede7"], "n02071294"),
        ("duplicates", ["3282ae3e", "5e83c3dd"], "n02006656"),
        ("duplicates", ["51924af2", "915de5eb"], "n02091467"),
        ("duplicates", ["51d05624", "97294b8e"], "n02488291"),
        ("leak", ["dfc2eea7"], "n02066245"),
    ],
    "imagenetv2-b-33": [
        ("blacklisted", ["2c7af501"], "n02504013"),
        ("duplicates", ["0cf73b97", "8188a2e9"], "n01491361"),
        ("duplicates", ["15309fc9", "fafb2fce"], "n02487347"),
        ("leak", ["dfc2eea7"], "n02066245"),
    ],
    "imagenetv2-c-12": [
        ("duplicates", ["b797b141", "d7a45fc0"], "n03782006"),
        ("leak", ["720af39d"], "n02085620"),
    ],
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_sets(shared_data, name):
    """What the final record of modestyachts/ImageNetV2 says against its own final sets, and nothing else."""
    result = lint(shared_data / "imagenetv2" / "datasets" / f"{name}.json")
    found = [(f["kind"], [n[:8] for n in f["names"]], *set(f["classes"])) for f in result["findings"]]
    assert sorted(found) == PUBLISHED[name]
    assert result["images"] == {name: 10_000}
    linked = {f["names"][0][:8]: f["imagenet"] for f in result["findings"] if f["kind"] == "leak"}
    known = {"dfc2eea7": "ILSVRC2012_val_00034218.JPEG", "720af39d": "ILSVRC2012_val_00039188.JPEG"}
    assert linked == {name: known[name] for name in linked}
    why = [f["why"] for f in result["findings"] if f["kind"] == "blacklisted"]
    assert all("added in the review server" in text for text in why)
    json.dumps(result)


@pytest.fixture
def dataset(tmp_path):
    """A data set of three images beside a record in which two of them are linked through a third."""
    (tmp_path / "datasets").mkdir()
    (tmp_path / "metadata").mkdir()
    images = [["a", "n01440764"], ["c", "n01443537"], ["e", "n01440764"]]
    (tmp_path / "datasets" / "d.json").write_text(json.dumps({"image_filenames": images}))
    (tmp_path / "metadata" / "near_duplicates.json").write_text(json.dumps({"a": ["b"], "c": ["b", "c"], "e": ["e"]}))
    (tmp_path / "metadata" / "candidate_blacklist.json").write_text(json.dumps({"e": "a drawing", "z": "Too big"}))
    return tmp_path / "datasets" / "d.json"


def test_a_data_set_file(dataset, tmp_path):
    result = lint(dataset)
    assert (result["kind"], result["counts"]) == ("dataset", {"blacklisted": 1, "duplicates": 1})
    assert [(f["names"], f["classes"], f["why"]) for f in result["findings"]] == [
        (["e"], ["n01440764"], "a drawing"),
        (["a", "c"], ["n01440764", "n01443537"], "2 members of one component of 3 near duplicates"),
    ]
    (tmp_path / "datasets").rename(tmp_path / "metadata" / "sets")
    (moved := tmp_path / "moved").mkdir()
    alone = (tmp_path / "metadata" / "sets" / "d.json").rename(moved / "d.json")
    assert lint(alone, state=tmp_path / "metadata")["counts"] == result["counts"]
    (tmp_path / "metadata").rename(tmp_path / "elsewhere")
    with pytest.raises(ArgumentError, match="with --state"):
        lint(alone)


def test_targets_that_are_none(tmp_path):
    with pytest.raises(ArgumentError, match="neither a workspace nor a data set file"):
        lint(tmp_path / "none")
    with pytest.raises(CurationError, match="is not a workspace"):
        lint(tmp_path)
    with pytest.raises(ArgumentError, match="leave out the state"):
        lint(build(tmp_path / "w", 1), state=tmp_path)


def told(result):
    return [(f["kind"], f["split"], f["sets"], [i["image_id"] for i in f["images"]]) for f in result["findings"]]


@pytest.fixture
def workspace(tmp_path):
    """Ten images: 0 to 4 of train, the others of val."""
    return build(tmp_path / "w", 10, source_split=["train"] * 5 + ["val"] * 5)


def carve(workspace, name, sets):
    """Store a split of {set: image ids}."""
    rows = [(image_id, split) for split, ids in sets.items() for image_id in ids]
    known = {"image_id": [i for i, _ in rows], "split": [split for _, split in rows]}
    files.write_table(workspace.path / "splits" / name / "split.parquet", table(SPLIT, known, len(rows)))


def test_a_clean_workspace(workspace):
    carve(workspace, "s", {"train": [0, 1], "test": [7]})
    result = lint(workspace)
    assert (result["counts"], result["findings"]) == ({}, [])
    assert result["images"] == {"source/train": 5, "source/val": 5, "s/test": 1, "s/train": 2}


def test_duplicates_within_and_across(workspace):
    say(workspace, "pair", "0-1", "duplicate")
    say(workspace, "pair", "1-6", "duplicate")
    say(workspace, "pair", "8-9", "duplicate", reviewer="ben")
    carve(workspace, "s", {"train": [0, 8], "val": [6], "test": [0]})
    result = lint(workspace.path)
    assert told(result) == [
        ("duplicates", "source", ["train"], [0, 1]),
        ("across", "source", ["train", "val"], [0, 1, 6]),
        ("duplicates", "source", ["val"], [8, 9]),
        ("across", "s", ["test", "train", "val"], [0, 6]),
    ]
    assert result["findings"][2]["why"] == "8 - 9 (pair, ben)"
    assert result["findings"][0]["images"][1] == {"image_id": 1, "path": "a/1.jpg"}
    assert result["counts"] == {"across": 2, "duplicates": 2}
    json.dumps(result)


def test_excluded_members_are_named_with_the_reason(workspace):
    carve(workspace, "s", {"train": [2, 3]})
    say(workspace, "exclude", "3", "exclude", note="a drawing")
    result = lint(workspace)
    assert told(result) == [("excluded", "source", ["train"], [3]), ("excluded", "s", ["train"], [3])]
    assert result["findings"][0]["why"] == "excluded by anna: a drawing"


def test_a_member_whose_picture_is_gone(tmp_path):
    workspace = build(tmp_path / "w", 2, status=["ok", "gone"], reason=["", "the file is not there any more"])
    carve(workspace, "s", {"train": [0, 1]})
    result = lint(workspace)
    assert told(result) == [("excluded", "s", ["train"], [1])]
    assert result["findings"][0]["why"] == "gone: the file is not there any more"


def test_leaks_and_contested_pairs(workspace):
    refer(workspace, "bench", 3)
    refer(workspace, "probes", 3)
    say(workspace, "pair", "0-bench:2", "duplicate")
    say(workspace, "pair", "0-5", "duplicate")
    say(workspace, "pair", "1-probes:0", "duplicate")
    for subject in ("2-3", "4-bench:1", "4-probes:1", "3-9"):
        say(workspace, "pair", subject, "duplicate")
        say(workspace, "pair", subject, "different", reviewer="ben")
    carve(workspace, "s", {"test": [5, 2]})
    result = lint(workspace)
    assert told(result) == [
        ("across", "source", ["train", "val"], [0, 5]),
        ("leak", "source", ["train", "val"], [0, 5]),
        ("contested", "source", ["train"], [2, 3]),
        ("contested", "source", ["train"], [4]),
        ("contested", "source", ["train", "val"], [3, 9]),
        ("leak", "s", ["test"], [5]),
    ]
    assert result["findings"][1]["why"].startswith("leads to reference set bench: 0 - 5 (pair, anna)")
    assert result["findings"][3]["why"] == "people disagree on the pair with image 1 of reference set bench"
