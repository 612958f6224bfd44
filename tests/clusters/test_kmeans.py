"""Clustering a workspace: the table, its recipe, and what happens when a run is stopped."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation import arrays, derived, files
from curation.clusters import edits, kmeans
from curation.errors import ArgumentError, Cancelled, CurationError
from curation.workspace import CLUSTERS


def table_of(workspace, name="f"):
    return files.read_table(workspace.path / "clusters" / f"{name}.parquet")


def recipe_of(workspace, name="f"):
    return files.read_json(workspace.path / "clusters" / f"{name}.json")


def test_table_and_summary(animals):
    summary = kmeans.cluster(animals, features="f")
    table = table_of(animals)
    assert table.schema.equals(CLUSTERS)
    assert table["image_id"].to_pylist() == list(range(136))
    assert summary == {
        "name": "f",
        "images": 136,
        "classes": 4,
        "clusters": 6 + 6 + 5 + 1,
        "fewer": 2,
        "silhouette": pytest.approx(np.mean([v for v in recipe_of(animals)["silhouettes"].values() if v is not None])),
        "set_aside": 0,
        "ignored_edits": 0,
    }
    ant = table.filter(pc.equal(table["class_name"].cast("string"), "ant"))
    sizes = [ant["cluster"].to_pylist().count(c) for c in range(6)]
    assert sizes == sorted(sizes, reverse=True)
    assert set(zip(ant["cluster"].to_pylist(), ant["attribute"].to_pylist(), strict=True)) == {
        (c, c // 2) for c in range(6)
    }
    assert not (animals.path / "clusters" / "f.parts").exists()


def test_small_classes_get_fewer_clusters_and_the_recipe_says_so(animals):
    kmeans.cluster(animals, features="f", clusters=8, attributes=4)
    cat = derived.clusters(animals, "f", class_name="cat")
    assert sorted(cat["cluster"].to_pylist()) == [0, 1, 2, 3, 4]
    assert sorted(cat["attribute"].to_pylist()) == [0, 0, 1, 2, 3]  # floor(r * 4 / 5)
    recipe = recipe_of(animals)
    assert sorted(recipe["notes"]) == ["cat", "dog"]
    assert recipe["notes"]["cat"] == (
        "class 'cat' has 5 images, so it has 5 clusters and 4 attributes, where 8 and 4 were asked for"
    )
    assert recipe["classes"]["dog"] == {"images": 1, "clusters": 1, "attributes": 1, "inertia": 0.0, "silhouette": None}


def test_equal_features_are_counted_once(make, paths, points):
    workspace = make(paths(ant=30), np.repeat(points(2, 4), 15, axis=0))
    kmeans.cluster(workspace, features="f")
    assert recipe_of(workspace)["notes"]["ant"].startswith("class 'ant' has 2 distinct features")


def test_merge_none_keeps_clusters_as_attributes(animals):
    kmeans.cluster(animals, features="f", clusters=5, merge="none", name="kept")
    table = table_of(animals, "kept")
    assert table["attribute"].to_pylist() == table["cluster"].to_pylist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 3, "attributes": 5}, "5 attributes cannot be made of 3 clusters"),
        ({"attributes": 0}, "0 attributes cannot be made of 6 clusters"),
        ({"clusters": 0}, "0 clusters a class"),
        ({"merge": "ward"}, "unknown merge 'ward'"),
        ({"n_init": 0}, "0 starts"),
        ({"name": "a/b"}, "cannot be a file name"),
    ],
)
def test_impossible_arguments(animals, options, message):
    with pytest.raises(ArgumentError, match=message):
        kmeans.cluster(animals, features="f", **options)
    assert animals.cluster_names() == []


def test_unknown_features_and_features_that_are_no_numbers(make, paths, points):
    x = points(20)
    x[7, 2] = np.inf
    workspace = make(paths(ant=20), x)
    with pytest.raises(CurationError, match="no features 'g'"):
        kmeans.cluster(workspace, features="g")
    with pytest.raises(CurationError, match="1 of 20 images are not finite numbers, image 7 first"):
        kmeans.cluster(workspace, features="f")


def test_images_without_a_feature_are_set_aside_with_a_reason(make, paths, points):
    x = points(20)
    x[4] = np.nan
    workspace = make(paths(ant=20), x, status=["ok"] * 19 + ["broken"])
    summary = kmeans.cluster(workspace, features="f", clusters=2, attributes=2)
    assert (summary["images"], summary["set_aside"]) == (18, 1)
    assert recipe_of(workspace)["set_aside"] == {"4": "no feature was given"}
    assert not {4, 19} & {*table_of(workspace)["image_id"].to_pylist()}


def test_a_corrupted_shard_is_named(animals):
    shard = animals.path / "features" / "f" / "00001.npy"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(CurationError, match=r"00001\.npy is corrupted"):
        kmeans.cluster(animals, features="f", workers=1)
    assert animals.cluster_names() == []


def test_same_bytes_for_any_number_of_workers(animals, monkeypatch):
    monkeypatch.setattr(kmeans, "SHARD_IMAGES", 10)
    for workers in (1, 2):
        kmeans.cluster(animals, features="f", name=f"w{workers}", workers=workers)
    one, two = (files.sha256_file(animals.path / "clusters" / f"w{n}.parquet") for n in (1, 2))
    assert one == two


def test_clusters_do_not_depend_on_the_order_of_image_ids(make, paths, points):
    names, x = paths(ant=60, bee=30), points(90)
    order = np.random.default_rng(1).permutation(90)
    found = []
    for label, rows in (("plain", np.arange(90)), ("mixed", order)):
        workspace = make([names[i] for i in rows], x[rows], label)
        kmeans.cluster(workspace, features="f")
        table = table_of(workspace)
        found.append(
            {
                names[rows[i]]: (c, d)
                for i, c, d in zip(*(table[k].to_pylist() for k in ("image_id", "cluster", "distance")), strict=True)
            }
        )
    assert found[0] == found[1]


def test_a_cancelled_run_goes_on_from_its_last_shard(animals, monkeypatch):
    monkeypatch.setattr(kmeans, "SHARD_IMAGES", 10)
    kmeans.cluster(animals, features="f", name="whole", workers=1)

    def stop(done, total, message):
        if done:
            raise Cancelled(f"stopped at {done} of {total}")

    with pytest.raises(Cancelled, match="stopped at 90 of 136"):
        kmeans.cluster(animals, features="f", name="stopped", workers=1, progress=stop)
    assert "stopped" not in animals.cluster_names()
    worked, seen, work = [], [], kmeans._work
    monkeypatch.setattr(kmeans, "_work", lambda shard: worked.append(shard.images) or work(shard))
    kmeans.cluster(animals, features="f", name="stopped", workers=1, progress=lambda *a: seen.append(a))
    assert worked == [40, 6]
    assert [done for done, _, _ in seen] == [90, 130, 136]
    assert table_of(animals, "stopped").equals(table_of(animals, "whole"))


SCRIPT = """
import sys, time
from curation.clusters import kmeans
from curation.workspace import Workspace
kmeans.SHARD_IMAGES = 10
def tell(done, total, message):
    print(done, flush=True)
    if done: time.sleep(60)
