"""The main job from a folder of photographs to annotation files, clicked through in a real Chromium."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from pictures import draw
from PIL import Image

from curation.ui import recent
from curation.workspace import Workspace

pytestmark = pytest.mark.browser
REPOSITORY = Path(__file__).resolve().parents[2]
CLASSES = ("hat", "shoes", "skirt")
PER_CLASS = 30


@pytest.fixture
def photographs(tmp_path) -> Path:
    """A slice of real photographs where they are, else pictures drawn here; with one pair of near duplicates."""
    root = tmp_path / "photographs"
    source = Path(os.environ.get("CURATION_TEST_DATA") or REPOSITORY.parent / "shared" / "data") / "clothing"
    for number, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        found = sorted((source / name).glob("*.jpg"))[:PER_CLASS] if source.is_dir() else []
        for picture in found:
            shutil.copy(picture, root / name)
        for i in range(PER_CLASS - len(found)):
            draw(1000 * number + i, (256, 256)).save(root / name / f"{i:03d}.jpg")
    first = sorted((root / "hat").iterdir())[0]
    Image.open(first).convert("RGB").save(root / "hat" / "again.jpg", quality=60)
    return root


def test_from_folder_to_files(chromium, serve, photographs, tmp_path):
    # With a workspace on the list, the first visit does not begin with the sample.
    recent.remember(Workspace.create(tmp_path / "other", roots={"images": photographs}))
    app = serve(REPOSITORY / "app.py")
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    try:
        click_through(page, app.url, photographs)
    except Exception:
        page.screenshot(path=tmp_path / "failed.png")
        print(f"the page as it was: {tmp_path / 'failed.png'}")
        raise
    finally:
        page.close()


def click_through(page, url: str, photographs: Path) -> None:
    """Every step of the main job, as a person would take it."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)

    def go(name: str) -> None:
        page.get_by_role("link", name=name, exact=True).first.click()
        page.locator(".page-title h1", has_text=name).wait_for()

    def press(label: str, seconds: float = 20) -> None:
        page.get_by_role("button", name=label, exact=True).click(timeout=1000 * seconds)

    page.get_by_role("textbox", name="Open a folder").fill(str(photographs))
    press("Read pictures in")
    page.get_by_text("91 pictures in 3 classes").wait_for(timeout=60_000)

    go("Images")
    page.locator(".tile").nth(5).wait_for()
    assert page.locator(".tile").count() == 91

    go("Features")
    press("Extract")
    page.get_by_text("91 pictures · 1,280 dimensions").wait_for(timeout=180_000)

    go("Clusters")
    press("Cluster")
    page.get_by_text("Cluster 0").first.wait_for(timeout=60_000)

    go("Map")
    press("Lay out")
    page.locator(".js-plotly-plot").wait_for(timeout=60_000)

    go("Duplicates")
    press("Find pairs")
    page.get_by_role("button", name="Duplicate D").wait_for(timeout=60_000)
    page.wait_for_timeout(500)
    page.keyboard.press("d")
    page.get_by_text("1 duplicate").first.wait_for(timeout=20_000)

    go("Splits")
    press("Save split")
    page.get_by_text("histograms", exact=True).wait_for(timeout=60_000)
    page.get_by_test_id("stSidebar").get_by_label("Split", exact=False).first.click()
    page.get_by_role("option", name="New split", exact=True).click()
    page.get_by_text("published", exact=True).click()
    page.locator(".st-key-preset_one-shot").get_by_role("button", name="Use").click()
    total = page.get_by_test_id("stMetric").filter(has_text="In splits")
    total.filter(has_text="48").wait_for()  # one and fifteen of each class
    page.get_by_role("slider", name="Training images a class").focus()
    page.keyboard.press("ArrowRight")
    total.filter(has_text="51").wait_for()
    press("Save split")
    page.get_by_text("compare", exact=True).click(timeout=60_000)
    page.get_by_text("Different recipes").wait_for()

    go("Export")
    press("Export")
    page.get_by_text("Download ZIP").wait_for(timeout=60_000)
    press("Verify")
    page.get_by_text("Rebuilt: all").wait_for(timeout=60_000)
    with page.expect_download() as download:
        page.get_by_text("Download ZIP").click()
    assert Path(download.value.path()).read_bytes()[:2] == b"PK"
    assert errors == []
