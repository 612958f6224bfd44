"""Design a split while its histograms move; see what is in a saved one, and compare it with others."""

import streamlit as st

from curation.splits import recipes
from curation.ui import frame, split_design, split_view

NEW = "New split"

workspace = frame.current()
names = sorted(workspace.split_names(), key=recipes.revision_of)
with st.sidebar:
    if st.session_state.get("split_wanted") in names:  # saved a moment ago: show it
        st.session_state["split"] = st.session_state.pop("split_wanted")
    if st.session_state.get("split") not in [*names, NEW]:
        st.session_state["split"] = split_view.latest(workspace) or NEW
    name = st.selectbox("Split", [NEW, *names], key="split", persist_state="session") if names else NEW

about = "Design one; see before saving what it would contain" if name == NEW else "What a saved split contains, and why"
frame.title("Splits", about)
if not workspace.images_path.is_file():
    frame.empty("No images yet", "A split is made of images that were read in.", "images", "Read pictures in")

if name == NEW:
    split_design.show(workspace)
else:
    split_view.show(workspace, name)
    frame.following("export", "Next: export")
