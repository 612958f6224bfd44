"""Thumbnails are made once, kept under the hash of the bytes, and never shown for another picture."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.images import ingest, thumbnails
from curation.workspace import Workspace


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "pictures" / "ant"
    folder.mkdir(parents=True)
    Image.effect_noise((900, 600), 60).convert("RGB").save(folder / "1-large.jpg")
    Image.new("RGB", (20, 10), "red").save(folder / "2-small.png")
    (folder / "3-broken.jpg").write_bytes(b"text")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (400, 200), "blue").save(folder / "4-turned.jpg", exif=exif)
    Image.new("RGB", (5000, 2), "blue").save(folder / "5-wide.png")
    return folder


@pytest.fixture
def workspace(tmp_path, root):
    workspace = Workspace.create(tmp_path / "workspace", roots={"images": root.parent})
    ingest.read(workspace, workers=1)
    return workspace


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "WEBP"
    return image


@pytest.mark.parametrize(
    ("image_id", "size", "shape"),
    [
        (0, "thumb", (192, 128)),
        (0, "mid", (768, 512)),
        (1, "thumb", (20, 10)),
        (3, "thumb", (96, 192)),
        (4, "thumb", (192, 1)),
    ],
)
def test_sizes(workspace, image_id, size, shape):
    assert opened(thumbnails.thumbnail(workspace, image_id, size)).size == shape


def test_it_is_made_once(workspace, root):
    first = thumbnails.thumbnail(workspace, 0)
    sha = thumbnails.lookup(workspace, 0).sha256
    stored = workspace.path / "thumbnails" / "thumb" / sha[:2] / f"{sha}.webp"
    assert stored.read_bytes() == first
    (root / "1-large.jpg").unlink()
    assert thumbnails.thumbnail(workspace, 0) == first


def test_pictures_of_a_workspace_that_may_not_be_written_to_are_kept_elsewhere(workspace, tmp_path):
    ours = Workspace.create(tmp_path / "ours", roots={"images": workspace.roots["images"]})
    data = thumbnails.thumbnail(workspace, 0, cache=ours)
    assert not (workspace.path / "thumbnails").exists()
    sha = thumbnails.lookup(workspace, 0).sha256
    assert (ours.path / "thumbnails" / "thumb" / sha[:2] / f"{sha}.webp").read_bytes() == data
    assert thumbnails.thumbnail(workspace, 0) == data


def test_an_empty_stored_file_is_made_again(workspace):
    first = thumbnails.thumbnail(workspace, 0)
    stored = next((workspace.path / "thumbnails").rglob("*.webp"))
    stored.write_bytes(b"")
    assert thumbnails.thumbnail(workspace, 0) == first
    assert stored.read_bytes() == first


def test_what_has_no_thumbnail(workspace, root):
    with pytest.raises(CurationError, match=r"image 2 \(ant/3-broken.jpg\) is broken: not a picture"):
        thumbnails.thumbnail(workspace, 2)
    with pytest.raises(CurationError, match=r"there is no image 5: .* has 5 images"):
        thumbnails.thumbnail(workspace, 5)
    with pytest.raises(CurationError, match="there is no image -1"):
        thumbnails.thumbnail(workspace, -1)
    with pytest.raises(ArgumentError, match="unknown thumbnail size 'huge': choose one of thumb, mid"):
        thumbnails.thumbnail(workspace, 0, "huge")
    (root / "1-large.jpg").unlink()
    with pytest.raises(CurationError, match="cannot be read: No such file"):
        thumbnails.thumbnail(workspace, 0)
    (root / "2-small.png").write_bytes((root / "4-turned.jpg").read_bytes())
    with pytest.raises(CurationError, match="has changed since it was read in"):
        thumbnails.thumbnail(workspace, 1)


def test_before_anything_is_read(tmp_path):
    (tmp_path / "p").mkdir()
    with pytest.raises(CurationError, match="has no images yet"):
        thumbnails.thumbnail(Workspace.create(tmp_path / "w", roots={"images": tmp_path / "p"}), 0)


def test_a_full_disk_does_not_stop_the_show(workspace, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    assert opened(thumbnails.thumbnail(workspace, 0)).size == (192, 128)
    assert not [path for path in (workspace.path / "thumbnails").rglob("*") if path.is_file()]


def test_the_table_is_read_again_when_it_changes(workspace, root):
    assert thumbnails.lookup(workspace, 0).path == "ant/1-large.jpg"
    before = thumbnails._table(workspace)
    assert thumbnails._table(workspace) is before
    Image.new("RGB", (9, 9)).save(root / "0.png")
    ingest.read(workspace, workers=1)
    assert thumbnails.lookup(workspace, 5).path == "ant/0.png"


def test_many_threads_at_once(workspace):
    ids = [0, 1, 3, 4] * 8
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda i: thumbnails.thumbnail(workspace, i), ids))
    assert len({(i, data) for i, data in zip(ids, found, strict=True)}) == 4
    assert len([path for path in (workspace.path / "thumbnails").rglob("*") if path.is_file()]) == 4


def test_notes_of_the_original_are_not_carried_over(tmp_path):
    (tmp_path / "p" / "a").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x010E] = "the photographer's address"
    Image.new("RGB", (300, 300)).save(tmp_path / "p" / "a" / "1.jpg", exif=exif, icc_profile=b"profile")
    workspace = Workspace.create(tmp_path / "w", roots={"images": tmp_path / "p"})
    ingest.read(workspace, workers=1)
    data = thumbnails.thumbnail(workspace, 0)
    assert b"address" not in data
    assert b"profile" not in data


def test_torch_is_not_imported():
    script = "import sys, curation.images.thumbnails, curation.images.ingest; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
