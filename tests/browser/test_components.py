"""Gallery and points map in a real browser, each in a page of its own."""

from __future__ import annotations

import io
import re

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from stage import press, put_up

from curation import files
from curation.images import ingest
from curation.workspace import MAPS, Workspace

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("undone")]

HOSTILE = '<img src=x onerror="window.broken=1"> & a name that goes on and on and on.end'
MAIN = """
import streamlit as st

from curation.ui import recent
from curation.ui.components.gallery import gallery
from curation.ui.components.points import points_map

st.set_page_config(layout="wide")
asked = st.query_params
known = sorted(entry["key"] for entry in recent.listing())
with st.sidebar:
    chosen = st.selectbox("workspace", known, index=known.index(asked["w"]))
    st.selectbox("size", ["small", "large"])
    st.segmented_control("order", ["path", "class"])
    st.button("step")
workspace = recent.open_workspace(chosen)
st.text_input("note")
if st.checkbox("away"):
    st.text("elsewhere")
    st.stop()
common = {"workspace": workspace, "reviewer": asked["who"]}
if asked["part"] == "gallery":
    groups = [
        {"id": "first", "title": "First", "action": "Open", "images": range(25)},
        {"title": "Second", "images": range(25, 40)},
    ]
    if "groups" in asked:  # as in 0,1,2;2
        groups = [
            {"title": 200 * "long", "subtitle": "some of them, and near", "images": [int(i) for i in group.split(",")]}
            for group in asked["groups"].split(";")
        ]
    rows = int(asked["rows"]) if "rows" in asked and not st.sidebar.checkbox("every row") else None
    result = gallery(groups=groups, rows=rows, key="g", **common)
    st.text(f"selection {result.selection} group {result.group}")
else:
    result = points_map(workspace, "m", key="m", height=500)
    st.text(f"lassoed {result.ids.tolist()}")
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """40 pictures in two classes, one of them with a hostile name, and a map."""
    folder = tmp_path_factory.mktemp("components")
    rng = np.random.default_rng(5)
    for i in range(40):
        kind = folder / "pictures" / (HOSTILE if i < 20 else "ant")
        kind.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((240, 200), Image.Resampling.BICUBIC).save(kind / f"{i:03d}.jpg")
    workspace = Workspace.create(folder / "workspace", roots={"pictures": folder / "pictures"})
    ingest.read(workspace, workers=1)
    at = np.stack(np.meshgrid(np.arange(8.0), np.arange(5.0)), -1).reshape(-1, 2)
    table = pa.table({"image_id": np.arange(40), "x": at[:, 0], "y": at[:, 1]}).cast(MAPS)
    files.write_table(workspace.path / "maps" / "m.parquet", table)
    other = Workspace.create(folder / "other", roots={"pictures": folder / "pictures"})
    ingest.read(other, workers=1)
    return put_up(folder, MAIN, workspace, other)


# -- gallery


def test_a_gallery_is_worked_by_keyboard(visit, server, kept, workspace):
    page = visit(server, "gallery")
    tiles = page.locator(".tile")
    tiles.nth(39).wait_for(state="attached")
    press(page, "ArrowRight", "Space", "ArrowRight", "Space")
    page.get_by_text("selection [1, 2] group None").wait_for()
    press(page, "f")
    assert [i for i in range(40) if "flagged" in tiles.nth(i).get_attribute("class")] == [1, 2]
    assert "flagged" in tiles.nth(1).get_attribute("aria-label")
    press(page, "Escape", "ArrowDown", "x", "u")
    assert kept(4)[:2] == [("flag", "1", "flag"), ("flag", "2", "flag")]
    (_, subject, verdict), (kind, undone, _) = kept(4)[2:]
    assert (verdict, kind) == ("exclude", "undo")
    assert int(subject) > 2
    assert undone == next(e.event_id for e in workspace.ledger.events("exclude", undone=True) if e.subject == subject)
    assert page.locator(".tile.excluded").count() == 0
    assert workspace.ledger.latest("flag")["1"].shown["group"] == "First"


def test_ranges_and_groups_are_selected_and_a_group_is_opened(visit, server):
    page = visit(server, "gallery")
    page.locator(".tile").nth(3).click()
    page.locator(".tile").nth(6).click(modifiers=["Shift"])
    page.get_by_text("selection [3, 4, 5, 6]").wait_for()
    press(page, "Escape")
    page.get_by_text("selection []").wait_for()
    page.locator(".tile").nth(26).click()
    press(page, "a")
    page.get_by_text(f"selection {list(range(25, 40))}").wait_for()
    page.locator("header button", has_text="Open").click()
    page.get_by_text("group first").wait_for()


def test_the_large_view_tells_all_and_moves_on(visit, server, kept):
    page = visit(server, "gallery")
    page.locator(".tile").nth(0).wait_for()
    press(page, "Enter")
    page.locator("dialog.lightbox dd", has_text="240 × 200 px").wait_for()
    assert page.locator("dialog.lightbox h2").inner_text() == HOSTILE
    press(page, *["ArrowRight"] * 39)
    page.locator("dialog.lightbox dd", has_text="ant/039.jpg").wait_for()
    press(page, "f")
    page.locator("dialog.lightbox", has_text="flagged").wait_for()
    assert kept(1) == [("flag", "39", "flag")]
    press(page, "Escape", "?")
    page.locator("dialog.help[open]").wait_for()
    press(page, "?")
    assert page.locator("dialog[open]").count() == 0


def test_typing_in_a_field_decides_nothing(visit, server, kept):
    page = visit(server, "gallery")
    page.locator(".tile").nth(0).wait_for()
    page.get_by_label("note").fill("")
    page.keyboard.type("fax ux")
    assert page.get_by_label("note").input_value() == "fax ux"
    page.wait_for_timeout(600)
    assert kept(0) == []


def test_a_reload_in_the_middle_of_a_batch_loses_nothing(visit, server, kept):
    page = visit(server, "gallery")
    page.locator(".tile").nth(0).wait_for()
    press(page, "ArrowRight", "f", "ArrowRight", "f", "ArrowRight", "f")
    page.reload()
    assert sorted(kept(3)) == [("flag", "1", "flag"), ("flag", "2", "flag"), ("flag", "3", "flag")]


def test_leaving_the_page_loses_nothing(visit, server, kept):
    page = visit(server, "gallery")
    page.locator(".tile").nth(4).wait_for()
    away = page.get_by_text("away")
    press(page, "x", "ArrowRight", "x")
    away.click()
    page.get_by_text("elsewhere").wait_for()
    assert kept(2) == [("exclude", "0", "exclude"), ("exclude", "1", "exclude")]
    press(page, "f", "x")  # nobody listens any more
    page.wait_for_timeout(600)
    kept(2)


def test_a_killed_server_loses_nothing(visit, serve, home, kept):
    server = serve(home / "app.py", {"CURATION_HOME": str(home / "home")})
    page = visit(server, "gallery")
    page.locator(".tile").nth(4).wait_for()
    page.wait_for_timeout(500)
    server.stop()
    press(page, "f", "ArrowRight", "f")
    page.get_by_text(re.compile("The server does not answer: 2 unsaved")).wait_for()
    server.start()
    assert len(kept(2, 30)) == 2
    server.stop()
    press(page, "ArrowRight", "f")  # decided while nobody answers, and the window closed
    page.close()
    server.start()
    visit(server, "gallery")
    assert kept(3, 30)[2] == ("flag", "2", "flag")


def choose(page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option).click()


def test_another_workspace_gets_neither_selection_nor_undo_nor_decisions(visit, server, kept, home):
    other = Workspace(home / "other")
    page = visit(server, "gallery")
    page.locator(".tile").nth(4).wait_for()
    press(page, "Space")
    page.get_by_text("selection [0]").wait_for()
    page.route("**/api/**", lambda route: route.abort())
    press(page, "f")
    choose(page, "workspace", other.key)
    page.get_by_text("selection []").wait_for()
    page.locator(f'.tile img[src*="{other.key}"]').first.wait_for()
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.unroute("**/api/**")
    press(page, "u")
    assert kept(1) == [("flag", "0", "flag")]
    assert other.ledger.count() == 0


def test_a_picture_in_two_groups_is_one_picture(visit, server, kept):
    page = visit(server, "gallery", groups="0,1,2;5,1")
    tiles = page.locator(".tile")
    tiles.nth(4).click()
    page.get_by_text("selection [1]").wait_for()
    press(page, "f")
    for state in ("selected", "flagged"):
        assert [i for i in range(5) if state in tiles.nth(i).get_attribute("class")] == [1, 4]
    assert [i for i in range(5) if "cursor" in tiles.nth(i).get_attribute("class")] == [4]
    assert page.locator(".bar").inner_text().startswith("4 pictures · 1 selected · 1 flagged")
    press(page, "u", "ArrowLeft", "x")
    assert [kind for kind, _, _ in kept(3)] == ["flag", "undo", "exclude"]
    assert kept(3)[2] == ("exclude", "1", "exclude")
    assert page.locator(".tile.flagged").count() == 0


def test_the_bar_says_how_many_of_the_pictures_are_shown(visit, server):
    page = visit(server, "gallery", rows=1)
    page.locator(".tile").nth(0).wait_for()
    shown = page.locator(".tile").count()
    assert shown < 40
    assert page.locator(".bar").inner_text().startswith(f"{shown} of 40 pictures · 0 flagged")
    page.get_by_text("every row").click()
    page.locator(".bar", has_text=re.compile("^40 pictures")).wait_for()
    assert page.locator(".tile").count() == 40
    page = visit(server, "gallery", groups="7")
    page.get_by_text("1 picture · 0 flagged").wait_for()
    title, subtitle = page.locator("header .title"), page.locator("header .soft").first
    assert title.bounding_box()["height"] == subtitle.bounding_box()["height"]  # neither wraps
    assert subtitle.evaluate("e => e.scrollWidth <= e.clientWidth")


def test_keys_work_after_the_sidebar_was_used(visit, server, kept):
    page = visit(server, "gallery")
    page.locator(".tile").nth(0).wait_for()
    choose(page, "size", "large")
    page.wait_for_function("() => document.activeElement === document.body")
    press(page, "f")
    page.get_by_role("button", name="step").click()
    press(page, "ArrowRight", "f")
    page.get_by_role("radio", name="class").click()
    press(page, "ArrowRight", "f")
    assert [subject for _, subject, _ in kept(3)] == ["0", "1", "2"]


def test_neither_header_nor_bar_covers_the_current_picture(visit, server):
    page = visit(server, "gallery")
    page.locator(".tile").nth(39).wait_for(state="attached")
    page.locator(".tile").nth(0).click()
    press(page, *["ArrowDown"] * 7)
    page.wait_for_timeout(300)
    press(page, *["ArrowUp"] * 4)
    page.wait_for_timeout(300)
    assert page.locator("[data-testid=stMain]").evaluate("e => e.scrollTop") > 0
    header, bar, tile = (page.locator(s).bounding_box() for s in ("[data-testid=stHeader]", ".bar", ".tile.cursor"))
    assert bar["y"] >= header["y"] + header["height"]
    assert tile["y"] >= bar["y"] + bar["height"]


def test_the_last_decision_is_undone_after_a_reload(visit, server, kept, workspace):
    page = visit(server, "gallery")
    page.locator(".tile").nth(0).wait_for()
    press(page, "f", "ArrowRight", "x")
    kept(2)
    excluded = workspace.ledger.latest("exclude")["1"].event_id
    page.reload()
    page.locator(".tile.excluded").wait_for()
    press(page, "u")
    assert page.locator(".tile.excluded").count() == 0
    assert "cursor" in page.locator(".tile").nth(1).get_attribute("class")
    assert page.get_by_role("button", name="Undo").is_disabled()  # until Python has looked again
    press(page, "u")
    assert kept(3)[2] == ("undo", excluded, "")
    page.locator("button:enabled", has_text="Undo").wait_for()
    press(page, "u")
    page.locator(".tile.flagged").wait_for(state="detached")
    assert [kind for kind, _, _ in kept(4)] == ["flag", "exclude", "undo", "undo"]


# -- points


def draw_lasso(page, corners) -> None:
    box = page.locator("canvas.over").bounding_box()
    spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*spots[0])
    page.mouse.down()
    for spot in [*spots[1:], spots[0]]:
        page.mouse.move(*spot, steps=5)
    page.mouse.up()


def coloured(page) -> int:
    """Pixels of the map that are no shade of grey."""
    with Image.open(io.BytesIO(page.locator(".field").screenshot())) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    return int((pixels.max(2) - pixels.min(2) > 60).sum())


LEFT_HALF = [(0.02, 0.02), (0.5, 0.02), (0.5, 0.98), (0.02, 0.98)]


def test_a_lasso_selects_and_hidden_groups_are_left_out(visit, server):
    page = visit(server, "points")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_text("40 pictures", exact=True).wait_for()
    page.wait_for_timeout(300)
    assert coloured(page) > 40 * 9  # dots of several pixels each
    draw_lasso(page, LEFT_HALF)
    # Seen: columns 0 to 3 of 8, in each of 5 rows.
    inside = [i for i in range(40) if i % 8 < 4]
    page.get_by_text(f"lassoed {inside}").wait_for()
    page.get_by_text("20 of 40 pictures in the lasso").wait_for()
    page.locator(".legend button", has_text="ant").click()
    page.get_by_text(f"lassoed {[i for i in inside if i < 20]}").wait_for()
    page.get_by_text("12 of 40 pictures in the lasso").wait_for()
    assert len([url for url in asked if ".bin" in url and "&ids" not in url]) == 1  # reruns do not fetch them again
    page.mouse.move(*[page.locator("canvas.over").bounding_box()[k] + 5 for k in ("x", "y")])
    press(page, "Escape")
    page.get_by_text("lassoed []").wait_for()


def test_a_dot_shows_its_picture(visit, server):
    page = visit(server, "points")
    page.get_by_text("40 pictures", exact=True).wait_for()
    page.wait_for_timeout(300)
    box = page.locator("canvas.over").bounding_box()
    side = 0.96 * min(box["width"], box["height"])
    spot = (box["x"] + box["width"] / 2 - side / 2, box["y"] + box["height"] / 2 + side * 4 / 14)  # of image 0
    page.mouse.move(spot[0] + 30, spot[1])
    page.mouse.move(spot[0] + 2, spot[1])
    page.locator('.tip img[src*="/thumb/0.webp"]').wait_for()


def test_a_map_says_when_it_cannot_be_drawn(visit, server, chromium):
    page = visit(server, "gallery")
    page.add_init_script("""
      const get = HTMLCanvasElement.prototype.getContext;
      HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
        return kind === "webgl2" ? null : get.call(this, kind, ...rest);
      }""")
    page.goto(page.url.replace("part=gallery", "part=points"))
    page.get_by_text("WebGL 2 is missing or switched off").wait_for()


def test_a_lost_graphics_processor_is_said_and_survived(visit, server):
    page = visit(server, "points")
    page.get_by_text("40 pictures", exact=True).wait_for()
    canvas = page.locator("canvas.dots")
    canvas.evaluate("c => { c.lost = c.getContext('webgl2').getExtension('WEBGL_lose_context'); c.lost.loseContext() }")
    page.get_by_text("was taken away").wait_for()
    canvas.evaluate("c => c.lost.restoreContext()")
    page.get_by_text("was taken away").wait_for(state="hidden")
    page.wait_for_timeout(300)
    assert coloured(page) > 40 * 9
