"""The search as a stage: its table, its summary, and what it does when something is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation import files
from curation.duplicates import find as module
from curation.duplicates.find import find
from curation.errors import ArgumentError, Cancelled, CurationError
from curation.workspace import PAIRS


def families(seed: int, count: int = 120, dim: int = 32) -> dict[str, np.ndarray]:
    """Columns and features in which every fifth image is a near copy of the one before it."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, (2, count), dtype=np.uint64)
    features = rng.normal(size=(count, dim)).astype(np.float32)
    copies = np.arange(1, count, 5)
    features[copies] = features[copies - 1] + rng.normal(size=(len(copies), dim)) * 0.1
    hashes[:, copies[::2]] = hashes[:, copies[::2] - 1] ^ np.uint64(0b1001)
    return {"phash": hashes[0], "phash_mirror": hashes[1], "features": features}


def pixels_of(count: int) -> list[str]:
    return ["same" if i in (3, 9, 10) else str(i) for i in range(count)]


def test_table_is_sorted_unique_and_says_who_found_what(make, pairs_of):
    workspace = make(120, pixels=pixels_of(120), **families(0))
    summary = find(workspace)
    pairs = pairs_of(workspace)
    assert files.read_table(workspace.path / "duplicates" / "pairs.parquet").schema.equals(PAIRS)
    keys = list(zip(pairs["image_a"], pairs["image_b"], strict=True))
    assert keys == sorted(set(keys))
    assert (pairs["image_a"] < pairs["image_b"]).all()
    duplicate = {key for key, decision in zip(keys, pairs["decision"], strict=True) if decision == "duplicate"}
    assert {(i - 1, i) for i in range(1, 120, 5)} | {(3, 9), (3, 10), (9, 10)} == duplicate
    by = dict(zip(keys, pairs["found_by"], strict=True))
    assert by[0, 1] == "phash+phash_mirror+cosine" or by[0, 1] == "phash+cosine"
    assert by[5, 6] == "cosine"
    assert by[3, 9] == "exact"
    assert summary["pairs"] == len(pairs) == sum(summary[d] for d in ("duplicate", "candidate", "different"))
    assert summary["found_by"]["exact"] == 3
    assert summary["set_aside"] == 0
    assert json.loads(json.dumps(summary)) == summary


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_permuted_images_give_permuted_pairs(make, pairs_of, seed):
    columns = families(seed)
    order = np.random.default_rng(seed).permutation(120)
    plain, mixed = make(120, **columns), make(120, **{k: v[order] for k, v in columns.items()})
    for workspace in (plain, mixed):
        find(workspace)
    here, there = pairs_of(plain), pairs_of(mixed)
    moved = np.sort(order[there[["image_a", "image_b"]].to_numpy()], axis=1)
    there = there.assign(image_a=moved[:, 0], image_b=moved[:, 1]).sort_values(
        ["image_a", "image_b"], ignore_index=True
    )
    assert here[["image_a", "image_b"]].to_numpy().tolist() == there[["image_a", "image_b"]].to_numpy().tolist()
    assert here["decision"].tolist() == there["decision"].tolist()
    for measure in ("phash", "phash_mirror", "cosine", "probability"):
        assert np.allclose(here[measure], there[measure], atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("scope", ["all", "class"])
def test_same_bytes_from_any_number_of_workers_and_again(make, scope):
    workspace = make(120, class_name=[f"c{i % 3}" for i in range(120)], **families(4))
    path = workspace.path / "duplicates"
    made = []
    for workers in (1, 3, 1):
        find(workspace, scope=scope, workers=workers)
        made.append((files.sha256_file(path / "pairs.parquet"), files.sha256_file(path / "pairs.json")))
    assert len(set(made)) == 1


def test_large_workspaces_are_searched_class_by_class(make, monkeypatch, pairs_of):
    columns = families(0)
    workspace = make(120, class_name=["left" if i % 5 else "right" for i in range(120)], **columns)
    monkeypatch.setattr(module, "ALL_UP_TO", 100)
    monkeypatch.setattr(module, "GROUP", 10)
    assert find(workspace)["scope"] == "class"
    keys = set(zip(pairs_of(workspace)["image_a"], pairs_of(workspace)["image_b"], strict=True))
    assert (0, 1) in keys  # by its hash, which looks everywhere
    assert (5, 6) not in keys  # only its features are close, and its class is another


def test_classes_are_put_together_until_a_group_is_full(make, monkeypatch):
    monkeypatch.setattr(module, "GROUP", 4)
    workspace = make(9, class_name=["b", "a", "c", "é", "a", "c", "b", "c", "c"])
    groups = module._by_class(workspace.images(["class_name"])["class_name"])
    assert [group.tolist() for group in groups] == [[0, 1, 4, 6], [2, 5, 7, 8], [3]]


def test_without_features_it_says_so(make, pairs_of):
    columns = families(0)
    del columns["features"]
    workspace = make(120, **columns)
    summary = find(workspace)
    assert summary["features"] is None
    assert "only hashes were compared" in summary["notes"][-1]
    assert pairs_of(workspace)["cosine"].isna().all()
    assert {(0, 1), (10, 11)} <= set(zip(pairs_of(workspace)["image_a"], pairs_of(workspace)["image_b"], strict=True))


def test_unfinished_features_are_passed_over_unless_asked_for(make):
    workspace = make(120, **families(0))
    files.write_json(workspace.path / "features" / "broken" / "recipe.json", {"shard_rows": 4096, "dim": 3})
    summary = find(workspace)
    assert summary["features"] == "given"
    assert "'broken' were not used" in summary["notes"][0]
    with pytest.raises(CurationError, match="broken"):
        find(workspace, features="broken")


def test_images_without_a_feature_are_set_aside_but_their_hashes_are_compared(make, pairs_of):
    columns = families(0)
    columns["features"][1] = np.nan
    workspace = make(120, **columns)
    assert find(workspace)["set_aside"] == 1
    row = pairs_of(workspace).set_index(["image_a", "image_b"]).loc[(0, 1)]
    assert row["phash"] == 2
    assert np.isnan(row["cosine"])


def test_flat_pictures_are_compared_for_exact_copies_only(make, pairs_of):
    same = np.full(40, 5, np.uint64)
    flat = np.arange(40) < 30
    pixels = ["black"] * 3 + [f"grey {i}" for i in range(37)]
    columns = {"phash": same, "phash_mirror": same, "flat": flat, "pixels": pixels}
    workspace = make(40, features=np.ones((40, 4), np.float32), **columns)
    summary = find(workspace)
    assert summary["flat"] == 30
    pairs = pairs_of(workspace)
    assert set(zip(pairs["image_a"], pairs["image_b"], strict=True)) >= {(0, 1), (0, 2), (1, 2)}
    assert (pairs[pairs["image_a"] < 30]["found_by"] == "exact").all()


def test_pairs_between_splits_of_the_source_are_counted(make):
    split = ["train" if i % 5 else "test" for i in range(120)]
    assert find(make(120, source_split=split, **families(0)))["duplicates_between_splits"] == 24


def test_scans_that_all_look_alike_are_not_copies(make):
    from PIL import Image
    from sklearn.datasets import load_digits

    from curation.images.fingerprint import fingerprint, phashes

    scans = [Image.fromarray((255 - scan * 15.9).astype(np.uint8)).resize((64, 64)) for scan in load_digits().images]
    grey = np.stack([fingerprint(scan.convert("RGB")).grey for scan in scans])
    columns = {"phash": phashes(grey), "phash_mirror": phashes(grey[:, :, ::-1])}
    close = np.bitwise_count(columns["phash"][:, None] ^ columns["phash"]) <= 8
    summary = find(make(len(scans), **columns))
    assert (close.sum() - len(scans)) / 2 > 1000  # what a bare threshold would call copies
    assert summary["duplicate"] < 50
    assert summary["candidate"] < 300


@pytest.mark.parametrize("count", [1, 2])
def test_hardly_any_images(make, count, pairs_of):
    workspace = make(count, features=np.eye(2, 4, dtype=np.float32)[:count])
    assert find(workspace)["duplicate"] == 0
    assert len(pairs_of(workspace)) <= 1


def test_nothing_usable(make, pairs_of):
    assert find(make(3, status=["broken"] * 3))["pairs"] == 0


@pytest.mark.parametrize("at", range(1, 12, 2))
def test_a_stopped_run_leaves_the_last_table_as_it_was(make, at):
    workspace = make(120, **families(0))
    find(workspace)
    path = workspace.path / "duplicates"
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    calls = []

    def stop(done: int, total: int, message: str) -> None:
        calls.append(message)
        if len(calls) == at:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        find(workspace, phash_radius=4, progress=stop)
    assert {p.name: p.read_bytes() for p in path.iterdir()} == before


def test_progress_ends_at_its_total(make):
    told: dict[str, tuple[int, int]] = {}
    find(make(120, **families(0)), progress=lambda done, total, message: told.update({message: (done, total)}))
    assert {"exact copies", "perceptual hashes", "feature cosine"} <= set(told)
    assert all(done == total for done, total in told.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scope": "everywhere"}, "unknown scope 'everywhere'"),
        ({"phash_radius": 17}, "17 bits"),
        ({"neighbours": 0}, "0 neighbours"),
    ],
)
def test_impossible_arguments(make, options, message):
    with pytest.raises(ArgumentError, match=message):
        find(make(3), **options)


def test_unknown_features_are_named(make):
    with pytest.raises(CurationError, match="no features 'vgg'"):
        find(make(3), features="vgg")
