"""FiftyOne's layout: what its importer would find in it, and what we read of ours and of others."""

import dataclasses
import json
import os
import posixpath
from pathlib import Path

import pictured
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.errors import ArgumentError, CurationError
from curation.formats import fiftyone_layout
from curation.formats.annotations import AnnotationSet, Options, annotation_table, names_of

FOUND = pictured.pictured()
NAMES = ["path", "class_name", "label", "split"]


def annotations(rows, classes=("bee", "ant"), splits=("train", "val")):
    """A set from rows of (path, label, split), whose pictures hold their paths."""
    path, label, split = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {"path": pa.array(path, pa.string()), "label": pa.array(label, pa.int32())}
    columns |= {"class_name": names_of(label, classes), "split": pa.array(split, pa.string())}
    return AnnotationSet(annotation_table(columns), tuple(classes), tuple(splits), pictures=str.encode)


def imported(folder):
    """(File, class name) of every sample, by the rules of FiftyOneImageClassificationDatasetImporter (1.22)."""

    def normal(path):
        return posixpath.normpath(path.replace("\\", "/"))

    listed = [
        os.path.relpath(posixpath.join(root, name), folder / "data")
        for root, _, names in os.walk(folder / "data")
        for name in names
        if not name.startswith(".")
    ]
    pictures = {
        normal(posixpath.splitext(name)[0]): normal(posixpath.join(folder / "data", name)) for name in sorted(listed)
    }
    labels = {normal(key): value for key, value in json.loads((folder / "labels.json").read_text()).items()}
    samples = []
    for key in sorted(set(labels.get("labels", {}))):
        picture = key if posixpath.isabs(key) else pictures[key]
        samples.append((picture, labels["classes"][labels["labels"][key]]))
    return samples


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def options(root):
    return pictured.put(FOUND, root)


@pytest.mark.parametrize("link", ["link", "hardlink", "copy"])
def test_the_importer_finds_every_picture_with_its_class(options, root, tmp_path, link):
    options = dataclasses.replace(options, link=link)
    paths = fiftyone_layout.write(FOUND, tmp_path, "x", options)
    assert paths == [tmp_path / "x" / split / "labels.json" for split in FOUND.splits]
    for split in FOUND.splits:
        samples = imported(tmp_path / "x" / split)
        found = {(Path(path).read_bytes(), name) for path, name in samples}
        rows = FOUND.of(split).to_pylist()
        assert len(samples) == len(rows)
        assert found == {((root / row["path"]).read_bytes(), row["class_name"]) for row in rows}
        assert {os.path.relpath(p, tmp_path / "x" / split / "data") for p, _ in samples} == {r["path"] for r in rows}
    some = tmp_path / "x" / "train" / "data" / FOUND.table["path"][0].as_py()
    assert (some.is_symlink(), some.stat().st_nlink > 1) == (link == "link", link == "hardlink")
    assert not (tmp_path / "x" / "missing.txt").exists()


def test_round_trip_from_the_folder_and_from_any_file(options, root, tmp_path):
    paths = fiftyone_layout.write(FOUND, tmp_path, "x", options)
    for path in (tmp_path / "x", tmp_path / "x" / "val", *paths):
        back = fiftyone_layout.read(path)
        assert back.table.select(NAMES).to_pylist() == FOUND.table.select(NAMES).to_pylist()
        assert (back.classes, back.splits) == (FOUND.classes, FOUND.splits)
    for path in FOUND.table["path"].to_pylist():
        assert back.pictures(path) == (root / path).read_bytes()
    fiftyone_layout.write(back, tmp_path, "y")
    for name in ("train/labels.json", f"train/data/{FOUND.table['path'][0]}"):
        assert (tmp_path / "x" / name).read_bytes() == (tmp_path / "y" / name).read_bytes()


