"""ImageNetV2's own files: read, checked, written byte for byte."""

from __future__ import annotations

import json

import pytest

from curation.errors import ArgumentError, CurationError
from curation.formats import imagenetv2_dataset, imagenetv2_state
from curation.formats.imagenetv2_state import BLACKLIST, NEAR_DUPLICATES, OVERRIDES, REVIEWS, Review, State

ENTRY = {"reviewer": "becca", "date": "2018-08-26 18:51:00.765547", "references": ["b", "a2"]}


@pytest.fixture
def folder(tmp_path):
    """folder(**{file stem: content}) -> a folder with those files"""
    stems = {"near": NEAR_DUPLICATES, "reviews": REVIEWS, "overrides": OVERRIDES, "blacklist": BLACKLIST}

    def build(**contents):
        for stem, content in contents.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / stems[stem]).write_text(text)
        return tmp_path

    return build


def test_the_published_files_come_out_byte_for_byte(shared_data, tmp_path):
    place = shared_data / "imagenetv2" / "metadata"
    state = imagenetv2_state.read(shared_data / "imagenetv2")
    assert len(state.near_duplicates) == 7386
    assert len(state.edges()[0]) == 16361
    entries = [(metric, review) for metrics in state.reviews.values() for metric, review in metrics.items()]
    assert [sum(name == metric for name, _ in entries) for metric in ("l2", "dssim", "fc7")] == [2252, 3022, 2745]
    assert sum(review.threshold is not None for _, review in entries) == 858
    assert (len(state.reviews), len(state.overrides), len(state.blacklist)) == (5121, 1, 31337)
    for path in imagenetv2_state.write(state, tmp_path):
        assert path.read_bytes() == (place / path.name).read_bytes()


def test_known_names_pass(shared_data):
    state = imagenetv2_state.read(shared_data / "imagenetv2")
    known = set(state.judged())
    imagenetv2_state.read(shared_data / "imagenetv2", known=known)
    lost = next(iter(state.reviews))
    with pytest.raises(CurationError, match=f"unknown image '{lost}'|candidate '{lost}' is unknown"):
        imagenetv2_state.read(shared_data / "imagenetv2", known=known - {lost})


def test_missing_files_are_empty_ones(folder):
    assert imagenetv2_state.read(folder(near={"a": ["b"]})) == State(near_duplicates={"a": ["b"]})


def test_no_file_at_all(tmp_path):
    with pytest.raises(ArgumentError, match=r"neither near_duplicates.json nor"):
        imagenetv2_state.read(tmp_path)


def test_a_review_is_typed(folder):
    state = imagenetv2_state.read(folder(reviews={"a": {"l2": ENTRY | {"threshold": 10}, "dssim": ENTRY}}))
    assert state.reviews["a"]["l2"] == Review("becca", ENTRY["date"], ["b", "a2"], 10)
    assert state.reviews["a"]["dssim"].threshold is None
    assert state.judged() == ["a", "b", "a2"]


