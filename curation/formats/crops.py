"""Pictures as baunilhamarga/imagenet-subset packs them: RGB, shorter side 256, the middle 224 by 224 pixels.

This is torchvision's `Resize(256)` and `CenterCrop(224)` on what Pillow reads, to the byte: the longer side is cut to a
whole number, the filter is Pillow's bilinear one (antialiased), and what EXIF says of the orientation is not looked at.
"""

from __future__ import annotations

import io
import threading
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

from PIL import Image

from curation.pictures import FORMATS, BrokenImage, pixel_limit

SHORT, SIDE = 256, 224
SHAPE = (SIDE, SIDE, 3)
BYTES = SIDE * SIDE * 3
# Decoded, a picture takes 4 bytes a pixel: of those that take more than 16 MB, one at a time.
_LARGE, _one_large = 4_000_000, threading.Lock()


def resized(width: int, height: int) -> tuple[int, int]:
    """Width and height once the shorter side has `SHORT` pixels; the longer is rounded down."""
    longer = int(SHORT * max(width, height) / min(width, height))
    return (SHORT, longer) if width <= height else (longer, SHORT)


def corner(width: int, height: int) -> tuple[int, int]:
    """Left and top of the middle square of `SIDE` pixels; halves are rounded to the even number."""
    return round((width - SIDE) / 2), round((height - SIDE) / 2)


def crop(data: bytes) -> bytes:
    """The packed pixels of a picture file: uint8, (SIDE, SIDE, 3) in C order, as bytes.

    Raises:
        BrokenImage: it is no picture, is damaged, or has too many pixels, before or after resizing.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_formats()) as image:
            size = resized(*image.size)
            pixels, limit = max(image.width * image.height, size[0] * size[1]), pixel_limit()
            if pixels > limit:
                raise BrokenImage(f"too many pixels: {pixels:,}, and the limit is {limit:,}")
            with _turn(pixels):
                whole = image if image.mode == "RGB" else image.convert("RGB")
                left, top = corner(*size)
                small = whole.resize(size, Image.Resampling.BILINEAR)
                return small.crop((left, top, left + SIDE, top + SIDE)).tobytes()
    except BrokenImage:
        raise
    # Damaged files make the format readers raise nearly anything, MemoryError included.
    except Exception as error:
        raise BrokenImage(f"damaged, or no picture: {error or type(error).__name__}") from error


def png(pixels: bytes) -> bytes:
    """Packed pixels as a PNG file, which loses nothing."""
    sink = io.BytesIO()
    Image.frombytes("RGB", (SIDE, SIDE), pixels).save(sink, "PNG")
    return sink.getvalue()


def _turn(pixels: int) -> AbstractContextManager[object]:
    return _one_large if pixels > _LARGE else nullcontext()


@lru_cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(kind for kind in FORMATS if kind in Image.OPEN)
