"""Cohen's kappa, pace, and what adjudication upheld."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from curation.duplicates.agreement import KAPPA, REVIEWERS, cohen, kappa, reviewers
from curation.judgements import VERDICTS
from curation.ledger import Event


def event(reviewer, subject, verdict, *, at="2026-01-01T10:00:00.000+00:00", kind="pair") -> Event:
    return Event(reviewer=reviewer, kind=kind, subject=subject, verdict=verdict, time=at)


def test_kappa_is_that_of_the_books():
    # Fleiss, Cohen and Everitt (1969), table 1: kappa .429, standard error .054 (n = 200), rounded there.
    table = np.array([[53, 5, 2], [11, 14, 5], [1, 6, 3]]) * 2
    value, low, high = cohen(table)
    assert value == pytest.approx(0.429, abs=1e-3)
    assert (high - low) / 2 / 1.96 == pytest.approx(0.054, abs=1e-3)


def test_kappa_of_every_two_reviewers(make):
    workspace, rng = make(60), np.random.default_rng(0)
    said = {who: rng.choice(VERDICTS, 59) for who in ("anna", "ben", "carl")}
    said["ben"][:40] = said["anna"][:40]
    events = [event(who, f"{i}-{i + 1}", v) for who, words in said.items() for i, v in enumerate(words) if i >= 5]
    events += [event("anna", "0-1", "duplicate"), event("anna", "0-1", "related"), event("ben", "1-0", "related")]
    events += [event("judge", "8-9", "unsure", kind="pair.final"), event("dora", "0-2", "unsure")]
    workspace.ledger.append(events)
    table = kappa(workspace)
    assert table.schema.equals(KAPPA)
    rows = {(row["first"], row["second"]): row for row in table.to_pylist()}
    assert list(rows) == [("anna", "ben"), ("anna", "carl"), ("ben", "carl")]
    both = rows["anna", "ben"]
    first, second = (["related", *said[who][5:]] for who in ("anna", "ben"))
    assert both["pairs"] == 55
    assert both["agreed"] == sum(a == b for a, b in zip(first, second, strict=True))
    assert both["kappa"] == pytest.approx(cohen_kappa_score(first, second))
    assert both["low"] < both["kappa"] < both["high"]
    assert abs(rows["anna", "carl"]["kappa"]) < 0.3


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    share = np.full((4, 4), 0.03) + np.eye(4) * 0.13
    truth = cohen(share * 1e9)[0]
    held = 0
    for _ in range(400):
        _, low, high = cohen(rng.multinomial(200, share.ravel()).reshape(4, 4))
        held += low <= truth <= high
    assert 0.92 * 400 < held < 0.98 * 400


def test_two_who_always_say_one_thing_have_no_kappa(make):
    workspace = make(4)
    workspace.ledger.append([event(who, s, "different") for who in ("anna", "ben") for s in ("0-1", "1-2")])
    (row,) = kappa(workspace).to_pylist()
    assert (row["pairs"], row["agreed"], row["kappa"], row["low"]) == (2, 2, None, None)
    assert np.isnan(cohen(np.zeros((4, 4)))).all()


def test_pace_counts_time_without_pauses(make):
    workspace = make(20)
    seconds = [0, 10, 20, 320, 330, 1000]  # 20 to 320 is just no pause; 330 to 1000 is one
    times = [f"2026-01-01T10:{s // 60:02d}:{s % 60:02d}.000+00:00" for s in seconds]
    workspace.ledger.append([event("anna", f"{i}-{i + 1}", "different", at=at) for i, at in enumerate(times)])
    workspace.ledger.append([event("ben", "0-1", "different")])
    anna, ben = reviewers(workspace).to_pylist()
    assert (anna["verdicts"], anna["hours"]) == (6, pytest.approx(330 / 3600))
    assert anna["pace"] == pytest.approx(4 / (330 / 3600))
    assert (ben["verdicts"], ben["hours"], ben["pace"]) == (1, 0, None)


def test_what_was_adjudicated_upholds_some(make):
    workspace = make(5)
    said = [event("anna", "0-1", "duplicate"), event("ben", "0-1", "related"), event("anna", "1-2", "duplicate")]
    finals = [event("judge", "0-1", v, kind="pair.final") for v in ("related", "duplicate")]
    workspace.ledger.append(said + finals)
    table = reviewers(workspace)
    assert table.schema.equals(REVIEWERS)
    found = {r["reviewer"]: (r["verdicts"], r["adjudicated"], r["upheld"]) for r in table.to_pylist()}
    assert found == {"anna": (2, 1, 1), "ben": (1, 1, 0), "judge": (0, 0, 0)}


def test_nobody_yet(make):
    assert len(kappa(make(3))) == len(reviewers(make(3))) == 0
