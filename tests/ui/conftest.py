"""A small workspace that the server knows, and the server's routes without a browser."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from curation.images import ingest
from curation.ui import recent
from curation.ui.routes import routes
from curation.workspace import Workspace


@pytest.fixture
def workspace(tmp_path, picture_tree) -> Workspace:
    """20 pictures and one broken file (image 12: `ant/broken.jpg`), on the list of recent workspaces."""
    (picture_tree / "ant" / "broken.jpg").write_bytes(b"no picture")
    made = Workspace.create(tmp_path / "workspace", roots={"pictures": picture_tree})
    ingest.read(made, workers=1)
    recent.remember(made)
    return made


@pytest.fixture
def client(workspace) -> TestClient:
    return TestClient(Starlette(routes=routes))