def test_pictures_that_are_gone_have_no_label(options, root, tmp_path):
    gone = FOUND.table["path"].to_pylist()[:2]

    def locate(path):
        return root / "nowhere" if path in gone else root / path

    for link in ("link", "copy"):
        fiftyone_layout.write(FOUND, tmp_path, link, dataclasses.replace(options, locate=locate, link=link))
        assert (tmp_path / link / "missing.txt").read_text().splitlines() == gone
        assert len(imported(tmp_path / link / "train")) == len(FOUND.of("train")) - 2
        back = fiftyone_layout.read(tmp_path / link)
        assert back.table["path"].to_pylist() == FOUND.table["path"].to_pylist()[2:]
        assert back.classes == FOUND.classes


def test_names_are_different_without_suffix_in_any_letter_case(tmp_path):
    paths = [
        "a/1.jpg",
        "a/1.png",
        "A/1.JPG",
        "a/2.jpg",
        "a",
        "b/.hidden.jpg",
        "b\\c.jpg",
        "x.tar.gz",
        "x.tar",
        "p%41.jpg",
    ]
    found = annotations([(path, i % 2, "train") for i, path in enumerate(paths)])
    fiftyone_layout.write(found, tmp_path, "x")
    samples = imported(tmp_path / "x" / "train")
    keys = {posixpath.splitext(os.path.relpath(p, tmp_path / "x" / "train" / "data"))[0].casefold() for p, _ in samples}
    assert len(keys) == len(samples) == len(paths)
    assert {(Path(path).read_bytes().decode(), name) for path, name in samples} == {
        (path, found.classes[i % 2]) for i, path in enumerate(paths)
    }
    assert (tmp_path / "x" / "train" / "data" / "a" / "2.jpg").is_file()
    back = fiftyone_layout.read(tmp_path / "x")
    assert back.table.select(NAMES).to_pylist() == found.table.select(NAMES).to_pylist()


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6)
parts = st.sampled_from(
    ["a", "A", "b.jpg", "B.png", "b", ".", "...", "c ", "nul", "a\nb", "é" * 150 + ".jpg", "e.", "%2E"]
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.lists(parts | text, min_size=1, max_size=3).map("/".join), max_size=8, unique=True))
def test_any_names_or_a_clear_refusal(names, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    found = annotations([(name, i % 2, "train") for i, name in enumerate(names)])
    try:
        fiftyone_layout.write(found, folder, "x")
    except ArgumentError:
        assert list(folder.iterdir()) == []
        assert any(name[0] in "/\\" or ".." in name.replace("\\", "/").split("/") or name[1:2] == ":" for name in names)
        return
    samples = imported(folder / "x" / "train")
    assert sorted((Path(path).read_bytes().decode(), label) for path, label in samples) == sorted(
        (name, found.classes[i % 2]) for i, name in enumerate(names)
    )
    back = fiftyone_layout.read(folder / "x")
    assert back.table.select(NAMES).to_pylist() == found.table.select(NAMES).to_pylist()


def foreign(folder, document, names=("1.jpg", "sub/2.png", ".hidden.jpg")):
    for name in names:
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_text(name)
    (folder / "labels.json").write_text(json.dumps(document))
    return folder


def test_data_sets_of_others(tmp_path):
    one = foreign(tmp_path / "set" / "one", {"classes": ["cat", "dog"], "labels": {"1": 1, "sub/2": {"label": 0}}})
    back = fiftyone_layout.read(one)
    assert (back.splits, back.classes) == (("one",), ("cat", "dog"))
    assert back.table.select(["path", "label"]).to_pydict() == {"path": ["1.jpg", "sub/2.png"], "label": [1, 0]}
    assert back.pictures("sub/2.png") == b"sub/2.png"
    foreign(tmp_path / "set" / "two", {"classes": ["cat", "dog"], "labels": {"1": "dog"}})
    both = fiftyone_layout.read(tmp_path / "set")
    assert (both.splits, both.table["split"].to_pylist()) == (("one", "two"), ["one", "one", "two"])
    names = foreign(tmp_path / "names", {"classes": None, "labels": {"1": "dog", "sub/2": "cat"}})
    assert fiftyone_layout.read(names / "labels.json").table["class_name"].to_pylist() == ["dog", "cat"]
    assert fiftyone_layout.read(names).classes == ("cat", "dog")
    (one / "data" / "1.jpg").unlink()
    assert back.pictures("1.jpg") is None


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "key labels is missing"),
        ({"classes": []}, "key labels is missing"),
        ({"labels": ["a"]}, "key labels is a list, not a dict"),
        ({"labels": {}, "classes": [3]}, "key classes holds 3"),
        ({"labels": {"1": 2}, "classes": ["a", "b"]}, r"labels\['1'\] is 2, which is none of its 2 classes"),
        ({"labels": {"1": -1}, "classes": ["a", "b"]}, r"labels\['1'\] is -1, which is none of its 2 classes"),
        ({"labels": {"1": "c"}, "classes": ["a", "b"]}, r"labels\['1'\] is 'c', which is none of its 2 classes"),
        ({"labels": {"1": None}, "classes": ["a"]}, r"labels\['1'\] is None"),
        ({"labels": {"1": [0, 1]}, "classes": ["a", "b"]}, r"labels\['1'\] is \[0, 1\]"),
        ({"labels": {"1": True}}, r"labels\['1'\] is True, which is no name of a class"),
        ({"labels": {"3": 0}, "classes": ["a"]}, r"labels\['3'\] has no picture in .*data"),
        ({"labels": {"../1": 0}, "classes": ["a"]}, r"labels\['../1'\] has no picture"),
        ({"labels": {"/etc/passwd": 0}, "classes": ["a"]}, r"labels\['/etc/passwd'\] has no picture"),
        ({"labels": {".hidden": 0}, "classes": ["a"]}, r"labels\['.hidden'\] has no picture"),
        ({"labels": {"4": 0}, "classes": ["a"]}, r"labels\['4'\] has two pictures"),
        ({"labels": {"1": 0}, "classes": ["a"], "paths": {"1": "../x"}}, r"path '../x' leads out"),
        ({"labels": {"1": 0}, "classes": ["a"], "paths": {"1": 1}}, "key paths holds 1"),
        (
            {"labels": {"1": 0}, "classes": ["a"], "split": "x", "splits": ["x", "y"]},
            r"are not there \(.*y/labels.json\)",
        ),
    ],
)
def test_a_wrong_key_is_named(tmp_path, document, message):
    folder = foreign(tmp_path / "x", document, ("1.jpg", ".hidden.jpg", "4.jpg", "4.png"))
    with pytest.raises(CurationError, match=message):
        fiftyone_layout.read(folder)


