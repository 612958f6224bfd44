"""Reading pictures in: what is recorded, what a second run does, what a killed run leaves."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import imagehash
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curation import files
from curation.errors import ArgumentError, Cancelled, CurationError
from curation.images import ingest, shards
from curation.workspace import CLASSES, IMAGES, Workspace


def paint(path: Path, seed: int = 0, size=(48, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def workspace(tmp_path, picture_tree):
    return Workspace.create(tmp_path / "workspace", roots={"images": picture_tree})


def table_bytes(workspace: Workspace) -> list[bytes]:
    names = ("images.parquet", "classes.parquet", "images.json")
    return [(workspace.path / name).read_bytes() for name in names]


def column(workspace: Workspace, name: str) -> list:
    return workspace.images([name])[name].to_pylist()


def test_what_is_recorded_of_a_picture(workspace, picture_tree):
    summary = ingest.read(workspace, workers=1)
    table = workspace.images()
    assert table.schema.equals(IMAGES)
    assert workspace.classes().schema.equals(CLASSES)
    assert table["image_id"].to_pylist() == list(range(20))
    row = table.slice(0, 1).to_pylist()[0]
    file = picture_tree / "ant" / "000.jpg"
    image = Image.open(file)
    assert row["path"] == "ant/000.jpg"
    assert (row["root"], row["class_name"], row["source_split"]) == ("images", "ant", "")
    assert (row["width"], row["height"], row["bytes"]) == (48, 40, file.stat().st_size)
    assert row["modified"] == file.stat().st_mtime_ns
    assert row["sha256"] == files.sha256_file(file)
    assert row["phash"] == int(str(imagehash.phash(image)), 16)
    assert row["brightness"] == pytest.approx(np.asarray(image.convert("L"), float).mean(), abs=1e-3)
    assert (row["flat"], row["status"], row["reason"]) == (False, "ok", "")
    assert (summary["images"], summary["new"], summary["classes"], summary["set_aside"]) == (20, 20, 2, 0)
    assert workspace.classes()["images"].to_pylist() == [12, 8]


def broken_tree(root: Path) -> dict[str, tuple[str, str]]:
    """One file of each odd or broken kind; path to (status, part of the reason)."""
    good = paint(root / "a" / "good.jpg", 1)
    data = good.read_bytes()

    def put(name: str, content: bytes) -> str:
        (root / "a" / name).write_bytes(content)
        return f"a/{name}"

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    chunk += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    for name, mode in (("grey.png", "L"), ("cmyk.jpg", "CMYK"), ("palette.gif", "P")):
        Image.open(good).convert(mode).save(root / "a" / name)
    Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(root / "a" / "alpha.png")
    Image.fromarray(np.arange(81, dtype=np.uint16).reshape(9, 9) * 800).save(root / "a" / "deep.png")
    Image.new("RGB", (9, 9)).save(
        root / "a" / "animated.webp", save_all=True, append_images=[Image.new("RGB", (9, 9), "red")]
    )
    Image.new("RGB", (1, 1)).save(root / "a" / "one.png")
    Image.open(good).save(root / "a" / "wrong.png", "JPEG")
    (root / "a" / "nowhere.jpg").symlink_to("nothing")
    return {
        "a/good.jpg": ("ok", ""),
        "a/grey.png": ("ok", "grey"),
        "a/cmyk.jpg": ("ok", "CMYK"),
        "a/palette.gif": ("ok", "palette"),
        "a/alpha.png": ("ok", "transparency"),
        "a/deep.png": ("ok", "scaled to 8"),
        "a/animated.webp": ("ok", "first of several"),
        "a/one.png": ("ok", ""),
        "a/wrong.png": ("ok", "a JPEG file named .png"),
        put("half.jpg", data[: len(data) // 2]): ("broken", "truncated"),
        put("empty.jpg", b""): ("broken", "empty file (0 bytes)"),
        put("text.jpg", b"hello"): ("broken", "not a picture"),
        put("bomb.png", b"\x89PNG\r\n\x1a\n" + chunk): ("broken", "2,500,000,000, and the limit is 89,478,485"),
        "a/nowhere.jpg": ("broken", "cannot be read: No such file"),
    }


def test_every_odd_or_broken_file_is_a_row_with_a_reason(tmp_path):
    expected = broken_tree(tmp_path / "p")
    (tmp_path / "p" / "a" / "notes.txt").write_text("x")
    workspace = Workspace.create(tmp_path / "w", roots={"images": tmp_path / "p"})
    summary = ingest.read(workspace, workers=1)
    rows = {row["path"]: row for row in workspace.images().to_pylist()}
    assert {path: row["status"] for path, row in rows.items()} == {
        path: status for path, (status, _) in expected.items()
    }
    for path, (_, reason) in expected.items():
        assert reason in rows[path]["reason"], path
        assert bool(reason) == bool(rows[path]["reason"]), path
    broken = rows["a/half.jpg"]
    assert (broken["width"], broken["phash"], broken["pixels"]) == (0, 0, "")
    assert broken["sha256"] == files.sha256_file(tmp_path / "p" / "a" / "half.jpg")
    assert all(rows[path]["flat"] == (path in ("a/one.png", "a/animated.webp", "a/alpha.png")) for path in expected)
    # The funnel adds up.
    assert summary["files"] == summary["found"] + sum(summary["ignored"].values()) == 15
    assert summary["found"] == summary["ok"] + summary["broken"] == 14
    assert summary["set_aside"] == summary["broken"] == sum(summary["broken_by_reason"].values()) == 5
    assert workspace.classes()["images"].to_pylist() == [9]
    assert ingest.counts(workspace).to_pydict() == {
        "class_name": ["a", "a"],
        "status": ["broken", "ok"],
        "images": [5, 9],
    }


def test_the_bytes_do_not_depend_on_workers_or_the_order_of_the_disk(tmp_path, picture_tree, monkeypatch):
    monkeypatch.setattr(ingest, "SHARD_ROWS", 3)
    found = []
    for workers, shuffled in ((1, False), (2, False), (1, True)):
        if shuffled:
            real = os.scandir

            class Backwards:
                def __init__(self, path, real=real):
                    with real(path) as entries:
                        self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

                def __enter__(self):
                    return iter(self.entries)

                def __exit__(self, *_):
                    pass

            monkeypatch.setattr(os, "scandir", Backwards)
        workspace = Workspace.create(tmp_path / f"w{workers}{shuffled}", roots={"images": picture_tree})
        ingest.read(workspace, workers=workers)
        found.append(table_bytes(workspace))
    assert found[0] == found[1] == found[2]


def test_an_unchanged_folder_is_not_read_again_and_leaves_the_same_files(workspace, monkeypatch):
    ingest.read(workspace, workers=1)
    before, version = table_bytes(workspace), workspace.version()
    monkeypatch.setattr(shards, "read_shard", lambda shard: pytest.fail("read again"))
    summary = ingest.read(workspace)
    assert (summary["unchanged"], summary["new"], summary["gone"]) == (20, 0, 0)
    assert table_bytes(workspace) == before
    assert workspace.version() == version


def test_new_changed_gone_and_back(workspace, picture_tree):
    ingest.read(workspace, workers=1)
    ids = dict(zip(column(workspace, "path"), column(workspace, "image_id"), strict=True))
    saved = (picture_tree / "bee" / "000.jpg").read_bytes()
    (picture_tree / "bee" / "000.jpg").unlink()
    paint(picture_tree / "ant" / "000.jpg", 77)
    paint(picture_tree / "ant" / "000-new.png", 78)
    (picture_tree / "ant" / "001.png").write_bytes(b"no more a picture")
    summary = ingest.read(workspace, workers=1)
    counted = {key: summary[key] for key in ("images", "new", "changed", "gone", "newly_gone", "unchanged", "broken")}
    assert counted == {"images": 21, "new": 1, "changed": 2, "gone": 1, "newly_gone": 1, "unchanged": 17, "broken": 1}
    rows = {row["path"]: row for row in workspace.images().to_pylist()}
    assert {path: rows[path]["image_id"] for path in ids} == ids
    assert rows["ant/000-new.png"]["image_id"] == 20
    assert (rows["bee/000.jpg"]["status"], rows["bee/000.jpg"]["reason"]) == ("gone", "the file is not there any more")
    assert rows["bee/000.jpg"]["sha256"] == hashlib.sha256(saved).hexdigest()
    assert rows["ant/000.jpg"]["sha256"] == files.sha256_file(picture_tree / "ant" / "000.jpg")
    assert rows["ant/001.png"]["status"] == "broken"
    assert dict(zip(*workspace.classes().select(["class_name", "images"]).to_pydict().values(), strict=True)) == {
        "ant": 12,
        "bee": 7,
    }

    (picture_tree / "bee" / "000.jpg").write_bytes(saved)
    summary = ingest.read(workspace, workers=1)
    assert (summary["back"], summary["gone"], summary["new"]) == (1, 0, 0)
    row = workspace.images().to_pylist()[ids["bee/000.jpg"]]
    assert (row["status"], row["reason"], row["path"]) == ("ok", "", "bee/000.jpg")


def test_a_class_that_moved(workspace, picture_tree):
    ingest.read(workspace, workers=1)
    (picture_tree / "bee").rename(picture_tree / "wasp")
    summary = ingest.read(workspace, workers=1)
    assert (summary["new"], summary["newly_gone"], summary["classes"]) == (8, 8, 2)
    assert any("8 of 8 new files have the bytes of files that are gone" in note for note in summary["notes"])
    assert workspace.classes()["class_name"].to_pylist() == ["ant", "wasp"]
    assert column(workspace, "class_name")[-8:] == ["wasp"] * 8
    assert column(workspace, "status")[12:20] == ["gone"] * 8


def test_a_failure_that_passed_is_tried_again(workspace, picture_tree):
    link = picture_tree / "ant" / "link.jpg"
    link.symlink_to(picture_tree / "later")
    assert ingest.read(workspace, workers=1)["broken"] == 1
    assert ingest.read(workspace, workers=1)["broken"] == 1
    shutil.copy2(paint(picture_tree.parent / "x.jpg"), picture_tree / "later")
    assert ingest.read(workspace, workers=1)["broken"] == 0


def test_a_raised_pixel_limit_mends_what_was_too_large(workspace, monkeypatch):
    monkeypatch.setenv("CURATION_MAX_PIXELS", "100")
    assert ingest.read(workspace, workers=1)["broken_by_reason"] == {"too many pixels": 20}
    monkeypatch.delenv("CURATION_MAX_PIXELS")
    assert ingest.read(workspace, workers=1)["broken"] == 0


def test_labels_of_a_table_may_change_without_reading_a_picture(workspace, picture_tree, monkeypatch):
    sheet = picture_tree.parent / "table.csv"
    sheet.write_text("path,label,split\nant/000.jpg,insect,train\nbee/000.jpg,bee,test\n")
    summary = ingest.read(workspace, table=sheet, workers=1)
    assert (summary["images"], summary["layouts"]) == (2, {"images": "table"})
    monkeypatch.setattr(shards, "read_shard", lambda shard: pytest.fail("read again"))
    sheet.write_text("path,label,split\nant/000.jpg,ant,val\nbee/000.jpg,bee,test\n")
    summary = ingest.read(workspace)  # the same table again
    assert summary["layouts"] == {"images": "table"}
    assert column(workspace, "class_name") == ["ant", "bee"]
    assert column(workspace, "source_split") == ["val", "test"]


def test_a_root_is_read_the_same_way_again(tmp_path):
    paint(tmp_path / "p" / "train" / "steam" / "1.png")
    workspace = Workspace.create(tmp_path / "w", roots={"images": tmp_path / "p"})
    ingest.read(workspace, layout="folders", workers=1)
    assert ingest.read(workspace)["layouts"] == {"images": "folders"}
    assert column(workspace, "class_name") == ["train"]
    ingest.read(workspace, layout="splits")
    assert column(workspace, "class_name") == ["steam"]


def test_several_roots(tmp_path):
    paint(tmp_path / "p" / "ant" / "1.png", 1)
    paint(tmp_path / "q" / "ant" / "1.png", 2)
    workspace = Workspace.create(tmp_path / "w", roots={"two": tmp_path / "q", "one": tmp_path / "p"})
    ingest.read(workspace, workers=1)
    assert column(workspace, "root") == ["one", "two"]
    assert len(set(column(workspace, "sha256"))) == 2
    (tmp_path / "p" / "ant" / "1.png").rename(tmp_path / "p" / "ant" / "2.png")
    (tmp_path / "q" / "ant" / "1.png").unlink()
    summary = ingest.read(workspace, root="one", workers=1)
    assert (summary["found"], summary["gone"]) == (1, 1)
    assert column(workspace, "status") == ["gone", "ok", "ok"]
    with pytest.raises(ArgumentError, match="one table was given for 2 roots"):
        ingest.read(workspace, table="x.csv")
    with pytest.raises(ArgumentError, match="unknown root 'three'"):
        ingest.read(workspace, root="three")


def test_a_missing_or_emptied_root_changes_nothing(workspace, picture_tree):
    ingest.read(workspace, workers=1)
    before = table_bytes(workspace)
    picture_tree.rename(picture_tree.parent / "away")
    with pytest.raises(CurationError, match="is its disk there"):
        ingest.read(workspace)
    picture_tree.mkdir()
    with pytest.raises(CurationError, match="has no pictures"):
        ingest.read(workspace)
    assert table_bytes(workspace) == before


KILLED = """
import os, signal, sys
from curation.images import ingest
from curation.workspace import Workspace

