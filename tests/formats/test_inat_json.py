"""iNaturalist JSON: what is written, what is read of ours and of others, and what is wrong with a file."""

import dataclasses
import json

import numpy as np
import pictured
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.errors import ArgumentError, CurationError
from curation.formats import inat_json
from curation.formats.annotations import AnnotationSet, annotation_table, names_of

FOUND = pictured.pictured()
relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def annotations(rows, classes, splits=("train", "val"), **more):
    """A set from rows of (path, label, split)."""
    path, label, split = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {"path": pa.array(path, pa.string()), "label": pa.array(label, pa.int32())}
    columns |= {"class_name": names_of(label, classes), "split": pa.array(split, pa.string())} | more
    return AnnotationSet(annotation_table(columns), tuple(classes), tuple(splits), {})


def same(one, other, names=("path", "class_name", "label", "split")):
    assert one.table.select(names).to_pylist() == other.table.select(names).to_pylist()
    assert (one.classes, one.splits) == (other.classes, other.splits)


def test_it_is_that_of_json_dump(tmp_path):
    found = annotations(
        [("a/é.jpg", 1, "train"), ("b.jpg", 0, "val")], ["bee", '"x"'], width=[640, None], height=[480, 9]
    )
    train, val = inat_json.write(found, tmp_path, "x")
    assert (train.name, val.name) == ("x_train.json", "x_val.json")
    wanted = {"info": {}, "split": "train", "splits": ["train", "val"]}
    wanted |= {"categories": [{"id": 0, "name": "bee"}, {"id": 1, "name": '"x"'}]}
    image = {"id": 0, "file_name": "a/é.jpg", "width": 640, "height": 480}
    images = {"images": [image], "annotations": [{"id": 0, "image_id": 0, "category_id": 1}]}
    assert train.read_text() == json.dumps(wanted | images)
    image = {"id": 1, "file_name": "b.jpg", "height": 9}
    images = {"images": [image], "annotations": [{"id": 1, "image_id": 1, "category_id": 0}]}
    assert val.read_text() == json.dumps(wanted | {"split": "val"} | images)
    assert inat_json.read(val).table.equals(found.table)


def test_round_trip_from_any_file_of_the_set(tmp_path):
    paths = inat_json.write(FOUND, tmp_path, "x")
    assert len(paths) == len(FOUND.splits)
    for path in paths:
        back = inat_json.read(path)
        same(back, FOUND)
        assert back.meta == FOUND.meta
        assert back.about.to_pylist() == FOUND.about.to_pylist()
    again = inat_json.write(inat_json.read(paths[0]), tmp_path / "again", "x")
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in paths]


def test_what_loaders_of_long_tailed_sets_rely_on(tmp_path):
    """They walk through images and annotations side by side, and take category_id for the label."""
    seen = set()
    for path in inat_json.write(FOUND, tmp_path, "x"):
        document = json.loads(path.read_text())
        rows = FOUND.of(document["split"]).to_pylist()
        assert len(document["images"]) == len(document["annotations"]) == len(rows)
        for image, note, row in zip(document["images"], document["annotations"], rows, strict=True):
            assert image["id"] == note["id"] == note["image_id"]
            assert (image["file_name"], note["category_id"]) == (row["path"], row["label"])
            seen.add(image["id"])
        assert [c["name"] for c in document["categories"]] == list(FOUND.classes)
    assert seen == set(range(len(FOUND.table)))


