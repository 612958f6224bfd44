"""Long work in its own process: start, progress, cancel, resume.

A job is a command line of this program and a row in the ledger's database. It holds a file lock while it lives, so a
row that says `running` without a held lock was killed, and is shown as `interrupted`.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from curation.errors import Cancelled, CurationError
from curation.ledger import metadata
from curation.workspace import Workspace

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("workspace", sa.String(32), nullable=False, index=True),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("argv", sa.JSON, nullable=False),
    sa.Column("cwd", sa.Text, nullable=False),  # relative paths among the arguments start here
    sa.Column("state", sa.String(20), nullable=False),  # queued running done failed cancelled
    sa.Column("stop", sa.Boolean, nullable=False, default=False),
    sa.Column("done", sa.BigInteger, nullable=False, default=0),
    sa.Column("total", sa.BigInteger, nullable=False, default=0),
    sa.Column("rate", sa.Float, nullable=False, default=0.0),  # units a second, of this run
    sa.Column("message", sa.Text, nullable=False, default=""),
    sa.Column("result", sa.JSON, nullable=False, default=dict),
    sa.Column("host", sa.Text, nullable=False, default=""),
    sa.Column("pid", sa.Integer, nullable=False, default=0),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("started", sa.Float, nullable=False, default=0.0),
    sa.Column("heartbeat", sa.Float, nullable=False, default=0.0),
    sa.Column("ended", sa.Float, nullable=False, default=0.0),
    sqlite_autoincrement=True,
)

LIVE = ("queued", "running")
# A job that was only just started has not taken its lock yet.
GRACE = 20.0


@dataclass(frozen=True)
class Job:
    """A row of the jobs table; `state` may also be `interrupted`."""

    job_id: int
    workspace: str
    kind: str
    argv: list[str]
    cwd: str
    state: str
    stop: bool
    done: int
    total: int
    rate: float
    message: str
    result: dict
    host: str
    pid: int
    created: float
    started: float
    heartbeat: float
    ended: float

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds to the end; None when it cannot be told."""
        return (self.total - self.done) / self.rate if self.rate > 0 and self.total else None


def start(workspace: Workspace, kind: str, argv: list[str]) -> int:
    """Start `python -m curation KIND ARGV…` detached from this process and return its job id."""
    job_id = _insert(workspace, kind, argv)
    _spawn(workspace, job_id)
    return job_id


def resume(workspace: Workspace, job_id: int) -> None:
    """Run a stopped job's command line again; stages go on from their finished shards."""
    job = get(workspace, job_id)
    if job.live:
        raise CurationError(f"job {job_id} is still {job.state}: cancel it first")
    if not job.argv or Path(job.cwd, job.argv[0]).resolve() != workspace.path:
        raise CurationError(f"job {job_id} was started on {job.argv[:1]}, not on {workspace.path}: start it anew")
    _update(workspace, job_id, state="queued", stop=False, created=time.time(), message="")
    _spawn(workspace, job_id)


def cancel(workspace: Workspace, job_id: int) -> None:
    """Ask a job to stop at the next shard edge."""
    _update(workspace, job_id, stop=True)


def get(workspace: Workspace, job_id: int) -> Job:
    """One job. Raises CurationError when there is none of that number."""
    for job in listing(workspace, only=job_id):
        return job
    raise CurationError(f"there is no job {job_id} in {workspace.path}")


def listing(workspace: Workspace, *, limit: int = 20, only: int | None = None) -> list[Job]:
    """The latest jobs, newest first; those whose process died say `interrupted`."""
    query = sa.select(jobs).where(jobs.c.workspace == workspace.id).order_by(jobs.c.job_id.desc()).limit(limit)
    if only is not None:
        query = query.where(jobs.c.job_id == only)
    with _engine(workspace).execution_options(read_only=True).begin() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    for row in rows:
        row["argv"] = list(row["argv"])
        fresh = time.time() - max(row["created"], row["heartbeat"]) < (GRACE if row["state"] == "queued" else 2.0)
        here = row["host"] in ("", socket.gethostname())
        if row["state"] in LIVE and here and not fresh and not _alive(workspace, row["job_id"]):
            row["state"] = "interrupted"
    return [Job(**row) for row in rows]


def log_path(workspace: Workspace, job_id: int) -> Path:
    """What a detached job printed."""
    return workspace.path / "jobs" / f"{job_id}.log"


