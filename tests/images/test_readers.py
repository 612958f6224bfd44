"""Layouts of folders become listings in byte order, whatever order the disk gives."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ArgumentError, CurationError
from curation.images import readers
from curation.images.walk import Folder, Tree, listing, walk


def make(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    return root


def rows(found: readers.Listing) -> list[tuple[str, str, str]]:
    table = found.table.to_pydict()
    return list(zip(table["path"], table["class_name"], table["source_split"], strict=True))


def test_class_folders(tmp_path):
    make(tmp_path, "bee/2.png", "bee/sub/1.jpg", "ant/1.JPEG", "ant/notes.txt", "ant/.hidden.jpg", "loose.png")
    found = readers.find(tmp_path)
    assert found.layout == "folders"
    assert rows(found) == [("ant/1.JPEG", "ant", ""), ("bee/2.png", "bee", ""), ("bee/sub/1.jpg", "bee", "")]
    assert found.ignored == {"hidden": 1, "no picture extension": 1, "outside class folders": 1}
    assert found.table["bytes"].to_pylist() == [10, 9, 13]
    assert found.table["modified"][0].as_py() == (tmp_path / "ant/1.JPEG").stat().st_mtime_ns


def test_split_folders_by_their_usual_names(tmp_path):
    make(tmp_path, "Train/ant/1.jpg", "validation/ant/1.jpg", "test/bee/1.jpg", "test/loose.jpg", "extra/ant/9.jpg")
    found = readers.find(tmp_path)
    assert found.layout == "splits"
    assert rows(found) == [
        ("Train/ant/1.jpg", "ant", "train"),
        ("test/bee/1.jpg", "bee", "test"),
        ("validation/ant/1.jpg", "ant", "val"),
    ]
    assert found.ignored == {"outside class folders": 1, "outside train, val and test folders": 1}


@pytest.mark.parametrize(
    ("paths", "layout"),
    [
        (["train/1.jpg", "car/1.jpg"], "folders"),  # a class that is called train
        (["train/steam/1.jpg", "car/1.jpg"], "folders"),
        (["train/ant/1.jpg", "test/1.jpg"], "splits"),  # a test set without labels
        (["train/ant/1.jpg"], "splits"),
        (["train/n01440764/1.jpg", "val/n01440764/1.jpg"], "splits"),
        (["a/x/1.jpg", "b/y/1.jpg"], "folders"),
    ],
)
def test_auto_tells_the_layout(tmp_path, paths, layout):
    assert readers.find(make(tmp_path, *paths)).layout == layout


@given(
    st.lists(
        st.tuples(*[st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)] * 2),
        min_size=1,
        unique=True,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_the_listing_is_in_byte_order_whatever_the_order_of_the_folders(names, shuffle):
    def tree(pairs):
        folders: dict[str, Folder] = {}
        for folder, name in pairs:
            here = folders.setdefault(folder, Folder(folder))
            here.names.append(name), here.sizes.append(len(name)), here.modified.append(len(folder))
        return [(folder, folder.path, "") for folder in folders.values()]

    first = listing(Tree(Path()), "folders", tree(names)).table
    shuffle.shuffle(names)
    second = listing(Tree(Path()), "folders", tree(names)).table
    assert first.equals(second)
    paths = first["path"].to_pylist()
    assert [path.encode() for path in paths] == sorted(f"{folder}/{name}".encode() for folder, name in names)
    assert first["class_name"].to_pylist() == [path.split("/")[0] for path in paths]


def test_a_shuffled_directory_listing_changes_nothing(tmp_path, monkeypatch):
    make(tmp_path, *(f"{'abc'[i % 3]}/sub{i % 2}/{i}.jpg" for i in range(30)))
    expected = readers.find(tmp_path)
    real = os.scandir

    class Shuffled:
        def __init__(self, path):
            with real(path) as entries:
                self.entries = list(entries)
            random.Random(str(path)).shuffle(self.entries)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(os, "scandir", Shuffled)
    found = readers.find(tmp_path)
    assert found.table.equals(expected.table)
    assert found.table["class_name"].chunk(0).dictionary.equals(expected.table["class_name"].chunk(0).dictionary)


def test_an_empty_folder_says_what_to_choose(tmp_path):
    with pytest.raises(CurationError, match=r"has no pictures.*no files at all.*choose the folder that holds"):
        readers.find(tmp_path)
    make(tmp_path, "a/readme.txt")
    with pytest.raises(CurationError, match="1 no picture extension"):
        readers.find(tmp_path)
    make(tmp_path, "1.jpg", "2.jpg")
    with pytest.raises(CurationError, match=r"2 outside class folders.*one folder a class"):
        readers.find(tmp_path)


def test_wrong_arguments(tmp_path):
    with pytest.raises(ArgumentError, match="unknown layout 'tree': choose one of auto, folders"):
        readers.find(tmp_path, layout="tree")
    with pytest.raises(ArgumentError, match="needs a CSV"):
        readers.find(tmp_path, layout="table")
    with pytest.raises(ArgumentError, match="reads no table"):
        readers.find(tmp_path, layout="folders", table="x.csv")
    with pytest.raises(CurationError, match=r"folder .*nowhere cannot be read: No such file"):
        readers.find(tmp_path / "nowhere")


def test_classes_that_differ_in_case_are_kept_apart_and_noted(tmp_path):
    make(tmp_path, "Shirt/1.jpg", "Shirt/2.jpg", "shirt/1.jpg", "cafe\u0301/1.jpg", "caf\u00e9/1.jpg", "ant/1.jpg")
    found = readers.find(tmp_path)
    assert {row[1] for row in rows(found)} == {"Shirt", "shirt", "cafe\u0301", "caf\u00e9", "ant"}
    alike = [note for note in found.notes if "differ only in case" in note]
    assert len(alike) == 2
    assert any("'Shirt' (2 images) and 'shirt' (1 images)" in note for note in alike)


def test_classes_of_one_image_and_empty_classes_are_noted(tmp_path):
    make(tmp_path, "ant/1.jpg", "bee/1.jpg", "bee/2.jpg")
    (tmp_path / "cat").mkdir()
    notes = readers.find(tmp_path).notes
    assert notes == ["1 class folders have no picture: 'cat'", "1 classes have one image: 'ant'"]


def test_long_and_foreign_names(tmp_path):
    long = "x" * 251 + ".jpg"
    make(tmp_path, f"蚂蚁/{long}", "蚂蚁/ñandú \n'\".png", "müsli/🐜.gif")
    assert [row[:2] for row in rows(readers.find(tmp_path))] == [
        ("müsli/🐜.gif", "müsli"),
        (f"蚂蚁/{long}", "蚂蚁"),
        ("蚂蚁/ñandú \n'\".png", "蚂蚁"),
    ]


def test_names_that_are_not_utf8_are_counted(tmp_path):
    make(tmp_path, "ant/1.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path / "ant") + b"/\xff\xfe.jpg")).write_bytes(b"x")
    assert readers.find(tmp_path).ignored == {"name is not UTF-8": 1}


def test_links(tmp_path):
    root = make(tmp_path / "root", "ant/1.jpg")
    make(tmp_path / "elsewhere", "2.jpg")
    (root / "bee").symlink_to(tmp_path / "elsewhere")
    (root / "ant" / "up").symlink_to(root)
    (root / "ant" / "self").symlink_to("self")
    (root / "ant" / "nowhere.jpg").symlink_to("nothing")
    os.mkfifo(root / "ant" / "pipe.jpg")
    found = readers.find(root)
    assert [row[0] for row in rows(found)] == ["ant/1.jpg", "ant/nowhere.jpg", "bee/2.jpg"]
    assert found.ignored == {"neither file nor folder": 1, "no picture extension": 1}
    assert found.notes[0] == "folder 'ant/up' is a link back to a folder above it: not followed"


def test_the_workspace_is_left_out_and_progress_is_told(tmp_path, monkeypatch):
    make(tmp_path, "ant/1.jpg", "ws/thumbnails/1.webp")
    monkeypatch.setattr("curation.images.walk._REPORT", 1)
    told = []
    tree = walk(tmp_path, skip=tmp_path / "ws", progress=lambda *what: told.append(what))
    assert tree.candidates == 1
    assert told == [(1, 0, "finding pictures")]


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    make(tmp_path, "ant/1.jpg")
    real = os.scandir

    def refuse(path):
        if str(path).endswith("ant"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CurationError, match="ant cannot be listed: Permission denied"):
        readers.find(tmp_path)