def test_what_is_no_data_set(tmp_path):
    with pytest.raises(CurationError, match=r"holds neither labels\.json nor folders that do"):
        fiftyone_layout.read(tmp_path)
    foreign(tmp_path / "a", {"classes": ["a"], "labels": {"1": 0}})
    foreign(tmp_path / "b", {"classes": ["b"], "labels": {"1": 0}})
    with pytest.raises(CurationError, match="its classes are not those of"):
        fiftyone_layout.read(tmp_path)


@pytest.mark.parametrize(
    ("found", "options", "message"),
    [
        (dataclasses.replace(FOUND, pictures=None), Options(), "give --root"),
        (annotations([("a.jpg", 0, "train")] * 2), Options(), "2 images and only 1 different paths"),
        (annotations([("/a.jpg", 0, "train")]), Options(), "leads out of the data set"),
        (
            annotations([("a.jpg", 2, "train")], ["bee", "ant", "fly"]),
            Options(link="teleport"),
            "unknown link 'teleport'",
        ),
        (annotations([("a.jpg", 0, "a/b")], splits=["a/b"]), Options(), "cannot be a file name"),
    ],
)
def test_what_it_cannot_hold_is_refused_before_anything_is_written(tmp_path, found, options, message):
    with pytest.raises(ArgumentError, match=message):
        fiftyone_layout.write(found, tmp_path, "x", options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_whole_or_absent(tmp_path, full_disk):
    found = annotations([("a.jpg", 0, "train"), ("b.jpg", 1, "val")])
    with full_disk(), pytest.raises(CurationError, match="no space left"):
        fiftyone_layout.write(found, tmp_path, "x")
    assert list(tmp_path.iterdir()) == []
    fiftyone_layout.write(found, tmp_path, "x")
    with pytest.raises(CurationError, match="is there already"):
        fiftyone_layout.write(found, tmp_path, "x")