class Running:
    """A job as seen from inside its own process: call it as a progress callback."""

    def __init__(self, workspace: Workspace, job_id: int) -> None:
        self.workspace, self.job_id = workspace, job_id
        self.result: dict = {}
        self._began = self._last = time.monotonic()
        self._first: int | None = None
        self._message = ""

    def __call__(self, done: int, total: int, message: str) -> None:
        now = time.monotonic()
        if self._first is None or done < self._first or message.split(":")[0] != self._message:
            # A new phase counts from here, so that resumed work does not inflate the rate.
            self._first, self._began, self._message = done, now, message.split(":")[0]
        elif now - self._last < 0.25 and done < total:
            return
        self._last = now
        rate = (done - self._first) / (now - self._began) if now > self._began else 0.0
        _update(
            self.workspace,
            self.job_id,
            done=int(done),
            total=int(total),
            rate=float(rate),
            message=message,
            heartbeat=time.time(),
        )
        if _wants_stop(self.workspace, self.job_id):
            raise Cancelled(f"stopped at {done:,} of {total:,}")


@contextmanager
def track(workspace: Workspace, kind: str, argv: list[str], job_id: int | None = None) -> Iterator[Running]:
    """Run the block as a job: hold its lock, record how it ended.

    Raises:
        CurationError: the job is already running.
    """
    job_id = job_id or _insert(workspace, kind, argv)
    with _locked(workspace, job_id):
        running = Running(workspace, job_id)
        now = time.time()
        _update(
            workspace,
            job_id,
            state="running",
            host=socket.gethostname(),
            pid=os.getpid(),
            started=now,
            heartbeat=now,
            ended=0.0,
        )
        state, message = "failed", "stopped unexpectedly"
        try:
            yield running
            state, message = "done", ""
        except (Cancelled, KeyboardInterrupt) as error:
            state, message = "cancelled", str(error) or "stopped by keyboard"
            raise
        except BaseException as error:
            message = str(error) or type(error).__name__
            raise
        finally:
            _update(workspace, job_id, state=state, message=message, result=running.result, ended=time.time())


# -- below: the row, the lock, the process --------------------------------------------------------------------------


def _engine(workspace: Workspace) -> sa.Engine:
    engine = workspace.ledger.engine
    if engine not in _ready:
        jobs.create(engine, checkfirst=True)
        _ready.add(engine)
    return engine


_ready: weakref.WeakSet[sa.Engine] = weakref.WeakSet()


def _insert(workspace: Workspace, kind: str, argv: list[str]) -> int:
    row = {"workspace": workspace.id, "kind": kind, "argv": argv, "cwd": str(Path.cwd()), "state": "queued"}
    with _engine(workspace).begin() as connection:
        return connection.execute(sa.insert(jobs).values(**row, created=time.time())).inserted_primary_key[0]


def _update(workspace: Workspace, job_id: int, **values: object) -> None:
    with _engine(workspace).begin() as connection:
        connection.execute(sa.update(jobs).where(jobs.c.job_id == job_id).values(**values))


def _wants_stop(workspace: Workspace, job_id: int) -> bool:
    with _engine(workspace).execution_options(read_only=True).begin() as connection:
        return bool(connection.execute(sa.select(jobs.c.stop).where(jobs.c.job_id == job_id)).scalar())


def _lock_path(workspace: Workspace, job_id: int) -> Path:
    return workspace.path / "jobs" / f"{job_id}.lock"


@contextmanager
def _locked(workspace: Workspace, job_id: int) -> Iterator[None]:
    path = _lock_path(workspace, job_id)
    path.parent.mkdir(exist_ok=True)
    with open(path, "a") as lock:
        for attempt in range(20):  # a page that asks whether we live holds the lock for an instant
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.02 * attempt)
        else:
            raise CurationError(f"job {job_id} is already running")
        yield


def _alive(workspace: Workspace, job_id: int) -> bool:
    try:
        with open(_lock_path(workspace, job_id)) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def _spawn(workspace: Workspace, job_id: int) -> None:
    job = get(workspace, job_id)
    path = log_path(workspace, job_id)
    path.parent.mkdir(exist_ok=True)
    # -P: what lies in the working directory is never imported.
    command = [sys.executable, "-P", "-m", "curation", job.kind, *job.argv, "--job", str(job_id), "--json"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(_HOME), os.environ.get("PYTHONPATH")]))}
    with open(path, "ab") as log:
        log.write(f"$ {json.dumps(command)}\n".encode())
        log.flush()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=job.cwd if Path(job.cwd).is_dir() else None,
            start_new_session=True,  # a Ctrl-C or a killed server does not reach it
            env=environment,
        )
    threading.Thread(target=process.wait, daemon=True).start()  # reaps it, so that no zombie stays


_HOME = Path(__file__).resolve().parents[1]
