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
    """Recent workspaces that still exist, latest first: id, name, path."""
    try:
        entries = files.read_json(home() / "recent.json")
    except CurationError:
        return []
    return [entry for entry in entries if (Path(entry["path"]) / "workspace.json").is_file()]


def remember(workspace: Workspace, *, limit: int = 30) -> None:
    """Put a workspace at the top of the list."""
    entry = {"id": workspace.id, "name": workspace.name, "path": str(workspace.path)}
    with _lock:
        others = [e for e in listing() if e["path"] != entry["path"] and e["id"] != entry["id"]]
        files.write_json(home() / "recent.json", [entry, *others][:limit])


def forget(workspace_id: str) -> None:
    """Take a workspace off the list; the workspace itself is not touched."""
    with _lock:
        files.write_json(home() / "recent.json", [e for e in listing() if e["id"] != workspace_id])


def find(workspace_id: str) -> Path:
    """The folder of a listed workspace.

    Raises:
        CurationError: it is not on the list.
    """
    for entry in listing():
        if entry["id"] == workspace_id:
            return Path(entry["path"])
    raise CurationError(f"workspace {workspace_id!r} is not among the recent ones: open it by its folder")


def open_workspace(workspace_id: str) -> Workspace:
    """An open, shared Workspace for a listed id; one ledger connection pool a workspace."""
    try:
        path = find(workspace_id)
        return _open(str(path), (path / "workspace.json").stat().st_mtime_ns)
    except CurationError:
        _open.cache_clear()
        raise


@lru_cache(maxsize=64)
def _open(path: str, written: int) -> Workspace:
    # `written` is part of the key only: a folder that was made anew is another workspace.
    return Workspace(path)
