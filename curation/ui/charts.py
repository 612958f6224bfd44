"""Plotly figures that pages share; colours mean the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
from plotly.subplots import make_subplots

# Okabe and Ito's palette, told apart by colour-blind eyes on light and dark grounds.
SPLIT_COLOURS = {
    "train": "#0072B2",
    "val": "#E69F00",
    "test": "#009E73",
    "test_lt": "#009E73",
    "test_bl": "#D55E00",
    "test_bbl": "#CC79A7",
}
SPLIT_NAMES = {"test_lt": "test_lt (GLT)", "test_bl": "test_bl (CBL)", "test_bbl": "test_bbl (GBL)"}
OTHER_COLOUR = "#7f8791"
# One hue in three steps.
GROUP_COLOURS = ("#1b4fae", "#5d8fe6", "#a9c6f7")
CLUSTER_COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"),
    *("#8C6D31", "#7B6FD0", "#A3B300", "#B0413E", "#4C9A8F", "#8A8A8A"),
    *("#003F63", "#F7C65E", "#00664A", "#8F4570", "#A5D8F5", "#8A3C00"),
    *("#C9AE78", "#453A9E", "#5F6900", "#E58B88", "#9FD3CB", "#4D4D4D"),
)


def split_colour(name: str) -> str:
    """The colour of a split, the same on every page."""
    return SPLIT_COLOURS.get(name, OTHER_COLOUR)


def cluster_colour(number: int) -> str:
    """The colour of a cluster or attribute."""
    return CLUSTER_COLOURS[number % len(CLUSTER_COLOURS)]


def bare(figure: go.Figure, height: int, **margin: int) -> go.Figure:
    """Take away what Plotly draws around a figure; Streamlit's theme gives the colours."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 24, "b": 8} | margin,
        showlegend=False,
        hoverlabel={"namelength": -1},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        bargap=0.12,
        dragmode=False,
    )
    return figure


def class_bars(
    names: Sequence[str], counts: Sequence[int], *, height: int = 220, colour: str = OTHER_COLOUR
) -> go.Figure:
    """Images per class, largest first."""
    order = np.argsort(-np.asarray(counts), kind="stable")
    labels = [names[i] for i in order]
    bars = go.Bar(
        x=np.arange(len(order)),
        y=np.asarray(counts)[order],
        customdata=labels,
        marker_color=colour,
        hovertemplate="%{customdata}: %{y:,}<extra></extra>",
    )
    figure = bare(go.Figure(bars), height)
    if len(order) <= 40:
        figure.update_xaxes(tickvals=np.arange(len(order)), ticktext=[short(label) for label in labels])
    return figure.update_yaxes(tickformat=",d")


def points(
    x: np.ndarray,
    y: np.ndarray,
    ids: np.ndarray,
    groups: np.ndarray,
    labels: Sequence[str],
    colours: Sequence[str],
    *,
    height: int = 420,
    legend: bool = False,
) -> go.Figure:
    """A map of up to 10,000 points, WebGL, one trace a group so that the legend can hide it.

    Args:
        x, y: positions, (N,).
        ids: image ids, (N,), carried as custom data.
        groups: number of each point's group, (N,).
        labels: the groups' names.
        colours: the groups' colours.
    """
    figure = go.Figure()
    for number in np.unique(groups):
        mine = groups == number
        figure.add_trace(
            go.Scattergl(
                x=x[mine],
                y=y[mine],
                customdata=ids[mine],
                mode="markers",
                name=short(labels[number], 28),
                marker={"size": 6 if len(x) < 3000 else 4, "color": colours[number % len(colours)], "opacity": 0.8},
                hovertemplate=f"{short(labels[number], 28)} · image %{{customdata}}<extra></extra>",
            )
        )
    bare(figure, height, t=8)
    place = {"orientation": "h", "yanchor": "top", "y": 0, "itemsizing": "constant"}
    figure.update_layout(showlegend=legend, dragmode="lasso", legend=place)
    axis = {"visible": False, "showgrid": False, "zeroline": False}
    return figure.update_xaxes(**axis).update_yaxes(**axis)


def duplicate_rate(rates: pa.Table, curve: pa.Table, lines: pa.Table, unit: str, *, height: int = 420) -> go.Figure:
    """Share of duplicates against distance, with its fit and band; below, what undecided pairs up to there may hold.

    Args:
        rates, curve, lines: as `curation.duplicates.calibration` makes them.
        unit: of the distance.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.6, 0.4], vertical_spacing=0.07)
    fit = curve.to_pydict()
    for side, fill in (("low", None), ("high", "tonexty")):
        trace = go.Scatter(
            x=fit["distance"],
            y=fit[side],
            line={"width": 0, "shape": "hv"},
            mode="lines",
            fill=fill,
            fillcolor="rgba(0,114,178,0.18)",
            hoverinfo="skip",
        )
        figure.add_trace(trace, row=1, col=1)
    step = {"color": SPLIT_COLOURS["train"], "width": 2, "shape": "hv"}
    hover = f"{unit} %{{x:.4g}}: %{{y:.0%}}<extra></extra>"
    figure.add_trace(go.Scatter(x=fit["distance"], y=fit["chance"], mode="lines", line=step, hovertemplate=hover), 1, 1)
    seen = rates.to_pandas()
    points = go.Scatter(
        x=(seen["nearest"] + seen["farthest"]) / 2,
        y=seen["rate"],
        error_y={
            "type": "data",
            "array": seen["high"] - seen["rate"],
            "arrayminus": seen["rate"] - seen["low"],
            "thickness": 1,
            "width": 0,
        },
        mode="markers",
        marker={"color": OTHER_COLOUR, "size": 6},
        customdata=seen[["duplicates", "judged"]],
        hovertemplate="%{customdata[0]:,} of %{customdata[1]:,} judged<extra></extra>",
    )
    figure.add_trace(points, row=1, col=1)
    unseen = lines.to_pydict()
    for column, colour, label in (
        ("undecided", OTHER_COLOUR, "undecided"),
        ("high", SPLIT_COLOURS["test_bl"], "at most duplicates"),
    ):
        trace = go.Scatter(
            x=unseen["threshold"],
            y=unseen[column],
            mode="lines",
            line={"color": colour, "width": 2, "shape": "hv"},
            hovertemplate=f"{unit} %{{x:.4g}}: %{{y:,.0f}} {label}<extra></extra>",
        )
        figure.add_trace(trace, row=2, col=1)
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02], title_text="duplicates", row=1, col=1)
    figure.update_yaxes(tickformat=",d", rangemode="tozero", title_text="pairs", row=2, col=1)
    figure.update_xaxes(title_text=unit, title_standoff=4, row=2, col=1)
    return bare(figure, height)


def short(name: str, length: int = 14) -> str:
    # Plotly reads a few HTML tags in labels; a name is never one.
    text = name if len(name) <= length else f"{name[: length // 2]}…{name[-length // 2 + 1 :]}"
    return text.replace("<", "‹").replace(">", "›")
