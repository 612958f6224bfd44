import dataclasses
import errno
import json
import os
import shutil
import zipfile
from pathlib import Path

import clustered
import numpy as np
import pyarrow as pa
import pytest
from pictures import draw

from curation import export as exporting
from curation import files
from curation.errors import ArgumentError, CurationError
from curation.exclusions import EXCLUSIONS
from curation.export import Mismatch, export, rebuild
from curation.formats import glt_json, image_folder, imagenet_lt_text, parquet, registry
from curation.manifest import about, annotate, numbers, read_manifest
from curation.splits import recipes
from curation.splits.kinds import RECIPES
from curation.workspace import Workspace

# Formats that any of these splits fits; their pictures are only bytes, and their classes no synsets.
ALL = (
    "glt-json",
    "imagenet-lt-txt",
    "inat-json",
    "csv",
    "parquet",
    "folder",
    "webdataset",
    "hf",
    "croissant",
    "fiftyone",
)
# Pictures that are of a reference set too, with the reason.
LEAKED = {
    "image_id": [100, 101, 150],
    "reason": [
        "near duplicate of a/1.png in reference set zoo (by rule)",
        "near duplicate of a/1.png in reference set zoo (ruled by Ann)",
        "near duplicate of b (2).png in reference set zoo (by rule)",
    ],
}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clustered")
    recipes.make(clustered.build(folder), name="one", parameters=clustered.FIT)
    return folder


@pytest.fixture
def workspace(template, tmp_path) -> Workspace:
    return clustered.copy(template, tmp_path)


def listing(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_every_format_says_the_same(workspace):
    summary = export(workspace, "one", formats=ALL)
    folder = workspace.path / "exports" / "one"
    assert summary["out"] == str(folder)
    assert summary["set_aside"] == 0
    found = parquet.read(folder / "one.parquet").table.to_pylist()
    assert len(found) == summary["images"]
    assert glt_json.read(folder / "one.json").table.to_pylist() == found
    assert registry.get("csv").read(folder / "one.csv").table.to_pylist() == found
    assert image_folder.read(folder / "folder").table.to_pylist() == found
    key = lambda row: (row["split"], row["path"], row["label"])  # noqa: E731
    text = imagenet_lt_text.read(folder / "one_classes.txt").table.to_pylist()
    assert sorted(map(key, text)) == sorted(map(key, found))
    for row in found:
        assert (workspace.roots["images"] / row["path"]).read_text() == row["path"]


def test_the_manifest(workspace):
    export(workspace, "one", formats=["glt-json", "csv"])
    folder = workspace.path / "exports" / "one"
    manifest = read_manifest(folder / "manifest.json")
    assert manifest["recipe"]["parameters"]["seed"] == 25
    assert manifest["recipe"]["ledger_position"] == 0
    assert manifest["recipe"]["made_from"]["features"]["dim"] == 4
    named = {entry["path"]: entry["sha256"] for entry in manifest["files"]}
    assert set(named) == set(listing(folder)) - {"manifest.json", "one.zip"}
    sources = {entry["path"]: entry.get("made_from") for entry in manifest["files"]}
    assert {path for path, source in sources.items() if source} == {p for p in sources if p.startswith("datasheet")}
    assert manifest["options"]["class_folders"] == "name"
    assert all(files.sha256_file(folder / name) == sha for name, sha in named.items())


def test_no_personal_folder_is_told_unless_asked(workspace, tmp_path):
    export(workspace, "one", formats=ALL)
    folder = workspace.path / "exports" / "one"
    for name in listing(folder):
        if not name.startswith("folder/t") and not name.startswith("folder/v"):
            assert str(tmp_path).encode() not in (folder / name).read_bytes()
    export(workspace, "one", absolute=True)
    document = json.loads((folder / "one.json").read_text())
    assert all(Path(path).is_file() for path in document["train"]["label"])
    assert rebuild(folder / "manifest.json")["ok"] > 0


def test_the_same_export_gives_the_same_zip(workspace, tmp_path):
    one = export(workspace, "one", formats=ALL, out=tmp_path / "a")
    two = export(workspace, "one", formats=ALL, out=tmp_path / "b")
    assert files.sha256_file(one["zip"]) == files.sha256_file(two["zip"])
    with zipfile.ZipFile(one["zip"]) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert "manifest.json" in names
    assert [n for n in names if n.startswith("folder/")] == ["folder/index.csv", "folder/pictures.parquet"]
    assert [n for n in names if n.startswith("webdataset/")] == ["webdataset/dataset.json"]
    kinds = ["folder", "webdataset"]
    full = export(workspace, "one", formats=kinds, link="copy", out=tmp_path / "c", pictures_in_zip=True)
    with zipfile.ZipFile(full["zip"]) as archive:
        assert len([n for n in archive.namelist() if n.startswith("folder/")]) == full["images"] + 2
        assert "webdataset/train-000000.tar" in archive.namelist()


def test_rebuild_after_moving_and_without_the_workspace(workspace, tmp_path):
    summary = export(workspace, "one", formats=ALL, link="copy", out=tmp_path / "here")
    zipped = tmp_path / "unpacked"
    with zipfile.ZipFile(summary["zip"]) as archive:
        archive.extractall(zipped)
    shutil.rmtree(workspace.path)
    shutil.rmtree(tmp_path / "pictures")
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "here").rename(tmp_path / "elsewhere" / "there")
    entries = {e["path"]: e for e in read_manifest(moved / "manifest.json")["files"]}
    holders = [name for name, entry in entries.items() if entry.get("pictures")]
    assert {name.split("/")[0] for name in holders} == {"webdataset", "hf"}
    for folder, without in ((moved, 0), (zipped, len(holders))):
        report = rebuild(folder / "manifest.json")
        assert report["without_pictures"] == without
        assert report["ok"] == len(report["files"]) == summary["files"] - without
        again = {row["path"] for row in report["files"] if row["rebuilt"] == row["expected"]}
        kept = {name for name, entry in entries.items() if entry.get("made_from") or name.startswith("inputs/")}
        assert again == set(entries) - set(holders) - kept
        assert "folder/index.csv" in again


