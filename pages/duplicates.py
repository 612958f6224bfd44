"""Decide on near-duplicate pairs by keyboard; what is ruled out stays out of every split."""

import streamlit as st

from curation.duplicates import verdicts
from curation.exclusions import pairs_path
from curation.ui import frame, tables
from curation.ui.components.pairs import pair_viewer
from curation.workspace import PAIRS

MOST_FOLLOWED = 20_000
ORDERS = {"uncertain": "closest to undecided", "closest": "most alike first"}

workspace = frame.current()
frame.title("Duplicates", "Which pictures are one picture? What you rule out stays out of every split")
if not workspace.images_path.is_file():
    frame.empty("No pictures yet", "Pairs are found among pictures.", "start", "Open a folder")

found = pairs_path(workspace).is_file()
with st.sidebar:
    if found:
        order = st.selectbox("Order", list(ORDERS), format_func=ORDERS.get, key="pair_order")
        classes = [None, *tables.class_names(workspace)]
        class_name = st.selectbox("Class", classes, format_func=lambda c: c or "All classes", key="pair_class")
        across = tables.has_splits(workspace) and st.toggle(
            "Only between splits", key="across", help="Pairs whose pictures lie in different splits on disk"
        )
        frame.reviewer_field()
    with st.expander("Find again" if found else "Find pairs", expanded=not found):
        names = workspace.feature_names()
        features = st.selectbox("Features", names, key="pair_features") if names else None
        st.caption("Exact copies, perceptual hash (also of the mirror image)" + (" and cosine" if names else ""))
        st.button(
            "Find pairs",
            type="secondary" if found else "primary",
            width="stretch",
            disabled=frame.busy(workspace, "duplicates"),
            on_click=frame.start_job,
            args=(workspace, "duplicates"),
            kwargs={"features": features},
        )
if not found:
    st.text("Pairs that may be one picture show here side by side, one after the other.")
    st.stop()

pairs = verdicts.queue(workspace, order=order, class_name=class_name, between_splits=across, decided=True)
counts = verdicts.counts(workspace)
with st.sidebar:
    told = {word: counts[word] for word in ("left", *verdicts.VERDICTS) if counts[word] or word == "left"}
    st.caption(" · ".join(f"{value:,} {word}" for word, value in told.items()))
    frame.undo_button(workspace, ("pair",))
    if counts["overruled"]:
        st.caption(f"{counts['overruled']:,} against the rule")
pair_viewer(
    pairs.select([name for name in PAIRS.names if name != "found_by"]),
    key="pairs",
    workspace=workspace,
    reviewer=frame.reviewer(),
    # Joining a very long queue anew after every verdict would keep the server from everybody else.
    notify=len(pairs) < MOST_FOLLOWED,
    queue=f"{order}/{class_name}/{across}/{st.session_state.get('undone', 0)}",
    empty=(
        "Nothing to decide",
        "No pair is near enough to ask you. Every pair that was looked at is far from undecided.",
    ),
)
