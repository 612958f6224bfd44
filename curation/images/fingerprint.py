"""What can be told of a picture from its pixels alone: hashes that find copies, brightness, emptiness."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from PIL import Image

GREY_SIDE = 32
_LOW = 8


class Fingerprint(NamedTuple):
    """Measurements of one picture; `grey` is what `phashes` works on."""

    pixels: str  # 32 hex digits: hash of the shape and the RGB pixels
    brightness: float  # mean luma (ITU-R BT.601), 0 to 255
    flat: bool  # all black, or all one colour
    grey: np.ndarray  # uint8, (32, 32)


def fingerprint(image: Image.Image) -> Fingerprint:
    """Measure an RGB picture as `decode` gives it."""
    luma = image.convert("L")
    histogram = np.array(luma.histogram(), np.int64)
    return Fingerprint(
        pixels=pixel_hash(image),
        brightness=float(histogram @ np.arange(256) / histogram.sum()),
        flat=all(low == high for low, high in image.getextrema()),
        grey=np.asarray(luma.resize((GREY_SIDE, GREY_SIDE), Image.Resampling.LANCZOS)),
    )


def pixel_hash(image: Image.Image) -> str:
    """Hash of an RGB picture's shape and pixels: equal for two files exactly when they show the same.

    The first 128 bits of SHA-256: among a billion pictures, two different ones agree with probability 1e-21.
    """
    digest = hashlib.sha256(f"{image.width}x{image.height}:".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()[:32]


def phashes(grey: np.ndarray) -> np.ndarray:
    """Perceptual hashes of many pictures at once.

    The DCT hash of C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010), section
    3.2.1, in the form of the package `imagehash` (`phash`, hash_size 8, highfreq_factor 4), to the same bits: the 8 x 8
    lowest frequencies of the DCT-II of a 32 x 32 grey picture, against their median.

    Args:
        grey: uint8, (N, 32, 32), made by Pillow's Lanczos filter. Give `grey[:, :, ::-1]` for the hashes of the
            mirror images; that filter gives the same pixels mirrored before or after.

    Returns:
        uint64, (N,): the first of the 64 bits is the highest.
    """
    from scipy.fft import dct

    if not len(grey):
        return np.zeros(0, np.uint64)
    # A bit is decided by a comparison: the type and the order of the two transforms keep the last digits equal too.
    spectrum = dct(dct(grey.astype(np.float64), axis=1), axis=2)[:, :_LOW, :_LOW].reshape(len(grey), -1)
    bits = spectrum > np.median(spectrum, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)
