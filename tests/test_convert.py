"""Between any two formats that can carry the data, on one small data set of real pictures."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pictures import draw

from curation import files
from curation.convert import convert
from curation.errors import ArgumentError, CurationError
from curation.formats import registry
from curation.formats.annotations import AnnotationSet, Options, annotation_table, names_of

WNIDS = ("n01440764", "n02084071")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of six pictures, and `all.csv` and `glt.json` that tell everything about them."""
    folder = tmp_path_factory.mktemp("data")
    rows = [(split, label, i) for split, many in (("train", 2), ("val", 1)) for label in (0, 1) for i in range(many)]
    paths = [f"{split}/{WNIDS[label]}/{WNIDS[label]}_{i}.png" for split, label, i in rows]
    for i, path in enumerate(paths):
        (folder / "pictures" / path).parent.mkdir(parents=True, exist_ok=True)
        draw(i).save(folder / "pictures" / path)
    labels = np.array([label for _, label, _ in rows])
    columns = {
        "path": paths,
        "label": labels,
        "class_name": names_of(labels, WNIDS),
        "split": [split for split, _, _ in rows],
        "frequency": labels * 2,
        "attribute": np.arange(6) % 3,
        "number": np.arange(1, 7),
        "width": [64] * 6,
        "height": [48] * 6,
        "sha256": [files.sha256_file(folder / "pictures" / path) for path in paths],
    }
    found = AnnotationSet(annotation_table(columns), WNIDS, ("train", "val"), {"from": "a test"})
    registry.get("parquet").write(found, folder, "all", Options())
    bare = AnnotationSet(found.table.select(range(7)), WNIDS, ("train", "val"))
    registry.get("glt-json").write(bare, folder, "glt", Options())
    return folder


@pytest.mark.parametrize("name", sorted(set(registry.FORMATS) - {"subset-npz"}))
def test_there_and_back(data, tmp_path, name):
    """Through any format, told by its name and content alone, without losing what it says it holds."""
    kind = registry.get(name)
    there = convert(data / "all.parquet", tmp_path / "there", to=name, root=data / "pictures")
    assert (there["from"], there["to"], there["images"], there["splits"]) == (
        "parquet",
        name,
        6,
        {"train": 4, "val": 2},
    )
    assert there["set_aside"] == 0
    source = registry.get("parquet").read(data / "all.parquet")
    held = {column: 6 for column in source.table.column_names if source.table[column].null_count < 6}
    held["meta"] = 6
    assert there["lost"] == [{"column": c, "rows": n} for c, n in held.items() if c not in kind.holds]
    place = tmp_path / "there"
    if not kind.folder:
        place /= next(file for file in there["files"] if not file.endswith("-records.parquet"))
    back = convert(place, tmp_path / "back.parquet", to="parquet")
    assert (back["from"], back["files"]) == (name, ["back.parquet"])
    found = registry.get("parquet").read(tmp_path / "back.parquet")
    for column in kind.holds & set(source.table.column_names):
        both = [zip(t["path"].to_pylist(), t[column].to_pylist(), strict=True) for t in (source.table, found.table)]
        assert dict(both[0]) == dict(both[1]), column


def test_pictures_travel_inside_and_need_no_root(data, tmp_path):
    convert(data / "all.parquet", tmp_path / "shards", to="webdataset", root=data / "pictures")
    convert(tmp_path / "shards", tmp_path / "parquet", to="hf")
    summary = convert(tmp_path / "parquet", tmp_path / "tree", to="folder")
    assert summary["lost"][-1] == {"column": "meta", "rows": 6}
    for path in (data / "pictures").rglob("*.png"):
        split, wnid, name = path.relative_to(data / "pictures").parts
        assert (tmp_path / "tree" / split / wnid / name).read_bytes() == path.read_bytes()
    lost = convert(tmp_path / "tree", tmp_path / "list.csv", to="csv")["lost"]
    assert lost == [{"column": "pictures", "rows": 6}]
    with pytest.raises(ArgumentError, match="nothing says where they are: give --root"):
        convert(data / "all.parquet", tmp_path / "no", to="webdataset")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["list.csv", "parquet", "shards", "tree"]


