"""The group viewer in a real browser: keeping, cutting, undoing, moving, and long groups."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from stage import press, put_up

from curation import references
from curation.images import ingest
from curation.workspace import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("undone")]

# Groups of 4 (a chain with a burst link at its end), 2 (with a picture of a reference set), 2 and 2; or one of 396.
MAIN = """
import streamlit as st
import pyarrow as pa

from curation.survivors.resolution import EDGES, MEMBERS
from curation.ui import recent
from curation.ui.components.groups import group_viewer

st.set_page_config(layout="wide")
asked = st.query_params
workspace = recent.open_workspace(asked["w"])
sizes = [396] if asked["part"] == "giant" else [4, 2, 2, 2]
members, edges, first = [], [], 0
for component, size in enumerate(sizes):
    for image in range(first, first + size):
        stays = image == first
        reason = "" if stays else f"near duplicate of image {first}"
        row = {"component": component, "image_id": image % 40, "reference": "", "survives": stays, "reason": reason}
        members.append(row if size < 40 else row | {"image_id": image})
    for a in range(first, first + size - 1):
        kind = "burst" if (size, a) == (4, 2) else "pair"
        edge = {"component": component, "image_a": a, "image_b": a + 1, "reference": "", "kind": kind, "by": "rule"}
        edges.append(edge)
    first += size
if len(sizes) > 1:
    members.append({"component": 1, "image_id": 0, "reference": "archive", "survives": True, "reason": ""})
    outside = {"component": 1, "image_a": 4, "image_b": 0, "reference": "archive", "kind": "pair", "by": "eva"}
    edges.append(outside)
cut = {event.subject for event in workspace.ledger.events("pair")}
edges = [e for e in edges if e["reference"] or f"{e['image_a']}-{e['image_b']}" not in cut]
tables = [pa.Table.from_pylist(rows, schema=s) for rows, s in ((members, MEMBERS), (edges, EDGES))]
result = group_viewer(*tables, key="g", workspace=workspace, reviewer=asked["who"], policy="the largest picture")
st.sidebar.text(f"at {result.at}")
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """400 small pictures, the first the largest, and a reference set of one picture."""
    folder = tmp_path_factory.mktemp("groups")
    rng = np.random.default_rng(9)
    for root, count in (("pictures", 400), ("archive", 1)):
        (folder / root / "ant").mkdir(parents=True)
        for i in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            made = coarse.resize((460 - i, 40), Image.Resampling.NEAREST)
            made.save(folder / root / "ant" / f"{i:03d}.png")
    workspace = Workspace.create(folder / "workspace", roots={"pictures": folder / "pictures"})
    archive = Workspace.create(folder / "other", roots={"pictures": folder / "archive"})
    for one in (workspace, archive):
        ingest.read(one, workers=1)
    references.register(workspace, archive.path, name="archive")
    return put_up(folder, MAIN, workspace)


def at(page, place: int) -> None:
    page.locator(f'[data-group="{place}"]').wait_for()
    page.locator(".tile").first.wait_for()


def having(page, state: str) -> list[int]:
    """Places of the tiles in this state, as far as they are drawn."""
    found = page.locator(f".tile.{state}").evaluate_all("all => all.map((e) => Number(e.dataset.i))")
    return sorted(found)


def test_another_picture_is_kept_with_a_reason_and_the_former_is_let_go(visit, server, kept, workspace):
    page = visit(server, "few")
    at(page, 0)
    assert (having(page, "stays"), having(page, "gone")) == ([0], [1, 2, 3])
    press(page, "ArrowRight", "k")
    assert (having(page, "stays"), having(page, "gone")) == ([1], [0, 2, 3])
    assert page.locator(".tile.stays .word").inner_text() == "kept"
    press(page, "ArrowRight", "n")
    page.keyboard.type("sharper, x and k")
    press(page, "Enter", "k")
    assert having(page, "stays") == [2]
    events = [("survivor", "1", "keep"), ("survivor", "1", "release"), ("survivor", "2", "keep")]
    assert kept(3) == events
    assert workspace.ledger.latest("survivor")["2"].note == "sharper, x and k"
    page.locator(".why", has_text="sharper, x and k").wait_for()
    press(page, "u")
    assert having(page, "stays") == [1]
    assert [kind for kind, _, _ in kept(5)[3:]] == ["undo", "undo"]
    assert workspace.ledger.latest("survivor")["1"].verdict == "keep"
    press(page, "ArrowLeft", "k")  # once more: the policy chooses
    assert kept(6)[5] == ("survivor", "1", "release")


