"""Renditions: what they show, what is left out and why, and that runs go on where they ended."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple

import numpy as np
import pytest
from pictures import draw
from PIL import Image

from curation import files
from curation.duplicates import renditions
from curation.duplicates.renditions import BYTES, Renditions, make
from curation.duplicates.sketch import SKETCH, sketch
from curation.errors import ArgumentError, Cancelled, CurationError
from curation.images.ingest import read
from curation.workspace import Workspace


@pytest.fixture
def workspace(tmp_path, picture_tree) -> Workspace:
    """Twenty pictures, and one that is 256 x 256, one that is flat, one that is broken."""
    draw(1, (256, 256)).save(picture_tree / "ant" / "square.png")
    Image.new("RGB", (40, 30), "red").save(picture_tree / "bee" / "flat.png")
    (picture_tree / "bee" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    workspace = Workspace.create(tmp_path / "workspace", roots={"images": picture_tree})
    read(workspace, layout="folders", workers=1)
    return workspace


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of 8 rows."""
    monkeypatch.setattr(renditions, "SHARD_ROWS", 8)
    monkeypatch.setitem(renditions.RECIPE, "shard_rows", 8)


def written(workspace: Workspace) -> dict[str, int]:
    """When each shard was written."""
    return {path.name: path.stat().st_mtime_ns for path in renditions.folder(workspace).glob("0*.npy")}


def id_of(workspace: Workspace, name: str) -> int:
    return next(i for i, path in enumerate(workspace.images(["path"])["path"].to_pylist()) if path.endswith(name))


def test_renditions_are_the_pictures_resized_and_256_pixels_stay_as_they_are(workspace, picture_tree):
    made = make(workspace, workers=1)
    table = workspace.images(["path"])["path"].to_pylist()
    assert made.rows(made.ids).shape == (21, 256, 256, 3)
    for image_id, row in zip(made.ids.tolist(), made.rows(made.ids), strict=True):
        with Image.open(picture_tree / table[image_id]) as image:
            expected = np.asarray(image.convert("RGB").resize((256, 256), Image.Resampling.BILINEAR))
        assert np.array_equal(row, expected), table[image_id]
    square = id_of(workspace, "square.png")
    assert np.array_equal(made.rows([square])[0], np.asarray(draw(1, (256, 256))))


def test_flat_and_broken_pictures_have_none(workspace):
    made = make(workspace, workers=1)
    lacking = {id_of(workspace, "flat.png"), id_of(workspace, "broken.jpg")}
    assert set(range(23)) - set(made.ids.tolist()) == lacking
    assert made.ids.dtype == np.int64
    assert made.failed == {}
    with pytest.raises(ArgumentError, match="1 of 2 images have no rendition"):
        made.rows([int(made.ids[0]), min(lacking)])


def test_rows_come_in_the_order_asked_for_from_any_shard(workspace, small_shards):
    made = make(workspace, workers=1)
    asked = np.random.default_rng(0).permutation(np.repeat(made.ids, 2))
    rows = made.rows(asked)
    for image_id, row, view, sketched in zip(asked, rows, made.views(asked), made.sketches(asked), strict=True):
        assert np.array_equal(row, made.rows([image_id])[0])
        assert np.array_equal(row.ravel(), view)
        assert sketched == sketch(row[None])[0]


def test_a_second_run_makes_nothing_and_a_changed_picture_only_its_shard(workspace, picture_tree, small_shards):
    before = make(workspace, workers=1)
    old, times = before.rows(before.ids), written(workspace)
    make(workspace, workers=1)
    assert written(workspace) == times
    changed = int(before.ids[-1])
    path = workspace.images(["path"])["path"][changed].as_py()
    draw(999).save(picture_tree / path)
    os.utime(picture_tree / path, ns=(1, 1))
    read(workspace, layout="folders", workers=1)
    after = make(workspace, workers=1)
    again = {name for name, when in written(workspace).items() if when != times[name]}
    assert again == {f"{changed // 8:05d}.npy", f"{changed // 8:05d}.sketch.npy"}
    differ = [i for i in before.ids if not np.array_equal(after.rows([i])[0], old[np.searchsorted(before.ids, i)])]
    assert differ == [changed]


