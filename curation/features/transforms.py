"""From a picture file to the square of bytes that a backbone sees; Pillow only, so that decoders start fast."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from curation.images import decode

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Beyond this aspect ratio the ends, which a central crop drops anyway, are cut off before resizing: 10 by 50,000
# pixels would else become 256 by 1,280,000.
LONGEST = 4


@dataclass(frozen=True)
class Transform:
    """What happens to a picture before a backbone sees it.

    Attributes:
        resize: pixels of the shorter side after resizing (of both sides when `squash`).
        crop: side of the central square that is cut out.
        interpolation: `bilinear` or `bicubic` (Pillow's filters, which smooth when they shrink) or another of Pillow's.
        squash: resize both sides, whatever the aspect ratio.
        largest: value of a white pixel before normalisation: 1 or 255.
        mean, std: of the normalisation (value - mean) / std, per channel; 0 and 1 where there is none.
    """

    resize: int
    crop: int
    interpolation: str = "bilinear"
    squash: bool = False
    largest: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def recipe(self) -> dict[str, Any]:
        """The transform as JSON can hold it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def read(self, path: str, width: int = 0, height: int = 0) -> np.ndarray:
        """Decode, resize and crop a picture file: uint8 (crop, crop, 3), RGB.

        Args:
            path: the file.
            width, height: of the picture when they are known: a JPEG of more than twice the size needed is then
                decoded at a half, a quarter or an eighth, as long as twice the size needed remains.

        Raises:
            curation.images.decode.BrokenImage: the file cannot be shown as a picture.
        """
        # `fit` speaks of the long side, and the shorter one has to keep twice the size needed.
        fit = -(-2 * self.resize * max(width, height) // min(width, height)) if width and height else None
        return self.pixels(decode.rgb(path, fit=fit))

    def pixels(self, image: Image.Image) -> np.ndarray:
        """Resize and crop an RGB picture: uint8 (crop, crop, 3)."""
        method = Image.Resampling[self.interpolation.upper()]
        if self.squash:
            size = (self.resize, self.resize)
        else:
            image = _without_ends(image)
            # As torchvision.transforms.Resize has it: the longer side is rounded down.
            shorter = min(image.size)
            size = tuple(self.resize if side == shorter else self.resize * side // shorter for side in image.size)
        if size != image.size:
            image = image.resize(size, method)
        # As torchvision.transforms.CenterCrop has it: a half is rounded to even.
        left, top = (round((side - self.crop) / 2.0) for side in image.size)
        return np.asarray(image.crop((left, top, left + self.crop, top + self.crop)))


def _without_ends(image: Image.Image) -> Image.Image:
    """Cut the ends off a picture that is more than `LONGEST` times longer than wide, keeping its centre."""
    limit = LONGEST * min(image.size)
    if max(image.size) <= limit:
        return image
    left, top = (max(0, (side - limit) // 2) for side in image.size)
    return image.crop((left, top, image.width - left, image.height - top))
