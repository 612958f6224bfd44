"""Trees with class folders of every kind, from sets that hold their pictures, and what they tell Hugging Face."""

import dataclasses
import json

import pictured
import pyarrow as pa
import pytest

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats import image_folder, webdataset_shards
from curation.formats.annotations import Options

FOUND = pictured.pictured()


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    return pictured.put(FOUND, tmp_path_factory.mktemp("pictures"))


@pytest.mark.parametrize("kind", image_folder.CLASS_FOLDERS)
def test_class_folders_of_every_kind(tmp_path, options, kind):
    image_folder.write(FOUND, tmp_path, "tree", dataclasses.replace(options, class_folders=kind))
    tree = tmp_path / "tree"
    folders = [p.name for p in sorted((tree / "train").iterdir()) if p.is_dir()]
    wanted = {"index": [f"{i:04d}" for i in range(12)], "wnid": sorted(pictured.WNIDS)}
    assert folders == wanted.get(kind, sorted(image_folder.class_folders(FOUND.classes)))
    assert not (tree / "test_lt").exists()
    found = image_folder.read(tree)
    assert found.table.to_pylist() == FOUND.table.to_pylist()
    path = FOUND.table["path"][50].as_py()
    assert found.pictures(path) == options.locate(path).read_bytes()


def test_so_many_classes_that_four_digits_are_too_few():
    folders = image_folder.class_folders(tuple(map(str, range(10_001))), "index")
    assert (folders[3], folders[-1]) == ("00003", "10000")
    assert folders == sorted(folders)


def test_a_class_without_images_in_a_split_keeps_its_place(tmp_path, options):
    left = FOUND.table.filter(pa.array([row["label"] != 3 for row in FOUND.table.to_pylist()]))
    fewer = dataclasses.replace(FOUND, table=left)
    image_folder.write(fewer, tmp_path, "tree", dataclasses.replace(options, class_folders="index"))
    assert list((tmp_path / "tree" / "val" / "0003").iterdir()) == []
    assert len(list((tmp_path / "tree" / "val" / "0004").iterdir())) == 1
    (tmp_path / "tree" / image_folder.INDEX).unlink()
    assert image_folder.read(tmp_path / "tree").classes == tuple(f"{i:04d}" for i in range(12))


@pytest.mark.parametrize(
    ("classes", "wnids", "message"),
    [
        (("n01440764", "ant"), None, "class 'ant' has no WNID .*: choose class folders by name or index"),
        (("bee", "ant"), ["n01440764", None], "class 'ant' has no WNID"),
        (("bee", "ant"), ["n01440764", "../../n0144"], "class 'ant' has no WNID"),
        (("bee", "ant"), ["n01440764", "n01440764"], "classes 'bee' and 'ant' share the WNID n01440764"),
    ],
)
def test_classes_without_wnid(classes, wnids, message):
    about = wnids and pa.table({"class_name": list(classes), "wnid": wnids})
    with pytest.raises(ArgumentError, match=message):
        image_folder.class_folders(classes, "wnid", about)
    with pytest.raises(ArgumentError, match="unknown class folders 'colour': choose one of name, index, wnid"):
        image_folder.class_folders(classes, "colour")


def test_wnids_of_names_and_of_what_is_known():
    about = pa.table({"class_name": ["n01440764", "ant"], "wnid": pa.array([None, "n02219486"])})
    assert image_folder.class_folders(("n01440764", "ant"), "wnid", about) == ["n01440764", "n02219486"]


def test_pictures_that_a_set_holds_are_copied(tmp_path, options):
    (shards,) = webdataset_shards.write(FOUND, tmp_path, "shards", options)
    image_folder.write(webdataset_shards.read(shards), tmp_path, "tree")
    image_folder.write(image_folder.read(tmp_path / "tree"), tmp_path, "again")
    index = files.sha256_file(tmp_path / "tree" / "index.csv")
    assert files.sha256_file(tmp_path / "again" / "index.csv") == index
    for tree in (tmp_path / "tree", tmp_path / "again"):
        found = [p for p in tree.rglob("*") if p.is_file() and p.name != "index.csv"]
        assert len(found) == len(FOUND.table)
        assert not any(p.is_symlink() for p in found)
    for path, name in zip(FOUND.table["path"].to_pylist(), image_folder.tree(FOUND), strict=True):
        assert (tmp_path / "again" / name).read_bytes() == options.locate(path).read_bytes()


