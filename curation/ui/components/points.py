"""Points map: up to 1.28 million pictures as dots; a lasso gives Python the pictures inside it."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

import numpy as np

from curation.ui.components import base, scatter
from curation.workspace import Workspace

_mount = base.component("points")
# Okabe and Ito, "Color Universal Design", 2008, without black: told apart by colour-blind eyes.
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#b8a800")
GREY = "#8b929b66"


@dataclass(frozen=True)
class PointsResult:
    """What the person lassoed.

    Attributes:
        ids: image ids inside the lasso, without hidden groups; int32, ascending; empty without a lasso.
        lasso: corners in the map's own coordinates, (M, 2), or None.
        hidden: labels of the groups that were switched off.
    """

    ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    lasso: np.ndarray | None = None
    hidden: list[str] = field(default_factory=list)


def points_map(
    workspace: Workspace,
    name: str,
    *,
    key: str,
    colour: str = "class",
    height: int = 640,
    palette: Sequence[str] = PALETTE,
) -> PointsResult:
    """Draw a stored map; the browser fetches its points by URL and keeps them.

    Args:
        name: a map of the workspace, as in `workspace.map_names()`.
        key: unique on the page; with the workspace it names the instance.
        colour: `class`, `split` or `cluster:<cluster table>`.
        height: of the drawing, in pixels.
        palette: colours for as many groups as it has; more groups get hues of their own.

    Raises:
        ArgumentError: unknown colour.
        CurationError: there is no such map or cluster table.
    """
    drawn = scatter.scatter(workspace, name, colour)
    query = urlencode({"colour": colour, "v": scatter.version(workspace, name, colour)})
    where = f"/points/{workspace.key}/{name}.bin?{query}"
    data = {
        "urls": base.urls(workspace),
        "map": f"{workspace.key}/{name}",
        "points": where,
        "ids": f"{where}&ids",
        "count": len(drawn.ids),
        "labels": drawn.labels,
        "counts": drawn.counts,
        "palette": group_colours(drawn.labels, palette),
        "height": height,
    }
    result = _mount(key=base.own(key, workspace), data=data, on_lasso_change=_nothing)
    lasso = result.lasso
    # A lasso drawn on another map, or not finished, selects nothing here.
    if not lasso or lasso.get("map") != data["map"]:
        return PointsResult()
    polygon = np.array(drawn.origin) + drawn.span * np.asarray(lasso["polygon"], float).reshape(-1, 2)
    found = scatter.inside(drawn.x, drawn.y, polygon)
    off = [number for number, label in enumerate(drawn.labels) if label in set(lasso["hidden"])]
    if off:
        found &= ~np.isin(drawn.group, np.array(off, np.uint8))
    return PointsResult(drawn.ids[found], polygon, [drawn.labels[number] for number in off])


def _nothing() -> None:
    """A result field exists only with a callback of its name."""


def group_colours(labels: Sequence[str], palette: Sequence[str] = PALETTE) -> list[str]:
    """A colour for each group, as #rrggbb; what stands for no group, or for many, is a faint grey, #rrggbbaa."""
    grey = [label == scatter.NO_GROUP or label.endswith(" smaller groups") for label in labels]
    few = len(labels) - sum(grey) <= len(palette)
    chosen = iter(palette) if few else map(_hue, range(len(labels)))
    return [GREY if is_grey else next(chosen) for is_grey in grey]


def _hue(number: int) -> str:
    """Hues a golden angle apart, in three depths that read on light and dark grounds."""
    rgb = colorsys.hls_to_rgb(number * 0.618034 % 1, (0.50, 0.40, 0.60)[number % 3], (0.62, 0.70, 0.55)[number % 3])
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
