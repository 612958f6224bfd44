"""The default decision on real photographs with known copies."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from curation import files
from curation.duplicates.find import find
from curation.duplicates.verdicts import queue
from curation.features.extract import extract
from curation.images.ingest import read
from curation.workspace import Workspace


@pytest.fixture(scope="module")
def photographs(shared_data, tmp_path_factory):
    """The workspace of 2,021 photographs, and the group of each."""
    if not (shared_data / "neardup").is_dir():
        pytest.skip(f"no photographs with known copies at {shared_data / 'neardup'}")
    workspace = Workspace.create(tmp_path_factory.mktemp("near") / "w", roots={"images": shared_data / "neardup"})
    read(workspace, layout="folders")
    with open(shared_data / "neardup_groups.csv", newline="", encoding="utf-8") as file:
        groups = {row["file"]: int(row["group"]) for row in csv.DictReader(file)}
    return workspace, np.array([groups[path] for path in workspace.images(["path"])["path"].to_pylist()])


def recall_and_precision(workspace: Workspace, group: np.ndarray) -> tuple[float, float]:
    pairs = files.read_table(workspace.path / "duplicates" / "pairs.parquet", filters=[("decision", "=", "duplicate")])
    true = group[pairs["image_a"].to_numpy()] == group[pairs["image_b"].to_numpy()]
    sizes = np.bincount(group)
    return true.sum() / (sizes * (sizes - 1) // 2).sum(), true.mean()


def test_hashes_alone(photographs):
    find(photographs[0])
    recall, precision = recall_and_precision(*photographs)
    assert recall >= 0.44
    assert precision >= 0.98


def test_hashes_and_features(photographs):
    workspace, group = photographs
    extract(workspace)
    summary = find(workspace)
    assert summary["features"] == "tf_efficientnet_lite0"
    recall, precision = recall_and_precision(workspace, group)
    assert recall >= 0.80
    assert precision >= 0.97
    # What the rule is least sure of comes first, and there the answer is in fact open.
    first = queue(workspace).slice(0, 200)
    true = group[first["image_a"].to_numpy()] == group[first["image_b"].to_numpy()]
    assert 0.25 < true.mean() < 0.75
