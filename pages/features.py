"""Extract features, and see by nearest neighbours whether they tell the pictures apart."""

import numpy as np
import streamlit as st

from curation.arrays import Features
from curation.errors import CurationError
from curation.features import backbones
from curation.ui import frame, tables
from curation.ui.components.gallery import Group, gallery

QUERIES = 8
SHOWN = 14

workspace = frame.current()
frame.title("Features", "Describe every picture by a network; check by its neighbours that the description holds")
if not workspace.images_path.is_file():
    frame.empty("No pictures yet", "Features are extracted from pictures.", "start", "Open a folder")

names = workspace.feature_names()
with st.sidebar:
    name = st.selectbox("Features", names, key="features") if names else None
    if name:
        class_name = frame.stepper("Class", tables.class_names(workspace), key="class")
    with st.expander("Extract others" if names else "Extract", expanded=not names):
        backbone = st.selectbox(
            "Backbone",
            backbones.names(),
            key="backbone",
            accept_new_options=True,
            help="Or type the name of any timm model",
        )
        if backbone in backbones.PUBLISHED:
            st.caption(backbones.PUBLISHED[backbone].feature)
        weights = st.text_input("Weights file", key="weights", placeholder="the published ones")
        dtype = st.segmented_control("Stored as", ["float16", "float32"], default="float16", required=True, key="dtype")
        new = st.text_input("Name", value=backbone.replace("/", "-").replace(":", "-"), key=f"name{backbone}")
        st.button(
            "Extract",
            type="secondary" if names else "primary",
            width="stretch",
            disabled=frame.busy(workspace, "extract"),
            on_click=frame.start_job,
            args=(workspace, "extract"),
            kwargs={"backbone": backbone, "weights": weights or None, "dtype": dtype, "name": new},
        )
    if names and not workspace.cluster_names():
        frame.following("clusters", "Next: cluster inside each class")

if name is None:
    st.text("Once they are extracted, each picture shows here beside the pictures nearest to it.")
    st.stop()

try:
    features = Features(workspace, name, check=False)
except CurationError as error:
    if frame.busy(workspace, "extract"):
        st.text("Being extracted. Each picture shows here beside its neighbours once all are done.")
    else:
        st.warning(frame.plain(str(error)))
    st.stop()
ids = tables.ids_where(workspace, class_name=class_name, status="ok")
ids = ids[np.isin(ids, features.ids)]
st.caption(
    f"{len(features):,} pictures · {features.dim:,} dimensions · {features.recipe.get('dtype', '')} · "
    f"nearest of the same class by cosine similarity"
)
if len(ids) < 2:
    st.text("This class has fewer than two pictures with features.")
    st.stop()


@st.cache_data(max_entries=64, show_spinner="Comparing")
def neighbours(path: str, name: str, version: str, class_name: str) -> list[tuple[int, list[int], list[float]]]:
    """Some pictures of a class, each with its nearest ones and their cosine similarities."""
    x = features.rows(ids)
    x /= np.linalg.norm(x, axis=1, keepdims=True) + 1e-12
    found = []
    for query in np.linspace(0, len(ids) - 1, min(QUERIES, len(ids))).astype(int):
        similarity = x @ x[query]
        similarity[query] = -2
        near = np.argsort(-similarity, kind="stable")[: min(SHOWN, len(ids) - 1)]
        found.append((int(ids[query]), ids[near].tolist(), similarity[near].tolist()))
    return found


made = f"{features.inputs_digest}{workspace.version()}"
groups, captions = [], []
for query, near, similarity in neighbours(str(workspace.path), name, made, class_name):
    path = tables.rows(workspace, np.array([query]))["path"].iloc[0]
    groups.append(Group(id=str(query), title=frame.shorten(path, 60), images=[query, *near]))
    captions += ["this one", *(f"{s:.3f}" for s in similarity)]
gallery(
    groups=groups,
    captions=captions,
    key="neighbours",
    workspace=workspace,
    reviewer=frame.reviewer(),
    rows=1,
    tile=112,
    shown={"page": "features", "features": name},
)