@pytest.mark.parametrize("mode", ["default", "legacy"])
def test_rebuild_of_each_mode(workspace, tmp_path, mode, monkeypatch):
    from curation.splits import legacy

    monkeypatch.setattr(legacy, "TEST", 2)
    monkeypatch.setattr(legacy, "VAL", 1)
    monkeypatch.setattr(legacy, "_shares", lambda total: {6: [3, 1, 0], 3: [2, 1, 0]}[total])
    monkeypatch.setattr(legacy, "imagenet_glt", lambda: [20] * 1000)
    monkeypatch.setattr(legacy, "check", lambda *_: None)
    recipes.make(workspace, name="two", parameters={"mode": mode} | (clustered.FIT if mode == "default" else {}))
    export(workspace, "two", out=tmp_path / "out")
    document = json.loads((tmp_path / "out" / "two.json").read_text())
    assert ("meta" in document) == ("cluster" in document["train"]) == (mode == "default")
    assert rebuild(tmp_path / "out" / "manifest.json")["ok"] > 0


def test_tampering_is_found(workspace, tmp_path):
    export(workspace, "one", formats=["glt-json", "csv"], out=tmp_path / "out")
    path = tmp_path / "out" / "one.json"
    path.write_text(path.read_text().replace('"frequency": {', '"frequency": { ', 1))
    (tmp_path / "out" / "one.csv").unlink()
    with pytest.raises(
        Mismatch, match=r"2 of .* files are not what the manifest says.*one.csv missing.*one.json changed"
    ) as error:
        rebuild(tmp_path / "out" / "manifest.json")
    rows = {row["path"]: row for row in error.value.report["files"]}
    assert rows["one.json"]["found"] == files.sha256_file(path) != rows["one.json"]["expected"]
    assert rows["one.json"]["rebuilt"] == rows["one.json"]["expected"]
    assert error.value.exit_code == 1


def test_a_changed_input_is_found(workspace, tmp_path):
    export(workspace, "one", out=tmp_path / "out")
    path = tmp_path / "out" / "inputs" / "excluded.parquet"
    files.write_table(path, files.read_table(path).slice(1))
    with pytest.raises(Mismatch, match=r"inputs/excluded.parquet changed.*the inputs are not intact"):
        rebuild(tmp_path / "out" / "manifest.json")


def test_a_changed_recipe_gives_other_files(workspace, tmp_path):
    export(workspace, "one", out=tmp_path / "out")
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["recipe"]["parameters"]["seed"] = 26
    path.write_text(json.dumps(manifest))
    with pytest.raises(Mismatch, match=r"one.json differs"):
        rebuild(path)


