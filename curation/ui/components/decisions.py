"""Decisions as the browser posts them: checked one by one, then turned into ledger events."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from curation import judgements, policies
from curation.files import NAME
from curation.ledger import Event

VERDICTS = {
    "flag": ("flag", "clear"),
    "exclude": ("exclude", "include"),
    "pair": judgements.VERDICTS,
    "pair.final": judgements.VERDICTS,
    "survivor": ("keep", "release"),
    "cluster.merge": ("merge",),
    "cluster.split": ("split",),
    "cluster.move": ("move",),
}
CLIENT = re.compile(r"[A-Za-z0-9_-]{8,64}")
EVENT_ID = re.compile(r"[A-Za-z0-9_-]{8,64}(:\d{1,16})?")
NUMBER = re.compile(r"0|[1-9]\d{0,9}")
FIELDS = {"seq", "kind", "subject", "verdict", "note", "shown", "data"}
MOST_NOTE = 4000


class Refused(ValueError):
    """A decision that cannot be kept; `seq` says which one, None when it is the whole batch."""

    def __init__(self, message: str, seq: int | None = None) -> None:
        super().__init__(message)
        self.seq = seq


class Known(NamedTuple):
    """What decisions can be about: how many images the workspace and its reference sets have, and its source splits."""

    images: int
    references: Mapping[str, int]
    splits: Callable[[], Sequence[str]] | None


def parse(
    body: Any,
    images: int,
    references: Mapping[str, int] | None = None,
    splits: Callable[[], Sequence[str]] | None = None,
) -> tuple[list[Event], int]:
    """Ledger events of a batch `{client, reviewer, events: [{seq, kind, subject, …}]}`, and the highest number.

    The event id is `client:seq`, so that a batch which is sent twice is kept once.

    Args:
        body: the decoded JSON.
        images: how many images the workspace has; ids run from 0.
        references: how many images each of its reference sets has.
        splits: gives the names of its source splits; asked only where a decision names one.

    Raises:
        Refused: something is missing, of the wrong type, or unknown.
    """
    if not isinstance(body, dict):
        raise Refused("a batch must be a JSON object with client, reviewer and events")
    client, reviewer, rows = body.get("client"), _text(body, "reviewer").strip(), body.get("events")
    if not isinstance(client, str) or not CLIENT.fullmatch(client):
        raise Refused("client must be 8 to 64 letters, digits, '_' or '-'")
    if not 0 < len(reviewer) <= 200:
        raise Refused("reviewer must be a name of 1 to 200 characters")
    if not isinstance(rows, list) or not rows:
        raise Refused("events must be a list with at least one decision")
    known = Known(images, references or {}, splits)
    events = [_event(client, reviewer, row, known) for row in rows]
    return events, max(row["seq"] for row in rows)


def _event(client: str, reviewer: str, row: Any, known: Known) -> Event:
    seq = row.get("seq") if isinstance(row, dict) else None
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 < seq < 2**53:
        raise Refused("every decision needs a seq, a whole number above 0")
    try:
        if unknown := set(row) - FIELDS:
            raise Refused(f"unknown fields {sorted(unknown)}")
        kind, subject, verdict, note = (_text(row, k) for k in ("kind", "subject", "verdict", "note"))
        shown, data = (_object(row, k) for k in ("shown", "data"))
        if kind not in CHECKS:
            raise Refused(f"unknown kind {kind!r}: one of {', '.join(CHECKS)}")
        allowed = VERDICTS.get(kind)
        if allowed and verdict not in allowed:
            raise Refused(f"verdict {verdict!r} of a {kind}: one of {', '.join(allowed)}")
        if len(note) > MOST_NOTE:
            raise Refused(f"the note has {len(note):,} characters and may have {MOST_NOTE:,}")
        CHECKS[kind](subject, verdict, data, known)
    except Refused as refused:
        raise Refused(f"decision {seq}: {refused}", seq) from None
    return Event(
        reviewer=reviewer,
        kind=kind,
        subject=subject,
        verdict=verdict,
        note=note,
        shown=shown,
        data=data,
        event_id=f"{client}:{seq}",
    )


def _text(row: Mapping[str, Any], field: str) -> str:
    value = row.get(field) or ""
    # PostgreSQL keeps no NUL in a text, and half a surrogate pair is no UTF-8.
    if not isinstance(value, str) or re.search("[\0\ud800-\udfff]", value):
        raise Refused(f"{field} must be a text")
    return value


def _object(row: Mapping[str, Any], field: str) -> dict[str, Any]:
    value = row.get(field) or {}
    if not isinstance(value, dict):
        raise Refused(f"{field} must be a JSON object")
    return value


def _image(text: str, images: int) -> int:
    if not NUMBER.fullmatch(text) or int(text) >= images:
        raise Refused(f"subject {text!r} is no image: ids run from 0 to {images - 1}")
    return int(text)


def _check_image(subject: str, verdict: str, data: dict, known: Known) -> None:
    _image(subject, known.images)


def _check_pair(subject: str, verdict: str, data: dict, known: Known) -> None:
    first, dash, second = subject.partition("-")
    name, colon, of_reference = second.rpartition(":")
    if dash and colon and name not in known.references:
        raise Refused(f"subject {subject!r}: {name!r} is no reference set of this workspace")
    if dash and colon:
        _image(first, known.images)
        _image(of_reference, known.references[name])
    elif not dash or _image(first, known.images) >= _image(second, known.images):
        raise Refused(f"subject {subject!r} is no pair: two image ids, the smaller first, with '-' between them")


def _check_policy(subject: str, verdict: str, data: dict, known: Known) -> None:
    if why := policies.problem(subject, verdict, splits=known.splits):
        raise Refused(why)


def _check_undo(subject: str, verdict: str, data: dict, known: Known) -> None:
    if not EVENT_ID.fullmatch(subject):
        raise Refused(f"subject {subject!r} is no event id")


def _cluster(subject: str) -> int:
    table, _, rest = subject.partition("/")
    number, slash, class_name = rest.partition("/")
    if not (NAME.fullmatch(table) and NUMBER.fullmatch(number) and slash and class_name) or int(number) >= 2**15:
        raise Refused(f"subject {subject!r} is no cluster: CLUSTERS/NUMBER/CLASS")
    return int(number)


def _check_name(subject: str, verdict: str, data: dict, known: Known) -> None:
    _cluster(subject)
    if not 0 < len(verdict.strip()) <= 200:
        raise Refused(f"a cluster's name has 1 to 200 characters, this one has {len(verdict.strip())}")


def _numbers(value: Any, what: str, below: int) -> list[int]:
    whole = isinstance(value, list) and all(type(n) is int and 0 <= n < below for n in value)
    if not whole or not value or len(set(value)) != len(value):
        raise Refused(f"{what} must be a list of different whole numbers from 0 to {below - 1}")
    return value


def _check_merge(subject: str, verdict: str, data: dict, known: Known) -> None:
    if _cluster(subject) in _numbers(data.get("clusters"), "data.clusters", 2**15):
        raise Refused(f"cluster {_cluster(subject)} cannot be merged into itself")


def _check_split(subject: str, verdict: str, data: dict, known: Known) -> None:
    _cluster(subject)
    parts = data.get("parts")
    if not isinstance(parts, dict) or not parts:
        raise Refused("data.parts must map each new cluster's number to its image ids")
    for number, ids in parts.items():
        if not NUMBER.fullmatch(number) or int(number) >= 2**15:
            raise Refused(f"data.parts has the cluster number {number!r}")
        _numbers(ids, f"data.parts[{number!r}]", known.images)


def _check_move(subject: str, verdict: str, data: dict, known: Known) -> None:
    _cluster(subject)
    _numbers(data.get("images"), "data.images", known.images)


CHECKS: dict[str, Callable[[str, str, dict, Known], None]] = {
    "flag": _check_image,
    "exclude": _check_image,
    "pair": _check_pair,
    "pair.final": _check_pair,
    "survivor": _check_image,
    "policy": _check_policy,
    "undo": _check_undo,
    "cluster.name": _check_name,
    "cluster.merge": _check_merge,
    "cluster.split": _check_split,
    "cluster.move": _check_move,
}
