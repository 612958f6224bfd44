"""Events of the ledger, drawn from ImageNetV2's files about near duplicates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from curation import judgements
from curation.duplicates.named import Place
from curation.formats import imagenetv2_state
from curation.formats.imagenetv2_state import State
from curation.ledger import Event

IMPORTED = "imported"
"""Reviewer of what the files do not say who decided."""
KIND = "import"
"""Events with what a file says and no other event can: self-edges, decisions about reference sets, unsorted lists."""
LISTED = "listed"
_SHOWN = 5
Pair = tuple[str, str]


class _Reviewed(NamedTuple):
    reviewer: str
    date: str


class Drawn:
    """Events drawn from the files. Names are settled; ids are of what the events say."""

    def __init__(self, state: State, places: Mapping[str, Place]) -> None:
        self.state, self.places = state, places
        self.now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.listed: dict[Pair, str] = {}
        for name, other in zip(*state.edges(), strict=True):
            if name != other:
                key, forward = self.key(name, other)
                old, new = self.listed.get(key), "ab" if forward else "ba"
                self.listed[key] = new if old in (None, new) else "both"
        self.looked: dict[Pair, _Reviewed] = {}
        for name, metrics in state.reviews.items():
            for review in metrics.values():
                self._look(name, review)

    def _look(self, name: str, review: imagenetv2_state.Review) -> None:
        said = _Reviewed(review.reviewer, review.date)
        for other in review.references:
            if other != name:
                key, _ = self.key(name, other)
                old = self.looked.get(key)
                self.looked[key] = said if old is None or old.date <= said.date else old

    def key(self, name: str, other: str) -> tuple[Pair, bool]:
        """The pair as the ledger orders it, and whether `name` comes first in it."""
        a, b = self.places[name], self.places[other]
        forward = a < b if a.reference == b.reference else a.reference == ""
        return ((name, other) if forward else (other, name)), forward

    def subject(self, pair: Pair) -> str | None:
        """The ledger's name of a pair; None where both images are of reference sets."""
        a, b = (self.places[name] for name in pair)
        return None if a.reference else judgements.subject(a.image_id, b.image_id, b.reference)

    def pairs(self) -> Iterable[Event]:
        for pair in {**self.listed, **self.looked}:
            if (subject := self.subject(pair)) is None:
                continue
            said = self.looked.get(pair, _Reviewed(IMPORTED, ""))
            verdict = "duplicate" if pair in self.listed else "different"
            data = {LISTED: self.listed[pair]} if pair in self.listed else {}
            yield _event("pair", subject, verdict, said.reviewer, self._time(said.date), data=data)

    def reviews(self) -> Iterable[Event]:
        for name, metrics in self.state.reviews.items():
            for metric, review in metrics.items():
                data: dict[str, Any] = {"references": [self.places[other].text() for other in review.references]}
                data |= {"date": review.date}
                data |= {} if review.threshold is None else {"threshold": review.threshold}
                subject = f"{self.places[name].text()}/{metric}"
                yield _event("review", subject, "reviewed", review.reviewer, self._time(review.date), data=data)

    def overrides(self) -> Iterable[Event]:
        for name in self.state.overrides:
            if not (place := self.places[name]).reference:
                yield _event("survivor", place.text(), "keep", IMPORTED, self.now, note="on the override list")

    def blacklist(self) -> Iterable[Event]:
        for name, why in self.state.blacklist.items():
            if name in self.places and not self.places[name].reference:
                yield _event("exclude", self.places[name].text(), "exclude", IMPORTED, self.now, note=why)

    def rest(self) -> Iterable[Event]:
        """What of near_duplicates.json and the reviews no other event can say; nothing when there is nothing."""
        near = self.state.near_duplicates
        within = [[a, b] for a, others in near.items() for b in others if a != b and not self._told(a, b)]
        data = {
            "self": sorted(name for name, others in near.items() if name in others),
            "within": within,
            "order": {name: others for name, others in near.items() if others != sorted(others)},
            "overrides": [name for name in self.state.overrides if self.places[name].reference],
            "blacklist": {name: why for name, why in self.state.blacklist.items() if self._away(name)},
        }
        if any(data.values()):
            yield _event(KIND, imagenetv2_state.NEAR_DUPLICATES, "kept", IMPORTED, self.now, data=data)

    def notes(self) -> list[str]:
        own = [name for name, others in self.state.near_duplicates.items() if name in others]
        lost = [f"{a} - {b}" for a, b in {**self.listed, **self.looked} if not self._told(a, b)]
        away = [name for name in self.state.overrides if self.places[name].reference]
        return [
            *note(own, "images are near duplicates of themselves, which says nothing; kept for the way out"),
            *note(lost, "pairs lie within reference sets and are no verdicts; kept for the way out"),
            *note(away, "overrides are images of reference sets, where nothing is chosen; kept for the way out"),
        ]

    def _told(self, name: str, other: str) -> bool:
        return self.subject(self.key(name, other)[0]) is not None

    def _away(self, name: str) -> bool:
        return name in self.places and self.places[name].reference != ""

    def _time(self, date: str) -> str:
        try:
            return datetime.fromisoformat(date).replace(tzinfo=UTC).isoformat(timespec="milliseconds")
        except ValueError:
            return self.now


def _event(
    kind: str, subject: str, verdict: str, reviewer: str, time: str, *, note: str = "", data: dict | None = None
) -> Event:
    data = data or {}
    says = json.dumps([kind, subject, verdict, reviewer, note, data])
    event_id = f"imagenetv2-{hashlib.sha256(says.encode()).hexdigest()[:24]}"
    return Event(
        reviewer=reviewer,
        kind=kind,
        subject=subject,
        verdict=verdict,
        note=note,
        data=data,
        event_id=event_id,
        time=time,
    )


def note(names: list[str], what: str) -> list[str]:
    """A line that counts and names a few; none when there are no names."""
    shown = ", ".join(names[:_SHOWN])
    return [f"{len(names):,} {what}: {shown}{', ...' if len(names) > _SHOWN else ''}"] if names else []
