"""Recent workspaces: a small list in the person's own folder, and the only workspaces that the server will serve."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from pathlib import Path

from curation import files
from curation.errors import CurationError
from curation.workspace import Workspace

_lock = threading.Lock()


def home() -> Path:
    """Where recent workspaces and samples are kept: `$CURATION_HOME`, else `~/.curation`."""
    return Path(os.environ.get("CURATION_HOME") or Path.home() / ".curation")


def listing() -> list[dict[str, str]]:
    """Recent workspaces that still exist, latest first: key, name, path."""
    try:
        entries = files.read_json(home() / "recent.json")
    except CurationError:
        return []
    if not isinstance(entries, list):
        return []
    known = [e for e in entries if isinstance(e, dict) and {"key", "name", "path"} <= e.keys()]
    return [entry for entry in known if (Path(entry["path"]) / "workspace.json").is_file()]


def remember(workspace: Workspace, *, limit: int = 30) -> None:
    """Put a workspace at the top of the list."""
    entry = {"key": workspace.key, "name": workspace.name, "path": str(workspace.path)}
    with _lock:
        others = [e for e in listing() if e["key"] != entry["key"]]
        files.write_json(home() / "recent.json", [entry, *others][:limit])


def forget(key: str) -> None:
    """Take a workspace off the list; the workspace itself is not touched."""
    with _lock:
        files.write_json(home() / "recent.json", [e for e in listing() if e["key"] != key])


def find(key: str) -> Path:
    """The folder of a listed workspace.

    Raises:
        CurationError: it is not on the list.
    """
    for entry in listing():
        if entry["key"] == key:
            return Path(entry["path"])
    raise CurationError(f"workspace {key!r} is not among the recent ones: open it by its folder")


def open_workspace(key: str) -> Workspace:
    """An open, shared Workspace of the list; one ledger connection pool a workspace.

    Raises:
        CurationError: it is not on the list, or cannot be opened.
    """
    path = find(key)
    return _open(str(path), (path / "workspace.json").stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _open(path: str, written: int) -> Workspace:
    # `written` is part of the key only: a folder that was made anew is another workspace.
    return Workspace(path)
