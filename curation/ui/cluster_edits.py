"""The clusters page's controls: choosing a clustering, mending one class, judging how many clusters it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from curation import jobs
from curation.clusters import edits
from curation.errors import CurationError
from curation.ui import charts, frame
from curation.ui.components.gallery import GalleryResult
from curation.workspace import Workspace


def choose_clustering(workspace: Workspace) -> str | None:
    """Select a clustering; make another one under More. None when there is none yet."""
    names = workspace.cluster_names()
    name = names[0] if len(names) == 1 else st.selectbox("Clustering", names, key="clustering") if names else None
    with st.expander("Cluster again" if names else "Clustering", expanded=not names):
        features = st.selectbox("Features", workspace.feature_names(), key="cluster_features")
        clusters = st.number_input("Clusters a class", 1, 64, 6, key="k")
        attributes = st.number_input("Attributes", 1, int(clusters), min(3, int(clusters)), key="a")
        seed = st.number_input("Seed", 0, 2**31 - 1, 25, key="cluster_seed")
        new = st.text_input(
            "Name", value=features if not names else f"{features}-k{clusters}", key=f"new{features}{clusters}"
        )
        st.button(
            "Cluster",
            type="secondary" if names else "primary",
            width="stretch",
            disabled=frame.busy(workspace, "cluster"),
            on_click=frame.start_job,
            args=(workspace, "cluster"),
            kwargs={
                "features": features,
                "clusters": clusters,
                "attributes": attributes,
                "seed": seed,
                "name": new.strip() or features,
            },
        )
    return name


def panel(
    workspace: Workspace,
    name: str,
    class_name: str,
    numbers: list[int],
    title: Callable[[int], str],
    result: GalleryResult,
    home: Callable[[int], int],
) -> None:
    """Move the selected pictures, or edit one cluster; every act is an event and can be undone."""
    if result.group is not None:
        st.session_state["edited"] = (name, class_name, int(result.group))
    about = (workspace, name, class_name)

    def act(edit: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        try:
            edit(*about, *args, reviewer=frame.reviewer(), **kwargs)
        except CurationError as error:
            st.session_state["edit_error"] = str(error)
        st.session_state["cluster_edits"] = st.session_state.get("cluster_edits", 0) + 1

    if message := st.session_state.pop("edit_error", None):
        st.error(frame.plain(message))
    if result.selection:
        inside = {home(image) for image in result.selection}
        numbers_but = [n for n in numbers if inside != {n}]
        with st.container(horizontal=True, vertical_alignment="bottom"):
            label = f"Move {len(result.selection):,} selected to"
            target = st.selectbox(label, numbers_but, format_func=title, key=f"move_to{class_name}")
            st.button(
                "Move",
                type="primary",
                disabled=target is None,
                on_click=lambda: act(edits.move, result.selection, to=target),
            )
    edited = st.session_state.get("edited")
    if edited and edited[:2] == (name, class_name) and edited[2] in numbers:
        _edit_one(edited[2], numbers, title, act)
    frame.undo_button(
        workspace,
        ("cluster.name", "cluster.merge", "cluster.split", "cluster.move"),
        accept=lambda event: event.subject.startswith(f"{name}/") and event.subject.split("/", 2)[2] == class_name,
    )


def _edit_one(number: int, numbers: list[int], title: Callable[[int], str], act: Callable[..., None]) -> None:
    key = f"{number}-{st.session_state.get('cluster_edits', 0)}"
    with st.container(key="edit_cluster", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.text(title(number), width="stretch")
            st.button("Close", type="tertiary", on_click=lambda: st.session_state.pop("edited", None))
        with st.container(horizontal=True, vertical_alignment="bottom"):
            present = title(number).partition(" · ")[2]
            st.text_input("Name", present, key=f"label{key}", placeholder="what these pictures share")
            st.button("Name it", on_click=lambda: act(edits.rename, number, st.session_state[f"label{key}"]))
        others = [n for n in numbers if n != number]
        with st.container(horizontal=True, vertical_alignment="bottom"):
            into = st.selectbox("Merge into", others, format_func=title, key=f"into{key}", disabled=not others)
            st.button("Merge", on_click=lambda: act(edits.merge, [number, into], into=into), disabled=not others)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            parts = st.number_input("Split into parts", 2, 12, 2, key=f"parts{key}")
            st.button("Split", on_click=lambda: act(edits.split, number, parts=int(parts)))


def quality(workspace: Workspace, recipe: dict[str, Any], class_name: str) -> None:
    """How many clusters the class would bear, and whether other seeds find the same ones; a job, on request."""
    with st.expander("How many clusters?"):
        st.button(
            "Try 2 to 10",
            help="k-means at each number; a silhouette near 1 means well apart",
            disabled=frame.busy(workspace, "sweep"),
            on_click=frame.start_job,
            args=(workspace, "sweep"),
            kwargs={"features": recipe["features"], "class": class_name, "clusters": recipe["clusters"]},
        )
        tried = [job.result for job in jobs.listing(workspace, limit=100) if job.kind == "sweep"]
        result = next((r for r in tried if r.get("class") == class_name), None)
        if result is None:
            return
        line = go.Scatter(x=result["clusters"], y=result["silhouette"], mode="lines+markers")
        figure = charts.bare(go.Figure(line.update(line_color=charts.cluster_colour(0))), 160)
        figure.update_xaxes(title="clusters", dtick=1).update_yaxes(title="silhouette")
        st.plotly_chart(figure, key="sweep_chart", config={"displayModeBar": False})
        st.caption(f"Other seeds agree to {result['stability']:.2f} (adjusted Rand index; 1 is the same clusters)")
