"""Components of near duplicates in a workspace, and which image of each stays, by a policy that people choose.

Edges are the pairs that stand as duplicates and the links of bursts. Images of a reference set take part: nothing of a
component that reaches one may stay. What people kept by name survives, what they excluded does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from curation import policies as settings
from curation.errors import ArgumentError, CurationError
from curation.survivors import components, graph
from curation.survivors.graph import Nodes
from curation.survivors.reasons import NEAR, why
from curation.workspace import Workspace

MEMBERS = pa.schema(
    {
        "component": pa.int32(),
        "image_id": pa.int32(),
        "reference": pa.string(),  # '' or the reference set that the id is of
        "survives": pa.bool_(),
        "reason": pa.string(),  # why it goes, or who kept it
    }
)
EDGES = pa.schema(
    {
        "component": pa.int32(),
        "image_a": pa.int32(),
        "image_b": pa.int32(),
        "reference": pa.string(),  # of image_b
        "kind": pa.string(),  # pair or burst
        "by": pa.string(),  # the reviewer, `rule`, or the burst's id
    }
)


class Resolution(NamedTuple):
    """Components (numbered by falling size, then by smallest image id): their members and edges."""

    members: pa.Table
    edges: pa.Table


class Preview(NamedTuple):
    """What each policy would do: counts by policy, and component, image_id and a column for each (True: it goes)."""

    counts: dict[str, dict[str, int]]
    table: pa.Table


def resolve(
    workspace: Workspace,
    *,
    policy: str | None = None,
    until: int | None = None,
    rule: bool = True,
    strict: bool = True,
) -> Resolution:
    """Components of near duplicates and burst links, and who survives.

    In a component with an image of a reference set nobody survives. Elsewhere an image that people keep (`survivor`
    events) does, or else the one that the policy names; never one that is excluded, broken or gone. An image that is
    known by name only may survive where no picture can; `published` makes no difference between the two. `published`
    also takes images of ImageNet, told by their file names, for a reference set.

    Args:
        policy: one of `policies.SURVIVORS` (`split:NAME` for `split`); the one in force when None.
        until: take people's decisions only to this position of the ledger.
        rule: whether the rule's decision counts for pairs without a verdict.
        strict: whether it is an error that people keep two images of a component; if not, nothing of it survives, and
            the reason names both.

    Raises:
        ArgumentError: an unknown policy or split.
        CurationError: two images of a component must survive; pairs or events name images that are not there.
    """
    chosen = _checked(workspace, settings.value(workspace, "survivors", until=until) if policy is None else policy)
    nodes = graph.gather(workspace, until=until, rule=rule)
    outside = _outside(nodes, chosen)
    survives, rivals = _survivors(nodes, chosen)
    if rivals and strict:
        component, told = next(iter(rivals.items()))
        raise CurationError(
            f"{told}; the component has {graph.member_names(nodes, component)}: release one, or rule that a pair "
            "between them is different"
        )
    members = {
        "component": nodes.label,
        "image_id": nodes.ids.astype(np.int32),
        "reference": nodes.reference_names(),
        "survives": survives | outside,
        "reason": why(nodes, survives, outside, rivals),
    }
    order = np.argsort(nodes.label, kind="stable")
    table = pa.table(members, schema=MEMBERS).take(pa.array(order))
    return Resolution(table, _edges(nodes))


def preview(
    workspace: Workspace, *, policies: Sequence[str] | None = None, until: int | None = None, rule: bool = True
) -> Preview:
    """Who would go under each policy; all of them when None, `split` once for each source split.

    Counts: `kept` (candidates that survive), `gone` (that would stay but for the others), `without_survivor`
    (components of which nothing stays, also because people keep two of them).

    Raises:
        ArgumentError: an unknown policy or split.
    """
    nodes = graph.gather(workspace, until=until, rule=rule)
    if policies is None:
        splits = [f"split:{name}" for name in settings.source_splits(workspace)]
        policies = [name for p in settings.SURVIVORS for name in (splits if p == "split" else [p])]
    own = nodes.own
    columns = {"component": nodes.label[own], "image_id": nodes.ids[own].astype(np.int32)}
    counts = {}
    for policy in policies:
        outside = _outside(nodes, _checked(workspace, policy))
        survives, _ = _survivors(nodes, policy)
        columns[policy] = ~(survives | outside | nodes.barred)[own]
        lost = nodes.components() - len(np.unique(nodes.label[survives]))
        counts[policy] = {"kept": int(survives.sum()), "gone": int(columns[policy].sum()), "without_survivor": lost}
    order = np.lexsort((columns["image_id"], columns["component"]))
    return Preview(counts, pa.table(columns).take(pa.array(order)))


def summary(workspace: Workspace, found: Resolution, *, giant: int = 20) -> dict[str, Any]:
    """A resolution in numbers.

    Args:
        giant: components with more members than this are listed under `giants` (component, name, members, images:
            the first five ids); a chain of errors often makes one.

    Returns:
        components, images (of this workspace), references (images of reference sets), kept, gone (not counting what
        is out for another reason), leaked (components with an image of a reference set), sizes, largest, giants.
    """
    members = found.members.to_pandas()
    own = members[members["reference"] == ""]
    sizes = members.groupby("component").size()
    listed = {int(size): int(n) for size, n in sizes.value_counts().sort_index().items()}
    gone = own[~own["survives"] & own["reason"].str.startswith(NEAR)]
    return {
        "components": len(sizes),
        "images": len(own),
        "references": len(members) - len(own),
        "kept": int(own["survives"].sum()),
        "gone": len(gone),
        "leaked": int(members.loc[members["reference"] != "", "component"].nunique()),
        "sizes": listed,
        "largest": int(sizes.max()) if len(sizes) else 0,
        "giants": [_giant(workspace, members, int(c)) for c in sizes.index[sizes > giant]],
    }


# -- below: who survives -----------------------------------------------------------------------------------------------


def _checked(workspace: Workspace, policy: str) -> str:
    if why := settings.problem("survivors", policy, splits=partial(settings.source_splits, workspace)):
        raise ArgumentError(why)
    return policy


def _outside(nodes: Nodes, policy: str) -> np.ndarray:
    """Nodes that are no candidates, and beside which no candidate may stay."""
    return ~nodes.own | nodes.imagenet if policy == "published" else ~nodes.own


def _survivors(nodes: Nodes, policy: str) -> tuple[np.ndarray, dict[int, str]]:
    """Who survives, bool (N,), and the components of which nobody does because people keep several (`graph.rivals`)."""
    outside = _outside(nodes, policy)
    tainted = np.bincount(nodes.label, outside, minlength=nodes.components()) > 0
    able = ~outside & ~nodes.barred & ~tainted[nodes.label]
    override = graph.overrides(nodes, able)
    rivals = graph.rivals(nodes, override)
    able &= ~np.isin(nodes.label, list(rivals))
    survives = np.zeros(len(able), bool)
    if policy == "published":
        order = np.lexsort((nodes.ids, nodes.names))
        survives[order] = components.published(
            nodes.label[order],
            outside=outside[order],
            classes=nodes.classes[order],
            scores=nodes.scores[order],
            good=nodes.good,
            override=override[order],
            able=able[order],
        )
    elif able.any():
        choice = np.flatnonzero(able)
        keys = (~override, nodes.name_only, *_keys(nodes, policy))
        survives[choice[components.best(nodes.label[choice], *(key[choice] for key in keys))]] = True
    return survives, rivals


def _keys(nodes: Nodes, policy: str) -> tuple[np.ndarray, ...]:
    if policy == "first":
        return (nodes.ids,)
    if policy == "frequency":
        _, rank = np.unique(nodes.names, return_inverse=True)
        return -nodes.scores, -rank, nodes.ids
    if policy.startswith("split:"):
        member = graph.in_split(nodes.workspace, policy.removeprefix("split:"), nodes.workspace_ids)
        return ~member, -nodes.area, nodes.ids
    return -nodes.area, nodes.ids


def _edges(nodes: Nodes) -> pa.Table:
    reference = nodes.reference_names()[nodes.second]
    columns = {
        "component": nodes.label[nodes.first],
        "image_a": nodes.ids[nodes.first].astype(np.int32),
        "image_b": nodes.ids[nodes.second].astype(np.int32),
        "reference": reference,
        "kind": np.where(nodes.is_pair(), "pair", "burst"),
        "by": nodes.by,
    }
    order = np.lexsort((columns["image_b"], columns["image_a"], reference, columns["component"]))
    return pa.table(columns, schema=EDGES).take(pa.array(order))


def _giant(workspace: Workspace, members: pd.DataFrame, component: int) -> dict[str, Any]:
    part = members[members["component"] == component]
    ids = part.loc[part["reference"] == "", "image_id"].head(5).tolist()
    return {"component": component, "name": _name(workspace, part), "members": len(part), "images": ids}


def _name(workspace: Workspace, part: pd.DataFrame) -> str:
    names = []
    for reference, rows in part.groupby("reference"):
        ids = rows["image_id"].to_numpy(np.int64)
        names += graph.names_of(graph.paths_of(workspace, str(reference), ids)).tolist()
    return components.component_name(names)
