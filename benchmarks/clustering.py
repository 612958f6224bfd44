"""Clustering a workspace's classes against scikit-learn in a simple loop with the same settings: one ratio.

    python -m benchmarks.clustering [--classes 48] [--loop 6]

Classes of 1,300 images with 1,280 float32 numbers each, mixtures of unequal groups as features of photographs are. The
loop is timed on some of the classes, since it takes the same time for each; `cluster` is timed as a user runs it, on
all of them, with the start of its processes, reading, silhouettes and writing. A busy machine flatters the ratio:
scikit-learn's threads wait for each other.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from curation import arrays, derived, engine, files
from curation.clusters import kmeans
from curation.clusters.fit import class_seed
from curation.workspace import IMAGES, Workspace

IMAGES_A_CLASS, DIM, SEED, GOAL = 1300, 1280, 25, 3.5


def features_of(class_index: int) -> np.ndarray:
    """A class: eight groups of unequal size, correlated noise, no negative numbers, as after a last activation."""
    rng = np.random.default_rng(class_index)
    group = rng.choice(8, IMAGES_A_CLASS, p=rng.dirichlet(np.full(8, 8.0)))
    centres = rng.normal(0, 0.55, (8, DIM))[group]
    shared = rng.normal(size=(IMAGES_A_CLASS, 40)) @ rng.normal(0, 0.3, (40, DIM))
    return np.maximum(centres + shared + rng.normal(0, 0.6, (IMAGES_A_CLASS, DIM)), 0).astype(np.float32)


def make_workspace(folder: Path, classes: int) -> Workspace:
    (folder / "pictures").mkdir()
    workspace = Workspace.create(folder / "workspace", roots={"images": folder / "pictures"})
    count = classes * IMAGES_A_CLASS
    known = {
        "image_id": range(count),
        "root": ["images"] * count,
        "path": [f"c{i // IMAGES_A_CLASS:04d}/{i:07d}.jpg" for i in range(count)],
        "class_name": [f"c{i // IMAGES_A_CLASS:04d}" for i in range(count)],
        "sha256": [f"{i:064x}" for i in range(count)],
        "status": ["ok"] * count,
    }
    table = pa.table({name: pa.array(values) for name, values in known.items()})
    for field in IMAGES:
        if field.name not in known:
            table = table.append_column(field.name, pa.nulls(count, field.type))
    files.write_table(workspace.images_path, table.select(IMAGES.names).cast(IMAGES))
    arrays.write_features(workspace, "f", np.concatenate([features_of(c) for c in range(classes)]))
    return workspace


def simple_loop(classes: range) -> tuple[float, list[np.ndarray]]:
    """Seconds, and the labels of each class, of the loop that a user would write."""
    from sklearn.cluster import KMeans

    data = [features_of(c) for c in classes]
    labels, start = [], time.perf_counter()
    for index, x in zip(classes, data, strict=True):
        model = KMeans(n_clusters=6, n_init=10, random_state=class_seed(SEED, f"c{index:04d}"))
        labels.append(model.fit(x).labels_)
    return time.perf_counter() - start, labels


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two labellings are one and the same partition."""
    pairs = len(np.unique(np.stack([a, b]), axis=1).T)
    return pairs == len(np.unique(a)) == len(np.unique(b))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, default=48, help="classes that `cluster` is timed on")
    parser.add_argument("--loop", type=int, default=6, help="classes that the loop is timed on")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_workspace(Path(folder), options.classes)
        # Half of the loop before, half after: other work on the machine then weighs on both sides.
        half = max(1, options.loop // 2)
        before, labels = simple_loop(range(half))
        start = time.perf_counter()
        kmeans.cluster(workspace, features="f", clusters=6, attributes=3, seed=SEED, n_init=10)
        ours = (time.perf_counter() - start) / options.classes
        after, more = simple_loop(range(half, 2 * half))
        loop, labels = (before + after) / (2 * half), labels + more
        found = [
            derived.clusters(workspace, "f", class_name=f"c{i:04d}")["cluster"].to_numpy() for i in range(len(labels))
        ]
    agree = sum(same(a, b) for a, b in zip(labels, found, strict=True))
    processors = f"{engine.default_workers()} of {os.cpu_count()} processors"
    print(f"scikit-learn's loop {loop:.2f} s a class, cluster {ours:.2f} s a class, on {processors}")
    print(f"labels agree in {agree} of {len(labels)} classes")
    print(f"ratio {loop / ours:.1f} (goal {GOAL})")
    return 0 if agree == len(labels) and loop / ours >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
