"""What the Python side of the pair viewer sends to the browser, and what it makes of the answer."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from mounting import run
from pictures import draw

from curation import references
from curation.images import ingest
from curation.ledger import Event
from curation.ui.components import pairs, sides
from curation.workspace import Workspace


def queue(workspace_id):
    import pyarrow as pa
    import streamlit as st

    from curation.ui import recent
    from curation.ui.components.pairs import pair_viewer

    n = st.session_state.get("n", 4)
    table = pa.table(
        {
            "image_a": pa.array([i // 19 for i in range(n)], pa.int32()),
            "image_b": pa.array([i % 19 + 2 for i in range(n)], pa.int32()),
            "reference": [""] * n,
            "subject": [f"{i // 19}-{i % 19 + 2}" for i in range(n)],
            "class_a": ["ant"] * n,
            "class_b": ["ant"] * n,
            "set_a": ["train"] * n,
            "set_b": [""] * n,
            "phash": pa.array([None, *range(9, 8 + n)], pa.int16()),
            "cosine": pa.array([float("nan"), *[0.123456] * (n - 1)], pa.float32()),
            "pixels": pa.array([1.2e8, 1.3e8, *[None] * (n - 2)], pa.float64()),
            "transform": pa.array([[1, 0, 0, 0, 1, 0], [1, 1, 0, 1, 1, 0], None, None] + [None] * (n - 4)),
            "decision": ["candidate"] * n,
        }
    )
    workspace = recent.open_workspace(workspace_id)
    st.session_state["result"] = pair_viewer(
        table, key="p", workspace=workspace, reviewer="anna", total=900, pending=800, lease=7
    )


def outside(workspace_id):
    import pyarrow as pa

    from curation.ui import recent
    from curation.ui.components.pairs import pair_viewer

    table = pa.table(
        {
            "image_a": [1, 2],
            "image_b": [0, 1],
            "reference": ["archive", "probes"],
            "subject": ["1-archive:0", "2-probes:1"],
            "class_a": ["ant", "ant"],
            "class_b": ["wasp", "probes"],
            "set_a": ["train", "train"],
            "set_b": ["archive", "probes"],
            "verdicts": pa.array(
                [[{"reviewer": "ben", "verdict": "related", "note": None}], []],
                pa.list_(pa.struct({k: pa.string() for k in ("reviewer", "verdict", "note")})),
            ),
        }
    )
    workspace = recent.open_workspace(workspace_id)
    pair_viewer(table, key="p", workspace=workspace, reviewer="anna", total=2, pending=2, finals=True)


@pytest.fixture
def compared(workspace, tmp_path):
    """The workspace with a reference set and planted probes, two pictures each."""
    for name in ("archive", "probes"):
        folder = tmp_path / "other" / name / "wasp"
        folder.mkdir(parents=True)
        for i in range(2):
            draw(500 + i).save(folder / f"copy_of_{i}.png")
        made = Workspace.create(workspace.path / "references" / name, roots={"images": folder.parent})
        ingest.read(made, workers=1)
        references.register(workspace, made.path, name=name, probes=name == "probes")
    return workspace


def test_pairs_come_with_names_and_only_measures_that_were_taken(workspace):
    at, data = run(queue, workspace)
    assert [pair["subject"] for pair in data["pairs"]] == ["0-2", "0-3", "0-4", "0-5"]
    assert [pair["measures"] for pair in data["pairs"]][:3] == [
        {"pixels": 1.2e8},
        {"pixels": 1.3e8, "phash": 9, "cosine": 0.1235},
        {"phash": 10, "cosine": 0.1235},
    ]
    right = data["pairs"][0]["right"]
    assert right == {
        "id": 2, "source": "", "name": "ant/002.jpg", "class": "ant", "set": "", "width": 48, "height": 40
    }  # fmt: skip
    assert (data["total"], data["pending"], data["lease"], data["kind"]) == (900, 800, 7, "pair")
    assert (at.session_state["result"].pending, at.session_state["result"].wants) == (800, pairs.BATCH)


def test_a_reference_set_without_images_is_no_source(workspace, tmp_path):
    (tmp_path / "none").mkdir()
    empty = Workspace.create(tmp_path / "empty", roots={"images": tmp_path / "none"})
    references.register(workspace, empty.path, name="archive")
    found = sides.Sources(workspace)
    assert list(found.sets) == list(found.images) == [""]
    assert found.lookup(["archive"], np.array([0]))("archive", 0)["name"] == ""


def test_measures_within_the_review_thresholds_are_named(workspace):
    _, data = run(queue, workspace)
    assert [pair["near"] for pair in data["pairs"]] == [["pixels"], ["phash"], ["phash"], []]


def test_a_transform_that_flattens_the_picture_is_not_drawn(workspace):
    _, data = run(queue, workspace)
    assert [pair["transform"] for pair in data["pairs"]] == [[1, 0, 0, 0, 1, 0], None, None, None]


def test_pictures_of_reference_sets_have_their_own_urls_and_names(compared):
    _, data = run(outside, compared)
    version = references.listing(compared)["archive"].version()
    assert data["images"]["archive"] == f"/img/{compared.key}/archive/{{size}}/{{id}}.webp?v={version}"
    first = data["pairs"][0]
    assert (first["right"]["source"], first["right"]["name"]) == ("archive", "wasp/copy_of_0.png")
    assert (first["right"]["class"], first["right"]["set"]) == ("wasp", "archive")
    assert first["said"] == [{"reviewer": "ben", "verdict": "related", "note": ""}]
    assert data["kind"] == "pair.final"


def test_nothing_that_is_shown_of_a_probe_gives_it_away(compared):
    _, data = run(outside, compared)
    probe = data["pairs"][1]["right"]
    told = {key: probe[key] for key in ("name", "class", "set")}
    assert (told["class"], told["set"]) == ("ant", "train")
    assert re.fullmatch(r"ant/\d{3}\.jpg", told["name"])
    assert told["name"] != data["pairs"][1]["left"]["name"]
    assert "probe" not in json.dumps(told)
    assert run(outside, compared)[1]["pairs"][1]["right"] == probe


@pytest.mark.parametrize(
    ("partner", "alike"),
    [
        ("n01440764/n01440764_3198.JPEG", r"n01440764/n\d{8}_\d{4}\.JPEG"),
        ("hat/00b8048d-635e-4e56.jpg", r"hat/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}\.jpg"),
        ("hat/blue.png", r"hat/blue_\d{3}\.png"),
    ],
)
def test_a_probes_file_name_looks_like_its_partners(partner, alike):
    name = sides.disguised({"id": 5, "name": "edited.png"}, {"name": partner, "class": "c"})["name"]
    assert re.fullmatch(alike, name)
    assert name != partner


def test_a_pair_viewer_knows_the_reviewers_last_verdict_and_what_it_was_about(workspace):
    assert run(queue, workspace)[1]["last"] is None
    events = [Event(reviewer="anna", kind="pair", subject=s, verdict="related") for s in ("0-3", "7-8")]
    workspace.ledger.append(events)
    last = run(queue, workspace)[1]["last"]
    assert (last["event_id"], last["subject"]) == (events[1].event_id, "7-8")
    assert [last["pair"][side]["id"] for side in ("left", "right")] == [7, 8]
    workspace.ledger.undo(events[1].event_id, reviewer="ben")
    assert run(queue, workspace)[1]["last"]["subject"] == "0-3"


def test_the_browser_says_how_many_pairs_it_wants(workspace):
    for rows, wanted in {230: 230, 1: pairs.BATCH, 10**9: pairs.MOST}.items():
        at, data = run(queue, workspace, p={"want": {"rows": rows, "at": 170}})
        assert (at.session_state["result"].wants, data["rows"], data["answered"]) == (wanted, wanted, 170)


def test_an_empty_queue_is_no_error(workspace):
    def nothing(workspace_id):
        import pyarrow as pa

        from curation.ui import recent
        from curation.ui.components.pairs import pair_viewer
        from curation.workspace import PAIRS

        workspace = recent.open_workspace(workspace_id)
        table = PAIRS.append(pa.field("subject", pa.string())).empty_table()
        pair_viewer(table, key="p", workspace=workspace, reviewer="anna", total=0, pending=0)

    assert run(nothing, workspace)[1]["pairs"] == []
