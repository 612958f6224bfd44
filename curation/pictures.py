"""Which files are taken for pictures, and how large one may be; what all parts that open pictures go by."""

from __future__ import annotations

import os

from curation.errors import ArgumentError, CurationError

# Pillow's own threshold for a warning (PIL.Image.MAX_IMAGE_PIXELS): 0.25 GiB at 3 bytes a pixel.
MAX_PIXELS = 1024**3 // 4 // 3
LIMIT_SETTING = "CURATION_MAX_PIXELS"
# Readers that only parse pixels: none that starts another program (EPS) or accepts any bytes (TGA).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
    "AVIF": (".avif",),
}
EXTENSIONS = frozenset(suffix for group in SUFFIXES.values() for suffix in group)
"""Lower-case endings of the file names that are taken for pictures."""


class BrokenImage(CurationError):
    """A file that cannot be shown as a picture; the message is the reason."""


def pixel_limit() -> int:
    """The largest number of pixels a picture may have: `$CURATION_MAX_PIXELS`, else `MAX_PIXELS` (89 million).

    Raises:
        ArgumentError: the setting is not a number above 0.
    """
    setting = os.environ.get(LIMIT_SETTING, "")
    if setting and not (setting.isdecimal() and int(setting) > 0):
        raise ArgumentError(f"${LIMIT_SETTING} is {setting!r}: give a whole number of pixels above 0")
    return int(setting) if setting else MAX_PIXELS