def test_lost_files_are_made_again(workspace, tmp_path):
    export(workspace, "one", out=tmp_path / "out")
    before = files.sha256_file(tmp_path / "out" / "one.json")
    (tmp_path / "out" / "one.json").unlink()
    report = rebuild(tmp_path / "out" / "manifest.json", out=tmp_path / "again")
    assert report["missing"] == 1
    assert files.sha256_file(tmp_path / "again" / "one.json") == before
    assert rebuild(tmp_path / "again")["missing"] == 0


def test_a_parquet_of_another_library_version_is_the_same(workspace, tmp_path):
    """Same rows in other bytes: what counts is that the file on disk is the exported one and says the same."""
    import pyarrow.parquet as pq

    export(workspace, "one", formats=["parquet"], out=tmp_path / "out")
    path = tmp_path / "out" / "one.parquet"
    pq.write_table(pq.read_table(path), path, compression="gzip")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    for entry in manifest["files"]:
        if entry["path"] == "one.parquet":
            entry["sha256"] = files.sha256_file(path)
    files.write_json(tmp_path / "out" / "manifest.json", manifest)
    assert rebuild(tmp_path / "out" / "manifest.json")["differs"] == 0


def test_lost_pictures_are_found(workspace, tmp_path):
    export(workspace, "one", formats=["folder"], link="copy", out=tmp_path / "out")
    picture = next(p for p in (tmp_path / "out" / "folder" / "train").rglob("*.jpg"))
    picture.unlink()
    with pytest.raises(Mismatch, match=f"{picture.name} missing"):
        rebuild(tmp_path / "out" / "manifest.json")


def test_copied_pictures_and_shards_that_changed_or_are_gone_are_found(workspace, tmp_path):
    export(workspace, "one", formats=["folder", "webdataset"], link="copy", out=tmp_path / "out")
    picture = next(p for p in (tmp_path / "out" / "folder" / "train").rglob("*.jpg"))
    picture.write_text("another")
    tar = tmp_path / "out" / "webdataset" / "train-000000.tar"
    tar.write_bytes(tar.read_bytes() + b"x")
    with pytest.raises(Mismatch, match=rf"2 of .*train-000000.tar changed.*{picture.name} changed"):
        rebuild(tmp_path / "out")
    (tmp_path / "out" / "folder" / "pictures.parquet").write_text("no list")
    with pytest.raises(Mismatch, match=r"2 of .*pictures\.parquet changed.*train-000000.tar changed"):
        rebuild(tmp_path / "out")
    tar.unlink()
    with pytest.raises(Mismatch, match=r"train-000000\.tar missing"):
        rebuild(tmp_path / "out")


def test_the_index_of_other_class_folders_is_made_again(workspace, tmp_path):
    export(workspace, "one", formats=["folder"], class_folders="index", out=tmp_path / "out")
    assert (tmp_path / "out" / "folder" / "train" / "0000").is_dir()
    rows = {row["path"]: row for row in rebuild(tmp_path / "out")["files"]}
    assert rows["folder/index.csv"]["rebuilt"] == rows["folder/index.csv"]["expected"]


def make_earlier(out: Path) -> None:
    """Make an export of version 1 of a new one: other counts, and less of everything."""
    manifest = json.loads((out / "manifest.json").read_text()) | {"manifest_version": 1}
    del manifest["options"]
    shutil.rmtree(out / "datasheet")
    for name in ("datasheet.md", "datasheet.html", "folder/pictures.parquet"):
        (out / name).unlink()
    images = files.read_table(out / "inputs" / "images.parquet")
    files.write_table(out / "inputs" / "images.parquet", images.drop_columns(["width", "height"]))
    report = files.read_json(out / "report.json")
    reasons = report["funnel"]["left_out"]
    assert reasons.pop("near duplicate in reference set zoo") == len(LEAKED["reason"])
    # One row a picture, and what comes after a bracket in its name was taken for detail.
    reasons |= {"near duplicate of a/1.png in reference set zoo": 2, "near duplicate of b": 1}
    report["funnel"]["left_out"] = dict(sorted(reasons.items()))
    files.write_json(out / "report.json", report)
    manifest["files"] = [entry for entry in manifest["files"] if (out / entry["path"]).is_file()]
    for entry in manifest["files"]:
        entry.pop("made_from", None)
        entry["sha256"] = files.sha256_file(out / entry["path"])
    files.write_json(out / "manifest.json", manifest)


