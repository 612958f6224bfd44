"""The ledger: what people decided, as events that are only ever appended.

SQLite by default, PostgreSQL by URL, both through SQLAlchemy. Undo is another event. Everything derived from
decisions can be rebuilt from them at any earlier position.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

metadata = sa.MetaData()
_big = sa.BigInteger().with_variant(sa.Integer, "sqlite")

events = sa.Table(
    "events",
    metadata,
    sa.Column("position", _big, primary_key=True, autoincrement=True),
    sa.Column("workspace", sa.String(32), nullable=False),
    sa.Column("event_id", sa.String(120), nullable=False),
    sa.Column("time", sa.String(32), nullable=False),  # UTC, ISO 8601
    sa.Column("reviewer", sa.Text, nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("shown", sa.JSON, nullable=False),  # what was on the screen
    sa.Column("data", sa.JSON, nullable=False),
    sa.UniqueConstraint("workspace", "event_id"),
    sa.Index("events_by_kind", "workspace", "kind", "position"),
    sa.Index("events_by_position", "workspace", "position"),
    sqlite_autoincrement=True,
)


COLUMNS = ("position", "event_id", "kind", "subject", "verdict", "reviewer", "note", "time")
BATCH = 10_000


@dataclass(frozen=True, kw_only=True)
class Event:
    """One decision. `kind` and `subject` say about what (`pair`, `12-40`), `verdict` says how it was decided."""

    reviewer: str
    kind: str
    subject: str
    verdict: str = ""
    note: str = ""
    shown: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    event_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    position: int = 0


def engine_for(url: str) -> sa.Engine:
    """A SQLAlchemy engine; SQLite gets write-ahead logging, a lock wait of 30 s, and transactions that lock at once."""
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_pre_ping=True)
    engine = sa.create_engine(url, connect_args={"timeout": 30, "check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in ("journal_mode=wal", "synchronous=normal", "busy_timeout=30000"):
            connection.execute(f"pragma {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("begin" if read_only else "begin immediate")

    return engine


class Ledger:
    """The decisions of one workspace. Safe for many threads and processes at once."""

    def __init__(self, url: str, workspace: str) -> None:
        self.url, self.workspace = url, workspace
        self.engine = engine_for(url)
        with self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # CREATE IF NOT EXISTS races with itself
                connection.execute(sa.text("select pg_advisory_xact_lock(727462)"))
            metadata.create_all(connection)
            for index in events.indexes:  # a ledger of an earlier version gets what it lacks
                index.create(connection, checkfirst=True)

    def reading(self) -> Any:
        """A connection for reading only; it never waits for a writer."""
        return self.engine.execution_options(read_only=True).begin()

    def append(self, new: Sequence[Event]) -> int:
        """Append events and return the last position; an event id that is already there changes nothing.

        Raises:
            ValueError: an event has no kind or subject.
        """
        for event in new:
            if not event.kind or not event.subject:
                raise ValueError(f"event {event.event_id} has no kind or no subject")
        with self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                # One writer at a time, so that a position, once seen, never gets an earlier one after it.
                connection.execute(sa.text("select pg_advisory_xact_lock(727461)"))
            insert = _insert(connection.dialect.name)(events)
            insert = insert.on_conflict_do_nothing(index_elements=["workspace", "event_id"])
            for first in range(0, len(new), BATCH):
                part = new[first : first + BATCH]
                rows = [{k: v for k, v in vars(event).items() if k != "position"} for event in part]
                connection.execute(insert, [row | {"workspace": self.workspace} for row in rows])
            return self._position(connection)

    def undo(self, event_id: str, *, reviewer: str) -> None:
        """Undo an event by appending another; undoing an undo brings the event back."""
        self.append([Event(reviewer=reviewer, kind="undo", subject=event_id)])

    def position(self) -> int:
        """Position of the last event, 0 when there is none."""
        with self.reading() as connection:
            return self._position(connection)

    def count(self) -> int:
        """How many events this workspace has, undone ones and undos included."""
        query = sa.select(sa.func.count()).where(events.c.workspace == self.workspace)
        with self.reading() as connection:
            return connection.execute(query).scalar() or 0

    def events(
        self, kinds: str | Iterable[str] | None = None, *, until: int | None = None, undone: bool = False
    ) -> list[Event]:
        """Events in order, those that were undone left out unless asked for.

        Args:
            kinds: one kind or several; all when None.
            until: replay only to this position, inclusive.
            undone: also give undone events and the undo events themselves.
        """
        wanted = None if kinds is None else {kinds} if isinstance(kinds, str) else set(kinds)
        query = sa.select(events).where(events.c.workspace == self.workspace).order_by(events.c.position)
        if until is not None:
            query = query.where(events.c.position <= until)
        if wanted is not None:
            query = query.where(events.c.kind.in_(sorted(wanted | {"undo"})))
        with self.reading() as connection:
            rows = [_event(row) for row in connection.execute(query).mappings()]
        if undone:
            return [e for e in rows if wanted is None or e.kind in wanted]
        gone = taken_back((e.event_id, e.subject) for e in reversed(rows) if e.kind == "undo")
        return [e for e in rows if e.kind != "undo" and e.event_id not in gone and (wanted is None or e.kind in wanted)]

    def named(self, event_ids: Sequence[str]) -> list[Event]:
        """The events of these ids, in order, undone or not."""
        query = sa.select(events).where(events.c.workspace == self.workspace, events.c.event_id.in_(list(event_ids)))
        with self.reading() as connection:
            return [_event(row) for row in connection.execute(query.order_by(events.c.position)).mappings()]

    def last(self, kinds: str | Iterable[str], *, accept: Callable[[Event], bool] = lambda event: True) -> Event | None:
        """The newest event of these kinds that stands and that `accept` takes; reads back only as far as it must."""
        wanted = {kinds} if isinstance(kinds, str) else set(kinds)
        query = sa.select(events).where(events.c.workspace == self.workspace).order_by(events.c.position.desc())
        query = query.where(events.c.kind.in_(sorted(wanted | {"undo"})))
        gone: set[str] = set()
        with self.reading() as connection:
            for row in connection.execution_options(yield_per=200).execute(query).mappings():
                event = _event(row)
                if event.event_id in gone:
                    continue
                if event.kind == "undo":
                    gone.add(event.subject)
                elif accept(event):
                    return event
        return None

    def latest(self, kind: str, *, until: int | None = None) -> dict[str, Event]:
        """The last event that stands for each subject of a kind."""
        return {event.subject: event for event in self.events(kind, until=until)}

    def standing(
        self, kinds: str | Iterable[str], *, since: int = 0, until: int | None = None, data: bool = False
    ) -> pd.DataFrame:
        """Events of one or more kinds that were not undone, in order, without an object for each: for many of them.

        Columns and arguments are those of `log`; an undo takes part only when it lies within `since` and `until`.
        """
        log = self.log(kinds, since=since, until=until, data=data)
        return log[stands(log)].reset_index(drop=True)

    def log(
        self, kinds: str | Iterable[str], *, since: int = 0, until: int | None = None, data: bool = False
    ) -> pd.DataFrame:
        """Events of one or more kinds and all undo events, in order, as they were appended.

        A reader that keeps what it has read asks only for what came after the last position that it saw: positions
        grow in the order in which events become visible.

        Args:
            kinds: one kind or several.
            since: only events after this position.
            until: only events to this position, inclusive.
            data: also the column `data`, one dict each.

        Returns:
            Columns position (int64), event_id, kind, subject, verdict, reviewer, note, time. `stands` says which of
            the rows were not undone.
        """
        columns = (*COLUMNS, "data") if data else COLUMNS
        wanted = sorted({"undo", *([kinds] if isinstance(kinds, str) else kinds)})
        query = sa.select(*(events.c[name] for name in columns)).order_by(events.c.position)
        query = query.where(events.c.workspace == self.workspace, events.c.kind.in_(wanted))
        query = query.where(events.c.position > since)
        if until is not None:
            query = query.where(events.c.position <= until)
        with self.reading() as connection:
            rows = [tuple(row) for row in connection.execute(query).all()]
        return pd.DataFrame(rows, columns=list(columns)).astype({"position": np.int64})

    def _position(self, connection: sa.Connection) -> int:
        query = sa.select(sa.func.max(events.c.position)).where(events.c.workspace == self.workspace)
        return connection.execute(query).scalar() or 0


def _event(row: Mapping[str, Any]) -> Event:
    return Event(**{key: value for key, value in row.items() if key != "workspace"})


def stands(log: pd.DataFrame) -> np.ndarray:
    """Which rows of a `Ledger.log` are events that were not undone, bool; undo events themselves never are."""
    undo = (log["kind"] == "undo").to_numpy(bool)
    if not undo.any():
        return ~undo
    latest = log[undo][::-1]
    gone = taken_back(zip(latest["event_id"], latest["subject"], strict=True))
    return ~undo & ~log["event_id"].isin(gone).to_numpy(bool)


def taken_back(undos: Iterable[tuple[str, str]]) -> set[str]:
    """Ids of the events that are undone, from (event id, subject) of the undo events, the newest first."""
    gone: set[str] = set()
    for event_id, subject in undos:  # a later undo is settled before the event it speaks of, which may be an undo
        if event_id not in gone:
            gone.add(subject)
    return gone


def _insert(dialect: str) -> Any:
    from sqlalchemy.dialects import postgresql, sqlite

    return postgresql.insert if dialect == "postgresql" else sqlite.insert
