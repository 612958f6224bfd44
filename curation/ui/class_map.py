"""The map and the silhouettes of one class, beside its clusters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import streamlit as st

from curation import files
from curation.errors import CurationError
from curation.files import slug
from curation.ui import charts, frame, tables
from curation.workspace import Workspace

MOST_POINTS = 10_000
MOST_MEASURED = 3_000


def find(workspace: Workspace, features: str, class_name: str) -> tuple[str | None, bool]:
    """The best map for a class: its own, else the whole workspace's; and whether it is its own."""
    names = workspace.map_names()
    for method in ("tsne", "umap"):
        if (own := f"{features}-{method}-{slug(class_name)}") in names:
            return own, True
    for method in ("tsne", "umap"):
        if (whole := f"{features}-{method}") in names:
            return whole, False
    return None, False


def draw(
    workspace: Workspace,
    features: str,
    class_name: str,
    ids: np.ndarray,
    cluster: np.ndarray,
    title: Callable[[int], str],
) -> None:
    """Draw a class's points coloured by cluster, and offer to lay out a map of its own."""
    name, own = find(workspace, features, class_name)
    if name:
        table = tables.points(workspace, name)
        where = np.searchsorted(table["image_id"].to_numpy(), ids)
        known = where < table.num_rows
        known[known] = table["image_id"].to_numpy()[where[known]] == ids[known]
        picked = np.flatnonzero(known)[:MOST_POINTS]
        x, y = (table[c].to_numpy()[where[picked]] for c in ("x", "y"))
        top = int(cluster.max()) + 1
        figure = charts.points(
            x,
            y,
            ids[picked],
            cluster[picked],
            [title(n) for n in range(top)],
            [charts.cluster_colour(n) for n in range(top)],
            height=340,
        )
        figure.update_layout(dragmode="pan")
        st.plotly_chart(figure, key="class_map", config={"displayModeBar": False, "scrollZoom": True})
    if not own:
        st.button(
            "Map this class",
            help="Lays out this class alone (t-SNE); above is its part of the whole map" if name else "t-SNE",
            disabled=frame.busy(workspace, "map"),
            on_click=frame.start_job,
            args=(workspace, "map"),
            kwargs={"features": features, "class": class_name},
        )


def silhouettes(
    workspace: Workspace, name: str, class_name: str, ids: np.ndarray, cluster: np.ndarray
) -> dict[int, float | None]:
    """Mean silhouette of each cluster as it stands; empty for a class too large to measure while a page waits."""
    if len(ids) > MOST_MEASURED:
        return {}
    stands = hashlib.sha256(np.stack([ids, cluster]).astype(np.int64).tobytes()).hexdigest()
    made = files.stamp(workspace.path / "clusters" / f"{name}.parquet")
    return _silhouettes(workspace, workspace.key, name, class_name, made, stands)


@st.cache_data(max_entries=256, show_spinner=False)
def _silhouettes(
    _workspace: Workspace, key: str, name: str, class_name: str, made: str, stands: str
) -> dict[int, float | None]:
    from curation.clusters import quality

    try:
        return quality.silhouette_means(quality.silhouettes(_workspace, name, class_name))
    except CurationError:
        return {}
