"""The queue of pairs that people work through, and what they have decided so far."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import judgements, leases
from curation.duplicates import found
from curation.duplicates.court import CONTESTED, Court, court
from curation.errors import ArgumentError
from curation.judgements import VERDICTS
from curation.workspace import Workspace

OTHERS = pa.list_(pa.struct({"reviewer": pa.string(), "verdict": pa.string(), "note": pa.string()}))
_SAID = {"verdict": pa.string(), "reviewer": pa.string(), "note": pa.string()}
RULED = pa.schema([*found.SCHEMA, *_SAID.items(), ("reviewers", pa.int32()), ("final", pa.bool_())])


class Served(NamedTuple):
    """Pairs for one person to judge now.

    Attributes:
        pairs: as `queue` gives them, leased to the person.
        pending: pairs of the queue that this person may still judge, those leased to others too.
        total: pairs that the filters leave, decided or not.
    """

    pairs: pa.Table
    pending: int
    total: int


def queue(
    workspace: Workspace,
    *,
    reviewer: str,
    order: str = "uncertain",
    measure: str | None = None,
    class_name: str | None = None,
    sets: Sequence[str] | None = None,
    subjects: Collection[str] | None = None,
    probes: bool = True,
    contested: bool = False,
    until: int | None = None,
) -> pa.Table:
    """Pairs that a person may still judge: too few people have judged them, and this one has not.

    Nobody sees what others said, except where a contested pair is adjudicated. Planted probes stand between the other
    pairs at a steady rate, at places decided by lot.

    Args:
        order: `uncertain`: probability nearest to one half first; `distance`: most probable first; `class`: class by
            class; `measure`: nearest first in the measure named; `splits`: pairs between two sets first. Ties go by
            probability nearest to one half (class, splits), then by image ids.
        measure: with the order `measure`, one of `orders.MEASURES`; pairs at which it did not look come last.
        class_name: only pairs with an image of this class.
        sets: only pairs between these two sets (splits of the source or reference sets), or within one set.
        subjects: only pairs with these subjects of the ledger.
        probes: whether planted probes are mixed in.
        contested: instead, the pairs on which people disagree and nobody has adjudicated.
        until: take verdicts only to this position of the ledger.

    Returns:
        Schema `found.SCHEMA`: the columns of the pairs table, class_a, class_b, set_a, set_b and the ledger's subject;
        when contested, also verdicts: a list of reviewer, verdict and note, in the order in which they were given.

    Raises:
        ArgumentError: unknown order, measure or number of sets.
        CurationError: the pairs or a verdict name images that the workspace does not have.
    """
    now = court(workspace, until=until)
    options = {"order": order, "measure": measure, "class_name": class_name, "sets": sets}
    options |= {"subjects": subjects, "probes": probes}
    return _table(now, _chosen(now, reviewer, contested=contested, **options)[0], contested)


def serve(workspace: Workspace, *, reviewer: str, count: int, minutes: float | None = None, **options: Any) -> Served:
    """The first `count` pairs of a person's queue that nobody else holds, leased to that person.

    Only these rows are made, so that it takes milliseconds however long the queue is.

    Args:
        minutes: how long they are kept for this person; the workspace's policy `lease` when None.
        options: of `queue`, but `until`.
    """
    now, contested = court(workspace), options.get("contested", False)
    minutes = float(now.policies["lease"]) if minutes is None else minutes
    while True:
        rows, wanted = _chosen(now, reviewer, **options)
        subjects = now.found.table["subject"].combine_chunks().take(pa.array(rows))
        slots = _room(now, reviewer, rows, contested)
        granted = leases.take(workspace, reviewer, subjects, count, minutes=minutes, slots=slots)
        # Somebody may have judged a pair, and so given it back, after the queue was made and before it was leased. Who
        # is seen to hold none any more has been heard before: holders are asked for first, and verdicts after.
        holders = leases.held(workspace)
        before, now = now, court(workspace)
        names = subjects.take(pa.array(granted)).to_pylist()
        lost = [] if now is before else _lost(holders, before, now, reviewer, rows[granted], names, contested)
        if not lost:
            return Served(_table(before, rows[granted], contested), len(rows), int(wanted.sum()))
        leases.release(workspace, reviewer, lost)


def counts(workspace: Workspace, *, reviewer: str | None = None, until: int | None = None) -> dict[str, Any]:
    """How far people have come; planted probes are not counted.

    Args:
        reviewer: also tell what is left for this person.
        until: take verdicts only to this position of the ledger.

    Returns:
        pairs (of the last search), left (of them, that lack a verdict), second (of those, that have one and need
        another), yours (left for `reviewer`), decided (settled), then duplicate, related, different, unsure and
        contested, final (adjudicated), overruled (settled otherwise than the rule decided), double_review (the share
        that two people judge) and by_reviewer (verdicts that stand).
    """
    now = court(workspace, until=until)
    size = len(now.found.keys)
    real, open_ = ~now.found.probe, now.open() & ~now.found.probe
    settled = (now.status >= 0) & ~now.probe
    rule = np.zeros(len(now.status), bool)
    rule[:size] = now.found.is_word("decision", "duplicate")
    kinds = {word: int(((now.status == code) & settled).sum()) for code, word in enumerate(VERDICTS)}
    mine = {} if reviewer is None else {"yours": int((open_ & ~now.judged(reviewer)).sum())}
    return {
        "pairs": int(real.sum()),
        "left": int(open_.sum()),
        "second": int((open_ & (now.people[:size] > 0)).sum()),
        **mine,
        "decided": int(settled.sum()),
        **kinds,
        "contested": int(((now.status == CONTESTED) & ~now.probe).sum()),
        "final": int((now.final & ~now.probe).sum()),
        "overruled": int((settled & (rule != (now.status == VERDICTS.index("duplicate")))).sum()),
        "double_review": float(now.policies["double-review"]),
        "by_reviewer": _by_reviewer(now),
    }


def ruled(workspace: Workspace, *, until: int | None = None) -> pa.Table:
    """Every pair that was found or judged, probes left out, with what people settled: schema `RULED`.

    verdict, reviewer, note, reviewers and final are those of `judgements.verdicts`, null where nobody judged. Found
    pairs come first, in the order of the pairs table, then judged pairs that the last search did not find.
    """
    pairs = found.found(workspace).table
    said = pa.Table.from_pandas(judgements.verdicts(workspace, until=until), preserve_index=False)
    said = said.select(["image_a", "image_b", "reference", "verdict", "reviewer", "note", "reviewers", "final"])
    said = said.append_column("subject", judgements.subjects(said["image_a"], said["image_b"], said["reference"]))
    found_too = pc.is_in(said["subject"], pairs["subject"].combine_chunks())
    at = pc.index_in(pairs["subject"], said["subject"].combine_chunks())
    columns = {f.name: pairs[f.name] if f.name in pairs.column_names else said[f.name].take(at) for f in RULED}
    known = pa.table({f.name: columns[f.name].cast(f.type) for f in RULED}, schema=RULED)
    rest = said.filter(pc.invert(found_too))
    absent = {f.name: rest[f.name] if f.name in rest.column_names else pa.nulls(len(rest), f.type) for f in RULED}
    rest = pa.table({f.name: absent[f.name].cast(f.type) for f in RULED}, schema=RULED)
    both = pa.concat_tables([known, rest])
    return both.filter(pc.not_equal(both["reference"].cast(pa.string()), judgements.PROBES)).unify_dictionaries()


def _chosen(
    now: Court,
    reviewer: str,
    *,
    order: str = "uncertain",
    measure: str | None = None,
    class_name: str | None = None,
    sets: Sequence[str] | None = None,
    subjects: Collection[str] | None = None,
    probes: bool = True,
    contested: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows that this person may judge, in order; and which rows the filters leave, judged or not."""
    pairs, size = now.found, len(now.found.keys)
    wanted = np.ones(size, bool) if probes else ~pairs.probe
    if class_name is not None:
        wanted &= pairs.is_word("class_a", class_name) | pairs.is_word("class_b", class_name)
    if sets is not None:
        wanted &= _between(pairs, sets)
    if subjects is not None:
        wanted &= np.asarray(pc.is_in(pairs.table["subject"], pa.array(list(subjects), pa.string())))
    waiting = now.open() & ~now.judged(reviewer)
    if contested:
        waiting = now.status[:size] == CONTESTED
        wanted &= ~pairs.probe & (waiting | now.final[:size])
    rows = pairs.order(order, measure)
    return rows[(wanted & waiting)[rows]], wanted


