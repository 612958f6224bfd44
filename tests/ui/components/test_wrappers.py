"""What the Python side of each component sends to the browser, and what it makes of the answer."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from mounting import decide, run
from paired import build

from curation import files
from curation.errors import ArgumentError
from curation.ledger import Event
from curation.ui.components import base, gallery, points, scatter
from curation.workspace import MAPS, Workspace

# -- rows of images


def test_reference_sets_do_not_push_each_other_out_of_memory(tmp_path, monkeypatch):
    asked, images = [], Workspace.images
    monkeypatch.setattr(Workspace, "images", lambda self, columns: asked.append(self.path) or images(self, columns))
    made = [build(tmp_path / str(i), 2) for i in range(9)]
    for _ in range(2):
        assert all(base.image_rows(one, [1])["path"].to_pylist() == ["a/1.jpg"] for one in made)
    assert asked == [one.path for one in made]


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
