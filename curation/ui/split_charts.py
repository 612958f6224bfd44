"""Plotly figures of splits: images by class and attribute, of one split or of two side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from curation.splits.statistics import GROUPS
from curation.ui.charts import GROUP_COLOURS, OTHER_COLOUR, SPLIT_NAMES, bare, short, split_colour

_CLASSES = "classes, largest first"


def histograms(
    counts: Mapping[str, np.ndarray],
    names: Sequence[str],
    frequency: Sequence[int],
    *,
    source: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    height: int = 520,
) -> go.Figure:
    """Per split: images per class, classes aligned, and images per attribute beside it.

    Args:
        counts: per split, an integer array (classes, attributes); one column where there are no attributes.
        names: the classes in the order to draw.
        frequency: 0 head, 1 medium, 2 tail, per class.
        labels: label of each class; its place when None.
        source: what there is to split, like one of `counts`; drawn first, in grey.
    """
    rows = {} if source is None else {"source": source}
    rows |= {name: counts[name] for name in counts if counts[name].sum()}
    if not rows:
        return bare(go.Figure(), height)
    attributes = max(of.shape[1] for of in rows.values())
    columns = 2 if attributes > 1 else 1
    figure = make_subplots(
        rows=len(rows),
        cols=columns,
        column_widths=[0.8, 0.2][:columns],
        shared_xaxes="columns",
        vertical_spacing=0.055,
        horizontal_spacing=0.05,
        subplot_titles=[text for name in rows for text in (_split_title(name, rows[name]), "")[:columns]],
    )
    frequency = np.asarray(frequency)
    ids = range(len(names)) if labels is None else labels
    words = [f"{n} (label {i}, {GROUPS[f]})" for i, n, f in zip(ids, names, frequency, strict=True)]
    for row, (name, of) in enumerate(rows.items(), 1):
        _class_histogram(figure, row, of.sum(1), words, split_colour(name))
        if columns == 2:
            bars = go.Bar(
                x=np.arange(attributes),
                y=of.sum(0),
                marker_color=split_colour(name),
                hovertemplate="attribute %{x}: %{y:,}<extra></extra>",
            )
            figure.add_trace(bars, row=row, col=2)
    figure.update_annotations(font_size=12, xanchor="left", x=0)  # the titles; empty ones have none
    _bands(figure, frequency, len(rows))
    figure.update_yaxes(tickformat=",d", nticks=4, rangemode="tozero")
    figure.update_xaxes(showgrid=False)
    few = len(names) <= 40
    figure.update_xaxes(
        tickvals=np.arange(len(names)) if few else None,
        ticktext=[short(n) for n in names] if few else None,
        range=[-0.6, len(names) - 0.4],
        col=1,
    )
    if not few:
        figure.update_xaxes(title_text=_CLASSES, title_standoff=4, row=len(rows), col=1)
    if columns == 2:
        figure.update_xaxes(dtick=1, range=[-0.6, attributes - 0.4], col=2)
        figure.update_xaxes(title_text="attribute", title_standoff=4, row=len(rows), col=2)
    return bare(figure, height, t=40)


def compared(
    counts: np.ndarray, names: Sequence[str], splits: tuple[str, str], colour: str, *, height: int = 300
) -> go.Figure:
    """Images per class in two splits, classes aligned.

    Args:
        counts: integers (2, classes).
        names: of the classes, in the order to draw.
        splits: names of the two; the first is drawn in grey, the second in `colour`.
    """
    figure = go.Figure()
    for of, name, drawn in zip(counts, splits, (OTHER_COLOUR, colour), strict=True):
        common = {"customdata": [short(n, 40) for n in names], "name": short(name, 28)}
        common["hovertemplate"] = "%{customdata}: %{y:,}"
        if len(names) <= 120:
            figure.add_trace(go.Bar(x=np.arange(len(names)), y=of, marker_color=drawn, **common))
        else:
            line = {"shape": "hv", "width": 1, "color": drawn}
            figure.add_trace(go.Scatter(x=np.arange(len(names)), y=of, mode="lines", line=line, **common))
    few = len(names) <= 40
    figure.update_xaxes(
        showgrid=False,
        tickvals=np.arange(len(names)) if few else None,
        ticktext=[short(n) for n in names] if few else None,
        range=[-0.6, len(names) - 0.4],
        automargin=True,
        title_text=None if few else _CLASSES,
    )
    figure.update_yaxes(tickformat=",d", rangemode="tozero")
    bare(figure, height)
    place = {"orientation": "h", "yanchor": "bottom", "y": 1, "x": 0}
    return figure.update_layout(showlegend=True, barmode="group", hovermode="x unified", legend=place)


def _class_histogram(figure: go.Figure, row: int, totals: np.ndarray, words: Sequence[str], colour: str) -> None:
    common = {"customdata": words, "hovertemplate": "%{customdata}: %{y:,}<extra></extra>"}
    x = np.arange(len(totals))
    if len(totals) <= 120:
        trace = go.Bar(x=x, y=totals, marker_color=colour, **common)
    else:  # one path instead of a thousand bars
        line = {"shape": "hv", "width": 1, "color": colour}
        trace = go.Scatter(x=x, y=totals, mode="lines", line=line, fill="tozeroy", fillcolor=colour, **common)
    figure.add_trace(trace, row=row, col=1)


def _bands(figure: go.Figure, frequency: np.ndarray, rows: int) -> None:
    """Shade head, medium and tail behind every histogram, and name them once."""
    for group in range(3):
        ids = np.flatnonzero(frequency == group)
        if not len(ids) or np.any(np.diff(ids) != 1):
            continue
        for row in range(1, rows + 1):
            figure.add_vrect(
                x0=ids[0] - 0.5,
                x1=ids[-1] + 0.5,
                fillcolor=GROUP_COLOURS[group],
                opacity=0.13,
                line_width=0,
                layer="below",
                row=row,
                col=1,
            )
        figure.add_annotation(
            text=f"{GROUPS[group]} · {len(ids):,}",
            font_size=11,
            showarrow=False,
            x=ids[-1] + 0.5,
            xref="x",
            xanchor="right",
            y=1,
            yref="y domain",
            yanchor="bottom",
            yshift=15,  # above the title of the first histogram
        )


def _split_title(name: str, counts: np.ndarray) -> str:
    return f"{SPLIT_NAMES.get(name, name)} · {int(counts.sum()):,} images"