def without(field):
    return {key: value for key, value in ENTRY.items() if key != field}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (without("references"), "the field 'references' is missing"),
        (without("reviewer"), "the field 'reviewer' is missing"),
        (without("date"), "the field 'date' is missing"),
        (ENTRY | {"references": []}, "the list of references is empty"),
        (ENTRY | {"references": "b"}, "references are 'b', no list"),
        (ENTRY | {"references": ["b", "c", "b"]}, "'b' is twice among its references"),
        (ENTRY | {"references": [7]}, "7 among its references is no name"),
        (ENTRY | {"references": ["x"]}, "unknown image 'x' among its references"),
        (ENTRY | {"date": 5}, "date is 5, no text"),
        (ENTRY | {"threshold": "10"}, "threshold is '10', no number"),
        (ENTRY | {"color": "red"}, "unknown field 'color'"),
        (7, "7 is no review"),
    ],
)
def test_a_broken_review_is_named(folder, entry, message):
    with pytest.raises(CurationError) as caught:
        imagenetv2_state.read(folder(reviews={"a": {"fc7": entry}}), known={"a", "b", "c", "a2"})
    assert f"{REVIEWS}: candidate 'a', metric 'fc7': {message}" in str(caught.value)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"near": {"x": ["a"]}}, f"{NEAR_DUPLICATES}: candidate 'x' is unknown"),
        ({"near": {"a": []}}, "candidate 'a': the list of edges is empty"),
        ({"near": {"a": ["x"]}}, "candidate 'a': unknown image 'x' among its edges"),
        ({"near": ["a"]}, "holds a JSON list, not an object"),
        ({"near": '{"a": ["b"], "a": ["c"]}'}, "the key 'a' is there twice"),
        ({"near": "{"}, "not a JSON file"),
        ({"reviews": {"x": {"l2": ENTRY}}}, f"{REVIEWS}: candidate 'x' is unknown"),
        ({"reviews": {"a": {"ssim": ENTRY}}}, "metric 'ssim': there is no such metric, only l2, fc7, dssim"),
        ({"reviews": {"a": "l2"}}, "candidate 'a' has no metrics but 'l2'"),
        ({"overrides": ["x"]}, "unknown image 'x'"),
        ({"overrides": {"a": 1}}, "holds a JSON dict, not a list"),
        ({"blacklist": {"a": None}}, "'a' has the reason None, no text"),
    ],
)
def test_broken_files_are_named(folder, contents, message):
    with pytest.raises(CurationError) as caught:
        imagenetv2_state.read(folder(**contents), known={"a", "b", "a2"})
    assert message in str(caught.value)


def test_many_faults_are_counted(folder):
    with pytest.raises(CurationError, match="; and 3 more: mend these entries; nothing was read"):
        imagenetv2_state.read(folder(near={f"a{i}": [] for i in range(8)}))


def test_data_sets(shared_data, tmp_path):
    dataset = imagenetv2_dataset.read_dataset(shared_data / "imagenetv2" / "datasets" / "imagenetv2-a-44.json")
    assert (dataset.name, len(dataset.names), dataset.fields["seed"]) == ("imagenetv2-a-44", 10_000, 600717499)
    assert (dataset.names[0], dataset.classes[0]) == ("0328e6b72e2cec4cffa0e0f22451adb882e194d8", "n01742172")
    for images, message in (
        ([["a", "n01440764"], ["b"]], r"image 2 of 2 is \['b'\], not \[name, WNID\]"),
        ([["a", "tench"]], "not .name, WNID."),
        ([["a", "n01440764"]] * 2, "names 'a' more than once"),
        (None, "no list `image_filenames`"),
    ):
        (tmp_path / "d.json").write_text(json.dumps({"image_filenames": images}))
        with pytest.raises(CurationError, match=message):
            imagenetv2_dataset.read_dataset(tmp_path / "d.json")


def test_the_pool_takes_the_first_record_of_a_name(tmp_path):
    record = {"id_ours": "a", "wnid": "n1", "url": "u", "id_search_engine": "77"}
    (tmp_path / "2.json").write_text(json.dumps([record | {"wnid": "n2"}, record | {"id_ours": "b"}]))
    (tmp_path / "1.json").write_text(json.dumps([record]))
    pool = imagenetv2_dataset.read_pool(tmp_path.glob("*.json"))
    assert pool.to_pydict() == {"name": ["a", "b"], "class_name": ["n1", "n1"], "burst": ["77", "77"]}
    (tmp_path / "3.json").write_text(json.dumps([record, {"id_ours": "c", "wnid": "n1"}]))
    with pytest.raises(CurationError, match=r"3.json: record 2 of 2 lacks id_ours, wnid or url"):
        imagenetv2_dataset.read_pool(tmp_path.glob("*.json"))