def test_a_published_file_is_a_split_of_its_own(tmp_path):
    images = [
        {
            "license": 3,
            "rights_holder": "x",
            "id": 900,
            "width": 800,
            "height": 600,
            "file_name": "train_val2018/A/2/c.jpg",
        },
        {
            "license": 3,
            "rights_holder": "y",
            "id": 4,
            "width": 80,
            "height": 60,
            "file_name": "train_val2018/B/0/a.jpg",
        },
    ]
    notes = [{"id": 70, "image_id": 4, "category_id": 0}, {"id": 71, "image_id": 900, "category_id": 2}]
    categories = [{"id": 2, "name": "Apis", "supercategory": "Insecta"}, {"id": 0, "name": "Aves"}]
    document = {
        "info": {"year": 2018},
        "images": images,
        "licenses": [],
        "annotations": notes,
        "categories": categories,
    }
    (tmp_path / "train2018.json").write_text(json.dumps(document))
    back = inat_json.read(tmp_path / "train2018.json")
    assert (back.splits, back.classes, back.meta, back.about) == (
        ("train2018",),
        ("Aves", "1", "Apis"),
        {"year": 2018},
        None,
    )
    assert back.table["label"].to_pylist() == [2, 0]
    assert back.table["class_name"].to_pylist() == ["Apis", "Aves"]
    assert back.table["width"].to_pylist() == [800, 80]


def test_more_rows_than_one_block(tmp_path, monkeypatch):
    monkeypatch.setitem(AnnotationSet.blocks.__kwdefaults__, "rows", 100)
    labels = np.arange(250) % 3
    found = annotations([(f"{i}.jpg", label, "train") for i, label in enumerate(labels.tolist())], "abc", ("train",))
    (path,) = inat_json.write(found, tmp_path, "x")
    assert [image["id"] for image in json.loads(path.read_text())["images"]] == list(range(250))
    same(inat_json.read(path), found)


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=9)
hostile = st.sampled_from(
    ["=1+1", '"', "\\", "a\nb", "\t", "null", "1", "é", "\x7f", "a//b", "/root/a", "..", "a/../b", "a\\..\\b"]
)


