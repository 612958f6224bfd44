"""The main job in one go, on the sample that comes with the program."""

from pathlib import Path

import pytest
from pictures import draw

from curation import exclusions, pipeline, sample
from curation.errors import CurationError
from curation.files import read_table, sha256_file
from curation.workspace import Workspace


def test_digits_are_the_same_files_every_time(tmp_path):
    one, two = sample.digits(tmp_path / "1"), sample.digits(tmp_path / "2")
    files = sorted(p.relative_to(one) for p in one.rglob("*.png"))
    assert len(files) == 1797
    assert all(sha256_file(one / f) == sha256_file(two / f) for f in files[::50])


def test_imagenette_is_fetched_into_the_workspaces_root(tmp_path, monkeypatch):
    def fetch(root, split, size, download):
        # As torchvision 0.29 does: what is there is taken for finished, and nothing is fetched.
        if (Path(root) / "imagenette2-160").is_dir():
            raise RuntimeError("dataset found")
        for name in ("train/n01440764", "val/n01440764"):
            (Path(root) / "imagenette2-160" / name).mkdir(parents=True)
            draw(len(name)).save(Path(root) / "imagenette2-160" / name / "1.JPEG")

    monkeypatch.setattr("torchvision.datasets.Imagenette", fetch)
    workspace = pipeline.prepare(tmp_path / "imagenette", source="imagenette")
    pictures = workspace.roots["images"]
    assert sample.imagenette(pictures.parent) == pictures
    assert len(list(pictures.rglob("*.JPEG"))) == 2
    assert sample.imagenette(pictures.parent) == pictures  # finished: not fetched again


def test_imagenette_that_was_unpacked_in_part_is_fetched_again(tmp_path, monkeypatch):
    calls = []

    def cut_off(root, **_):
        calls.append(root)
        (Path(root) / "imagenette2-160" / "train").mkdir(parents=True)
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.datasets.Imagenette", cut_off)
    for _ in range(2):
        with pytest.raises(CurationError, match="cannot be fetched from here"):
            sample.imagenette(tmp_path)
    assert len(calls) == 2


def test_the_whole_sample(tmp_path):
    workspace = pipeline.prepare(tmp_path / "digits", source="digits")
    said = []
    result = pipeline.run(workspace, source="digits", progress=lambda done, total, message: said.append(message))
    assert (result["images"], result["classes"], result["set_aside"]) == (1797, 10, 0)
    assert [message.split(" (")[0] for message in dict.fromkeys(said)] == [
        "Fetching pictures",
        "Reading pictures",
        "Extracting features",
        "Clustering",
        "Drawing the map",
        "Finding pairs",
        "Carving a split",
    ]
    split = read_table(workspace.path / "splits" / "glt" / "split.parquet")
    left = read_table(workspace.path / "splits" / "glt" / "left_out.parquet")
    assert split.num_rows + left.num_rows == 1797
    ruled_out = set(exclusions.exclusions(workspace)["image_id"].to_pylist())
    assert not ruled_out & set(split["image_id"].to_pylist())
    # Scans of one digit resemble each other; few of them may be taken for the same picture.
    assert len(ruled_out) < 50


def test_only_what_is_missing_is_done(tmp_path, picture_tree, monkeypatch):
    from curation.images.ingest import read

    workspace = Workspace.create(tmp_path / "w", roots={"images": picture_tree})
    read(workspace, workers=1)
    done = []
    for module, name in (("clusters.kmeans", "cluster"), ("clusters.maps", "project"), ("features.extract", "extract")):
        monkeypatch.setattr(f"curation.{module}.{name}", lambda *_, _name=name, **__: done.append(_name) or {})
    monkeypatch.setattr("curation.duplicates.find.find", lambda *_, **__: done.append("find") or {})
    monkeypatch.setattr("curation.splits.recipes.make", lambda *_, **__: done.append("make") or {})
    pipeline.run(workspace)
    assert done == ["extract", "cluster", "project", "find", "make"]
