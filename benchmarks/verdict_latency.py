"""Key to next pair on the screen: the pair viewer against two `st.image` and a `st.button`, in one run.

    python -m benchmarks.verdict_latency [--pairs 60] [--pause 300]

A real Chromium presses a key; the time runs from the key's own time stamp to the first frame in which both pictures of
the next pair are decoded and in the page. Every picture is new to the server and to the browser. Both ways append the
verdict to a ledger. Prints one JSON line, whose `ratio` is plain p95 / ours p95.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser

from benchmarks.serving import browser, served
from curation.images import ingest
from curation.ui import recent
from curation.workspace import Workspace

REPOSITORY = Path(__file__).resolve().parents[1]
SIDE = 768
LOST = 10_000  # ms after which a key counts as lost, with this time

APP = """
from pathlib import Path

import streamlit as st

from curation.ui.routes import lifespan, routes

app = st.App(Path(__file__).parent / "main.py", routes=routes, lifespan=lifespan)
"""
MAIN = """
import numpy as np
import pyarrow as pa
import streamlit as st

from curation.ledger import Event
from curation.ui import recent
from curation.ui.components.pairs import pair_viewer

st.set_page_config(layout="wide")
workspace = recent.open_workspace(st.query_params["w"])
first = int(st.query_params["from"]) + 2 * np.arange(int(st.query_params["n"]), dtype=np.int32)


def decide():
    at = st.session_state["at"]
    event = Event(reviewer="plain", kind="pair", subject=f"{first[at]}-{first[at] + 1}", verdict="duplicate")
    workspace.ledger.append([event])
    st.session_state["at"] = at + 1


@st.fragment
def plain():
    at = st.session_state.setdefault("at", 0)
    if at == len(first):
        return
    paths = workspace.images(["path"])["path"]
    for column, image in zip(st.columns(2), (first[at], first[at] + 1)):
        column.image(workspace.roots["pictures"] / paths[int(image)].as_py(), width="stretch")
    st.button("Duplicate", shortcut="d", on_click=decide)


if st.query_params["way"] == "plain":
    plain()
else:
    pair_viewer(pa.table({"image_a": first, "image_b": first + 1}), key="p", workspace=workspace, reviewer="ours")
"""
# Both ways are watched alike: every frame, the two largest pictures in the page (or in a component's shadow).
WATCH = """
window.shown = () => {
  const roots = [document, ...[...document.querySelectorAll("*")].map((e) => e.shadowRoot).filter(Boolean)];
  const images = roots.flatMap((root) => [...root.querySelectorAll("img")]);
  return images.filter((image) => image.getBoundingClientRect().width > 100).slice(0, 2);
};
window.addEventListener("keydown", (event) => {
  const before = window.shown().map((image) => image.src);
  window.taken = new Promise((done) => {
    const look = async () => {
      const now = window.shown();
      const next = now.length === 2 && now.every((image) => image.complete && !before.includes(image.src));
      if (!next) return requestAnimationFrame(look);
      const decoded = await Promise.all(now.map((image) => image.decode())).then(() => true, () => false);
      if (!decoded) return requestAnimationFrame(look); // replaced in the meantime
      done(performance.now() - event.timeStamp);
    };
    requestAnimationFrame(look);
  });
}, true);
"""


def make_workspace(folder: Path, pictures: int) -> str:
    """Pictures of about 150 kB each, read into a workspace that the server will know; its key."""
    (folder / "pictures" / "all").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(pictures):
        coarse = Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
        large = coarse.resize((SIDE, SIDE * 3 // 4), Image.Resampling.BICUBIC)
        large.save(folder / "pictures" / "all" / f"{i:04d}.jpg", quality=92)
    workspace = Workspace.create(folder / "workspace", roots={"pictures": folder / "pictures"})
    ingest.read(workspace)
    recent.remember(workspace)
    (folder / "app.py").write_text(APP)
    (folder / "main.py").write_text(MAIN)
    return workspace.key


def measure(chromium: Browser, url: str, presses: int, pause: int) -> np.ndarray:
    """Milliseconds from each key to the next pair."""
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    page.add_init_script(WATCH)
    page.goto(url)
    page.wait_for_function("window.shown().length === 2 && window.shown().every((i) => i.complete)")
    page.wait_for_timeout(1500)
    taken = []
    for _ in range(presses):
        page.keyboard.press("d")
        taken.append(page.evaluate(f"Promise.race([window.taken, new Promise((d) => setTimeout(d, {LOST}, {LOST}))])"))
        page.wait_for_timeout(pause)
    page.close()
    return np.array(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=60, help="pairs to go through")
    parser.add_argument("--pause", type=int, default=300, help="milliseconds between a pair and the next key")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, browser() as chromium:
        os.environ["CURATION_HOME"] = f"{name}/home"
        workspace = make_workspace(Path(name), 4 * options.pairs)
        result = {}
        with served(Path(name) / "app.py") as url:
            for way, start in {"plain": 0, "ours": 2 * options.pairs}.items():
                asked = f"{url}/?w={workspace}&n={options.pairs}&from={start}&way={way}"
                taken = measure(chromium, asked, options.pairs - 1, options.pause)
                result[way] = {f"p{p}_ms": round(float(np.percentile(taken, p)), 1) for p in (50, 95)}
    print(json.dumps(result | {"ratio": round(result["plain"]["p95_ms"] / result["ours"]["p95_ms"], 1)}))


if __name__ == "__main__":
    main()
