"""ImageNetV2's own record of near duplicates, as events of the ledger and back again.

A directory of its files comes in as verdicts, reviews, overrides and exclusions, each with an id made from what it
says, so that reading a directory twice changes nothing. All of them come out byte for byte as they came in, with what
people decided here since.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from curation import judgements
from curation.duplicates import named
from curation.duplicates.named import Place
from curation.duplicates.published_events import Drawn, note
from curation.duplicates.published_files import Told
from curation.engine import Progress, quiet
from curation.errors import ArgumentError, CurationError
from curation.formats import imagenetv2_dataset, imagenetv2_state
from curation.formats.imagenetv2_state import State
from curation.ledger import Event
from curation.survivors import bursts, resolution
from curation.workspace import Workspace

BATCH = 10_000
_UNKNOWN = "images of the blacklist are not in the workspace"
_SHOWN = 5


def import_reviews(
    workspace: Workspace, directory: str | Path, *, add_missing: bool = False, progress: Progress = quiet
) -> dict[str, Any]:
    """Take the files of a directory into the ledger.

    Edges become `duplicate` verdicts; reviewed pairs that are no edge become `different`, by whom and when the last of
    their reviews was. Reviews, overrides (`survivor`) and the blacklist (`exclude`, the reason as its note) follow.
    Search results beside the directory link images of one photograph as bursts. Names are looked up in the workspace,
    then in its reference sets.

    Args:
        directory: with near_duplicates.json and the others; or what holds it as `metadata`.
        add_missing: append images that are known by name only; otherwise an unknown name is an error (one that is on
            the blacklist alone is left out and counted).

    Returns:
        edges, duplicates, different, reviews, overrides, blacklist (events of each kind; edges are directed), added
        (images), bursts (images linked), events and new_events, notes (what contradicts something, with names),
        set_aside (names of the blacklist that the workspace does not have).

    Raises:
        ArgumentError: none of the files is there.
        CurationError: a file breaks its format, a name is unknown, or two images have it. Nothing is changed.
    """
    place = imagenetv2_state.find(directory)
    state = imagenetv2_state.read(place)
    progress(0, 1, "reading names")
    pool = imagenetv2_dataset.read_pool(_beside(place, "search_results"))
    places, added = _places(workspace, state, place, pool, add_missing)
    drawn = Drawn(state, places)
    events = [*drawn.pairs(), *drawn.reviews(), *drawn.overrides(), *drawn.blacklist(), *drawn.rest()]
    new = _append(workspace, events, progress)
    kinds = pd.Series([f"{event.kind} {event.verdict}" for event in events], dtype=object).value_counts()
    unknown = [name for name in state.blacklist if name not in places]
    return {
        "edges": sum(map(len, state.near_duplicates.values())),
        "duplicates": int(kinds.get("pair duplicate", 0)),
        "different": int(kinds.get("pair different", 0)),
        "reviews": int(kinds.get("review reviewed", 0)),
        "overrides": int(kinds.get("survivor keep", 0)),
        "blacklist": int(kinds.get("exclude exclude", 0)),
        "added": added,
        "bursts": _link(workspace, pool, places),
        "events": len(events),
        "new_events": new,
        "notes": [*drawn.notes(), *_contradictions(workspace, drawn), *note(unknown, _UNKNOWN)],
        "set_aside": len(unknown),
    }


def export_reviews(workspace: Workspace, out: str | Path, *, overwrite: bool = False) -> dict[str, Any]:
    """Write the ledger's decisions as ImageNetV2's files.

    Edges are the pairs that people settled as duplicates: directed as the file that they came from had them; others
    from the candidate to the image of ImageNet, or else from the smaller name to the larger.

    Returns:
        files, edges, reviews, overrides, blacklist, and left_out: duplicates between two images of ImageNet, which
        the format has no place for; contested: pairs on which people disagree, of which the files say nothing until
        they are adjudicated; set_aside (as many as both).

    Raises:
        ArgumentError: the folder has such files already, and `overwrite` was not said; or a review is about images of
            a reference set that is not on the list.
        CurationError: two images that are to be named have the same name, or are of a reference set out of reach.
    """
    out = Path(out)
    names = (imagenetv2_state.NEAR_DUPLICATES, imagenetv2_state.REVIEWS)
    if not overwrite and (there := [name for name in names if (out / name).exists()]):
        raise ArgumentError(f"{out} has {' and '.join(there)} already: choose another folder, or say to overwrite")
    told = Told(workspace)
    edges, left_out = told.edges()
    said = judgements.verdicts(workspace)
    said = said[(said["verdict"] == judgements.CONTESTED) & (said["reference"] != judgements.PROBES)]
    contested = [
        judgements.subject(*pair) for pair in said[["image_a", "image_b", "reference"]].itertuples(index=False)
    ]
    state = State(told.lists(edges), told.reviews(), told.overrides(), told.blacklist())
    written = imagenetv2_state.write(state, out)
    return {
        "files": [str(path) for path in written],
        "edges": sum(map(len, state.near_duplicates.values())),
        "reviews": sum(map(len, state.reviews.values())),
        "overrides": len(state.overrides),
        "blacklist": len(state.blacklist),
        "left_out": left_out,
        "contested": contested,
        "set_aside": len(left_out) + len(contested),
    }


# -- below: names, bursts, contradictions -----------------------------------------------------------------------------


def _beside(place: Path, name: str) -> list[Path]:
    for folder in (place / name, place.parent / name):
        if folder.is_dir():
            return sorted(folder.glob("*.json"))
    return []


def _places(
    workspace: Workspace, state: State, place: Path, pool: pa.Table, add_missing: bool
) -> tuple[dict[str, Place], int]:
    judged = state.judged()
    everything = list(dict.fromkeys([*judged, *state.blacklist]))
    places = named.locate(workspace, list(dict.fromkeys([*everything, *pool["name"].to_pylist()])))
    if add_missing:
        missing = [name for name in everything if name not in places]
        added = named.add(workspace, missing, classes=_classes(place, pool, missing)) if missing else {}
        return places | added, len(added)
    missing = [name for name in judged if name not in places]
    if missing:
        shown = ", ".join(missing[:_SHOWN])
        raise CurationError(
            f"{place} names {len(judged):,} images, and the workspace and its reference sets lack {len(missing):,} of "
            f"them ({shown}{', ...' if len(missing) > _SHOWN else ''}): read those pictures in first, or add them by "
            "name only"
        )
    return places, 0


def _classes(place: Path, pool: pa.Table, names: list[str]) -> dict[str, str]:
    """Classes of names: from search results, data sets, and the names of ImageNet's training images."""
    found = {name: name[:9] for name in names if imagenetv2_dataset.CLASS.match(name)}
    for path in _beside(place, "datasets"):
        dataset = imagenetv2_dataset.read_dataset(path)
        found |= dict(zip(dataset.names, dataset.classes, strict=True))
    return found | dict(zip(pool["name"].to_pylist(), pool["class_name"].to_pylist(), strict=True))


