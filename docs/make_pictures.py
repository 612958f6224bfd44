"""Make the pictures of this documentation anew: the sample's pages in a real Chromium.

    python docs/make_pictures.py

Runs the sample (about a minute on two processors) in a temporary folder and writes docs/pictures/*.png.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from benchmarks.serving import browser, served  # noqa: E402

TARGET = REPOSITORY / "docs" / "pictures"
PAGES = ("start", "images", "features", "clusters", "map", "duplicates", "splits", "export")


def prepare(home: Path) -> str:
    """Run the sample and export its split; return the workspace's key."""
    from curation import export, pipeline
    from curation.ui import recent

    workspace = pipeline.prepare(home / "workspaces" / "digits", source="digits")
    pipeline.run(workspace, source="digits", progress=lambda done, total, message: print(f"\r{message:50}", end=""))
    export.export(workspace, "glt", formats=("glt-json", "csv", "imagenet-lt-txt"))
    recent.remember(workspace)
    return workspace.key


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
    print(f"\r{len(PAGES)} pictures in {TARGET}")


if __name__ == "__main__":
    main()
