"""Look at the clusters inside each class; name, merge, split them, and move images between them."""

import numpy as np
import streamlit as st

from curation import derived, files
from curation.ui import charts, class_map, cluster_edits, frame, tables
from curation.ui.components.gallery import Group, gallery

workspace = frame.current()
frame.title("Clusters", "What k-means found inside each class: look, name, mend")
if not workspace.feature_names():
    frame.empty("No features yet", "Clusters are found among features.", "features", "Extract features")

with st.sidebar:
    name = cluster_edits.choose_clustering(workspace)
if name is None:
    st.text("Each class will show here as one row of pictures a cluster, the most typical first, beside its map.")
    st.stop()

classes = tables.class_names(workspace)
with st.sidebar:
    class_name = frame.stepper("Class", classes, key="class")
    every = st.toggle("All pictures", key="every", help="Off: the row of pictures nearest to each centre")
    size = st.select_slider("Size", (72, 96, 128, 176), value=96, key="cluster_tile", persist_state="session")

table = tables.clusters(workspace, name, class_name)
recipe = files.read_json(workspace.path / "clusters" / f"{name}.json")
if not table.num_rows:
    st.info(f"This class has no images in the clustering {frame.plain(name)}. Cluster again to have it in.")
    st.stop()
ids, cluster, attribute, distance = (table[c].to_numpy() for c in ("image_id", "cluster", "attribute", "distance"))
labels = {
    number: label for (owner, number), label in derived.cluster_labels(workspace, name).items() if owner == class_name
}
numbers = sorted(np.unique(cluster).tolist(), key=lambda c: (-(cluster == c).sum(), c))
silhouettes = class_map.silhouettes(workspace, name, class_name, ids, cluster)


def title(number: int) -> str:
    """What a cluster is called: its number, and its name when somebody gave one."""
    return f"Cluster {number}" + (f" · {labels[number]}" if number in labels else "")


groups = []
for number in numbers:
    mine = np.flatnonzero(cluster == number)
    typical = ids[mine[np.argsort(np.nan_to_num(distance[mine], nan=np.inf), kind="stable")]]
    score = silhouettes.get(number)
    facts = [f"{len(mine):,} images", f"attribute {attribute[mine[0]]}"]
    facts += [f"silhouette {score:.2f}"] if score is not None else []
    groups.append(
        Group(
            id=str(number),
            title=title(number),
            subtitle=" · ".join(facts),
            colour=charts.cluster_colour(number),
            action="Edit",
            images=typical,
        )
    )

pictures, side = st.columns([7, 3], gap="medium")
with pictures:
    result = gallery(
        groups=groups,
        key="clusters",
        workspace=workspace,
        reviewer=frame.reviewer(),
        tile=size,
        rows=None if every else 1,
        captions=None,
        cleared=st.session_state.get("cluster_edits", 0),
        shown={"page": "clusters", "clusters": name, "class": class_name},
    )
with side:
    homes = dict(zip(ids.tolist(), cluster.tolist(), strict=True)) if result.selection else {}
    cluster_edits.panel(workspace, name, class_name, numbers, title, result, homes.get)
    class_map.draw(workspace, recipe["features"], class_name, ids, cluster, title)
    if left := derived.ignored_events(workspace, name):
        st.caption(f"{left:,} earlier edits were made on another clustering and do not count")
    if note := recipe.get("notes", {}).get(class_name):
        st.caption(frame.plain(note))
    cluster_edits.quality(workspace, recipe, class_name)

if not workspace.split_names():
    frame.following("splits", "Next: design a split")