kmeans.cluster(Workspace(sys.argv[1]), features="f", workers=1, progress=tell)
"""


def test_a_killed_run_loses_at_most_one_shard(animals, monkeypatch):
    environment = os.environ | {"PYTHONPATH": str(Path(kmeans.__file__).resolve().parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(animals.path)], stdout=subprocess.PIPE, env=environment
    )
    assert [process.stdout.readline().strip() for _ in range(2)] == [b"0", b"90"]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert animals.cluster_names() == []
    monkeypatch.setattr(kmeans, "SHARD_IMAGES", 10)
    worked, work = [], kmeans._work
    monkeypatch.setattr(kmeans, "_work", lambda shard: worked.append(shard.images) or work(shard))
    kmeans.cluster(animals, features="f", workers=1)
    assert worked == [40, 6]


def test_a_finished_run_is_not_repeated_and_other_settings_are(animals, monkeypatch):
    first = kmeans.cluster(animals, features="f", workers=1)
    runs, run = [], kmeans._run
    monkeypatch.setattr(kmeans, "_run", lambda *a: runs.append(1) or run(*a))
    assert kmeans.cluster(animals, features="f", workers=1) == first
    assert not runs
    kmeans.cluster(animals, features="f", seed=26, workers=1)
    assert runs == [1]


def test_features_that_changed_in_this_process_are_read_anew(animals, points):
    options = {"features": "f", "workers": 1}
    kmeans.cluster(animals, name="first", **options)
    images = animals.images()
    at = images.column_names.index("sha256")
    changed = pa.array([f"{i:064x}" for i in range(len(images))])
    files.write_table(animals.images_path, images.set_column(at, "sha256", changed))
    arrays.write_features(animals, "f", points(len(images), seed=7), shard_rows=64)
    kmeans.cluster(animals, name="second", **options)
    kmeans._features.cache_clear()
    kmeans.cluster(animals, name="fresh", **options)
    assert table_of(animals, "second").equals(table_of(animals, "fresh"))
    assert not table_of(animals, "second").equals(table_of(animals, "first"))


def test_edits_outlive_a_run_that_finds_the_same_clusters(animals):
    kmeans.cluster(animals, features="f")
    edits.rename(animals, "f", "ant", 0, "big ones", reviewer="ada")
    kmeans.cluster(animals, features="f", attributes=2)
    assert derived.cluster_labels(animals, "f") == {("ant", 0): "big ones"}
    summary = kmeans.cluster(animals, features="f", clusters=4)
    assert derived.cluster_labels(animals, "f") == {}
    assert derived.ignored_events(animals, "f") == summary["ignored_edits"] == 1
    assert kmeans.cluster(animals, features="f", clusters=4)["ignored_edits"] == 1


def test_recipe_says_how_to_make_the_clusters_again(animals):
    kmeans.cluster(animals, features="f", clusters=4, attributes=2, seed=3, n_init=2)
    recipe = json.loads((animals.path / "clusters" / "f.json").read_text())
    asked = {"features": "f", "clusters": 4, "attributes": 2, "merge": "rank", "seed": 3, "n_init": 2}
    assert {key: recipe[key] for key in asked} == asked
    assert len(recipe["features_digest"]) == len(recipe["inputs"]) == 64
    assert sorted(recipe["silhouettes"]) == ["ant", "bee", "cat", "dog"]


def test_a_shard_with_other_bytes_is_named_before_anything_is_clustered(animals):
    shard = animals.path / "features" / "f" / "00000.npy"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    with pytest.raises(CurationError, match=r"00000\.npy.*SHA-256"):
        kmeans.cluster(animals, features="f")
    assert animals.cluster_names() == []
