"""The shard store: what is written comes back, and what is wrong says so."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curation import arrays, files
from curation.errors import ArgumentError, CurationError
from curation.workspace import IMAGES, Workspace

COUNT, ROWS = 23, 5


def table(statuses: list[str], *, salt: str = "") -> pa.Table:
    count = len(statuses)
    columns = {field.name: pa.nulls(count, field.type) for field in IMAGES}
    columns["image_id"] = pa.array(range(count), pa.int32())
    columns["sha256"] = pa.array([f"{i:063x}{salt}" for i in range(count)])
    columns["status"] = pa.array(statuses).dictionary_encode().cast(IMAGES.field("status").type)
    return pa.table(columns, schema=IMAGES)


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    (tmp_path / "pictures").mkdir()
    made = Workspace.create(tmp_path / "workspace", roots={"images": tmp_path / "pictures"})
    files.write_table(made.images_path, table(["ok"] * 7 + ["broken"] + ["ok"] * (COUNT - 9) + ["gone"]))
    return made


@pytest.fixture
def array() -> np.ndarray:
    made = np.random.default_rng(0).normal(size=(COUNT, 3)).astype(np.float32)
    made[11] = np.nan
    return made


@pytest.fixture
def made(workspace, array) -> arrays.Features:
    return arrays.write_features(workspace, "given", array, {"backbone": "own"}, shard_rows=ROWS)


def shard(workspace: Workspace, index: int, suffix: str = ".npy"):
    return (workspace.path / "features" / "given" / f"{index:05d}").with_suffix(suffix)


def test_images_without_a_feature_are_left_out(made):
    expected = [i for i in range(COUNT) if i not in (7, 11, COUNT - 1)]
    assert made.ids.tolist() == expected
    assert made.ids.dtype == np.int32
    assert made.failed == {11: "no feature was given"}
    assert (made.dim, len(made), made.recipe["backbone"]) == (3, len(expected), "own")


def test_rows_come_in_the_order_asked_for(made, array):
    ids = [20, 3, 3, 0, 12]
    assert np.array_equal(made.rows(ids), array[ids])
    assert made.rows(ids).dtype == np.float32
    assert made.rows([]).shape == (0, 3)


def test_shards_walk_over_everything_once(made, array):
    walk = list(made.shards())
    assert len(walk) == 5
    assert np.array_equal(np.concatenate([ids for ids, _ in walk]), made.ids)
    assert np.array_equal(np.concatenate([rows for _, rows in walk]), array[made.ids])


def test_float16_is_kept_and_read_as_float32(workspace, array):
    made = arrays.write_features(workspace, "half", array.astype(np.float16), shard_rows=ROWS)
    assert np.load(workspace.path / "features/half/00000.npy").dtype == np.float16
    assert np.array_equal(made.rows([1]), array[[1]].astype(np.float16).astype(np.float32))


def test_the_same_array_makes_the_same_bytes(workspace, array, made):
    first = {p.name: p.read_bytes() for p in shard(workspace, 0).parent.iterdir()}
    arrays.write_features(workspace, "given", array, {"backbone": "own"}, shard_rows=ROWS)
    assert {p.name: p.read_bytes() for p in shard(workspace, 0).parent.iterdir()} == first


@pytest.mark.parametrize("image", [7, 11, COUNT - 1, COUNT, -1])
def test_asking_for_an_image_without_a_feature_names_it(made, image):
    with pytest.raises(ArgumentError, match=rf"1 of 2 images have no feature in 'given', image {image} first"):
        made.rows([0, image])


def test_an_array_of_another_length_is_refused(workspace, array):
    with pytest.raises(ArgumentError, match=r"\(22, 3\), but the workspace has 23 images"):
        arrays.write_features(workspace, "given", array[1:])


def test_an_unknown_name_lists_the_known_ones(workspace, made):
    with pytest.raises(CurationError, match=r"no features 'other' \(there are: given\): run `extract`"):
        arrays.Features(workspace, "other")


def test_unfinished_features_say_how_far_they_are(workspace, made):
    shard(workspace, 3).unlink()
    with pytest.raises(CurationError, match="have 4 of 5 shards: run `extract`"):
        arrays.Features(workspace, "given")


def test_a_sidecar_that_is_missing_or_empty_is_named(workspace, made):
    shard(workspace, 2, ".json").write_text("{}")
    with pytest.raises(CurationError, match=r"00002.npy is corrupted \(its sidecar lacks"):
        arrays.Features(workspace, "given")
    shard(workspace, 2, ".json").unlink()
    with pytest.raises(CurationError, match=r"00002.json does not exist"):
        arrays.Features(workspace, "given")


def test_a_truncated_shard_is_named_when_its_rows_are_read(workspace, made):
    shard(workspace, 1).write_bytes(shard(workspace, 1).read_bytes()[:-8])
    opened = arrays.Features(workspace, "given")
    assert opened.rows([0]).shape == (1, 3)
    with pytest.raises(CurationError, match=r"00001.npy is corrupted .* it makes that shard anew"):
        opened.rows([6])


def test_a_changed_byte_is_found_by_the_walk(workspace, made):
    data = bytearray(shard(workspace, 4).read_bytes())
    data[-1] ^= 1
    shard(workspace, 4).write_bytes(data)
    with pytest.raises(CurationError, match=r"00004.npy is corrupted \(its SHA-256 is"):
        list(arrays.Features(workspace, "given").shards())


def test_a_shard_of_another_shape_is_named(workspace, made):
    np.save(shard(workspace, 0), np.zeros((ROWS, 4), np.float32))
    message = r"\(5, 4\) of float32, where \(5, 3\) of float32 belong"
    with pytest.raises(CurationError, match=message):
        arrays.Features(workspace, "given").rows([0])


def test_features_older_than_the_images_are_refused(workspace, made):
    files.write_table(workspace.images_path, table(["ok"] * COUNT))
    with pytest.raises(CurationError, match="2 of 5 shards have images that were added, changed or are gone"):
        arrays.Features(workspace, "given")
    assert len(arrays.Features(workspace, "given", check=False)) == COUNT - 1


def test_the_digest_of_features_changes_with_any_feature_and_with_the_recipe(workspace, array, made):
    def digest_of(values, recipe):
        return arrays.write_features(workspace, "given", values, recipe, shard_rows=ROWS).inputs_digest

    plain = made.inputs_digest
    assert arrays.Features(workspace, "given", check=False).inputs_digest == plain
    other = array.copy()
    other[20, 1] += 1
    assert digest_of(other, {"backbone": "own"}) != plain
    assert digest_of(array, {"backbone": "another"}) != plain
    assert digest_of(array, {"backbone": "own"}) == plain


def test_input_digests_change_with_the_images_and_the_recipe_of_their_shard_only():
    recipe = {"shard_rows": ROWS, "a": 1}
    plain = arrays.input_digests(table(["ok"] * COUNT), recipe)
    assert len(set(plain)) == 5
    assert arrays.input_digests(table(["ok"] * COUNT), {"a": 1, "shard_rows": ROWS}) == plain
    other = arrays.input_digests(table(["ok"] * 12 + ["gone"] + ["ok"] * 10), recipe)
    assert [a == b for a, b in zip(plain, other, strict=True)] == [True, True, False, True, True]
    assert not set(plain) & set(arrays.input_digests(table(["ok"] * COUNT), recipe | {"a": 2}))
    assert not set(plain) & set(arrays.input_digests(table(["ok"] * COUNT, salt="1"), recipe))


def test_a_full_disk_leaves_the_old_shard(workspace, made, array, monkeypatch):
    before = shard(workspace, 0).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arrays.np, "save", full)
    with pytest.raises(CurationError, match="no space left on the disk"):
        arrays.write_features(workspace, "given", array + 1, shard_rows=ROWS)
    assert shard(workspace, 0).read_bytes() == before
    assert not list(shard(workspace, 0).parent.glob(".*"))
