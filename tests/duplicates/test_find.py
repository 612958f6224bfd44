"""The search as a stage: its table, its summary, and what it does when something is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import draw

from curation import files, references
from curation.arrays import write_features
from curation.duplicates import scopes, searched, tables
from curation.duplicates.find import find as search
from curation.errors import ArgumentError, Cancelled, CurationError
from curation.exclusions import pairs_path
from curation.images.ingest import read
from curation.workspace import PAIRS, Workspace


def find(workspace: Workspace, **options) -> dict:
    """`find` of made-up columns, behind which there are no pictures for geometry to look at."""
    return search(workspace, **{"geometry": False, **options})


def keys_of(pairs) -> set[tuple[int, int]]:
    return set(zip(pairs["image_a"], pairs["image_b"], strict=True))


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
    monkeypatch.setattr(scopes, "ALL_UP_TO", 100)
    monkeypatch.setattr(scopes, "GROUP", 10)
    assert find(workspace)["scope"] == "class"
    keys = keys_of(pairs_of(workspace))
    assert (0, 1) in keys  # by its hash, which looks everywhere
    assert (5, 6) not in keys  # only its features are close, and its class is another
    assert find(workspace, scope="all")["scope"] == "all"
    assert (5, 6) in keys_of(pairs_of(workspace))


def test_only_pairs_between_splits_where_that_is_the_scope(make, pairs_of):
    split = np.array(["train", "train", "val", "test"])[np.arange(120) % 4]
    workspace = make(120, source_split=split, pixels=pixels_of(120), **families(0))
    summary = find(workspace, scope="splits")
    pairs = pairs_of(workspace)
    apart = split[pairs["image_a"]] != split[pairs["image_b"]]
    assert apart.all()
    duplicate = keys_of(pairs[pairs["decision"] == "duplicate"])
    copies = {(i - 1, i) for i in range(1, 120, 5)} | {(3, 9), (3, 10), (9, 10)}
    assert duplicate == {(a, b) for a, b in copies if split[a] != split[b]}
    assert summary["duplicates_between_splits"] == len(duplicate)


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


@pytest.mark.parametrize("at", range(1, 14, 3))
def test_a_stopped_run_leaves_the_last_table_as_it_was(make, at):
    workspace = make(120, **families(0))
    find(workspace)
    path = workspace.path / "duplicates"
    before = {p.name: p.read_bytes() for p in path.glob("pairs.*")}
    calls = []

    def stop(done: int, total: int, message: str) -> None:
        calls.append(message)
        if len(calls) == at:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        find(workspace, radii={"phash": 4}, progress=stop)
    assert {p.name: p.read_bytes() for p in path.glob("pairs.*")} == before


def test_progress_ends_at_its_total(make):
    told: dict[str, tuple[int, int]] = {}
    find(make(120, **families(0)), progress=lambda done, total, message: told.update({message: (done, total)}))
    assert {"exact copies", "perceptual hashes", "feature cosine"} <= set(told)
    assert all(done == total for done, total in told.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scope": "everywhere"}, "unknown scope 'everywhere'"),
        ({"radii": {"phash": 17}}, "17 bits"),
        ({"radii": {"pixels": -1}}, "-1 for pixels"),
        ({"radii": {"colour": 3}}, "given for 'colour'"),
        ({"top_k": 0}, "0 neighbours"),
        ({"metrics": ["phash", "colour"]}, "unknown measure 'colour': choose from phash, cosine, fc7, pixels, dssim"),
        ({"metrics": ["dssim"], "compare": "nowhere.json"}, "cannot compare 'nowhere.json'"),
        ({"references": ["other"]}, "no reference set 'other'"),
    ],
)
def test_impossible_arguments(make, options, message):
    with pytest.raises(ArgumentError, match=message):
        find(make(3), **options)


def test_unknown_features_are_named(make):
    with pytest.raises(CurationError, match="no features 'vgg'"):
        find(make(3), features="vgg")


def test_a_feature_set_may_be_named_as_a_measure(make):
    columns = families(0)
    workspace = make(120, **columns)
    write_features(workspace, "second", columns["features"] * 2)
    assert find(workspace, metrics=("phash", "second"))["features"] == "second"
    with pytest.raises(ArgumentError, match="one feature set, and second, given were named"):
        find(workspace, metrics=("second",), features="given")


def test_hashes_alone_use_no_features(make, pairs_of):
    summary = find(make(120, **families(0)), metrics=("phash",))
    assert summary["features"] is None
    assert summary["notes"] == []
    assert set(summary["tables"]) == {"phash"}


def test_fc7_without_its_features_says_what_to_do(make):
    with pytest.raises(CurationError, match=r"made with vgg16 \(there are: given\): run `extract --backbone vgg16`"):
        find(make(120, **families(0)), metrics=("phash", "fc7"))


def test_fc7_proposes_within_the_review_radius_and_keeps_what_people_review(make, pairs_of):
    rng = np.random.default_rng(5)
    features = rng.normal(size=(60, 32)).astype(np.float32) * 100
    features[1] = features[0] + 2
    features[30] = features[40] + 20  # 12,800: within the published radius
    workspace = make(60, features=features, recipe={"backbone": "vgg16"})
    summary = find(workspace, metrics=("phash", "fc7"))
    pairs = pairs_of(workspace).set_index(["image_a", "image_b"])
    assert set(pairs.index) >= {(0, 1), (30, 40)}
    assert pairs.loc[(30, 40), "fc7"] == pytest.approx(12_800, rel=1e-3)
    assert pairs.loc[(30, 40), "found_by"] == "fc7"
    assert pairs.loc[(30, 40), "decision"] == "different"
    assert (pairs["fc7"] <= 1.32e4).all()
    assert summary["found_by"]["fc7"] == len(pairs) == 2
    assert find(workspace, metrics=("phash", "fc7"), radii={"fc7": 1000})["pairs"] == 1


def test_a_second_run_computes_nothing_again_and_writes_the_same(make):
    workspace = make(120, **families(0))
    made = find(workspace)["tables"]
    assert made == {name: {"shards": 1, "computed": 1} for name in ("phash", "cosine")}
    before = files.sha256_file(workspace.path / "duplicates" / "pairs.parquet")
    (tables.folder(workspace, "phash") / "00000.parquet").unlink()
    again = find(workspace)["tables"]
    assert (again["phash"]["computed"], again["cosine"]["computed"]) == (1, 0)
    assert files.sha256_file(workspace.path / "duplicates" / "pairs.parquet") == before


@pytest.mark.parametrize("lost", ["pairs.parquet", "pairs.json"])
def test_a_search_that_cannot_be_written_certifies_nothing(make, monkeypatch, lost):
    workspace = make(120, **families(0))
    find(workspace)
    before = searched.recipe(workspace)
    assert before["top_k"] == 30
    replacing = files.replacing

    def full(path):
        if path.name == lost:
            raise CurationError("no space left")
        return replacing(path)

    monkeypatch.setattr(files, "replacing", full)
    with pytest.raises(CurationError, match="no space left"):
        find(workspace, top_k=5)
    assert searched.recipe(workspace) == (before if lost == "pairs.parquet" else None)
    monkeypatch.undo()
    find(workspace, top_k=5)
    assert searched.recipe(workspace)["top_k"] == 5


# -- reference sets ----------------------------------------------------------------------------------------------------


def with_reference(make) -> tuple[Workspace, Workspace]:
    """A workspace and a reference set whose images 4, 14, 24, … are its images 0, 10, 20, … but for noise."""
    ours, theirs = families(0), families(1)
    rng = np.random.default_rng(2)
    for column in ("phash", "phash_mirror"):
        theirs[column][4::10] = ours[column][::10]
    theirs["features"][4::10] = ours["features"][::10] + rng.normal(size=(12, 32)) * 0.1
    workspace = make(120, pixels=["same", *map(str, range(119))], **ours)
    other = make(120, pixels=[*(f"other {i}" for i in range(119)), "same"], **theirs)
    references.register(workspace, other.path, name="other")
    return workspace, other


def test_the_leaks_of_a_set_that_is_away_stay_as_they_were(make, pairs_of):
    workspace, other = with_reference(make)
    find(workspace)
    before, leaks = pairs_of(workspace), files.read_json(pairs_path(workspace).with_suffix(".json"))["references"]
    away = other.path.rename(other.path.with_name("away"))
    summary = find(workspace)
    after = pairs_of(workspace)
    assert after.astype(object).equals(before.astype(object))
    assert (after["reference"] == "other").sum() >= 12
    assert files.read_json(pairs_path(workspace).with_suffix(".json"))["references"] == leaks
    assert any("--reference other=PATH" in note for note in summary["notes"])
    away.rename(other.path)
    references.forget(workspace, "other")
    find(workspace)
    assert set(pairs_of(workspace)["reference"]) == {""}


def test_what_cannot_be_searched_is_refused_and_loses_nothing(make):
    workspace = make(120, **families(0))
    find(workspace)
    before = pairs_path(workspace).read_bytes()
    for wrong in ({"metrics": ()}, {"metrics": ("dssim",)}, {"workers": -2}, {"device": "tpu"}):
        with pytest.raises(ArgumentError):
            find(workspace, **wrong)
    assert pairs_path(workspace).read_bytes() == before
    find(workspace, metrics=("phash", " cosine"))


def test_reference_sets_are_compared_and_never_written_to(make, pairs_of):
    workspace, other = with_reference(make)
    alone = make(120, pixels=["same", *map(str, range(119))], **families(0))
    find(alone)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in other.path.rglob("*") if p.is_file()}
    summary = find(workspace)
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in other.path.rglob("*") if p.is_file()} == before
    pairs = pairs_of(workspace)
    inside, across = pairs[pairs["reference"] == ""], pairs[pairs["reference"] == "other"]
    assert inside.reset_index(drop=True).astype(object).equals(pairs_of(alone).astype(object))
    assert len(inside) + len(across) == len(pairs)
    duplicate = keys_of(across[across["decision"] == "duplicate"])
    copies = {(i, i + 4) for i in range(0, 120, 10)} | {(0, 119)}
    assert copies <= duplicate
    # Image i + 1 is a copy of image i, too.
    assert len(duplicate - copies - {(a + 1, b) for a, b in copies}) <= 2
    assert list(zip(across["image_a"], across["image_b"], strict=True)) == sorted(keys_of(across))
    assert summary["against"]["other"]["duplicate"] == len(duplicate)
    recipe = json.loads((workspace.path / "duplicates" / "pairs.json").read_text())
    assert recipe["references"] == {"other": references.state(other)}
    assert set(summary["tables"]) == {"phash", "cosine", "phash@other", "cosine@other"}


def test_only_the_references_that_are_named(make, pairs_of):
    workspace, _ = with_reference(make)
    assert find(workspace, references=[])["against"] == {}
    assert set(pairs_of(workspace)["reference"]) == {""}


def test_a_reference_set_that_is_gone_is_noted_and_the_rest_is_done(make):
    workspace, other = with_reference(make)
    other.path.rename(other.path.with_name("moved"))
    summary = find(workspace)
    assert summary["against"] == {}
    assert "reference set 'other' is not there" in summary["notes"][0]
    assert summary["duplicate"] > 0


def test_a_reference_set_without_the_features_is_compared_by_hashes(make):
    workspace, _ = with_reference(make)
    bare = families(1)
    del bare["features"]
    references.register(workspace, make(120, **bare).path, name="bare")
    summary = find(workspace)
    assert "'bare' was not compared by cosine" in summary["notes"][0]
    assert "run `extract` on" in summary["notes"][0]
    assert set(summary["against"]) == {"bare", "other"}
    assert "cosine@bare" not in summary["tables"]


def test_transforms_survive_the_table(make, pairs_of, monkeypatch):
    from curation.duplicates import geometry

    def check(first, a, second, b, **_):
        found = np.arange(len(a)) % 2 == 0
        transform = np.where(found[:, None], np.arange(6, dtype=np.float32), np.nan).astype(np.float32)
        return geometry.Checked(np.where(found, 9, -1).astype(np.int16), transform, np.where(found, 0.5, np.nan))

    monkeypatch.setattr(geometry, "check", check)
    workspace = make(120, **families(0))
    summary = search(workspace)
    pairs = pairs_of(workspace)
    looked = pairs["inliers"].notna()
    assert summary["checked"] >= looked.sum() > 0
    assert all(value.tolist() == [0, 1, 2, 3, 4, 5] for value in pairs.loc[looked, "transform"])
    assert pairs.loc[~looked, "transform"].isna().all()


def test_same_bytes_whatever_the_workers_and_the_order_of_the_listing(tmp_path):
    made = []
    for workers, order in ((1, 1), (2, -1)):
        root = tmp_path / f"pictures-{workers}" / "ant"
        root.mkdir(parents=True)
        pictures = {f"{i:02d}.png": draw(i, (96, 80)) for i in range(8)}
        pictures["copy.jpg"], pictures["mirror.png"] = draw(3, (60, 50)), draw(5, (96, 80)).transpose(0)
        for name in sorted(pictures)[::order]:
            pictures[name].save(root / name)
        workspace = Workspace.create(tmp_path / f"workspace-{workers}", roots={"images": root.parent})
        read(workspace, workers=workers)
        features = np.random.default_rng(0).normal(size=(10, 16)).astype(np.float32)
        features[[8, 9]] = features[[3, 5]] + 0.1
        write_features(workspace, "given", features)
        metrics = ("phash", "cosine", "pixels", "dssim")
        summary = search(workspace, metrics=metrics, workers=workers)
        assert set(summary["tables"]) == set(metrics)
        assert summary["checked"] > 0
        made.append(files.sha256_file(workspace.path / "duplicates" / "pairs.parquet"))
    assert made[0] == made[1]
    pairs = files.read_table(workspace.path / "duplicates" / "pairs.parquet").to_pandas()
    pairs = pairs.set_index(["image_a", "image_b"])
    assert pairs.loc[(3, 8), "dssim"] < 0.2205
    assert pairs.loc[(3, 8), "pixels"] < 1.2e8
    assert pairs.loc[(5, 9), "phash_mirror"] <= 4
