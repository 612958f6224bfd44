"""The tables that a split is made from: read from a workspace, stored beside the split, known by their content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import derived, files
from curation.errors import ArgumentError, CurationError
from curation.exclusions import EXCLUSIONS, POLICIES, exclusions
from curation.splits.digests import digest
from curation.survivors import resolution
from curation.workspace import Workspace

# What a split takes of the images table. Kept with it, since a label may be corrected later.
IMAGE_COLUMNS = ("image_id", "root", "path", "class_name", "source_split")
RELABELLED = "class changed since clustering: cluster again"
TOGETHER = "together"
DUPLICATES = (*POLICIES, TOGETHER)

GROUPS = pa.schema({"image_id": pa.int32(), "group": pa.int32()})  # near duplicates that go to one side
SCORES = pa.schema({"image_id": pa.int32(), "score": pa.float64()})  # low scores are taken first
BASE = pa.schema({"image_id": pa.int32(), "split": pa.dictionary(pa.int32(), pa.string())})
HISTOGRAM = pa.schema({"class_name": pa.string(), "images": pa.int64()})
ATTRIBUTES = pa.schema({"image_id": pa.int32(), "attribute": pa.dictionary(pa.int32(), pa.string())})


@dataclass(frozen=True)
class Inputs:
    """Tables that a recipe is run on; None where its kind takes none.

    `images` (IMAGE_COLUMNS), `excluded` (EXCLUSIONS), `clusters` (CLUSTERS), `groups` (GROUPS), `scores` (SCORES),
    `base` (BASE: the split that is reshaped), `histogram` (HISTOGRAM: class sizes to match), `attributes` (ATTRIBUTES:
    a row for each that an image has), `class_metadata` (what a published file says of the classes).
    """

    images: pa.Table
    excluded: pa.Table
    clusters: pa.Table | None = None
    groups: pa.Table | None = None
    scores: pa.Table | None = None
    base: pa.Table | None = None
    histogram: pa.Table | None = None
    attributes: pa.Table | None = None
    class_metadata: pa.Table | None = None

    def classes(self) -> list[str]:
        """Classes of the images, in byte order."""
        found = pc.unique(self.images["class_name"].cast(pa.string())).drop_null().to_pylist()
        return sorted(found, key=str.encode)

    def tables(self) -> dict[str, pa.Table]:
        """The tables that are there, by name."""
        return {field.name: table for field in fields(self) if (table := getattr(self, field.name)) is not None}

    def digests(self) -> dict[str, str]:
        """SHA-256 of the content of each table."""
        return {name: digest(table) for name, table in self.tables().items()}


def gather(
    workspace: Workspace, *, clusters: str | None = None, until: int | None = None, duplicates: str = "decided"
) -> Inputs:
    """Images, exclusions and, where they are named, clusters, with people's decisions up to a position of the ledger.

    Broken and vanished images count as excluded, with their reason; so do those whose class is another than that in
    which they were clustered, since their attribute is one of the other class.

    Args:
        duplicates: as for `exclusions`; or `together`: near duplicates stay in, as groups that go to one side.

    Raises:
        ArgumentError: unknown `duplicates`.
    """
    if duplicates not in DUPLICATES:
        raise ArgumentError(f"duplicates is {duplicates!r}: choose one of {', '.join(DUPLICATES)}")
    images = workspace.images([*IMAGE_COLUMNS, "status", "reason"])
    table = None if clusters is None else derived.clusters(workspace, clusters, until=until)
    reasons = {} if table is None else dict.fromkeys(derived.relabelled(images, table).tolist(), RELABELLED)
    decided = exclusions(workspace, duplicates="ignore" if duplicates == TOGETHER else duplicates, until=until)
    reasons.update(zip(*(decided[c].to_pylist() for c in EXCLUSIONS.names), strict=True))
    unusable = images.filter(pc.not_equal(images["status"].cast(pa.string()), "ok"))
    for row in unusable.select(["image_id", "status", "reason"]).to_pylist():
        detail = f": {row['reason']}" if row["reason"] else ""
        reasons[row["image_id"]] = f"{row['status']}{detail}"
    groups = None
    if duplicates == TOGETHER:
        groups, leaked = _groups(workspace, until)
        reasons |= {image: reason for image, reason in leaked.items() if image not in reasons}
        groups = groups.filter(pc.invert(pc.is_in(groups["image_id"], pa.array(sorted(reasons), pa.int32()))))
    ids = sorted(reasons)
    excluded = pa.table({"image_id": ids, "reason": [reasons[i] for i in ids]}, schema=EXCLUSIONS)
    return Inputs(images.select(IMAGE_COLUMNS), excluded, clusters=table, groups=groups)


def check(recipe: Mapping[str, Any], inputs: Inputs) -> None:
    """Raises CurationError when the inputs are not those that the recipe names; one that names none takes any."""
    found, wanted = inputs.digests(), {n: d for n, d in recipe.get("inputs", {}).items() if n != "rows"}
    if wanted and (other := sorted(wanted.keys() ^ found.keys())):
        how = "missing" if other[0] in wanted else "none of the recipe's"
        raise CurationError(
            f"the recipe was made from {len(wanted)} tables, and there are {len(found)}: {other[0]} is {how}; make the "
            "split again"
        )
    for name in wanted:
        if wanted[name] != found[name]:
            raise CurationError(
                f"the {name} have SHA-256 {found[name][:12]}…, and the recipe was made from {wanted[name][:12]}…: "
                "they have changed since; make the split again"
            )


def read(folder: Path, recipe: Mapping[str, Any]) -> Inputs:
    """The inputs of a recipe from a folder that has a Parquet file for each."""
    names = [field.name for field in fields(Inputs) if field.name in recipe.get("inputs", {})]
    tables = {name: files.read_table(folder / f"{name}.parquet") for name in names}
    images = tables["images"]
    return Inputs(**tables | {"images": images.select([c for c in IMAGE_COLUMNS if c in images.column_names])})


def stored(workspace: Workspace, name: str, recipe: Mapping[str, Any]) -> Inputs:
    """The tables that a stored split was made from; images and labels that came later are not among them."""
    return read(workspace.path / "splits" / name, recipe)


def _groups(workspace: Workspace, until: int | None) -> tuple[pa.Table, dict[int, str]]:
    """Groups of near duplicates, and images that lie in one with an image of a reference set, with the reason."""
    # Whom people keep does not matter: all of a group stay.
    members = resolution.resolve(workspace, until=until, strict=False).members.to_pandas()
    outside = members["component"].isin(members.loc[members["reference"] != "", "component"])
    own = members["reference"] == ""
    # One that the policy takes for a reference itself stays, as it does elsewhere, and has no reason.
    leaks = own & outside & ~members["survives"]
    leaked, own = members[leaks], members[own & ~leaks].sort_values("image_id")
    columns = {"image_id": own["image_id"].to_numpy(), "group": own["component"].to_numpy()}
    return pa.table(columns).cast(GROUPS), dict(zip(leaked["image_id"], leaked["reason"], strict=True))
