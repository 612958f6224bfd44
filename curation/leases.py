"""Leases: a pair is kept for one person for a while, so that no two judge it at once. In the ledger's database."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakSet

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from curation.errors import ArgumentError
from curation.ledger import Ledger, metadata
from curation.workspace import Workspace

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("workspace", sa.String(32), primary_key=True),
    sa.Column("subject", sa.String(120), primary_key=True),
    sa.Column("holder", sa.String(200), primary_key=True),
    sa.Column("expires", sa.Double, nullable=False),  # seconds since 1970, by the database's clock
)


def take(
    workspace: Workspace,
    reviewer: str,
    subjects: Sequence[str] | pa.Array,
    count: int,
    *,
    minutes: float = 10,
    slots: Mapping[str, int] | np.ndarray | None = None,
) -> np.ndarray:
    """Lease the first subjects that are free to a person, in one transaction.

    What the person holds already among `subjects` is kept and renewed before others are taken, so that what is on the
    screen stays there; nobody is given what others hold in all its slots. Leases run out by themselves.

    Args:
        subjects: in the order in which they are wanted, each once.
        count: how many the person may hold of them.
        minutes: until the leases run out.
        slots: how many people may hold each: an array beside `subjects`, or by subject (1 where it is not named).

    Returns:
        Places in `subjects` that the person holds now, ascending int64, at most `count`.

    Raises:
        ArgumentError: no reviewer, `count` below 0 or `minutes` not above 0.
    """
    if not reviewer or count < 0 or not minutes > 0:
        raise ArgumentError(f"cannot lease {count} pairs for {minutes:g} minutes to {reviewer!r}: name who judges")
    wanted = subjects if isinstance(subjects, pa.Array) else pa.array(subjects, pa.string())
    with _ready(workspace.ledger).begin() as connection:
        now = _locked(connection, workspace)
        here = leases.c.workspace == workspace.ledger.workspace
        connection.execute(sa.delete(leases).where(here, leases.c.expires <= now))
        held = connection.execute(sa.select(leases.c.subject, leases.c.holder).where(here)).all()
        mine = np.sort(_places(wanted, [subject for subject, holder in held if holder == reviewer]))[:count]
        others = [subject for subject, holder in held if holder != reviewer]
        new = _free(wanted, others, mine, count - len(mine), slots)
        until, key = now + 60 * minutes, {"workspace": workspace.ledger.workspace, "holder": reviewer}
        if len(mine):
            kept = wanted.take(pa.array(mine)).to_pylist()
            renewed = sa.update(leases).where(here, leases.c.holder == reviewer, leases.c.subject.in_(kept))
            connection.execute(renewed.values(expires=until))
        if len(new):
            names = wanted.take(pa.array(new)).to_pylist()
            connection.execute(sa.insert(leases), [key | {"subject": name, "expires": until} for name in names])
    return np.sort(np.concatenate([mine, new]))


def release(workspace: Workspace, reviewer: str, subjects: Iterable[str] | None = None) -> int:
    """Give back what a person holds, all of it or only these subjects; returns how many leases ended.

    A page does this for what was judged, and for all when a person turns to another queue or leaves.
    """
    given = sa.delete(leases).where(leases.c.workspace == workspace.ledger.workspace, leases.c.holder == reviewer)
    if subjects is not None:
        given = given.where(leases.c.subject.in_(list(subjects)))
    with _ready(workspace.ledger).begin() as connection:
        return connection.execute(given).rowcount


def held(workspace: Workspace) -> dict[str, list[str]]:
    """Who holds each subject now, holders in byte order."""
    query = sa.select(leases.c.subject, leases.c.holder).where(leases.c.workspace == workspace.ledger.workspace)
    found: dict[str, list[str]] = {}
    _ready(workspace.ledger)
    with workspace.ledger.reading() as connection:
        query = query.where(leases.c.expires > _clock(connection))
        for subject, holder in sorted(connection.execute(query).tuples()):
            found.setdefault(subject, []).append(holder)
    return found


_with_table: WeakSet[sa.Engine] = WeakSet()


def _ready(ledger: Ledger) -> sa.Engine:
    """The ledger's engine; a database from before there were leases gets their table."""
    if ledger.engine not in _with_table:
        with ledger.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("select pg_advisory_xact_lock(727462)"))
            leases.create(connection, checkfirst=True)
        _with_table.add(ledger.engine)
    return ledger.engine


def _locked(connection: sa.Connection, workspace: Workspace) -> float:
    """Wait until nobody else takes leases of this workspace; returns the time."""
    if connection.dialect.name == "postgresql":  # SQLite's transactions lock as they begin
        name = workspace.ledger.workspace
        connection.execute(sa.text("select pg_advisory_xact_lock(727463, hashtext(:name))"), {"name": name})
    return _clock(connection)


def _clock(connection: sa.Connection) -> float:
    if connection.dialect.name == "postgresql":  # servers on several machines may disagree about the time
        return float(connection.execute(sa.text("select extract(epoch from clock_timestamp())")).scalar_one())
    return time.time()


def _places(wanted: pa.Array, names: list[str]) -> np.ndarray:
    """Places of some names in `wanted`, int64; those that are not in it are left out."""
    if not names:
        return np.zeros(0, np.int64)
    return np.flatnonzero(pc.is_in(wanted, pa.array(names, pa.string())).to_numpy(zero_copy_only=False))


def _free(wanted: pa.Array, others: list[str], mine: np.ndarray, count: int, slots: Any) -> np.ndarray:
    """The first places that have a slot left and are not the person's own, int64."""
    # Among the first so many at most all that are held can be taken.
    near = wanted.slice(0, len(mine) + len(others) + max(count, 0)) if _at_least_one(slots) else wanted
    if slots is None:
        room = np.ones(len(near), np.int64)
    elif isinstance(slots, Mapping):
        room = np.array([slots.get(name, 1) for name in near.to_pylist()], np.int64)
    else:
        room = np.asarray(slots)[: len(near)].astype(np.int64)
    names, taken = np.unique(np.array(others, object).astype(str), return_counts=True)
    places = pc.index_in(near, pa.array(names.tolist(), pa.string())).fill_null(-1).to_numpy(zero_copy_only=False)
    room = room - np.where(places >= 0, np.append(taken, 0)[places], 0)
    room[mine[mine < len(near)]] = 0
    return np.flatnonzero(room > 0)[: max(count, 0)]


def _at_least_one(slots: Any) -> bool:
    return slots is None or (not isinstance(slots, Mapping) and len(slots) > 0 and bool(np.min(slots) >= 1))
