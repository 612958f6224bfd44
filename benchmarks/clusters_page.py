"""Open the Clusters page of a workspace with 1,281,167 images, and of a small one, in a real Chromium.

    python -m benchmarks.clusters_page

A synthetic workspace of 1,000 classes is made in a temporary folder (rows, features, clusters and a map; no pictures).
Prints the seconds from the click to the first row of clusters, coming from the start page in a fresh browser, and their
ratio: opening a page must not depend on how many images there are.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.serving import browser, served
from curation import arrays, files
from curation.ui import recent
from curation.workspace import CLASSES, CLUSTERS, IMAGES, Workspace

SIZES = {"large": 1_281_167, "small": 10_000}
CLASS_COUNT = 1000
DIMENSIONS = 128
TURNS = 7


def synthetic(folder: Path, name: str, images: int) -> Workspace:
    """A workspace with so many images in 1,000 classes, 6 clusters each."""
    (folder / "pictures").mkdir(exist_ok=True)
    workspace = Workspace.create(folder / name, name=name, roots={"images": folder / "pictures"})
    ids = np.arange(images, dtype=np.int32)
    owner = (ids.astype(np.int64) * CLASS_COUNT // images).astype(np.int32)
    names = pa.array([f"n{i:08d}" for i in range(CLASS_COUNT)])
    rng = np.random.default_rng(1)

    def word(codes: np.ndarray, words: list[str] | pa.Array) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(words, pa.string()))

    zeros = np.zeros(images, np.int32)
    columns = {
        "image_id": ids,
        "root": word(zeros, ["images"]),
        "path": [f"n{c:08d}/{i:08d}.jpg" for c, i in zip(owner, ids, strict=True)],
        "class_name": word(owner, names),
        "source_split": word(zeros, [""]),
        "sha256": [f"{i:064x}" for i in ids],
        "pixels": [f"{i:032x}" for i in ids],
        "status": word(zeros, ["ok"]),
        "reason": [""] * images,
    }
    for field in IMAGES:
        if field.name not in columns:
            columns[field.name] = pa.array(zeros).cast(field.type)
    files.write_table(workspace.images_path, pa.table(columns).select(IMAGES.names).cast(IMAGES))
    counts = np.bincount(owner, minlength=CLASS_COUNT)
    about = {"class_name": names, "wnid": names, "lemmas": [""] * CLASS_COUNT, "definition": [""] * CLASS_COUNT}
    files.write_table(workspace.path / "classes.parquet", pa.table(about | {"images": counts}).cast(CLASSES))
    cluster = rng.choice(6, images, p=[0.3, 0.22, 0.17, 0.13, 0.1, 0.08]).astype(np.int16)
    table = pa.table(
        {
            "image_id": ids,
            "class_name": word(owner, names),
            "cluster": cluster,
            "attribute": cluster // 2,
            "distance": rng.random(images, dtype=np.float32),
        }
    ).cast(CLUSTERS)
    settings = {"features": "synthetic", "clusters": 6, "attributes": 3, "merge": "rank", "seed": 25, "n_init": 10}
    rows = (rng.standard_normal((images, DIMENSIONS), np.float32) + cluster[:, None]).astype(np.float16)
    arrays.write_features(workspace, "synthetic", rows, {"backbone": "synthetic"})
    files.write_json(workspace.path / "clusters" / "synthetic.json", settings)
    table = table.replace_schema_metadata({"settings": json.dumps(settings), "inputs": name})
    files.write_table(workspace.path / "clusters" / "synthetic.parquet", table)
    places = {"image_id": ids, "x": rng.normal(size=images), "y": rng.normal(size=images)}
    position = pa.table(
        {k: pa.array(v).cast(pa.int32() if k == "image_id" else pa.float32()) for k, v in places.items()}
    )
    files.write_table(workspace.path / "maps" / "synthetic-umap.parquet", position)
    return workspace


def opening(page, url: str, workspace: Workspace) -> tuple[float, float]:
    """Seconds from the click on `Clusters` to its first row: the first time, and the median of later ones."""
    page.goto(f"{url}/?w={workspace.key}")
    page.locator(".page-title").wait_for()
    page.wait_for_timeout(2500)
    taken = []
    for _ in range(TURNS):
        began = time.perf_counter()
        page.get_by_role("link", name="Clusters", exact=True).first.click()
        page.get_by_text("Cluster 0").first.wait_for()
        taken.append(time.perf_counter() - began)
        page.get_by_role("link", name="Export", exact=True).first.click()
        page.locator(".page-title h1", has_text="Export").wait_for()
        page.wait_for_timeout(400)
    return taken[0], statistics.median(taken[1:])


def main() -> None:
    found = {}
    with tempfile.TemporaryDirectory() as name:
        os.environ["CURATION_HOME"] = f"{name}/home"
        workspaces = {size: synthetic(Path(name), size, images) for size, images in SIZES.items()}
        for workspace in workspaces.values():
            recent.remember(workspace)
        with served() as url, browser() as chromium:
            for size, workspace in workspaces.items():
                page = chromium.new_page(viewport={"width": 1440, "height": 900})
                found[size] = opening(page, url, workspace)
                first, later = found[size]
                print(f"{size}: {SIZES[size]:,} images: first {first:.2f} s, later {later:.2f} s")
                page.close()
    ratios = [large / small for large, small in zip(found["large"], found["small"], strict=True)]
    print(f"ratio large / small: first {ratios[0]:.2f}, later {ratios[1]:.2f}")


if __name__ == "__main__":
    main()