def test_an_export_of_an_earlier_version_is_made_again(workspace, tmp_path, monkeypatch):
    """It has no datasheet, no list of pictures, no options, less among its inputs, and the funnel of then."""
    monkeypatch.setattr("curation.splits.inputs.exclusions", lambda *_, **__: pa.table(LEAKED, EXCLUSIONS))
    recipes.make(workspace, name="two", parameters=clustered.FIT)
    out = tmp_path / "out"
    export(workspace, "two", formats=["glt-json", "csv", "parquet", "folder"], out=out)
    make_earlier(out)
    manifest = read_manifest(out / "manifest.json")
    assert rebuild(out)["ok"] == len(manifest["files"])
    files.write_json(out / "manifest.json", manifest | {"manifest_version": 2})
    with pytest.raises(Mismatch, match=r"1 of .*report.json differs"):
        rebuild(out)
    files.write_json(out / "manifest.json", manifest)
    (out / "report.json").unlink()
    assert rebuild(out, out=tmp_path / "again")["missing"] == 1
    assert rebuild(tmp_path / "again")["ok"] > 0
    next(p for p in (out / "folder" / "train").rglob("*.jpg")).unlink()
    with pytest.raises(Mismatch, match="jpg missing"):
        rebuild(out)


def test_an_export_of_an_earlier_version_keeps_the_names_of_its_files(workspace, tmp_path, monkeypatch):
    carve_small(workspace, monkeypatch, ("train",))
    out = tmp_path / "out"
    export(workspace, "two", formats=["imagenetv2-json"], out=out)
    (out / "two-imagenetv2.json").rename(out / "two.json")
    text = (out / "manifest.json").read_text().replace("two-imagenetv2.json", "two.json")
    (out / "manifest.json").write_text(text.replace('"manifest_version": 2', '"manifest_version": 1'))
    rows = {row["path"]: row for row in rebuild(out)["files"]}
    assert rows["two.json"]["rebuilt"] == rows["two.json"]["expected"]


def test_an_earlier_revision_is_exported_knowingly(workspace, tmp_path):
    assert "newer_revision" not in export(workspace, "one", formats=["csv"], out=tmp_path / "out")
    recipes.make(workspace, name="one", parameters=clustered.FIT)
    assert export(workspace, "one", formats=["csv"], out=tmp_path / "out")["newer_revision"] == "one.r2"
    assert "newer_revision" not in export(workspace, "one.r2", formats=["csv"], out=tmp_path / "out2")


def carve_small(workspace, monkeypatch, splits):
    """A split `two` of four real pictures of two synsets, that every format can carry."""
    from curation.splits.kind import Kind
    from curation.splits.result import Result, funnel, listed, split_table
    from curation.splits.settings import Settings

    def carve(inputs, settings):
        ids = np.arange(70, 74)
        columns = {"image_id": ids, "label": np.array([0, 0, 1, 1])}
        columns |= {"frequency": np.array([0, 0, 1, 1]), "attribute": np.zeros(4)}
        split = split_table(np.array([0, 1, 0, 1]) % len(splits), splits, columns)
        left_out = listed((np.setdiff1d(inputs.images["image_id"].to_numpy(), ids), "to spare"))
        counts = funnel(len(inputs.images), split, left_out, splits)
        return Result(split, left_out, {"classes": ["n01440764", "n02084071"], "funnel": counts})

    monkeypatch.setitem(RECIPES, "small", Kind("small", "Small", "A test", Settings, carve))
    recipes.make(workspace, recipe="small", name="two")
    for path in workspace.images(["path"])["path"].slice(70, 4).to_pylist():
        draw(len(path)).save(workspace.roots["images"] / path)


