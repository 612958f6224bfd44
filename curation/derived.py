"""Clusters as they stand: the table that k-means wrote, with what people decided since.

The table is never changed. Each merge, split, move and name is an event of the ledger that carries the digest of the
class as it was clustered when the event was made; reading the clusters replays the events that fit. Undoing one, or
reading up to an earlier position, gives what stood there before. Clustering again keeps the edits of every class whose
clusters came out the same, and leaves the others aside, where they are counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import files
from curation.errors import CurationError
from curation.ledger import Event
from curation.workspace import CLUSTERS, Workspace

EDITS = ("cluster.merge", "cluster.move", "cluster.split")
NAME = "cluster.name"


def attribute_of(rank: np.ndarray, clusters: int | np.ndarray, attributes: int) -> np.ndarray:
    """Attribute of clusters by their rank of size: floor(rank * A' / K) with A' = min(A, K).

    With K = 6 and A = 3 these are the pairs of ImageNet-GLT (Tang et al., ECCV 2022, arXiv 2207.09504; repository
    KaihuaTang/Generalized-Long-Tailed-Benchmarks.pytorch): the two largest clusters are attribute 0.

    Args:
        rank: integers from 0 (the largest cluster) to clusters - 1.
        clusters: K, how many clusters the class has; of every rank's class where it is an array.
        attributes: A, how many attributes were asked for.

    Returns:
        int16, the shape of `rank`.
    """
    most = np.minimum(attributes, clusters)
    return (np.asarray(rank, np.int64) * most // np.maximum(clusters, 1)).astype(np.int16)


@dataclass(frozen=True)
class ClassState:
    """The clusters of one class: `ids` int32 (N,) ascending, `cluster` int16 and `distance` float32 in that order."""

    ids: np.ndarray
    cluster: np.ndarray
    distance: np.ndarray

    def sizes(self) -> dict[int, int]:
        """Images of each cluster that has any, by cluster number."""
        numbers, counts = np.unique(self.cluster, return_counts=True)
        return dict(zip(numbers.tolist(), counts.tolist(), strict=True))

    def attributes(self, wanted: int) -> np.ndarray:
        """Attribute of every image by the present sizes, equal sizes in the order of cluster numbers; int16 (N,)."""
        numbers, inverse, counts = np.unique(self.cluster, return_inverse=True, return_counts=True)
        rank = np.empty(len(numbers), np.int64)
        rank[np.lexsort((numbers, -counts))] = np.arange(len(numbers))
        return attribute_of(rank, len(numbers), wanted)[inverse]


@dataclass
class Replay:
    """What a replay of the ledger gave: classes that were edited, labels, and events that could not be applied."""

    classes: dict[str, ClassState] = field(default_factory=dict)
    labels: dict[tuple[str, int], str] = field(default_factory=dict)
    ignored: list[Event] = field(default_factory=list)


class Base:
    """The table that k-means wrote, held in memory, with the settings that it was made with."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise CurationError(f"there are no clusters {path.stem!r}: run `cluster` first")
        self.table = files.read_table(path).unify_dictionaries().combine_chunks()
        meta = self.table.schema.metadata or {}
        if b"settings" not in meta:
            raise CurationError(f"{path} was not written by `cluster`: run `cluster` again")
        self.settings = json.loads(meta[b"settings"])
        kept = self.settings["merge"] == "none"
        self.attributes = np.iinfo(np.int16).max if kept else int(self.settings["attributes"])
        self.table = self.table.replace_schema_metadata(None).cast(CLUSTERS)
        names = pa.concat_arrays([pa.array([], CLUSTERS.field("class_name").type), *self.table["class_name"].chunks])
        self._digests: dict[str, str] = {}
        self._codes = {text: code for code, text in enumerate(names.dictionary.to_pylist())}
        codes = names.indices.to_numpy()
        self._by_class = np.argsort(codes, kind="stable")
        self._edges = np.searchsorted(codes[self._by_class], np.arange(len(self._codes) + 1))
        self._columns = [self.table[column].to_numpy() for column in ("image_id", "cluster", "distance")]

    def rows(self, class_name: str) -> np.ndarray:
        """Row numbers of a class, ascending; empty when it has no clusters."""
        code = self._codes.get(class_name)
        return self._by_class[slice(*self._edges[[code, code + 1]])] if code is not None else self._by_class[:0]

    def state(self, class_name: str) -> ClassState:
        """A class as k-means left it."""
        rows = self.rows(class_name)
        return ClassState(*(column[rows] for column in self._columns))

    def digest(self, class_name: str) -> str:
        """Which clustering of a class an event was made on: a hash of its image ids and their clusters, 12 digits."""
        if class_name not in self._digests:
            state = self.state(class_name)
            content = state.ids.tobytes() + state.cluster.tobytes()
            self._digests[class_name] = hashlib.sha256(content).hexdigest()[:12]
        return self._digests[class_name]


def base(workspace: Workspace, name: str) -> Base:
    """The clusters `name` as k-means wrote them; kept in memory until the file changes.

    Raises:
        CurationError: there are none of that name.
    """
    path = workspace.path / "clusters" / f"{files.check_name(name, 'the name of the clusters')}.parquet"
    stat = path.stat() if path.is_file() else None
    return _base(path, stat and (stat.st_mtime_ns, stat.st_size, stat.st_ino))


@lru_cache(maxsize=4)
def _base(path: Path, _version: object) -> Base:
    return Base(path)


def clusters(workspace: Workspace, name: str, *, until: int | None = None, class_name: str | None = None) -> pa.Table:
    """Clusters with people's edits applied, in the schema CLUSTERS and the order of image ids.

    Cluster numbers are stable: an edit leaves the numbers of other clusters alone, and a new cluster gets a number that
    was never used. Attributes of an edited class follow its present sizes, floor(rank * A' / K'). `distance` stays the
    one to the centre that k-means found; a split gives new ones, and an image that was moved has none (null).

    Args:
        name: of the clusters.
        until: replay only to this position of the ledger; all of it when None.
        class_name: only this class; an empty table when it has no clusters.

    Raises:
        CurationError: there are no clusters of that name.
    """
    found = base(workspace, name)
    edited = replay(workspace, name, until=until, class_name=class_name).classes
    if class_name is not None:
        rows = found.rows(class_name)
        return _with(found.table.take(rows), {c: np.arange(len(rows)) for c in edited}, edited, found.attributes)
    return _with(found.table, {c: found.rows(c) for c in edited}, edited, found.attributes)


def cluster_labels(workspace: Workspace, name: str, *, until: int | None = None) -> dict[tuple[str, int], str]:
    """Names that people gave: {(class name, cluster): name}, of clusters that have images now."""
    return replay(workspace, name, until=until).labels


def ignored_events(workspace: Workspace, name: str, *, until: int | None = None) -> int:
    """How many edits of `name` do not apply: made on an earlier clustering, or on a cluster that is no more."""
    if not _events(workspace, name, (*EDITS, NAME), until=until):
        return 0  # without reading the clusters
    return len(replay(workspace, name, until=until).ignored)


def relabelled(images: pa.Table, clusters: pa.Table) -> np.ndarray:
    """Ids of the images whose class is another than that in which they were clustered, int32, in the clusters' order.

    Their cluster and attribute are those of the other class, and mean nothing in the present one.

    Args:
        images: column class_name, all rows of the workspace up to the last image that is clustered.
        clusters: columns image_id and class_name.
    """
    now = images["class_name"].cast(pa.string()).take(clusters["image_id"])
    return clusters["image_id"].filter(pc.not_equal(now, clusters["class_name"].cast(pa.string()))).to_numpy()


def highest_number(workspace: Workspace, name: str, class_name: str) -> int:
    """The highest cluster number that a class ever had in this clustering, undone splits included; -1 for none."""
    found = base(workspace, name)
    used = [int(n) for n in found.state(class_name).sizes()]
    for event in _events(workspace, name, ("cluster.split",), undone=True):
        target = _target(event)
        if target and target[1] == class_name and event.data.get("clustering") == found.digest(class_name):
            used += [int(number) for number in event.data.get("parts", {})]
    return max(used, default=-1)


def replay(workspace: Workspace, name: str, *, until: int | None = None, class_name: str | None = None) -> Replay:
    """Apply the ledger's events to the clusters `name`, or to one class of them; each wholly or not at all."""
    found, result = base(workspace, name), Replay()
    for event in _events(workspace, name, (*EDITS, NAME), until=until):
        number, owner = _target(event) or (-1, "")
        if class_name not in (None, owner):
            continue
        state, after = result.classes.get(owner) or found.state(owner), None
        if event.data.get("clustering") == found.digest(owner):
            after = state if event.kind == NAME else apply(state, event, number)
        if after is None:
            result.ignored.append(event)
        elif event.kind == NAME:
            result.labels[owner, number] = event.verdict
        else:
            result.classes[owner] = after
    result.labels = _standing(found, result)
    return result


def apply(state: ClassState, event: Event, number: int) -> ClassState | None:
    """The class after one merge, split or move on cluster `number`; None when the event does not fit the class."""
    try:
        if event.kind == "cluster.merge":
            return _merged(state, number, [int(c) for c in event.data["clusters"]])
        if event.kind == "cluster.move":
            return _moved(state, number, np.array(event.data["images"], np.int64))
        parts = {int(k): np.array(ids, np.int64) for k, ids in event.data["parts"].items()}
        return _split(state, number, parts, event.data.get("distances", {}))
    except (KeyError, IndexError, TypeError, ValueError, OverflowError, AttributeError):
        return None  # an event that another program wrote, in a form we do not know


def _merged(state: ClassState, into: int, others: list[int]) -> ClassState | None:
    present = state.sizes()
    if into not in present or not others or not all(c in present for c in others):
        return None
    return replace(state, cluster=np.where(np.isin(state.cluster, others), np.int16(into), state.cluster))


def _moved(state: ClassState, to: int, images: np.ndarray) -> ClassState | None:
    rows = _rows(state, images)
    if rows is None or to not in state.sizes():
        return None
    rows = rows[state.cluster[rows] != to]
    cluster, distance = state.cluster.copy(), state.distance.copy()
    cluster[rows], distance[rows] = to, np.nan
    return ClassState(state.ids, cluster, distance)


def _split(
    state: ClassState, number: int, parts: dict[int, np.ndarray], distances: dict[str, list[float]]
) -> ClassState | None:
    present = state.sizes()
    if number not in present or any(new in present for new in parts):
        return None
    cluster, distance = state.cluster.copy(), state.distance.copy()
    for new, images in parts.items():
        rows = _rows(state, images)
        if rows is None:
            return None
        here = state.cluster[rows] == number  # an image that was moved away by another edit stays there
        cluster[rows[here]] = new
        if str(new) in distances:
            distance[rows[here]] = np.array(distances[str(new)], np.float32)[here]
    return ClassState(state.ids, cluster, distance)


def _rows(state: ClassState, images: np.ndarray) -> np.ndarray | None:
    """Where the images stand in the class; None when there is none, or one is not of this class."""
    if not len(images) or not np.isin(images, state.ids).all():
        return None
    return np.searchsorted(state.ids, images)


def _standing(found: Base, result: Replay) -> dict[tuple[str, int], str]:
    present = {owner: (result.classes.get(owner) or found.state(owner)).sizes() for owner, _ in result.labels}
    return {key: text for key, text in result.labels.items() if text and key[1] in present[key[0]]}


def _events(
    workspace: Workspace, name: str, kinds: Iterable[str], *, until: int | None = None, undone: bool = False
) -> list[Event]:
    found = workspace.ledger.events(kinds, until=until, undone=undone)
    return [event for event in found if event.subject.startswith(f"{name}/")]


def _target(event: Event) -> tuple[int, str] | None:
    """(cluster number, class name) of an event's subject NAME/CLUSTER/CLASS."""
    _, number, owner = event.subject.split("/", 2) if event.subject.count("/") > 1 else ("", "", "")
    return (int(number), owner) if number.isdecimal() else None


def _with(table: pa.Table, rows: dict[str, np.ndarray], edited: dict[str, ClassState], attributes: int) -> pa.Table:
    """The table with the rows of edited classes replaced."""
    if not edited:
        return table
    cluster, attribute, distance = (table[c].to_numpy().copy() for c in ("cluster", "attribute", "distance"))
    for owner, state in edited.items():
        at = rows[owner]
        cluster[at], distance[at] = state.cluster, state.distance
        attribute[at] = state.attributes(attributes)
    for column, values in (("cluster", cluster), ("attribute", attribute), ("distance", distance)):
        array = pa.array(values, from_pandas=True)  # NaN, a distance nobody measured, becomes null
        table = table.set_column(table.schema.get_field_index(column), CLUSTERS.field(column), array)
    return table