def test_a_link_is_cut_between_two_marked_pictures(visit, server, kept, workspace):
    page = visit(server, "few")
    at(page, 0)
    press(page, "ArrowRight", "ArrowRight", "x")  # linked with two: which is meant?
    page.get_by_text("Mark two linked pictures").wait_for()
    press(page, "Space", "ArrowLeft", "ArrowLeft", "Space", "x")
    page.get_by_text("No link joins these two directly").wait_for()
    press(page, "Escape", "Space", "ArrowRight", "Space", "x")
    page.get_by_text("Cut into 1 and 3 pictures").wait_for()
    assert kept(1) == [("pair", "0-1", "different")]
    assert workspace.ledger.events("pair")[0].shown["view"] == "group"
    press(page, "ArrowRight", "ArrowRight", "x")
    page.get_by_text("The same upload links these two").wait_for()
    page.wait_for_timeout(1800)  # Python has seen it
    press(page, "u")
    assert kept(2)[1][0] == "undo"
    page.get_by_text("Cut into 2 groups").wait_for(state="detached")


def test_nothing_is_kept_beside_a_picture_of_a_reference_set(visit, server, kept):
    page = visit(server, "few")
    at(page, 0)
    press(page, "j")
    at(page, 1)
    assert page.locator(".badge", has_text="archive").count() == 1
    press(page, "ArrowLeft", "ArrowLeft", "k")
    page.get_by_text("Nothing of ours stays beside a picture of archive: cut").wait_for()
    first = page.locator(".tile", has_text="004").get_attribute("data-i")
    page.locator(".tile", has_text="004").click()
    page.locator(".tile", has=page.locator(".badge", has_text="archive")).click()
    press(page, "x")
    assert kept(1) == [("pair", "4-archive:0", "different")]
    page.locator(".tile", has_text="004").click()
    press(page, "k")
    assert kept(2)[1] == ("survivor", "4", "keep")
    assert int(first) in having(page, "stays")


def test_groups_are_gone_through_and_undo_finds_its_way_back(visit, server, kept):
    page = visit(server, "few")
    at(page, 0)
    press(page, "ArrowRight", "k", "j", "j")
    at(page, 2)
    page.get_by_text("at 2").wait_for()
    press(page, "Shift+J")
    at(page, 1)
    kept(1)
    press(page, "u")
    at(page, 0)
    assert kept(2)[1][0] == "undo"
    assert having(page, "stays") == [0]
    press(page, "k")
    kept(3)
    page.reload()
    at(page, 0)
    page.locator("button:enabled", has_text="Undo").click()
    assert kept(4)[3][0] == "undo"


def test_of_a_giant_group_only_what_is_in_sight_is_drawn_and_its_weakest_link_is_found(visit, server, kept):
    page = visit(server, "giant")
    at(page, 0)
    page.get_by_text("396 pictures hang together").wait_for()
    assert page.locator(".tile").count() < 120
    press(page, "w")
    page.get_by_text("holds 198 and 198 pictures together").wait_for()
    assert having(page, "chosen") == [197, 198]
    assert page.locator(".tile").count() < 120
    press(page, "z")
    assert page.locator("dialog.large[open] img").count() == 2
    press(page, "Escape", "x")
    page.get_by_text("Cut into 198 and 198 pictures").wait_for()
    assert kept(1) == [("pair", "197-198", "different")]
    press(page, *["ArrowDown"] * 80)
    assert having(page, "cursor") == [395]
    box, wall = page.locator(".tile.cursor").bounding_box(), page.locator(".wall").bounding_box()
    assert wall["y"] <= box["y"]
    assert box["y"] + box["height"] <= wall["y"] + wall["height"] + 1
