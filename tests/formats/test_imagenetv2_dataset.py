"""ImageNetV2's data sets: published files byte for byte, and sets that say more than those can."""

import json

import pictured
import pyarrow as pa
import pytest

from curation.errors import ArgumentError, CurationError
from curation.formats import imagenetv2_dataset as v2
from curation.formats.annotations import AnnotationSet, annotation_table, names_of

A, B, C = "n01440764", "n01443537", "n01484850"


def annotations(rows, classes, splits=("all",), meta=None, about=None):
    """A set from rows of (path, label, split)."""
    path, label, split = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {"path": pa.array(path, pa.string()), "label": pa.array(label, pa.int32())}
    columns |= {"class_name": names_of(label, classes), "split": pa.array(split, pa.string())}
    return AnnotationSet(annotation_table(columns), tuple(classes), tuple(splits), meta or {}, about)


def same(one, other):
    names = ["path", "class_name", "label", "split"]
    assert one.table.select(names).to_pylist() == other.table.select(names).to_pylist()
    assert (one.classes, one.splits, one.meta) == (other.classes, other.splits, other.meta)


def test_published_files_come_out_byte_for_byte(shared_data, tmp_path):
    published = sorted((shared_data / "imagenetv2" / "datasets").glob("*.json"))
    assert len(published) >= 10
    for file in published:
        found = v2.read(file)
        (path,) = v2.write(found, tmp_path, "any")
        assert path.read_bytes() == file.read_bytes(), file
        assert found.splits == ("all",)
        place = {name: label for label, name in enumerate(sorted(found.classes))}
        assert found.table["label"].to_pylist() == [place[name] for name in v2.read_dataset(file).classes]
        assert found.meta["username"] == "ludwig"


def test_images_follow_the_seed_and_a_published_file_says_nothing_else(tmp_path):
    meta = {"sampling_function": "sample_best", "bins": [0.2, {"x": []}], "seed": 7, "is_valid": True}
    found = annotations([("0328e6b7", 1, "all"), ("é", 0, "all")], [A, B], meta=meta)
    (path,) = v2.write(found, tmp_path, "x")
    wanted = {"sampling_function": "sample_best", "bins": [0.2, {"x": []}], "seed": 7}
    wanted |= {"image_filenames": [["0328e6b7", B], ["é", A]], "is_valid": True}
    assert path.name == "x.json"
    assert path.read_text() == json.dumps(wanted, indent=2)
    same(v2.read(path), found)
    assert v2.read(path).about["wnid"].to_pylist() == [A, B]
    empty = annotations([], [])
    (path,) = v2.write(empty, tmp_path, "y")
    assert path.read_text() == json.dumps({"image_filenames": []}, indent=2)
    same(v2.read(path), empty)


def test_splits_labels_and_names_that_published_files_have_no_place_for(tmp_path):
    paths = v2.write(pictured.pictured(), tmp_path, "x")
    assert [path.name for path in paths] == [f"x_{split}.json" for split in pictured.SPLITS]
    for path in paths:
        back = v2.read(path)
        same(back, pictured.pictured())
        assert back.about["wnid"].to_pylist() == pictured.WNIDS
        assert set(v2.read_dataset(path).classes) <= set(pictured.WNIDS)
    one = annotations([("a", 0, "val"), ("b", 1, "val")], ["tench", B], ("val",), about=pa.table({"wnid": [A, None]}))
    same(v2.read(v2.write(one, tmp_path, "y")[0]), one)
    unused = annotations([("a", 0, "all")], [C, A])
    same(v2.read(v2.write(unused, tmp_path, "z")[0]), unused)


def test_a_set_is_whole_or_says_what_is_gone(tmp_path):
    found = annotations([("a", 0, "train"), ("b", 1, "val")], [A, B], ("train", "val"))
    train, val = v2.write(found, tmp_path, "x")
    val.write_text(json.dumps({"image_filenames": [["b", B]]}))
    with pytest.raises(CurationError, match=r"x_val\.json is no split 'val' of the set of"):
        v2.read(train)
    val.unlink()
    with pytest.raises(CurationError, match="is one of 2 files, and 1 of them are not there"):
        v2.read(train)
    assert v2.read(train.rename(tmp_path / "mine.json")).splits == ("train",)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (annotations([("a", 0, "all")], ["tench"]), "class 'tench' has no WNID"),
        (annotations([("a", 0, "all")], [A, "fish"], about=pa.table({"wnid": [None, A]})), "share the WNID n01440764"),
        (annotations([("a", 0, "all"), ("a", 1, "all")], [A, B]), "2 images and only 1 different paths"),
        (annotations([("a", 0, "all")], [A], meta={"image_filenames": 1}), "has the key 'image_filenames'"),
        (annotations([("a/../b", 0, "all")], [A]), "climbs out of its folder"),
    ],
)
def test_what_it_cannot_hold_is_refused_before_anything_is_written(tmp_path, found, message):
    with pytest.raises(ArgumentError, match=message):
        v2.write(found, tmp_path, "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"image_filenames": [["../a", A]]}, "the image '../a' climbs out of its folder"),
        ({"image_filenames": [["\ud800", A]]}, "is no Unicode text"),
        ({"image_filenames": [["a", A]], "annotation_set": []}, "key annotation_set must be an object"),
        (
            {"image_filenames": [["a", A]], "annotation_set": {"classes": {A: 3}}},
            "key annotation_set must be an object",
        ),
        (
            {"image_filenames": [["a", A]], "annotation_set": {"classes": {B: B}}},
            "n01440764 of an image is none of the 1",
        ),
        ({"image_filenames": [["a", "tench"]]}, r"image 1 of 1 is \['a', 'tench'\]"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, document, message):
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(CurationError, match=message):
        v2.read(tmp_path / "x.json")


def test_a_full_disk_leaves_nothing(tmp_path, full_disk):
    with full_disk(), pytest.raises(CurationError, match="no space left"):
        v2.write(pictured.pictured(), tmp_path, "x")
    assert list(tmp_path.iterdir()) == []