def _append(workspace: Workspace, events: list[Event], progress: Progress) -> int:
    """Append the events; how many of them are new."""
    before = workspace.ledger.count()
    for start in range(0, len(events), BATCH):
        progress(start, len(events), "appending events")
        workspace.ledger.append(events[start : start + BATCH])
    progress(len(events), len(events), "appending events")
    return workspace.ledger.count() - before


def _link(workspace: Workspace, pool: pa.Table, places: Mapping[str, Place]) -> int:
    rows = [
        (places[name].image_id, burst)
        for name, burst in zip(pool["name"].to_pylist(), pool["burst"].to_pylist(), strict=True)
        if burst and name in places and not places[name].reference
    ]
    if not rows:
        return 0
    return bursts.write(workspace, [image_id for image_id, _ in rows], [burst for _, burst in rows])["linked"]


def _contradictions(workspace: Workspace, drawn: Drawn) -> list[str]:
    """What people settled otherwise than the files say, and components that cannot be resolved."""
    said = judgements.verdicts(workspace)
    subjects = [judgements.subject(*row) for row in said[["image_a", "image_b", "reference"]].itertuples(index=False)]
    status = dict(zip(subjects, said["verdict"], strict=True))
    other: dict[str, list[str]] = {}
    for pair in {**drawn.listed, **drawn.looked}:
        verdict = "duplicate" if pair in drawn.listed else "different"
        stands = status.get(drawn.subject(pair) or "", verdict)
        if stands != verdict:
            other.setdefault(f"pairs are {verdict} by the files and {stands} here", []).append(" - ".join(pair))
    notes = [line for what in sorted(other) for line in note(other[what], what)]
    try:
        resolution.resolve(workspace)
    except CurationError as error:
        notes.append(str(error))
    return notes
