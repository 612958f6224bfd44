"""The record of the last search: how many pairs it compared, and whether it still speaks of the workspace as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import arrays, files, judgements, references
from curation.duplicates import scopes, tables
from curation.errors import CurationError
from curation.exclusions import pairs_path
from curation.workspace import Workspace

COLUMNS = ("class_name", "source_split", "status", "flat")
OF_FEATURES = {"cosine": "features", "fc7": "fc7"}
"""Measures that look at images with a feature only, and what the recipe calls the feature set."""


class Search(NamedTuple):
    """The last search: what it was made with, and the images that it saw.

    Attributes:
        made: its recipe.
        images: `COLUMNS` of this workspace's images.
        known: by measure of `OF_FEATURES`, the images that have a feature, bool.
    """

    made: dict[str, Any]
    images: pa.Table
    known: dict[str, np.ndarray]


def write(workspace: Workspace, found: pa.Table, made: dict[str, Any]) -> None:
    """Write the pairs that a search found (schema PAIRS), with the digest of its recipe, and then the recipe.

    Raises:
        CurationError: the disk is full. What is left are the pairs and recipe of the search before, or pairs without
            their recipe, so that a recipe never stands beside pairs that it did not find.
    """
    path = pairs_path(workspace)
    files.write_table(path, found.replace_schema_metadata({"recipe": _digest(made)}))
    files.write_json(path.with_suffix(".json"), made)


def recipe(workspace: Workspace) -> dict[str, Any] | None:
    """What the last search was made with; None before any, and where its end did not get as far as the recipe."""
    path = pairs_path(workspace)
    if not path.is_file() or not path.with_suffix(".json").is_file():
        return None
    made = files.read_json(path.with_suffix(".json"))
    told = (_schema(path).metadata or {}).get(b"recipe")  # earlier versions wrote none
    return made if told is None or told.decode() == _digest(made) else None


def pairs(workspace: Workspace, made: dict[str, Any] | None) -> list[dict[str, Any]]:
    """How many pairs each measure compared exactly: rows measure, reference ('' for the workspace), scope, pairs, note.

    A pair counts once. Usable images that are not flat are compared (flat ones too for exact copies): all N (N - 1) / 2
    pairs of them, those of each class or group of small classes, those of different splits, or N x M with a reference
    set of M images. `pairs` is null where it cannot be told; the note says why. Planted probes have no row.
    """
    if made is None:
        return []
    images = workspace.images(COLUMNS).slice(0, int(made.get("images", 2**31)))
    names = {measure: made.get(key) for measure, key in OF_FEATURES.items()}
    search = Search(made, images, {m: _with_feature(workspace, name, len(images)) for m, name in names.items() if name})
    others = sorted(set(made.get("references", ())) - {judgements.PROBES}, key=str.encode)
    return [_row(workspace, search, measure, name) for name in ("", *others) for measure in measures(made)]


def measures(made: dict[str, Any]) -> list[str]:
    """Names of the measures of a search."""
    return ["exact", *made.get("metrics", ["phash", *(["cosine"] if made.get("features") else [])])]


def compared(plan: scopes.Plan, asks: np.ndarray, there: np.ndarray | None = None) -> int:
    """How many pairs a plan compares, each counted once.

    Args:
        asks: images that are compared, bool (N,).
        there: those of the other side, bool (M,); None where images are compared with one another.
    """
    others = asks if there is None else there
    number = np.bincount(plan.group[asks & (plan.group >= 0)], minlength=len(plan.targets)).tolist()
    ordered = sum(n * int(others[ids].sum()) for n, ids in zip(number, plan.targets, strict=True))
    if there is not None:
        return ordered
    selves = sum(int((asks[ids] & (plan.group[ids] == group)).sum()) for group, ids in enumerate(plan.targets))
    return (ordered - selves) // 2


def staleness(workspace: Workspace, made: dict[str, Any]) -> list[str]:
    """Sentences about what has changed since the search."""
    said, there = [], references.listing(workspace)
    rows, then = workspace.images(["image_id"]).num_rows, made.get("images")
    if then is not None and then != rows:
        said.append(f"The search is older than the images: it saw {then:,}, and there are {rows:,} now.")
    for name, seen in sorted(made.get("references", {}).items()):
        if name == judgements.PROBES or name not in there:
            continue
        if seen != references.state(there[name]):
            said.append(f"Reference set {name!r} has changed: the search saw {seen['images']:,} images of it.")
    return said


# -- below: one measure against one side -------------------------------------------------------------------------------


def _digest(made: dict[str, Any]) -> str:
    """Of a recipe but for whose it is: the same pictures and settings give the same bytes in any workspace."""
    return arrays.digest({name: value for name, value in made.items() if name != "workspace"})


def _schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise CurationError(f"{path} cannot be read as a Parquet table: {error}; run `duplicates` again") from None


def _row(workspace: Workspace, search: Search, measure: str, name: str) -> dict[str, Any]:
    scope = _scope(search.made, measure, name)
    row = {"measure": measure, "reference": name, "scope": scope, "pairs": None, "note": ""}
    if scope == "proposed":
        return row | {"note": "pairs that other measures proposed"}
    if scope not in (*scopes.SCOPES, "everything"):
        return row | {"note": "images of the most similar classes"}
    if name:
        return row | _against(workspace, search, measure, name, scope)
    asks = _looked(search.images, measure) & search.known.get(measure, True)
    plan = scopes.classes(search.images, search.images) if measure == "dssim" else scopes.within(scope, search.images)
    return row | {"pairs": compared(plan, asks)}


def _scope(made: dict[str, Any], measure: str, name: str) -> str:
    """Where a measure looked, as `find` has it look."""
    if measure == "dssim":
        return made.get("compare", "proposed")
    if name:
        return "everything"
    scope = made.get("scope") or "all"
    return "all" if measure in ("exact", "phash") and scope != "splits" else scope


def _against(workspace: Workspace, search: Search, measure: str, name: str, scope: str) -> dict[str, Any]:
    there = references.listing(workspace).get(name)
    if there is None or not there.images_path.is_file():
        return {"note": "the reference set is not there"}
    if measure != "exact" and not (tables.folder(workspace, measure, name) / "recipe.json").is_file():
        return {"note": "not compared by this measure"}
    targets = there.images(COLUMNS).slice(0, int(search.made["references"][name].get("images", 2**31)))
    asks = _looked(search.images, measure) & search.known.get(measure, True)
    plan = scopes.everything(len(search.images), len(targets))
    if scope == "class":
        plan = scopes.classes(search.images, targets)
    return {"pairs": compared(plan, asks, _looked(targets, measure))}


def _looked(images: pa.Table, measure: str) -> np.ndarray:
    """Images that a measure can look at, bool (N,)."""
    ok = pc.equal(images["status"].cast(pa.string()), "ok")
    return (ok if measure == "exact" else pc.and_not(ok, images["flat"].fill_null(False))).to_numpy()


def _with_feature(workspace: Workspace, name: str, count: int) -> np.ndarray:
    """Images that have a feature, bool (count,); all where the features are not there any more."""
    try:
        ids = arrays.Features(workspace, name).ids
    except CurationError:
        return np.ones(count, bool)
    has = np.zeros(count, bool)
    has[ids[ids < count]] = True
    return has