def test_a_stopped_run_goes_on_and_gives_the_same_bytes(workspace, small_shards):
    def stop(done: int, total: int, message: str) -> None:
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        make(workspace, workers=1, progress=stop)
    first = written(workspace)
    assert set(first) == {"00000.npy", "00000.sketch.npy"}
    calls = []
    make(workspace, workers=1, progress=lambda *step: calls.append(step))
    assert calls[0][0] == 8
    assert calls[-1][:2] == (21, 21)
    assert first.items() <= written(workspace).items()
    stopped = {path.name: path.read_bytes() for path in renditions.folder(workspace).iterdir()}
    shutil.rmtree(renditions.folder(workspace))
    make(workspace, workers=2)
    assert stopped == {path.name: path.read_bytes() for path in renditions.folder(workspace).iterdir()}


def test_a_run_killed_between_sidecar_and_shard_is_not_taken_for_done(workspace, monkeypatch):
    make(workspace, workers=1)
    sidecar = renditions.folder(workspace) / "00000.json"
    value = files.read_json(sidecar)
    files.write_json(sidecar, value | {"inputs": "of other pictures"})

    def killed(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(renditions.arrays, "write_shard", killed)
        make(workspace, workers=1)
    assert not (renditions.folder(workspace) / "00000.npy").exists()
    assert len(make(workspace, workers=1)) == 21


def test_pictures_that_cannot_be_decoded_now_are_left_out_with_a_reason(workspace, picture_tree):
    (picture_tree / "ant" / "001.png").unlink()
    draw(5).save(picture_tree / "bee" / "001.png")
    made = make(workspace, workers=1)
    gone, changed = id_of(workspace, "ant/001.png"), id_of(workspace, "bee/001.png")
    assert set(made.failed) == {gone, changed}
    assert "No such file" in made.failed[gone]
    assert "has changed since" in made.failed[changed]
    assert len(made) == 19
    with pytest.raises(ArgumentError, match="has changed since"):
        made.rows([changed])


def test_too_small_a_disk_is_told_before_anything_is_written(workspace, monkeypatch):
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(renditions.shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 12_345, 12_345))
    need = 23 * (BYTES + SKETCH.itemsize)
    with pytest.raises(CurationError, match=f"23 pictures take {need:,} bytes, and 12,345 are free"):
        make(workspace, workers=1)
    assert not renditions.folder(workspace).exists()
    monkeypatch.undo()
    make(workspace, workers=1)
    monkeypatch.setattr(renditions.shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 0))
    assert len(make(workspace, workers=1)) == 21  # nothing to make takes no space


def test_a_reference_set_is_kept_by_another_workspace_and_not_written_to(workspace, tmp_path, picture_tree):
    ours = Workspace.create(tmp_path / "ours", roots={"images": picture_tree})
    before = sorted(workspace.path.rglob("*"))
    made = make(workspace, keeper=ours, name="val", workers=1)
    assert sorted(workspace.path.rglob("*")) == before
    assert made.directory == ours.path / "duplicates" / "renditions@val"
    assert not made.same(make(workspace, workers=1))
    assert made.same(make(workspace, keeper=ours, name="val", workers=1))
    with pytest.raises(ArgumentError, match="reference set"):
        make(workspace, keeper=ours, name="../up")


def test_a_folder_that_is_not_mounted_is_named(workspace, picture_tree):
    picture_tree.rename(picture_tree.with_name("elsewhere"))
    with pytest.raises(CurationError, match=r"is not there: mount it"):
        make(workspace, workers=1)


def test_a_damaged_shard_is_named(workspace):
    make(workspace, workers=1)
    path = renditions.folder(workspace) / "00000.npy"
    with open(path, "r+b") as file:
        file.truncate(1000)
    with pytest.raises(CurationError, match=r"00000\.npy cannot be read"):
        make(workspace, workers=1)
    np.save(path, np.zeros((3, 256, 256, 3), np.uint8))
    with pytest.raises(CurationError, match="belong: delete it"):
        make(workspace, workers=1)


def test_renditions_in_memory_have_to_be_renditions():
    with pytest.raises(ArgumentError, match=r"not float64 \(2, 3\)"):
        Renditions.of(np.zeros((2, 3)))
