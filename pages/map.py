"""The whole workspace in two dimensions: lasso a region, see its pictures, flag them."""

import numpy as np
import streamlit as st

from curation.ui import charts, frame, tables
from curation.ui.components import points, scatter
from curation.ui.components.gallery import gallery

MOST_PLOTLY = 10_000
MOST_SHOWN = 600

workspace = frame.current()
frame.title("Map", "Lasso a region, see its pictures, flag what does not belong")
if not workspace.feature_names():
    frame.empty("No features yet", "A map is a layout of features.", "features", "Extract features")

names = workspace.map_names()
with st.sidebar:
    name = st.selectbox("Map", names, key="map") if names else None
    colours = ["class", *(f"cluster:{n}" for n in workspace.cluster_names())]
    colours += ["split"] if tables.has_splits(workspace) else []
    colour = st.selectbox("Colour", colours, format_func=lambda c: c.replace("cluster:", "cluster · "), key="colour")
    size = st.select_slider("Size", (72, 96, 128, 176), value=96, key="map_tile", persist_state="session")
    with st.expander("Another map" if names else "New map", expanded=not names):
        features = st.selectbox("Features", workspace.feature_names(), key="map_features")
        method = st.segmented_control("Method", ["tsne", "umap"], default="tsne", required=True, key="method")
        classes = tables.class_names(workspace)
        only = st.selectbox("Of", [None, *classes], format_func=lambda c: c or "all classes", key="map_class")
        st.button(
            "Lay out",
            type="secondary" if names else "primary",
            width="stretch",
            disabled=frame.busy(workspace, "map"),
            on_click=frame.start_job,
            args=(workspace, "map"),
            kwargs={"features": features, "method": method, "class": only},
        )
if name is None:
    st.text("The map will show here: a dot a picture, similar pictures side by side.")
    st.stop()

drawn = scatter.scatter(workspace, name, colour)
left, right = st.columns([3, 2], gap="medium")
with left:
    if len(drawn.ids) <= MOST_PLOTLY:
        figure = charts.points(
            drawn.x,
            drawn.y,
            drawn.ids,
            drawn.group,
            drawn.labels,
            charts.CLUSTER_COLOURS,
            height=640,
            legend=len(drawn.labels) > 1,
        )
        event = st.plotly_chart(
            figure,
            key="plotly_map",
            on_select="rerun",
            selection_mode=["lasso", "box"],
            config={"displaylogo": False, "scrollZoom": True, "modeBarButtonsToRemove": ["toImage"]},
        )
        polygons = [np.array([a["x"], a["y"]]).T for a in event.selection.lasso]
        polygons += [np.array([a["x"], a["y"]]).T[[0, 0, 1, 1]] for a in event.selection.box]
        for box in polygons[len(event.selection.lasso) :]:
            box[[1, 3], 1] = box[[3, 1], 1]
        inside = np.zeros(len(drawn.ids), bool)
        for polygon in polygons:
            inside |= scatter.inside(drawn.x, drawn.y, polygon)
        ids = drawn.ids[inside]
    else:
        ids = points.points_map(workspace, name, key="points_map", colour=colour, height=640).ids
with right:
    if not len(ids):
        st.text("Draw around some points: their pictures appear here.")
        st.stop()
    st.text(
        f"{len(ids):,} pictures in the lasso" + (f", the first {MOST_SHOWN} shown" if len(ids) > MOST_SHOWN else "")
    )
    gallery(
        ids[:MOST_SHOWN],
        key="lassoed",
        workspace=workspace,
        reviewer=frame.reviewer(),
        tile=size,
        height=600,
        shown={"page": "map", "map": name, "lassoed": len(ids)},
    )
