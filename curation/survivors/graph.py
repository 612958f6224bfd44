"""What a resolution of near duplicates is made from: the graph of a workspace and facts of its nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curation import exclusions, references
from curation.errors import CurationError
from curation.survivors import bursts, components, frequencies
from curation.workspace import Workspace

_BITS = 32  # an image id is an int32; above it stands the number of the reference set


@dataclass(frozen=True)
class Nodes:
    """The graph: nodes are images that an edge ends at, those of the workspace first, all in the order of their ids.

    Attributes:
        workspace: whose images they are.
        until: the position of the ledger, as for `exclusions`.
        references: names of sets by number; 0 is the workspace itself, ''.
        sets, ids: number of the set and image id of each node, int64 (N,).
        first, second: ends of the edges as nodes, int64 (E,).
        pairs: the first len(pairs) edges, as `exclusions.duplicate_pairs` gives them; the others are of bursts.
        by: who says so: reviewer, `rule` or burst, object (E,).
        label: component of each node, int32 (N,).
    """

    workspace: Workspace
    until: int | None
    references: list[str]
    sets: np.ndarray
    ids: np.ndarray
    first: np.ndarray
    second: np.ndarray
    pairs: pd.DataFrame
    by: np.ndarray
    label: np.ndarray

    @property
    def own(self) -> np.ndarray:
        """Nodes that are images of the workspace, bool (N,)."""
        return self.sets == 0

    @property
    def workspace_ids(self) -> np.ndarray:
        """Ids with those of reference sets as -1."""
        return np.where(self.own, self.ids, -1)

    def components(self) -> int:
        return int(self.label.max(initial=-1)) + 1

    def reference_names(self) -> np.ndarray:
        return np.array(self.references, object)[self.sets]

    def is_pair(self) -> np.ndarray:
        """Edges that are pairs, not burst links, bool (E,)."""
        return np.arange(len(self.first)) < len(self.pairs)

    @cached_property
    def facts(self) -> pd.DataFrame:
        """What the images table says of each node; nulls for reference sets."""
        images = self.workspace.images(["status", "reason", "width", "height", "bytes", "sha256", "class_name"])
        taken = images.take(pa.array(self.ids, mask=~self.own))
        return pd.DataFrame(
            {name: taken[name].cast(_flat(taken[name].type)).to_pandas() for name in taken.column_names}
        )

    @cached_property
    def excluded(self) -> dict[int, str]:
        """Why people excluded images, by id."""
        said = exclusions.excluded_by_people(self.workspace, until=self.until)
        return dict(zip(said["image_id"].tolist(), said["reason"].tolist(), strict=True))

    @cached_property
    def barred(self) -> np.ndarray:
        """Images that may never survive: excluded, broken, or gone (not those that are known by name only)."""
        lost = (self.facts["status"] != "ok").to_numpy() & ~self.name_only
        return self.own & (lost | np.isin(self.workspace_ids, np.array(list(self.excluded), np.int64)))

    @cached_property
    def name_only(self) -> np.ndarray:
        """Images whose picture was never seen: decisions may come before the pictures. Bool (N,)."""
        never = (self.facts["bytes"].fillna(0) == 0) & (self.facts["sha256"].fillna("") == "")
        return self.own & ((self.facts["status"] == "gone") & never).to_numpy(bool)

    @cached_property
    def area(self) -> np.ndarray:
        """Pixels of each picture, 0 where there is none; int64."""
        return (self.facts["width"] * self.facts["height"]).fillna(0).to_numpy(np.int64)

    @cached_property
    def names(self) -> np.ndarray:
        """Names as ImageNetV2 gives them, object (N,)."""
        found = np.empty(len(self.ids), object)
        for number, name in enumerate(self.references):
            here = self.sets == number
            found[here] = names_of(paths_of(self.workspace, name, self.ids[here]))
        return found

    @cached_property
    def imagenet(self) -> np.ndarray:
        """Images of the workspace that are ImageNet's by their names, bool (N,)."""
        return self.own & components.imagenet(self.names)

    @cached_property
    def _labels(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Class number and score of each node, and the number of good candidates by class."""
        labelled = frequencies.of_own_class(self.workspace).to_pandas()
        labelled = labelled[~labelled["image_id"].isin(self.excluded)]
        words = self.facts["class_name"].fillna("")
        kinds = np.unique(np.array([*words, *labelled["class_name"]], object).astype(str))
        scores = labelled.set_index("image_id")["frequency"].reindex(self.workspace_ids).fillna(0).to_numpy(float)
        high = labelled[labelled["frequency"] >= components.SCORES[0]]
        candidate = ~components.imagenet(names_of(paths_of(self.workspace, "", high["image_id"].to_numpy(np.int64))))
        good = np.bincount(np.searchsorted(kinds, high["class_name"].to_numpy(str)[candidate]), minlength=len(kinds))
        return np.searchsorted(kinds, words.to_numpy(str)), scores, good

    @property
    def classes(self) -> np.ndarray:
        return self._labels[0]

    @property
    def scores(self) -> np.ndarray:
        """Selection frequency of each node in its class; 0 where nobody labelled it or people excluded it."""
        return self._labels[1]

    @property
    def good(self) -> np.ndarray:
        return self._labels[2]


def gather(workspace: Workspace, *, until: int | None = None, rule: bool = True) -> Nodes:
    """The graph of a workspace's standing duplicates and bursts; planted probes take no part."""
    pairs = exclusions.duplicate_pairs(workspace, rule=rule, until=until)
    pairs = pairs[pairs["reference"] != references.PROBES].reset_index(drop=True)
    centre, other, burst = bursts.links(bursts.read(workspace))
    names = ["", *sorted(set(pairs["reference"]) - {""})]
    number = pairs["reference"].map({name: i for i, name in enumerate(names)}).to_numpy(np.int64)
    first = np.concatenate([pairs["image_a"].to_numpy(np.int64), centre])
    second = np.concatenate([number << _BITS | pairs["image_b"].to_numpy(np.int64), other])
    keys, ends = np.unique(np.concatenate([first, second]), return_inverse=True)
    a, b = ends.reshape(2, -1)
    by = np.array([*pairs["reviewer"].where(pairs["reviewer"].notna(), "rule"), *burst], object)
    label = components.components(a, b, len(keys))
    return Nodes(workspace, until, names, keys >> _BITS, keys & (1 << _BITS) - 1, a, b, pairs, by, label)


def overrides(nodes: Nodes, able: np.ndarray) -> np.ndarray:
    """Nodes that people keep (`survivor` events) and that may survive, bool (N,).

    Raises:
        CurationError: an event keeps what is no image.
    """
    return np.isin(nodes.workspace_ids, kept_by_people(nodes)["image_id"].to_numpy(np.int64)) & able


def rivals(nodes: Nodes, override: np.ndarray) -> dict[int, str]:
    """By component of which people keep several images: who keeps which, in words."""
    several = np.flatnonzero(np.bincount(nodes.label[override]) > 1)
    if not len(several):
        return {}
    said = kept_by_people(nodes).set_index("image_id")
    return {int(c): _rivals(nodes, np.flatnonzero(override & (nodes.label == c)), said) for c in several}


def member_names(nodes: Nodes, component: int, most: int = 10) -> str:
    """How many members a component has, and the first of their names."""
    members = np.flatnonzero(nodes.label == component)
    names = [f"{nodes.reference_names()[m]}:{nodes.names[m]}".lstrip(":") for m in members[:most]]
    more = f" and {len(members) - most} more" if len(members) > most else ""
    return f"{len(members)} members ({', '.join(names)}{more})"


def in_split(workspace: Workspace, split: str, ids: np.ndarray) -> np.ndarray:
    """Which images are of a split of the source; -1 is of none."""
    member = pc.equal(workspace.images(["source_split"])["source_split"].cast(pa.string()), split)
    return np.append(np.asarray(member.fill_null(False)), False)[ids]


def paths_of(workspace: Workspace, reference: str, ids: np.ndarray) -> np.ndarray:
    """Paths of images of the workspace ('') or of a reference set; `NAME:ID` where it is out of reach. Object (N,)."""
    place = workspace if not reference else references.listing(workspace).get(reference)
    if place is None:
        return np.array([f"{reference}:{i}" for i in ids.tolist()], object)
    paths = place.images(["path"])["path"]
    if len(ids) and ids.max() >= len(paths):
        raise CurationError(
            f"the pairs name image {ids.max()} of the reference set {reference!r}, which has {len(paths):,} images: "
            "it has changed; run `duplicates` again"
        )
    return paths.take(pa.array(ids)).to_pandas().to_numpy(object)


def names_of(paths: np.ndarray) -> np.ndarray:
    """The names that ImageNetV2's files use: ImageNet's file names whole, of others the stem. Object (N,)."""
    whole = pd.Series(paths, dtype=object).str.rsplit("/", n=1).str[-1]
    stem = whole.str.replace(r"(?<=.)\.[^.]*$", "", regex=True)
    return whole.where(components.imagenet(whole), stem).to_numpy(object)


# -- below: events ----------------------------------------------------------------------------------------------------


def kept_by_people(nodes: Nodes) -> pd.DataFrame:
    """Standing `survivor` events that keep an image, one for each image_id. Raises CurationError for no image."""
    said = nodes.workspace.ledger.standing("survivor", until=nodes.until).drop_duplicates("subject", keep="last")
    said = said[said["verdict"] == "keep"]
    count = nodes.workspace.images(["image_id"]).num_rows
    number = said["subject"].where(said["subject"].str.fullmatch("[0-9]{1,10}"), str(count)).astype(np.int64)
    if (number >= count).any():
        bad = said[number >= count].iloc[0]
        raise CurationError(
            f"event {bad['event_id']} (position {bad['position']}) of the ledger keeps {bad['subject']!r}, which is "
            f"none of the {count:,} images: undo that event"
        )
    return said.assign(image_id=number)


def _rivals(nodes: Nodes, kept: np.ndarray, said: pd.DataFrame) -> str:
    told = [
        f"event {event['event_id']} by {event['reviewer']} keeps image {i} ({nodes.names[at]})"
        for at, (i, event) in zip(kept, said.loc[nodes.ids[kept]].iterrows(), strict=True)
    ]
    return f"{len(kept)} images of one component must survive, and one can: {'; '.join(told)}"


def _flat(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(kind) else kind
