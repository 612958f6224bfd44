"""Group viewer: a component of near duplicates at once; who stays is chosen, and wrong links are cut, by keyboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import judgements
from curation.ledger import Event
from curation.ui.components import base
from curation.ui.components.sides import Sources
from curation.workspace import Workspace

_mount = base.component("groups")
AROUND = 8
MOST = 600
VIEW = "group"
GIANT = 20
"""From this size on a group is flagged: chains of near duplicates seldom get so long without a wrong link."""


@dataclass(frozen=True)
class GroupResult:
    """What the person did.

    Attributes:
        at: number of the component on the screen.
        saved: decisions reached the ledger since the last run (a hint to look again; it may be missing).
    """

    at: int
    saved: bool = False


def group_viewer(
    members: pa.Table,
    edges: pa.Table,
    *,
    key: str,
    workspace: Workspace,
    reviewer: str,
    policy: str,
    at: int = 0,
    notify: bool = True,
    giant: int = GIANT,
    empty: tuple[str, str] = ("No groups", "Pictures that are near duplicates of each other show here as one group."),
) -> GroupResult:
    """Show components one by one; keeping a picture posts `survivor` events, cutting a link a `pair` verdict.

    Only the components around the current one travel to the browser.

    Args:
        members: component, image_id, reference, survives, reason: as in `survivors.Resolution`.
        edges: component, image_a, image_b, reference (of image_b), kind (pair or burst), by.
        key: unique on the page; with the workspace it names the instance, so that none acts on another workspace.
        reviewer: who decides.
        policy: what the policy in force does, in words.
        at: number of the component to begin with.
        notify: rerun once decisions were saved.
        giant: a component of so many members is flagged.
        empty: title and hint when there is no component.
    """
    position = workspace.ledger.position()
    own = base.own(key, workspace)
    want = base.state(own, "want") or {}
    members = members.take(pa.array(np.argsort(members["component"].to_numpy(), kind="stable")))
    numbers, starts = np.unique(members["component"].to_numpy(), return_index=True)
    starts = np.append(starts, len(members))
    place = _place(members, numbers, want, at)
    chosen = _around(np.diff(starts), place)
    rows = [members.slice(starts[i], starts[i + 1] - starts[i]) for i in chosen]
    sources = Sources(workspace)
    kept = _kept(workspace, position)
    links = _links(edges, numbers[chosen])
    data = {
        "urls": base.urls(workspace),
        "images": sources.images,
        "reviewer": reviewer,
        "policy": policy,
        "position": position,
        "total": len(numbers),
        "at": place,
        "groups": [
            {"place": int(i), **_group(sources, part, links[int(numbers[i])], kept)}
            for i, part in zip(chosen, rows, strict=True)
        ],
        "last": _last(workspace, reviewer),
        "answered": want.get("asked", 0),
        "giant": giant,
        "notify": notify,
        "empty": list(empty),
    }
    result = _mount(key=own, data=data, on_want_change=_nothing, on_saved_change=_nothing)
    return GroupResult(int(numbers[place]) if len(numbers) else 0, result.saved is not None)


def _nothing() -> None:
    """A result field exists only with a callback of its name."""


def _last(workspace: Workspace, reviewer: str) -> dict[str, Any] | None:
    """The reviewer's last decision in a group that stands: what undo takes back after a reload."""

    def mine(event: Event) -> bool:
        return event.reviewer == reviewer and (event.kind == "survivor" or event.shown.get("view") == VIEW)

    event = workspace.ledger.last(("survivor", "pair"), accept=mine)
    return event and {"event_id": event.event_id, "subject": event.subject, "released": event.data.get("released", [])}


def _place(members: pa.Table, numbers: np.ndarray, want: Mapping[str, Any], at: int) -> int:
    """Where the browser is: with its anchor, an image, since components get other numbers when links are cut."""
    anchor = want.get("anchor")
    if anchor:
        same = pc.and_(
            pc.equal(members["image_id"], anchor[1]), pc.equal(members["reference"].cast("string"), anchor[0])
        )
        if (row := pc.index(same, True).as_py()) >= 0:
            return int(np.searchsorted(numbers, members["component"][row].as_py()))
    place = want["at"] if isinstance(want.get("at"), int) else int(np.searchsorted(numbers, at))
    return max(0, min(place, len(numbers) - 1))


def _around(sizes: np.ndarray, place: int) -> np.ndarray:
    """Places to send: the current one, and those next to it as long as they are small."""
    if not len(sizes):
        return np.zeros(0, np.int64)
    after = np.arange(place + 1, min(place + AROUND, len(sizes)))
    before = np.arange(place - 1, max(place - AROUND // 2, -1), -1)
    some = [part[np.cumsum(sizes[part]) <= MOST] for part in (before, after)]
    return np.concatenate([some[0][::-1], [place], some[1]]).astype(np.int64)


def _kept(workspace: Workspace, position: int) -> dict[str, tuple[str, str, str]]:
    """By image id as text: event, reviewer and note of the decision to keep it."""
    said = workspace.ledger.standing("survivor", until=position).drop_duplicates("subject", keep="last")
    said = said[said["verdict"] == "keep"]
    columns = (said[c] for c in ("subject", "event_id", "reviewer", "note"))
    return {subject: tuple(rest) for subject, *rest in zip(*columns, strict=True)}


def _links(edges: pa.Table, wanted: np.ndarray) -> dict[int, pa.Table]:
    numbers = edges["component"].to_numpy()
    here = edges.filter(pa.array(np.isin(numbers, wanted)))
    own = here["component"].to_numpy()
    return {int(n): here.filter(pa.array(own == n)) for n in wanted}


def _group(
    sources: Sources, part: pa.Table, links: pa.Table, kept: Mapping[str, tuple[str, str, str]]
) -> dict[str, Any]:
    """A component for the browser: members, the largest picture first, and edges by their places in that order."""
    names, ids = part["reference"].to_pylist(), part["image_id"].to_numpy()
    side = sources.lookup(names, ids)
    members = []
    for row in part.to_pylist():
        by = kept.get(str(row["image_id"])) if not row["reference"] else None
        member = side(row["reference"], row["image_id"]) | {"stays": row["survives"], "reason": row["reason"]}
        members.append(member | ({"kept": {"by": by[1], "note": by[2]}} if by else {}))
    members.sort(key=lambda m: (-m["width"] * m["height"], m["source"], m["id"]))
    place = {(m["source"], m["id"]): i for i, m in enumerate(members)}
    edges = [
        {
            "a": place["", e["image_a"]],
            "b": place[e["reference"], e["image_b"]],
            "subject": judgements.subject(e["image_a"], e["image_b"], e["reference"]),
            "kind": e["kind"],
            "by": e["by"],
        }
        for e in links.to_pylist()
    ]
    return {"members": members, "edges": edges}
