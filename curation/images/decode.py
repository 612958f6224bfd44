"""Any picture file as an RGB picture, safely: what is odd about it is noted, what is broken says why.

Features, fingerprints and thumbnails all see a picture through this one door, so they agree about what it shows.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from curation.errors import CurationError
from curation.pictures import EXTENSIONS, FORMATS, LIMIT_SETTING, SUFFIXES, BrokenImage, pixel_limit

__all__ = [
    "EXTENSIONS",
    "LIMIT_SETTING",
    "SUFFIXES",
    "BrokenImage",
    "Decoded",
    "decode",
    "pixel_limit",
    "read_bytes",
    "rgb",
]

MAX_BYTES = 1024**3
_ORIENTATION = 0x0112
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Decoded:
    """A decoded picture: RGB, 8 bits a channel, turned as EXIF says; `notes` tell what was done to get there."""

    image: Image.Image
    notes: tuple[str, ...] = ()

    @property
    def array(self) -> np.ndarray:
        """Pixels, uint8, (height, width, 3)."""
        return np.asarray(self.image)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a picture file.

    Raises:
        BrokenImage: it cannot be read, or has more than `MAX_BYTES` bytes.
    """
    try:
        size = Path(path).stat().st_size
        if size > MAX_BYTES:
            raise BrokenImage(f"file too large: {size:,} bytes, and the limit is {MAX_BYTES:,}")
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise BrokenImage(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def decode(
    source: bytes | str | os.PathLike[str],
    *,
    name: str | None = None,
    max_pixels: int | None = None,
    fit: int | None = None,
) -> Decoded:
    """Decode a picture file, given as a path or as its bytes.

    Of several frames or pages the first is taken; transparency is shown over white; CMYK is read in Adobe's polarity,
    as browsers and Pillow do; 16 bits a channel are scaled to 8. Colour profiles are not applied.

    Args:
        source: path or bytes.
        name: file name to compare the format with, when `source` is bytes.
        max_pixels: pictures with more are refused before memory for their pixels is taken; `pixel_limit()` when None.
        fit: a JPEG may be decoded at a half, a quarter or an eighth of its size, as long as its long side keeps at
            least this many pixels; much faster, for pictures that are made smaller anyway.

    Raises:
        BrokenImage: the file cannot be read, is empty, is no picture, is damaged or is too large.
    """
    if not isinstance(source, bytes):
        name = name or os.fspath(source)
        source = read_bytes(source)
    kind, image = _open(source)
    notes = _wrong_suffix(kind, name)
    try:
        _check_size(image, pixel_limit() if max_pixels is None else max_pixels)
        if fit and kind == "JPEG":
            scale = max(1.0, max(image.size) / fit)
            image.draft(None, (int(image.width / scale), int(image.height / scale)))
        notes += _frames(image, kind)
        image.load()
        return _display(image, notes)
    except CurationError:
        raise
    # Damaged files make the format readers raise nearly anything, MemoryError included.
    except Exception as error:
        raise BrokenImage(f"damaged {kind} file: {error or type(error).__name__}") from error


def rgb(source: bytes | str | os.PathLike[str], *, fit: int | None = None) -> Image.Image:
    """The picture alone, as `decode` gives it."""
    return decode(source, fit=fit).image


def _open(data: bytes) -> tuple[str, Image.Image]:
    if not data:
        raise BrokenImage("empty file (0 bytes)")
    Image.preinit()
    for kind in FORMATS:
        if kind not in Image.OPEN:
            Image.init()
        factory, accept = Image.OPEN.get(kind, (None, None))
        # Not Image.open(): its size check is a global setting and a global warning filter, ours is an argument.
        if factory is None or (accept is not None and accept(data[:16]) is not True):
            continue
        try:
            return kind, factory(io.BytesIO(data), "")
        except Exception as error:
            raise BrokenImage(f"damaged {kind} file: {error or type(error).__name__}") from error
    raise BrokenImage(f"not a picture of a known kind: starts with {data[:16]!r}")


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise BrokenImage(
            f"too many pixels: {width:,} x {height:,} = {width * height:,}, and the limit is {max_pixels:,} "
            f"(set ${LIMIT_SETTING} to change it)"
        )


def _wrong_suffix(kind: str, name: str | None) -> tuple[str, ...]:
    suffix = PurePath(name).suffix.lower() if name else ""
    return (f"a {kind} file named {suffix}",) if suffix and suffix not in SUFFIXES[kind] else ()


def _frames(image: Image.Image, kind: str) -> tuple[str, ...]:
    if kind == "JPEG":  # a second frame is a camera's preview, not an animation
        return ()
    try:
        return ("first of several frames",) if getattr(image, "is_animated", False) else ()
    except Exception:
        image.seek(0)  # damage after the first frame does not concern the first
        return ()


def _display(image: Image.Image, notes: tuple[str, ...]) -> Decoded:
    turn = _orientation(image)
    if image.mode != "RGB" or "transparency" in image.info:
        image, note = _to_rgb(image)
        notes += note
    if turn in _TURN:
        image = image.transpose(_TURN[turn])
        notes += (f"turned by EXIF orientation {turn}",)
    return Decoded(image, notes)


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a camera's damaged notes do not spoil its picture
        return 1


def _to_rgb(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """RGB picture and notes; `image` is loaded and of any mode."""
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return _to_8_bits(image).convert("RGB"), ("more than 8 bits a pixel, scaled to 8",)
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        seen = layered.getextrema()[3][0] < 255
        white.alpha_composite(layered)
        return white.convert("RGB"), ("transparency shown over white",) if seen else ()
    note = {"L": "grey", "1": "black and white", "P": "palette", "CMYK": "CMYK"}.get(mode, mode)
    return image.convert("RGB"), () if mode == "RGB" else (note,)


def _to_8_bits(image: Image.Image) -> Image.Image:
    # Pillow's own convert() cuts such values off at 255 instead of scaling them.
    values = np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0.0, neginf=0.0)
    largest = values.max()
    if image.mode == "F":
        full = next((top for top in (1.0, 255.0, 65535.0) if largest <= top), largest)
    else:
        full = 65535.0 if largest <= 65535 else 4294967295.0
    return Image.fromarray(np.rint(values.clip(0, full) * (255.0 / full)).astype(np.uint8))
