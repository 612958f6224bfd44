"""Decisions are appended, never lost, and can be undone and replayed; on SQLite and on PostgreSQL."""

import tempfile
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.ledger import Event, Ledger, stands


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request, tmp_path):
    if request.param == "sqlite":
        return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "w")
    return Ledger(request.getfixturevalue("postgres_url"), tmp_path.name)


def flag(number: int, verdict: str = "flag", who: str = "anna", **more) -> Event:
    return Event(reviewer=who, kind="flag", subject=str(number), verdict=verdict, **more)


def test_everything_about_an_event_is_kept(ledger):
    event = flag(7, note="blurred – 模糊", shown={"order": [1, 2]}, data={"k": None})
    ledger.append([event])
    (kept,) = ledger.events()
    assert {**vars(kept), "position": 0} == vars(event)
    assert kept.position == ledger.position() > 0
    assert kept.time.endswith("+00:00")


def test_the_same_event_twice_is_one(ledger):
    events = [flag(1), flag(2)]
    assert ledger.append(events) == ledger.append(events)
    assert ledger.count() == len(ledger.events()) == 2


def test_undo_is_another_event_and_can_be_undone(ledger):
    event = flag(1)
    ledger.append([event])
    ledger.undo(event.event_id, reviewer="bert")
    assert ledger.events() == []
    (_, undo) = ledger.events(undone=True)
    assert (undo.kind, undo.subject, undo.reviewer) == ("undo", event.event_id, "bert")
    ledger.undo(undo.event_id, reviewer="anna")
    assert [e.event_id for e in ledger.events()] == [event.event_id]
    assert ledger.count() == 3


def test_replay_to_any_position(ledger):
    first, second = flag(1), flag(1, "clear")
    early = ledger.append([first])
    late = ledger.append([second])
    ledger.undo(second.event_id, reviewer="anna")
    assert ledger.latest("flag", until=early)["1"].verdict == "flag"
    assert ledger.latest("flag", until=late)["1"].verdict == "clear"
    assert ledger.latest("flag")["1"].verdict == "flag"


def test_the_last_event_that_stands(ledger):
    first, second, other = flag(1), flag(2), flag(3, who="bert")
    assert ledger.last("flag") is None
    ledger.append([first, second, other, Event(reviewer="a", kind="pair", subject="1-2", verdict="related")])
    assert ledger.last("flag").event_id == other.event_id
    assert ledger.last("flag", accept=lambda e: e.reviewer == "anna").event_id == second.event_id
    ledger.undo(other.event_id, reviewer="anna")
    ledger.undo(second.event_id, reviewer="anna")
    assert ledger.last(["flag"]).event_id == first.event_id
    undo = ledger.events("undo", undone=True)[-1]
    ledger.undo(undo.event_id, reviewer="anna")
    assert ledger.last("flag").event_id == second.event_id


def test_kinds_do_not_mix(ledger):
    ledger.append([flag(1), Event(reviewer="a", kind="pair", subject="1-2", verdict="duplicate")])
    assert set(ledger.latest("pair")) == {"1-2"}
    assert len(ledger.events(["pair", "flag"])) == 2


def test_an_event_about_nothing_is_refused_with_its_whole_batch(ledger):
    with pytest.raises(ValueError, match="no kind or no subject"):
        ledger.append([flag(1), Event(reviewer="a", kind="flag", subject="")])
    assert ledger.count() == 0


def test_twenty_writers_at_once_lose_nothing(ledger):
    failures = []

    def write(who: int) -> None:
        try:
            for i in range(15):
                batch = [flag(i, who=f"r{who}", event_id=f"{who}:{i}:{k}") for k in range(3)]
                ledger.append(batch)
                ledger.append(batch)  # a retry after a lost answer
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(k,)) for k in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    events = ledger.events()
    assert len(events) == len({e.event_id for e in events}) == 20 * 15 * 3
    assert [e.position for e in events] == sorted(e.position for e in events)


def test_many_events_at_once_come_in_order_and_only_once(ledger, monkeypatch):
    monkeypatch.setattr("curation.ledger.BATCH", 700)
    events = [flag(i, event_id=f"many:{i}", data={"n": i}, note="né") for i in range(2000)]
    last = ledger.append(events[:900])
    assert ledger.append(events + events[-5:]) == ledger.position() > last
    kept = ledger.events("flag")
    assert [e.event_id for e in kept] == [e.event_id for e in events]
    assert kept[1234].data == {"n": 1234}


def test_a_bulk_is_kept_whole_or_not_at_all(ledger, monkeypatch):
    monkeypatch.setattr("curation.ledger.BATCH", 2)
    with pytest.raises(Exception, match=r"(?i)null"):
        ledger.append([flag(1), flag(2), flag(3, note=None)])
    assert ledger.count() == 0


def test_standing_events_of_several_kinds_with_their_data(ledger):
    pair = Event(reviewer="a", kind="pair", subject="1-2", verdict="duplicate", data={"k": [1]})
    ledger.append([flag(1), pair, flag(2), Event(reviewer="a", kind="other", subject="x")])
    frame = ledger.standing(["pair", "flag"], data=True)
    assert frame["subject"].tolist() == ["1", "1-2", "2"]
    assert frame["data"].tolist() == [{}, {"k": [1]}, {}]
    assert ledger.standing("pair").columns.tolist() == [
        *("position", "event_id", "kind", "subject", "verdict", "reviewer", "note", "time")
    ]
    assert ledger.standing("pair")["time"].tolist() == [pair.time]


def test_a_reader_asks_only_for_what_is_new(ledger):
    first = flag(1)
    seen = ledger.append([first, flag(2)])
    ledger.undo(first.event_id, reviewer="a")
    then = ledger.append([flag(3)])
    ledger.append([flag(4)])
    new = ledger.log("flag", since=seen, until=then)
    assert new["kind"].tolist() == ["undo", "flag"]
    assert new["subject"].tolist() == [first.event_id, "3"]
    assert stands(new).tolist() == [False, True]
    assert ledger.standing("flag", since=seen)["subject"].tolist() == ["3", "4"]
    assert len(ledger.log("flag", since=ledger.position())) == 0


def test_events_by_their_ids(ledger):
    events = [flag(1), flag(2), flag(3)]
    ledger.append(events)
    ledger.undo(events[0].event_id, reviewer="a")
    found = ledger.named([events[2].event_id, events[0].event_id, "none"])
    assert [e.subject for e in found] == ["1", "3"]


def test_a_ledger_of_an_earlier_version_gets_its_indexes(tmp_path):
    url = f"sqlite:///{tmp_path / 'old.db'}"
    old = Ledger(url, "w")
    old.append([flag(1)])
    with old.engine.begin() as connection:
        connection.exec_driver_sql("drop index events_by_position")
    with Ledger(url, "w").reading() as connection:
        names = connection.exec_driver_sql("select name from sqlite_master where type = 'index'").scalars().all()
    assert "events_by_position" in names


def test_workspaces_on_one_database_do_not_meet(postgres_url):
    one, two = Ledger(postgres_url, "one-ws"), Ledger(postgres_url, "two-ws")
    one.append([flag(1)])
    assert two.events() == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12))
def test_undo_equals_never_having_done_it(steps):
    """Whatever is undone leaves what would be there had it not happened."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{folder}/l.db", "w")
        kept = []
        for subject, undone in steps:
            event = flag(subject, f"v{len(kept)}")
            ledger.append([event])
            if undone:
                ledger.undo(event.event_id, reviewer="x")
            else:
                kept.append(event)
        assert [e.event_id for e in ledger.events("flag")] == [e.event_id for e in kept]
        ledger.engine.dispose()