def test_a_picture_that_the_tree_has_lost(tmp_path, options):
    image_folder.write(FOUND, tmp_path, "tree", options)
    (tmp_path / "tree" / image_folder.tree(FOUND)[4]).unlink()
    found = image_folder.read(tmp_path / "tree")
    webdataset_shards.write(found, tmp_path, "shards")
    assert (tmp_path / "shards" / "missing.txt").read_text().splitlines() == [FOUND.table["path"][4].as_py()]


def test_an_index_alone_says_nothing_of_pictures(tmp_path, options):
    image_folder.write_index(FOUND, tmp_path)
    assert image_folder.read(tmp_path).pictures is None


def test_an_index_that_leads_out_of_the_tree(tmp_path):
    (tmp_path / "train").mkdir()
    for name in ("../../secret.jpg", "/etc/passwd", "train/../../x"):
        (tmp_path / "index.csv").write_text(f"path,label,file\na.jpg,0,{name}\n")
        with pytest.raises(CurationError, match="leads out of the tree"):
            image_folder.read(tmp_path)
    (tmp_path / "index.csv").write_text("path,label\na.jpg,0\n")
    with pytest.raises(CurationError, match="the column file is missing"):
        image_folder.read(tmp_path)


def test_what_is_told_of_the_pictures_that_are_there(tmp_path, options):
    gone = dataclasses.replace(options, locate=lambda p: options.locate("none" if p == "c1/val_0.x.JPEG" else p))
    image_folder.write(FOUND, tmp_path, "tree", dataclasses.replace(gone, class_folders="index"))
    rows = [json.loads(line) for line in (tmp_path / "tree" / "val" / "metadata.jsonl").read_text().splitlines()]
    wanted = [row for row in FOUND.of("val").to_pylist() if row["path"] != "c1/val_0.x.JPEG"]
    assert [row.pop("file_name") for row in rows][:2] == ["0000/val_0.x.JPEG", "0002/val_0.x.JPEG"]
    # The folder says the split, and no row says its cluster.
    assert rows == [{k: v for k, v in row.items() if k not in ("split", "cluster")} for row in wanted]


def test_files_that_are_no_pictures_are_not_read(tmp_path):
    for name in (
        "train/ant/1.JPG",
        "train/ant/2.heic",
        "train/ant/.DS_Store",
        "train/ant/Thumbs.db",
        "train/ant/.3.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    for name in ("train/.ipynb_checkpoints/4.jpg", ".git/ant/5.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x")
    found = image_folder.read(tmp_path)
    assert found.table["path"].to_pylist() == ["train/ant/1.JPG", "train/ant/2.heic"]
    assert (found.classes, found.splits) == (("ant",), ("train",))
    for name in ("1.JPG", "2.heic"):
        (tmp_path / "train" / "ant" / name).unlink()
    with pytest.raises(CurationError, match="is no tree of SPLIT/CLASS/PICTURE"):
        image_folder.read(tmp_path)


def test_names_that_are_one_file_or_a_device_on_some_system():
    both = ("caf\u00e9", "cafe\u0301", "CON", "aux.png", "console")
    folders = image_folder.class_folders(both)
    assert folders[2:] == ["%43%4F%4E", "%61%75%78.png", "console"]
    assert [folder[-4:] for folder in folders[:2]] == ["%7E0", "%7E1"]


def test_one_label_makes_no_million_folders(tmp_path, options):
    many = dataclasses.replace(FOUND, classes=(*FOUND.classes, *map(str, range(200_000))))
    with pytest.raises(ArgumentError, match="85 images in 200,012 folders"):
        image_folder.write(many, tmp_path, "tree", dataclasses.replace(options, class_folders="index"))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_leaves_nothing(tmp_path, options):
    with pytest.raises(ArgumentError, match="unknown class folders 'colour'"):
        image_folder.write(FOUND, tmp_path, "tree", dataclasses.replace(options, class_folders="colour"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ArgumentError, match="nothing says where they are: give --root"):
        image_folder.write(FOUND, tmp_path, "tree", Options())
