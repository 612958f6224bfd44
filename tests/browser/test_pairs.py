"""The pair viewer in a real browser: verdicts, views, registration, notes, batches, adjudication."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from stage import press, put_up

from curation import references
from curation.images import ingest
from curation.ledger import Event
from curation.workspace import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("undone")]

MAIN = """
import numpy as np
import pyarrow as pa
import streamlit as st

from curation.ui import recent
from curation.ui.components.pairs import pair_viewer, wants

st.set_page_config(layout="wide")
asked = st.query_params
workspace = recent.open_workspace(asked["w"])
n = int(asked.get("n", 350))
first, second = (ids[:n] for ids in np.triu_indices(40, 1))
rows = [
    {"image_a": int(a), "image_b": int(b), "reference": "", "subject": f"{a}-{b}", "cosine": float(c)}
    for a, b, c in zip(first, second, np.linspace(1, 0, n))
]
LONG = 200 / 240
archive = [  # of pictures 240 wide and 200 high: mirrored; the middle three quarters; as it is
    {"image_a": 0, "image_b": 0, "transform": [-1, 0, 1, 0, 1, 0], "inliers": 40},
    {"image_a": 1, "image_b": 1, "transform": [4 / 3, 0, -1 / 6, 0, 4 / 3, -LONG / 6], "inliers": 8},
    {"image_a": 2, "image_b": 2, "transform": [1.2, 0, 0, 0, 1.2, 0], "inliers": 3},
]
if asked["part"] == "archive":
    rows = [row | {"reference": "archive", "subject": f"{row['image_a']}-archive:{row['image_b']}"} for row in archive]
said = [{"reviewer": "ben", "verdict": "related", "note": "same sofa"}, {"reviewer": "eva", "verdict": "duplicate"}]
sides = {"class_a": "ant", "class_b": "bee", "set_a": "train", "set_b": "val", "verdicts": said, "transform": None}
finals = asked["part"] == "finals"
events = workspace.ledger.events("pair.final" if finals else "pair")
taken = {event.subject for event in events} | set(st.session_state.get("gone", []))
left = [sides | row for row in rows if row["subject"] not in taken]


def take_back():
    workspace.ledger.undo(workspace.ledger.last("pair").event_id, reviewer=asked["who"])
    st.session_state["taken"] = st.session_state.get("taken", 0) + 1


def give_away():
    st.session_state["gone"] = ["0-1", "0-2"]


