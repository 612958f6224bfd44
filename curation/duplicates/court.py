"""Where every pair stands, in memory: read from the ledger once, then advanced by what the ledger has gained.

A court is never changed; advancing gives another one, which shares what did not change.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from curation import judgements, ledger, policies
from curation.duplicates.found import KEPT, Found, found
from curation.workspace import Workspace

UNJUDGED, CONTESTED = -2, -1
"""Statuses besides the numbers of `judgements.VERDICTS`."""
KINDS = (*judgements.KINDS, "policy")


@dataclass(frozen=True, eq=False)
class Events:
    """Verdicts in their order, undone ones too; each array has one row for each.

    Attributes:
        pair: int64, the pair's row in `Court.status`.
        reviewer: int32, a place in `Court.names`.
        verdict: int8, a place in `judgements.VERDICTS`.
        final: bool, adjudications.
        position: int64, in the ledger.
        stands: bool, not undone.
        counts: bool, stands and is its reviewer's last on the pair (of adjudications: the pair's last).
        event_id, note: str.
    """

    pair: np.ndarray
    reviewer: np.ndarray
    verdict: np.ndarray
    final: np.ndarray
    position: np.ndarray
    stands: np.ndarray
    counts: np.ndarray
    event_id: np.ndarray
    note: np.ndarray


@dataclass(frozen=True, eq=False)
class Court:
    """What people said about the pairs of a search, up to a position of the ledger.

    Attributes:
        found: the pairs; their rows come first in the arrays below, then pairs that were judged and not found again.
        position: of the last event that was read.
        events: the verdicts.
        names: reviewers in the order in which they first spoke.
        status: int8 (M,), a place in `judgements.VERDICTS`, `CONTESTED` or `UNJUDGED`.
        people: int8 (M,), how many people's verdicts stand.
        final: bool (M,), adjudicated.
        probe: bool (M,), planted probes.
        policies: settings in force.
    """

    found: Found
    position: int
    events: Events
    names: tuple[str, ...]
    status: np.ndarray
    people: np.ndarray
    final: np.ndarray
    probe: np.ndarray
    policies: dict[str, str]
    _undos: tuple[tuple[str, str], ...]
    _settings: tuple[tuple[str, str, str], ...]
    _others: dict[int, int]

    def needed(self) -> np.ndarray:
        """How many people must judge each found pair, int8 (N,): two where the lot says so, else one."""
        return (self.found.draw < float(self.policies["double-review"])).astype(np.int8) + np.int8(1)

    def open(self) -> np.ndarray:
        """Found pairs that lack a verdict, bool (N,)."""
        count = len(self.found.keys)
        return (self.people[:count] < self.needed()) & ~self.final[:count]

    def judged(self, reviewer: str) -> np.ndarray:
        """Found pairs that this person has judged, bool (N,)."""
        mine = np.zeros(len(self.status), bool)
        if reviewer in self.names:
            events = self.events
            by = events.reviewer == self.names.index(reviewer)
            mine[events.pair[by & events.counts & ~events.final]] = True
        return mine[: len(self.found.keys)]


def court(workspace: Workspace, *, until: int | None = None) -> Court:
    """Where every pair stands now, or at an earlier position of the ledger. Safe in threads.

    Raises:
        CurationError: the pairs or a verdict name images that the workspace does not have.
    """
    pairs = found(workspace)
    with _lock:
        kept = _courts.pop(key := (str(workspace.path), workspace.ledger.url), None)
        position = workspace.ledger.position()
        if kept is None or kept.found is not pairs or kept.position > position:
            kept = _empty(pairs)
        _courts[key] = kept  # stays when advancing fails, so that one bad event is not paid for again and again
        wanted = position if until is None else until
        if kept.position < wanted <= position:
            _courts[key] = kept = _advanced(kept, workspace, wanted)
        while len(_courts) > KEPT:
            _courts.popitem(last=False)
    return kept if kept.position == wanted else _advanced(_empty(pairs), workspace, wanted)


_lock = threading.Lock()
_courts: OrderedDict[tuple[str, str], Court] = OrderedDict()


def _empty(pairs: Found) -> Court:
    count, none = len(pairs.keys), np.zeros(0, np.int64)
    no, words = none.astype(bool), none.astype(object)
    events = Events(none, none.astype(np.int32), none.astype(np.int8), no, none, no, no, words, words)
    status = np.full(count, UNJUDGED, np.int8)
    people, final = np.zeros(count, np.int8), np.zeros(count, bool)
    return Court(pairs, 0, events, (), status, people, final, pairs.probe, policies.DEFAULTS, (), (), {})


def _advanced(before: Court, workspace: Workspace, until: int) -> Court:
    log = workspace.ledger.log(KINDS, since=before.position, until=until)
    if not len(log):
        return replace(before, position=max(before.position, until))
    undos = before._undos + _columns(log[log["kind"] == "undo"], "event_id", "subject")
    gone = ledger.taken_back(reversed(undos))
    settings = before._settings + _columns(log[log["kind"] == "policy"], "event_id", "subject", "verdict")
    said = log[log["kind"].isin(judgements.KINDS)]
    after, new = _with_events(before, said, gone)
    touched = [new]
    if len(undos) > len(before._undos):
        stands = ~pd.Series(after.events.event_id, dtype=object).isin(gone).to_numpy(bool)
        touched.append(after.events.pair[stands != after.events.stands])
        after = replace(after, events=replace(after.events, stands=stands))
    after = replace(after, position=until, _undos=undos, _settings=settings)
    return replace(_resettled(after, np.concatenate(touched)), policies=policies.standing(settings, gone))


def _columns(log: pd.DataFrame, *names: str) -> tuple[tuple[str, ...], ...]:
    return tuple(zip(*(log[name].tolist() for name in names), strict=True))


def _with_events(court: Court, said: pd.DataFrame, gone: set[str]) -> tuple[Court, np.ndarray]:
    """The court with more events, not settled yet, and the rows of the pairs that they are about."""
    parts = judgements.parse(said["subject"], court.found.images)
    stands = ~said["event_id"].isin(gone).to_numpy(bool)
    judgements.check(said[stands], judgements.Pairs(*(part[stands] for part in parts)), court.found.images)
    keys = court.found.key(parts.image_a, parts.image_b, parts.reference)
    here = parts.known & (keys >= 0) & said["verdict"].isin(judgements.VERDICTS).to_numpy(bool)
    said, stands, keys = said[here], stands[here], keys[here]
    court, rows = _with_pairs(court, keys)
    names = court.names + tuple(name for name in said["reviewer"].unique() if name not in court.names)
    new = Events(
        rows,
        pd.Index(names, dtype=object).get_indexer(said["reviewer"]).astype(np.int32),
        pd.Index(judgements.VERDICTS).get_indexer(said["verdict"]).astype(np.int8),
        (said["kind"] == "pair.final").to_numpy(bool),
        said["position"].to_numpy(),
        stands,
        np.zeros(len(said), bool),
        said["event_id"].to_numpy(object),
        said["note"].to_numpy(object),
    )
    joined = {name: np.concatenate([getattr(court.events, name), getattr(new, name)]) for name in vars(new)}
    return replace(court, events=Events(**joined), names=names), rows


def _with_pairs(court: Court, keys: np.ndarray) -> tuple[Court, np.ndarray]:
    """The court with room for pairs that the search did not find, and the row of each key."""
    rows = court.found.find(keys)
    missing = keys[rows < 0].tolist()
    new = [key for key in dict.fromkeys(missing) if key not in court._others]
    others = court._others | {key: len(court.status) + i for i, key in enumerate(new)} if new else court._others
    rows[rows < 0] = [others[key] for key in missing]
    if not new:
        return court, rows
    more = len(new)
    court = replace(
        court,
        status=np.append(court.status, np.full(more, UNJUDGED, np.int8)),
        people=np.append(court.people, np.zeros(more, np.int8)),
        final=np.append(court.final, np.zeros(more, bool)),
        probe=np.append(court.probe, court.found.planted(np.array(new, np.int64))),
        _others=others,
    )
    return court, rows


def _resettled(court: Court, pairs: np.ndarray) -> Court:
    """The court with these pairs settled anew from their standing events."""
    if not len(pairs):
        return court
    touched = np.zeros(len(court.status), bool)
    touched[pairs] = True
    events = court.events
    taken = np.flatnonzero(touched[events.pair] & events.stands)
    settled = judgements.settle(*(part[taken] for part in (events.pair, events.reviewer, events.verdict, events.final)))
    status, people, final = court.status.copy(), court.people.copy(), court.final.copy()
    status[touched], people[touched], final[touched] = UNJUDGED, 0, False
    status[settled.pair], people[settled.pair] = settled.verdict, np.minimum(settled.reviewers, 127)
    final[settled.pair] = settled.final
    counts = events.counts.copy()
    counts[touched[events.pair]] = False
    counts[taken[settled.words]] = True
    return replace(court, status=status, people=people, final=final, events=replace(events, counts=counts))
