"""Orders, lots, and where planted probes stand."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.duplicates import orders


def test_distances_grow_with_unlikeness():
    nan = np.nan
    columns = {
        "phash": np.array([4, nan, 9.0]),
        "phash_mirror": np.array([7, nan, 2.0]),
        "cosine": np.array([0.9, nan, -1]),
        "inliers": np.array([30, nan, 0.0]),
        "dssim": np.array([0.1, nan, 0.3]),
    }
    for name, expected in (("phash", [4, nan, 2]), ("cosine", [0.1, nan, 2]), ("inliers", [-30, nan, 0])):
        np.testing.assert_allclose(orders.distance(columns, name), expected)
    assert orders.distance(columns, "dssim") is columns["dssim"]


def test_a_lot_is_even_and_depends_on_number_and_seed_alone():
    numbers = np.arange(20_000)
    drawn = orders.lot(numbers, "w", "double review")
    assert ((drawn >= 0) & (drawn < 1)).all()
    assert abs((drawn < 0.2).mean() - 0.2) < 0.01
    np.testing.assert_array_equal(orders.lot(numbers[::-1], "w", "double review")[::-1], drawn)
    assert abs(np.corrcoef(drawn, orders.lot(numbers, "other", "double review"))[0, 1]) < 0.03
    assert len(np.unique(drawn)) == len(drawn)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 200), st.integers(0, 30), st.integers(0, 2**20))
def test_every_row_comes_once_and_real_pairs_in_their_order(real, planted, seed):
    rng = np.random.default_rng(seed)
    probe = rng.permutation(np.arange(real + planted) < planted)
    key = rng.integers(0, 5, real + planted).astype(float)
    order = orders.arrange((key,), probe, rng.random(real + planted))
    assert sorted(order.tolist()) == list(range(real + planted))
    kept = order[~probe[order]]
    assert [(key[i], i) for i in kept] == sorted((key[i], i) for i in kept)
    places = np.flatnonzero(probe[order])
    step = min(orders.EVERY - 1, real / max(planted, 1))
    # The n-th probe stands in the n-th stretch of real pairs.
    for n, place in enumerate(places.tolist()):
        before = place - n
        assert n * step - 1 <= before <= (n + 1) * step + 1


def test_probes_stand_at_other_places_for_another_seed():
    probe = np.arange(400) >= 380
    places = [
        np.flatnonzero(probe[orders.arrange((np.arange(400.0),), probe, orders.lot(np.arange(400), seed))]).tolist()
        for seed in ("a", "b")
    ]
    assert places[0] != places[1]
    assert len(set(np.diff(places[0]).tolist())) > 5  # no fixed distance to learn