st.sidebar.button("take back", on_click=take_back)
st.sidebar.button("give away", on_click=give_away)
result = pair_viewer(
    pa.Table.from_pylist((left or [sides | rows[0]])[: wants("p", workspace)]).slice(0, len(left)),
    key="p",
    workspace=workspace,
    reviewer=asked["who"],
    queue=str(st.session_state.get("taken")),
    total=len(rows),
    pending=len(left),
    finals=finals,
    lease=float(asked.get("lease", 10)),
)
st.text(f"pending {result.pending}")
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """40 pictures in two classes, and a reference set with edited copies of the first three."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(5)
    edits = [ImageOps.mirror, lambda picture: picture.crop((30, 25, 210, 175)), lambda picture: picture]
    for i in range(40):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        picture = coarse.resize((240, 200), Image.Resampling.BICUBIC)
        for root, made in [("pictures", picture), *([("archive", edits[i](picture))] if i < 3 else [])]:
            kind = folder / root / ("ant" if i < 20 else "bee")
            kind.mkdir(parents=True, exist_ok=True)
            made.save(kind / f"{i:03d}.png")
    workspace = Workspace.create(folder / "workspace", roots={"pictures": folder / "pictures"})
    archive = Workspace.create(folder / "other", roots={"pictures": folder / "archive"})
    for one in (workspace, archive):
        ingest.read(one, workers=1)
    references.register(workspace, archive.path, name="archive")
    return put_up(folder, MAIN, workspace)


DECIDE = """async ([key, count]) => {
  const host = [...document.querySelectorAll("*")].find((e) => e.shadowRoot?.querySelector(".pairs"));
  const next = () => new Promise((done) => requestAnimationFrame(done));
  for (let i = 0; i < count; i++) {
    while (!host.dataset.pair) await next();
    const before = host.dataset.pair;
    window.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    while (host.dataset.pair === before) await next();
  }
}"""


def on_screen(page, subject: str) -> None:
    page.locator(f'[data-pair="{subject}"]').wait_for()


def style(page, name: str) -> str:
    return page.locator(".frames").evaluate("(e, name) => e.style.getPropertyValue(name)", name)


def brightness(page) -> float:
    """Mean of the middle of what is drawn, 0 to 255."""
    page.wait_for_timeout(100)
    with Image.open(io.BytesIO(page.locator(".frames").screenshot())) as shot:
        pixels = np.asarray(shot.convert("L"), float)
    height, width = pixels.shape
    return float(pixels[height // 4 : -height // 4, 3 * width // 8 : -3 * width // 8].mean())


# -- verdicts


def test_pairs_are_decided_by_one_key(visit, server, kept, workspace):
    page = visit(server, "pairs")
    for key, following in zip("drf4", ["0-2", "0-3", "0-4", "0-5"], strict=True):
        page.locator("[data-pair]").wait_for()
        press(page, key)
        on_screen(page, following)
    press(page, "s")
    on_screen(page, "0-6")
    press(page, "ArrowLeft", "ArrowLeft")
    on_screen(page, "0-4")
    assert page.get_by_role("button", name="Unsure").get_attribute("aria-pressed") == "true"
    press(page, "u")
    assert page.get_by_role("button", name="Unsure").get_attribute("aria-pressed") == "false"
    verdicts = ["duplicate", "related", "different", "unsure"]
    events = kept(5)
    assert events[:4] == [("pair", f"0-{i + 1}", verdict) for i, verdict in enumerate(verdicts)]
    assert events[4][0] == "undo"
    shown = workspace.ledger.events("pair")[0].shown
    assert (shown["position"], shown["measures"], shown["view"]) == (1, {"cosine": 1}, "side")
    assert shown["seconds"] >= 0


def test_a_pair_that_is_still_loading_is_not_decided(visit, server, workspace):
    page = visit(server, "pairs")
    page.locator("[data-pair]").wait_for()
    page.wait_for_timeout(1500)  # the pictures of the next twenty are there
    page.route("**/img/**", lambda route: None)  # never answered
    press(page, *["f"] * 60)
    page.wait_for_timeout(1500)
    decided = [e.subject for e in workspace.ledger.events("pair")]
    assert 20 <= len(decided) < 60
    assert len(set(decided)) == len(decided)
    press(page, *["f"] * 5)
    page.wait_for_timeout(600)
    assert len(workspace.ledger.events("pair")) == len(decided)


def test_typing_a_note_decides_nothing_and_it_goes_with_the_verdict(visit, server, kept, workspace):
    page = visit(server, "pairs")
    on_screen(page, "0-1")
    press(page, "n")
    page.keyboard.type("drfe cropped? no, u")
    press(page, "Escape", "n")
    page.keyboard.type("a crop, r and c")
    press(page, "Enter")
    page.get_by_text("“a crop, r and c”").wait_for()
    press(page, "d")
    on_screen(page, "0-2")
    page.get_by_text("“a crop, r and c”").wait_for(state="detached")
    press(page, "r")
    on_screen(page, "0-3")
    press(page, "ArrowLeft", "n")
    page.keyboard.type("after the fact")
    press(page, "Enter")
    assert kept(3) == [("pair", "0-1", "duplicate"), ("pair", "0-2", "related"), ("pair", "0-2", "related")]
    assert [e.note for e in workspace.ledger.events("pair")] == ["a crop, r and c", "", "after the fact"]
    press(page, "u", "u")  # the note, then the verdict
    assert [kind for kind, _, _ in kept(5)[3:]] == ["undo", "undo"]
    on_screen(page, "0-2")
    assert page.get_by_role("button", name="Related").get_attribute("aria-pressed") == "false"


def test_contested_pairs_are_settled_with_what_others_said_in_sight(visit, server, kept):
    page = visit(server, "finals", n=3)
    on_screen(page, "0-1")
    assert page.locator(".said").inner_text().replace("\n", " ") == "ben Related“same sofa” eva Duplicate"
    press(page, "d")
    on_screen(page, "0-2")
    press(page, "u")
    on_screen(page, "0-1")
    press(page, "f")
    assert [e[:3] for e in kept(3) if e[0] != "undo"] == [
        ("pair.final", "0-1", "duplicate"),
        ("pair.final", "0-1", "different"),
    ]


# -- views


def test_views_are_switched_and_a_held_key_is_a_short_look(visit, server):
    page = visit(server, "pairs")
    page.locator("[data-pair]").wait_for()
    frames = page.locator(".frames")
    for key, view in {"v": "difference", "o": "onion", "b": "blink"}.items():
        press(page, key)
        assert frames.get_attribute("data-view") == view
    press(page, "s")
    on_screen(page, "0-2")
    assert frames.get_attribute("data-view") == "blink"  # kept from pair to pair
    press(page, "b")
    assert frames.get_attribute("data-view") == "side"
    page.keyboard.down("v")
    page.wait_for_timeout(400)
    page.keyboard.up("v")
    assert frames.get_attribute("data-view") == "side"
    press(page, "]", "]")
    assert (frames.get_attribute("data-view"), style(page, "--onion")) == ("onion", "0.7")
    room = page.evaluate("() => { const m = document.querySelector('[data-testid=stMain]'); return m.clientHeight }")
    assert page.locator(".foot").bounding_box()["y"] < room


def test_both_pictures_are_zoomed_and_moved_in_step(visit, server):
    page = visit(server, "pairs")
    page.locator("[data-pair]").wait_for()
    press(page, "z")
    assert style(page, "--zoom") == "3"
    press(page, "Shift+ArrowRight", "Shift+ArrowDown")
    assert (style(page, "--x"), style(page, "--y")) == ("-12%", "-12%")
    matrices = page.locator(".layer").evaluate_all("all => all.map((e) => getComputedStyle(e).transform)")
    assert len(set(matrices)) == 1
    press(page, "+")
    assert style(page, "--zoom") == "4.5"
    press(page, "0")
    assert (style(page, "--zoom"), style(page, "--x")) == ("1", "0%")
    page.locator(".frame").nth(1).hover()
    page.mouse.wheel(0, -400)
    assert float(style(page, "--zoom")) > 1
    press(page, "s")
    on_screen(page, "0-2")
    assert style(page, "--zoom") == "1"


def test_the_left_picture_is_laid_where_it_lies_in_the_right_one(visit, server, kept, workspace):
    page = visit(server, "archive")
    for subject in ("0-archive:0", "1-archive:1"):  # mirrored, then cropped
        on_screen(page, subject)
        assert "archive" in page.locator(".frame img").nth(1).get_attribute("src")
        if subject.startswith("0"):
            press(page, "v")
        aligned = brightness(page)
        press(page, "a")
        apart = brightness(page)
        assert aligned < 10 < 20 < apart
        press(page, "a", "+")
        assert brightness(page) < 10  # zoomed in step with what it is laid over
        press(page, "0", "d")
    on_screen(page, "2-archive:2")  # three points prove nothing: not aligned unless asked for
    assert page.get_by_role("button", name="Aligned").get_attribute("aria-pressed") == "false"
    for view in "ob":
        press(page, view)
        assert page.locator(".frames.aligned").count() == 0
    press(page, "a")
    assert page.locator(".frames.aligned").count() == 1
    kept(2)
    assert [e.shown["aligned"] for e in workspace.ledger.events("pair")] == [True, True]


# -- supply


def test_a_long_queue_arrives_in_batches_without_what_others_decided(visit, server, kept, workspace):
    page = visit(server, "pairs")
    page.locator("[data-pair]").wait_for()
    first, second = np.triu_indices(40, 1)
    subjects = [f"{a}-{b}" for a, b in zip(first[:350], second[:350], strict=True)]
    workspace.ledger.append([Event(reviewer="ben", kind="pair", subject=subjects[140], verdict="related")])
    page.evaluate(DECIDE, ["f", 160])
    decided = [subject for _, subject, _ in kept(160, 30)]
    assert decided == [s for s in subjects if s != subjects[140]][:160]
    page.get_by_text("pending 189").wait_for()
    page.get_by_text("161 of 350").wait_for()


def test_a_finished_queue_says_so_and_skipped_pairs_come_back(visit, server, kept):
    page = visit(server, "pairs", n=3)
    page.locator("[data-pair]").wait_for()
    for key in "dsd":
        page.evaluate(DECIDE, [key, 1])
    page.get_by_text("1 skipped").wait_for()
    page.get_by_role("button", name="Look at them again").click()
    on_screen(page, "0-2")
    press(page, "e")
    page.get_by_text("Every pair is decided").wait_for()
    assert [e[1:] for e in kept(3)] == [("0-1", "duplicate"), ("0-3", "duplicate"), ("0-2", "unsure")]
    press(page, "u")
    on_screen(page, "0-2")


def test_pairs_that_went_to_others_are_told_of_and_no_verdict_is_lost(visit, server, kept):
    page = visit(server, "pairs", n=6)
    on_screen(page, "0-1")
    press(page, "s")
    on_screen(page, "0-2")
    page.get_by_role("button", name="give away").click()
    on_screen(page, "0-3")
    page.get_by_text("2 pairs were decided or taken by others").wait_for()
    press(page, "d")
    on_screen(page, "0-4")
    assert kept(1) == [("pair", "0-3", "duplicate")]


def test_after_a_long_pause_pairs_are_checked_before_they_are_decided(visit, server, kept):
    page = visit(server, "pairs", n=6, lease=0.02)  # 1.2 seconds
    on_screen(page, "0-1")
    page.wait_for_timeout(1500)
    press(page, "d")
    page.get_by_text("Looking whether these pairs are still yours").wait_for()
    page.get_by_text("Looking whether these pairs are still yours").wait_for(state="detached")
    on_screen(page, "0-1")
    press(page, "d")
    on_screen(page, "0-2")
    assert kept(1) == [("pair", "0-1", "duplicate")]


# -- undo


def test_a_verdict_taken_back_elsewhere_comes_back_without_it(visit, server, kept, workspace):
    page = visit(server, "pairs")
    page.locator("[data-pair]").wait_for()
    page.evaluate(DECIDE, ["d", 2])
    page.get_by_text("pending 348").wait_for()
    first, second = workspace.ledger.events("pair")
    page.get_by_role("button", name="take back").click()
    on_screen(page, "0-2")
    page.get_by_text("1 of 350").wait_for()
    assert page.get_by_role("button", name="Duplicate").get_attribute("aria-pressed") == "false"
    press(page, "u")
    on_screen(page, "0-1")
    assert [e[:2] for e in kept(4)[2:]] == [("undo", second.event_id), ("undo", first.event_id)]


def test_the_last_verdict_is_undone_after_a_reload(visit, server, kept, workspace):
    page = visit(server, "pairs")
    page.locator("[data-pair]").wait_for()
    page.evaluate(DECIDE, ["d", 2])
    kept(2)
    second = workspace.ledger.latest("pair")["0-2"].event_id
    page.reload()
    on_screen(page, "0-3")
    press(page, "u")
    on_screen(page, "0-2")
    press(page, "r")
    on_screen(page, "0-3")
    assert kept(4)[2:] == [("undo", second, ""), ("pair", "0-2", "related")]
