"""What a person does to the clusters of a class: name, merge, split, move. Each act is one event of the ledger.

Undo is `workspace.ledger.undo(event.event_id, reviewer=…)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from curation import derived
from curation.arrays import Features
from curation.clusters import members
from curation.clusters.fit import by_size, class_seed, kmeans, one_thread
from curation.errors import CurationError
from curation.ledger import Event
from curation.workspace import Workspace

LONGEST_NAME = 80


def _once(act: Callable[..., Event]) -> Callable[..., Event]:
    """An act that was sent twice under one event id happens once: the second time gives the event of the first."""

    @wraps(act)
    def wrapped(workspace: Workspace, *args: Any, **options: Any) -> Event:
        if event_id := options.get("event_id"):
            for event in workspace.ledger.events((*derived.EDITS, derived.NAME), undone=True):
                if event.event_id == event_id:
                    return event
        return act(workspace, *args, **options)

    return wrapped


@_once
def rename(
    workspace: Workspace, name: str, class_name: str, cluster: int, label: str, *, reviewer: str, **about: Any
) -> Event:
    """Give a cluster a name, up to 80 characters; an empty one takes the name away.

    Args:
        name: of the clusters.
        about: `note`, `shown`, `event_id` of the event; an event id that the ledger has already changes nothing.

    Raises:
        CurationError: unknown clusters, class or cluster, or the name is too long.
    """
    _state(workspace, name, class_name, cluster)
    label = " ".join(label.split())
    if len(label) > LONGEST_NAME:
        raise CurationError(f"the name has {len(label)} characters, and {LONGEST_NAME} are allowed: shorten it")
    return _append(workspace, name, class_name, cluster, derived.NAME, label, {}, reviewer, about)


@_once
def merge(
    workspace: Workspace,
    name: str,
    class_name: str,
    clusters: Sequence[int],
    *,
    into: int | None = None,
    reviewer: str,
    **about: Any,
) -> Event:
    """Put the images of several clusters into one of them, the largest when `into` is None.

    Raises:
        CurationError: unknown clusters, class or cluster, or fewer than two different clusters.
    """
    state = _state(workspace, name, class_name, *clusters, *([] if into is None else [into]))
    sizes = state.sizes()
    into = min(clusters, key=lambda c: (-sizes[c], c)) if into is None and clusters else into
    others = sorted({int(c) for c in clusters} - {into})
    if into is None or not others:
        raise CurationError(
            f"{len(set(clusters))} clusters of class {class_name!r} were chosen: a merge needs 2 or more"
        )
    return _append(workspace, name, class_name, into, "cluster.merge", "merge", {"clusters": others}, reviewer, about)


@_once
def split(
    workspace: Workspace,
    name: str,
    class_name: str,
    cluster: int,
    *,
    parts: int = 2,
    seed: int = 25,
    reviewer: str,
    **about: Any,
) -> Event:
    """Split a cluster into `parts` by k-means of its images; all of them get new numbers, the largest the lowest.

    The event records the ids and distances, so a replay needs neither features nor scikit-learn.

    Raises:
        CurationError: unknown clusters, class or cluster, fewer images than parts, fewer distinct features than parts,
            or somebody else split a cluster of this class in the same moment.
    """
    state = _state(workspace, name, class_name, cluster)
    if (size := state.sizes()[cluster]) < parts or parts < 2:
        raise CurationError(
            f"cluster {cluster} of class {class_name!r} has {size:,} images and cannot be split into {parts} parts: "
            f"choose 2 to {size:,} parts"
        )
    data = _parts(workspace, name, class_name, state.ids[state.cluster == cluster], parts, seed)
    first = derived.highest_number(workspace, name, class_name) + 1
    data = {key: {str(first + i): values for i, values in enumerate(column)} for key, column in data.items()}
    event = _append(workspace, name, class_name, cluster, "cluster.split", "split", data, reviewer, about)
    if any(e.event_id == event.event_id for e in derived.replay(workspace, name, class_name=class_name).ignored):
        workspace.ledger.undo(event.event_id, reviewer=reviewer)
        raise CurationError(f"somebody else changed the clusters of class {class_name!r} in the same moment: try again")
    return event


@_once
def move(
    workspace: Workspace, name: str, class_name: str, images: Sequence[int], *, to: int, reviewer: str, **about: Any
) -> Event:
    """Move images of a class to another cluster of it.

    Raises:
        CurationError: unknown clusters, class or cluster, no images, or an image that is not of this class.
    """
    state = _state(workspace, name, class_name, to)
    ids = np.unique(np.asarray(images, np.int64))
    strangers = ids[~np.isin(ids, state.ids)]
    if not len(ids) or len(strangers):
        first = f", image {strangers[0]} first" if len(strangers) else ""
        raise CurationError(
            f"{len(strangers):,} of {len(ids):,} images are not among the {len(state.ids):,} clustered images of class "
            f"{class_name!r}{first}: choose images of this class"
        )
    data = {"images": ids.tolist()}
    return _append(workspace, name, class_name, to, "cluster.move", "move", data, reviewer, about)


def _state(workspace: Workspace, name: str, class_name: str, *numbers: int) -> derived.ClassState:
    """The class as it stands, when it has all the clusters `numbers`."""
    edited = derived.replay(workspace, name, class_name=class_name).classes
    state = edited.get(class_name) or derived.base(workspace, name).state(class_name)
    if not len(state.ids):
        raise CurationError(f"class {class_name!r} has 0 images in clusters {name!r}: choose another class")
    present = sorted(state.sizes())
    unknown = sorted({int(n) for n in numbers} - set(present))
    if unknown:
        raise CurationError(
            f"class {class_name!r} has no cluster {unknown[0]}: its {len(present)} clusters are "
            f"{', '.join(map(str, present))}"
        )
    return state


def _parts(
    workspace: Workspace, name: str, class_name: str, images: np.ndarray, parts: int, seed: int
) -> dict[str, list[list]]:
    """k-means of a cluster's images: ids of each part, ascending, and their distances; the largest part first."""
    features = Features(workspace, derived.base(workspace, name).settings["features"], check=False)
    ids = members.of_class(workspace, features, class_name)
    ids = ids[np.isin(ids, images)]
    x = features.rows(ids)
    with one_thread():
        labels, centres, _ = kmeans(x, clusters=parts, n_init=10, seed=class_seed(seed, class_name))
    distances, part = np.linalg.norm(x - centres[labels], axis=1), by_size(labels)
    if (found := int(part.max()) + 1) < parts:
        raise CurationError(
            f"the {len(ids):,} images have {found} distinct features and cannot be split into {parts} parts: "
            f"choose up to {found}"
        )
    order = [np.flatnonzero(part == p)[np.argsort(ids[part == p])] for p in range(parts)]
    return {
        "parts": [ids[rows].tolist() for rows in order],
        "distances": [[round(float(d), 4) for d in distances[rows]] for rows in order],
    }


def _append(
    workspace: Workspace,
    name: str,
    class_name: str,
    number: int,
    kind: str,
    verdict: str,
    data: dict[str, Any],
    reviewer: str,
    about: dict[str, Any],
) -> Event:
    event = Event(
        reviewer=reviewer,
        kind=kind,
        subject=f"{name}/{int(number)}/{class_name}",
        verdict=verdict,
        data=data | {"clustering": derived.base(workspace, name).digest(class_name)},
        **about,
    )
    workspace.ledger.append([event])
    return event
