"""Packed pictures against torchvision's own transforms on Pillow pictures."""

import io

import numpy as np
import pytest
from pictures import draw
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, Resize

from curation.formats import crops
from curation.images.decode import LIMIT_SETTING, BrokenImage

REFERENCE = Compose([Resize(256), CenterCrop(224)])
SIZES = [
    *((500, 375), (375, 500), (479, 501), (100, 80), (341, 256), (256, 341), (256, 256), (224, 224), (640, 427)),
    *((333, 500), (1, 1), (7, 300), (255, 257), (257, 1023), (511, 512)),
]


def encoded(image, kind="PNG", **more):
    sink = io.BytesIO()
    image.save(sink, kind, **more)
    return sink.getvalue()


def reference(data):
    return np.asarray(REFERENCE(Image.open(io.BytesIO(data)).convert("RGB"))).tobytes()


@pytest.mark.parametrize("size", SIZES)
def test_bytes_are_torchvisions(size):
    data = encoded(draw(sum(size), size), "JPEG", quality=90)
    assert crops.crop(data) == reference(data)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16", "YCbCr"])
def test_modes_are_pillows(mode):
    image = draw(5, (300, 270)).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 3)
    if mode == "RGBA":
        image.putalpha(draw(6, (300, 270)).convert("L"))
    data = encoded(image, "TIFF" if mode in ("CMYK", "YCbCr") else "PNG")
    assert crops.crop(data) == reference(data)


def test_orientation_is_not_looked_at():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, plain = (encoded(draw(1, (400, 300)), "JPEG", **more) for more in ({"exif": exif}, {}))
    assert crops.crop(turned) == crops.crop(plain) == reference(turned)


def test_sizes_and_corners_of_the_published_program():
    assert [crops.resized(*size) for size in ((500, 375), (479, 501), (100, 80))] == [
        (341, 256),
        (256, 267),
        (320, 256),
    ]
    assert [crops.corner(341, 256), crops.corner(256, 267)] == [(58, 16), (16, 22)]
    # A row of 150,528 bytes: imagenet30 and imagenet100 as published.
    assert [n * crops.BYTES for n in (39_000, 1_500, 126_689)] == [5_870_592_000, 225_792_000, 19_070_241_792]


def test_png_loses_nothing():
    pixels = crops.crop(encoded(draw(3, (256, 256))))
    assert np.asarray(Image.open(io.BytesIO(crops.png(pixels)))).tobytes() == pixels


def test_broken_pictures_say_why(monkeypatch):
    whole = encoded(draw(2, (300, 300)), "JPEG")
    for data in (b"", b"text", whole[: len(whole) // 2], b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        with pytest.raises(BrokenImage, match="damaged, or no picture"):
            crops.crop(data)
    monkeypatch.setenv(LIMIT_SETTING, "100000")
    with pytest.raises(BrokenImage, match="2,555,904, and the limit is 100,000"):
        crops.crop(encoded(Image.new("RGB", (4, 156))))
