"""Carving and writing both ImageNet-GLT files: this program against the published procedure with plain lists.

    python -m benchmarks.carving [--table TABLE.json] [--repeats 3]

The table is one of 1000 classes of ILSVRC's sizes in six clusters, made here unless given. Both sides read it, carve it
and write the two JSON files; the files must be equal byte for byte. Prints seconds and their ratio.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from curation import files
from curation.splits.carve_table import glt_carve
from curation.splits.profiles import imagenet_glt

SPLITS = ("train", "val", "test_lt", "test_bl", "test_bbl")


def make_table() -> dict[str, dict[str, list[str]]]:
    """1000 classes: 895 of 1300 images, 105 of 732 to 1299, clusters of uneven size."""
    rng = np.random.default_rng(25)
    sizes = np.r_[np.full(895, 1300), np.linspace(732, 1299, 105).astype(int)]
    table = {}
    for i, size in enumerate(rng.permutation(sizes).tolist()):
        clusters: dict[str, list[str]] = {}
        for number, label in enumerate(rng.choice(6, size, p=[0.30, 0.22, 0.17, 0.13, 0.10, 0.08]).tolist()):
            clusters.setdefault(str(label), []).append(f"train/n{i:08d}/n{i:08d}_{number:05d}.JPEG")
        table[f"n{i:08d}"] = clusters
    return table


def plain(path: Path, out: Path) -> None:
    """The published procedure, written as one would: lists, pop from the front, pop at random, json.dump."""
    table = json.loads(path.read_text())
    for inter in ("lt", "bl"):
        with open(out / f"{inter}.json", "w") as file:
            json.dump(carve(table, inter), file)


def carve(table: dict[str, dict[str, list[str]]], inter: str) -> dict:
    """One of the two annotation files."""
    classes = {}
    for name, clusters in table.items():
        ranked = sorted((list(c) for c in clusters.values()), key=len, reverse=True)
        classes[name] = [[item for c in ranked[2 * a : 2 * a + 2] for item in c] for a in range(3)]
    order = sorted(classes, key=lambda name: sum(map(len, classes[name])), reverse=True)
    found: dict[str, list] = {split: [] for split in SPLITS}
    pool, profile = [], imagenet_glt().tolist()
    for label, name in enumerate(order):
        cells = classes[name]
        quota = min(20, min(len(cell) // 4 for cell in cells))
        for attribute, cell in enumerate(cells):
            found["test_bbl"] += [(label, attribute, cell.pop(0)) for _ in range(quota)]
        for attribute, (cell, count) in enumerate(zip(cells, (42, 12, 6), strict=True)):
            found["test_bl"] += [(label, attribute, cell.pop(0)) for _ in range(count)]
        size = profile[label] if inter == "lt" else min(145, sum(map(len, cells)))
        for attribute, (cell, weight) in enumerate(zip(cells, (7, 2, 1), strict=True)):
            kept = [(label, attribute, item) for item in cell[: size * weight // 10]]
            if inter == "bl":
                found["val"] += [kept.pop(0) for _ in range(3 * weight)]
            pool += kept
    if inter == "lt":
        rng = random.Random(25)
        for split, count in (("test_lt", 60), ("val", 30)):
            found[split] = [pool.pop(rng.randint(0, len(pool) - 1)) for _ in range(count * len(order))]
    found["train"] = pool
    document: dict = {
        "cat2id": {name: str(i) for i, name in enumerate(order)},
        "id2cat": {str(i): name for i, name in enumerate(order)},
    }
    for split in SPLITS:
        document[split] = {
            "label": {item: str(label) for label, _, item in found[split]},
            "frequency": {item: 0 if label < 400 else 1 if label < 850 else 2 for label, _, item in found[split]},
            "attribute": {item: attribute for _, attribute, item in found[split]},
        }
    return document


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out, path = Path(folder), arguments.table
        if path is None:
            path = out / "table.json"
            path.write_text(json.dumps(make_table()))
        ours, theirs = [], []
        for _ in range(arguments.repeats):  # in turn, so that a busy machine is as busy for both
            ours.append(timed(lambda: glt_carve(path, out=out)))
            theirs.append(timed(lambda: plain(path, out)))
        for inter in ("lt", "bl"):
            if files.sha256_file(out / f"{inter}.json") != files.sha256_file(
                out / f"imagenet_sup_intra_lt_inter_{inter}.json"
            ):
                raise SystemExit(f"inter={inter}: the files differ")
    print(f"plain {min(theirs):.2f} s  ours {min(ours):.2f} s (best of {arguments.repeats}: read, carve, write)")
    print(f"ratio {min(theirs) / min(ours):.2f}")


if __name__ == "__main__":
    main()
