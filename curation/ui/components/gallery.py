"""Gallery: pictures in groups, to move among, select, flag and exclude by keyboard; Python gets the selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa

from curation.errors import ArgumentError
from curation.ui.components import base
from curation.workspace import Workspace

_mount = base.component("gallery")
KINDS = ("flag", "exclude")


class Group(TypedDict, total=False):
    """One titled row or block of pictures; `images` are image ids."""

    id: str
    title: str
    subtitle: str
    colour: str  # any CSS colour, drawn as a dot before the title
    action: str  # label of a button; pressing it gives `GalleryResult.group`
    images: Sequence[int]


@dataclass(frozen=True)
class GalleryResult:
    """What the person did.

    Attributes:
        selection: selected image ids, each once, in the gallery's order; only ids that are in it now.
        group: id of the group whose action was pressed in this run, else None.
        saved: decisions reached the ledger since the last run (a hint to look again; it may be missing).
    """

    selection: list[int] = field(default_factory=list)
    group: str | None = None
    saved: bool = False


def gallery(
    images: Sequence[int] | np.ndarray | None = None,
    *,
    key: str,
    workspace: Workspace,
    reviewer: str,
    groups: Sequence[Group] | None = None,
    captions: Sequence[str] | str | None = "class",
    tile: int = 144,
    rows: int | None = None,
    height: int | None = None,
    selectable: bool = True,
    decide: Sequence[str] = KINDS,
    cleared: int = 0,
    notify: bool = True,
    empty: tuple[str, str] = ("No pictures", "Nothing matches what was asked for."),
    shown: Mapping[str, Any] | None = None,
) -> GalleryResult:
    """Draw a gallery of pictures of a workspace.

    Args:
        images: image ids in the order to show; or give `groups`.
        key: unique on the page; with the workspace it names the instance, so that none acts on another workspace.
        reviewer: who decides.
        groups: titled groups with images of their own; an image in several of them is marked in each.
        captions: one text an image (in the order shown), `class` or `path` for that column, None for no captions.
        tile: smallest width of a tile in pixels.
        rows: show only so many rows of each group.
        height: scroll inside this many pixels; None lets the page scroll.
        selectable: whether a click selects (it opens the large view otherwise).
        decide: which decisions can be taken here, out of `flag` and `exclude`.
        cleared: change this number to select nothing, after the selection was used.
        notify: rerun once decisions were saved.
        empty: title and hint when there are no images.
        shown: more about what was on the screen, kept with each decision.

    Raises:
        ArgumentError: unknown `decide`, or as many captions as there are not images.
    """
    if unknown := sorted(set(decide) - set(KINDS)):
        raise ArgumentError(f"a gallery cannot decide {unknown}: choose from {', '.join(KINDS)}")
    parts = [{"images": images}] if groups is None else groups
    ids, spans = _flatten(parts)
    words, codes = _captions(workspace, ids, captions)
    position = workspace.ledger.position()
    flagged, excluded = marks(workspace, position)
    here = set(ids)
    last = base.last(workspace, tuple(decide), reviewer, position) if decide else None
    data = {
        "urls": base.urls(workspace),
        "reviewer": reviewer,
        "ids": ids,
        "groups": spans,
        "words": words,
        "captions": codes,
        "tile": tile,
        "rows": rows,
        "height": height,
        "selectable": selectable,
        "decide": list(decide),
        "flagged": sorted(flagged & here),
        "excluded": sorted(excluded & here),
        "last": last if last and int(last["subject"]) in here else None,  # nothing is undone out of sight
        "position": position,
        "cleared": cleared,
        "notify": notify,
        "empty": list(empty),
        "shown": dict(shown or {}),
    }
    result = _mount(
        key=base.own(key, workspace),
        data=data,
        on_selection_change=_nothing,
        on_group_change=_nothing,
        on_saved_change=_nothing,
    )
    selection = [i for i in dict.fromkeys(result.selection or []) if i in here]
    return GalleryResult(selection, result.group, result.saved is not None)


def _nothing() -> None:
    """A result field exists only with a callback of its name."""


def _flatten(parts: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[dict[str, Any]]]:
    """All ids in one list, and each group with its `start` and `end` in it."""
    ids: list[int] = []
    spans = []
    for number, part in enumerate(parts):
        images = part.get("images")
        own = [] if images is None else np.asarray(images, dtype=np.int64).tolist()
        rest = {k: v for k, v in part.items() if k != "images"}
        spans.append({"id": str(number), **rest, "start": len(ids), "end": len(ids) + len(own)})
        ids += own
    return ids, spans


def _captions(
    workspace: Workspace, ids: list[int], captions: Sequence[str] | str | None
) -> tuple[list[str], list[int] | None]:
    if captions is None or not ids:
        return [], None
    if isinstance(captions, str):
        column = {"class": "class_name", "path": "path"}.get(captions)
        if column is None:
            raise ArgumentError(f"unknown captions {captions!r}: choose class, path or give one text an image")
        return base.codes(base.image_rows(workspace, ids)[column])
    if len(captions) != len(ids):
        raise ArgumentError(f"there are {len(captions):,} captions for {len(ids):,} images: give one each")
    return base.codes(pa.array(list(captions), pa.string()))


@lru_cache(maxsize=8)
def marks(workspace: Workspace, position: int) -> tuple[frozenset[int], frozenset[int]]:
    """Ids of the images that are flagged and of those excluded, at a position of the ledger."""
    sets = []
    for kind in KINDS:
        last = workspace.ledger.standing(kind, until=position).drop_duplicates("subject", keep="last")
        sets.append(frozenset(last["subject"][last["verdict"] == kind].astype(int)))
    return sets[0], sets[1]
