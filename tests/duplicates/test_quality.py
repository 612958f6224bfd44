"""The default decision on real photographs with known copies."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from curation import files
from curation.duplicates.find import find
from curation.features.extract import extract
from curation.images.ingest import read
from curation.workspace import Workspace

EDITED, ALONE = 30, 240
"""How many groups of a photograph and its five edits, and how many photographs without copies, are drawn."""


@pytest.fixture(scope="module")
def listed(shared_data) -> dict[str, int]:
    """The group of each file that was drawn."""
    if not (shared_data / "neardup").is_dir():
        pytest.skip(f"no photographs with known copies at {shared_data / 'neardup'}")
    with open(shared_data / "neardup_groups.csv", newline="", encoding="utf-8") as file:
        group = {row["file"]: int(row["group"]) for row in csv.DictReader(file)}
    sizes = np.bincount(list(group.values()))
    draw = np.random.default_rng(25)
    edited, alone = (draw.permutation(np.flatnonzero(some)) for some in (sizes > 1, sizes == 1))
    kept = {*edited[:EDITED].tolist(), *alone[:ALONE].tolist()}
    return {path: number for path, number in group.items() if number in kept}


@pytest.fixture(scope="module")
def photographs(shared_data, listed, tmp_path_factory):
    """A workspace of those photographs, and the group of each."""
    folder = tmp_path_factory.mktemp("near")
    for path in listed:
        (folder / "pictures" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "pictures" / path).symlink_to(shared_data / "neardup" / path)
    workspace = Workspace.create(folder / "w", roots={"images": folder / "pictures"})
    read(workspace, layout="folders")
    return workspace, np.array([listed[path] for path in workspace.images(["path"])["path"].to_pylist()])


def recall_and_precision(workspace: Workspace, group: np.ndarray) -> tuple[float, float]:
    pairs = files.read_table(workspace.path / "duplicates" / "pairs.parquet", filters=[("decision", "=", "duplicate")])
    true = group[pairs["image_a"].to_numpy()] == group[pairs["image_b"].to_numpy()]
    sizes = np.bincount(group)
    return true.sum() / (sizes * (sizes - 1) // 2).sum(), true.mean()


def test_hashes_alone(photographs):
    find(photographs[0])
    recall, precision = recall_and_precision(*photographs)
    assert recall >= 0.50
    assert precision >= 0.98


def test_hashes_and_features(photographs):
    workspace, group = photographs
    extract(workspace)
    summary = find(workspace)
    assert summary["features"] == "tf_efficientnet_lite0"
    recall, precision = recall_and_precision(workspace, group)
    assert recall >= 0.95
    assert precision >= 0.98
    # Where the rule is least sure, the answer is in fact open.
    pairs = files.read_table(workspace.path / "duplicates" / "pairs.parquet")
    open_ones = np.argsort(np.abs(pairs["probability"].to_numpy() - 0.5), kind="stable")[:20]
    true = group[pairs["image_a"].to_numpy()] == group[pairs["image_b"].to_numpy()]
    assert 0.1 < true[open_ones].mean() < 0.9
