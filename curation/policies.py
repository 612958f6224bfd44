"""What people set for a whole workspace: `policy` events of the ledger, the latest of each name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence, Set
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import ArgumentError
from curation.ledger import Event
from curation.workspace import Workspace

DEFAULTS = {
    "survivors": "largest",  # which image of a component stays
    "double-review": "0",  # share of the pairs that two people judge
    "tolerated": "10",  # near duplicates that may stay unseen
    "lease": "10",  # minutes for which a pair is kept for one person
}
SURVIVORS = {
    "largest": "the largest picture (width x height), the first of equals",
    "first": "the first image (smallest id)",
    "frequency": "the highest selection frequency in its class, the last by name of equals",
    "split": "split:NAME: an image of the source split NAME, the largest of several",
    "published": "as ImageNetV2 did: of the poorest eligible class, the highest selection frequency",
}
"""What "survivors" can be, each with one line on who stays."""
LIMITS = {"double-review": (0.0, 1.0), "tolerated": (0.0, 1e9), "lease": (1.0, 1440.0)}
"""Least and greatest value of the settings that are numbers."""


def value(workspace: Workspace, name: str, *, until: int | None = None) -> str:
    """The setting as it stands (at a position of the ledger), or its default.

    Raises:
        ArgumentError: unknown name.
    """
    if name not in DEFAULTS:
        raise ArgumentError(f"unknown policy {name!r}: choose one of {', '.join(DEFAULTS)}")
    if until is None:
        event = workspace.ledger.last("policy", accept=lambda event: event.subject == name)
    else:
        event = workspace.ledger.latest("policy", until=until).get(name)
    return DEFAULTS[name] if event is None else event.verdict


def standing(events: Iterable[tuple[str, str, str]], gone: Set[str] = frozenset()) -> dict[str, str]:
    """Every setting as it stands, from (event id, name, value) in order; values that it cannot have do not count."""
    said = {name: value for event_id, name, value in events if event_id not in gone and not problem(name, value)}
    return DEFAULTS | said


def number(workspace: Workspace, name: str, *, until: int | None = None) -> float:
    """A setting that is a number; its default where the event that stands says something else."""
    text = value(workspace, name, until=until)
    return float(DEFAULTS[name] if problem(name, text) else text)


def problem(name: str, text: str, *, splits: Callable[[], Sequence[str]] | None = None) -> str:
    """Why a setting cannot have this value, in words; '' when it can.

    Args:
        splits: gives the source splits that `split:NAME` may name (`source_splits`); any when None.
    """
    if name not in DEFAULTS:
        return f"unknown policy {name!r}: one of {', '.join(DEFAULTS)}"
    if name == "survivors":
        return _problem_of_survivors(text, splits)
    low, high = LIMITS[name]
    try:
        good = low <= float(text) <= high and math.isfinite(float(text))
    except ValueError:
        good = False
    return "" if good else f"{name} must be a number from {low:g} to {high:g}, not {text!r}"


def source_splits(workspace: Workspace) -> list[str]:
    """Names of the splits of the source, in byte order."""
    found = pc.unique(workspace.images(["source_split"])["source_split"].cast(pa.string())).to_pylist()
    return sorted(name for name in found if name)


def put(workspace: Workspace, name: str, text: str, *, reviewer: str, note: str = "") -> None:
    """Set a policy from now on.

    Raises:
        ArgumentError: unknown name, or a value that it cannot have here.
    """
    if why := problem(name, text, splits=partial(source_splits, workspace)):
        raise ArgumentError(why)
    workspace.ledger.append([Event(reviewer=reviewer, kind="policy", subject=name, verdict=text, note=note)])


def _problem_of_survivors(text: str, splits: Callable[[], Sequence[str]] | None) -> str:
    name, colon, split = text.partition(":")
    if name not in SURVIVORS or (name == "split") != bool(colon) or bool(colon) != bool(split):
        known = ", ".join("split:NAME" if known == "split" else known for known in SURVIVORS)
        return f"unknown policy {text!r} for survivors: choose one of {known}"
    if split and splits is not None and split not in (there := splits()):
        return f"no image is of the source split {split!r}: there are {', '.join(there) or 'none'}"
    return ""
