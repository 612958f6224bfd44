"""Every picture that was read in, and why some were set aside."""

import numpy as np
import pandas as pd
import streamlit as st

from curation.ui import charts, frame, tables
from curation.ui.components import gallery as gallery_component
from curation.ui.components.gallery import gallery, marks

PAGE = 400
ALL = "All classes"
ORDERS = ("path", "darkest first", "brightest first", "smallest first", "largest first")

workspace = frame.current()
frame.title("Images", "Every picture that was read in, and why some were set aside")
if not workspace.images_path.is_file():
    frame.empty("No pictures yet", "They appear here as soon as they are read.", "start", "Open a folder")

every = tables.class_counts(workspace)
flagged, excluded = marks(workspace, workspace.ledger.position())
with st.sidebar:
    class_name = st.selectbox("Class", [ALL, *every["class_name"]], key="images_class", persist_state="session")
    order = st.selectbox("Order", ORDERS, key="order")
    size = st.select_slider("Size", (96, 144, 208, 288), value=144, key="tile", persist_state="session")
    root = workspace.roots["images"]
    st.button(
        "Read the folder again",
        width="stretch",
        help=f"Adds what is new in {root} and marks what is gone; image ids never change",
        disabled=frame.busy(workspace, "init"),
        on_click=frame.start_job,
        args=(workspace, "init"),
        kwargs={"images": root},
    )
    frame.undo_button(workspace, gallery_component.KINDS)
    if not workspace.feature_names():
        frame.following("features", "Next: extract features")

where = {} if class_name == ALL else {"class_name": class_name}
here = tables.ids_where(workspace, **where)
counts = every if class_name == ALL else every[every["class_name"] == class_name]
flat = tables.ids_where(workspace, **where, flat=True)
kinds = {
    "usable": int(counts["ok"].sum()),
    "flagged": len(flagged & set(here.tolist())) if flagged else 0,
    "excluded": len(excluded & set(here.tolist())) if excluded else 0,
    "one colour": len(flat),
    "broken": int(counts["broken"].sum()),
    "gone": int(counts["gone"].sum()),
}


controls = st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
with controls:
    kind = st.segmented_control(
        "Show",
        list(kinds),
        default="usable",
        required=True,
        format_func=lambda key: f"{key} {kinds[key]:,}",
        label_visibility="collapsed",
        key="kind",
    )
    view = st.segmented_control(
        "View", ["pictures", "classes"], default="pictures", required=True, label_visibility="collapsed", key="view"
    )

if view == "classes":
    if not len(counts):
        st.stop()
    st.plotly_chart(charts.class_bars(counts["class_name"].tolist(), counts["ok"].tolist()), key="bars")
    about = workspace.classes().to_pandas().drop(columns="images")
    table = counts.rename(columns={"ok": "usable"}).merge(about, on="class_name", how="left")
    table = table.drop(columns=[c for c in about.columns[1:] if not table[c].fillna("").any()])
    st.dataframe(
        table,
        hide_index=True,
        height=460,
        column_config={
            "class_name": st.column_config.TextColumn("class"),
            "wnid": st.column_config.TextColumn("WNID"),
            "definition": st.column_config.TextColumn(width="large"),
        },
    )
    st.stop()

status = {"usable": "ok", "broken": "broken", "gone": "gone"}.get(kind)
ids = tables.ids_where(workspace, **where, **({"status": status} if status else {}))
if kind in ("flagged", "excluded", "one colour"):
    chosen = {"flagged": sorted(flagged), "excluded": sorted(excluded), "one colour": flat}[kind]
    ids = np.intersect1d(ids, np.asarray(chosen, dtype=np.int64))

if order != "path" and len(ids):
    column = "brightness" if order in ORDERS[1:3] else ["width", "height"]
    values = tables.rows(workspace, ids)[column]
    values = values.prod(axis=1) if isinstance(values, pd.DataFrame) else values
    sign = -1 if order in ("brightest first", "largest first") else 1
    ids = ids[np.argsort(sign * values.to_numpy(dtype=np.float64), kind="stable")]

if kind in ("broken", "gone") and len(ids):
    listed = tables.rows(workspace, ids[:100_000])[["path", "class_name", "reason", "bytes"]]
    columns = {
        "class_name": st.column_config.TextColumn("class"),
        "reason": st.column_config.TextColumn(width="large"),
        "bytes": st.column_config.NumberColumn(format="localized"),
    }
    st.dataframe(listed, hide_index=True, height=min(640, 38 + 35 * len(listed)), column_config=columns)
    st.stop()

pages = max(1, -(-len(ids) // PAGE))
with controls:
    page = st.pagination(pages, key="page", bind="query-params") if pages > 1 else 1
shown = ids[(min(page, pages) - 1) * PAGE : min(page, pages) * PAGE]
gallery(
    shown,
    key="images",
    workspace=workspace,
    reviewer=frame.reviewer(),
    tile=size,
    captions="class" if class_name == ALL else None,
    empty=(f"No {kind} pictures", "Choose another class, or another word above."),
    shown={"page": "images", "kind": kind, "order": order},
)
