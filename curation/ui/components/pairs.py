"""Pair viewer: a queue of two pictures side by side, decided by one key each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from curation.duplicates.sources import REVIEWED
from curation.judgements import PROBES
from curation.ui.components import base
from curation.ui.components.sides import Sources, disguised, parts_of
from curation.workspace import Workspace

_mount = base.component("pairs")
BATCH = 60
MOST = 2000
MEASURES = ("exact", "pixels", "dssim", "fc7", "phash", "phash_mirror", "cosine", "inliers", "probability")
NEAR = {**REVIEWED, "phash": 10, "phash_mirror": 10}
"""Up to here a measure is emphasised: ImageNetV2's final review thresholds, and 10 bits of a perceptual hash."""


@dataclass(frozen=True)
class PairResult:
    """What the person did.

    Attributes:
        pending: pairs that have no verdict yet, as the page said.
        saved: verdicts reached the ledger since the last run (a hint to look again; it may be missing).
        wants: rows that the browser wants in the next run.
    """

    pending: int
    saved: bool = False
    wants: int = BATCH


def wants(key: str, workspace: Workspace) -> int:
    """How many rows to hand to the viewer of this key in this run: known before it is drawn."""
    rows = (base.state(base.own(key, workspace), "want") or {}).get("rows")
    return min(max(rows, BATCH), MOST) if isinstance(rows, int) else BATCH


def pair_viewer(
    pairs: pa.Table,
    *,
    key: str,
    workspace: Workspace,
    reviewer: str,
    total: int,
    pending: int,
    queue: str = "",
    notify: bool = True,
    finals: bool = False,
    lease: float = 10,
    near: Mapping[str, float] = NEAR,
    empty: tuple[str, str] = ("No pairs to decide", "Search for near duplicates first, or widen what is shown."),
) -> PairResult:
    """Show a queue of pairs; verdicts go to the ledger as `pair` events with what was on the screen.

    The browser works through what it was given and asks for more before that runs out: the page then runs again, and
    `wants` says how many rows to hand over.

    Args:
        pairs: rows of `duplicates.verdicts.queue` without a verdict of this reviewer and leased to them, in the order
            to show: image_a, image_b, reference, subject, class_a, class_b, set_a, set_b, any measures, transform;
            with `finals` also verdicts.
        key: unique on the page; with the workspace it names the instance, so that none acts on another workspace.
        reviewer: who decides.
        total: pairs of the whole queue, decided ones too.
        pending: pairs of it that have no verdict yet, those leased to others too.
        queue: names what `pairs` is (its order and filters); another name starts from the top.
        notify: rerun once verdicts were saved.
        finals: settle contested pairs: shows who said what, and posts `pair.final` events.
        lease: minutes after which a pair that nobody decided may have gone to somebody else.
        near: by measure, the largest distance that is emphasised.
        empty: title and hint when there is no pair at all.
    """
    position = workspace.ledger.position()
    own, kind = base.own(key, workspace), "pair.final" if finals else "pair"
    last = base.last(workspace, (kind,), reviewer, position)
    back = parts_of(last["subject"]) if last else None
    sources = Sources(workspace)
    data = {
        "urls": base.urls(workspace),
        "images": sources.images,
        "reviewer": reviewer,
        "kind": kind,
        "queue": queue,
        "total": total,
        "pending": pending,
        "position": position,
        "pairs": _rows(sources, pairs, near),
        "last": last and back and {**last, "pair": _bare(sources, back, last["subject"])},
        "batch": BATCH,
        "rows": wants(key, workspace),
        "answered": (base.state(own, "want") or {}).get("at", 0),
        "lease": lease,
        "notify": notify,
        "empty": list(empty),
    }
    result = _mount(key=own, data=data, on_want_change=_nothing, on_saved_change=_nothing)
    return PairResult(pending, result.saved is not None, wants(key, workspace))


def _nothing() -> None:
    """A result field exists only with a callback of its name."""


def _rows(sources: Sources, pairs: pa.Table, near: Mapping[str, float]) -> list[dict[str, Any]]:
    """Each pair as the browser needs it; measures that did not look are left out."""
    if not len(pairs):
        return []
    first, second = (pairs[c].to_numpy() for c in ("image_a", "image_b"))
    names = pairs["reference"].to_pylist()
    side = sources.lookup([""] * len(names) + names, np.concatenate([first, second]))
    measures = [c for c in MEASURES if c in pairs.column_names]
    rows = []
    for row in pairs.to_pylist():
        left = side("", row["image_a"]) | {"class": row["class_a"], "set": row["set_a"]}
        right = side(row["reference"], row["image_b"]) | {"class": row["class_b"], "set": row["set_b"]}
        if row["reference"] == PROBES:
            right = disguised(right, left)
        known = {c: _plain(row[c]) for c in measures if row[c] is not None and row[c] == row[c]}
        rows.append(
            {
                "subject": row["subject"],
                "left": left,
                "right": right,
                "measures": known,
                "near": [c for c, value in known.items() if c in near and value <= near[c]],
                "transform": _transform(row.get("transform")),
                "said": _said(row.get("verdicts")),
            }
        )
    return rows


def _bare(sources: Sources, named: tuple[int, str, int], subject: str) -> dict[str, Any]:
    """A pair of which only the pictures are known: enough to show it when its verdict is taken back."""
    first, name, second = named
    left = sources.rows("", np.array([first]))[first]
    right = sources.rows(name, np.array([second]))[second]
    right = disguised(right, left) if name == PROBES else right
    return {"subject": subject, "left": left, "right": right, "measures": {}, "near": [], "said": [], "bare": True}


def _plain(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _transform(values: list[float] | None) -> list[float] | None:
    """Six finite numbers of a transform that can be drawn, else None."""
    if values is None or len(values) != 6 or not np.isfinite(values).all():
        return None
    a, b, _, c, d, _ = values
    return [round(v, 6) for v in values] if 1e-3 < abs(a * d - b * c) < 1e3 else None


def _said(verdicts: Any) -> list[dict[str, str]]:
    """Who said what about a pair: reviewer, verdict, note."""
    rows = json.loads(verdicts) if isinstance(verdicts, str) else verdicts
    return [{k: str(row.get(k) or "") for k in ("reviewer", "verdict", "note")} for row in rows or []]
