"""What each measure proposes and says, on columns made for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.arrays import Features
from curation.duplicates import measures
from curation.duplicates.find import COLUMNS
from curation.duplicates.measures import Cosine, Exact, PerceptualHash, surroundings
from curation.duplicates.neighbours import closest

ONE = np.uint64(1)


def pairs(proposals) -> list[tuple[int, int]]:
    return sorted(zip(proposals.a.tolist(), proposals.b.tolist(), strict=True))


def test_exact_pairs_equal_pixels_of_readable_pictures(make):
    pixels = ["x", "y", "x", "", "", None, "y", "x", "x"]
    status = ["ok"] * 8 + ["gone"]
    measure = Exact(make(9, pixels=pixels, status=status).images(COLUMNS))
    assert pairs(measure.propose()) == [(0, 2), (0, 7), (1, 6), (2, 7)]
    compared = measure.compare(np.array([0, 0, 3, 0]), np.array([2, 1, 4, 8]))
    assert compared.values["exact"].tolist() == [1, 0, 0, 0]


def test_a_thousand_copies_make_few_pairs_that_hold_together(make):
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    proposals = Exact(make(1000, pixels=["x"] * 1000).images(COLUMNS), neighbours=30).propose()
    assert len(proposals.a) <= 30_000
    assert len(proposals.capped) == 1000
    graph = coo_array((np.ones(len(proposals.a)), (proposals.a, proposals.b)), shape=(1000, 1000))
    assert connected_components(graph, directed=False)[0] == 1


def test_hashes_find_plain_and_mirrored_neighbours(make):
    plain, mirror = np.random.default_rng(1).integers(0, 2**64, (2, 6), dtype=np.uint64)
    plain[1], mirror[1] = plain[0] ^ np.uint64(0b11), mirror[0] ^ np.uint64(0b1)
    plain[3], mirror[3] = mirror[2] ^ np.uint64(0b111), plain[2]
    measure = PerceptualHash(make(6, phash=plain, phash_mirror=mirror).images(COLUMNS))
    assert pairs(measure.propose()) == [(0, 1), (2, 3)]
    compared = measure.compare(np.array([0, 2]), np.array([1, 3]))
    assert compared.values["phash"][0] == 2
    assert compared.values["phash_mirror"][1] == 0
    assert compared.found["phash"].tolist() == [True, False]
    assert compared.found["phash_mirror"].tolist() == [False, True]


@pytest.mark.parametrize("column", ["flat", "status", "phash"])
def test_hashes_that_say_nothing_are_not_compared(make, column):
    same = [7] * 4
    columns = {"phash": same, "phash_mirror": same, "flat": [False] * 4, "status": ["ok"] * 4}
    columns[column] = {"flat": [False, True, False, True], "status": ["ok", "broken", "ok", "gone"]}.get(
        column, [7, None, 7, None]
    )
    measure = PerceptualHash(make(4, **columns).images(COLUMNS))
    assert pairs(measure.propose()) == [(0, 2)]
    compared = measure.compare(np.array([0, 0]), np.array([1, 2]))
    assert np.isnan(compared.values["phash"]).tolist() == [True, False]
    assert np.isnan(compared.margin).tolist() == [True, False]
    assert compared.found["phash"].tolist() == [False, True]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(1, 4), st.integers(0, 8))
def test_hashes_propose_the_nearest_within_the_radius_as_brute_force_does(make, seed, count, neighbours, radius):
    rng = np.random.default_rng(seed)
    # Few families and few bits: many equal hashes, many ties, more neighbours than may be kept.
    hashes = rng.integers(0, 2**64, 3, dtype=np.uint64)[rng.integers(0, 3, (2, count))]
    hashes ^= ONE << rng.integers(0, 12, (2, count), dtype=np.uint64)
    hashes[1] = hashes[0] if rng.random() < 0.5 else hashes[1]
    measure = PerceptualHash(
        make(count, phash=hashes[0], phash_mirror=hashes[1]).images(COLUMNS), radius=radius, neighbours=neighbours
    )
    proposals = measure.propose()
    i, j = np.triu_indices(count, 1)
    bits = [np.bitwise_count(x[i] ^ y[j]) for x, y in ((hashes[0],) * 2, hashes, hashes[::-1])]
    near = np.minimum.reduce(bits)
    i, j, near = (x[near <= radius] for x in (i, j, near))
    kept, capped = closest(i, j, near, neighbours)
    expected = set(zip(i[kept].tolist(), j[kept].tolist(), strict=True))
    assert set(pairs(proposals)) <= set(zip(i.tolist(), j.tolist(), strict=True))
    if np.array_equal(hashes[0], hashes[1]) or not len(capped):
        assert set(pairs(proposals)) == expected
    assert len(pairs(proposals)) == len(set(pairs(proposals))) <= neighbours * count
    assert set(capped.tolist()) == set(proposals.capped.tolist())


def test_pending_pairs_are_reduced_without_changing_the_result(make, monkeypatch):
    hashes = np.random.default_rng(0).integers(0, 2**5, 300, dtype=np.uint64)
    images = make(300, phash=hashes, phash_mirror=hashes ^ np.uint64(2**60)).images(COLUMNS)
    whole = PerceptualHash(images, neighbours=5).propose()
    monkeypatch.setattr(measures, "PENDING", 50)
    pieces = PerceptualHash(images, neighbours=5).propose()
    assert pairs(whole) == pairs(pieces)
    assert len(whole.capped) == 300


def test_surroundings_are_the_eleventh_to_thirtieth_and_typical_where_few_were_seen():
    nearest = np.tile(np.arange(40.0), (2, 1))
    assert surroundings(nearest, 0.0, 10**9)[0] == pytest.approx(19.5)
    assert surroundings(nearest, 100.0, measures.PRIOR)[0] == pytest.approx((19.5 + 100) / 2)
    assert surroundings(nearest[:, :10], 7.0, 11).tolist() == [7, 7]


def test_cosine_looks_inside_groups_and_compares_anywhere(make):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 8)).astype(np.float32)
    features[1], features[21] = features[0], features[0]
    features[5] = np.nan
    workspace = make(40, features=features, flat=[i == 7 for i in range(40)])
    groups = [np.arange(20), np.arange(20, 40)]
    measure = Cosine(workspace.images(COLUMNS), Features(workspace, "given"), groups=groups, margin=0.25)
    proposed = pairs(measure.propose())
    assert (0, 1) in proposed
    assert (0, 21) not in proposed
    assert not {5, 7} & {i for pair in proposed for i in pair}
    compared = measure.compare(np.array([0, 0, 4, 6]), np.array([21, 2, 5, 7]))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert compared.values["cosine"][:2] == pytest.approx([1, float(unit[0] @ unit[2])], abs=1e-6)
    assert np.isnan(compared.values["cosine"][2:]).all()
    assert np.isnan(compared.margin[2:]).all()


def test_cosine_counts_images_with_more_neighbours_than_it_may_name(make):
    features = np.concatenate([np.ones((20, 4)), np.eye(4).repeat(60, axis=0)]).astype(np.float32)
    workspace = make(260, features=features)
    few = Cosine(workspace.images(COLUMNS), Features(workspace, "given"), neighbours=3, margin=-1.0).propose()
    assert len(few.capped) == 260
    assert np.bincount(few.b, minlength=260).max() <= 260
    assert len(few.a) <= 3 * 260
