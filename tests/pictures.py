"""Pictures that tests draw themselves."""

import numpy as np
from PIL import Image


def draw(seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A picture with smooth structure, the same for the same seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)
