"""Parquet with pictures: what the datasets library makes of it, and what we read of ours and of others."""

import dataclasses
import json
import pickle

import numpy as np
import pictured
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curation.errors import ArgumentError, CurationError
from curation.formats import hugging_face, webdataset_shards
from curation.formats.annotations import AnnotationSet, Options, annotation_table, names_of

FOUND = pictured.pictured()


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """The library, kept from the network and from the cache of the person who runs the test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
            patch.setenv(name, "1")
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        import datasets

        patch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        datasets.disable_progress_bars()
        yield datasets


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    return dataclasses.replace(pictured.put(FOUND, tmp_path_factory.mktemp("pictures")), shard_images=10)


@pytest.fixture(scope="module")
def folder(options, tmp_path_factory):
    (path,) = hugging_face.write(FOUND, tmp_path_factory.mktemp("out"), "x", options)
    return path.parent


def check(split, rows, options):
    """A split as `datasets` loaded it has our rows."""
    assert split.features["label"].names == list(FOUND.classes)
    assert split["label"] == [row["label"] for row in rows]
    for name in ("path", "frequency", "attribute", "cluster", "number", "source"):
        assert split[name] == [row[name] for row in rows]
    for item, row in zip(split, rows, strict=True):
        with Image.open(options.locate(row["path"])) as drawn:
            assert np.array_equal(item["image"].convert("RGB"), drawn.convert("RGB"))


def test_the_library_finds_the_splits_of_the_folder(datasets, folder, options):
    found = datasets.load_dataset(str(folder))
    assert {name: len(part) for name, part in found.items()} == {"train": 37, "val": 12, "test_bl": 12, "test_bbl": 24}
    for split in ("train", "test_bbl"):
        check(found[split], FOUND.of(split).to_pylist(), options)


def test_the_library_reads_the_files(datasets, folder, options):
    files = {"test_bl": str(folder / "data" / "test_bl-*.parquet")}
    found = datasets.load_dataset("parquet", data_files=files, split="test_bl", streaming=True)
    rows = FOUND.of("test_bl").to_pylist()
    assert [item["label"] for item in found] == [row["label"] for row in rows]


def test_what_is_written_is_read(folder, options):
    found = hugging_face.read(folder)
    assert found.table.schema == FOUND.table.schema
    assert found.table.to_pylist() == FOUND.table.to_pylist()
    assert (found.classes, found.splits, found.meta) == (FOUND.classes, FOUND.splits, FOUND.meta)
    assert found.about.equals(FOUND.about)
    found.pictures("c0/train_0.x.JPEG")
    sent = pickle.loads(pickle.dumps(found.pictures))  # noqa: S301
    paths = FOUND.table["path"].to_pylist()
    for path in [*paths[::7], *reversed(paths)]:
        assert found.pictures(path) == sent(path) == options.locate(path).read_bytes()
    one = hugging_face.read(folder / "data" / "train-00003-of-00004.parquet")
    assert one.table.to_pylist() == FOUND.of("train").to_pylist()[30:]
    assert one.pictures(one.table["path"][6].as_py()) == options.locate(one.table["path"][6].as_py()).read_bytes()


def test_files_and_row_groups(folder):
    assert sorted(p.name for p in (folder / "data").iterdir()) == sorted(
        [f"train-{i:05d}-of-00004.parquet" for i in range(4)]
        + [f"val-{i:05d}-of-00002.parquet" for i in range(2)]
        + [f"test_bl-{i:05d}-of-00002.parquet" for i in range(2)]
        + [f"test_bbl-{i:05d}-of-00003.parquet" for i in range(3)]
    )
    meta = pq.ParquetFile(folder / "data" / "train-00000-of-00004.parquet").metadata
    packed = {meta.row_group(0).column(i).path_in_schema: meta.row_group(0).column(i).compression for i in range(9)}
    assert (packed["image.bytes"], packed["path"], meta.num_rows) == ("UNCOMPRESSED", "ZSTD", 10)


def test_same_set_same_bytes_through_other_containers(folder, options, tmp_path):
    (path,) = webdataset_shards.write(FOUND, tmp_path, "shards", options)
    hugging_face.write(webdataset_shards.read(path), tmp_path, "x", Options(shard_images=10))
    for path in (p for p in folder.rglob("*") if p.is_file()):
        assert (tmp_path / "x" / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_pictures_pass_in_small_groups(tmp_path, monkeypatch):
    """300 pictures of 100 kB: at no time more than two row groups of 3.2 MiB in memory."""
    monkeypatch.setattr(hugging_face, "_GROUP_BYTES", (32 << 20) // 10)
    rows = 300
    columns = {"path": pa.array([f"{i}.jpg" for i in range(rows)]), "label": np.zeros(rows, np.int32)}
    columns |= {"class_name": names_of(np.zeros(rows), ["a"]), "split": pa.array(["train"] * rows)}
    held = []

    def picture(path):
        held.append(pa.total_allocated_bytes())
        return bytes(100_000)

    many = AnnotationSet(annotation_table(columns), ("a",), ("train",), pictures=picture)
    hugging_face.write(many, tmp_path, "x")
    assert max(held) - held[0] < 2 * (32 << 20) // 10
    file = pq.ParquetFile(tmp_path / "x" / "data" / "train-00000-of-00001.parquet")
    assert {file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)} == {34, 300 - 8 * 34}


def test_pictures_that_are_gone(tmp_path, options):
    gone = {row["path"] for row in FOUND.of("val").to_pylist()} | {"c3/train_1.x.png"}
    lost = dataclasses.replace(options, locate=lambda p: options.locate("none" if p in gone else p))
    (path,) = hugging_face.write(FOUND, tmp_path, "x", lost)
    assert set((tmp_path / "x" / "missing.txt").read_text().splitlines()) == gone
    found = hugging_face.read(path)
    assert found.splits == FOUND.splits
    assert found.table.to_pylist() == [row for row in FOUND.table.to_pylist() if row["path"] not in gone]
    assert "| val | 0 |" in path.read_text()
    nothing = dataclasses.replace(options, locate=lambda _: options.locate("none"))
    with pytest.raises(CurationError, match="0 of 85 pictures can be had"):
        hugging_face.write(FOUND, tmp_path, "y", nothing)
    assert not (tmp_path / "y").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": (*FOUND.splits, "dev-1")}, "cannot call a split 'dev-1': rename it"),
        ({"splits": (*FOUND.splits, "all")}, "cannot call a split 'all'"),
        ({"classes": ("fox", *FOUND.classes[1:])}, "two labels have the class name 'fox'"),
        ({"classes": FOUND.classes[:5]}, "has the label 5, and there are 5 classes"),
    ],
)
def test_what_it_cannot_hold_is_refused(tmp_path, options, change, message):
    with pytest.raises(ArgumentError, match=message):
        hugging_face.write(dataclasses.replace(FOUND, **change), tmp_path, "x", options)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path, options, full_disk):
    with full_disk(), pytest.raises(CurationError, match="no space left"):
        hugging_face.write(FOUND, tmp_path, "x", options)
    assert list(tmp_path.iterdir()) == []


# -- files of others --------------------------------------------------------------------------------------------------


def test_what_the_library_writes_is_read(datasets, tmp_path):
    features = datasets.Features({"img": datasets.Image(), "fine_label": datasets.ClassLabel(names=["bee", "ant"])})
    pictures = [{"bytes": pictured.encoded(i, "a.png"), "path": "x/a.png"} for i in range(3)]
    data = datasets.Dataset.from_dict({"img": pictures, "fine_label": [0, 1, 1]}, features)
    (tmp_path / "cifar").mkdir()
    data.to_parquet(str(tmp_path / "cifar" / "test-00000-of-00001.parquet"))
    found = hugging_face.read(tmp_path)
    assert (found.classes, found.splits) == (("bee", "ant"), ("test",))
    place = "cifar/test-00000-of-00001"
    assert found.table["path"].to_pylist() == [f"{place}/{i:08d}-a.png" for i in range(3)]
    assert found.table["class_name"].to_pylist() == ["bee", "ant", "ant"]
    assert found.pictures(f"{place}/00000002-a.png") == pictures[2]["bytes"]


def test_bare_parquet_with_pictures(tmp_path):
    table = pa.table({"jpg": pa.array([b"1", b"2", None], pa.large_binary()), "labels": ["bee", "ant", "bee"]})
    pq.write_table(table, tmp_path / "x.parquet")
    found = hugging_face.read(tmp_path / "x.parquet")
    assert (found.classes, found.splits, found.meta) == (("ant", "bee"), ("x",), {})
    assert found.table["label"].to_pylist() == [1, 0, 1]
    assert found.pictures("x/00000001") == b"2"
    with pytest.raises(CurationError, match=r"x.parquet, row 3: it holds no picture"):
        found.pictures("x/00000002")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [0]}, "no column of pictures: its columns are label"),
        ({"image": [b"1"], "colour": ["red"]}, "no column of labels: its columns are image, colour"),
        ({"image": ["1.jpg"], "label": [0]}, "no column of pictures: its columns are image, label"),
        ({"image": [b"1", b"2"], "label": [0, None]}, "1 of 2 rows have no 'label'"),
        ({"image": [b"1"], "label": [-1]}, "label -1 of class '-1' is below 0"),
        (
            {"image": [b"1"], "label": [0], "attribute": [99_999]},
            r"x.parquet, column 'attribute': Integer value 99999 not in range",
        ),
    ],
)
def test_a_wrong_column_is_named(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(CurationError, match=message) as error:
        hugging_face.read(tmp_path / "x.parquet")
    assert "x.parquet" in str(error.value) or "label -1" in str(error.value)


def test_a_file_that_leads_out_or_is_not_there(folder, tmp_path):
    (tmp_path / "data").mkdir()
    name = "val-00000-of-00002.parquet"
    (tmp_path / "data" / name).hardlink_to(folder / "data" / name)
    with pytest.raises(CurationError, match="has 1 of the 2 files of 'val'"):
        hugging_face.read(tmp_path)
    table = pq.read_table(folder / "data" / name)
    at = table.schema.get_field_index("path")
    for wrong in ("../../etc/passwd", "/etc/passwd"):
        paths = pa.array([wrong] * len(table))
        pq.write_table(table.set_column(at, "path", paths), tmp_path / "one.parquet")
        with pytest.raises(CurationError, match=f"path '{wrong}' leads out"):
            hugging_face.read(tmp_path / "one.parquet")
    for metadata, message in (
        ("{", "annotations in its schema, line 1: not a JSON file"),
        (json.dumps({"classes": []}), "key 'columns' is missing"),
    ):
        pq.write_table(table.replace_schema_metadata({"annotations": metadata}), tmp_path / "one.parquet")
        with pytest.raises(CurationError, match=message):
            hugging_face.read(tmp_path / "one.parquet")
    (tmp_path / "one.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(CurationError, match=r"one.parquet cannot be read as a Parquet file"):
        hugging_face.read(tmp_path / "one.parquet")
    with pytest.raises(CurationError, match="none does not exist"):
        hugging_face.read(tmp_path / "none")
