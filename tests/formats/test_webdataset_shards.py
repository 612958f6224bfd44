"""Shards: what the webdataset library makes of them, what we read of ours and of others, and hostile ones."""

import dataclasses
import io
import json
import pickle
import re
import tarfile
import tracemalloc

import numpy as np
import pictured
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from curation.errors import ArgumentError, CurationError
from curation.formats import webdataset_shards
from curation.formats.annotations import AnnotationSet, Options, annotation_table, names_of

FOUND = pictured.pictured()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def options(root):
    return dataclasses.replace(pictured.put(FOUND, root), shard_images=10)


@pytest.fixture(scope="module")
def shards(options, tmp_path_factory):
    (path,) = webdataset_shards.write(FOUND, tmp_path_factory.mktemp("out"), "x", options)
    return path.parent


def tar(path, members):
    """A tar of (name, content) or TarInfo as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as file:
        for member in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member[0])
            info.size = 0 if info is member else len(member[1])
            file.addfile(info, None if info is member else io.BytesIO(member[1]))
    return path


def test_the_library_decodes_every_sample(shards, root):
    import webdataset

    for split in ("train", "test_bbl"):
        urls = sorted(str(p) for p in shards.glob(f"{split}-*.tar"))
        samples = webdataset.WebDataset(urls, shardshuffle=False).decode("pil")
        rows = FOUND.of(split).to_pylist()
        found = list(samples.to_tuple("__key__", "jpg;jpeg;png", "cls", "json"))
        assert [label for _, _, label, _ in found] == [row["label"] for row in rows]
        assert len({key for key, *_ in found}) == len(rows)
        assert not any("." in key for key, *_ in found)
        for (_, image, _, facts), row in zip(found, rows, strict=True):
            assert facts == {name: value for name, value in row.items() if value is not None}
            with Image.open(root / row["path"]) as drawn:
                assert np.array_equal(image, drawn.convert("RGB"))


def test_what_is_written_is_read(shards, root):
    found = webdataset_shards.read(shards)
    assert found.table.schema == FOUND.table.schema
    assert found.table.to_pylist() == FOUND.table.to_pylist()
    assert (found.classes, found.splits, found.meta) == (FOUND.classes, FOUND.splits, FOUND.meta)
    assert found.about.equals(FOUND.about)
    sent = pickle.loads(pickle.dumps(found.pictures))  # noqa: S301
    for path in FOUND.table["path"].to_pylist():
        assert found.pictures(path) == sent(path) == (root / path).read_bytes()
    with pytest.raises(CurationError, match=r"holds no picture 'c0/none.jpg'"):
        found.pictures("c0/none.jpg")


def test_sizes_of_shards(shards):
    told = json.loads((shards / "dataset.json").read_text())["splits"]
    train = {"train-000000.tar": 10, "train-000001.tar": 10, "train-000002.tar": 10, "train-000003.tar": 7}
    assert told["train"] == {"images": 37, "shards": train}
    assert told["test_lt"] == {"images": 0, "shards": {}}
    names = sorted(p.name for p in shards.iterdir())
    assert names == sorted(["dataset.json", *(name for split in told.values() for name in split["shards"])])


def test_same_set_same_bytes_from_pictures_anywhere(shards, options, tmp_path):
    again = webdataset_shards.read(shards)
    webdataset_shards.write(again, tmp_path, "x", Options(shard_images=10))
    for path in shards.iterdir():
        assert (tmp_path / "x" / path.name).read_bytes() == path.read_bytes()
    with tarfile.open(shards / "val-000000.tar") as file:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in file} == {(0, 0, 0, "", "", 0o644)}
        assert not any(m.pax_headers for m in file)


def test_pictures_that_are_gone(tmp_path, options):
    gone = {"c0/train_0.x.JPEG", "c3/val_0.x.JPEG"}
    lost = dataclasses.replace(options, locate=lambda p: options.locate("none" if p in gone else p))
    (path,) = webdataset_shards.write(FOUND, tmp_path, "x", lost)
    assert (tmp_path / "x" / "missing.txt").read_text() == "c0/train_0.x.JPEG\nc3/val_0.x.JPEG\n"
    left = [row for row in FOUND.table.to_pylist() if row["path"] not in gone]
    assert webdataset_shards.read(path).table.to_pylist() == left


def test_a_hostile_name_is_one_line_of_what_is_gone(tmp_path):
    name = "a\nb\u2028c\\d.jpg"
    table = FOUND.table.slice(0, 2).set_column(0, "path", [[name, "b.jpg"]])
    (tmp_path / "b.jpg").write_bytes(pictured.encoded(0, "b.jpg"))
    lost = Options(locate=lambda path: tmp_path / path.replace("\n", "/"))
    webdataset_shards.write(dataclasses.replace(FOUND, table=table), tmp_path, "x", lost)
    assert (tmp_path / "x" / "missing.txt").read_text().splitlines() == [r"a\nb\u2028c\\d.jpg"]


def test_pictures_pass_one_by_one(tmp_path):
    """64 pictures of 1 MB each: never more than a few of them in memory."""
    rows = 64
    columns = {"path": pa.array([f"{i}.jpg" for i in range(rows)]), "label": np.zeros(rows, np.int32)}
    columns |= {"class_name": names_of(np.zeros(rows), ["a"]), "split": pa.array(["train"] * rows)}
    many = AnnotationSet(annotation_table(columns), ("a",), ("train",), pictures=lambda path: bytes(1_000_000))
    webdataset_shards.write(dataclasses.replace(many, table=many.table.slice(0, 1)), tmp_path, "warm")
    tracemalloc.start()
    webdataset_shards.write(many, tmp_path, "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000
    assert (tmp_path / "x" / "train-000000.tar").stat().st_size > 64_000_000


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(names, names), min_size=1, max_size=5, unique_by=lambda row: row[0]))
def test_any_name_passes_or_is_refused(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any")
    classes = sorted({name for _, name in rows})
    labels = [classes.index(name) for _, name in rows]
    columns = {"path": pa.array([path for path, _ in rows]), "label": np.array(labels, np.int32)}
    columns |= {"class_name": names_of(labels, classes), "split": pa.array(["train"] * len(rows))}
    found = AnnotationSet(annotation_table(columns), tuple(classes), ("train",), pictures=lambda path: path.encode())
    if any(re.search(r"^[/\\]|^[A-Za-z]:[/\\]|(^|[/\\])\.\.([/\\]|$)", path) for path, _ in rows):
        with pytest.raises(ArgumentError, match=r"without '\.\.'|climbs out|is empty|NUL"):
            webdataset_shards.write(found, folder, "x")
        assert list(folder.iterdir()) == []
        return
    (path,) = webdataset_shards.write(found, folder, "x")
    back = webdataset_shards.read(path)
    assert back.table.to_pylist() == found.table.to_pylist()
    assert [back.pictures(p) for p, _ in rows] == [p.encode() for p, _ in rows]


def test_shards_of_others(tmp_path):
    jpeg = pictured.encoded(1, "x.jpg")
    link = tarfile.TarInfo("0001.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    tar(tmp_path / "train-0000.tar", [("./0000.jpg", jpeg), ("./0000.cls", b"bee")])
    tar(tmp_path / "train-0001.tar", [("0000.png", b"1"), ("0000.cls", b"ant\n"), ("0000.seg.png", b"2"), link])
    tar(tmp_path / "val" / "00.tar", [("a/b/0000.jpeg", b"3"), ("a/b/0000.json", b'{"class_name": "cat"}')])
    found = webdataset_shards.read(tmp_path)
    rows = found.table.select(["path", "class_name", "label", "split"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("train-0000/0000.jpg", "bee", 1, "train"),
        ("train-0001/0000.png", "ant", 0, "train"),
        ("val/00/a/b/0000.jpeg", "cat", 2, "val"),
    ]
    assert found.table.column_names[-1] == "cluster"
    assert [found.pictures(row["path"]) for row in rows] == [jpeg, b"1", b"3"]
    assert webdataset_shards.read(tmp_path / "val" / "00.tar").splits == ("all",)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("1.jpg", b"x")], r"t.tar, sample '1' has no label in cls or json: its members are 1.jpg"),
        ([("1.cls", b"0"), ("1.txt", b"")], r"t.tar, sample '1' has no picture: its members are 1.cls, 1.txt"),
        ([("1.jpg", b"x"), ("1.cls", b"\xff\xfe")], r"member '1.cls': its label .* is not UTF-8"),
        ([("1.jpg", b"x"), ("1.cls", b"")], r"member '1.cls': '' where"),
        (
            [("1.jpg", b"x"), ("1.cls", b"1"), ("1.json", b'{"label": 2}')],
            r"member '1.cls': '1' where its sample has 2",
        ),
        ([("1.jpg", b"x"), ("1.cls", b"1"), ("1.json", b"{")], r"member '1.json', line 1: not a JSON file"),
        ([("1.jpg", b"x"), ("1.json", b'{"label": true}')], r"member '1.json': key 'label' is True"),
        ([("1.jpg", b"x"), ("1.json", b'{"label": 1, "attribute": 40000}')], r"key 'attribute' is 40000"),
        ([("1.jpg", b"x"), ("1.json", b'{"label": 1, "path": "../../a"}')], r"path '../../a' leads out"),
        ([("1.jpg", b"x"), ("1.json", b'{"label": 1, "path": "/etc/passwd"}')], r"path '/etc/passwd' leads out"),
        ([("../../1.jpg", b"x"), ("../../1.cls", b"1")], r"path 't/../../1.jpg' leads out"),
        (
            [("1.jpg", b""), ("1.cls", b"1"), ("2.jpg", b""), ("2.cls", b"1"), ("1.txt", b"")],
            r"'1.txt': its sample came",
        ),
        ([("1.jpg", b"x"), ("1.jpg", b"y")], r"member '1.jpg': its sample has a jpg already"),
        ([("1.jpg", b"x"), ("1.cls", b"1" * (2 << 20))], r"member '1.cls': 2,097,152 bytes, 1,048,576 at most"),
        ([("1.jpg", b"x"), ("1.cls", b"0"), ("2.jpg", b"x"), ("2.cls", b"a")], r"1 of 2 rows have no label"),
    ],
)
def test_a_wrong_member_is_named(tmp_path, members, message):
    with pytest.raises(CurationError, match=message):
        webdataset_shards.read(tar(tmp_path / "t.tar", members))


def test_damaged_tars(tmp_path):
    whole = tar(tmp_path / "t.tar", [("1.cls", b"0"), ("1.jpg", b"x" * 5000)]).read_bytes()
    negative = bytearray(whole)
    negative[124:136] = b"\xff" * 11 + b"\x00"  # base 256: -256 bytes
    negative[148:156] = b" " * 8
    negative[148:156] = b"%06o\0 " % sum(negative[:512])
    for content, message in (
        (whole[:3000], "member '1.jpg': it is cut off, or its size is wrong"),
        (bytes(negative), "member '1.cls': it is cut off, or its size is wrong"),
        (b"no tar" * 500, "t.tar is no plain tar file, or a damaged one"),
        (b"", "t.tar is no plain tar file"),
    ):
        (tmp_path / "t.tar").write_bytes(content)
        with pytest.raises(CurationError, match=message):
            webdataset_shards.read(tmp_path / "t.tar")
    with pytest.raises(CurationError, match="none does not exist"):
        webdataset_shards.read(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("classes"), "dataset.json: key 'classes' is missing"),
        (lambda d: d["classes"].append(3), "key 'classes' holds 3"),
        (lambda d: d.update(classes=["one"]), r"'c1/train_0.x.JPEG' has the label 1, and there are 1 classes"),
        (lambda d: d.update(splits=[]), "key 'splits' is missing"),
        (lambda d: d["splits"]["val"].pop("shards"), "key splits.val.shards is missing"),
        (lambda d: d["splits"]["val"]["shards"].update({"../val-000000.tar": 1}), "is no shard beside it"),
        (lambda d: d["splits"]["val"]["shards"].update({"val-000000.tar": 9}), "holds 10 samples, and .* says 9"),
        (lambda d: d["splits"]["val"]["shards"].update({"val-000009.tar": 9}), "val-000009.tar does not exist"),
        (lambda d: d["about"].update(wnid=[1]), "key 'about' is no table of classes"),
    ],
)
def test_a_wrong_key_of_the_index_is_named(shards, tmp_path, change, message):
    for path in shards.glob("*.tar"):
        (tmp_path / path.name).hardlink_to(path)
    document = json.loads((shards / "dataset.json").read_text())
    change(document)
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    with pytest.raises(CurationError, match=message):
        webdataset_shards.read(tmp_path)


def test_nothing_is_half_written(tmp_path, options, full_disk):
    for wrong, message in (
        (Options(), "give --root"),
        (dataclasses.replace(options, shard_images=0), "0 pictures in a shard"),
    ):
        with pytest.raises(ArgumentError, match=message):
            webdataset_shards.write(FOUND, tmp_path, "x", wrong)
    with pytest.raises(ArgumentError, match="cannot be a file name"):
        webdataset_shards.write(dataclasses.replace(FOUND, splits=(*FOUND.splits, "a/b")), tmp_path, "x", options)
    with full_disk(), pytest.raises(CurationError, match="no space left"):
        webdataset_shards.write(FOUND, tmp_path, "x", options)
    assert list(tmp_path.iterdir()) == []
