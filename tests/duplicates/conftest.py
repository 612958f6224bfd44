"""Workspaces made from columns instead of pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation import arrays, files
from curation.workspace import IMAGES, Workspace


@pytest.fixture
def make(tmp_path) -> Callable[..., Workspace]:
    """make(count, features=array, **columns): a workspace whose images have these columns, and random hashes.

    `recipe` is that of the features, which are called `given`.
    """

    def build(count: int, *, features=None, recipe: dict | None = None, seed: int = 0, **columns: Any) -> Workspace:
        rng = np.random.default_rng(seed)
        (tmp_path / "pictures").mkdir(exist_ok=True)
        known = {
            "image_id": np.arange(count),
            "root": ["images"] * count,
            "path": [f"a/{i:06d}.png" for i in range(count)],
            "class_name": ["a"] * count,
            "source_split": [""] * count,
            "width": np.full(count, 64),
            "height": np.full(count, 48),
            "sha256": [f"{i:064x}" for i in range(count)],
            "pixels": [f"{i:032x}" for i in range(count)],
            "phash": rng.integers(0, 2**64, count, dtype=np.uint64),
            "phash_mirror": rng.integers(0, 2**64, count, dtype=np.uint64),
            "flat": np.zeros(count, bool),
            "status": ["ok"] * count,
        } | columns
        absent = pa.nulls(count)
        table = {f.name: pa.array(known[f.name]) if f.name in known else absent for f in IMAGES}
        folder = tmp_path / f"workspace-{len(list(tmp_path.iterdir()))}"
        workspace = Workspace.create(folder, roots={"images": tmp_path / "pictures"})
        table = pa.table({f.name: table[f.name].cast(f.type) for f in IMAGES}, schema=IMAGES)
        files.write_table(workspace.images_path, table)
        if features is not None:
            arrays.write_features(workspace, "given", features, recipe)
        return workspace

    return build


@pytest.fixture
def pairs_of() -> Callable[[Workspace], Any]:
    """pairs_of(workspace): the pairs table as a data frame."""
    return lambda workspace: files.read_table(workspace.path / "duplicates" / "pairs.parquet").to_pandas()
