"""Make the pictures of this documentation anew: the sample's pages in a real Chromium.

    python docs/make_pictures.py

Runs the sample (about a minute on two processors) in a temporary folder and writes docs/pictures/*.png.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from benchmarks.serving import browser, served  # noqa: E402
from curation.workspace import Workspace  # noqa: E402

TARGET = REPOSITORY / "docs" / "pictures"
PAGES = ("start", "images", "features", "clusters", "map", "duplicates", "splits", "export")
VIEWS = {"groups": "Groups", "stopping": "When to stop", "leaks": "Leaks"}
SPLIT_VIEWS = {"compare": "glt.r2", "splits": "New split"}


def prepare(home: Path) -> str:
    """Run the sample and export its split; return the workspace's key."""
    from curation import export, pipeline
    from curation.splits import recipes
    from curation.ui import recent

    workspace = pipeline.prepare(home / "workspaces" / "digits", source="digits")
    pipeline.run(workspace, source="digits", progress=lambda done, total, message: print(f"\r{message:50}", end=""))
    compare(workspace, home / "other")
    again = {"profile": "exp", "fit": True}
    recipes.make(workspace, recipe=recipes.load(workspace, "glt")[0], name="glt", parameters=again)
    export.export(workspace, "glt.r2", formats=("glt-json", "csv", "webdataset"))
    recent.remember(workspace)
    return workspace.key


def compare(workspace: Workspace, other: Path) -> None:
    """Plant probes, add another benchmark that has some of the digits, and judge the first hundred pairs."""
    from PIL import Image

    from curation import pipeline
    from curation.duplicates import find, probes, verdicts
    from curation.ledger import Event

    images = workspace.images(["root", "path", "class_name"]).to_pylist()
    for row in images[::60]:
        target = other / row["class_name"] / f"{Path(row['path']).stem}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(workspace.image_file(row["root"], row["path"])).convert("RGB").save(target, quality=60)
    pipeline.add_reference(workspace, other, name="another-benchmark")
    pipeline.plant_probes(workspace, count=40)
    find.find(workspace)
    start_of_day = datetime(2026, 1, 5, 9, tzinfo=UTC)
    truth = {(row["image_a"], row["image_b"]): row["truth"] for row in probes.planted(workspace).to_pylist()}
    for reviewer, start in (("ben", 0), ("carla", 60)):
        rows = verdicts.queue(workspace, reviewer=reviewer, order="distance").to_pylist()[start : start + 60]
        said = [(row, truth.get((row["image_a"], row["image_b"]))) for row in rows]
        workspace.ledger.append(
            [
                Event(
                    reviewer=reviewer,
                    time=(start_of_day + timedelta(seconds=4 * place)).isoformat(timespec="milliseconds"),
                    kind="pair",
                    subject=row["subject"],
                    verdict=known or ("duplicate" if row["decision"] == "duplicate" else "different"),
                )
                for place, (row, known) in enumerate(said)
            ]
        )


def lasso(page) -> None:
    """Draw a circle on the map."""
    box = page.locator(".js-plotly-plot").bounding_box()
    x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.46 * box["height"]
    page.mouse.move(x + 70, y)
    page.mouse.down()
    for step in range(1, 25):
        page.mouse.move(x + 70 * math.cos(step / 24 * math.tau), y + 70 * math.sin(step / 24 * math.tau))
    page.mouse.up()
    page.wait_for_timeout(3000)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="pictures") as name:
        os.environ["CURATION_HOME"] = name
        workspace = prepare(Path(name))
        TARGET.mkdir(exist_ok=True)
        with served() as url, browser() as chromium:
            page = chromium.new_page(viewport={"width": 1280, "height": 800})
            for stem in PAGES:
                page.goto(f"{url}/{'' if stem == 'start' else stem}?w={workspace}&class=3&reviewer=anna")
                page.locator(".page-title").wait_for()
                page.wait_for_timeout(4000)
                if stem == "map":
                    lasso(page)
                page.screenshot(path=TARGET / f"{stem}.png")
            for stem, split in SPLIT_VIEWS.items():
                page.goto(f"{url}/splits?w={workspace}")
                page.get_by_test_id("stSidebar").get_by_label("Split", exact=False).first.click()
                page.get_by_role("option", name=split, exact=True).click()
                page.wait_for_timeout(3000)
                if stem == "compare":
                    page.get_by_test_id("stMain").get_by_text("compare", exact=True).click()
                page.wait_for_timeout(4000)
                page.screenshot(path=TARGET / f"{stem}.png")
            for stem, view in VIEWS.items():
                page.goto(f"{url}/duplicates?w={workspace}&view={quote(view)}&reviewer=anna")
                page.locator(".page-title").wait_for()
                page.wait_for_timeout(4000)
                page.screenshot(path=TARGET / f"{stem}.png")
    print(f"\r{len({*PAGES, *SPLIT_VIEWS, *VIEWS})} pictures in {TARGET}")


if __name__ == "__main__":
    main()