def test_the_published_subset_program(data, tmp_path):
    summary = convert(data / "all.parquet", tmp_path / "imagenet2", to="subset-npz", root=data / "pictures")
    assert summary["files"] == ["imagenet2/imagenet2_cls_part1.npz", "imagenet2/imagenet2_cls_metadata.csv"]
    with np.load(tmp_path / "imagenet2" / "imagenet2_cls_part1.npz") as arrays:
        assert list(arrays) == ["X_train", "y_train", "train_id", "X_val", "y_val", "val_id"]
        assert arrays["X_train"].shape == (4, 224, 224, 3)
        assert arrays["train_id"].tolist() == [1, 2, 3, 4]
    whole = convert(data / "all.parquet", tmp_path / "one", to="subset-npz", root=data / "pictures", concatenate=True)
    assert whole["files"][0] == "one/one_cls.npz"
    found = registry.get(registry.guess(tmp_path / "one")).read(tmp_path / "one")
    assert len(found.table) == 6


def test_links_of_a_converted_tree_lead_to_the_pictures(data, tmp_path):
    convert(data / "glt.json", tmp_path / "deep" / "tree", to="folder", root=data / "pictures")
    links = list((tmp_path / "deep" / "tree").rglob("*.png"))
    assert len(links) == 6
    assert all(link.is_symlink() and link.is_file() for link in links)


def test_absolute_paths_become_relative_and_back(data, tmp_path):
    root = data / "pictures"
    convert(data / "all.parquet", tmp_path / "a.json", to="glt-json", root=root, absolute=True)
    document = json.loads((tmp_path / "a.json").read_text())
    assert all(path.startswith(f"{root}/train/") for path in document["train"]["label"])
    convert(tmp_path / "a.json", tmp_path / "b.json", to="glt-json", root=root)
    assert (tmp_path / "b.json").read_text() != (tmp_path / "a.json").read_text()
    assert next(iter(json.loads((tmp_path / "b.json").read_text())["train"]["label"])).startswith("train/n0")
    with pytest.raises(CurationError, match=rf"path '{root}/train/.*' leads out of {tmp_path}.*--root"):
        convert(tmp_path / "a.json", tmp_path / "c.json", to="glt-json", root=tmp_path)
    with pytest.raises(ArgumentError, match="give --root"):
        convert(tmp_path / "b.json", tmp_path / "c.json", to="glt-json", absolute=True)


@pytest.mark.parametrize("path", ["../secret.png", "a/../../b.png", ".."])
def test_paths_that_lead_out_are_refused(data, tmp_path, path):
    table = pa.table({"path": ["train/a.png", path], "label": [0, 1]})
    files.write_table(tmp_path / "bad.parquet", table)
    for root in (None, data / "pictures"):
        with pytest.raises(CurationError, match="leads out of"):
            convert(tmp_path / "bad.parquet", tmp_path / "out.csv", to="csv", root=root)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.parquet"]


def test_a_prefix_of_every_path(data, tmp_path):
    root = data / "pictures"
    convert(data / "all.parquet", tmp_path / "a.json", to="glt-json", root=root, absolute=True)
    convert(tmp_path / "a.json", tmp_path / "b.json", to="glt-json", prefix=(f"{root}/", "/other/machine/"))
    assert next(iter(json.loads((tmp_path / "b.json").read_text())["train"]["label"])).startswith(
        "/other/machine/train/n0"
    )
    convert(tmp_path / "b.json", tmp_path / "c.csv", to="csv", prefix=("/other/machine", "."), root="/other")
    assert registry.get("csv").read(tmp_path / "c.csv").table["path"][0].as_py().startswith("./train/n01440764/")
    convert(data / "all.parquet", tmp_path / "d.csv", to="csv", prefix=("", "r/"))
    assert registry.get("csv").read(tmp_path / "d.csv").table["path"][0].as_py().startswith("r/train/n01440764/")
    with pytest.raises(
        CurationError, match=r"path 'val/n01440764/.*' does not begin with 'train/', .* 2 of 6: give what every"
    ):
        convert(data / "all.parquet", tmp_path / "e.csv", to="csv", prefix=("train/", "x/"))
    with pytest.raises(CurationError, match=r"'../train/.*leads out"):
        convert(data / "all.parquet", tmp_path / "e.csv", to="csv", prefix=("", "../"))
    convert(data / "all.parquet", tmp_path / "shards", to="webdataset", root=root)
    convert(tmp_path / "shards", tmp_path / "tree", to="folder", prefix=("", "new/"))
    assert len(list((tmp_path / "tree").rglob("*.png"))) == 6


