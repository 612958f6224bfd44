"""What the Python side of the group viewer sends to the browser, and what it makes of the answer."""

from __future__ import annotations

from mounting import decide, run

from curation.ledger import Event


def components(workspace_id):
    import pyarrow as pa
    import streamlit as st

    from curation.ui import recent
    from curation.ui.components.groups import group_viewer

    n = st.session_state.get("n", 12)
    members, edges = [], []
    for component in range(n):
        for image in (component, component + 1, component + 2)[: 3 if component == 1 else 2]:
            stays = image == component
            reason = "" if stays else f"near duplicate of image {component}"
            row = {"component": component, "image_id": image, "reference": "", "survives": stays, "reason": reason}
            members.append(row)
        for second in range(component + 1, component + (3 if component == 1 else 2)):
            edge = {"component": component, "image_a": component, "image_b": second, "reference": ""}
            edges.append(edge | {"kind": "pair" if second == component + 1 else "burst", "by": "rule"})
    shuffled = pa.Table.from_pylist(members).take(list(range(1, len(members), 2)) + list(range(0, len(members), 2)))
    workspace = recent.open_workspace(workspace_id)
    st.session_state["result"] = group_viewer(
        shuffled, pa.Table.from_pylist(edges), key="g", workspace=workspace, reviewer="anna", policy="largest", at=1
    )


def test_a_group_comes_with_its_members_links_and_who_stays(workspace):
    at, data = run(components, workspace)
    assert (data["at"], data["total"], at.session_state["result"].at) == (1, 12, 1)
    group = next(group for group in data["groups"] if group["place"] == 1)
    assert [(m["id"], m["stays"], m["reason"]) for m in group["members"]] == [
        (1, True, ""),
        (2, False, "near duplicate of image 1"),
        (3, False, "near duplicate of image 1"),
    ]
    assert [(e["subject"], e["kind"], e["by"]) for e in group["edges"]] == [
        ("1-2", "pair", "rule"),
        ("1-3", "burst", "rule"),
    ]
    ids = [member["id"] for member in group["members"]]
    assert [(ids[e["a"]], ids[e["b"]]) for e in group["edges"]] == [(1, 2), (1, 3)]


def test_only_the_groups_around_the_current_one_travel(workspace):
    _, data = run(components, workspace)
    assert [group["place"] for group in data["groups"]] == list(range(9))


def test_the_browser_names_its_group_by_a_picture(workspace):
    at, data = run(components, workspace, g={"want": {"at": 0, "anchor": ["", 11], "asked": 5}})
    assert (data["at"], data["answered"], at.session_state["result"].at) == (10, 5, 10)
    # Image 30 is in no group any more: the place counts.
    assert run(components, workspace, g={"want": {"at": 7, "anchor": ["", 30]}})[1]["at"] == 7
    assert run(components, workspace, g={"want": {"at": 99}})[1]["at"] == 11


def test_a_picture_that_is_kept_says_by_whom(workspace):
    decide(workspace, "survivor", _2="keep", _3="keep")
    decide(workspace, "survivor", _3="release")
    _, data = run(components, workspace)
    members = next(group for group in data["groups"] if group["place"] == 1)["members"]
    assert [m.get("kept") for m in members] == [None, {"by": "ben", "note": ""}, None]


def test_undo_after_a_reload_takes_back_what_was_decided_in_a_group(workspace):
    assert run(components, workspace)[1]["last"] is None
    events = [
        Event(reviewer="anna", kind="pair", subject="1-2", verdict="different", shown={"view": "group"}),
        Event(reviewer="anna", kind="pair", subject="3-4", verdict="different", shown={"view": "side"}),
        Event(reviewer="ben", kind="survivor", subject="5", verdict="keep"),
    ]
    workspace.ledger.append(events)
    last = run(components, workspace)[1]["last"]
    assert last == {"event_id": events[0].event_id, "subject": "1-2", "released": []}
    kept = Event(reviewer="anna", kind="survivor", subject="2", verdict="keep", data={"released": ["abc"]})
    workspace.ledger.append([kept])
    assert run(components, workspace)[1]["last"]["released"] == ["abc"]


def test_no_group_is_no_error(workspace):
    def nothing(workspace_id):
        from curation.survivors import resolution
        from curation.ui import recent
        from curation.ui.components.groups import group_viewer

        tables = resolution.MEMBERS.empty_table(), resolution.EDGES.empty_table()
        workspace = recent.open_workspace(workspace_id)
        group_viewer(*tables, key="g", workspace=workspace, reviewer="anna", policy="largest")

    data = run(nothing, workspace)[1]
    assert (data["groups"], data["total"]) == ([], 0)
