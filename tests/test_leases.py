"""Leases: nobody is given what others hold, whoever asks at once; on SQLite and on PostgreSQL."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from curation import files, leases
from curation.errors import ArgumentError
from curation.ledger import Ledger
from curation.workspace import Workspace

SUBJECTS = [f"{i}-{i + 1}" for i in range(30)]


@pytest.fixture(params=["sqlite", "postgresql"])
def workspace(request, tmp_path) -> Workspace:
    (tmp_path / "pictures").mkdir()
    made = Workspace.create(tmp_path / "w", roots={"images": tmp_path / "pictures"})
    if request.param == "postgresql":
        files.write_json(
            made.path / "workspace.json", made.meta | {"database": request.getfixturevalue("postgres_url")}
        )
    return Workspace(made.path)


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time, to be set."""
    now = [1000.0]
    monkeypatch.setattr(leases, "_clock", lambda connection: now[0])
    return now


def take(workspace, who: str, count: int, **options) -> list[int]:
    return leases.take(workspace, who, options.pop("subjects", SUBJECTS), count, **options).tolist()


def test_each_gets_the_first_that_are_free_and_keeps_them(workspace):
    assert take(workspace, "anna", 3) == [0, 1, 2]
    assert take(workspace, "ben", 2) == [3, 4]
    assert take(workspace, "anna", 3) == [0, 1, 2]
    assert take(workspace, "anna", 4) == [0, 1, 2, 5]
    assert leases.held(workspace)["0-1"] == ["anna"]
    assert take(workspace, "carl", 99) == list(range(6, 30))
    assert take(workspace, "dora", 1) == []


def test_what_a_person_holds_comes_before_what_is_free(workspace):
    take(workspace, "anna", 2)
    assert take(workspace, "anna", 2, subjects=list(reversed(SUBJECTS))) == [28, 29]
    leases.release(workspace, "anna")
    assert take(workspace, "anna", 2, subjects=list(reversed(SUBJECTS))) == [0, 1]


def test_leases_run_out_and_are_renewed(workspace, clock):
    take(workspace, "anna", 2, minutes=10)
    clock[0] += 540
    take(workspace, "anna", 1, minutes=10)
    clock[0] += 60  # the second was not renewed
    assert leases.held(workspace) == {"0-1": ["anna"]}
    assert take(workspace, "ben", 2) == [1, 2]
    clock[0] += 540
    assert take(workspace, "ben", 3) == [0, 1, 2]


def test_what_is_given_back_is_free(workspace):
    take(workspace, "anna", 3)
    assert leases.release(workspace, "anna", ["1-2", "9-10"]) == 1
    assert take(workspace, "ben", 1) == [1]
    assert leases.release(workspace, "anna") == 2
    assert take(workspace, "ben", 3) == [0, 1, 2]


@pytest.mark.parametrize("slots", [np.array([2, 1, 0, 2] + [1] * 26), {"0-1": 2, "2-3": 0, "3-4": 2}])
def test_slots_say_how_many_may_hold_each(workspace, slots):
    assert take(workspace, "anna", 3, slots=slots) == [0, 1, 3]
    assert take(workspace, "ben", 3, slots=slots) == [0, 3, 4]
    assert take(workspace, "carl", 2, slots=slots) == [5, 6]
    assert leases.held(workspace)["0-1"] == ["anna", "ben"]


def test_workspaces_do_not_meet(workspace, tmp_path):
    other = Workspace.create(tmp_path / "other", roots={"images": tmp_path / "pictures"})
    files.write_json(other.path / "workspace.json", other.meta | {"database": workspace.ledger.url})
    other = Workspace(other.path)
    take(workspace, "anna", 3)
    assert take(other, "ben", 3) == [0, 1, 2]
    assert leases.release(workspace, "ben") == 0


def test_a_ledger_from_before_there_were_leases(tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    made = Workspace.create(tmp_path / "w", roots={"images": tmp_path / "pictures"})
    with made.ledger.engine.begin() as connection:
        leases.leases.drop(connection)
    assert leases.held(made) == {}
    assert take(made, "anna", 1) == [0]


@pytest.mark.parametrize("options", [{"who": ""}, {"count": -1}, {"minutes": 0}, {"minutes": float("nan")}])
def test_impossible_arguments(tmp_path, options):
    (tmp_path / "pictures").mkdir()
    made = Workspace.create(tmp_path / "w", roots={"images": tmp_path / "pictures"})
    with pytest.raises(ArgumentError, match="cannot lease"):
        take(made, options.pop("who", "anna"), options.pop("count", 1), **options)


def test_many_subjects_of_which_few_are_wanted(tmp_path):
    (tmp_path / "pictures").mkdir()
    made = Workspace.create(tmp_path / "w", roots={"images": tmp_path / "pictures"})
    many = pa.array([f"{i}-{i + 1}" for i in range(200_000)])
    slots = np.ones(len(many), np.int8)
    for i in range(20):
        assert take(made, f"r{i}", 20, subjects=many, slots=slots) == list(range(20 * i, 20 * i + 20))
    assert take(made, "r3", 21, subjects=many, slots=slots) == [*range(60, 80), 400]


def _claim(path: str, who: str, rounds: int) -> list[str]:
    """Take two at a time, keep them, and say which."""
    workspace = Workspace(path)
    claimed: list[str] = []
    for _ in range(rounds):
        free = [s for s in SUBJECTS if s not in claimed]
        claimed += [free[i] for i in leases.take(workspace, who, free, 2, slots={"3-4": 2, "7-8": 2}).tolist()]
    workspace.ledger.engine.dispose()
    return claimed


def _held_once(claims: list[list[str]]) -> bool:
    counted = Counter(subject for claim in claims for subject in claim)
    return set(counted) == set(SUBJECTS) and all(n == 1 + (s in ("3-4", "7-8")) for s, n in counted.items())


def test_twenty_threads_at_once_never_hold_the_same(workspace):
    workspace.ledger.position()  # one connection pool for all
    together = threading.Barrier(20)

    def claim(number: int) -> list[str]:
        together.wait()
        return [SUBJECTS[i] for i in leases.take(workspace, f"r{number}", SUBJECTS, 2, slots={"3-4": 2, "7-8": 2})]

    with ThreadPoolExecutor(20) as pool:
        claims = list(pool.map(claim, range(20)))
    assert _held_once(claims)
    assert sum(len(holders) for holders in leases.held(workspace).values()) == 32


def test_processes_at_once_never_hold_the_same(workspace):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, mp_context=context) as pool:
        claims = list(pool.map(_claim, [str(workspace.path)] * 3, "abc", [6] * 3))
    assert _held_once(claims)


def test_the_table_is_made_once_by_whoever_comes_first(workspace):
    ledgers = [Ledger(workspace.ledger.url, workspace.id) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(leases._ready, ledgers))) == 4
