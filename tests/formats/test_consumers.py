"""The programs that read what we write: their own loaders, or loaders that do what theirs do, step by step."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pictured
import pytest
import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from curation.errors import CurationError
from curation.formats import glt_json, image_folder, imagenet_lt_text
from curation.formats.torch_dataset import SplitDataset

FOUND = pictured.pictured()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def options(root):
    return pictured.put(FOUND, root)


class GltLoader(Dataset):
    """What the loader of ImageNet-GLT does with an annotation file (KaihuaTang/Generalized-Long-Tailed-Benchmarks)."""

    def __init__(self, phase, path, test_split="test_bbl"):
        with open(path) as file:
            document = json.load(file)
        part = document[phase if phase in ("train", "val") else test_split]
        self.phase, self.rows = phase, []
        for image, label in part["label"].items():
            row = [image, int(label), int(part["frequency"][image])]
            self.rows.append(row if phase == "train" else [*row, int(part["attribute"][image])])
        self.info = {key: document[key] for key in ("cat2id", "id2cat")}

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        path, *rest = self.rows[index]
        with open(path, "rb") as file:
            return np.asarray(Image.open(file).convert("RGB")).shape, *rest, index


@pytest.fixture(scope="module")
def absolute(root, options):
    """The set with the absolute paths that the GLT loader opens."""
    paths = [str(root / path) for path in FOUND.table["path"].to_pylist()]
    return dataclasses.replace(FOUND, table=FOUND.table.set_column(0, "path", [paths]))


def test_glt_json_in_its_loader(absolute, tmp_path):
    (path,) = glt_json.write(absolute, tmp_path, "x")
    for phase, split in (
        ("train", "train"),
        ("val", "val"),
        *(("test", s) for s in ("test_lt", "test_bl", "test_bbl")),
    ):
        theirs = GltLoader(phase, path, split)
        extras = ("frequency", "index") if phase == "train" else ("frequency", "attribute", "index")
        ours = SplitDataset(path, split, kind="glt-json", extras=extras, transform=lambda i: np.asarray(i).shape)
        assert len(theirs) == len(FOUND.of(split))
        assert list(theirs) == list(ours)
        assert theirs.info["cat2id"]["dog"] == "9"
        assert theirs.info["id2cat"]["9"] == "dog"


def test_glt_json_without_an_attribute_fails_in_its_loader_only_in_tests(absolute, tmp_path):
    """So it may not be left out: training would run, and the first test would end in a KeyError."""
    (path,) = glt_json.write(absolute, tmp_path, "x")
    document = json.loads(path.read_text())
    for split in FOUND.splits:
        document[split]["attribute"].popitem() if document[split]["attribute"] else None
    path.write_text(json.dumps(document))
    assert len(GltLoader("train", path)) == 37
    with pytest.raises(KeyError):
        GltLoader("test", path)
    with pytest.raises(CurationError, match=r"key train.attribute has no entry for"):
        glt_json.read(path)


def test_text_lists_in_the_loader_of_oltr(root, options, tmp_path):
    """Its loader joins the root and the first word of each line, and takes the second for the label."""
    imagenet_lt_text.write(FOUND, tmp_path, "ImageNet_LT")
    for split in ("train", "val", "test_bl"):
        images, labels = [], []
        with open(tmp_path / f"ImageNet_LT_{split}.txt") as file:
            for line in file:
                images.append(root / line.split()[0])
                labels.append(int(line.split()[1]))
        assert labels == FOUND.of(split)["label"].to_pylist()
        assert all(image.is_file() for image in images)
    assert not (tmp_path / "ImageNet_LT_test_lt.txt").exists()


@pytest.mark.parametrize("kind", image_folder.CLASS_FOLDERS)
def test_the_tree_in_image_folder(options, tmp_path, kind):
    image_folder.write(FOUND, tmp_path, "tree", dataclasses.replace(options, class_folders=kind))
    rows = zip(image_folder.tree(FOUND, kind), FOUND.table["label"].to_pylist(), strict=True)
    label_of = {tmp_path / "tree" / name: label for name, label in rows}
    folders = image_folder.class_folders(FOUND.classes, kind, FOUND.about)
    for split in ("train", "test_bbl"):
        found = torchvision.datasets.ImageFolder(tmp_path / "tree" / split)
        assert found.classes == sorted(folders)
        assert len(found) == len(FOUND.of(split))
        labels = [label_of[Path(path)] for path, _ in found.samples]
        assert [folders.index(found.classes[target]) for target in found.targets] == labels
        assert (found.targets == labels) == (kind == "index")  # else ImageFolder counts in its own order
        assert found[0][0].size == (16, 12)


def test_the_tree_with_an_empty_class_in_image_folder(options, tmp_path):
    fewer = dataclasses.replace(FOUND, table=FOUND.table.filter([r["label"] != 3 for r in FOUND.table.to_pylist()]))
    image_folder.write(fewer, tmp_path, "tree", dataclasses.replace(options, class_folders="index"))
    with pytest.raises(FileNotFoundError, match="0003"):
        torchvision.datasets.ImageFolder(tmp_path / "tree" / "train")
    found = torchvision.datasets.ImageFolder(tmp_path / "tree" / "train", allow_empty=True)
    assert found.targets == sorted(fewer.of("train")["label"].to_pylist())


def test_the_tree_in_hugging_face_datasets(options, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    image_folder.write(FOUND, tmp_path, "tree", dataclasses.replace(options, class_folders="wnid"))
    where = {split: str(tmp_path / "tree" / split / "**") for split in ("train", "test_bbl")}
    found = datasets.load_dataset("imagefolder", data_files=where)
    for split, part in found.items():
        rows = FOUND.of(split).to_pylist()
        for name in ("path", "label", "class_name", "frequency", "attribute", "number"):
            assert part[name] == [row[name] for row in rows]
        assert part[0]["image"].size == (16, 12)


def test_a_split_in_a_data_loader_with_workers(root, options, tmp_path):
    extras = ("frequency", "attribute", "index")
    data = SplitDataset(FOUND, "train", root=root, extras=extras, transform=torchvision.transforms.ToTensor())
    loader = DataLoader(data, batch_size=8, num_workers=1, multiprocessing_context="spawn")
    images, *columns = (torch.cat(parts) for parts in zip(*loader, strict=True))
    rows = FOUND.of("train").to_pylist()
    assert images.shape == (37, 3, 12, 16)
    assert torch.equal(images[20], data[20][0])
    for name, column in zip(("label", "frequency", "attribute"), columns, strict=False):
        assert column.tolist() == [row[name] for row in rows]
    assert columns[-1].tolist() == list(range(37))
