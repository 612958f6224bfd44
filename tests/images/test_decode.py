"""Every kind of odd or broken file ends as a picture with a note or as a reason."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from curation.errors import ArgumentError
from curation.images import decode
from curation.images.decode import BrokenImage


def picture(size=(60, 40), seed=0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 10, size[0] // 10, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def close(a: Image.Image, b: Image.Image, tolerance: float = 4.0) -> bool:
    return a.size == b.size and np.abs(np.asarray(a, float) - np.asarray(b, float)).mean() < tolerance


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP", "JPEG2000", "JPEG", "AVIF"])
def test_plain_pictures_of_every_kind_decode_to_their_pixels(kind):
    image = picture()
    options = {"lossless": True} if kind == "WEBP" else {}
    found = decode.decode(encoded(image, kind, **options))
    assert found.image.mode == "RGB"
    assert found.array.shape == (40, 60, 3)
    assert found.array.dtype == np.uint8
    if kind in ("PNG", "BMP", "TIFF", "PPM", "WEBP", "JPEG2000"):
        assert np.array_equal(found.array, np.asarray(image))
    else:
        assert close(found.image, image, 12.0)
    assert found.notes == (("palette",) if kind == "GIF" else ())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(kind, orientation):
    image = picture()
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(image, kind, exif=exif, **({"quality": 95} if kind in ("JPEG", "WEBP") else {}))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    found = decode.decode(data)
    assert np.array_equal(found.array, np.asarray(expected))
    assert found.image.size == ((40, 60) if orientation >= 5 else (60, 40))


def test_damaged_exif_does_not_spoil_the_picture():
    data = encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    assert decode.rgb(data).size == (60, 40)


def test_grey_black_and_white_and_palette():
    grey = picture().convert("L")
    found = decode.decode(encoded(grey, "PNG"))
    assert np.array_equal(found.array, np.repeat(np.asarray(grey)[:, :, None], 3, 2))
    assert found.notes == ("grey",)
    assert decode.decode(encoded(picture().convert("1"), "PNG")).notes == ("black and white",)
    palette = picture().quantize(16)
    found = decode.decode(encoded(palette, "PNG"))
    assert np.array_equal(found.array, np.asarray(palette.convert("RGB")))
    assert found.notes == ("palette",)


def test_cmyk_in_adobe_polarity_is_not_a_negative():
    image = picture()
    data = encoded(image.convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data
    found = decode.decode(data)
    assert found.notes == ("CMYK",)
    assert close(found.image, image)


def test_transparency_is_shown_over_white():
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[:, :3] = (200, 10, 10, 255)
    pixels[:, 3:] = (10, 200, 10, 0)
    found = decode.decode(encoded(Image.fromarray(pixels), "PNG"))
    assert found.array[0, 0].tolist() == [200, 10, 10]
    assert found.array[0, 5].tolist() == [255, 255, 255]
    assert found.notes == ("transparency shown over white",)
    opaque = decode.decode(encoded(picture().convert("RGBA"), "PNG"))
    assert opaque.notes == ()
    assert np.array_equal(opaque.array, np.asarray(picture()))


@pytest.mark.parametrize("mode", ["P", "RGB", "L", "LA"])
def test_transparency_of_other_modes(mode):
    image = Image.new("RGB", (5, 5), "black").convert(mode)
    options = {} if mode == "LA" else {"transparency": (0, 0, 0) if mode == "RGB" else image.getpixel((0, 0))}
    if mode == "LA":
        image = Image.new("LA", (5, 5), (0, 0))
    found = decode.decode(encoded(image, "PNG", **options))
    assert found.array.min() == 255


@given(st.lists(st.integers(0, 65535), min_size=2, max_size=64))
@settings(max_examples=50, deadline=None)
def test_16_bit_grey_is_scaled_not_cut_off(values):
    pixels = np.array([values], np.uint16)
    for data in (encoded(Image.fromarray(pixels), "PNG"), encoded(Image.fromarray(pixels), "TIFF")):
        found = decode.decode(data)
        assert np.array_equal(found.array[:, :, 0], np.rint(pixels / 257).astype(np.uint8))
        assert found.notes == ("more than 8 bits a pixel, scaled to 8",)


def test_16_bit_colour_and_floating_point():
    rows = b"\0" + struct.pack(">6H", 65535, 32768, 0, 256, 257 * 100, 1)
    assert decode.decode(png(2, 1, 16, 2, rows)).array.tolist() == [[[255, 128, 0], [1, 100, 0]]]
    ramp = np.linspace(0, 1, 11, dtype=np.float32)[None]
    assert decode.decode(encoded(Image.fromarray(ramp), "TIFF")).array[0, :, 0].tolist()[::5] == [0, 128, 255]
    holes = np.array([[np.nan, np.inf, 0.5, 1.0]], np.float32)
    assert decode.decode(encoded(Image.fromarray(holes), "TIFF")).array[0, :, 0].tolist() == [0, 0, 128, 255]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_taken(kind):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    found = decode.decode(data)
    assert "first of several frames" in found.notes
    assert close(found.image, frames[0])


def test_damage_after_the_first_frame_is_of_no_concern():
    frames = [picture(seed=i) for i in range(3)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    found = decode.decode(data[:-30])
    assert found.image.size == (60, 40)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF"])
@pytest.mark.parametrize("keep", [0.05, 0.5])
def test_truncated_files_are_broken_and_say_what_they_were(kind, keep):
    data = encoded(picture((200, 100)), kind)
    with pytest.raises(BrokenImage, match=f"damaged {kind} file: .+|not a picture"):
        decode.decode(data[: int(len(data) * keep)])


def test_empty_text_and_unknown_files_are_broken():
    with pytest.raises(BrokenImage, match=r"empty file \(0 bytes\)"):
        decode.decode(b"")
    with pytest.raises(BrokenImage, match="not a picture of a known kind: starts with b'<!DOCTYPE html>"):
        decode.decode(b"<!DOCTYPE html><html>404</html>", name="cat.jpg")
    with pytest.raises(BrokenImage, match="not a picture"):
        decode.decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")


@given(st.binary(max_size=300), st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"]), st.data())
@settings(max_examples=200, deadline=None)
def test_no_bytes_whatever_raise_anything_else(junk, kind, data):
    whole = encoded(picture(), kind)
    at = data.draw(st.integers(0, len(whole)))
    for sample in (junk, whole[:at] + junk + whole[at + len(junk) :]):
        with contextlib.suppress(BrokenImage):
            assert decode.rgb(sample).mode == "RGB"


def test_a_wrong_extension_is_noted_and_no_obstacle(tmp_path):
    path = tmp_path / "photo.JPG"
    path.write_bytes(encoded(picture(), "PNG"))
    assert decode.decode(path).notes == ("a PNG file named .jpg",)
    path.write_bytes(encoded(picture(), "JPEG"))
    assert decode.decode(str(path)).notes == ()


def test_a_decompression_bomb_is_refused_before_memory_is_taken():
    bomb = png(60_000, 60_000, 8, 2, b"")
    with pytest.raises(BrokenImage, match=r"60,000 x 60,000 = 3,600,000,000, and the limit is 89,478,485"):
        decode.decode(bomb)
    # In a process that may hold 1 GiB, one allocation of the 10 GiB of pixels would end in a MemoryError.
    script = (
        "import resource, sys\nfrom curation.images.decode import decode\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "try: decode(sys.stdin.buffer.read())\nexcept Exception as error: print(error)\n"
    )
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", script], input=bomb, capture_output=True, env=environment, check=True)
    assert b"3,600,000,000" in run.stdout


def test_the_limit_can_be_set(monkeypatch):
    data = encoded(picture((60, 40)), "PNG")
    assert decode.decode(data, max_pixels=2400).image.size == (60, 40)
    with pytest.raises(BrokenImage, match=r"60 x 40 = 2,400, and the limit is 2,399"):
        decode.decode(data, max_pixels=2399)
    monkeypatch.setenv("CURATION_MAX_PIXELS", "100")
    with pytest.raises(BrokenImage, match="the limit is 100"):
        decode.rgb(data)
    monkeypatch.setenv("CURATION_MAX_PIXELS", "many")
    with pytest.raises(ArgumentError, match="'many'"):
        decode.rgb(data)


def test_pillows_own_settings_are_left_alone():
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    decode.rgb(encoded(picture(), "JPEG"))
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_pictures_of_one_pixel(kind):
    found = decode.decode(encoded(Image.new("RGB", (1, 1), "white"), kind))
    assert found.array.shape == (1, 1, 3)
    assert found.array.min() > 250


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(BrokenImage, match="cannot be read: No such file"):
        decode.rgb(tmp_path / "gone.jpg")
    with pytest.raises(BrokenImage, match="cannot be read: Is a directory"):
        decode.rgb(tmp_path)
    path = tmp_path / "large.jpg"
    path.write_bytes(encoded(picture(), "JPEG"))
    monkeypatch.setattr(decode, "MAX_BYTES", 10)
    with pytest.raises(BrokenImage, match=r"file too large: [\d,]+ bytes, and the limit is 10"):
        decode.rgb(path)


def test_fit_makes_a_jpeg_smaller_but_never_smaller_than_asked():
    data = encoded(picture((1600, 1200)), "JPEG")
    assert decode.rgb(data, fit=400).size == (400, 300)
    assert max(decode.rgb(data, fit=401).size) >= 401
    assert decode.rgb(data, fit=5000).size == (1600, 1200)
    assert decode.rgb(encoded(picture((160, 120)), "PNG"), fit=40).size == (160, 120)
