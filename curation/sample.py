"""Picture folders to start with: the digits that come with scikit-learn, and Imagenette where the network allows."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from curation import files
from curation.errors import CurationError


def digits(folder: str | Path) -> Path:
    """Write scikit-learn's 1,797 scanned digits as class folders `0` to `9` of 64-pixel PNG files.

    The scans are 8 x 8 with 17 grey levels (UCI Optical Recognition of Handwritten Digits, test part). A finished
    folder is left as it is.
    """
    from sklearn.datasets import load_digits

    folder = Path(folder)
    if (folder / "done.json").is_file():
        return folder
    data = load_digits()
    for number, (scan, label) in enumerate(zip(data.images, data.target, strict=True)):
        grey = Image.fromarray((255 - scan * (255 / 16)).round().astype(np.uint8))
        target = folder / str(label)
        target.mkdir(parents=True, exist_ok=True)
        grey.resize((64, 64), Image.Resampling.BICUBIC).save(target / f"{number:04d}.png")
    files.write_json(folder / "done.json", {"images": len(data.target), "source": "sklearn.datasets.load_digits"})
    return folder


def imagenette(folder: str | Path) -> Path:
    """Fetch Imagenette at 160 px (9,469 train and 3,925 val photographs of 10 ImageNet classes, 99 MB).

    Raises:
        CurationError: it cannot be reached from this machine.
    """
    from torchvision.datasets import Imagenette

    folder = Path(folder)
    done = folder / "imagenette2-160"
    begun = folder / "fetching.json"
    if (folder / "done.json").is_file():
        return done
    if done.is_dir() and (begun.is_file() or not any(done.iterdir())):
        shutil.rmtree(done)  # unpacked in part: torchvision would take it for finished
    try:
        if not done.is_dir():
            files.write_json(begun, {"source": "torchvision.datasets.Imagenette, 160px"})
            Imagenette(root=str(folder), split="train", size="160px", download=True)
    except (OSError, RuntimeError) as error:
        done.mkdir(parents=True, exist_ok=True)
        raise CurationError(
            f"Imagenette cannot be fetched from here ({error}): "
            f"fetch imagenette2-160.tgz by other means, unpack it as {done}, and open that folder"
        ) from error
    files.write_json(folder / "done.json", {"source": "torchvision.datasets.Imagenette, 160px"})
    return done
