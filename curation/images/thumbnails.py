"""Small WebP copies of the pictures, made once, on demand, and kept under the hash of the file's bytes."""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from PIL import Image

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.images import decode
from curation.workspace import Workspace

SIZES = {"thumb": 192, "mid": 768}
"""Longest side in pixels, by name."""
QUALITY = 80


class Picture(NamedTuple):
    """What the images table says about one picture."""

    root: str
    path: str
    sha256: str
    status: str
    reason: str


_tables: dict[Path, tuple[str, pa.Table]] = {}
_lock = threading.Lock()
_KEPT = 4


def thumbnail(workspace: Workspace, image_id: int, size: str = "thumb", *, cache: Workspace | None = None) -> bytes:
    """WebP bytes of a picture whose long side is at most `SIZES[size]` pixels; never enlarged. Safe in threads.

    Args:
        cache: the workspace that keeps the copy, for pictures of a reference set, which is never written to.

    Raises:
        ArgumentError: unknown size.
        CurationError: no such image, a broken or missing picture, or one that changed since it was read in.
    """
    if size not in SIZES:
        raise ArgumentError(f"unknown thumbnail size {size!r}: choose one of {', '.join(SIZES)}")
    picture = lookup(workspace, image_id)
    # A broken file may keep the hash of its bytes, but has no picture to show.
    if picture.status == "broken":
        raise CurationError(f"image {image_id} ({picture.path}) is broken: {picture.reason}")
    stored = (cache or workspace).path / "thumbnails" / size / picture.sha256[:2] / f"{picture.sha256}.webp"
    try:
        if data := stored.read_bytes():
            return data
    except OSError:
        pass
    data = _make(_original(workspace, image_id, picture), SIZES[size])
    try:
        with files.replacing(stored) as part:
            part.write_bytes(data)
    except (OSError, CurationError):
        pass  # a full or read-only disk: it is made again next time
    return data


def lookup(workspace: Workspace, image_id: int) -> Picture:
    """Root, path, hash, status and reason of one image, from a table kept in memory while it does not change.

    Raises:
        CurationError: no such image, or nothing was read in yet.
    """
    table = _table(workspace)
    if not 0 <= image_id < len(table):
        raise CurationError(f"there is no image {image_id}: {workspace.path} has {len(table):,} images")
    return Picture(*(table[column][image_id].as_py() for column in Picture._fields))


def _table(workspace: Workspace) -> pa.Table:
    if not workspace.images_path.is_file():
        workspace.images()  # raises, saying what to do
    version = workspace.version()
    with _lock:  # held while reading, so that a page full of pictures reads the table once
        kept = _tables.pop(workspace.path, None)
        if kept is None or kept[0] != version:
            kept = version, workspace.images(Picture._fields)
        _tables[workspace.path] = kept
        while len(_tables) > _KEPT:
            del _tables[next(iter(_tables))]
        return kept[1]


def _original(workspace: Workspace, image_id: int, picture: Picture) -> bytes:
    try:
        data = decode.read_bytes(workspace.image_file(picture.root, picture.path))
    except decode.BrokenImage as error:
        raise CurationError(f"image {image_id} ({picture.path}) {error}") from error
    if hashlib.sha256(data).hexdigest() != picture.sha256:
        raise CurationError(f"image {image_id} ({picture.path}) has changed since it was read in: run `init` again")
    return data


def _make(data: bytes, side: int) -> bytes:
    # Twice the wanted size, so that the last step is a good resampling whatever the JPEG reader's own step gave.
    image = decode.rgb(data, fit=2 * side)
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    # A fresh picture, since save() would carry over the colour profile and EXIF notes of the original.
    clean = Image.new("RGB", image.size)
    clean.paste(image)
    out = io.BytesIO()
    clean.save(out, "WEBP", quality=QUALITY, method=2)
    return out.getvalue()
