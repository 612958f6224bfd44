"""ImageNetV2's files about near duplicates, told from the events of the ledger."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa

from curation import judgements, references
from curation.duplicates import named
from curation.duplicates.named import Place
from curation.duplicates.published_events import KIND, LISTED
from curation.formats.imagenetv2_state import Review
from curation.survivors import components
from curation.workspace import Workspace

Edge = tuple[str, str]


class Told:
    """What stands in the ledger, in the files' own terms."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.pairs = _pairs(workspace)
        self.looked = workspace.ledger.standing("review", data=True)
        self.kept = _latest(workspace, "survivor", "keep")
        self.excluded = _latest(workspace, "exclude", "exclude")
        self.rest: list[dict[str, Any]] = workspace.ledger.standing(KIND, data=True)["data"].tolist()

    @cached_property
    def names(self) -> dict[Place, str]:
        """Names of all images that the files speak of."""
        places = [place for side in self._ends() for place in side]
        for subject, data in zip(self.looked["subject"], self.looked["data"], strict=True):
            places += map(Place.parse, [subject.rpartition("/")[0], *data["references"]])
        places += [Place("", int(subject)) for subject in [*self.kept["subject"], *self.excluded["subject"]]]
        return named.names_at(self.workspace, places)

    def edges(self) -> tuple[list[Edge], list[str]]:
        """Directed edges, and pairs that have no place in the files: those between two images of ImageNet."""
        found: list[Edge] = []
        left_out: list[str] = []
        first, second = ([self.names[place] for place in side] for side in self._ends())
        imagenet = [components.imagenet(side) if side else [] for side in (first, second)]
        rows = zip(first, second, self.pairs[LISTED], *imagenet, strict=True)
        for a, b, listed, a_imagenet, b_imagenet in rows:
            if isinstance(listed, str):
                found += [(a, b)] * (listed != "ba") + [(b, a)] * (listed != "ab")
            elif a_imagenet and b_imagenet:
                left_out.append(f"{a} - {b}")
            elif a_imagenet or b_imagenet:
                found.append((b, a) if a_imagenet else (a, b))
            else:
                found.append((min(a, b), max(a, b)))
        return found, left_out

    def lists(self, edges: list[Edge]) -> dict[str, list[str]]:
        """near_duplicates.json: edges by their first end, lists in the order of the file where that was not sorted."""
        given: dict[str, list[str]] = {}
        found: dict[str, set[str]] = {}
        for data in self.rest:
            edges = [*edges, *((name, name) for name in data["self"]), *map(tuple, data["within"])]
            given |= data["order"]
        for name, other in edges:
            found.setdefault(name, set()).add(other)
        return {name: _ordered(found[name], given.get(name, [])) for name in sorted(found)}

    def reviews(self) -> dict[str, dict[str, Review]]:
        """The reviews, candidates and metrics in the order in which they first came, each as it was last."""
        found: dict[str, dict[str, Review]] = {}
        rows = zip(*(self.looked[name] for name in ("subject", "reviewer", "time", "data")), strict=True)
        for subject, reviewer, time, data in rows:
            text, _, metric = subject.rpartition("/")
            seen = [self.names[Place.parse(other)] for other in data["references"]]
            review = Review(reviewer, data.get("date", time), seen, data.get("threshold"))
            found.setdefault(self.names[Place.parse(text)], {})[metric] = review
        return found

    def overrides(self) -> list[str]:
        """Images that people keep, in the order in which they said so."""
        away = [name for data in self.rest for name in data["overrides"]]
        return list(dict.fromkeys([*(self.names[Place("", int(subject))] for subject in self.kept["subject"]), *away]))

    def blacklist(self) -> dict[str, str]:
        """Excluded candidates and why. Images of ImageNet are no candidates."""
        names = [self.names[Place("", int(subject))] for subject in self.excluded["subject"]]
        imagenet = components.imagenet(names) if names else []
        rows = zip(names, self.excluded["note"], imagenet, strict=True)
        found = {name: why for name, why, not_ours in rows if not not_ours}
        for data in self.rest:
            found |= data["blacklist"]
        return found

    def _ends(self) -> tuple[list[Place], list[Place]]:
        a, b = self.pairs["image_a"].tolist(), self.pairs["image_b"].tolist()
        return [Place("", i) for i in a], [Place(*end) for end in zip(self.pairs["reference"], b, strict=True)]


def _pairs(workspace: Workspace) -> pd.DataFrame:
    """Settled duplicates: image_a, image_b, reference and how the files listed them (null where they did not)."""
    said = judgements.verdicts(workspace)
    said = said[(said["verdict"] == "duplicate") & (said["reference"] != references.PROBES)]
    sides = [pa.array(said[name].tolist(), kind) for name, kind in _TYPES.items()]
    subjects = judgements.subjects(*sides).to_pylist()
    events = workspace.ledger.standing("pair", data=True)
    listed = {
        subject: data[LISTED] for subject, data in zip(events["subject"], events["data"], strict=True) if LISTED in data
    }
    return said[list(_TYPES)].assign(**{LISTED: [listed.get(subject) for subject in subjects]})


_TYPES = {"image_a": pa.int64(), "image_b": pa.int64(), "reference": pa.string()}


def _latest(workspace: Workspace, kind: str, verdict: str) -> pd.DataFrame:
    said = workspace.ledger.standing(kind).drop_duplicates("subject", keep="last")
    return said[said["verdict"] == verdict]


def _ordered(names: set[str], given: list[str]) -> list[str]:
    first = [name for name in given if name in names]
    return first + sorted(names - set(first))
