"""What the Python side of each component sends to the browser, and what it makes of the answer."""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from curation import files
from curation.errors import ArgumentError
from curation.ledger import Event
from curation.ui.components import base, gallery, pairs, points, scatter
from curation.workspace import MAPS


def run(script, workspace, **state) -> tuple[AppTest, dict]:
    """Run a script that mounts one component; the session after it and the data that was sent.

    `state` holds what the browser set before, by the component's key; `n` is the script's own.
    """
    at = AppTest.from_function(script, args=(workspace.key,), default_timeout=20)
    for key, value in state.items():
        at.session_state[key if key == "n" else f"{key}-{workspace.key}"] = value
    at.run()
    assert not at.exception, at.exception
    return at, json.loads(at.get("bidi_component")[0].proto.json)


def decide(workspace, kind: str, **verdicts: str) -> None:
    """Verdicts by subject; `_` stands for the dash of a pair and is not needed at the start of a number."""
    events = [
        Event(reviewer="ben", kind=kind, subject=subject.strip("_").replace("_", "-"), verdict=verdict)
        for subject, verdict in verdicts.items()
    ]
    workspace.ledger.append(events)


# -- gallery


def plain_gallery(workspace_id):
    import streamlit as st

    from curation.ui import recent
    from curation.ui.components.gallery import gallery

    workspace = recent.open_workspace(workspace_id)
    st.session_state["result"] = gallery([15, 3, 4], key="g", workspace=workspace, reviewer="anna")


def grouped_gallery(workspace_id):
    import numpy as np
    import streamlit as st

    from curation.ui import recent
    from curation.ui.components.gallery import gallery

    groups = [
        {"id": "a", "title": "<b>A</b>", "images": np.array([2, 1], np.int32)},
        {"title": "none", "images": []},
        {"id": "c", "action": "Open", "images": (9,)},
    ]
    workspace = recent.open_workspace(workspace_id)
    st.session_state["result"] = gallery(
        groups=groups, key="g", workspace=workspace, reviewer="anna", captions=["x", "y", "x"], rows=1
    )


def test_a_gallery_sends_ids_captions_and_marks(workspace):
    decide(workspace, "flag", _3="flag", _4="flag", _7="flag")
    decide(workspace, "flag", _4="clear")
    decide(workspace, "exclude", _15="exclude")
    _, data = run(plain_gallery, workspace)
    assert data["ids"] == [15, 3, 4]
    assert [data["words"][c] for c in data["captions"]] == ["bee", "ant", "ant"]
    assert (data["flagged"], data["excluded"], data["position"]) == ([3], [15], 5)
    assert data["groups"] == [{"id": "0", "start": 0, "end": 3}]
    assert data["urls"]["events"] == f"/api/{workspace.key}/events"
    assert workspace.version() in data["urls"]["image"]


def test_groups_become_spans_of_one_list(workspace):
    _, data = run(grouped_gallery, workspace)
    assert data["ids"] == [2, 1, 9]
    assert data["groups"] == [
        {"id": "a", "title": "<b>A</b>", "start": 0, "end": 2},
        {"id": "1", "title": "none", "start": 2, "end": 2},
        {"id": "c", "action": "Open", "start": 2, "end": 3},
    ]
    assert (data["words"], data["captions"]) == (["x", "y"], [0, 1, 0])


def test_only_pictures_that_are_shown_count_as_selected(workspace):
    at, _ = run(plain_gallery, workspace, g={"selection": [4, 99, 3, 4]})
    assert at.session_state["result"].selection == [4, 3]
    assert at.session_state["result"].group is None
    assert at.session_state["result"].saved is False


def test_what_another_workspace_selected_is_not_selected_here(workspace):
    at, _ = run(plain_gallery, workspace)
    at.session_state["g-000000000000"] = {"selection": [4]}
    assert at.run().session_state["result"].selection == []


def test_a_gallery_knows_the_reviewers_last_decision_among_its_pictures(workspace):
    assert run(plain_gallery, workspace)[1]["last"] is None
    for subject, who in {"4": "anna", "3": "ben"}.items():
        workspace.ledger.append([Event(reviewer=who, kind="exclude", subject=subject, verdict="exclude")])
    mine = workspace.ledger.latest("exclude")["4"].event_id
    last = run(plain_gallery, workspace)[1]["last"]
    assert last == {"event_id": mine, "subject": "4", "kind": "exclude", "verdict": "exclude"}
    workspace.ledger.append([Event(reviewer="anna", kind="flag", subject="7", verdict="flag")])  # not in the gallery
    assert run(plain_gallery, workspace)[1]["last"] is None


@pytest.mark.parametrize("wrong", [{"decide": ["delete"]}, {"captions": ["one"]}, {"captions": "size"}])
def test_a_gallery_says_what_it_cannot_do(workspace, wrong):
    with pytest.raises(ArgumentError):
        gallery.gallery([1, 2], key="g", workspace=workspace, reviewer="anna", **wrong)


# -- pairs


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
            "phash": pa.array([None, *range(1, n)], pa.int16()),
            "cosine": pa.array([float("nan"), *[0.123456] * (n - 1)], pa.float32()),
            "exact": pa.nulls(n, pa.bool_()),
            "decision": ["candidate"] * n,
        }
    )
    workspace = recent.open_workspace(workspace_id)
    st.session_state["result"] = pair_viewer(table, key="p", workspace=workspace, reviewer="anna")


