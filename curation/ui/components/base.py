"""What the components have in common: how their scripts reach the browser, and rows of the images table."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from curation.workspace import Workspace

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

ASSETS = Path(__file__).parent
SUFFIXES = {".js": "text/javascript", ".css": "text/css"}
FILES = {path.name: path for path in sorted(ASSETS.iterdir()) if path.suffix in SUFFIXES}


def _version() -> str:
    digest = hashlib.sha256()
    for name, path in FILES.items():
        digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


VERSION = _version()
"""Changes with any script or style sheet. It is a folder in their URL, so that modules import each other's version."""


def component(name: str) -> ComponentRenderer:
    """A mounting command whose script is `<name>.js`, loaded by the browser once and then kept by its cache.

    Only this loader travels with each message of the element, not the script itself.
    """
    import streamlit as st

    loader = f"""
export default async function (context) {{
  const module = await import(new URL("/assets/{VERSION}/{name}.js", location.origin).href);
  return module.default(context);
}}
"""
    return st.components.v2.component(f"curation.{name}", js=loader)


def own(key: str, workspace: Workspace) -> str:
    """The key of a component's instance: each workspace has its own, since image ids mean other pictures in another."""
    return f"{key}-{workspace.key}"


def urls(workspace: Workspace) -> dict[str, str]:
    """Where a component finds pictures, details, and the door for decisions; `version` changes with the images."""
    return {
        "image": f"/img/{workspace.key}/{{size}}/{{id}}.webp?v={workspace.version()}",
        "details": f"/details/{workspace.key}/{{id}}.json",
        "events": f"/api/{workspace.key}/events",
    }


@lru_cache(maxsize=32)
def last(workspace: Workspace, kinds: tuple[str, ...], reviewer: str, position: int) -> dict[str, str] | None:
    """The reviewer's last decision that stands at a position of the ledger: what undo takes back after a reload."""
    event = workspace.ledger.last(kinds, accept=lambda event: event.reviewer == reviewer)
    names = ("event_id", "subject", "kind", "verdict")
    return None if event is None else {name: getattr(event, name) for name in names}


_lock = threading.Lock()


def image_rows(workspace: Workspace, ids: Sequence[int] | np.ndarray) -> pa.Table:
    """Rows (class_name, path, width, height) of some images, in the order of `ids`."""
    with _lock:  # two pages that open at once read the table once
        table = _described(str(workspace.path), workspace.version())
    return table.take(pa.array(np.asarray(ids, dtype=np.int64)))


@lru_cache(maxsize=16)  # a workspace's reference sets take their places too
def _described(path: str, version: str) -> pa.Table:
    # `version` is part of the key only: a table that was written anew is read anew.
    return Workspace(path).images(["class_name", "path", "width", "height"]).combine_chunks()


def codes(column: pa.ChunkedArray | pa.Array) -> tuple[list[str], list[int]]:
    """Distinct words of a column and, per row, the number of its word: the same text is sent once."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = array.cast(pa.string()).dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_pylist()


def state(key: str, name: str, default: Any = None) -> Any:
    """A component's state before it is mounted in this run, as the browser last set it."""
    import streamlit as st

    value = st.session_state.get(key)
    value = value.get(name) if value is not None else None
    return default if value is None else value
