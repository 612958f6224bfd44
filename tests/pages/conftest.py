"""A small workspace on which every stage has run, and pages run headless on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from curation import arrays, export
from curation.clusters import kmeans, maps
from curation.duplicates.find import find
from curation.images import ingest
from curation.splits import recipes
from curation.ui import recent
from curation.workspace import Workspace

REPOSITORY = Path(__file__).resolve().parents[2]
# Names as people have them: another script, spaces, Markdown, and one that looks like HTML.
CLASSES = ("ant", "猫 cat", "*b*ee & <b>bold</b>")
PER_CLASS = 40


def _pictures(root: Path) -> None:
    rng = np.random.default_rng(7)
    for number, name in enumerate(CLASSES):
        folder = root / name.replace("/", "-")
        folder.mkdir(parents=True)
        for i in range(PER_CLASS):
            coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8) // 2 + np.uint8(40 * number)
            picture = Image.fromarray(coarse).resize((48, 40 + number), Image.Resampling.BICUBIC)
            picture.save(folder / f"{i:03d}.png")
    shutil.copy(root / "ant" / "000.png", root / "ant" / "900-copy.png")
    (root / "ant" / "901-broken.jpg").write_text("no picture")


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """The folder of a workspace with features, clusters, a map, pairs, a split and an export."""
    folder = tmp_path_factory.mktemp("made")
    _pictures(folder / "pictures")
    workspace = Workspace.create(folder / "w", name="Small", roots={"images": folder / "pictures"})
    ingest.read(workspace, workers=1)
    table = workspace.images(["root", "path", "status"]).to_pylist()
    rows = np.full((len(table), 75), np.nan, np.float32)
    for i, row in enumerate(table):
        if row["status"] == "ok":
            picture = Image.open(workspace.image_file(row["root"], row["path"])).convert("RGB").resize((5, 5))
            rows[i] = np.asarray(picture, np.float32).ravel() / 255
    arrays.write_features(workspace, "colours", rows, {"backbone": "colours"})
    kmeans.cluster(workspace, features="colours", clusters=4, attributes=2, workers=1)
    maps.project(workspace, features="colours", method="tsne")
    find(workspace, features="colours")
    recipes.make(workspace, name="glt-lt", parameters={"per_cell": 2, "val_per_cell": 1, "policy": "shrink"})
    export.export(workspace, "glt-lt", formats=("glt-json", "csv"))
    return folder


@pytest.fixture
def workspace(made, tmp_path) -> Workspace:
    """A copy of the finished workspace of one's own, listed among the recent ones."""
    shutil.copytree(made / "w", tmp_path / "w")
    workspace = Workspace(tmp_path / "w")
    recent.remember(workspace)
    return workspace


@pytest.fixture
def bare(made, tmp_path) -> Workspace:
    """A workspace into which nothing was read yet."""
    workspace = Workspace.create(tmp_path / "bare", name="Bare", roots={"images": made / "pictures"})
    recent.remember(workspace)
    return workspace


@pytest.fixture
def page():
    """Run a page of the app: page("images") gives its AppTest."""

    def run(name: str, **query: str) -> AppTest:
        # The frame, as the server runs it: from app.py, AppTest would run the files in pages/ without it.
        app = AppTest.from_file(str(REPOSITORY / "curation" / "ui" / "main.py"), default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        if name != "start":
            app.switch_page(f"../../pages/{name}.py").run()
        assert not app.exception, app.exception[0].value
        return app

    return run


@pytest.fixture
def jobs_started(monkeypatch) -> list[tuple[str, list[str]]]:
    """Commands that a page starts, kept instead of run."""
    started: list[tuple[str, list[str]]] = []
    monkeypatch.setattr("curation.jobs.start", lambda workspace, kind, argv: started.append((kind, argv[1:])))
    return started


@pytest.fixture
def sent():
    """What a page sends to a component of the browser: sent(app, "gallery")."""

    def find_component(app: AppTest, name: str) -> dict:
        for element in app.get("bidi_component"):
            if element.proto.component_name == f"curation.{name}":
                return json.loads(element.proto.json)
        raise AssertionError(f"no component {name} on the page")

    return find_component
