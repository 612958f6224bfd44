"""The rule: what it makes of margins and of the geometric check."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from curation.duplicates import rule


def chance(phash: float = np.nan, cosine: float = np.nan, score: float = np.nan, exact: bool = False) -> float:
    margins = {"phash": np.array([phash]), "cosine": np.array([cosine])}
    return float(rule.probability(np.array([exact]), margins, np.array([score]))[0])


@pytest.mark.parametrize(
    "rising",
    [
        [chance(8, x) for x in np.linspace(-0.2, 0.4, 9)],
        [chance(np.nan, x) for x in np.linspace(-0.2, 0.4, 9)],
        [chance(x, 0.05) for x in range(0, 20, 2)],
        [chance(x) for x in range(0, 20, 2)],
        [chance(4, x, 0.5) for x in np.linspace(-0.2, 0.4, 9)],
        [chance(x, 0.1, 0.5) for x in range(0, 20, 2)],
        [chance(4, 0.1, x) for x in np.linspace(0, 2.4, 9)],
        [chance(4, np.nan, x) for x in np.linspace(0, 2.4, 9)],
        [chance(np.nan, 0.1, x) for x in np.linspace(0, 2.4, 9)],
        [chance(score=x) for x in np.linspace(0, 2.4, 9)],
    ],
)
def test_what_stands_out_more_is_more_probable(rising):
    assert all(low < high for low, high in pairwise(rising))


def test_same_pixels_are_duplicates_whatever_else():
    assert chance(exact=True) == 1 == chance(0, -0.5, 0.0, exact=True)


def test_no_measure_no_probability():
    assert chance() == 0


def test_farther_apart_than_the_surroundings_is_no_worse_than_as_far():
    assert chance(-20, 0.1) == chance(0, 0.1)


def test_one_measure_may_be_absent_altogether():
    alone = rule.probability(np.array([False]), {"phash": np.array([16.0])})
    assert alone[0] == np.float32(chance(16))


def test_both_measures_moderately_close_say_more_than_either():
    assert chance(10, 0.16) > rule.DUPLICATE > max(chance(10), chance(np.nan, 0.16))


@pytest.mark.parametrize("margins", [(2, 0.1), (2, np.nan), (np.nan, 0.1), (np.nan, np.nan)])
def test_geometry_decides_where_margins_do_not(margins):
    assert chance(*margins, 2.2) > rule.DUPLICATE
    assert chance(*margins, 0.0) < rule.CANDIDATE


def test_geometry_that_finds_nothing_turns_down_what_margins_would_have_accepted():
    assert chance(10, 0.16, 0.0) < rule.DUPLICATE < chance(10, 0.16)


def test_unlike_things_in_the_same_scene_are_left_to_people():
    # Agreement of 0.8 with as many inliers as count.
    assert rule.CANDIDATE < chance(5, 0.1, 0.8**4 * np.log(12)) < rule.DUPLICATE


def test_decisions_begin_at_their_numbers():
    chances = np.array([0, rule.CANDIDATE - 1e-6, rule.CANDIDATE, rule.DUPLICATE - 1e-6, rule.DUPLICATE, 1])
    names = [rule.DECISIONS[i] for i in rule.decide(chances)]
    assert names == ["different"] * 2 + ["candidate"] * 2 + ["duplicate"] * 2


def test_what_hardly_stands_out_is_not_worth_checking():
    margins = {"phash": np.array([0.0, 0, 0, 10, 10, np.nan]), "cosine": np.array([0.03, 0.08, 0.08, 0, 0, np.nan])}
    exact = np.array([False, False, True, False, False, False])
    assert rule.worth_checking(exact, margins).tolist() == [False, True, False, True, True, False]
    assert rule.worth_checking(exact[:2], {"phash": np.array([3.0, 8.0])}).tolist() == [False, True]


def test_recipes_name_every_number():
    numbers = rule.numbers()
    assert numbers["phash+cosine+score"]["score"] == rule.FITS["phash", "cosine", "score"].score
    assert {"duplicate", "candidate", "kept", "checked"} < set(numbers)