@pytest.mark.parametrize("splits", [("train", "val"), ("train",)], ids=len)
def test_all_formats_in_one_export_are_read_back(workspace, tmp_path, monkeypatch, splits):
    """A folder has the name of its format; files in it that are called after the split keep the split's name."""
    carve_small(workspace, monkeypatch, splits)
    out = tmp_path / "out"
    export(workspace, "two", formats=list(registry.FORMATS), out=out, concatenate=True)
    first = "_train" if len(splits) > 1 else ""
    places = {
        "glt-json": "two.json",
        "imagenet-lt-txt": "two_classes.txt",
        "inat-json": "two_train.json",
        "subset-npz": "subset-npz/two_cls.npz",
        "imagenetv2-json": f"two-imagenetv2{first}.json",
        "csv": "two.csv",
        "parquet": "two.parquet",
        "croissant": "two.croissant.json",
    }
    table = recipes.load(workspace, "two")[1]
    told = zip(table["split"].to_pylist(), table["label"].to_pylist(), strict=True)
    paths = workspace.images(["path"])["path"].take(table["image_id"].combine_chunks()).to_pylist()
    expected = sorted((split, label, path) for (split, label), path in zip(told, paths, strict=True))
    named = {e["path"]: e for e in read_manifest(out / "manifest.json")["files"]}
    for kind in registry.FORMATS.values():
        place = places.get(kind.name, kind.name)
        assert place in named or (kind.folder and (out / place).is_dir())
        found = kind.read(out / place).table
        rows = sorted(zip(*(found[c].to_pylist() for c in ("split", "label")), strict=True))
        assert rows == [row[:2] for row in expected], kind.name
        if not kind.pictures:
            assert sorted(found["path"].to_pylist()) == sorted(row[2] for row in expected), kind.name
    assert named["subset-npz/two_cls.npz"]["pictures"]
    assert named["subset-npz/two_cls_metadata.csv"]["made_from"] == "pictures"
    rows = {row["path"]: row for row in rebuild(out)["files"]}
    for name in ("mini-lt-csv/train.csv", places["imagenetv2-json"], "two_train.json"):
        assert rows[name]["rebuilt"] == rows[name]["expected"]
    next((out / "fiftyone" / "train" / "data").rglob("*.jpg")).unlink()
    with pytest.raises(Mismatch, match=r"1 of .*fiftyone/train/data/.* missing"):
        rebuild(out)
    export(workspace, "two", formats=["csv"], out=out)
    assert not (out / "fiftyone").exists()


def test_no_file_is_written_twice(workspace, tmp_path, monkeypatch):
    other = dataclasses.replace(registry.get("csv"), name="tsv", title="TSV")
    monkeypatch.setitem(registry.FORMATS, "tsv", other)
    with pytest.raises(CurationError, match=r"TSV writes 'one.csv', which is written already"):
        export(workspace, "one", formats=["csv", "tsv"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_number_of_a_picture():
    paths = ["b/2.jpg", "b/10.jpg", "a/1.jpg", "val/ILSVRC2012_val_00000490.JPEG", "val/x.JPEG"]
    words = {"root": ["r"] * 5, "path": paths, "source_split": ["train", "train", "train", "val", "val"]}
    assert numbers(pa.table(words)).to_pylist() == [3, 2, 1, 490, 2]
    alone = pa.table(words | {"source_split": pa.nulls(5, pa.string())})
    assert numbers(alone).to_pylist() == [3, 2, 1, 490, 5]


def test_what_is_known_of_classes():
    lemmas = {"class_name": ["n02", "n03"], "wnid": ["n02", ""], "lemmas": ["sea snake, serpent", ""]}
    told = pa.table({"class_name": ["n03"], "human_label": ["acorn"], "original_label": [327]})
    found = about(["n03", "n02", "zebra"], pa.table(lemmas), None)
    assert found["original_label"].to_pylist() == [None, None, None]
    assert found["human_label"].to_pylist() == [None, "sea_snake", None]
    assert found["wnid"].to_pylist() == [None, "n02", None]
    found = about(["n03", "n02", "zebra"], pa.table(lemmas), told)
    assert found["original_label"].to_pylist() == [327, None, None]
    assert found["human_label"].to_pylist() == ["acorn", "sea_snake", None]


def test_sizes_hashes_and_numbers_go_to_formats_that_ask_for_them(workspace, tmp_path):
    export(workspace, "one", formats=ALL, out=tmp_path / "out")
    plain = ["path", "class_name", "label", "split", "frequency", "attribute", "cluster"]
    for kind, name in (("csv", "one.csv"), ("parquet", "one.parquet"), ("folder", "folder")):
        assert registry.get(kind).read(tmp_path / "out" / name).table.column_names == plain
    found = registry.get("webdataset").read(tmp_path / "out" / "webdataset")
    images = workspace.images(["path", "sha256"])
    known = dict(zip(*(images[name].to_pylist() for name in ("path", "sha256")), strict=True))
    assert all(known[row["path"]] == row["sha256"] for row in found.table.to_pylist())
    assert found.table["number"].null_count == 0
    assert found.about is None or found.about["original_label"].null_count == len(found.classes)


def test_pictures_that_were_gone_before_are_set_aside(workspace, tmp_path):
    row = recipes.load(workspace, "one")[1]["image_id"][0].as_py()
    path = workspace.images(["path"])["path"][row].as_py()
    (workspace.roots["images"] / path).unlink()
    summary = export(workspace, "one", formats=["folder", "webdataset", "fiftyone"], out=tmp_path / "out")
    assert summary["set_aside"] == 1
    assert read_manifest(tmp_path / "out" / "manifest.json")["missing_pictures"] == [path]
    assert rebuild(tmp_path / "out" / "manifest.json")["missing"] == 0


def test_an_earlier_export_is_replaced_and_other_files_never(workspace, tmp_path):
    export(workspace, "one", formats=["csv"], out=tmp_path / "out")
    export(workspace, "one", formats=["parquet"], out=tmp_path / "out")
    assert not (tmp_path / "out" / "one.csv").exists()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(ArgumentError, match=r"1 files that are of no export \('thesis.tex'\).*--out"):
        export(workspace, "one", out=tmp_path / "out")
    with pytest.raises(ArgumentError, match="files that are of no export"):
        export(workspace, "one", out=tmp_path / "pictures")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"


def test_a_full_disk_keeps_the_earlier_export(workspace, tmp_path, monkeypatch):
    export(workspace, "one", formats=["csv"], out=tmp_path / "out")
    before = listing(tmp_path / "out")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CurationError, match="no space left on the disk"):
        export(workspace, "one", formats=["glt-json"], out=tmp_path / "out")
    assert listing(tmp_path / "out") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "pictures", "w"]


