"""Workspaces with made-up features: no pictures, since nothing here looks at one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from curation import arrays, files
from curation.workspace import IMAGES, Workspace


def images_table(paths: list[str], status: list[str] | None = None) -> pa.Table:
    """An images table of the pictures `paths`, whose first folder is the class."""
    count = len(paths)
    known = {
        "image_id": range(count),
        "root": ["images"] * count,
        "path": paths,
        "class_name": [path.split("/")[0] for path in paths],
        "sha256": [f"{abs(hash_of(path)):064x}" for path in paths],
        "status": status or ["ok"] * count,
    }
    table = pa.table({name: pa.array(values) for name, values in known.items()})
    for field in IMAGES:
        if field.name not in known:
            table = table.append_column(field.name, pa.nulls(count, field.type))
    return table.select(IMAGES.names).cast(IMAGES)


def hash_of(path: str) -> int:
    return int.from_bytes(path.encode()[-16:], "big")


@pytest.fixture
def make(tmp_path) -> Callable[..., Workspace]:
    """make(paths, x, name="w", status=None): a workspace of the pictures `paths` with features `f` = x."""

    def build(paths: list[str], x: np.ndarray, name: str = "w", status: list[str] | None = None) -> Workspace:
        (tmp_path / "pictures").mkdir(exist_ok=True)
        workspace = Workspace.create(tmp_path / name, roots={"images": tmp_path / "pictures"})
        files.write_table(workspace.images_path, images_table(paths, status))
        arrays.write_features(workspace, "f", x, shard_rows=64)
        return workspace

    return build


def paths_of(**classes: int) -> list[str]:
    return [f"{name}/{i:04d}.jpg" for name, count in classes.items() for i in range(count)]


def groups(count: int, dim: int = 8, seed: int = 0) -> np.ndarray:
    """Points around five centres, groups of unequal size."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 3, (5, dim))[rng.choice(5, count, p=[0.4, 0.25, 0.15, 0.12, 0.08])]
    return (centres + rng.normal(0, 1, (count, dim))).astype(np.float32)


@pytest.fixture
def animals(make) -> Workspace:
    """Classes `ant` (90 images), `bee` (40), `cat` (5) and `dog` (1)."""
    paths = paths_of(ant=90, bee=40, cat=5, dog=1)
    return make(paths, groups(len(paths)))


@pytest.fixture
def points() -> Callable[..., np.ndarray]:
    return groups


@pytest.fixture
def paths() -> Callable[..., list[str]]:
    return paths_of
