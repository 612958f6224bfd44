"""What people set for a whole workspace: `policy` events of the ledger, the latest of each name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Set

from curation.errors import ArgumentError
from curation.ledger import Event
from curation.workspace import Workspace

DEFAULTS = {
    "survivors": "largest",  # which image of a component stays
    "double-review": "0",  # share of the pairs that two people judge
    "tolerated": "10",  # near duplicates that may stay unseen
    "lease": "10",  # minutes for which a pair is kept for one person
}
_RANGES = {"double-review": (0.0, 1.0), "tolerated": (0.0, 1e9), "lease": (0.1, 1440.0)}


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


def problem(name: str, text: str) -> str:
    """Why a setting cannot have this value, in words; '' when it can."""
    if name not in DEFAULTS:
        return f"unknown policy {name!r}: one of {', '.join(DEFAULTS)}"
    if name == "survivors":
        from curation.survivors import resolution

        try:
            resolution.check_policy(text)
        except ArgumentError as error:
            return str(error)
        return ""
    low, high = _RANGES[name]
    try:
        good = low <= float(text) <= high and math.isfinite(float(text))
    except ValueError:
        good = False
    return "" if good else f"{name} must be a number from {low:g} to {high:g}, not {text!r}"


def put(workspace: Workspace, name: str, text: str, *, reviewer: str, note: str = "") -> None:
    """Set a policy from now on.

    Raises:
        ArgumentError: unknown name, or a value that it cannot have.
    """
    if why := problem(name, text):
        raise ArgumentError(why)
    workspace.ledger.append([Event(reviewer=reviewer, kind="policy", subject=name, verdict=text, note=note)])
