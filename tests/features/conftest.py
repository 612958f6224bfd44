"""A workspace of twenty pictures that have been read in."""

from __future__ import annotations

import pytest

from curation.images import ingest
from curation.workspace import Workspace


@pytest.fixture
def workspace(tmp_path, picture_tree) -> Workspace:
    made = Workspace.create(tmp_path / "workspace", roots={"images": picture_tree})
    ingest.read(made, workers=1)
    return made