def test_of_two_exports_at_once_each_is_whole_and_the_later_stays(workspace, tmp_path, monkeypatch):
    export(workspace, "one", formats=["csv"], out=tmp_path / "out")
    pack = exporting._pack

    def meanwhile(*arguments):
        monkeypatch.setattr(exporting, "_pack", pack)
        export(workspace, "one", formats=["parquet"], out=tmp_path / "out")
        assert rebuild(tmp_path / "out")["ok"] > 0
        return pack(*arguments)

    monkeypatch.setattr(exporting, "_pack", meanwhile)
    summary = export(workspace, "one", formats=["glt-json"], out=tmp_path / "out")
    assert rebuild(tmp_path / "out")["ok"] == summary["files"]
    assert not (tmp_path / "out" / "one.parquet").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "pictures", "w"]


def test_two_exports_that_put_their_folders_in_place_at_once_do_not_meet(workspace, tmp_path, monkeypatch):
    """The second begins when the first has everything but its place."""
    export(workspace, "one", formats=["csv"], out=tmp_path / "out")
    rename, waiting = Path.rename, ["second"]

    def meanwhile(path, target):
        if target == tmp_path / "out" and waiting:
            waiting.pop()
            export(workspace, "one", formats=["parquet"], out=tmp_path / "out")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", meanwhile)
    summary = export(workspace, "one", formats=["glt-json"], out=tmp_path / "out")
    assert not waiting
    assert rebuild(tmp_path / "out")["ok"] == summary["files"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "pictures", "w"]


def test_files_that_came_during_an_export_stay(workspace, tmp_path, monkeypatch):
    export(workspace, "one", formats=["csv"], out=tmp_path / "out")
    pack = exporting._pack

    def meanwhile(*arguments):
        (tmp_path / "out" / "thesis.tex").write_text("years of work")
        return pack(*arguments)

    monkeypatch.setattr(exporting, "_pack", meanwhile)
    with pytest.raises(ArgumentError, match=r"of no export \('thesis.tex'\)"):
        export(workspace, "one", out=tmp_path / "out")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"
    assert (tmp_path / "out" / "one.csv").exists()


def test_what_a_killed_export_left_is_swept_by_the_next(workspace):
    left = workspace.path / "exports" / ".0123456789abcdef.part"
    (left / "inputs").mkdir(parents=True)
    for path in (left / "inputs", left):
        os.utime(path, (0, 0))
    export(workspace, "one")
    assert [p.name for p in (workspace.path / "exports").iterdir()] == ["one"]


