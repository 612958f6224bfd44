"""A split as a data set of torch."""

import dataclasses
import pickle

import numpy as np
import pictured
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image

from curation.errors import ArgumentError, CurationError
from curation.formats import glt_json, hugging_face, torch_dataset, webdataset_shards
from curation.formats.torch_dataset import SplitDataset

FOUND = pictured.pictured()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def options(root):
    return pictured.put(FOUND, root)


def test_items(root, options):
    data = SplitDataset(FOUND, "test_bbl", root=root, extras=("frequency", "attribute", "index"))
    rows = FOUND.of("test_bbl").to_pylist()
    assert (len(data), data.classes) == (24, list(FOUND.classes))
    assert data.targets.tolist() == [row["label"] for row in rows]
    for at in (0, 7, -1):
        image, *rest = data[at]
        row = rows[at]
        assert rest == [row["label"], row["frequency"], row["attribute"], range(24)[at]]
        assert all(type(value) is int for value in rest)
        with Image.open(root / row["path"]) as drawn:
            assert np.array_equal(image, drawn.convert("RGB"))
    with pytest.raises(IndexError):
        data[24]
    small = SplitDataset(FOUND, "val", root=root, transform=lambda image: image.size)
    assert small[3] == ((16, 12), 3)
    assert len(SplitDataset(FOUND, "test_lt", root=root)) == 0


def test_from_files_of_any_format(root, options, tmp_path):
    for kind, module in (("glt-json", glt_json), ("webdataset", webdataset_shards), ("hf", hugging_face)):
        plain = dataclasses.replace(FOUND, table=FOUND.table.set_column(6, "cluster", FOUND.table["attribute"]))
        (path,) = module.write(plain, tmp_path, kind, options)
        data = SplitDataset(path, "val", root=root if kind == "glt-json" else None, extras=["cluster"])
        assert [item[1:] for item in data] == [(i, 0) for i in range(12)]
        sent = pickle.loads(pickle.dumps(data))  # noqa: S301
        assert np.array_equal(sent[5][0], data[5][0])
    with pytest.raises(CurationError, match="not a JSON file"):
        SplitDataset(path, "val", kind="glt-json")


def test_paths_as_they_are(root, options):
    absolute = pc.binary_join_element_wise(str(root), FOUND.table["path"], "/")
    found = dataclasses.replace(FOUND, table=FOUND.table.set_column(0, "path", absolute))
    assert SplitDataset(found, "val")[2][1] == 2
    with pytest.raises(ArgumentError, match="leads out of"):
        SplitDataset(found, "val", root=root)
    climbing = FOUND.table.set_column(0, "path", pa.array(["../x.jpg"] * len(FOUND.table)))
    with pytest.raises(ArgumentError, match=r"'\.\./x.jpg' leads out of"):
        SplitDataset(dataclasses.replace(FOUND, table=climbing), "val", root=root)


def test_priors_are_in_the_order_of_labels_as_numbers(root):
    """Labels sorted as texts put 10 and 11 before 2, and a class without images would shorten the vector."""
    table = FOUND.table.filter(pc.not_equal(FOUND.table["label"], 11))
    data = SplitDataset(dataclasses.replace(FOUND, table=table), "train", root=root)
    counts = [4, *[3] * 10, 0]
    assert data.class_counts().tolist() == counts
    assert data.class_counts().dtype == np.int64
    priors = data.class_priors()
    assert (priors.dtype, priors.shape) == (np.float64, (12,))
    assert priors.tolist() == [n / 34 for n in counts]
    with pytest.raises(CurationError, match="split 'test_lt' has no images"):
        SplitDataset(FOUND, "test_lt", root=root).class_priors()


def test_groups(root, monkeypatch):
    data = SplitDataset(FOUND, "train", root=root)
    assert data.groups().tolist() == [0] * 4 + [1] * 5 + [2] * 3
    assert data.groups().dtype == np.int8
    unsaid = FOUND.table.set_column(4, "frequency", pa.nulls(len(FOUND.table), pa.int8()))
    data = SplitDataset(dataclasses.replace(FOUND, table=unsaid), "train", root=root)
    assert data.groups().tolist() == [2] * 12
    for many, few, group in ((3, 3, 0), (4, 4, 1)):
        monkeypatch.setattr(torch_dataset, "MANY", many)
        monkeypatch.setattr(torch_dataset, "FEW", few)
        assert data.groups()[0] == group
    mixed = FOUND.table.set_column(4, "frequency", pa.array([i % 3 for i in range(len(FOUND.table))], pa.int8()))
    with pytest.raises(CurationError, match="images of class 'zebra' are in more than one frequency group"):
        SplitDataset(dataclasses.replace(FOUND, table=mixed), "train", root=root).groups()


def test_a_broken_picture_is_named(options, tmp_path):
    path = FOUND.of("val")["path"][3].as_py()
    (tmp_path / path).parent.mkdir(parents=True)
    data = SplitDataset(FOUND, "val", root=tmp_path)
    with pytest.raises(CurationError, match=f"the picture '{path}' of split 'val' cannot be read: .*No such file"):
        data[3]
    for content in (b"", b"no picture", options.locate(path).read_bytes()[:200]):
        (tmp_path / path).write_bytes(content)
        with pytest.raises(CurationError, match=f"the picture '{path}' of split 'val' cannot be read"):
            data[3]


@pytest.mark.parametrize(
    ("split", "more", "message"),
    [
        ("dev", {}, "there is no split 'dev': choose one of train, val"),
        ("val", {"extras": ["colour"]}, "unknown extra 'colour': choose of frequency, attribute"),
        ("val", {"extras": ["cluster"]}, "split 'val' does not know the cluster of 12 of 12 images"),
        ("val", {"root": None}, "nothing says where 'c0/val_0.x.JPEG' is: give the folder"),
        ("val", {"root": None, "kind": "yaml"}, "unknown format 'yaml'"),
    ],
)
def test_what_cannot_be_asked(root, split, more, message):
    source = "x.yaml" if "kind" in more else FOUND
    with pytest.raises(ArgumentError, match=message):
        SplitDataset(source, split, **{"root": root} | more)