def test_an_empty_set_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("path,label\n")
    for to in ("inat-json", "imagenetv2-json", "csv"):
        with pytest.raises(CurationError, match=r"a.csv holds 0 images: there is nothing to write"):
            convert(tmp_path / "a.csv", tmp_path / "out", to=to)
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_a_folder_is_written_where_only_it_can_be(data, tmp_path, monkeypatch):
    """As below a parent that others own, or at the top of a disk: nothing is made beside it."""
    mkdir = Path.mkdir

    def guarded(path, *more, **options):
        if path.parent == tmp_path and not path.exists():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return mkdir(path, *more, **options)

    (tmp_path / "mine").mkdir()
    monkeypatch.setattr(Path, "mkdir", guarded)
    for to, name in (("folder", "tree"), ("fiftyone", "layout"), ("imagenet-lt-txt", "")):
        convert(data / "all.parquet", tmp_path / "mine" / name, to=to, root=data / "pictures")
    assert len([p for p in (tmp_path / "mine").rglob("*.png") if p.is_symlink() and p.is_file()]) == 12
    with pytest.raises(CurationError, match=r"theirs cannot be written: Permission denied: choose another place"):
        convert(data / "all.parquet", tmp_path / "theirs", to="imagenet-lt-txt")
    with pytest.raises(ArgumentError, match="/ is the top of the disk: name one"):
        convert(data / "all.parquet", "/", to="folder", root=data / "pictures")
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_links_and_files_in_the_way(data, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "lnk").symlink_to(tmp_path / "real")
    options = {"to": "folder", "root": data / "pictures"}
    for overwrite, message in ((False, "--overwrite"), (True, "lnk is a link: give the folder that it leads to")):
        with pytest.raises(ArgumentError, match=message):
            convert(data / "all.parquet", tmp_path / "out", stem="lnk", overwrite=overwrite, **options)
    assert list((tmp_path / "real").iterdir()) == []
    convert(data / "all.parquet", tmp_path / "out" / "lnk", **options)
    assert (tmp_path / "real" / "index.csv").is_file()
    (tmp_path / "file").write_text("x")
    for target in (tmp_path / "file", tmp_path / "file" / "x"):
        with pytest.raises(CurationError, match="file is a file: choose another place"):
            convert(data / "all.parquet", target, to="imagenet-lt-txt")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "out", "real"]


def test_an_interrupted_overwrite_keeps_the_old_files(data, tmp_path, monkeypatch):
    options = {"to": "imagenet-lt-txt", "overwrite": True}
    convert(data / "all.parquet", tmp_path / "out", **options)
    before = {p.name: p.read_text() for p in (tmp_path / "out").iterdir()}
    rename = Path.rename

    def interrupted(path, target):
        if path.name == "all_val.txt" and target.parent == tmp_path / "out":
            monkeypatch.undo()
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(data / "all.parquet", tmp_path / "out", prefix=("", "x/"), **options)
    assert {p.name: p.read_text() for p in (tmp_path / "out").iterdir()} == before


def test_what_is_lost_is_told(data, tmp_path):
    labels = np.array([0, 2])
    names = ("cat", "dog", "eel")
    columns = {"path": ["a.png", "b.png"], "label": labels, "class_name": names_of(labels, names)}
    columns |= {"split": ["train", "test"], "cluster": [1, None]}
    found = AnnotationSet(annotation_table(columns), names, ("train", "val", "test"))
    registry.get("parquet").write(found, tmp_path, "a", Options())
    told = {to: convert(tmp_path / "a.parquet", tmp_path / to, to=to)["lost"] for to in ("csv", "imagenet-lt-txt")}
    assert told["csv"] == [{"column": "classes", "rows": 1}, {"column": "splits", "rows": 1}]
    assert told["imagenet-lt-txt"] == [{"column": "cluster", "rows": 1}, {"column": "splits", "rows": 1}]
    for i, name in enumerate(("a", "b")):
        draw(i).save(tmp_path / f"{name}.png")
    packed = convert(tmp_path / "a.parquet", tmp_path / "npz", to="subset-npz", root=tmp_path)
    assert {"column": "split", "rows": 1} in packed["lost"]
    assert convert(tmp_path / "npz", tmp_path / "again", to="subset-npz")["lost"] == []
    (tmp_path / "b.csv").write_text("path,label,cluster,split\na.png,0,1,train\n")
    made = convert(tmp_path / "b.csv", tmp_path / "b.json", to="glt-json")
    assert made["lost"] == [{"column": "cluster", "rows": 1}]
    assert made["lacks"] == [{"column": "attribute", "rows": 1}, {"column": "frequency", "rows": 1}]
    (tmp_path / "c.csv").write_text("path,label\na.png,0\n")
    made = convert(tmp_path / "c.csv", tmp_path / "hf", to="hf", root=tmp_path)
    assert made["lost"] == [{"column": "split", "rows": 1}]
    assert registry.read(tmp_path / "hf")[1].splits == ("train",)


