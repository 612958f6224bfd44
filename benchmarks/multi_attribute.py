"""Test sets with even attributes: this program against the published rule as one would write it.

    python -m benchmarks.multi_attribute [--images 65000] [--attributes 204] [--picks 200] [--plain 2000] [--whole]

First a class of `--plain` images: both sides pick the same images, and the ratio of their times is printed. Then our
time alone for a class of `--images`, and with `--whole` a whole split of the class sizes of COCO-Attributes (188,426
objects) and of 1,280,000 images in 1000 classes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.memory import peak
from curation.exclusions import EXCLUSIONS
from curation.splits.greedy import evenest
from curation.splits.inputs import ATTRIBUTES, Inputs
from curation.splits.multi_attribute import KIND

COCO = (
    65000, 7666, 5654, 5524, 5428, 5323, 5183, 5074, 4973, 4969, 4889, 4851, 4808, 4788, 4773, 4701, 4649, 4578, 4337,
    4164, 3949, 3648, 3636, 3368, 3305, 3043, 2821, 1966, 1358,
)  # fmt: skip


def pairs(images: int, attributes: int, *, mean: float = 9.0) -> tuple[np.ndarray, np.ndarray]:
    """Images and attributes: a few attributes are frequent, most are rare, `mean` an image."""
    rng = np.random.default_rng(25)
    share = (np.arange(attributes) + 1.0) ** -0.8
    share = np.minimum(share * mean / share.sum(), 0.9).astype(np.float32)
    blocks = [
        np.nonzero(rng.random((min(50_000, images - start), attributes), dtype=np.float32) < share)
        for start in range(0, images, 50_000)
    ]
    image = np.concatenate([i + 50_000 * b for b, (i, _) in enumerate(blocks)]).astype(np.int32)
    return image, np.concatenate([a for _, a in blocks]).astype(np.int32)


def plain(has: np.ndarray, picks: int) -> list[int]:
    """The published rule: every image is tried at every pick."""
    counts, taken, left = np.zeros(has.shape[1]), [], dict(enumerate(has.astype(np.float32)))
    for _ in range(picks):
        least, best = np.inf, -1
        for i, row in left.items():
            if row.sum() == 0:
                continue
            after = counts + row
            spread = (after / (after.sum() + 1e-9)).std()
            if spread < least:
                least, best = spread, i
        counts = counts + left.pop(best)
        taken.append(best)
    return taken


def ours(images: int, image: np.ndarray, attribute: np.ndarray, picks: int) -> list[int]:
    turn = evenest(np.zeros(images, np.int64), np.arange(images), image, attribute, np.array([picks]))
    rows = np.flatnonzero(turn >= 0)
    return rows[np.argsort(turn[rows])].tolist()


def inputs(sizes: tuple[int, ...], attributes: int) -> Inputs:
    """Tables of classes with so many images."""
    count = sum(sizes)
    image, code = pairs(count, attributes)
    labels = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    names = pa.DictionaryArray.from_arrays(pa.array(labels), [f"class {i:04d}" for i in range(len(sizes))])
    words = pa.DictionaryArray.from_arrays(pa.array(code), [f"attribute {i:03d}" for i in range(attributes)])
    paths = [f"{label:04d}/{i:07d}.jpg" for i, label in enumerate(labels.tolist())]
    images = pa.table({"image_id": np.arange(count, dtype=np.int32), "class_name": names, "path": paths})
    table = pa.table({"image_id": image, "attribute": words}, schema=ATTRIBUTES)
    return Inputs(images, pa.table({"image_id": [], "reason": []}, schema=EXCLUSIONS), attributes=table)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=65_000)
    parser.add_argument("--attributes", type=int, default=204)
    parser.add_argument("--picks", type=int, default=200)
    parser.add_argument("--plain", type=int, default=2_000)
    parser.add_argument("--whole", action="store_true")
    arguments = parser.parse_args()
    image, attribute = pairs(arguments.plain, arguments.attributes)
    has = np.zeros((arguments.plain, arguments.attributes), bool)
    has[image, attribute] = True
    theirs, expected = timed(lambda: plain(has, arguments.picks))
    mine, found = timed(lambda: ours(arguments.plain, image, attribute, arguments.picks))
    same = next((i for i, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1]), len(found))
    print(f"{arguments.plain:,} images: plain {theirs:.2f} s  ours {mine:.4f} s  ratio {theirs / mine:,.0f}")
    print(f"the first {same} of {len(found)} picks are the same; then floats tell equally good images apart")
    image, attribute = pairs(arguments.images, arguments.attributes)
    mine, _ = timed(lambda: ours(arguments.images, image, attribute, arguments.picks))
    print(f"{arguments.images:,} images, {len(image):,} attributes of {arguments.attributes}: ours {mine:.2f} s")
    if arguments.whole:
        for sizes, settings in ((COCO, {}), ((1_280,) * 1_000, {"test": 100, "val": 50})):
            tables, before = inputs(sizes, arguments.attributes), peak() / 1e9
            mine, result = timed(lambda t=tables, s=settings: KIND.carve(t, KIND.settings(**s)))
            print(f"split of {sum(sizes):,} images: {mine:.2f} s, peak {before:.2f} -> {peak() / 1e9:.2f} GB")
            print("  ", result.report["funnel"]["splits"])


if __name__ == "__main__":
    main()