@relaxed
@given(
    rows=st.lists(st.tuples(text | hostile, st.integers(0, 2), st.sampled_from(["train", "val"])), max_size=9),
    classes=st.lists(text | hostile, min_size=3, max_size=3, unique=True),
)
def test_any_names_or_a_clear_refusal(rows, classes, tmp_path):
    rows = sorted(rows, key=lambda row: row[2])
    found = annotations(rows, classes)
    if any(".." in path.replace("\\", "/").split("/") for path, _, _ in rows):
        with pytest.raises(ArgumentError, match=r"climbs out of its folder: rename it"):
            inat_json.write(found, tmp_path, "x")
        return
    same(inat_json.read(inat_json.write(found, tmp_path, "x")[1]), found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": ("a/b", "val")}, "the split 'a/b' cannot be a file name"),
        ({"splits": ("Train", "train", "val")}, "splits 'Train' and 'train' differ only in letter case"),
        ({"splits": ("train",)}, "images have the split 'val', which is none of the set's 1"),
        ({"classes": ("bee",)}, "'a.jpg' has the label 1, and there are 1 classes"),
    ],
)
def test_what_it_cannot_hold_is_refused_before_anything_is_written(tmp_path, change, message):
    found = annotations([("a.jpg", 1, "train"), ("b.jpg", 0, "val")], ["bee", "ant"])
    with pytest.raises(ArgumentError, match=message):
        inat_json.write(dataclasses.replace(found, **change), tmp_path, "x")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path, full_disk):
    with full_disk(), pytest.raises(CurationError, match="no space left"):
        inat_json.write(FOUND, tmp_path, "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("images"), "key images is missing"),
        (lambda d: d.update(annotations={}), "key annotations is a dict, and must be a list"),
        (lambda d: d["images"][1].pop("file_name"), r"images\[1\] has no key 'file_name'"),
        (lambda d: d["images"][1].pop("id"), r"images\[1\] has no key 'id'"),
        (lambda d: d["images"].append(7), r"images\[2\] is no such object"),
        (lambda d: d["images"][0].update(id="7"), r"images\[0\].id is '7', which cannot be"),
        (lambda d: d["images"][0].update(id=1 << 70), r"images\[0\].id is 1180591620717411303424"),
        (lambda d: d["images"][1].update(file_name=None), r"images\[1\].file_name is None"),
        (lambda d: d["images"][1].update(file_name="\ud800"), r"images\[1\].file_name is "),
        (lambda d: d["images"][1].update(file_name="../b"), r"images\[1\].file_name is '../b', which climbs"),
        (lambda d: d["images"][1].update(width=2.5), r"images\[1\].width is 2.5"),
        (lambda d: d["annotations"][0].pop("category_id"), r"annotations\[0\] has no key 'category_id'"),
        (lambda d: d["annotations"][0].update(category_id=9), r"annotations\[0\].category_id is 9, which no one has"),
        (lambda d: d["annotations"][0].update(image_id=9), r"annotations\[0\].image_id is 9, which no one has"),
        (lambda d: d["annotations"][0].update(image_id=True), r"annotations\[0\].image_id is True"),
        (lambda d: d["annotations"].pop(1), r"image 1 \('b.jpg'\) has 0 annotations, not one; .* 1 of 2 images"),
        (
            lambda d: d["annotations"].append({"image_id": 0, "category_id": 0}),
            r"image 0 \('a.jpg'\) has 2 annotations",
        ),
        (lambda d: d["images"][1].update(id=0), "the image id 0 is there twice"),
        (lambda d: d["categories"].append({"id": 1, "name": "x"}), "the category id 1 is there twice"),
        (lambda d: d["categories"][1].pop("name"), r"categories\[1\] has no key 'name'"),
        (lambda d: d["categories"][1].update(name=3), r"categories\[1\].name is 3"),
        (lambda d: d["categories"][1].update(id=-1), r"annotations\[0\].category_id is 1"),
        (lambda d: d["categories"].append({"id": 1 << 30, "name": "x"}), "label 1,073,741,824 .* is above"),
        (lambda d: d["categories"][0].update(wnid=3), r"categories\[0\].wnid is 3"),
        (lambda d: d.update(info=[]), "key info is no object"),
    ],
)
def test_a_wrong_key_is_named(tmp_path, change, message):
    found = annotations([("a.jpg", 1, "train"), ("b.jpg", 0, "train")], ["bee", "ant"], ("train",))
    (path,) = inat_json.write(found, tmp_path, "x")
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(CurationError, match=message):
        inat_json.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "line 1: not a JSON file"),
        ("[]", "holds a list"),
        ("[" * 100_000, "not a JSON file"),
        ('{"images": [], "images": []}', "key 'images' is there twice"),
    ],
)
def test_what_is_no_such_file(tmp_path, content, message):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(CurationError, match=message):
        inat_json.read(tmp_path / "x.json")
    with pytest.raises(CurationError, match="does not exist"):
        inat_json.read(tmp_path / "y.json")


def test_a_set_is_whole_or_says_what_is_gone(tmp_path):
    found = annotations([("a.jpg", 1, "train"), ("b.jpg", 0, "val")], ["bee", "ant"])
    train, val = inat_json.write(found, tmp_path, "x")
    document = json.loads(val.read_text())
    val.write_text(json.dumps(document | {"splits": ["val", "train"]}))
    with pytest.raises(CurationError, match=r"x_val\.json is no split 'val' of the set"):
        inat_json.read(train)
    val.write_text(json.dumps(document | {"categories": [{"id": 0, "name": "fly"}, {"id": 1, "name": "ant"}]}))
    with pytest.raises(CurationError, match=r"x_val\.json: categories are not those of"):
        inat_json.read(train)
    val.unlink()
    with pytest.raises(CurationError, match=r"is one of 2 files, and 1 of them are not there \(.*x_val.json\)"):
        inat_json.read(train)
    alone = inat_json.read(train.rename(tmp_path / "mine.json"))
    assert (alone.splits, alone.table["path"].to_pylist()) == (("train",), ["a.jpg"])
    document["splits"] = ["val", "../../etc/passwd"]
    val.write_text(json.dumps(document))
    with pytest.raises(CurationError, match="cannot be a file name"):
        inat_json.read(val)
