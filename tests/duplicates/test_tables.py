"""Tables of neighbours: what is kept, what is made anew, and what is refused."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pytest

from curation import files
from curation.arrays import Features, write_features
from curation.duplicates import scopes, tables
from curation.duplicates.hashes import PerceptualHash
from curation.duplicates.measures import Side
from curation.duplicates.vectors import Cosine
from curation.errors import Cancelled, CurationError
from curation.workspace import NEIGHBOURS, Workspace

OPTIONS = {"scope": "all", "top_k": 4, "radius": None}


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(tables, "SHARD_ROWS", 16)


def columns(count: int = 50, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "features": rng.normal(size=(count, 8)).astype(np.float32),
        "phash": rng.integers(0, 2**6, count, dtype=np.uint64),
    }


def cosine(workspace: Workspace, **options) -> Cosine:
    side = Side(workspace)
    return Cosine(side, side, Features(workspace, "given"), **options)


def compute(workspace: Workspace, measure=None, scope: str = "all", **options) -> dict:
    measure = measure or cosine(workspace)
    plan = scopes.within(scope, measure.first.images)
    return tables.compute(workspace, measure, plan, **{**OPTIONS, "scope": scope, **options})


def read(workspace: Workspace, *measure: str) -> pa.Table:
    """The whole table, once `shards` has found nothing wrong with it."""
    seen = list(tables.shards(workspace, *measure))
    parts = [files.read_table(path) for path in sorted(tables.folder(workspace, *measure).glob("*.parquet"))]
    whole = pa.concat_tables([part.replace_schema_metadata(None) for part in parts])
    for column, name in (("query", "image_id"), ("target", "neighbour_id"), ("distance", "distance")):
        assert np.array_equal(np.concatenate([getattr(near, column) for near in seen]), whole[name].to_numpy())
    return whole


def digests(workspace: Workspace, table: str = "cosine") -> dict[str, str]:
    place = tables.folder(workspace, table)
    return {path.name: files.sha256_file(path) for path in sorted(place.iterdir())}


def test_a_table_holds_the_nearest_and_all_within_the_radius_in_order(make):
    given = columns()
    workspace = make(50, **given)
    radius = 0.5
    assert compute(workspace, radius=radius) == {"shards": 4, "computed": 4}
    table = read(workspace, "cosine")
    assert table.schema.equals(NEIGHBOURS)
    unit = given["features"] / np.linalg.norm(given["features"], axis=1, keepdims=True)
    apart = 1 - unit.astype(np.float64) @ unit.T
    for i in range(50):
        here = table.filter(pa.array(table["image_id"].to_numpy() == i))
        others = sorted((j for j in range(50) if j != i), key=lambda j: (apart[i, j], j))
        expected = [j for place, j in enumerate(others) if place < 4 or apart[i, j] <= radius]
        assert here["neighbour_id"].to_pylist() == expected
        assert here["rank"].to_pylist() == list(range(len(expected)))
        assert here["distance"].to_numpy() == pytest.approx(apart[i, expected], abs=1e-6)


def test_a_search_that_was_stopped_goes_on_where_it_stood(make):
    workspace = make(50, **columns())
    compute(workspace)
    whole = digests(workspace)
    shutil.rmtree(tables.folder(workspace, "cosine"))

    def stop(done: int, total: int, message: str) -> None:
        if done > total // 2:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        compute(workspace, progress=stop)
    assert {"00000.parquet", "00001.parquet", "recipe.json"} == set(digests(workspace))
    with pytest.raises(CurationError, match=r"unfinished at 00002\.parquet: run `duplicates` again"):
        read(workspace, "cosine")
    assert compute(workspace) == {"shards": 4, "computed": 2}
    assert digests(workspace) == whole
    assert compute(workspace)["computed"] == 0


@pytest.mark.parametrize("damage", ["missing", "empty", "cut off"])
def test_a_lost_shard_is_made_anew_and_no_other(make, damage):
    workspace = make(50, **columns())
    compute(workspace)
    whole = digests(workspace)
    path = tables.folder(workspace, "cosine") / "00001.parquet"
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(data[: 0 if damage == "empty" else len(data) // 2])
    assert compute(workspace)["computed"] == 1
    assert digests(workspace) == whole


def test_other_features_settings_or_images_are_noticed(make):
    given = columns()
    workspace = make(50, **given)
    compute(workspace)
    assert compute(workspace, top_k=5)["computed"] == 4
    assert compute(workspace, top_k=5)["computed"] == 0
    write_features(workspace, "given", given["features"] + 1)
    assert compute(workspace, top_k=5)["computed"] == 4


def test_a_class_that_gets_more_images_is_done_again_and_no_other(make, monkeypatch):
    monkeypatch.setattr(scopes, "GROUP", 16)
    given = columns(64)["phash"]
    names = [f"c{i // 16}" for i in range(64)]

    def done(workspace: Workspace, columns: np.ndarray) -> int:
        side = Side(workspace)
        return compute(workspace, PerceptualHash(side, side, radius=3), "class", radius=3)["computed"]

    workspace = make(64, phash=given, class_name=names)
    assert done(workspace, given) == 4
    changed = given.copy()
    changed[20] ^= np.uint64(1)
    images = make(64, phash=changed, class_name=names).images()
    files.write_table(workspace.images_path, images)
    assert done(workspace, changed) == 1


def test_fewer_images_leave_no_shards_behind(make):
    workspace = make(50, **columns())
    compute(workspace)
    files.write_table(workspace.images_path, workspace.images().slice(0, 20))
    write_features(workspace, "given", columns()["features"][:20])
    assert compute(workspace)["shards"] == 2
    assert len(digests(workspace)) == 3
    assert read(workspace, "cosine")["image_id"].to_numpy().max() == 19


def test_files_of_other_names_are_left_alone(make):
    workspace = make(50, **columns())
    (tables.folder(workspace, "cosine")).mkdir(parents=True)
    notes = tables.folder(workspace, "cosine") / "my-notes.parquet"
    notes.write_bytes(b"")
    assert compute(workspace) == {"shards": 4, "computed": 4}
    assert notes.exists()


def test_same_bytes_from_any_number_of_workers(make):
    workspace = make(50, **columns())
    made = []
    for workers in (1, 2):
        shutil.rmtree(tables.folder(workspace, "cosine"), ignore_errors=True)
        compute(workspace, cosine(workspace, workers=workers))
        made.append(digests(workspace))
    assert made[0] == made[1]


def test_splits_name_neighbours_of_other_splits_only(make):
    split = np.array(["train", "val"])[np.arange(50) % 3 // 2]
    workspace = make(50, **columns(), source_split=split)
    compute(workspace, scope="splits")
    table = read(workspace, "cosine")
    assert (split[table["image_id"].to_numpy()] != split[table["neighbour_id"].to_numpy()]).all()
    assert len(np.unique(table["image_id"])) == 50


def test_a_reference_set_has_a_table_of_its_own_kept_here(make):
    ours, theirs = make(20, **columns(20)), make(30, **columns(30, 1))
    first, second = Side(ours), Side(theirs, "other")
    measure = Cosine(first, second, Features(ours, "given"), Features(theirs, "given"))
    before = sorted(theirs.path.rglob("*"))
    tables.compute(ours, measure, scopes.everything(20, 30), **OPTIONS)
    table = read(ours, "cosine", "other")
    assert table["neighbour_id"].to_numpy().max() > 20
    assert len(table) == 80
    recipe = files.read_json(tables.folder(ours, "cosine", "other") / "recipe.json")
    assert recipe["reference"] == {"name": "other", "workspace": theirs.id}
    assert sorted(theirs.path.rglob("*")) == before
    with pytest.raises(CurationError, match="no table of neighbours 'cosine'"):
        read(ours, "cosine")


def test_a_table_of_another_workspace_is_refused(make):
    one, two = make(50, **columns()), make(50, **columns())
    compute(one)
    shutil.copytree(tables.folder(one, "cosine"), tables.folder(two, "cosine"))
    with pytest.raises(CurationError, match=f"was made for workspace {one.id}, and this is {two.id}"):
        read(two, "cosine")
    assert compute(two)["computed"] == 4  # and the search does not believe it either


@pytest.mark.parametrize(("column", "number"), [("neighbour_id", 50), ("neighbour_id", -1), ("image_id", 77)])
def test_ids_that_no_image_has_are_named(make, column, number):
    workspace = make(50, **columns())
    compute(workspace)
    path = tables.folder(workspace, "cosine") / "00002.parquet"
    table = files.read_table(path)
    values = table[column].to_numpy().copy()
    values[3] = number
    place = table.column_names.index(column)
    files.write_table(path, table.set_column(place, table.schema.field(column), pa.array(values)))
    with pytest.raises(
        CurationError, match=rf"00002\.parquet names image {number} as {column}, and there are 50 images"
    ):
        read(workspace, "cosine")


def test_a_file_with_other_columns_is_named(make):
    workspace = make(50, **columns())
    compute(workspace)
    path = tables.folder(workspace, "cosine") / "00000.parquet"
    files.write_table(path, files.read_table(path).drop_columns("rank"))
    with pytest.raises(CurationError, match=r"00000\.parquet has the columns"):
        read(workspace, "cosine")


def test_progress_ends_at_its_total_whether_or_not_shards_were_kept(make):
    workspace = make(50, **columns())
    for _ in range(2):
        told = []
        compute(workspace, progress=lambda *said, told=told: told.append(said))
        done = [said[0] for said in told]
        assert done == sorted(done)
        assert told[-1][0] == told[-1][1]
        assert {said[2] for said in told} == {"feature cosine"}


def test_lookup_finds_what_is_there(make):
    workspace = make(50, **columns())
    compute(workspace)
    table = read(workspace, "cosine")
    a, b = (table[name].to_numpy().astype(np.int64) for name in ("image_id", "neighbour_id"))
    order = np.random.default_rng(0).permutation(len(a))
    found = tables.lookup(tables.shards(workspace, "cosine"), a[order], b[order])
    assert np.array_equal(found, table["distance"].to_numpy()[order])
    assert np.isnan(tables.lookup(tables.shards(workspace, "cosine"), np.array([3]), np.array([3]))).all()


def test_nothing_known_makes_an_empty_table(make):
    workspace = make(3, status=["broken"] * 3)
    side = Side(workspace)
    assert compute(workspace, PerceptualHash(side, side), radius=8) == {"shards": 1, "computed": 1}
    assert len(read(workspace, "phash")) == 0
