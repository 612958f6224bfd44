"""Near duplicates: judge pairs by keyboard, see whole groups, know when to stop, and what leaks between splits."""

import streamlit as st

from curation.errors import CurationError
from curation.exclusions import pairs_path
from curation.ui import court, frame, leak_map, pair_search, stopping

VIEWS = {"Pairs": court.pairs, "Groups": court.groups, "When to stop": stopping.show, "Leaks": leak_map.show}

workspace = frame.current()
with st.container(horizontal=True, vertical_alignment="center", key="title_row"):
    frame.title("Duplicates", "Which pictures are one picture? What you rule out stays out of every split")
    choice = st.container(width="content")
if not workspace.images_path.is_file():
    frame.empty("No pictures yet", "Pairs are found among pictures.", "start", "Open a folder")
found = pairs_path(workspace).is_file()
if not found:
    with st.sidebar:
        pair_search.controls(workspace, found=False)
    with st.container(horizontal_alignment="center", key="empty_state"):
        st.subheader("No pairs yet", anchor=False, width="content")
        st.text("Pairs that may be one picture show here side by side, one after the other.", width="content")
        busy = frame.busy(workspace, "duplicates", "probes")
        start = {"on_click": frame.start_job, "args": (workspace, "duplicates"), "disabled": busy}
        st.button("Find pairs", type="primary", key="first_pairs", icon=":material/search:", **start)
    st.stop()

if st.session_state.get("duplicates_view") not in VIEWS:
    st.session_state["duplicates_view"] = (
        st.query_params.get("view") if st.query_params.get("view") in VIEWS else "Pairs"
    )
view = choice.segmented_control("View", list(VIEWS), required=True, key="duplicates_view", label_visibility="collapsed")
st.query_params["view"] = view
try:
    VIEWS[view](workspace)
except CurationError as error:  # the search below is what mends most of them
    st.error(frame.plain(str(error)))
with st.sidebar:
    pair_search.controls(workspace, found=True)
