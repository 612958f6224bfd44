"""Design a generalised long-tail split while its histograms move; see what is in a saved one."""

import streamlit as st

from curation.ui import frame, split_design, split_view

NEW = "New split"

workspace = frame.current()
frame.title("Splits", "Carve train, val and tests; see before saving what each would contain")
if not workspace.cluster_names():
    frame.empty("No clusters yet", "Attributes come from clusters inside each class.", "clusters", "Cluster")

names = workspace.split_names()
with st.sidebar:
    if st.session_state.get("split_wanted") in names:  # saved a moment ago: show it
        st.session_state["split"] = st.session_state.pop("split_wanted")
    if st.session_state.get("split") not in [*names, NEW]:
        st.session_state["split"] = names[0] if names else NEW
    name = st.selectbox("Split", [*names, NEW], key="split", persist_state="session") if names else NEW

if name == NEW:
    split_design.show(workspace)
else:
    split_view.show(workspace, name)
    frame.following("export", "Next: export")
