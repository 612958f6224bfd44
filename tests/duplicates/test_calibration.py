"""Chance by distance from verdicts, what is left unseen, and when to stop."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curation import files, policies
from curation.duplicates import calibration
from curation.duplicates.calibration import calibrate, line, lines, rates, stop
from curation.errors import ArgumentError
from curation.ledger import Event
from curation.workspace import PAIRS

COUNT = 3000


@pytest.fixture
def searched(make):
    """searched(distance, **columns): a workspace with as many pairs, whose dssim is that distance."""

    def build(distance, **columns):
        made = make(100)
        a, b = (side[: len(distance)] for side in np.triu_indices(100, 1))
        known = {"image_a": a, "image_b": b, "reference": [""] * len(a), "dssim": distance} | columns
        arrays = [pa.array(known[f.name]).cast(f.type) if f.name in known else pa.nulls(len(a), f.type) for f in PAIRS]
        files.write_table(made.path / "duplicates" / "pairs.parquet", pa.table(arrays, schema=PAIRS))
        return made, [f"{i}-{j}" for i, j in zip(a.tolist(), b.tolist(), strict=True)]

    return build


def judge(workspace, subjects, words, reviewer="anna"):
    events = [Event(reviewer=reviewer, kind="pair", subject=s, verdict=w) for s, w in zip(subjects, words, strict=True)]
    workspace.ledger.append(events)


@pytest.fixture
def half(searched):
    """3,000 pairs whose chance falls with distance, every second of them judged; and the truth."""
    rng = np.random.default_rng(5)
    distance = rng.random(COUNT)
    truth = rng.random(COUNT) < np.exp(-9 * distance)
    workspace, subjects = searched(distance)
    words = np.where(truth, "duplicate", np.where(rng.random(COUNT) < 0.2, "related", "different"))
    judge(workspace, subjects[::2], words[::2])
    return workspace, distance, truth


def test_the_line_tells_how_many_duplicates_are_unseen(half):
    workspace, distance, truth = half
    for threshold in (0.05, 0.3, None):
        told = line(calibrate(workspace, "dssim"), threshold=threshold)
        unseen = np.zeros(COUNT, bool)
        unseen[1::2] = True
        if threshold is not None:
            unseen &= distance.astype(np.float32) <= threshold
        assert told["undecided"] == unseen.sum()
        assert told["low"] <= (truth & unseen).sum() <= told["high"]
        assert abs(told["estimated"] - (truth & unseen).sum()) < 25
        assert told["error"] == told["high"] - told["estimated"] > 0
    assert told["text"].startswith("1,500 pairs are unseen, of which an estimated")
    assert "only" not in told["text"]
    assert "uncertainty" in told["note"]
    assert line(calibrate(workspace, "probability"))["note"] == ""
    assert (told["duplicate"] + told["related"] + told["different"], told["verdicts"]) == (1500, 1500)


def test_sums_add_up(half):
    workspace, *_ = half
    found = calibrate(workspace, "dssim")
    table = lines(found).to_pandas()
    chance = found.curve.at(found.undecided)[0]
    for row in table.itertuples():
        assert row.undecided == (found.undecided <= row.threshold).sum()
        assert row.estimated == pytest.approx(chance[found.undecided <= row.threshold].sum())
        assert row.low <= row.estimated <= row.high
        assert (row.low, row.high) == tuple(line(found, threshold=row.threshold)[e] for e in ("low", "high"))
    assert table["undecided"].iloc[-1] == 1500
    assert rates(found)["judged"].to_pandas().sum() == 1500
    assert rates(found)["duplicates"].to_pandas().sum() == found.duplicate.sum()
    drawn = calibration.curve(found).to_pandas()
    np.testing.assert_array_equal(
        drawn["chance"].to_numpy()[np.searchsorted(drawn["distance"], found.judged, side="right") - 1],
        found.curve.at(found.judged)[0],
    )


def test_counts_lie_within_their_ends_as_often_as_they_say(searched):
    rng = np.random.default_rng(11)
    missed = 0
    for _ in range(60):
        distance = rng.random(400)
        truth, judged = rng.random(400) < 0.8 * np.exp(-5 * distance), rng.random(400) < 0.5
        curve = calibration.monotone.fit(distance[judged], truth[judged], level=calibration.BAND)
        found = calibration.Calibration("x", distance[judged], truth[judged], np.sort(distance[~judged]), {}, curve)
        table = lines(found, count=20).to_pandas()
        left = [(truth & ~judged & (distance <= t)).sum() for t in table["threshold"]]
        missed += bool(((left < table["low"]) | (left > table["high"])).any())
    assert missed <= 60 * 0.05 + 4


def test_the_rate_by_distance(half):
    workspace, *_ = half
    table = rates(calibrate(workspace, "dssim"), bins=10).to_pandas()
    assert (table["judged"] == 150).all()
    assert (table["farthest"].to_numpy()[:-1] < table["nearest"].to_numpy()[1:]).all()
    assert ((table["low"] <= table["rate"]) & (table["rate"] <= table["high"])).all()
    assert table["rate"].iloc[0] > 0.5 > 0.05 > table["rate"].iloc[-1]


def test_equal_distances_stay_together(searched):
    workspace, subjects = searched(np.repeat([0.1, 0.2, 0.3], [50, 3, 50]).astype(np.float32))
    judge(workspace, subjects, ["duplicate"] * 53 + ["different"] * 50)
    table = rates(calibrate(workspace, "dssim")).to_pandas()
    assert table["judged"].tolist() == [50, 3, 50]
    assert table["duplicates"].tolist() == [50, 3, 0]


def test_stop_says_how_many_to_look_at_next_and_stops_in_the_end(searched):
    rng = np.random.default_rng(2)
    distance = np.sort(rng.random(COUNT).astype(np.float32))
    words = np.where(distance < 0.1, "duplicate", "different")
    workspace, subjects = searched(distance)
    told = stop(workspace, "dssim", 20)
    assert (told["advice"], told["undecided"], told["verdicts"]) == ("look", COUNT, 0)
    assert told["next"] > COUNT - 40  # nothing is known yet
    assert 2 <= told["needed"] < COUNT
    assert "only 0 verdicts" in told["text"]
    seen = 0
    for _ in range(20):
        if told["advice"] == "stop":
            break
        more = min(told["next"], 400)
        judge(workspace, subjects[seen : seen + more], words[seen : seen + more])
        seen += more
        told = stop(workspace, "dssim", 20)
    assert told["advice"] == "stop"
    assert told["high"] <= 20
    assert (words[seen:] == "duplicate").sum() <= 20
    assert seen < COUNT  # not all had to be looked at
    assert told["next"] == told["needed"] == 0
    assert stop(workspace, "dssim", 0)["advice"] == "look"
    policies.put(workspace, "tolerated", "20", reviewer="lead")
    assert stop(workspace, "dssim")["advice"] == "stop"


def test_looking_at_what_it_says_leaves_no_more_than_is_tolerated(half):
    workspace, *_ = half
    told = stop(workspace, "dssim", 40)
    assert told["advice"] == "look"
    found = calibrate(workspace, "dssim")
    assert (found.undecided <= told["to"]).sum() >= told["next"] > 0
    rest = found.undecided[told["next"] :]
    assert line(found._replace(undecided=rest))["high"] <= 40
    assert line(found._replace(undecided=found.undecided[told["next"] - 1 :]))["high"] > 40


def test_related_unsure_and_contested_are_no_duplicates_and_are_told(searched):
    workspace, subjects = searched(np.linspace(0, 1, 8))
    judge(workspace, subjects[:4], ["duplicate", "related", "unsure", "duplicate"])
    judge(workspace, subjects[:1], ["different"], reviewer="ben")
    told = line(calibrate(workspace, "dssim"))
    assert [told[k] for k in ("duplicate", "related", "different", "unsure", "contested")] == [1, 1, 0, 1, 1]
    assert calibrate(workspace, "dssim").duplicate.tolist() == [False, False, False, True]
    assert (told["undecided"], told["low"], told["high"]) == (4, 0, 4)
    assert told["text"].endswith("only 4 verdicts tell so far")


def test_pairs_at_which_a_measure_did_not_look_are_left_out(searched):
    workspace, subjects = searched(
        np.array([0.1, None, 0.3, None]), phash=[3, None, 9, 12], phash_mirror=[30, None, 2, 5]
    )
    judge(workspace, subjects[:2], ["duplicate", "duplicate"])
    assert (len(calibrate(workspace, "dssim").judged), len(calibrate(workspace, "dssim").undecided)) == (1, 1)
    assert calibrate(workspace, "phash").undecided.tolist() == [2, 5]
    with pytest.raises(ArgumentError, match="'taste'"):
        calibrate(workspace, "taste")
    with pytest.raises(ArgumentError, match="cannot be tolerated"):
        stop(workspace, "dssim", -1)


def test_nothing_undecided_is_done(searched):
    workspace, subjects = searched(np.array([0.1]))
    judge(workspace, subjects, ["duplicate"])
    assert len(lines(calibrate(workspace, "dssim"))) == 0
    told = stop(workspace, "dssim", 0)
    assert (told["advice"], told["undecided"], told["high"]) == ("stop", 0, 0)