def test_pairs_come_with_names_and_only_measures_that_were_taken(workspace):
    at, data = run(queue, workspace)
    assert (data["a"], data["b"]) == ([0, 0, 0, 0], [2, 3, 4, 5])
    assert data["measures"] == {"phash": [None, 1, 2, 3], "cosine": [None, 0.1235, 0.1235, 0.1235]}
    word, path, width, height = data["images"]["2"]
    assert (data["words"][word], path, width, height) == ("ant", "ant/002.jpg", 48, 40)
    assert (data["total"], data["pending"], at.session_state["result"].pending) == (4, 4, 4)


def test_decided_pairs_are_left_out_and_come_back_when_undone(workspace):
    decide(workspace, "pair", _0_3="related", _0_4="duplicate")
    _, data = run(queue, workspace)
    assert (data["b"], data["total"], data["pending"]) == ([2, 5], 4, 2)
    first = workspace.ledger.events("pair")[0]
    workspace.ledger.undo(first.event_id, reviewer="ben")
    assert run(queue, workspace)[1]["b"] == [2, 3, 5]


def test_a_pair_viewer_knows_the_reviewers_last_verdict_in_the_queue(workspace):
    events = [Event(reviewer="anna", kind="pair", subject=s, verdict="related") for s in ("0-3", "7-8")]
    workspace.ledger.append(events)
    assert run(queue, workspace)[1]["last"] is None  # 7-8 is not in this queue
    workspace.ledger.undo(events[1].event_id, reviewer="ben")
    last = {"event_id": events[0].event_id, "subject": "0-3", "kind": "pair", "verdict": "related"}
    assert run(queue, workspace)[1]["last"] == last


def test_the_browser_gets_as_many_pairs_as_it_asks_for(workspace):
    assert len(run(queue, workspace, n=350)[1]["a"]) == pairs.BATCH
    assert len(run(queue, workspace, n=350, p={"want": {"rows": 230, "at": 170}})[1]["a"]) == 230
    assert len(run(queue, workspace, n=350, p={"want": {"rows": 1, "at": 0}})[1]["a"]) == pairs.BATCH


def test_an_empty_queue_is_no_error(workspace):
    empty = pa.table({"image_a": pa.array([], pa.int32()), "image_b": pa.array([], pa.int32())})
    assert pairs.pending(workspace, empty).num_rows == 0
    assert pairs._batch(workspace, empty)["images"] == {}


# -- points


def map_of_seven(workspace_id):
    import streamlit as st

    from curation.ui import recent
    from curation.ui.components.points import points_map

    st.session_state["result"] = points_map(recent.open_workspace(workspace_id), "m", key="m")


@pytest.fixture
def mapped(workspace):
    ids = np.array([0, 1, 2, 5, 9, 14, 20], np.int32)
    table = pa.table({"image_id": ids, "x": np.arange(7.0), "y": np.arange(7.0)}).cast(MAPS)
    files.write_table(workspace.path / "maps" / "m.parquet", table)
    return workspace


def lasso(workspace, *, hidden=(), name="m"):
    square = [[0.3, 0.3], [0.9, 0.3], [0.9, 0.9], [0.3, 0.9]]  # of a map from 0 to 6: 1.8 to 5.4
    return {"lasso": {"map": f"{workspace.key}/{name}", "polygon": square, "hidden": list(hidden)}}


def test_a_map_sends_urls_and_a_legend(mapped):
    at, data = run(map_of_seven, mapped)
    assert data["points"].startswith(f"/points/{mapped.key}/m.bin?colour=class&v=")
    assert (data["labels"], data["counts"], data["count"]) == (["ant", "bee"], [5, 2], 7)
    assert len(data["palette"]) == 2
    assert at.session_state["result"].lasso is None
    assert len(at.session_state["result"].ids) == 0


def test_a_lasso_gives_the_ids_inside_it(mapped):
    at, _ = run(map_of_seven, mapped, m=lasso(mapped))
    result = at.session_state["result"]
    assert result.ids.tolist() == [2, 5, 9, 14]
    assert result.ids.dtype == np.int32
    assert np.allclose(result.lasso[0], [1.8, 1.8])


def test_hidden_groups_are_not_lassoed_and_neither_is_another_map(mapped):
    result = run(map_of_seven, mapped, m=lasso(mapped, hidden=["bee", "wasp"]))[0].session_state["result"]
    assert (result.ids.tolist(), result.hidden) == ([2, 5, 9], ["bee"])
    assert len(run(map_of_seven, mapped, m=lasso(mapped, name="other"))[0].session_state["result"].ids) == 0


def test_groups_have_colours_of_their_own_and_no_group_is_grey():
    few = points.group_colours(["cluster 0", "cluster 1", scatter.NO_GROUP])
    assert few == [points.PALETTE[0], points.PALETTE[1], points.GREY]
    many = points.group_colours([f"class {i}" for i in range(254)] + ["9 smaller groups"])
    assert many[-1] == points.GREY
    assert len(set(many[:60])) == 60
    assert all(re.fullmatch("#([0-9a-f]{2}){3,4}", colour) for colour in many)


def test_a_repeated_word_is_sent_once():
    assert base.codes(pa.chunked_array([["a", "b"], ["a"]])) == (["a", "b"], [0, 1, 0])
