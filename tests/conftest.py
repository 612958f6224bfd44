"""Fixtures that the whole suite shares: small real picture trees, workspaces, the shared data where it lies."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import postgres
import pytest
from pictures import draw

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory, monkeypatch):
    """Recent workspaces and samples of a test never touch those of the person who runs it."""
    monkeypatch.setenv("CURATION_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("CURATION_DATABASE_URL", raising=False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data sets that are not part of the project; tests that need them skip where they are absent."""
    folder = Path(os.environ.get("CURATION_TEST_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set CURATION_TEST_DATA to have this test")
    return folder


@pytest.fixture(scope="session")
def postgres_url():
    if not postgres.binary("initdb"):
        pytest.skip("no PostgreSQL server on this machine: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    try:
        with postgres.server(folder) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def picture_tree(tmp_path) -> Path:
    """Two classes of class folders: `ant` with 12 pictures, `bee` with 8, as PNG and JPEG files."""
    root = tmp_path / "pictures"
    for label, (name, count) in enumerate({"ant": 12, "bee": 8}.items()):
        (root / name).mkdir(parents=True)
        for i in range(count):
            draw(100 * label + i).save(root / name / f"{i:03d}.{'png' if i % 2 else 'jpg'}")
    return root
