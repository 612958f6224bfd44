"""Many people judge at once on the real page: every verdict arrives once, and no pair is served to two of them."""

from __future__ import annotations

import os
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from PIL import Image

from curation import files, judgements, leases
from curation.images import ingest
from curation.ui import recent
from curation.workspace import PAIRS, Workspace

pytestmark = pytest.mark.browser
REPOSITORY = Path(__file__).resolve().parents[2]
PEOPLE = int(os.environ.get("CURATION_JUDGING_PEOPLE", 8))  # 20 for a full court
SECONDS = float(os.environ.get("CURATION_JUDGING_SECONDS", 5))  # 60 for a full minute
PAUSE = 400  # ms from pair to pair: nine times as fast as 1,000 an hour
IMAGES = 120

# Each page judges for itself, as fast as told, and writes down every verdict that it sends.
JUDGE = """([seconds, pause]) => {
  const host = () => [...document.querySelectorAll("*")].find((e) => e.shadowRoot?.querySelector(".pairs"));
  const send = window.fetch;
  window.sent = {};
  window.fetch = (url, options) => {
    const batch = String(url).includes("/api/") ? JSON.parse(options.body) : { events: [] };
    for (const event of batch.events) window.sent[`${batch.client}:${event.seq}`] = event.subject;
    return send(url, options);
  };
  const until = performance.now() + 1000 * seconds;
  let presses = 0;
  const step = () => {
    if (performance.now() > until) { window.finished = true; return; }
    const key = "drfe"[presses++ % 4];
    if (host()?.dataset.pair) window.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    setTimeout(step, pause);
  };
  step();
}"""
DELIVERED = (
    """() => window.finished && !Object.keys(localStorage).some((key) => key.startsWith("curation.decisions."))"""
)


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """120 small pictures, and every two of them a pair that is to be judged."""
    rng = np.random.default_rng(11)
    folder = tmp_path / "pictures" / "ant"
    folder.mkdir(parents=True)
    for i in range(IMAGES):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{i:03d}.png")
    made = Workspace.create(tmp_path / "workspace", roots={"pictures": folder.parent})
    ingest.read(made, workers=1)
    rows = [
        {"image_a": a, "image_b": b, "reference": "", "exact": False, "phash": 8, "probability": 0.5}
        | {"found_by": "phash", "decision": "candidate"}
        for a, b in combinations(range(IMAGES), 2)
    ]
    path = made.path / "duplicates" / "pairs.parquet"
    files.write_table(path, pa.Table.from_pylist(rows, schema=PAIRS))
    files.write_json(path.with_suffix(".json"), {"workspace": made.id})
    recent.remember(made)
    return made


def holders(workspace: Workspace) -> set[tuple[str, str]]:
    """Pairs that are leased, each with the person who holds it."""
    with workspace.ledger.reading() as connection:
        return {tuple(row) for row in connection.execute(sa.select(leases.leases.c.subject, leases.leases.c.holder))}


def test_many_people_judge_at_once(chromium, serve, workspace):
    app = serve(REPOSITORY / "app.py")
    contexts = [chromium.new_context(viewport={"width": 800, "height": 600}) for _ in range(PEOPLE)]
    pages = [context.new_page() for context in contexts]
    errors: list[str] = []
    try:
        for i, page in enumerate(pages):
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(f"{app.url}/duplicates?w={workspace.key}&reviewer=person-{i:02d}", wait_until="commit")
        for page in pages:
            page.locator("[data-pair]").wait_for(timeout=120_000)
        for page in pages:
            page.evaluate(JUDGE, [SECONDS, PAUSE])
        for page in pages:
            page.wait_for_function(DELIVERED, timeout=1000 * SECONDS + 60_000)
        sent = {f"person-{i:02d}": page.evaluate("() => window.sent") for i, page in enumerate(pages)}
        found = workspace.ledger.events("pair")
        held = holders(workspace)
    finally:
        for context in contexts:
            context.close()
    assert not errors
    assert min(map(len, sent.values())) >= 3  # everybody came to judge
    verdicts = {(who, event, subject) for who, events in sent.items() for event, subject in events.items()}
    assert {(e.reviewer, e.event_id, e.subject) for e in found} == verdicts
    assert max(Counter((e.reviewer, e.subject) for e in found).values()) == 1
    served = held | {(e.subject, e.reviewer) for e in found}
    assert len({who for _, who in held}) == PEOPLE
    assert max(Counter(subject for subject, _ in served).values()) == 1
    assert len(judgements.verdicts(workspace)) == len(found)
