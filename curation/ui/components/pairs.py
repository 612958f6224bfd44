"""Pair viewer: a queue of two pictures side by side, decided by one key each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from curation import exclusions
from curation.ui.components import base
from curation.workspace import Workspace

_mount = base.component("pairs")
BATCH = 200
_NOT_SHOWN = {"image_a", "image_b", "decision"}


@dataclass(frozen=True)
class PairResult:
    """What the person did.

    Attributes:
        pending: pairs of the queue that have no verdict yet, as this run found them.
        saved: verdicts reached the ledger since the last run (a hint to look again; it may be missing).
    """

    pending: int
    saved: bool = False


def pair_viewer(
    pairs: pa.Table,
    *,
    key: str,
    workspace: Workspace,
    reviewer: str,
    queue: str = "",
    notify: bool = True,
    empty: tuple[str, str] = ("No pairs to decide", "Search for near duplicates first, or widen what is shown."),
) -> PairResult:
    """Show a queue of pairs; verdicts go to the ledger as `pair` events with what was on the screen.

    Only the next `BATCH` pairs without a verdict travel to the browser; it asks for more before they run out.

    Args:
        pairs: `image_a`, `image_b` (int32, image_a < image_b) in the order to show; any other column but `decision`
            is shown as a measure (see `curation.workspace.PAIRS`). Give decided pairs too: they are left out here, and
            counted as done.
        key: unique on the page; with the workspace it names the instance, so that none acts on another workspace.
        reviewer: who decides.
        queue: names what `pairs` is (its order and filters); another name starts from the top and forgets what was
            saved, so that pairs undone elsewhere come back.
        notify: rerun once verdicts were saved.
        empty: title and hint when `pairs` has no row at all.
    """
    position = workspace.ledger.position()
    open_ = pending(workspace, pairs, position)
    own = base.own(key, workspace)
    rows = int((base.state(own, "want") or {}).get("rows") or BATCH)
    batch = open_.slice(0, max(rows, BATCH))
    last = base.last(workspace, ("pair",), reviewer, position)
    data = {
        "urls": base.urls(workspace),
        "reviewer": reviewer,
        "queue": queue,
        "total": len(pairs),
        "pending": len(open_),
        "position": position,
        "last": last if last and _holds(pairs, last["subject"]) else None,  # nothing is undone out of sight
        "batch": BATCH,
        "notify": notify,
        "empty": list(empty),
        **_batch(workspace, batch),
    }
    result = _mount(key=own, data=data, on_want_change=_nothing, on_saved_change=_nothing)
    return PairResult(len(open_), result.saved is not None)


def _nothing() -> None:
    """A result field exists only with a callback of its name."""


def _holds(pairs: pa.Table, subject: str) -> bool:
    first, second = map(int, subject.split("-"))
    return bool(((pairs["image_a"].to_numpy() == first) & (pairs["image_b"].to_numpy() == second)).any())


def pending(workspace: Workspace, pairs: pa.Table, position: int | None = None) -> pa.Table:
    """The pairs that no person has decided, at a position of the ledger (now, when None)."""
    done = _decided(workspace, workspace.ledger.position() if position is None else position)
    if not len(done) or not len(pairs):
        return pairs
    first, second = (pairs[c].to_numpy().astype(np.int64) for c in ("image_a", "image_b"))
    return pairs.filter(pa.array(~np.isin(first << 32 | second, done)))


@lru_cache(maxsize=8)
def _decided(workspace: Workspace, position: int) -> np.ndarray:
    """Pairs with a verdict as image_a * 2**32 + image_b, int64."""
    said = exclusions.verdicts(workspace, until=position)
    first, second = (said[c].to_numpy().astype(np.int64) for c in ("image_a", "image_b"))
    return first << 32 | second


def _batch(workspace: Workspace, pairs: pa.Table) -> dict[str, Any]:
    first, second = (pairs[c].to_numpy() for c in ("image_a", "image_b"))
    ids = np.unique(np.concatenate([first, second]))
    rows = base.image_rows(workspace, ids)
    words, codes = base.codes(rows["class_name"])
    measures = {c: _plain(pairs[c]) for c in pairs.column_names if c not in _NOT_SHOWN}
    return {
        "a": first.tolist(),
        "b": second.tolist(),
        "measures": {name: values for name, values in measures.items() if any(v is not None for v in values)},
        "words": words,
        "images": {
            str(i): described
            for i, *described in zip(
                ids.tolist(),
                codes,
                rows["path"].to_pylist(),
                rows["width"].to_pylist(),
                rows["height"].to_pylist(),
                strict=True,
            )
        },
    }


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Values that JSON can say, floats to four digits."""
    if pa.types.is_floating(column.type):
        return [None if v is None or v != v else round(v, 4) for v in column.to_pylist()]
    return column.to_pylist()
