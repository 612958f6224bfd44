"""The rule: what it makes of margins."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from curation.duplicates import rule


def chance(phash: float = np.nan, cosine: float = np.nan, exact: bool = False) -> float:
    margins = {"phash": np.array([phash]), "cosine": np.array([cosine])}
    return float(rule.probability(np.array([exact]), margins)[0])


@pytest.mark.parametrize(
    "rising",
    [
        [chance(8, x) for x in np.linspace(-0.2, 0.4, 9)],
        [chance(np.nan, x) for x in np.linspace(-0.2, 0.4, 9)],
        [chance(x, 0.05) for x in range(0, 20, 2)],
        [chance(x) for x in range(0, 20, 2)],
    ],
)
def test_what_stands_out_more_is_more_probable(rising):
    assert all(low < high for low, high in pairwise(rising))


def test_same_pixels_are_duplicates_whatever_else():
    assert chance(exact=True) == 1 == chance(0, -0.5, exact=True)


def test_no_measure_no_probability():
    assert chance() == 0


def test_farther_apart_than_the_surroundings_is_no_worse_than_as_far():
    assert chance(-20, 0.1) == chance(0, 0.1)


def test_one_measure_may_be_absent_altogether():
    alone = rule.probability(np.array([False]), {"phash": np.array([16.0])})
    assert alone[0] == np.float32(chance(16))


def test_both_measures_moderately_close_say_more_than_either():
    assert chance(10, 0.16) > rule.DUPLICATE > max(chance(10), chance(np.nan, 0.16))


def test_decisions_begin_at_their_numbers():
    chances = np.array([0, rule.CANDIDATE - 1e-6, rule.CANDIDATE, rule.DUPLICATE - 1e-6, rule.DUPLICATE, 1])
    names = [rule.DECISIONS[i] for i in rule.decide(chances)]
    assert names == ["different"] * 2 + ["candidate"] * 2 + ["duplicate"] * 2
