"""A falling chance with its band: never rising, inside its band, and true as often as it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.duplicates import monotone

observations = st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=80)


@settings(max_examples=150, deadline=None)
@given(observations)
def test_it_falls_and_lies_in_its_band(observed):
    distance, yes = (np.array(c) for c in (zip(*observed, strict=True) if observed else ([], [])))
    curve = monotone.fit(distance, yes.astype(bool))
    at = np.linspace(-1, 31, 200)
    chance, low, high = curve.at(at)
    assert (low <= chance).all()
    assert (chance <= high).all()
    assert (low >= 0).all()
    assert (high <= 1).all()
    for values in (chance, low, high):
        assert (np.diff(values) <= 0).all()
    if observed:
        assert np.isclose(curve.at(distance)[0].sum(), yes.sum())  # isotonic regression keeps the total


def test_nothing_observed_is_no_knowledge():
    curve = monotone.fit(np.zeros(0), np.zeros(0, bool))
    assert [part.tolist() for part in curve.at(np.array([3.0]))] == [[0.5], [0.0], [1.0]]


def test_a_bound_reaches_no_farther_than_falling_allows():
    distance = np.repeat([1.0, 2.0], 200)
    curve = monotone.fit(distance, distance == 1, runs=2)
    _, low, high = curve.at(np.array([0.0, 1.0, 1.5, 2.0, 9.0]))
    assert low[:2].min() > 0.9  # as near or nearer: at least as likely
    assert low[2:].max() == 0.0  # farther: anything below
    assert high[:3].min() == 1.0  # nearer: anything above
    assert high[3:].max() < 0.1


def test_few_observations_give_a_wide_band_and_many_a_narrow():
    rng = np.random.default_rng(0)
    widths = []
    for count in (5, 100, 5000):
        distance = rng.random(count)
        curve = monotone.fit(distance, rng.random(count) < np.exp(-4 * distance))
        _, low, high = curve.at(np.linspace(0.1, 0.9, 50))
        widths.append((high - low).mean())
    assert widths[0] > 0.75
    assert widths[1] < widths[0]
    assert widths[2] < 0.25


@pytest.mark.parametrize("shape", [lambda x: np.exp(-6 * x), lambda x: 0.3 + 0 * x, lambda x: (x < 0.3) * 0.9 + 0.02])
def test_the_band_holds_the_truth_everywhere_as_often_as_it_says(shape):
    rng = np.random.default_rng(7)
    missed = 0
    for _ in range(200):
        distance = rng.beta(1, 2, 300).round(2)  # with ties
        curve = monotone.fit(distance, rng.random(300) < shape(distance), level=0.8)
        at = np.linspace(0, 1.2, 121)
        _, low, high = curve.at(at)
        missed += bool(((shape(at) < low - 1e-12) | (shape(at) > high + 1e-12)).any())
    assert missed <= 0.2 * 200 + 12  # two standard errors above the nominal rate


def test_clopper_pearson_is_the_published_interval():
    low, high = monotone.clopper_pearson(np.array([0, 4, 20]), np.array([20, 20, 20]), 0.025)
    np.testing.assert_allclose(low, [0, 0.0573, 0.8316], atol=1e-4)
    np.testing.assert_allclose(high, [0.1684, 0.4366, 1], atol=1e-4)