@pytest.mark.parametrize("to", ["folder", "fiftyone", "webdataset", "hf", "subset-npz"])
def test_a_root_without_any_of_the_pictures(data, tmp_path, to):
    with pytest.raises(CurationError, match=r"0 of 6 pictures can be had \('train/.*: there is no such"):
        convert(data / "all.parquet", tmp_path / "out", to=to, root=tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_unless_asked(data, tmp_path):
    (tmp_path / "a.csv").write_text("years of work")
    with pytest.raises(ArgumentError, match=r"has 1 of the 1 files to write \('a.csv'\).*--overwrite"):
        convert(data / "all.parquet", tmp_path / "a.csv", to="csv")
    assert (tmp_path / "a.csv").read_text() == "years of work"
    convert(data / "all.parquet", tmp_path / "a.csv", to="csv", overwrite=True)
    assert len(registry.get("csv").read(tmp_path / "a.csv").table) == 6
    shards = tmp_path / "shards"
    options = {"to": "webdataset", "root": data / "pictures"}
    shards.mkdir()
    convert(data / "all.parquet", shards, **options)  # an empty folder is as good as none
    with pytest.raises(ArgumentError, match="--overwrite"):
        convert(data / "all.parquet", shards, **options)
    convert(data / "all.parquet", shards, overwrite=True, **options)
    (shards / "thesis.tex").write_text("years of work")
    with pytest.raises(ArgumentError, match=r"holds 1 files that would not be written again \('thesis.tex'\)"):
        convert(data / "all.parquet", shards, overwrite=True, **options)
    assert (shards / "thesis.tex").read_text() == "years of work"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "shards"]


def test_where_the_files_go(data, tmp_path):
    source = data / "all.parquet"
    assert convert(source, tmp_path / "lists", to="imagenet-lt-txt")["files"][0] == "all_classes.txt"
    assert convert(source, tmp_path / "lists", to="imagenet-lt-txt", stem="x")["files"][0] == "x_classes.txt"
    assert (tmp_path / "lists" / "x_train.txt").is_file()
    with pytest.raises(ArgumentError, match=r"'a.json' is to be one file, and the format writes 2 .*: name a folder"):
        convert(source, tmp_path / "a.json", to="inat-json")
    with pytest.raises(ArgumentError, match=r"'a.csv' ends with .csv, and the format writes .json: name it so"):
        convert(source, tmp_path / "a.csv", to="glt-json")
    with pytest.raises(ArgumentError, match=r"the stem '../x' cannot be a file name"):
        convert(source, tmp_path / "lists", to="csv", stem="../x")
    with pytest.raises(CurationError, match="cannot be written"):
        convert(source, source / "lists" / "x", to="imagenet-lt-txt")
    assert [p.name for p in tmp_path.iterdir()] == ["lists"]


def test_pictures_that_are_gone_are_set_aside(data, tmp_path):
    found = registry.get("parquet").read(data / "all.parquet").table.to_pylist()
    found.append(found[0] | {"path": "train/n01440764/gone.png"})
    files.write_table(tmp_path / "more.parquet", pa.Table.from_pylist(found))
    for name in ("webdataset", "folder", "fiftyone"):
        assert convert(tmp_path / "more.parquet", tmp_path / name, to=name, root=data / "pictures")["set_aside"] == 1


def test_a_full_disk_leaves_nothing(data, tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for name in ("csv", "webdataset"):
        with pytest.raises(CurationError, match="no space left on the disk"):
            convert(data / "all.parquet", tmp_path / "out", to=name, root=data / "pictures")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_told_must_be_said(data, tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ArgumentError, match=r"a.json is of no format that could be told: say which with --from"):
        convert(tmp_path / "a.json", tmp_path / "b.csv", to="csv")
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "index.csv").write_text("path,label,file\n")
    (tmp_path / "both" / "x.tar").write_text("")
    with pytest.raises(ArgumentError, match=r"may be of the formats folder, webdataset: say which with --from"):
        convert(tmp_path / "both", tmp_path / "b.csv", to="csv")
    with pytest.raises(ArgumentError, match="there is no file or folder"):
        convert(tmp_path / "none.csv", tmp_path / "b.csv", to="csv")
    with pytest.raises(ArgumentError, match="unknown format 'pie'"):
        convert(data / "all.parquet", tmp_path / "b.csv", to="pie")
    with pytest.raises(ArgumentError, match="unknown format 'pie'"):
        convert(data / "all.parquet", tmp_path / "b.csv", to="csv", origin="pie")
