"""A page of a test's own that a server can run: one component, or whatever its script mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.ui import recent
from curation.workspace import Workspace

APP = """
from pathlib import Path

import streamlit as st

from curation.ui.routes import lifespan, routes

app = st.App(Path(__file__).parent / "main.py", routes=routes, lifespan=lifespan)
"""


def put_up(folder: Path, main: str, *workspaces: Workspace) -> Path:
    """Write app.py and its script into `folder`, and list the workspaces in `folder`/home; return the folder."""
    (folder / "app.py").write_text(APP)
    (folder / "main.py").write_text(main)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CURATION_HOME", str(folder / "home"))
        for workspace in workspaces:
            recent.remember(workspace)
    return folder


def press(page, *keys: str) -> None:
    """Press keys of the keyboard, one after the other."""
    for key in keys:
        page.keyboard.press(key)
