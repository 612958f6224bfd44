"""The queue of pairs: what comes first, what is left, what people said."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curation import files
from curation.duplicates.verdicts import counts, queue
from curation.errors import ArgumentError, CurationError
from curation.ledger import Event
from curation.workspace import PAIRS

# (image_a, image_b, probability, decision)
ROWS = [
    (0, 1, 0.99, "duplicate"),
    (0, 2, 0.45, "candidate"),
    (1, 4, 0.60, "candidate"),
    (2, 3, 0.55, "candidate"),
    (3, 5, 0.04, "different"),
]


def store(workspace, rows) -> None:
    a, b, chance, decision = zip(*rows, strict=True)
    columns = {"image_a": a, "image_b": b, "probability": chance, "decision": decision, "phash": [4] * len(a)}
    columns |= {"exact": [False] * len(a), "found_by": ["phash"] * len(a)}
    arrays = [pa.array(columns[f.name]).cast(f.type) if f.name in columns else pa.nulls(len(a), f.type) for f in PAIRS]
    files.write_table(workspace.path / "duplicates" / "pairs.parquet", pa.table(arrays, schema=PAIRS))


def keys(table: pa.Table) -> list[tuple[int, int]]:
    return list(zip(table["image_a"].to_pylist(), table["image_b"].to_pylist(), strict=True))


def rule(workspace, subject: str, verdict: str, reviewer: str = "anna", **more) -> Event:
    event = Event(reviewer=reviewer, kind="pair", subject=subject, verdict=verdict, **more)
    workspace.ledger.append([event])
    return event


@pytest.fixture
def workspace(make):
    made = make(6, class_name=["ant", "ant", "bee", "bee", "ant", "cat"], source_split=["train"] * 4 + ["val"] * 2)
    store(made, ROWS)
    return made


def test_closest_to_undecided_first(workspace):
    table = queue(workspace)
    assert keys(table) == [(0, 2), (2, 3), (1, 4), (3, 5), (0, 1)]
    assert table.column_names[: len(PAIRS.names)] == PAIRS.names
    assert table["class_a"].to_pylist() == ["ant", "bee", "ant", "bee", "ant"]
    assert table["split_b"].to_pylist() == ["train", "train", "val", "val", "train"]
    assert table["verdict"].null_count == 5
    assert table["cosine"].null_count == 5
    assert table["phash"].to_pylist() == [4] * 5


def test_closest_pair_first(workspace):
    assert keys(queue(workspace, order="closest")) == [(0, 1), (1, 4), (2, 3), (0, 2), (3, 5)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"between_splits": True}, [(1, 4), (3, 5)]),
        ({"class_name": "ant"}, [(0, 2), (1, 4), (0, 1)]),
        ({"class_name": "dog"}, []),
        ({"decisions": ("candidate",)}, [(0, 2), (2, 3), (1, 4)]),
        ({"decisions": ("duplicate", "different"), "between_splits": True}, [(3, 5)]),
    ],
)
def test_filters(workspace, options, expected):
    assert keys(queue(workspace, **options)) == expected


def test_decided_pairs_leave_the_queue_and_come_back_when_undone(workspace):
    event = rule(workspace, "0-2", "related", note="same shop")
    before = workspace.ledger.position()
    rule(workspace, "2-3", "unsure", reviewer="ben")
    assert keys(queue(workspace)) == [(1, 4), (3, 5), (0, 1)]
    table = queue(workspace, decided=True)
    assert keys(table) == [(1, 4), (3, 5), (0, 1), (2, 3), (0, 2)]
    assert table["verdict"].to_pylist()[3:] == ["unsure", "related"]
    assert table["reviewer"].to_pylist()[3:] == ["ben", "anna"]
    assert table["note"].to_pylist()[3:] == ["", "same shop"]
    workspace.ledger.undo(event.event_id, reviewer="anna")
    assert keys(queue(workspace))[0] == (0, 2)
    assert keys(queue(workspace, until=before)) == [(2, 3), (1, 4), (3, 5), (0, 1)]


def test_the_latest_verdict_counts_and_an_undone_undo_does_not(workspace):
    rule(workspace, "0-1", "different")
    second = rule(workspace, "0-1", "duplicate", reviewer="ben")
    workspace.ledger.undo(second.event_id, reviewer="ben")
    assert counts(workspace)["different"] == 1
    undo = workspace.ledger.events(undone=True)[-1]
    workspace.ledger.undo(undo.event_id, reviewer="ben")
    assert counts(workspace)["duplicate"] == 1


def test_counts(workspace):
    empty = {"pairs": 5, "left": 5, "decided": 0, "duplicate": 0, "related": 0, "different": 0, "unsure": 0}
    assert counts(workspace) == empty | {"overruled": 0, "by_reviewer": {}}
    for subject, verdict in (("0-1", "different"), ("0-2", "duplicate"), ("2-3", "unsure"), ("3-4", "duplicate")):
        rule(workspace, subject, verdict)
    found = counts(workspace)
    assert found["left"] == 2
    assert found["decided"] == 4
    assert found["overruled"] == 3
    assert found["by_reviewer"] == {"anna": 4}


def test_a_verdict_on_a_pair_that_was_not_found_again_is_kept_in_sight(workspace):
    rule(workspace, "3-4", "duplicate")
    assert (3, 4) not in keys(queue(workspace))
    last = queue(workspace, decided=True).slice(5)
    assert keys(last) == [(3, 4)]
    assert last["decision"].to_pylist() == [None]
    assert last["exact"].to_pylist() == [None]
    assert last["class_b"].to_pylist() == ["ant"]


def test_no_search_yet(make):
    assert len(queue(make(3))) == 0
    assert counts(make(3))["pairs"] == 0


@pytest.mark.parametrize("subject", ["0-9", "2-2", "1", "a-b", "-1-2", "99999999999999999999-1"])
def test_a_verdict_on_what_is_no_pair_is_named(workspace, subject):
    event = rule(workspace, subject, "duplicate")
    with pytest.raises(CurationError, match=rf"{event.event_id}.*'{subject}'.*6 images"):
        queue(workspace)
    workspace.ledger.undo(event.event_id, reviewer="anna")
    assert len(queue(workspace)) == 5


def test_pairs_of_another_workspace_are_refused(workspace):
    store(workspace, [*ROWS, (4, 6, 0.5, "candidate")])
    with pytest.raises(CurationError, match=r"names image 6, but the workspace has 6 images"):
        queue(workspace)
    store(workspace, ROWS)
    files.write_json(workspace.path / "duplicates" / "pairs.json", {"workspace": "elsewhere"})
    with pytest.raises(CurationError, match="made for workspace elsewhere"):
        queue(workspace)


def test_a_damaged_table_is_named(workspace):
    (workspace.path / "duplicates" / "pairs.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(CurationError, match="cannot be read"):
        queue(workspace)


@pytest.mark.parametrize(
    ("options", "message"), [({"order": "random"}, "'random'"), ({"decisions": ("maybe",)}, "'maybe'")]
)
def test_impossible_arguments(workspace, options, message):
    with pytest.raises(ArgumentError, match=message):
        queue(workspace, **options)


def test_many_verdicts_are_joined_without_an_object_each(make, monkeypatch):
    count = 300
    made = make(count)
    a, b = np.triu_indices(count, 1)
    store(made, [(i, j, 0.5, "candidate") for i, j in zip(a.tolist(), b.tolist(), strict=True)])
    chosen = range(0, len(a), 50)
    made.ledger.append(
        [Event(reviewer="anna", kind="pair", subject=f"{a[i]}-{b[i]}", verdict="unsure") for i in chosen]
    )
    monkeypatch.setattr("curation.ledger.Event.__init__", None)
    assert len(queue(made)) == len(a) - len(chosen)
