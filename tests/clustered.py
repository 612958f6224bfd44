"""A small workspace whose images are clustered, for tests of splits and exports; its pictures are only bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa

from curation import arrays, files
from curation.clusters import kmeans
from curation.workspace import IMAGES, Workspace

CLASSES = {"ant": 60, "bee": 90, "cat": 70, "dog=(1)": 80}
BROKEN = 3
FIT = {"per_cell": 2, "val_per_cell": 1, "profile": "exp", "imbalance": 3.0}


def build(folder: Path) -> Workspace:
    """Workspace `folder/w` of pictures in `folder/pictures`, three of them broken, with features and clusters `f`."""
    paths = [f"{name}/{i:03d}.jpg" for name, count in CLASSES.items() for i in range(count)]
    for path in paths:
        (folder / "pictures" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "pictures" / path).write_text(path)
    workspace = Workspace.create(folder / "w", roots={"images": folder / "pictures"})
    status = ["broken"] * BROKEN + ["ok"] * (len(paths) - BROKEN)
    columns = {
        "image_id": np.arange(len(paths)),
        "root": ["images"] * len(paths),
        "path": paths,
        "class_name": [path.split("/")[0] for path in paths],
        "sha256": [files.sha256_file(folder / "pictures" / path) for path in paths],
        "status": status,
        "reason": [f"truncated at byte {i}" if s == "broken" else "" for i, s in enumerate(status)],
    }
    values = [columns.get(f.name, [_nothing(f.type)] * len(paths)) for f in IMAGES]
    files.write_table(workspace.images_path, pa.table(values, names=IMAGES.names).cast(IMAGES))
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 3, (6, 4))[rng.choice(6, len(paths))]
    arrays.write_features(workspace, "f", (centres + rng.normal(0, 1, (len(paths), 4))).astype(np.float32))
    kmeans.cluster(workspace, features="f", clusters=4, attributes=2, n_init=1, workers=1)
    return workspace


def _nothing(kind: pa.DataType) -> object:
    return "" if pa.types.is_string(kind) or pa.types.is_dictionary(kind) else 0


def copy(template: Path, folder: Path) -> Workspace:
    """A workspace of one's own, made from the folder that `build` filled."""
    shutil.copytree(template, folder, dirs_exist_ok=True)
    meta = files.read_json(folder / "w" / "workspace.json")
    meta["roots"] = {"images": str(folder / "pictures")}
    files.write_json(folder / "w" / "workspace.json", meta)
    return Workspace(folder / "w")