def kill(done, total, message):
    if done >= 6:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    ingest.SHARD_ROWS = 3
    ingest.read(Workspace(sys.argv[1]), workers=int(sys.argv[2]), progress=kill)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_where_it_stood(workspace, picture_tree, tmp_path, monkeypatch, workers):
    monkeypatch.setattr(ingest, "SHARD_ROWS", 3)
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": str(Path(ingest.__file__).parents[2])}
    killed = subprocess.run([sys.executable, script, workspace.path, str(workers)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not workspace.images_path.exists()
    kept = len(shards.finished(workspace))
    assert kept >= 6
    paint(picture_tree / "ant" / "000-late.png")  # the folder may change meanwhile

    asked = []
    real = shards.read_shard
    monkeypatch.setattr(shards, "read_shard", lambda shard: asked.append(real(shard)) or asked[-1])
    assert ingest.read(workspace, workers=1)["new"] == 21
    assert sum(asked) == 21 - kept
    assert not (workspace.path / "images.parts").exists()
    fresh = Workspace.create(tmp_path / "fresh", roots=workspace.roots)
    ingest.read(fresh, workers=1)
    assert table_bytes(fresh) == table_bytes(workspace)


def test_parts_of_files_that_changed_since_or_of_another_version_are_not_used(workspace, picture_tree, monkeypatch):
    monkeypatch.setattr(ingest, "SHARD_ROWS", 20)

    def stop(done, total, message):
        if done:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        ingest.read(workspace, workers=1, progress=stop)
    assert len(shards.finished(workspace)) == 20
    paint(picture_tree / "ant" / "000.jpg", 99)
    ingest.read(workspace, workers=1)
    assert column(workspace, "sha256")[0] == files.sha256_file(picture_tree / "ant" / "000.jpg")

    os.utime(picture_tree / "ant" / "000.jpg")
    with pytest.raises(Cancelled):
        ingest.read(workspace, workers=1, progress=stop)
    assert len(shards.finished(workspace)) == 1
    monkeypatch.setattr(shards, "VERSION", "other")
    assert len(shards.finished(workspace)) == 0


def test_a_full_disk_loses_nothing_that_was_finished(workspace, monkeypatch):
    monkeypatch.setattr(ingest, "SHARD_ROWS", 4)
    real, written = os.fsync, []

    def full(descriptor):
        written.append(descriptor)
        if len(written) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(CurationError, match=r"no space left on the disk while writing .* make room"):
        ingest.read(workspace, workers=1)
    assert not workspace.images_path.exists()
    assert len(shards.finished(workspace)) == 8
    monkeypatch.setattr(files.os, "fsync", real)
    assert ingest.read(workspace, workers=1)["ok"] == 20


def test_a_full_disk_at_the_merge_leaves_the_old_table(workspace, picture_tree, monkeypatch):
    ingest.read(workspace, workers=1)
    before = table_bytes(workspace)
    paint(picture_tree / "ant" / "new.png")
    real = files.write_table

    def full(path, table, **options):
        if Path(path).name == "images.parquet":
            raise CurationError("no space left on the disk")
        real(path, table, **options)

    monkeypatch.setattr(files, "write_table", full)
    with pytest.raises(CurationError, match="no space"):
        ingest.read(workspace, workers=1)
    assert table_bytes(workspace) == before
    monkeypatch.setattr(files, "write_table", real)
    monkeypatch.setattr(shards, "read_shard", lambda shard: pytest.fail("read again"))
    assert ingest.read(workspace, workers=1)["new"] == 1


def test_two_runs_at_once_are_refused(workspace):
    with ingest._alone(workspace), pytest.raises(CurationError, match="another run is reading pictures"):
        ingest.read(workspace)


def test_progress_and_cancelling(workspace, monkeypatch):
    monkeypatch.setattr(ingest, "SHARD_ROWS", 8)
    told = []
    ingest.read(workspace, workers=1, progress=lambda *what: told.append(what))
    assert told == [(done, 20, "reading pictures") for done in (0, 8, 16, 20)]


def test_long_and_foreign_file_names_survive(tmp_path):
    names = {"x" * 251 + ".png", "ñandú 蚂蚁 🐜.png"}
    for i, name in enumerate(sorted(names)):
        paint(tmp_path / "p" / "蚂蚁" / name, i)
    workspace = Workspace.create(tmp_path / "w", roots={"images": tmp_path / "p"})
    assert ingest.read(workspace, workers=1)["ok"] == 2
    assert {Path(path).name for path in column(workspace, "path")} == names


def test_classes_are_described(tmp_path):
    for name in ("n02119789", "tench", "other"):
        paint(tmp_path / "p" / name / "1.png")
    workspace = Workspace.create(tmp_path / "w", roots={"images": tmp_path / "p"})
    summary = ingest.read(workspace, workers=1)
    assert workspace.classes()["wnid"].to_pylist() == ["n02119789", "", "n01440764"]
    assert any("3 classes have one image" in note for note in summary["notes"])


def test_a_million_rows_are_counted_by_class():
    """The count itself, without the disk; benchmarks/images_table.py times the whole."""
    rows, classes = 1_000_000, 1000
    codes = pa.array(np.arange(rows, dtype=np.int32) % classes)
    names = pa.DictionaryArray.from_arrays(codes, pa.array([f"{i:04d}" for i in range(classes)]))
    status = pa.DictionaryArray.from_arrays(
        pa.array((np.arange(rows) % 10 == 0).astype(np.int32)), pa.array(["ok", "gone"])
    )

    class Fake:
        def images(self, columns):
            return pa.table([names, status], names=columns)

    counted = ingest.counts(Fake())
    assert counted["class_name"].to_pylist() == [f"{i:04d}" for i in range(classes)]
    assert counted["status"].to_pylist() == ["gone" if i % 10 == 0 else "ok" for i in range(classes)]
    assert set(counted["images"].to_pylist()) == {1000}


def test_real_photographs(tmp_path, shared_data):
    for name in ("body", "blouse", "top"):
        (tmp_path / "p").mkdir(exist_ok=True)
        (tmp_path / "p" / name).symlink_to(shared_data / "clothing" / name)
    workspace = Workspace.create(tmp_path / "w", roots={"images": tmp_path / "p"})
    summary = ingest.read(workspace, workers=2)
    assert (summary["ok"], summary["broken"], summary["classes"]) == (135, 0, 3)
    assert workspace.classes()["images"].to_pylist() == [23, 69, 43]
    assert min(column(workspace, "width") + column(workspace, "height")) >= 200
    assert 0 < min(column(workspace, "brightness")) < max(column(workspace, "brightness")) < 255
