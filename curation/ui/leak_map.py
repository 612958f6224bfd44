"""The leak map: pairs of near duplicates between splits and reference sets, and the certificate about them."""

from __future__ import annotations

import json

import pandas as pd
import pyarrow as pa
import streamlit as st

from curation import files
from curation.duplicates import certificate, certificate_text
from curation.ui import court, frame
from curation.workspace import Workspace


def show(workspace: Workspace) -> None:
    """Draw the map; a cell that is chosen opens its pairs."""
    with st.sidebar:
        splits, kept = ["", *workspace.split_names()], {"key": "leak_split", "persist_state": "session"}
        split = st.selectbox("Splits", splits, format_func=lambda s: s or "As found on disk", **kept) or None
        _download(workspace, split)
    table = court.leaking(workspace, split)
    grid = _grid(table)
    event = st.container(key="leak_map").dataframe(
        grid.style.map(_tint),
        key=f"leaks_{split}",
        on_select="rerun",
        selection_mode="single-cell",
        row_height=44,
        column_config={"_index": st.column_config.TextColumn("", width="medium")},
    )
    st.caption(
        "Pairs called duplicates, by people or where nobody judged by the rule, and pairs that are undecided. "
        "Choose a cell to review its pairs."
    )
    if table.num_rows == 1:
        st.caption("To look for leaks into another benchmark, name its folder under Find again: Also against.")
    if cells := event.selection.cells:
        row, column = cells[0]
        _chosen(workspace, table, split, row, column)


def _grid(table: pa.Table) -> pd.DataFrame:
    """A word for every two sets; the lower half, which would say the same, is empty."""
    frame_ = table.to_pandas()
    columns = list(dict.fromkeys([*frame_["set_a"], *frame_["set_b"]]))
    said = {(r.set_a, r.set_b): _words(r) for r in frame_.itertuples()}
    rows = list(dict.fromkeys(frame_["set_a"]))
    return pd.DataFrame([[said.get((a, b), "") for b in columns] for a in rows], _named(rows), _named(columns))


def _named(names: list[str]) -> list[str]:
    return [name or "all pictures" for name in names]


def _words(row: tuple) -> str:
    if row.searched is False:
        return "not searched"
    parts = [f"{row.duplicates:,}"]
    parts += [f"{row.undecided:,} undecided"] if row.undecided else []
    parts += [f"{row.contested:,} contested"] if row.contested else []
    return " · ".join(parts)


def _tint(words: str) -> str:
    """Cells with leaks stand out, in light and dark."""
    if not words or words[0] in "0n":
        return "background-color: rgba(230, 159, 0, .14)" if "·" in words else ""
    return "background-color: rgba(213, 94, 0, .16)"


def _chosen(workspace: Workspace, table: pa.Table, split: str | None, row: int, column: str) -> None:
    frame_ = table.to_pandas()
    names = list(dict.fromkeys(frame_["set_a"]))
    first = names[row] if row < len(names) else ""
    here = frame_[(frame_["set_a"] == first) & (frame_["set_b"].replace("", "all pictures") == column)]
    if not len(here):
        return
    cell = here.iloc[0]
    count = int(cell["duplicates"] + cell["undecided"] + cell["contested"])
    between = (
        f"inside {first or 'the workspace'}" if cell["set_a"] == cell["set_b"] else f"between {first} and {column}"
    )
    st.button(
        f"Review {count:,} {'pair' if count == 1 else 'pairs'} {frame.plain(between)}",
        type="primary",
        disabled=not count,
        on_click=court.open_cell,
        args=(workspace, split, cell["set_a"], cell["set_b"]),
    )


def _download(workspace: Workspace, split: str | None) -> None:
    """The certificate, made when it is asked for."""

    def text(kind: str) -> str:
        found = certificate.certificate(workspace, split=split)
        if kind == "md":
            return certificate_text.markdown(found)
        return json.dumps(found, indent=2, ensure_ascii=False) + "\n"

    name = f"{files.slug(workspace.name)}-certificate"
    st.caption("Certificate: what was searched, judged and found")
    with st.container(horizontal=True):
        st.download_button("Markdown", lambda: text("md"), f"{name}.md", "text/markdown", on_click="ignore")
        st.download_button("JSON", lambda: text("json"), f"{name}.json", "application/json", on_click="ignore")
