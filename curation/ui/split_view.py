"""What is in a saved split: histograms, pictures, and who was left out and why."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from curation import files
from curation.splits.result import reason_kind
from curation.splits.statistics import statistics
from curation.ui import charts, frame, tables
from curation.ui.components.gallery import gallery
from curation.ui.split_design import numbers
from curation.workspace import Workspace

MOST_SHOWN = 400
VIEWS = ("histograms", "pictures", "left out", "recipe")


def show(workspace: Workspace, name: str) -> None:
    """Draw a saved split."""
    folder = workspace.path / "splits" / name
    table = tables.split(workspace, name)
    report = files.read_json(folder / "report.json")
    if late := ruled_out_since(workspace, table):
        are = "image in it was" if late == 1 else "images in it were"
        st.warning(f"{late:,} {are} ruled out since this split was saved: design it anew to leave them out.")
    view = st.segmented_control(
        "View", VIEWS, default=VIEWS[0], required=True, key="split_view", label_visibility="collapsed"
    )
    if view == "histograms":
        _histograms(workspace, name, report)
    elif view == "pictures":
        _pictures(workspace, table, report["classes"])
    elif view == "left out":
        _left_out(workspace, files.read_table(folder / "left_out.parquet"))
    else:
        st.json(files.read_json(folder / "recipe.json"))


def ruled_out_since(workspace: Workspace, table: pa.Table) -> int:
    """How many images of a split are excluded by now."""
    return int(np.isin(table["image_id"].to_numpy(), tables.ruled_out(workspace)).sum())


def _histograms(workspace: Workspace, name: str, report: dict) -> None:
    table = tables.split(workspace, name)
    found = statistics(table)
    names = report["classes"]
    label = table["label"].to_numpy()
    frequency = np.zeros(len(names), np.int64)
    frequency[label] = table["frequency"].to_numpy()
    left = files.read_table(workspace.path / "splits" / name / "left_out.parquet", columns=["image_id"]).num_rows
    train = found.get("train")
    totals = {"Images": table.num_rows + left, "In splits": table.num_rows, "Left out": left, "Classes": len(names)}
    if train:
        numbers(totals, {"Imbalance": train.imbalance, "Gini": train.gini})
    counts = {split: np.array(entry.per_class_attribute) for split, entry in found.items()}
    figure = charts.split_histograms(counts, names, frequency)
    st.plotly_chart(figure, key="saved", config={"displayModeBar": False})
    rows = [
        {
            "split": split,
            "images": entry.images,
            "classes": entry.classes,
            **entry.groups,
            **{f"attribute {a}": n for a, n in enumerate(entry.per_attribute)},
            "imbalance": entry.imbalance,
            "Gini": entry.gini,
        }
        for split, entry in found.items()
        if entry.images
    ]
    number = st.column_config.NumberColumn
    formats = dict.fromkeys(rows[0], number(format="localized")) if rows else {}
    formats |= {"imbalance": number(format="%.2f"), "Gini": number(format="%.3f"), "split": None}
    st.dataframe(rows, hide_index=True, column_config={k: v for k, v in formats.items() if v is not None})


def _pictures(workspace: Workspace, table: pa.Table, names: list[str]) -> None:
    present = [s for s in charts.SPLIT_COLOURS if s in table["split"].unique().to_pylist()]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        split = st.segmented_control("Split", present, default=present[0], required=True, key="shown_split")
        class_name = st.selectbox("Class", ["All classes", *sorted(names)], key="shown_class", width=260)
    mask = pc.equal(table["split"], split)
    if class_name != "All classes":
        mask = pc.and_(mask, pc.equal(table["label"], names.index(class_name)))
    ids = table["image_id"].filter(mask).to_numpy()
    st.caption(f"{len(ids):,} pictures" + (f", the first {MOST_SHOWN}" if len(ids) > MOST_SHOWN else ""))
    gallery(ids[:MOST_SHOWN], key="split_pictures", workspace=workspace, reviewer=frame.reviewer(), tile=112)


def _left_out(workspace: Workspace, table: pa.Table) -> None:
    if not table.num_rows:
        st.text("Every image is in a split.")
        return
    words = table["reason"].combine_chunks().dictionary_encode()
    reasons = words.dictionary.to_pylist()
    kinds = [reason_kind(reason) for reason in reasons]
    counts = dict.fromkeys(kinds, 0)
    for kind, count in zip(kinds, np.bincount(words.indices.to_numpy(), minlength=len(kinds)).tolist(), strict=True):
        counts[kind] += count
    order = sorted(counts, key=lambda k: (-counts[k], k))
    kind = st.segmented_control(
        "Reason", order, default=order[0], required=True, key="reason", format_func=lambda k: f"{k} {counts[k]:,}"
    )
    chosen = np.flatnonzero(np.array(kinds) == kind)
    mine = np.flatnonzero(np.isin(words.indices.to_numpy(), chosen))
    why = f" · {reasons[chosen[0]]}" if len(chosen) == 1 else ""
    first = f", the first {MOST_SHOWN}" if len(mine) > MOST_SHOWN else ""
    st.caption(frame.plain(f"{len(mine):,} pictures{first}{why}"))
    shown = mine[:MOST_SHOWN]
    gallery(
        table["image_id"].to_numpy()[shown],
        captions="class" if why else [reasons[i] for i in words.indices.to_numpy()[shown]],
        key="left_out",
        workspace=workspace,
        reviewer=frame.reviewer(),
        tile=144,
    )
