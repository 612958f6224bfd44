"""What people do to a picture before it turns up a second time: one edit each, its strength drawn from a generator.

The kinds are among those that copy detection is tested with (Douze et al., "The 2021 Image Similarity Dataset and
Challenge", arXiv 2106.09672; Papakipos and Bitton, "AugLy", arXiv 2201.06494), weak enough that the picture stays the
same one to a person.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

    Edit = Callable[[Image.Image, np.random.Generator], tuple[Image.Image, str]]


def applicable(image: Image.Image) -> tuple[str, ...]:
    """Names of the edits that change a picture: all, but for those of colour where there is none."""
    pixels = np.asarray(image)
    grey = (pixels == pixels[..., :1]).all()
    return tuple(name for name in EDITS if not (grey and name in ("grey", "hue")))


def apply(name: str, image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, str]:
    """An RGB picture with one edit, and in words what exactly was done to it."""
    return EDITS[name](image, rng)


def _recompressed(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, str]:
    import io

    from PIL import Image

    chosen, stream = int(rng.integers(15, 26)), io.BytesIO()
    image.save(stream, "JPEG", quality=chosen)
    with Image.open(stream) as small:
        return small.convert("RGB"), f"JPEG quality {chosen}"


def _half(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, str]:
    from PIL import Image

    size = tuple(max(1, round(side / 2)) for side in image.size)
    return image.resize(size, Image.Resampling.LANCZOS), f"{size[0]} x {size[1]} pixels"


def _crop(image: Image.Image, rng: np.random.Generator, cut: float) -> tuple[Image.Image, str]:
    """Cut a share of the width and of the height away, at a place that is drawn."""
    width, height = (max(1, round(side * (1 - cut))) for side in image.size)
    left = int(rng.integers(0, image.width - width + 1))
    top = int(rng.integers(0, image.height - height + 1))
    box = (left, top, left + width, top + height)
    return image.crop(box), f"kept {width} x {height} pixels at ({left}, {top})"


def _crop_10(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, str]:
    return _crop(image, rng, 0.1)


def _crop_30(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, str]:
    return _crop(image, rng, 0.3)


def _mirror(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, str]:
    from PIL import ImageOps

    return ImageOps.mirror(image), "left to right"


def _rotated(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, str]:
    from PIL import Image

    degrees, fill = float(rng.choice([-3.0, 3.0])), _colour(rng)
    return image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=fill), f"{degrees:+.0f} degrees"


def _brighter(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, str]:
    from PIL import ImageEnhance

    factor = round(float(rng.uniform(1.25, 1.5)), 2)
    return ImageEnhance.Brightness(image).enhance(factor), f"times {factor:.2f}"


def _grey(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, str]:
    return image.convert("L").convert("RGB"), "luma"


def _blur(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, str]:
    from PIL import ImageFilter

    radius = round(max(0.8, float(rng.uniform(0.006, 0.01)) * max(image.size)), 1)
    return image.filter(ImageFilter.GaussianBlur(radius)), f"Gaussian, radius {radius:.1f} pixels"


def _border(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, str]:
    from PIL import ImageOps

    width = max(1, round(float(rng.uniform(0.05, 0.1)) * max(image.size)))
    return ImageOps.expand(image, width, _colour(rng)), f"{width} pixels on every side"


def _mark(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, str]:
    """A half transparent plate with bars in one of the corners, as a shop or an agency puts it."""
    from PIL import Image, ImageDraw

    width, height = (max(4, round(share * side)) for share, side in zip((0.35, 0.12), image.size, strict=True))
    plate = Image.new("RGBA", (width, height), (*_colour(rng), 150))
    draw, ink, bars = ImageDraw.Draw(plate), (*rng.integers(0, 256, 3).tolist(), 230), int(rng.integers(4, 8))
    for bar in range(bars):
        left = round((bar + 0.25) * width / bars)
        top = round(float(rng.uniform(0.1, 0.5)) * height)
        draw.rectangle((left, top, left + max(0, round(0.5 * width / bars) - 1), round(0.9 * height)), fill=ink)
    right, low = (bool(side) for side in rng.integers(0, 2, 2))
    inset = round(0.03 * min(image.size))
    place = (image.width - width - inset if right else inset, image.height - height - inset if low else inset)
    layered = image.convert("RGBA")
    layered.alpha_composite(plate, tuple(max(0, start) for start in place))
    return layered.convert("RGB"), f"{'lower' if low else 'upper'} {'right' if right else 'left'} corner"


def _hue(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, str]:
    from PIL import Image

    steps = int(rng.integers(11, 26)) * int(rng.choice([-1, 1]))
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([(old + steps) % 256 for old in range(256)])  # a circle of 256 steps
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB"), f"{steps * 360 / 256:+.0f} degrees"


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """Black, white or any colour, each as often."""
    kind, mixed = int(rng.integers(3)), rng.integers(0, 256, 3).tolist()
    return ((0, 0, 0), (255, 255, 255), tuple(mixed))[kind]


EDITS: dict[str, Edit] = {
    "recompressed": _recompressed,
    "half-size": _half,
    "crop-10": _crop_10,
    "crop-30": _crop_30,
    "mirror": _mirror,
    "rotated": _rotated,
    "brighter": _brighter,
    "grey": _grey,
    "blur": _blur,
    "border": _border,
    "mark": _mark,
    "hue": _hue,
}
"""Every kind of edit, in the order in which tables list them."""
