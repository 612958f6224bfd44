"""Two saved splits side by side: what moved where, class sizes aligned, and what was asked for."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from curation.splits import kinds, recipes
from curation.splits.compare import LEFT_OUT, Comparison
from curation.ui import charts, frame, recipe_form, split_charts, tables
from curation.ui.components.gallery import gallery
from curation.workspace import Workspace

MOST_SHOWN = 200
_WORDS = {
    "kind": "Recipe",
    "clusters": "clusters",
    "duplicates": "Near duplicates",
    "ledger_position": "Decisions up to",
    "images": "images",
    "excluded": "images ruled out",
    "groups": "near-duplicate groups",
    "scores": "scores from features",
    "base": "split to trim",
    "histogram": "class sizes to match",
    "attributes": "table of attributes",
    "class_metadata": "class metadata",
}


def show(workspace: Workspace, name: str) -> None:
    """Compare a saved split with another one that is chosen here; the revision before it at first."""
    others = [other for other in sorted(workspace.split_names(), key=recipes.revision_of) if other != name]
    if not others:
        st.text("There is no other split yet. Save this one again, or another: it can be compared here.")
        return
    mine = recipes.revisions(workspace, name)
    before = mine[mine.index(name) - 1] if mine.index(name) else mine[-1] if len(mine) > 1 else others[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        place = others.index(before) if before in others else 0
        other = st.selectbox("Compared with", others, index=place, key=f"compared_{name}", width=320)
    found = tables.comparison(workspace, other, name)
    numbers = {
        "Kept": (found.kept, f"Images in the same split of {frame.plain(other)} and {frame.plain(name)}"),
        "Moved": (found.changed, "In both, in other splits"),
        "Added": (found.added, f"Only in {frame.plain(name)}"),
        "Dropped": (found.dropped, f"Only in {frame.plain(other)}"),
        "Relabelled": (found.relabelled, "In both, of another class"),
    }
    for column, (label, (value, words)) in zip(st.columns(len(numbers)), numbers.items(), strict=True):
        column.metric(label, f"{value:,}", help=words)
    split = st.segmented_control("Split", list(found.histograms), default=next(iter(found.histograms)),
                                 required=True, key="compared_split", label_visibility="collapsed")  # fmt: skip
    order = np.argsort(-found.histograms[split].max(0), kind="stable")
    names = [found.classes[i] for i in order]
    figure = split_charts.compared(found.histograms[split][:, order], names, found.names, charts.split_colour(split))
    st.plotly_chart(figure, key="compared", config={"displayModeBar": False})
    _moved(workspace, found)
    _asked(found)


def _asked(found: Comparison) -> None:
    """What was asked for otherwise; of recipes of different kinds, what they are."""
    same = "kind" not in found.recipe
    labels = {key: label for kind in kinds.RECIPES.values() for key, label in recipe_form.labels(kind).items()}
    differ = {_WORDS.get(key, key): pair for key, pair in found.recipe.items()}
    differ |= {labels.get(key, key): pair for key, pair in found.parameters.items()} if same else {}
    if differ:
        st.caption("Parameters that differ" if same else "Different recipes")
        st.dataframe([{"": key, **_pair(found, pair)} for key, pair in differ.items()], hide_index=True)
    else:
        st.caption("Made by the same recipe")
    if inputs := [_WORDS.get(name, name) for name in found.inputs if name in _WORDS]:
        st.caption(f"Inputs that differ: {frame.plain(', '.join(inputs))}")


def _pair(found: Comparison, pair: tuple[Any, Any]) -> dict[str, str]:
    return dict(zip(found.names, (_text(value) for value in pair), strict=True))


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else "–" if value is None else json.dumps(value, ensure_ascii=False)
    return frame.shorten(text, 80)


def _moved(workspace: Workspace, found: Comparison) -> None:
    """From where to where; a chosen cell shows its pictures."""
    a, b = found.names
    table = pd.DataFrame(found.moved, index=found.splits[0], columns=found.splits[1])
    st.caption(f"Images by their split in {frame.plain(a)} (rows) and in {frame.plain(b)} (columns). Choose a cell")
    config = {name: st.column_config.NumberColumn(format="localized") for name in table.columns}
    chosen = st.dataframe(
        table, column_config=config, on_select="rerun", selection_mode="single-cell", key=f"moved_{a}_{b}"
    )
    cells = chosen.selection.cells if chosen else []
    if not cells:
        return
    row, column = cells[0]
    start, end = found.splits[0][int(row)], str(column)
    if end not in found.splits[1]:
        return
    if start == end == LEFT_OUT:
        st.caption("Images that both leave out: see the view left out of either")
        return
    ids = found.ids(start, end)
    first = f", the first {MOST_SHOWN}" if len(ids) > MOST_SHOWN else ""
    st.caption(f"{len(ids):,} pictures from {frame.plain(start)} to {frame.plain(end)}{first}")
    gallery(
        np.asarray(ids[:MOST_SHOWN]),
        captions="class",
        key="moved",
        workspace=workspace,
        reviewer=frame.reviewer(),
        tile=112,
    )
