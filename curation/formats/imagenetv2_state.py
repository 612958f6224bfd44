"""What the makers of ImageNetV2 kept about near duplicates: the JSON files of its `data/metadata`, read and written.

Source of the formats: modestyachts/ImageNetV2 (Recht et al., ICML 2019, arXiv 1902.10811). Files that it wrote come out
byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curation import files
from curation.errors import ArgumentError, CurationError

NEAR_DUPLICATES = "near_duplicates.json"
REVIEWS = "nearest_neighbor_reviews_v2.json"
OVERRIDES = "near_duplicate_resolution_override.json"
BLACKLIST = "candidate_blacklist.json"
METRICS = ("l2", "fc7", "dssim")
"""Squared Euclidean distance of pixels and of VGG-16's fc7, and (1 - SSIM) / 2."""
_FIELDS = ("reviewer", "date", "references")
_SHOWN = 5


@dataclass(frozen=True)
class Review:
    """One candidate's neighbours in one metric that somebody looked at.

    `date` is local time as text, `references` names in the order of the file, `threshold` (of the distance; older
    entries have it) None where there is none.
    """

    reviewer: str
    date: str
    references: list[str]
    threshold: float | None = None


@dataclass
class State:
    """All four files.

    Attributes:
        near_duplicates: names found to be near duplicates of each candidate, directed as they were entered.
        reviews: by candidate, then by metric, both in the order of the file.
        overrides: candidates that must survive in their component.
        blacklist: candidates that must not be used, and why.
    """

    near_duplicates: dict[str, list[str]] = field(default_factory=dict)
    reviews: dict[str, dict[str, Review]] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    blacklist: dict[str, str] = field(default_factory=dict)

    def edges(self) -> tuple[list[str], list[str]]:
        """Both ends of every edge, as directed."""
        ends = [(name, other) for name, others in self.near_duplicates.items() for other in others]
        return [a for a, _ in ends], [b for _, b in ends]

    def judged(self) -> list[str]:
        """Names of edges (first ends, then second ones), reviews and overrides, each once."""
        first, second = self.edges()
        looked = [n for c, of in self.reviews.items() for n in (c, *(r for e in of.values() for r in e.references))]
        return list(dict.fromkeys([*first, *second, *looked, *self.overrides]))


def find(folder: str | Path) -> Path:
    """The folder that holds the files: `folder` itself, its `metadata`, or `data/metadata`.

    Raises:
        ArgumentError: none of the four files is there.
    """
    folder = Path(folder)
    for place in (folder, folder / "metadata", folder / "data" / "metadata"):
        if any((place / name).is_file() for name in (NEAR_DUPLICATES, REVIEWS, OVERRIDES, BLACKLIST)):
            return place
    raise ArgumentError(f"{folder} has neither {NEAR_DUPLICATES} nor {REVIEWS}: give the folder that holds them")


def read(folder: str | Path, *, known: Container[str] | None = None) -> State:
    """Read the files that are there (a missing one is as an empty one) and check them.

    Args:
        folder: see `find`.
        known: names of images; when given, a name that is not among them is an error.

    Raises:
        ArgumentError: none of the files is there.
        CurationError: a file breaks its format; up to five entries are named.
    """
    place = find(folder)
    return State(
        _read(place / NEAR_DUPLICATES, dict, lambda path, value: _near_duplicates(path, value, known)),
        _read(place / REVIEWS, dict, lambda path, value: _reviews(path, value, known)),
        _read(place / OVERRIDES, list, lambda path, value: _overrides(path, value, known)),
        _read(place / BLACKLIST, dict, _blacklist),
    )


def write(state: State, folder: str | Path) -> list[Path]:
    """Write the four files; each is replaced whole or not at all."""
    folder = Path(folder)
    reviews = {
        name: {metric: _review_fields(review) for metric, review in metrics.items()}
        for name, metrics in state.reviews.items()
    }
    near = {name: state.near_duplicates[name] for name in sorted(state.near_duplicates)}
    texts = {
        NEAR_DUPLICATES: json.dumps(near, indent=2),
        REVIEWS: json.dumps(reviews, indent=2),
        OVERRIDES: json.dumps(state.overrides, indent=2) + "\n",  # kept by hand, unlike the others
        BLACKLIST: json.dumps(state.blacklist, indent=2, sort_keys=True),
    }
    for name, text in texts.items():
        with files.replacing(folder / name) as part:
            part.write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


