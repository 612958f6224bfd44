"""Fingerprints agree with their published form, bit by bit."""

from __future__ import annotations

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from curation.images import decode
from curation.images.fingerprint import fingerprint, phashes, pixel_hash


def as_int(image: Image.Image) -> int:
    return int(str(imagehash.phash(image)), 16)


def check_against_imagehash(images: list[Image.Image]) -> None:
    grey = np.stack([fingerprint(image).grey for image in images])
    assert phashes(grey).tolist() == [as_int(image) for image in images]
    assert phashes(grey[:, :, ::-1]).tolist() == [as_int(ImageOps.mirror(image)) for image in images]


pixels = hnp.arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70), st.just(3)))


@given(st.lists(pixels, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_phash_has_the_bits_of_imagehash(arrays):
    check_against_imagehash([Image.fromarray(array) for array in arrays])


def test_phash_of_symmetric_and_flat_pictures_has_the_bits_of_imagehash():
    # Many of their coefficients are zero but for rounding, so that the last digit decides.
    rng = np.random.default_rng(0)
    images = [Image.new("RGB", (40, 30), colour) for colour in ("black", "white", (1, 2, 3))]
    for side in (8, 32, 33, 64):
        half = rng.integers(0, 2, (side, side, 3), dtype=np.uint8) * 255
        images += [Image.fromarray(np.concatenate([half, half[:, ::-1]], 1))]
        images += [Image.fromarray(np.concatenate([half, half[::-1]], 0)), Image.fromarray(np.tile(half, (2, 2, 1)))]
    check_against_imagehash(images)


def test_phash_of_photographs_has_the_bits_of_imagehash(shared_data):
    paths = sorted((shared_data / "clothing").glob("*/*"))[::80]
    check_against_imagehash([decode.rgb(path) for path in paths])


def test_phashes_of_nothing():
    assert phashes(np.zeros((0, 32, 32), np.uint8)).shape == (0,)


def test_pixel_hash_depends_on_shape_and_pixels():
    array = np.arange(2 * 6 * 3, dtype=np.uint8)
    wide, tall = Image.fromarray(array.reshape(2, 6, 3)), Image.fromarray(array.reshape(6, 2, 3))
    assert pixel_hash(wide) != pixel_hash(tall)
    assert pixel_hash(wide) == pixel_hash(wide.copy())
    other = wide.copy()
    other.putpixel((0, 0), (0, 1, 3))
    assert pixel_hash(wide) != pixel_hash(other)
    assert len(pixel_hash(wide)) == 32


@given(pixels)
@settings(max_examples=40, deadline=None)
def test_brightness_is_the_mean_of_luma(array):
    image = Image.fromarray(array)
    assert fingerprint(image).brightness == pytest.approx(np.asarray(image.convert("L"), float).mean())


@pytest.mark.parametrize(("colour", "brightness"), [("black", 0.0), ("white", 255.0), ((255, 0, 0), 76.0)])
def test_pictures_of_one_colour_are_flat(colour, brightness):
    image = Image.new("RGB", (20, 10), colour)
    assert fingerprint(image).flat
    assert fingerprint(image).brightness == brightness
    image.putpixel((3, 3), (9, 9, 9))
    assert not fingerprint(image).flat