def test_an_export_is_one_phase(workspace, tmp_path):
    seen = []
    export(workspace, "one", formats=["csv", "parquet"], out=tmp_path / "out", progress=lambda *step: seen.append(step))
    assert [step[:2] for step in seen] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert {message.split(":")[0] for _, _, message in seen} == {"writing"}


def test_a_corrected_label_leaves_earlier_splits_as_they_were(workspace, tmp_path):
    export(workspace, "one", formats=ALL, out=tmp_path / "before")
    images = workspace.images()
    at = images.column_names.index("class_name")
    names = ["bee" if i == 10 else name for i, name in enumerate(images["class_name"].to_pylist())]
    files.write_table(workspace.images_path, images.set_column(at, "class_name", pa.array(names).dictionary_encode()))
    export(workspace, "one", formats=ALL, out=tmp_path / "after")
    assert files.sha256_file(tmp_path / "before" / "one.zip") == files.sha256_file(tmp_path / "after" / "one.zip")


def test_images_that_came_later_change_nothing(workspace, tmp_path):
    export(workspace, "one", out=tmp_path / "before")
    images = workspace.images()
    late = images.slice(0, 1).set_column(0, images.schema.field(0), pa.array([len(images)], pa.int32()))
    late = late.set_column(2, images.schema.field(2), pa.array(["ant/late.jpg"]))
    files.write_table(workspace.images_path, pa.concat_tables([images, late]).unify_dictionaries())
    export(workspace, "one", out=tmp_path / "after")
    assert files.sha256_file(tmp_path / "before" / "one.zip") == files.sha256_file(tmp_path / "after" / "one.zip")


def test_several_roots_are_told_apart(workspace, tmp_path):
    """The same relative path under two roots: the root's name comes first."""
    recipe, table, report = recipes.load(workspace, "one")
    images = workspace.images(recipes.IMAGE_COLUMNS)
    roots = np.where(np.arange(len(images)) % 2, "a", "b")
    images = images.set_column(1, "root", pa.array(roots))
    found, places = annotate(recipe, table, images, report["classes"], {})
    path = found.table["path"][0].as_py()
    assert path.split("/")[0] in ("a", "b")
    assert places(path) == tuple(path.split("/", 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("recipe"), "key 'recipe' is missing or not a dict"),
        (lambda m: m.update(manifest_version=99), "manifest version 99, and this program knows 2"),
        (
            lambda m: m["files"].append({"path": "../../etc/passwd", "sha256": "x"}),
            "key 'files': .*is no file of the export",
        ),
        (lambda m: m["files"].append({"path": "/etc/passwd", "sha256": "x"}), "is no file of the export"),
        (lambda m: m.update(split="../x"), "cannot be a file name"),
        (lambda m: m.update(formats=["pie"]), "unknown format 'pie'"),
        (lambda m: m["recipe"].update(kind="pie"), "unknown recipe 'pie'"),
    ],
)
def test_a_wrong_manifest(workspace, tmp_path, change, message):
    export(workspace, "one", out=tmp_path / "out", zip=False)
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(CurationError, match=message):
        rebuild(path)


def test_wrong_arguments(workspace, tmp_path):
    with pytest.raises(ArgumentError, match=r"there is no split 'two' in .*: it has one"):
        export(workspace, "two")
    with pytest.raises(ArgumentError, match="unknown format 'pie'"):
        export(workspace, "one", formats=["pie"])
    with pytest.raises(ArgumentError, match="unknown class folders 'pie'"):
        export(workspace, "one", formats=["csv", "folder"], class_folders="pie")
    with pytest.raises(ArgumentError, match=r"choose csv or parquet|holds two splits"):
        export(workspace, "one", formats=["subset-npz"])
    with pytest.raises(ArgumentError, match="no format to write"):
        export(workspace, "one", formats=[])
    (workspace.path / "splits" / "one" / "images.parquet").unlink()
    with pytest.raises(CurationError, match=r"saved by an earlier version, without the images .*: save it again"):
        export(workspace, "one")
    with pytest.raises(CurationError, match=r"manifest.json does not exist"):
        rebuild(tmp_path)
    assert not list((workspace.path / "exports").glob("*"))