def _between(pairs: found.Found, sets: Sequence[str]) -> np.ndarray:
    """Pairs between two sets, bool (N,); a probe stands for pairs of any set with that of its original."""
    if isinstance(sets, str) or len(sets) != 2:
        raise ArgumentError(f"name two sets (the same twice for pairs within it), not {sets!r}")
    a, b = ({name: pairs.is_word(side, name) for name in sets} for side in ("set_a", "set_b"))
    one, other = sets
    return (a[one] & b[other]) | (a[other] & b[one]) | (pairs.probe & (a[one] | a[other]))


def _room(now: Court, reviewer: str, rows: np.ndarray, contested: bool) -> np.ndarray:
    """How many people may hold each of these pairs at once, int8; 0 where it is not for this person any more."""
    size = len(now.found.keys)
    if contested:
        return (now.status[:size] == CONTESTED)[rows].astype(np.int8)
    return np.where(now.open() & ~now.judged(reviewer), now.needed() - now.people[:size], 0)[rows]


def _lost(
    holders: Mapping[str, list[str]],
    before: Court,
    now: Court,
    reviewer: str,
    rows: np.ndarray,
    names: list[str],
    contested: bool,
) -> list[str]:
    """Which of the pairs leased are not for this person any more, or held by more people than it still takes."""
    if now.found is not before.found:  # another search came in between
        return names
    room = _room(now, reviewer, rows, contested).tolist()
    return [name for name, left in zip(names, room, strict=True) if len(holders.get(name, ())) > left]


def _table(now: Court, rows: np.ndarray, contested: bool) -> pa.Table:
    table = now.found.table.take(pa.array(rows))
    return table.append_column("verdicts", _said(now, rows)) if contested else table


def _said(now: Court, rows: np.ndarray) -> pa.Array:
    """The latest verdict of each person on each of these pairs."""
    wanted = np.isin(now.events.pair, rows) & now.events.counts & ~now.events.final
    said: dict[int, list[dict[str, str]]] = {row: [] for row in rows.tolist()}
    for at in np.flatnonzero(wanted).tolist():
        reviewer, verdict = now.names[now.events.reviewer[at]], VERDICTS[now.events.verdict[at]]
        word = {"reviewer": reviewer, "verdict": verdict, "note": now.events.note[at]}
        said[int(now.events.pair[at])].append(word)
    return pa.array(list(said.values()), OTHERS)


def _by_reviewer(now: Court) -> dict[str, int]:
    events = now.events
    counted = events.counts & ~events.final & ~now.probe[events.pair]
    totals = np.bincount(events.reviewer[counted], minlength=len(now.names))
    return {name: int(n) for name, n in sorted(zip(now.names, totals.tolist(), strict=True)) if n}
