"""Make the pictures of this documentation anew: the sample's pages in a real Chromium.

    python docs/make_pictures.py

Runs the sample (about a minute on two processors) in a temporary folder and writes docs/pictures/*.png.
"""

from __future__ import annotations

import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))
TARGET = REPOSITORY / "docs" / "pictures"
PAGES = ("start", "images", "features", "clusters", "map", "duplicates", "splits", "export")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


def prepare(home: Path) -> str:
    """Run the sample and export its split; return the workspace's id."""
    from curation import export, pipeline
    from curation.ui import recent

    workspace = pipeline.prepare(home / "workspaces" / "digits", source="digits")
    pipeline.run(workspace, source="digits", progress=lambda done, total, message: print(f"\r{message:50}", end=""))
    export.export(workspace, "glt", formats=("glt-json", "csv", "imagenet-lt-txt"))
    recent.remember(workspace)
    return workspace.id


def serve() -> tuple[subprocess.Popen, str]:
    """The program on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2).close()
            break
        except OSError:
            time.sleep(0.1)
    return process, f"http://127.0.0.1:{port}"


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
    from playwright.sync_api import sync_playwright

    home = Path(tempfile.mkdtemp(prefix="pictures"))
    os.environ["CURATION_HOME"] = str(home)
    workspace = prepare(home)
    process, url = serve()
    TARGET.mkdir(exist_ok=True)
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=[*FLAGS, "--disable-sync"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            for name in PAGES:
                page.goto(f"{url}/{'' if name == 'start' else name}?w={workspace}&class=3&reviewer=anna")
                page.locator(".page-title").wait_for()
                page.wait_for_timeout(4000)
                if name == "map":
                    lasso(page)
                page.screenshot(path=TARGET / f"{name}.png")
            browser.close()
    finally:
        process.kill()
        shutil.rmtree(home, ignore_errors=True)
    print(f"\r{len(PAGES)} pictures in {TARGET}")


if __name__ == "__main__":
    main()
