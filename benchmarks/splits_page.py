"""Design a split of 1,281,167 images, and of 130,000, in a real Chromium: from a key on a slider to the new totals.

    python -m benchmarks.splits_page

Synthetic workspaces of 1,000 classes are made in a temporary folder (rows and clusters; no pictures). Prints the
seconds until the page first shows what a split would contain, the median from a key press to the changed total, for a
generalised long tail and a long tail, and the ratios: previews must not depend on how many images there are.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.clusters_page import synthetic
from benchmarks.serving import browser, served
from curation.ui import recent
from curation.workspace import Workspace

SIZES = {"large": 1_281_167, "small": 130_000}
TURNS = 9
# What is moved: the recipe by its title, and one of its sliders.
MOVED = {"Generalised long tail": "Test images a cell", "Long tail": "Power of the Pareto law"}


def total(page) -> str:
    return page.get_by_test_id("stMetric").filter(has_text="In splits").get_by_test_id("stMetricValue").inner_text()


def choose(page, label: str, option: str) -> None:
    page.get_by_test_id("stSidebar").get_by_label(label, exact=False).first.click()
    page.get_by_role("option", name=option, exact=True).click()


def moving(page, url: str, workspace: Workspace, recipe: str, slider: str) -> tuple[float, float]:
    """Seconds until the page first shows a preview, and the median from a key to the changed total."""
    began = time.perf_counter()
    page.goto(f"{url}/splits?w={workspace.key}")
    page.get_by_test_id("stMetric").first.wait_for(timeout=120_000)
    first = time.perf_counter() - began
    if recipe != "Generalised long tail":
        choose(page, "Recipe", recipe)
        page.wait_for_timeout(1500)
        choose(page, "Training images by class", "Pareto")
    handle = page.get_by_role("slider", name=slider)
    handle.wait_for()
    page.wait_for_timeout(1500)
    handle.focus()
    taken = []
    for turn in range(TURNS):
        before = total(page)
        began = time.perf_counter()
        page.keyboard.press(("ArrowLeft", "ArrowRight")[turn % 2])
        page.wait_for_function(
            "before => [...document.querySelectorAll('[data-testid=stMetric]')].some(m => m.innerText.startsWith("
            "'In splits') && !m.innerText.includes(before))",
            arg=before,
        )
        taken.append(time.perf_counter() - began)
        page.wait_for_timeout(600)
    return first, statistics.median(taken)


def main() -> None:
    found: dict[str, dict[str, tuple[float, float]]] = {recipe: {} for recipe in MOVED}
    with tempfile.TemporaryDirectory() as name:
        os.environ["CURATION_HOME"] = f"{name}/home"
        workspaces = {size: synthetic(Path(name), size, images) for size, images in SIZES.items()}
        for workspace in workspaces.values():
            recent.remember(workspace)
        with served() as url, browser() as chromium:
            for size, workspace in workspaces.items():
                page = chromium.new_page(viewport={"width": 1440, "height": 900})
                for recipe, slider in MOVED.items():
                    first, later = found[recipe][size] = moving(page, url, workspace, recipe, slider)
                    print(f"{recipe}, {SIZES[size]:,} images: first {first:.2f} s, a key {1000 * later:.0f} ms")
                page.close()
    for recipe, sizes in found.items():
        print(f"{recipe}: ratio large / small of a key {sizes['large'][1] / sizes['small'][1]:.2f}")


if __name__ == "__main__":
    main()
