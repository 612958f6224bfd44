"""A real PostgreSQL server of one's own, on a socket in a temporary folder; nothing listens on the network."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def binary(name: str) -> str | None:
    """Where a PostgreSQL program lies; Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")) if Path("/usr/lib/postgresql").is_dir() else []
    return str(found[-1]) if found else shutil.which(name)


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Start a server in `folder` and yield its SQLAlchemy URL."""
    # PostgreSQL refuses to run as root.
    who = "nobody" if os.geteuid() == 0 else None
    if who:
        account = pwd.getpwnam(who)
        os.chown(folder, account.pw_uid, account.pw_gid)
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and parent != Path("/") and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
    data = folder / "data"
    options = {"user": who, "check": True, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([binary("initdb"), "-D", data, "-U", "curation", "-A", "trust", "--no-sync"], **options)
    settings = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
    start = [binary("pg_ctl"), "-D", data, "-w", "-l", folder / "log", "-o", settings]
    subprocess.run([*start, "start"], **options)
    try:
        yield f"postgresql+psycopg://curation@/postgres?host={folder}"
    finally:
        subprocess.run([binary("pg_ctl"), "-D", data, "-m", "immediate", "stop"], **options)
