"""Twenty people at once, by the functions that the page and its routes call: take a lease, decide, append."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from curation import files, judgements, policies
from curation.duplicates import court, verdicts
from curation.ui import recent, routes
from curation.workspace import PAIRS, Workspace

PEOPLE = 20
PAIR_COUNT = 120


@pytest.fixture(params=["sqlite", "postgresql"])
def workspace(request, make) -> Workspace:
    made = make(40)
    if request.param == "postgresql":
        files.write_json(
            made.path / "workspace.json", made.meta | {"database": request.getfixturevalue("postgres_url")}
        )
    a, b = (side[:PAIR_COUNT] for side in np.triu_indices(40, 1))
    known = {"image_a": a, "image_b": b, "reference": [""] * len(a), "decision": ["candidate"] * len(a)}
    known["probability"] = np.random.default_rng(0).random(len(a))
    arrays = [pa.array(known[f.name]).cast(f.type) if f.name in known else pa.nulls(len(a), f.type) for f in PAIRS]
    files.write_table(made.path / "duplicates" / "pairs.parquet", pa.table(arrays, schema=PAIRS))
    recent.remember(made)
    return recent.open_workspace(made.key)


class Desk:
    """What is before whose eyes."""

    def __init__(self) -> None:
        self.lock, self.shown, self.most = threading.Lock(), Counter(), Counter()

    def show(self, subjects: list[str], sign: int) -> None:
        with self.lock:
            for subject in subjects:
                self.shown[subject] += sign
                self.most[subject] = max(self.most[subject], self.shown[subject])


def sit(workspace: Workspace, desk: Desk, number: int) -> None:
    """Judge until nothing is left for this person, three pairs at a time."""
    who, seq, end = f"person {number}", 0, time.monotonic() + 300
    while time.monotonic() < end:
        served = verdicts.serve(workspace, reviewer=who, count=3)
        if not served.pending:
            return
        subjects = served.pairs["subject"].to_pylist()
        desk.show(subjects, 1)
        for subject in subjects[:2]:  # the third stays on the stack
            seq += 1
            event = {"seq": seq, "kind": "pair", "subject": subject, "verdict": "duplicate"}
            body = json.dumps({"client": f"browser-{number}", "reviewer": who, "events": [event]}).encode()
            desk.show([subject], -1)  # before it is given back
            for _ in range(1 + (seq % 5 == 0)):  # some answers are lost, and the batch is sent again
                assert routes._keep(workspace.key, body).status_code == 200
        desk.show(subjects[2:], -1)
        if not subjects:
            time.sleep(0.02)  # others have what is left
    raise AssertionError(f"{who} is not done after five minutes")


@pytest.mark.parametrize("share", ["0", "0.3"])
def test_every_verdict_is_kept_once_and_no_pair_judged_by_more_than_it_needs(workspace, share):
    policies.put(workspace, "double-review", share, reviewer="lead")
    desk, together = Desk(), threading.Barrier(PEOPLE)

    def person(number: int) -> None:
        together.wait()
        sit(workspace, desk, number)

    with ThreadPoolExecutor(PEOPLE) as pool:
        list(pool.map(person, range(PEOPLE)))
    now = court.court(workspace)
    needed = dict(zip(now.found.table["subject"].to_pylist(), now.needed().tolist(), strict=True))
    assert (sum(needed.values()) > PAIR_COUNT) == (share != "0")
    kept = workspace.ledger.events("pair")
    assert Counter(event.subject for event in kept) == needed
    assert len({(event.subject, event.reviewer) for event in kept}) == len(kept)
    assert all(desk.most[subject] <= most for subject, most in needed.items())
    settled = judgements.verdicts(workspace)
    assert sorted(settled["reviewers"].tolist()) == sorted(needed.values())
    assert (settled["verdict"] == "duplicate").all()
    told = verdicts.counts(workspace)
    assert (told["left"], told["duplicate"], sum(told["by_reviewer"].values())) == (0, PAIR_COUNT, len(kept))


def test_an_undone_verdict_stays_with_the_person_who_has_it_before_the_eyes(workspace):
    first = verdicts.serve(workspace, reviewer="person 1", count=1).pairs["subject"][0].as_py()
    events = [
        {"seq": 1, "kind": "pair", "subject": first, "verdict": judgements.VERDICTS[0]},
        {"seq": 2, "kind": "undo", "subject": "browser-1:1"},
    ]
    for event in events:
        body = {"client": "browser-1", "reviewer": "person 1", "events": [event]}
        assert routes._keep(workspace.key, json.dumps(body).encode()).status_code == 200
    assert first not in verdicts.serve(workspace, reviewer="person 2", count=PAIR_COUNT).pairs["subject"].to_pylist()
    assert verdicts.serve(workspace, reviewer="person 1", count=1).pairs["subject"].to_pylist() == [first]
