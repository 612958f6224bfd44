"""What people said about pairs: taken apart, checked, settled."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import files, judgements, references
from curation.errors import CurationError
from curation.judgements import verdicts
from curation.ledger import Event
from curation.workspace import IMAGES, Workspace

WORDS = [*judgements.VERDICTS, judgements.CONTESTED]


def build(folder, count: int) -> Workspace:
    (folder / "pictures").mkdir(parents=True)
    workspace = Workspace.create(folder / "w", roots={"images": folder / "pictures"})
    columns = {f.name: pa.nulls(count, f.type) for f in IMAGES} | {"image_id": pa.array(range(count), pa.int32())}
    files.write_table(workspace.images_path, pa.table(columns, schema=IMAGES))
    return workspace


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """Six images, and the reference set `val-set.2` of three."""
    made = build(tmp_path / "own", 6)
    references.register(made, build(tmp_path / "other", 3).path, name="val-set.2")
    return made


def say(workspace, subject: str, verdict: str, reviewer: str = "anna", kind: str = "pair", note: str = "") -> Event:
    event = Event(reviewer=reviewer, kind=kind, subject=subject, verdict=verdict, note=note)
    workspace.ledger.append([event])
    return event


def status(workspace, **options) -> dict[str, str]:
    frame = verdicts(workspace, **options)
    named = zip(frame["image_a"], frame["image_b"], frame["reference"], strict=True)
    return dict(zip((judgements.subject(*pair) for pair in named), frame["verdict"], strict=True))


def test_people_who_agree_settle_a_pair_and_those_who_do_not_contest_it(workspace):
    say(workspace, "0-1", "duplicate")
    assert status(workspace) == {"0-1": "duplicate"}
    second = say(workspace, "0-1", "related", "ben", note="two shots")
    (row,) = verdicts(workspace).to_dict("records")
    assert (row["verdict"], row["reviewer"], row["note"], row["reviewers"]) == ("contested", "ben", "two shots", 2)
    assert (row["position"], row["event_id"], row["final"]) == (2, second.event_id, False)
    assert status(workspace, until=1) == {"0-1": "duplicate"}
    say(workspace, "0-1", "duplicate", "ben")
    assert status(workspace) == {"0-1": "duplicate"}
    assert verdicts(workspace)["reviewers"].tolist() == [2]


def test_a_later_verdict_of_the_same_person_replaces_the_earlier(workspace):
    say(workspace, "0-1", "duplicate")
    last = say(workspace, "0-1", "different")
    assert status(workspace) == {"0-1": "different"}
    workspace.ledger.undo(last.event_id, reviewer="anna")
    assert status(workspace) == {"0-1": "duplicate"}


def test_an_adjudication_stands_above_all_until_it_is_undone(workspace):
    say(workspace, "0-1", "duplicate")
    final = say(workspace, "0-1", "related", "judge", kind="pair.final")
    say(workspace, "0-1", "different", "ben")
    (row,) = verdicts(workspace).to_dict("records")
    assert (row["verdict"], row["reviewer"], row["final"], row["reviewers"]) == ("related", "judge", True, 2)
    later = say(workspace, "0-1", "unsure", "anna", kind="pair.final")
    assert status(workspace) == {"0-1": "unsure"}
    workspace.ledger.undo(later.event_id, reviewer="anna")
    assert status(workspace) == {"0-1": "related"}
    workspace.ledger.undo(final.event_id, reviewer="anna")
    assert status(workspace) == {"0-1": "contested"}


def test_an_adjudication_without_a_verdict(workspace):
    say(workspace, "0-1", "duplicate", kind="pair.final")
    assert verdicts(workspace)[["verdict", "reviewers", "final"]].values.tolist() == [["duplicate", 0, True]]


def test_pairs_with_reference_sets(workspace):
    say(workspace, "2-1", "related")  # an own pair is one pair either way round
    say(workspace, "2-val-set.2:1", "duplicate")
    say(workspace, "1-val-set.2:2", "different")
    assert status(workspace) == {"1-2": "related", "2-val-set.2:1": "duplicate", "1-val-set.2:2": "different"}
    frame = verdicts(workspace)
    assert frame["reference"].tolist() == ["", "val-set.2", "val-set.2"]
    assert frame["image_a"].dtype == frame["image_b"].dtype == np.int64


def test_verdicts_about_a_set_off_the_list_wait_for_it(workspace):
    path = references.paths(workspace)["val-set.2"]
    say(workspace, "0-1", "duplicate")
    say(workspace, "2-val-set.2:1", "duplicate")
    references.forget(workspace, "val-set.2")
    assert status(workspace) == {"0-1": "duplicate"}
    references.register(workspace, path, name="val-set.2")
    assert len(status(workspace)) == 2


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ("0-6", "no pair of this workspace's 6 images:"),
        ("2-2", "no pair"),
        ("1", "no pair"),
        ("0-val-set.2:3", "6 images and the 3 images of 'val-set.2'"),
        ("6-val-set.2:0", "no pair"),
        ("0-:1", "no pair"),
    ],
)
def test_what_is_no_pair_is_named(workspace, subject, said):
    event = say(workspace, subject, "duplicate")
    with pytest.raises(CurationError, match=rf"{event.event_id} \(position 1\).*'{subject}'.*{said}.*undo that event"):
        verdicts(workspace)
    workspace.ledger.undo(event.event_id, reviewer="anna")
    assert status(workspace) == {}


def test_an_unknown_verdict_is_named(workspace):
    event = say(workspace, "0-1", "same")
    with pytest.raises(CurationError, match=rf"{event.event_id}.*'same' of the pair '0-1'.*duplicate, related"):
        verdicts(workspace)


def test_subjects_of_many_pairs():
    columns = [pa.array([1, 2], pa.int32()), pa.array([3, 4], pa.int32()), pa.array(["", "val"]).dictionary_encode()]
    assert judgements.subjects(*columns).to_pylist() == ["1-3", "2-val:4"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 3), st.booleans()), max_size=20))
def test_settling_is_what_the_rule_says(events):
    columns = list(zip(*events, strict=True)) or [()] * 4
    found = judgements.settle(*(np.array(c, int) for c in columns[:3]), np.array(columns[3], bool))
    assert found.pair.tolist() == sorted({pair for pair, *_ in events})
    for i, pair in enumerate(found.pair.tolist()):
        finals = [(n, v) for n, (p, _, v, final) in enumerate(events) if p == pair and final]
        said = {r: (n, v) for n, (p, r, v, final) in enumerate(events) if p == pair and not final}
        words = {v for _, v in said.values()}
        row, verdict = (
            finals[-1] if finals else (max(n for n, _ in said.values()), words.pop() if len(words) == 1 else -1)
        )
        assert (found.row[i], found.verdict[i]) == (row, verdict)
        assert (found.reviewers[i], found.final[i]) == (len(said), bool(finals))
        counted = {n for n in found.words.tolist() if events[n][0] == pair}
        assert counted == {n for n, _ in said.values()} | {n for n, _ in finals[-1:]}