# -- below: reading and checking ---------------------------------------------------------------------------------------


def _read(path: Path, kind: type, check: Callable[[Path, Any], Any]) -> Any:
    if not path.is_file():
        return kind()
    value = files.read_json(path, once=True)
    if not isinstance(value, kind):
        raise CurationError(
            f"{path} holds a JSON {type(value).__name__}, not {'an object' if kind is dict else 'a list'}"
        )
    return check(path, value)


def _raise(path: Path, wrong: list[str]) -> None:
    if wrong:
        more = f"; and {len(wrong) - _SHOWN:,} more" if len(wrong) > _SHOWN else ""
        raise CurationError(f"{path}: {'; '.join(wrong[:_SHOWN])}{more}: mend these entries; nothing was read")


def _near_duplicates(path: Path, value: dict[str, Any], known: Container[str] | None) -> dict[str, list[str]]:
    wrong: list[str] = []
    for name, others in value.items():
        if known is not None and name not in known:
            wrong.append(f"candidate {name!r} is unknown")
        wrong += _names(others, f"candidate {name!r}", "edges", known)
    _raise(path, wrong)
    return value


def _reviews(path: Path, value: dict[str, Any], known: Container[str] | None) -> dict[str, dict[str, Review]]:
    wrong: list[str] = []
    for name, metrics in value.items():
        if known is not None and name not in known:
            wrong.append(f"candidate {name!r} is unknown")
        if not isinstance(metrics, dict):
            wrong.append(f"candidate {name!r} has no metrics but {metrics!r}")
            continue
        for metric, entry in metrics.items():
            wrong += _entry(entry, metric, f"candidate {name!r}, metric {metric!r}", known)
    _raise(path, wrong)
    return {name: {metric: Review(**entry) for metric, entry in metrics.items()} for name, metrics in value.items()}


def _entry(entry: Any, metric: str, where: str, known: Container[str] | None) -> list[str]:
    wrong = [] if metric in METRICS else [f"{where}: there is no such metric, only {', '.join(METRICS)}"]
    if not isinstance(entry, dict):
        return [*wrong, f"{where}: {entry!r} is no review"]
    wrong += [f"{where}: the field {name!r} is missing" for name in _FIELDS if name not in entry]
    wrong += [f"{where}: unknown field {name!r}" for name in entry if name not in (*_FIELDS, "threshold")]
    texts = [name for name in _FIELDS[:2] if not isinstance(entry.get(name, ""), str)]
    wrong += [f"{where}: {name} is {entry[name]!r}, no text" for name in texts]
    if isinstance(threshold := entry.get("threshold", 0), bool) or not isinstance(threshold, int | float):
        wrong.append(f"{where}: threshold is {threshold!r}, no number")
    return wrong + (_names(entry["references"], where, "references", known) if "references" in entry else [])


def _names(value: Any, where: str, what: str, known: Container[str] | None) -> list[str]:
    if not isinstance(value, list) or not value:
        return [f"{where}: the list of {what} is empty" if value == [] else f"{where}: {what} are {value!r}, no list"]
    wrong = [f"{where}: {name!r} among its {what} is no name" for name in value if not isinstance(name, str)]
    if wrong:
        return wrong
    if len(set(value)) < len(value):
        twice = next(name for name in value if value.count(name) > 1)
        wrong.append(f"{where}: {twice!r} is twice among its {what}")
    if known is not None:
        wrong += [f"{where}: unknown image {name!r} among its {what}" for name in value if name not in known]
    return wrong


def _overrides(path: Path, value: list[Any], known: Container[str] | None) -> list[str]:
    _raise(path, _names(value, "the file", "names", known) if value else [])
    return value


def _blacklist(path: Path, value: dict[str, Any]) -> dict[str, str]:
    _raise(
        path, [f"{name!r} has the reason {why!r}, no text" for name, why in value.items() if not isinstance(why, str)]
    )
    return value


def _review_fields(review: Review) -> dict[str, Any]:
    fields: dict[str, Any] = {name: getattr(review, name) for name in _FIELDS}
    return fields if review.threshold is None else fields | {"threshold": review.threshold}
