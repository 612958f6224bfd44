"""Why an image does not survive among its near duplicates, in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from curation.survivors import components, graph
from curation.survivors.graph import Nodes

NEAR = "near duplicate of "


def why(nodes: Nodes, survives: np.ndarray, outside: np.ndarray, rivals: Mapping[int, str]) -> list[str]:
    """Why each node does not survive; for one that people keep, who does. '' for the others.

    Args:
        survives: bool (N,).
        outside: nodes that are no candidates (images of reference sets), bool (N,).
        rivals: why nothing survives of a component, by component (`graph.rivals`).
    """
    words = np.full(len(nodes.ids), "", object)
    barred = np.flatnonzero(nodes.barred & ~outside)
    facts = nodes.facts.iloc[barred]
    own = facts["status"] + np.where(facts["reason"] == "", "", ": " + facts["reason"])
    ids = pd.Series(nodes.ids[barred], facts.index)
    words[barred] = ids.map(nodes.excluded).fillna(own).to_numpy(object)
    said = graph.kept_by_people(nodes).set_index("image_id")
    for at in np.flatnonzero(survives & np.isin(nodes.workspace_ids, said.index.to_numpy(np.int64))):
        event = said.loc[nodes.ids[at]]
        words[at] = f"kept by {event['reviewer']}" + (f": {event['note']}" if event["note"] else "")
    stuck = np.isin(nodes.label, list(rivals)) & ~nodes.barred
    words[stuck] = [rivals[component] for component in nodes.label[stuck].tolist()]
    out = np.flatnonzero(~survives & ~outside & ~nodes.barred & ~stuck)
    words[out] = _near(nodes, out, np.flatnonzero(survives | outside))
    return words.tolist()


# -- below: words ------------------------------------------------------------------------------------------------------


def _near(nodes: Nodes, out: np.ndarray, roots: np.ndarray) -> list[str]:
    """Reasons for nodes that lose to one of `roots`."""
    if not len(out):
        return []
    count = len(nodes.ids)
    root, towards = components.ways(nodes.first, nodes.second, roots, count)
    # The edge to the next node: pairs come before bursts, so that of two kinds the pair is told.
    keys = np.minimum(nodes.first, nodes.second) * count + np.maximum(nodes.first, nodes.second)
    order = np.argsort(keys, kind="stable")
    wanted = np.minimum(out, towards[out]) * count + np.maximum(out, towards[out])
    evidence = _evidence(nodes, order[np.searchsorted(keys, wanted, sorter=order)])
    called = _called(nodes, root[out])
    return [
        f"{NEAR}{kept}{'' if kept_at == by else f' by way of image {image}'} ({text})"
        for kept, kept_at, by, image, text in zip(
            called, root[out].tolist(), towards[out].tolist(), nodes.ids[towards[out]].tolist(), evidence, strict=True
        )
    ]


def _called(nodes: Nodes, at: np.ndarray) -> list[str]:
    words = np.char.add("image ", nodes.ids[at].astype(str)).astype(object)
    for number, name in enumerate(nodes.references):
        if number and len(here := np.flatnonzero(nodes.sets[at] == number)):
            paths = graph.paths_of(nodes.workspace, name, nodes.ids[at[here]])
            words[here] = [f"{path} in reference set {name}" for path in paths]
    return words.tolist()


def _evidence(nodes: Nodes, edges: np.ndarray) -> list[str]:
    """What edges rest on, in words."""
    is_pair = nodes.is_pair()[edges]
    words = np.empty(len(edges), object)
    words[~is_pair] = [f"burst {name}" for name in nodes.by[edges[~is_pair]]]
    pairs = nodes.pairs.iloc[edges[is_pair]]
    said = pairs["reviewer"].notna().to_numpy()
    text = np.empty(len(pairs), object)
    text[said] = [f"ruled by {name}" for name in pairs["reviewer"][said]]
    text[~said] = [f"by rule:{measures[1:]}" if measures else "by rule" for measures in _measured(pairs[~said])]
    words[is_pair] = text
    return words.tolist()


def _measured(pairs: pd.DataFrame) -> list[str]:
    """What the rule's decisions rest on, each measure after a comma."""
    mirror = pairs["phash_mirror"] < pairs["phash"]
    parts = [
        _number("pHash ", pairs["phash"].mask(mirror), 0),
        _number("mirror pHash ", pairs["phash_mirror"].where(mirror), 0),
        _number("pixels ", pairs["pixels"] / 1e6, 1, "e6"),
        _number("DSSIM ", pairs["dssim"], 2),
        _number("fc7 ", pairs["fc7"] / 1e3, 1, "e3"),
        _number("cosine ", pairs["cosine"], 2),
        _number("", pairs["inliers"].where(pairs["inliers"] > 0), 0, " matching points"),
    ]
    exact = pairs["exact"].eq(True).fillna(False).to_numpy(bool)
    return np.where(exact, ", same pixels", np.sum(parts, axis=0)).tolist()


def _number(before: str, values: pd.Series, digits: int, after: str = "") -> np.ndarray:
    """Numbers in words after a comma, '' where there is none. Each number that occurs is put in words once."""
    rounded = values.astype(np.float64).round(digits).to_numpy()
    there = ~np.isnan(rounded)
    known, code = np.unique(rounded[there], return_inverse=True)
    words = np.full(len(rounded), "", object)
    words[there] = np.array([f", {before}{value:.{digits}f}{after}" for value in known], object)[code]
    return words
