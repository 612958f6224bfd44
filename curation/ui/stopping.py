"""When to stop judging pairs: the duplicate rate by distance, what is unseen, reviewers and planted probes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa
import streamlit as st

from curation import policies
from curation.duplicates import agreement, calibration, probes
from curation.duplicates.orders import MEASURES
from curation.ui import charts, frame, settings, tables
from curation.ui.pair_search import MEASURES as TITLES
from curation.workspace import Workspace

FEWEST = 10
"""Pairs that two people must have judged for their agreement to be shown."""
UNITS = {
    "probability": "1 − probability",
    "cosine": "1 − cosine similarity",
    "phash": "bits that differ, of 64",
    "pixels": "squared distance of pixels",
    "dssim": "DSSIM",
    "fc7": "squared distance of fc7",
    "inliers": "minus the number of matching points",
}


class Learnt(NamedTuple):
    """What verdicts say about one measure."""

    stop: dict[str, Any]
    rates: pa.Table
    curve: pa.Table
    lines: pa.Table


def show(workspace: Workspace) -> None:
    """Draw the stopping line, and under it who judged and what probes tell."""
    with st.sidebar:
        measure = st.selectbox(
            "Measure",
            sorted(MEASURES, key=lambda m: m != "probability"),
            format_func=lambda m: TITLES.get(m, m.capitalize()),
            key="stop_measure",
        )
        told = "Judging may stop when no more than so many are likely to be left"
        settings.number(workspace, "tolerated", "Duplicates that may stay unseen", key="tolerated", help=told)
        frame.reviewer_field()
    learnt = _learnt(workspace, measure, tables.standing(workspace), workspace.ledger.position())
    _advice(learnt.stop)
    if len(learnt.rates):
        figure = charts.duplicate_rate(learnt.rates, learnt.curve, learnt.lines, UNITS[measure])
        st.plotly_chart(figure, key="duplicate_rate", config={"displayModeBar": False})
        st.caption(
            "Points: share of duplicates among judged pairs, with 95 % intervals. Line and band: a fit that only falls "
            "with distance. Below: undecided pairs up to a distance, and how many of them may be duplicates."
        )
    left, right = st.columns(2, gap="large")
    with left:
        _reviewers(workspace)
    with right:
        _probes(workspace)


@lru_cache(maxsize=16)
def _learnt(workspace: Workspace, measure: str, stamp: object, position: int) -> Learnt:
    fit = calibration.calibrate(workspace, measure, until=position)
    stop = calibration.advise(fit, policies.number(workspace, "tolerated", until=position))
    return Learnt(
        stop,
        calibration.rates(fit, bins=max(1, min(20, len(fit.judged) // 10))),
        calibration.curve(fit),
        calibration.lines(fit),
    )


def _advice(stop: dict[str, Any]) -> None:
    """The sentence that everything else on the view explains."""
    enough = stop["advice"] == "stop"
    with st.container(key="stopping_line", gap="xsmall"):
        few = calibration.FEW - stop["verdicts"]
        said = "You can stop" if enough else f"Look at {stop['next']:,} more"
        if not stop["undecided"]:
            said = "Every pair is judged"
        elif few > 0 and not enough:
            said = f"Judge {min(few, stop['undecided']):,} more pairs before this can tell"
        st.header(said, anchor=False)
        if few > 0 and stop["undecided"] and not enough:
            st.text(
                f"{stop['undecided']:,} pairs are unseen. {stop['verdicts']:,} verdicts tell too little of them yet."
            )
            return
        numbers = f"{stop['undecided']:,} pairs unseen, of which an estimated {stop['estimated']:,.0f} are duplicates"
        st.text(f"{numbers} ({stop['low']:,.0f} to {stop['high']:,.0f}); {stop['tolerated']:,.0f} are tolerated.")


def _reviewers(workspace: Workspace) -> None:
    st.subheader("Reviewers", anchor=False)
    people = agreement.reviewers(workspace).to_pandas()
    if not len(people):
        st.text("Who judged how many pairs, how fast and how alike shows here.")
        return
    right = probes.reviewers(workspace).to_pandas().set_index("reviewer")
    people["on probes"] = [
        f"{right.loc[n, 'right']:,} of {right.loc[n, 'judged']:,}" if n in right.index else ""
        for n in people["reviewer"]
    ]
    people["upheld"] = [
        f"{u:,} of {a:,}" if a else "" for u, a in zip(people["upheld"], people["adjudicated"], strict=True)
    ]
    people["pace"] = [f"{pace:,.0f}" if pace == pace else "–" for pace in people["pace"]]
    st.dataframe(
        people[["reviewer", "verdicts", "pace", "on probes", "upheld"]],
        hide_index=True,
        column_config={
            "verdicts": st.column_config.NumberColumn(format="localized"),
            "pace": st.column_config.TextColumn("an hour", help="Pauses over five minutes left out"),
            "on probes": st.column_config.TextColumn(help="Right about planted probes, of those judged"),
            "upheld": st.column_config.TextColumn(help="Of the verdicts that were adjudicated"),
        },
    )
    both = agreement.kappa(workspace).to_pandas()
    both = both[both["pairs"] >= FEWEST]
    if len(both):
        st.dataframe(
            both[["first", "second", "pairs", "kappa", "low", "high"]],
            hide_index=True,
            column_config={
                "kappa": st.column_config.NumberColumn("Cohen's kappa", format="%.2f"),
                "low": st.column_config.NumberColumn(format="%.2f", help="95 % interval"),
                "high": st.column_config.NumberColumn(format="%.2f", help="95 % interval"),
            },
        )


def _probes(workspace: Workspace) -> None:
    st.subheader("Planted probes", anchor=False)
    table = probes.recall(workspace).to_pandas()
    if not len(table):
        st.text("Edited copies of known pictures measure what the search misses. Plant probes in the sidebar.")
        return
    if table["duplicates"].isna().all():
        st.text("The probes are planted. Find pairs again: the search has not looked at them yet.")
        return
    st.dataframe(
        table[["edit", "planted", "proposed", "duplicates", "recall", "low", "high"]],
        hide_index=True,
        column_config={
            "duplicates": st.column_config.NumberColumn("found", help="Called duplicates by the rule"),
            "recall": st.column_config.NumberColumn(format="percent"),
            "low": st.column_config.NumberColumn(format="percent", help="95 % interval"),
            "high": st.column_config.NumberColumn(format="percent", help="95 % interval"),
        },
    )
