"""Where pairs are searched from the Duplicates page: measures, reference sets, planted probes."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from curation import references
from curation.duplicates import probes
from curation.judgements import PROBES
from curation.ui import frame
from curation.workspace import Workspace

MEASURES = {
    "phash": "Perceptual hash",
    "cosine": "Feature cosine",
    "pixels": "Pixels",
    "dssim": "DSSIM",
    "fc7": "VGG fc7",
}
SCOPES = {
    "auto": "automatic",
    "all": "everywhere",
    "class": "inside each class",
    "splits": "only between splits",
}


def controls(workspace: Workspace, *, found: bool) -> None:
    """A search and its settings; starts jobs."""
    names = workspace.feature_names()
    with st.expander("Find again" if found else "How to search", expanded=not found):
        usual = ["phash", "cosine"] if names else ["phash"]
        chosen = st.pills(
            "Measures",
            list(MEASURES),
            selection_mode="multi",
            default=usual,
            format_func=MEASURES.get,
            key="pair_measures",
            help="Exact copies are always found. Pixels and DSSIM compare 256 × 256 pictures as ImageNetV2 did.",
        )
        features = st.selectbox("Features", names, key="pair_features") if names else None
        scope = st.selectbox(
            "Where",
            list(SCOPES),
            format_func=SCOPES.get,
            key="pair_scope",
            help="Automatic: everywhere up to 100,000 pictures, inside each class beyond",
        )
        path = st.text_input(
            "Also against",
            placeholder="Folder or workspace",
            key="pair_reference",
            help="A reference set, such as ImageNet's validation pictures. It is only read.",
        )
        wrong = path.strip() and not Path(path.strip()).is_dir()
        if wrong:
            st.caption(f":red[There is no folder {frame.plain(path.strip())}]")
        unseen = PROBES in references.paths(workspace) and not probes.searched(workspace)
        if unseen:
            st.caption("Probes are planted; the search has not looked at them yet.")
        st.button(
            "Find pairs" if found else "Find in this way",
            type="primary" if unseen else "secondary",
            width="stretch",
            disabled=not chosen or bool(wrong) or frame.busy(workspace, "duplicates", "probes"),
            on_click=frame.start_job,
            args=(workspace, "duplicates"),
            kwargs={
                "metrics": ",".join(chosen),
                "features": features,
                "scope": scope,
                "reference": path.strip() or None,
            },
        )
        _known(workspace)


def _known(workspace: Workspace) -> None:
    """Reference sets that are searched too, and the button that plants probes."""
    listed = references.paths(workspace)
    for name, path in listed.items():
        if name != PROBES:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.caption(f"against {frame.plain(name)}", help=frame.plain(path), width="stretch")
                st.button(
                    "",
                    icon=":material/close:",
                    key=f"forget_{name}",
                    type="tertiary",
                    help="Leave it out of the next search; its pictures are not touched",
                    on_click=references.forget,
                    args=(workspace, name),
                )
    st.button(
        "Plant new probes" if PROBES in listed else "Plant probes",
        width="stretch",
        disabled=frame.busy(workspace, "duplicates", "probes"),
        help="Mixes edited copies of some pictures into the pairs: they measure what the search and reviewers miss",
        on_click=frame.start_job,
        args=(workspace, "probes"),
    )
