"""The queue of pairs: what comes first, what is left, what people said."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curation import exclusions, files, judgements, leases, policies, references
from curation.duplicates import court, found, orders
from curation.duplicates.verdicts import counts, queue, ruled, serve
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


def store(workspace, rows, **more) -> None:
    """Pairs (image_a, image_b, probability, decision, reference = '')."""
    a, b, chance, decision, *_ = zip(*((*row, "")[:5] for row in rows), strict=True)
    reference = [row[4] if len(row) > 4 else "" for row in rows]
    columns = {"image_a": a, "image_b": b, "probability": chance, "decision": decision, "phash": [4] * len(a)}
    columns |= {"exact": [False] * len(a), "found_by": ["phash"] * len(a), "reference": reference} | more
    arrays = [pa.array(columns[f.name]).cast(f.type) if f.name in columns else pa.nulls(len(a), f.type) for f in PAIRS]
    files.write_table(workspace.path / "duplicates" / "pairs.parquet", pa.table(arrays, schema=PAIRS))


def keys(table: pa.Table) -> list[tuple[int, int]]:
    return list(zip(table["image_a"].to_pylist(), table["image_b"].to_pylist(), strict=True))


def left(workspace, reviewer="carl", **options) -> list[tuple[int, int]]:
    return keys(queue(workspace, reviewer=reviewer, **options))


def say(workspace, subject: str, verdict: str, reviewer: str = "anna", kind: str = "pair", **more) -> Event:
    event = Event(reviewer=reviewer, kind=kind, subject=subject, verdict=verdict, **more)
    workspace.ledger.append([event])
    return event


@pytest.fixture
def workspace(make):
    made = make(6, class_name=["ant", "ant", "bee", "bee", "ant", "cat"], source_split=["train"] * 4 + ["val"] * 2)
    store(made, ROWS)
    return made


@pytest.fixture
def compared(workspace, make):
    """The same workspace with the reference sets `other` and `probes`, and pairs with both."""
    references.register(workspace, make(3, class_name=["cow", "dog", "elk"]).path, name="other")
    references.register(workspace, make(40, class_name=["x"] * 40).path, name="probes", probes=True)
    store(workspace, [*ROWS, (1, 2, 0.5, "candidate", "other"), (5, 7, 0.5, "candidate", "probes")])
    return workspace


# -- order


def test_closest_to_undecided_first(workspace):
    table = queue(workspace, reviewer="anna")
    assert keys(table) == [(0, 2), (2, 3), (1, 4), (3, 5), (0, 1)]
    assert table.schema.equals(found.SCHEMA)
    assert table["class_a"].to_pylist() == ["ant", "bee", "ant", "bee", "ant"]
    assert table["set_b"].to_pylist() == ["train", "train", "val", "val", "train"]
    assert table["subject"].to_pylist() == ["0-2", "2-3", "1-4", "3-5", "0-1"]
    assert table["cosine"].null_count == 5
    assert table["phash"].to_pylist() == [4] * 5


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"order": "distance"}, [(0, 1), (1, 4), (2, 3), (0, 2), (3, 5)]),
        ({"order": "class"}, [(0, 2), (1, 4), (0, 1), (2, 3), (3, 5)]),
        ({"order": "splits"}, [(1, 4), (3, 5), (0, 2), (2, 3), (0, 1)]),
        ({"order": "measure", "measure": "dssim"}, [(2, 3), (0, 1), (1, 4), (0, 2), (3, 5)]),
        ({"order": "measure", "measure": "probability"}, [(0, 1), (1, 4), (2, 3), (0, 2), (3, 5)]),
        ({"sets": ("val", "train")}, [(1, 4), (3, 5)]),
        ({"sets": ("train", "train")}, [(0, 2), (2, 3), (0, 1)]),
        ({"sets": ("train", "test")}, []),
        ({"class_name": "ant"}, [(0, 2), (1, 4), (0, 1)]),
        ({"class_name": "dog"}, []),
    ],
)
def test_orders_and_filters(workspace, options, expected):
    store(workspace, ROWS, dssim=[0.2, None, 0.3, 0.1, None])
    assert left(workspace, **options) == expected


def test_reference_sets_have_their_own_words(compared):
    table = queue(compared, reviewer="anna", sets=("train", "other"))
    (row,) = [row for row in table.to_pylist() if row["reference"] == "other"]
    assert (row["subject"], row["class_b"], row["set_a"], row["set_b"]) == ("1-other:2", "elk", "train", "other")
    references.forget(compared, "other")
    assert "other" not in queue(compared, reviewer="anna")["reference"].to_pylist()


# -- probes


def test_a_probe_is_told_apart_by_no_word_and_no_place(compared):
    (row,) = [r for r in queue(compared, reviewer="anna").to_pylist() if r["reference"] == "probes"]
    assert (row["class_b"], row["set_b"], row["subject"]) == ("cat", "val", "5-probes:7")
    assert len(left(compared, probes=False)) == 6
    assert (5, 7) in left(compared, sets=("val", "train"))
    assert (5, 7) not in left(compared, sets=("train", "other"))


@pytest.mark.parametrize("order", ["uncertain", "distance", "splits"])
def test_probes_come_at_a_steady_rate(compared, make, order):
    a, b = np.triu_indices(40, 1)
    made = make(40, source_split=["train", "val"] * 20)
    references.register(made, references.paths(compared)["probes"], name="probes", probes=True)
    chance = np.random.default_rng(0).random(len(a))
    rows = [(i, j, float(p), "candidate") for i, j, p in zip(a.tolist(), b.tolist(), chance, strict=True)]
    store(made, rows + [(i, i, 0.999, "duplicate", "probes") for i in range(20)])
    planted = np.array(queue(made, reviewer="anna", order=order)["reference"].to_pylist()) == "probes"
    places = np.flatnonzero(planted)
    assert len(places) == 20
    assert (places // orders.EVERY).tolist() == list(range(20))
    assert len(set((places % orders.EVERY).tolist())) > 5
    say(made, queue(made, reviewer="anna", order=order)["subject"][0].as_py(), "unsure")
    again = np.array(queue(made, reviewer="anna", order=order)["reference"].to_pylist()) == "probes"
    np.testing.assert_array_equal(again, planted[1:])  # places do not move while people work


def test_verdicts_about_probes_are_not_counted(compared):
    before = counts(compared)
    say(compared, "5-probes:7", "duplicate")
    assert counts(compared) == before
    assert (5, 7) not in left(compared)
    assert "probes" not in ruled(compared)["reference"].to_pylist()


def test_another_reference_set_changes_no_lot_and_no_place(workspace, make):
    probes = make(40).path
    references.register(workspace, probes, name="probes", probes=True)
    a, b = np.triu_indices(6, 1)
    rows = [(i, j, 0.5, "candidate") for i, j in zip(a.tolist(), b.tolist(), strict=True)]
    store(workspace, rows + [(i % 6, i, 0.99, "duplicate", "probes") for i in range(40)])

    def drawn():
        now = found.found(workspace)
        lots = dict(zip(now.table["subject"].to_pylist(), now.draw.tolist(), strict=True))
        return lots, [queue(workspace, reviewer="x", order=o)["subject"].to_pylist() for o in ("uncertain", "class")]

    before = drawn()
    assert len(set(before[0].values())) == len(before[0])
    references.register(workspace, make(7).path, name="archive")
    assert drawn() == before


# -- what can be shown


def test_pairs_that_cannot_be_shown_are_neither_served_nor_counted(compared):
    every = queue(compared, reviewer="x")["subject"].to_pylist()
    assert {"0-1", "1-other:2"} <= set(every)
    own, there = compared, references.listing(compared)["other"]
    for source, lost, status in ((own, 0, "broken"), (there, 2, "gone")):
        table = source.images()
        words = [status if i == lost else "ok" for i in range(len(table))]
        at = table.column_names.index("status")
        table = table.set_column(at, "status", pa.array(words).cast(table.schema.field("status").type))
        files.write_table(source.images_path, table)
    kept = set(every) - {"0-1", "0-2", "1-other:2"}
    assert set(queue(compared, reviewer="x")["subject"].to_pylist()) == kept
    assert serve(compared, reviewer="x", count=9).total == len(kept)
    assert counts(compared)["left"] == len(kept) - 1  # without the probe


def test_probes_that_were_planted_after_the_search_are_not_served(compared, make):
    sets = references.listing(compared)
    recipe = {"workspace": compared.id, "references": {name: references.state(there) for name, there in sets.items()}}
    files.write_json(exclusions.pairs_path(compared).with_suffix(".json"), recipe)
    assert (5, 7) in left(compared)
    references.forget(compared, "probes")
    references.register(compared, make(3, class_name=["x"] * 3, seed=8).path, name="probes", probes=True)
    assert len(left(compared)) == 6
    assert "probes" not in queue(compared, reviewer="x")["reference"].to_pylist()


# -- what is left


def test_decided_pairs_leave_the_queue_and_come_back_when_undone(workspace):
    event = say(workspace, "0-2", "related", note="same shop")
    before = workspace.ledger.position()
    say(workspace, "2-3", "unsure", reviewer="ben")
    assert left(workspace) == [(1, 4), (3, 5), (0, 1)]
    workspace.ledger.undo(event.event_id, reviewer="anna")
    assert left(workspace)[0] == (0, 2)
    assert left(workspace, until=before) == [(2, 3), (1, 4), (3, 5), (0, 1)]
    undo = workspace.ledger.events(undone=True)[-1]
    workspace.ledger.undo(undo.event_id, reviewer="anna")
    assert left(workspace) == [(1, 4), (3, 5), (0, 1)]


def test_double_review_needs_another_person_who_does_not_see_the_first_verdict(workspace):
    policies.put(workspace, "double-review", "1", reviewer="lead")
    say(workspace, "0-2", "duplicate")
    assert (0, 2) not in left(workspace, "anna")
    table = queue(workspace, reviewer="ben")
    assert keys(table)[0] == (0, 2)
    assert table.column_names == found.SCHEMA.names
    assert counts(workspace, reviewer="anna") | {"left": 5, "second": 1, "yours": 4, "decided": 1} == counts(
        workspace, reviewer="anna"
    )
    say(workspace, "0-2", "duplicate", reviewer="ben")
    assert (0, 2) not in left(workspace, "carl")
    policies.put(workspace, "double-review", "0", reviewer="lead")
    say(workspace, "2-3", "unsure")
    assert (2, 3) not in left(workspace, "carl")


def test_the_share_of_double_review_is_kept(make):
    a, b = np.triu_indices(80, 1)
    made = make(80)
    store(made, [(i, j, 0.5, "candidate") for i, j in zip(a.tolist(), b.tolist(), strict=True)])
    policies.put(made, "double-review", "0.3", reviewer="lead")
    now = court.court(made)
    assert abs((now.needed() == 2).mean() - 0.3) < 0.03
    few = now.found.draw < 0.1
    assert (now.needed()[few] == 2).all()  # a larger share keeps the pairs of a smaller


def test_disagreement_goes_to_adjudication_and_nowhere_else(workspace):
    say(workspace, "0-2", "duplicate", note="same frame")
    say(workspace, "0-2", "unsure")
    say(workspace, "0-2", "related", reviewer="ben")
    assert (0, 2) not in left(workspace)
    table = queue(workspace, reviewer="judge", contested=True)
    assert keys(table) == [(0, 2)]
    assert table["verdicts"].to_pylist() == [
        [
            {"reviewer": "anna", "verdict": "unsure", "note": ""},
            {"reviewer": "ben", "verdict": "related", "note": ""},
        ]
    ]
    assert counts(workspace)["contested"] == 1
    final = say(workspace, "0-2", "duplicate", reviewer="judge", kind="pair.final")
    assert left(workspace, contested=True) == []
    assert (counts(workspace)["contested"], counts(workspace)["final"], counts(workspace)["duplicate"]) == (0, 1, 1)
    workspace.ledger.undo(final.event_id, reviewer="judge")
    assert left(workspace, contested=True) == [(0, 2)]


def test_counts(workspace):
    empty = {"pairs": 5, "left": 5, "second": 0, "decided": 0, "duplicate": 0, "related": 0, "different": 0}
    empty |= {"unsure": 0, "contested": 0, "final": 0, "overruled": 0, "double_review": 0.0, "by_reviewer": {}}
    assert counts(workspace) == empty
    for subject, verdict in (("0-1", "different"), ("0-2", "duplicate"), ("2-3", "unsure"), ("3-4", "duplicate")):
        say(workspace, subject, verdict)
    say(workspace, "0-2", "duplicate")
    told = counts(workspace, reviewer="ben")
    assert (told["left"], told["yours"], told["decided"], told["overruled"]) == (2, 2, 4, 3)
    assert told["by_reviewer"] == {"anna": 4}


def test_pairs_with_their_verdicts_those_too_that_were_not_found_again(workspace):
    say(workspace, "3-4", "duplicate", note="seen before")
    say(workspace, "0-2", "related")
    assert (3, 4) not in left(workspace)
    table = ruled(workspace)
    assert keys(table) == [(0, 1), (0, 2), (1, 4), (2, 3), (3, 5), (3, 4)]
    assert table["verdict"].to_pylist() == [None, "related", None, None, None, "duplicate"]
    assert table["note"].to_pylist()[-1] == "seen before"
    assert table["decision"].to_pylist()[-1] is None


def test_no_search_yet(make):
    made = make(3)
    assert len(queue(made, reviewer="anna")) == len(ruled(made)) == counts(made)["pairs"] == 0
    assert serve(made, reviewer="anna", count=5).pairs.schema.equals(found.SCHEMA)


# -- kept in memory


def test_the_court_follows_the_ledger_like_one_read_anew(workspace):
    rng = np.random.default_rng(3)
    subjects = ["0-1", "0-2", "1-4", "2-3", "3-5", "3-4", "0-5"]
    for _ in range(35):
        if rng.random() < 0.3 and (log := workspace.ledger.events(undone=True)):
            workspace.ledger.undo(log[rng.integers(len(log))].event_id, reviewer="x")
        else:
            who, kind = f"r{rng.integers(3)}", ("pair", "pair.final")[int(rng.random() < 0.1)]
            say(workspace, subjects[rng.integers(7)], judgements.VERDICTS[rng.integers(4)], who, kind)
        now = court.court(workspace)
        anew = court._advanced(court._empty(now.found), workspace, workspace.ledger.position())
        for name in ("status", "people", "final"):
            rows = {row: getattr(now, name)[i] for row, i in _rows(now).items()}
            assert rows == {row: getattr(anew, name)[i] for row, i in _rows(anew).items() if row in rows}
        said = judgements.verdicts(workspace)
        words = [*judgements.VERDICTS, "contested"]
        expected = {(a, b): words.index(v) for a, b, v in zip(said.image_a, said.image_b, said.verdict, strict=True)}
        status = {row: int(now.status[i]) % 5 for row, i in _rows(now).items() if now.status[i] != court.UNJUDGED}
        assert status == {row: code % 5 for row, code in expected.items()}


def _rows(now) -> dict[tuple[int, int], int]:
    every = {int(key): i for i, key in enumerate(now.found.keys.tolist())} | now._others
    return {(key >> 32, key & 0xFFFFFFFF): i for key, i in every.items()}


def test_only_what_is_new_is_read(workspace, monkeypatch):
    say(workspace, "0-1", "different")
    counts(workspace)
    monkeypatch.setattr(files, "read_table", None)
    asked = []
    log = type(workspace.ledger).log
    monkeypatch.setattr(type(workspace.ledger), "log", lambda *a, **k: asked.append(k["since"]) or log(*a, **k))
    say(workspace, "0-2", "different")
    assert counts(workspace)["different"] == 2
    assert asked == [1]


def test_a_position_up_to_which_all_is_known_is_not_read_again(workspace, monkeypatch):
    say(workspace, "0-1", "different")
    then = workspace.ledger.position()
    say(workspace, "0-2", "different")
    asked = []
    log = type(workspace.ledger).log
    monkeypatch.setattr(type(workspace.ledger), "log", lambda *a, **k: asked.append(k["since"]) or log(*a, **k))
    assert counts(workspace, until=then)["different"] == 1
    assert counts(workspace)["different"] == 2
    assert counts(workspace, until=workspace.ledger.position())["different"] == 2
    assert asked == [0, then]
    assert counts(workspace, until=then)["different"] == 1  # what is kept has gone farther
    assert counts(workspace, until=10**9)["different"] == 2
    say(workspace, "2-3", "different")
    assert counts(workspace)["different"] == 3


def test_another_search_is_seen_at_once(workspace):
    assert len(left(workspace)) == 5
    say(workspace, "0-2", "unsure")
    store(workspace, [*ROWS[:2], (4, 5, 0.5, "candidate")])
    assert left(workspace) == [(4, 5), (0, 1)]


def test_many_verdicts_are_read_without_an_object_each(make, monkeypatch):
    a, b = np.triu_indices(300, 1)
    made = make(300)
    store(made, [(i, j, 0.5, "candidate") for i, j in zip(a.tolist(), b.tolist(), strict=True)])
    chosen = range(0, len(a), 50)
    made.ledger.append(
        [Event(reviewer="anna", kind="pair", subject=f"{a[i]}-{b[i]}", verdict="unsure") for i in chosen]
    )
    monkeypatch.setattr("curation.ledger.Event.__init__", None)
    assert len(queue(made, reviewer="ben")) == len(a) - len(chosen)


# -- leased pairs


def test_two_people_are_served_different_pairs(workspace):
    first, second = (serve(workspace, reviewer=who, count=2) for who in ("anna", "ben"))
    assert keys(first.pairs) == [(0, 2), (2, 3)]
    assert keys(second.pairs) == [(1, 4), (3, 5)]
    assert (first.pending, first.total) == (5, 5)
    say(workspace, "0-2", "unsure")
    leases.release(workspace, "anna", ["0-2"])
    again = serve(workspace, reviewer="anna", count=2)
    assert keys(again.pairs) == [(2, 3), (0, 1)]
    assert (again.pending, again.total) == (4, 5)


def test_double_review_gives_a_pair_to_two(workspace):
    policies.put(workspace, "double-review", "1", reviewer="lead")
    served = [keys(serve(workspace, reviewer=who, count=2).pairs) for who in ("anna", "ben", "carl")]
    assert served == [[(0, 2), (2, 3)], [(0, 2), (2, 3)], [(1, 4), (3, 5)]]
    leases.release(workspace, "anna")
    say(workspace, "0-2", "unsure", reviewer="anna")
    assert (0, 2) not in keys(serve(workspace, reviewer="dora", count=5).pairs)  # one slot left, and ben has it


def test_a_pair_judged_while_it_was_being_leased_is_not_served(workspace, monkeypatch):
    take = leases.take

    def late(*args, **options):
        if not workspace.ledger.position():  # somebody else's verdict, after our queue was made
            say(workspace, "0-2", "duplicate", reviewer="ben")
        return take(*args, **options)

    monkeypatch.setattr(leases, "take", late)
    assert keys(serve(workspace, reviewer="anna", count=2).pairs) == [(2, 3), (1, 4)]
    assert set(leases.held(workspace)) == {"2-3", "1-4"}


def test_one_adjudicates_at_a_time(workspace):
    for who, verdict in (("anna", "duplicate"), ("ben", "related")):
        say(workspace, "0-2", verdict, reviewer=who)
    assert len(serve(workspace, reviewer="judge", count=5, contested=True).pairs) == 1
    assert len(serve(workspace, reviewer="other", count=5, contested=True).pairs) == 0


# -- bad input


@pytest.mark.parametrize("subject", ["0-9", "2-2", "1", "a-b", "-1-2", "99999999999999999999-1"])
def test_a_verdict_on_what_is_no_pair_is_named(workspace, subject):
    event = say(workspace, subject, "duplicate")
    for _ in range(2):
        with pytest.raises(CurationError, match=rf"{event.event_id}.*'{subject}'.*6 images"):
            queue(workspace, reviewer="anna")
    workspace.ledger.undo(event.event_id, reviewer="anna")
    assert len(queue(workspace, reviewer="anna")) == 5


def test_pairs_of_another_workspace_are_refused(workspace):
    store(workspace, [*ROWS, (4, 6, 0.5, "candidate")])
    with pytest.raises(CurationError, match=r"names image 6, but the workspace has 6 images"):
        queue(workspace, reviewer="anna")
    store(workspace, ROWS)
    files.write_json(workspace.path / "duplicates" / "pairs.json", {"workspace": "elsewhere"})
    with pytest.raises(CurationError, match="made for workspace elsewhere"):
        queue(workspace, reviewer="anna")


def test_a_reference_set_that_shrank_is_named(compared):
    store(compared, [*ROWS, (1, 3, 0.5, "candidate", "other")])
    with pytest.raises(CurationError, match=r"image 3.*reference set 'other'.*3 images"):
        queue(compared, reviewer="anna")


def test_a_damaged_table_is_named(workspace):
    (workspace.path / "duplicates" / "pairs.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(CurationError, match="cannot be read"):
        queue(workspace, reviewer="anna")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "random"}, "'random'"),
        ({"order": "measure"}, "name both or neither"),
        ({"measure": "dssim"}, "name both or neither"),
        ({"order": "measure", "measure": "taste"}, "'taste'"),
        ({"sets": ("train",)}, "two sets"),
    ],
)
def test_impossible_arguments(workspace, options, message):
    with pytest.raises(ArgumentError, match=message):
        queue(workspace, reviewer="anna", **options)
