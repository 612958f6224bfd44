"""What each measure proposes and says, on columns made for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.arrays import Features, write_features
from curation.duplicates import hashes as module
from curation.duplicates import measures, scopes
from curation.duplicates.hashes import Exact, PerceptualHash
from curation.duplicates.measures import Proposals, Side, ring_of, surroundings
from curation.duplicates.neighbours import Near
from curation.duplicates.rendered import Dssim
from curation.duplicates.vectors import TYPICAL, Cosine, Fc7

ONE = np.uint64(1)


def pairs(proposals) -> list[tuple[int, int]]:
    return sorted(zip(proposals.a.tolist(), proposals.b.tolist(), strict=True))


def everything(first: Side, second: Side | None = None) -> scopes.Plan:
    return scopes.everything(len(first), len(second or first))


def near(measure, *, k: int = 30, radius: float | None = None) -> list[Near]:
    """Neighbours of all images that a measure knows among all that it knows, in two shards."""
    ours, theirs = (np.flatnonzero(known) for known in measure.known)
    shards = [ours[: len(ours) // 2], ours[len(ours) // 2 :]]
    return [measure.near(ids, theirs, k=k, radius=radius) for ids in shards if len(ids)]


def test_exact_pairs_equal_pixels_of_readable_pictures(make):
    pixels = ["x", "y", "x", "", "", None, "y", "x", "x"]
    status = ["ok"] * 8 + ["gone"]
    side = Side(make(9, pixels=pixels, status=status))
    measure = Exact(side, side)
    assert pairs(measure.propose(everything(side))) == [(0, 2), (0, 7), (1, 6), (2, 7)]
    compared = measure.compare(np.array([0, 0, 3, 0]), np.array([2, 1, 4, 8]))
    assert compared.values["exact"].tolist() == [1, 0, 0, 0]


def test_exact_pairs_with_another_set_and_between_splits(make):
    side = Side(make(4, pixels=["x", "y", "x", "y"], source_split=["train", "train", "val", "train"]))
    other = Side(make(3, pixels=["z", "x", "x"]), "other")
    assert pairs(Exact(side, other).propose(everything(side, other))) == [(0, 1), (0, 2), (2, 1), (2, 2)]
    assert pairs(Exact(side, other, neighbours=1).propose(everything(side, other))) == [(0, 1), (2, 1)]
    assert pairs(Exact(side, side).propose(scopes.within("splits", side.images))) == [(0, 2)]


def test_a_thousand_copies_make_few_pairs_that_hold_together(make):
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    side = Side(make(1000, pixels=["x"] * 1000))
    proposals = Exact(side, side, neighbours=30).propose(everything(side))
    assert len(proposals.a) <= 30_000
    assert len(proposals.capped) == 1000
    graph = coo_array((np.ones(len(proposals.a)), (proposals.a, proposals.b)), shape=(1000, 1000))
    assert connected_components(graph, directed=False)[0] == 1


def test_hashes_find_plain_and_mirrored_neighbours(make):
    plain, mirror = np.random.default_rng(1).integers(0, 2**64, (2, 6), dtype=np.uint64)
    plain[1], mirror[1] = plain[0] ^ np.uint64(0b11), mirror[0] ^ np.uint64(0b1)
    plain[3], mirror[3] = mirror[2] ^ np.uint64(0b111), plain[2]
    side = Side(make(6, phash=plain, phash_mirror=mirror))
    measure = PerceptualHash(side, side)
    assert pairs(measure.propose(near(measure))) == [(0, 1), (2, 3)]
    compared = measure.compare(np.array([0, 2]), np.array([1, 3]))
    assert compared.values["phash"][0] == 2
    assert compared.values["phash_mirror"][1] == 0
    assert compared.found["phash"].tolist() == [True, False]
    assert compared.found["phash_mirror"].tolist() == [False, True]


def test_hashes_of_another_set_are_found_mirrored_too(make):
    plain, mirror = np.random.default_rng(1).integers(0, 2**64, (2, 6), dtype=np.uint64)
    ours = Side(make(6, phash=plain, phash_mirror=mirror))
    swapped = {"phash": np.r_[mirror[4], plain[2], ONE], "phash_mirror": np.r_[plain[4], mirror[2], ONE]}
    theirs = Side(make(3, **swapped), "other")
    measure = PerceptualHash(ours, theirs)
    assert pairs(measure.propose(near(measure))) == [(2, 1), (4, 0)]
    compared = measure.compare(np.array([2, 4]), np.array([1, 0]))
    assert compared.values["phash"][0] == compared.values["phash_mirror"][1] == 0


@pytest.mark.parametrize("column", ["flat", "status", "phash"])
def test_hashes_that_say_nothing_are_not_compared(make, column):
    same = [7] * 4
    columns = {"phash": same, "phash_mirror": same, "flat": [False] * 4, "status": ["ok"] * 4}
    columns[column] = {"flat": [False, True, False, True], "status": ["ok", "broken", "ok", "gone"]}.get(
        column, [7, None, 7, None]
    )
    side = Side(make(4, **columns))
    measure = PerceptualHash(side, side)
    assert pairs(measure.propose(near(measure))) == [(0, 2)]
    compared = measure.compare(np.array([0, 0]), np.array([1, 2]))
    assert np.isnan(compared.values["phash"]).tolist() == [True, False]
    assert np.isnan(compared.margin).tolist() == [True, False]
    assert compared.found["phash"].tolist() == [False, True]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 4), st.integers(0, 8))
def test_hashes_name_the_nearest_within_the_radius_as_brute_force_does(make, seed, count, k, radius):
    rng = np.random.default_rng(seed)
    # Few families and few bits: many equal hashes, many ties, more neighbours than may be kept.
    hashes = rng.integers(0, 2**64, 3, dtype=np.uint64)[rng.integers(0, 3, (2, count))]
    hashes ^= ONE << rng.integers(0, 12, (2, count), dtype=np.uint64)
    hashes[1] = hashes[0] if rng.random() < 0.5 else hashes[1]
    side = Side(make(count, phash=hashes[0], phash_mirror=hashes[1]))
    measure = PerceptualHash(side, side, radius=radius)
    shards = near(measure, k=k, radius=radius)
    found = [tuple(row) for shard in shards for row in zip(*(x.tolist() for x in shard), strict=True)]
    ways = ((0, 0), (1, 0), (0, 1))
    bits = np.minimum.reduce([np.bitwise_count(hashes[x][:, None] ^ hashes[y]) for x, y in ways])
    expected = []
    for i in range(count):
        others = sorted((int(bits[i, j]), j) for j in range(count) if j != i and bits[i, j] <= radius)
        expected += [(i, j, d) for d, j in others[:k]]
    assert found == expected
    proposals = measure.propose(shards, k)
    assert set(pairs(proposals)) == {(min(i, j), max(i, j)) for i, j, _ in expected}
    assert proposals.capped.tolist() == [i for i in range(count) if sum(e[0] == i for e in expected) == k]


def test_pending_pairs_are_reduced_without_changing_the_result(make, monkeypatch):
    hashes = np.random.default_rng(0).integers(0, 2**5, 300, dtype=np.uint64)
    side = Side(make(300, phash=hashes, phash_mirror=hashes ^ np.uint64(2**60)))
    whole = near(PerceptualHash(side, side), k=5)
    monkeypatch.setattr(module, "PENDING", 50)
    pieces = near(PerceptualHash(side, side), k=5)
    assert all(np.array_equal(a, b) for x, y in zip(whole, pieces, strict=True) for a, b in zip(x, y, strict=True))
    assert sum(len(x.query) for x in whole) == 1500


def test_surroundings_are_the_eleventh_to_thirtieth_and_typical_where_few_were_seen():
    query = np.r_[np.zeros(40, int), np.full(10, 2)]
    ring = ring_of(Near(query, np.arange(50), np.arange(50.0)), 3)
    assert ring[0] == 19.5
    assert np.isnan(ring[1:]).all()
    drawn = surroundings(ring, 100.0, np.array([10**9, 5, measures.PRIOR]))
    assert drawn.tolist() == pytest.approx([19.5, 100, 100], abs=1e-4)
    assert surroundings(ring, 100.0, measures.PRIOR)[0] == pytest.approx((19.5 + 100) / 2)


def test_cosine_looks_where_the_plan_says_and_compares_anywhere(make):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 8)).astype(np.float32)
    features[1], features[21] = features[0], features[0]
    features[5] = np.nan
    workspace = make(40, features=features, flat=[i == 7 for i in range(40)])
    side = Side(workspace)
    measure = Cosine(side, side, Features(workspace, "given"), margin=0.25)
    plan = scopes.Plan(np.arange(40) // 20, [np.arange(20), np.arange(20, 40)])
    known = [np.flatnonzero(measure.known[0] & (plan.group == group)) for group in (0, 1)]
    assert not {5, 7} & set(known[0])
    shards = [measure.near(ids, ids, k=30, radius=None) for ids in known]
    measure.learn(shards, plan)
    proposed = pairs(measure.propose(shards))
    assert (0, 1) in proposed
    assert (0, 21) not in proposed
    compared = measure.compare(np.array([0, 0, 4, 6]), np.array([21, 2, 5, 7]))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert compared.values["cosine"][:2] == pytest.approx([1, float(unit[0] @ unit[2])], abs=1e-6)
    assert np.isnan(compared.values["cosine"][2:]).all()
    assert np.isnan(compared.margin[2:]).all()


def test_cosine_counts_images_with_more_neighbours_than_it_may_name(make):
    features = np.concatenate([np.ones((20, 4)), np.eye(4).repeat(60, axis=0)]).astype(np.float32)
    workspace = make(260, features=features)
    side = Side(workspace)
    measure = Cosine(side, side, Features(workspace, "given"), margin=-1.0)
    shards = near(measure)
    measure.learn(shards, everything(side))
    few = measure.propose(shards, 3)
    assert len(few.capped) == 260
    assert len(few.a) <= 3 * 260


def test_a_small_reference_set_of_pictures_that_look_alike_is_not_full_of_copies(make):
    rng = np.random.default_rng(5)
    alike = 2 + rng.normal(size=(320, 64)).astype(np.float32)
    ours, theirs = alike[:300], alike[300:]
    theirs[0] = ours[10]
    workspace, other = make(300, features=ours), make(20, features=theirs)
    first, second = Side(workspace), Side(other, "other")
    inside = Cosine(first, first, Features(workspace, "given"))
    inside.learn(near(inside), everything(first))
    measure = Cosine(first, second, Features(workspace, "given"), Features(other, "given"), own=inside)
    measure.learn(near(measure), everything(first, second))
    a, b = (part.ravel() for part in np.indices((300, 20)))
    margin = measure.compare(a, b).margin.reshape(300, 20)
    assert np.argwhere(margin > 0.1).tolist() == [[10, 0]]


def test_cosine_with_another_set_relates_to_the_surroundings_on_both_sides(make):
    rng = np.random.default_rng(3)
    ours, theirs = (rng.normal(size=(60, 8)).astype(np.float32) for _ in range(2))
    theirs[7] = ours[3] * 2
    workspace, other = make(60, features=ours), make(60, features=theirs)
    first, second = Side(workspace), Side(other, "other")
    inside = Cosine(first, first, Features(workspace, "given"))
    inside.learn(near(inside), everything(first))
    measure = Cosine(first, second, Features(workspace, "given"), Features(other, "given"), own=inside, margin=0.25)
    shards = near(measure)
    measure.learn(shards, everything(first, second))
    assert (3, 7) in pairs(measure.propose(shards))
    alone = Cosine(second, second, Features(other, "given"))
    alone.learn(near(alone), everything(second))
    back = Cosine(second, first, Features(other, "given"), Features(workspace, "given"))
    back.learn(near(back), everything(second, first))
    compared = measure.compare(np.array([3, 4]), np.array([7, 8]))
    around = np.minimum(inside.around[[3, 4]], np.maximum(alone.around, back.across)[[7, 8]])
    assert compared.margin == pytest.approx(compared.values["cosine"] - around, abs=1e-6)
    assert compared.values["cosine"][0] == pytest.approx(1)


def test_cosine_of_images_that_were_never_surveyed_is_judged_by_what_is_typical(make):
    workspace = make(3, features=np.eye(3, dtype=np.float32))
    side = Side(workspace)
    measure = Cosine(side, side, Features(workspace, "given"))
    assert measure.compare(np.array([0]), np.array([1])).margin[0] == pytest.approx(-TYPICAL)


def test_fc7_is_the_squared_distance(make):
    features = np.random.default_rng(0).normal(size=(30, 12)).astype(np.float32) * 40
    workspace = make(30, features=features)
    side = Side(workspace)
    exact = ((features[:, None].astype(np.float64) - features) ** 2).sum(-1)
    radius = float(np.sort(exact[np.triu_indices(30, 1)])[20])
    measure = Fc7(side, side, Features(workspace, "given"), radius=radius)
    shards = near(measure, k=3, radius=radius)
    assert len(pairs(measure.propose(shards))) == 21
    assert all(exact[i, j] <= radius for i, j in pairs(measure.propose(shards)))
    for shard in shards:
        assert shard.distance == pytest.approx(exact[shard.query, shard.target], rel=1e-5)
    a, b = np.triu_indices(30, 1)
    assert measure.compare(a, b).values["fc7"] == pytest.approx(exact[a, b], rel=1e-6)


class Pictures:
    """Renditions made in memory."""

    def __init__(self, count: int, seed: int) -> None:
        self.ids = np.arange(count)
        coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
        self.all = coarse.repeat(32, axis=1).repeat(32, axis=2)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        return self.all[ids]


def test_dssim_compares_the_pairs_it_is_given_and_no_others(make, monkeypatch):
    from curation.duplicates import rendered

    monkeypatch.setattr(rendered, "PAIRS_AT_ONCE", 3)
    side, pictures = Side(make(8)), Pictures(8, 0)
    pictures.all[5] = pictures.all[2]
    asked = Proposals(np.array([0, 0, 2, 3]), np.array([1, 4, 5, 7]), np.zeros(0, np.int64))
    measure = Dssim(side, side, pictures, pictures, pairs=asked, radius=0.2205)
    shards = near(measure, k=1, radius=0.2205)
    found = {(q, t): d for s in shards for q, t, d in zip(*(x.tolist() for x in s), strict=True)}
    assert set(found) == {*zip(asked.a, asked.b, strict=True), *zip(asked.b, asked.a, strict=True)}
    assert found[2, 5] == found[5, 2] == 0
    assert found[0, 1] > 0.2205
    assert pairs(measure.propose(shards)) == [(2, 5)]
    one, many = (
        Dssim(side, side, pictures, pictures, radius=1, workers=w).compare(*np.triu_indices(8, 1)) for w in (1, 3)
    )
    assert np.array_equal(one.values["dssim"], many.values["dssim"])
    assert one.values["dssim"][0] == found[0, 1]


def test_dssim_of_a_class_names_the_nearest_and_all_within_the_radius(make):
    side, pictures = Side(make(9)), Pictures(9, 1)
    pictures.all[6:] = pictures.all[0]
    measure = Dssim(side, side, pictures, pictures, radius=0.1)
    assert not measure.made_from
    for shard in near(measure, k=2, radius=0.1):
        sizes = dict(zip(*np.unique(shard.query, return_counts=True), strict=True))
        assert all(size == (3 if query in (0, 6, 7, 8) else 2) for query, size in sizes.items())
        assert (np.diff(shard.distance)[np.diff(shard.query) == 0] >= 0).all()


def test_more_pairs_for_dssim_change_only_the_images_they_are_about(make):
    side, pictures = Side(make(9)), Pictures(9, 1)
    few, more = (
        Dssim(side, side, pictures, pictures, radius=1, pairs=Proposals(np.array(a), np.array(b), np.zeros(0, int)))
        for a, b in (([0, 3], [1, 4]), ([0, 3, 3], [1, 4, 8]))
    )
    changed = (few.content[0] != more.content[0]).any(axis=1)
    assert np.flatnonzero(changed).tolist() == [3, 8]


def test_content_tells_features_apart(make):
    workspace = make(6, features=np.ones((6, 3), np.float32))
    side = Side(workspace)
    before = Cosine(side, side, Features(workspace, "given")).content[0]
    write_features(workspace, "given", np.full((6, 3), 2, np.float32))
    assert (Cosine(side, side, Features(workspace, "given")).content[0] != before).any()
