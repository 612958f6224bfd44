"""Recipes: a split as a small JSON document, made from a workspace's tables and stored beside the split.

A split is a folder `splits/<name>/`: recipe.json and report.json; images.parquet, clusters.parquet and
excluded.parquet (what it was made from, with labels and people's decisions as they stood); left_out.parquet and
split.parquet. It is written under a temporary name and put into place whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import curation
from curation import derived, files
from curation.errors import ArgumentError, CurationError
from curation.exclusions import EXCLUSIONS, exclusions
from curation.splits import glt, legacy
from curation.splits.digests import digest
from curation.splits.parameters import Parameters
from curation.splits.plan import suggest
from curation.workspace import Workspace

# What a split takes of the images table. Kept with it, since a label may be corrected later.
IMAGE_COLUMNS = ("image_id", "root", "path", "class_name")
RELABELLED = "class changed since clustering: cluster again"


@dataclass(frozen=True)
class Inputs:
    """Tables that a recipe is run on: images (IMAGE_COLUMNS), clusters (CLUSTERS), excluded (EXCLUSIONS)."""

    images: pa.Table
    clusters: pa.Table
    excluded: pa.Table

    def digests(self) -> dict[str, str]:
        """SHA-256 of the content of each table."""
        return {name: digest(table) for name, table in vars(self).items()}


def run(recipe: Mapping[str, Any], inputs: Inputs) -> glt.Result:
    """Run a recipe: a pure function of its parameters and inputs.

    Raises:
        ArgumentError: unknown kind or parameter.
        CurationError: the inputs are others than the recipe's, or the split cannot be carved.
    """
    kind = _kind(recipe.get("kind"))
    check_inputs(recipe, inputs)
    return kind.carve(inputs, recipe.get("parameters", {}))


def check_inputs(recipe: Mapping[str, Any], inputs: Inputs) -> None:
    """Raises CurationError when the inputs are not those that the recipe was made from."""
    found, wanted = inputs.digests(), recipe.get("inputs", {})
    for name in found:
        if name in wanted and wanted[name] != found[name]:
            raise CurationError(
                f"the {name} have SHA-256 {found[name][:12]}…, and the recipe was made from {wanted[name][:12]}…: "
                "they have changed since; make the split again under a new name"
            )


def make(
    workspace: Workspace,
    *,
    recipe: str = "glt",
    name: str,
    clusters: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    until: int | None = None,
    duplicates: str = "decided",
) -> dict[str, Any]:
    """Make a split of a workspace and store it under `name`.

    Args:
        workspace: with images and clusters.
        recipe: its kind.
        name: of the split; names are never used twice.
        clusters: which; may be left out when there is one.
        parameters: of the recipe, as JSON has them; `"fit": true` sets the sizes that fit the data.
        until: take people's decisions only to this position of the ledger.
        duplicates: as for `exclusions`.

    Returns:
        name, images, images by split, left_out by kind of reason, set_aside (0: to leave out is a split's purpose).

    Raises:
        ArgumentError: a name that is taken or cannot be, an unknown recipe, parameter or clusters.
        CurationError: too few images; nothing is written.
    """
    _free(workspace, files.check_name(name, "the name of the split"))
    given = dict(parameters or {})
    fit = given.pop("fit", False)
    typed = _kind(recipe).typed(given)
    position = workspace.ledger.position() if until is None else until
    chosen = choose_clusters(workspace, clusters)
    inputs = gather(workspace, chosen, until=position, duplicates=duplicates)
    if fit:
        typed = _kind(recipe).fitted(inputs, typed)
    document = {
        "kind": recipe,
        "name": name,
        "parameters": typed,
        "inputs": inputs.digests() | {"rows": len(inputs.images)},
        "clusters": chosen,
        "duplicates": duplicates,
        "ledger_position": position,
        "made_from": provenance(workspace, chosen),
        "tool": {"name": "curation", "version": curation.__version__},
    }
    result = run(document, inputs)
    _store(workspace, name, document, inputs, result)
    counts = result.report["funnel"]
    return {
        "name": name,
        "recipe": recipe,
        "images": counts["images"],
        "splits": counts["splits"],
        "left_out": counts["left_out"],
        "classes": len(result.report["classes"]),
        "set_aside": 0,
    }


def gather(workspace: Workspace, clusters: str, *, until: int | None = None, duplicates: str = "decided") -> Inputs:
    """The tables that a split of the workspace is made from, with people's decisions up to a position.

    Broken and vanished images count as excluded, with their reason; so do those whose class is another than that in
    which they were clustered, since their attribute is one of the other class.
    """
    images = workspace.images([*IMAGE_COLUMNS, "status", "reason"])
    decided = exclusions(workspace, duplicates=duplicates, until=until)
    table = derived.clusters(workspace, clusters, until=until)
    reasons = dict.fromkeys(derived.relabelled(images, table).tolist(), RELABELLED)
    reasons.update(zip(*(decided[c].to_pylist() for c in EXCLUSIONS.names), strict=True))
    unusable = images.filter(pc.not_equal(images["status"].cast(pa.string()), "ok"))
    for row in unusable.select(["image_id", "status", "reason"]).to_pylist():
        detail = f": {row['reason']}" if row["reason"] else ""
        reasons[row["image_id"]] = f"{row['status']}{detail}"
    ids = sorted(reasons)
    excluded = pa.table({"image_id": ids, "reason": [reasons[i] for i in ids]}, schema=EXCLUSIONS)
    return Inputs(images.select(IMAGE_COLUMNS), table, excluded)


def choose_clusters(workspace: Workspace, name: str | None) -> str:
    """The clusters asked for, or the only ones there are. Raises ArgumentError when that cannot be told."""
    there = workspace.cluster_names()
    if name is None and len(there) == 1:
        return there[0]
    if name is None or name not in there:
        said = f"there are no clusters {name!r}" if name else "it must be said which clusters to use"
        raise ArgumentError(f"{said}: the workspace has {len(there)} ({', '.join(there) or 'run `cluster` first'})")
    return name


def load(workspace: Workspace, name: str) -> tuple[dict[str, Any], pa.Table, dict[str, Any]]:
    """Recipe, split table (schema SPLIT) and report of a stored split.

    Raises:
        ArgumentError: there is no such split.
    """
    folder = workspace.path / "splits" / name
    if name not in workspace.split_names():
        there = ", ".join(workspace.split_names()) or "none"
        raise ArgumentError(f"there is no split {name!r} in {workspace.path}: it has {there}")
    table = files.read_table(folder / "split.parquet")
    return files.read_json(folder / "recipe.json"), table, files.read_json(folder / "report.json")


def stored_inputs(workspace: Workspace, name: str, recipe: Mapping[str, Any]) -> Inputs:
    """The tables that a stored split was made from; images and labels that came later are not among them."""
    folder = workspace.path / "splits" / name
    clusters, excluded = (files.read_table(folder / f"{kind}.parquet") for kind in ("clusters", "excluded"))
    if (folder / "images.parquet").is_file():
        images = files.read_table(folder / "images.parquet")
    else:  # stored before splits kept it
        images = workspace.images(IMAGE_COLUMNS).slice(0, int(recipe["inputs"]["rows"]))
    return Inputs(images, clusters, excluded)


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """`["per_cell=20", "weights=7,2,1"]` as parameters: JSON where it is JSON, lists by comma, else text.

    Raises:
        ArgumentError: an entry is not key=value, or a key is there twice.
    """
    found: dict[str, Any] = {}
    for entry in settings:
        key, equals, text = (part.strip() for part in entry.partition("="))
        if not equals or not key:
            raise ArgumentError(f"--set {entry!r} is not key=value, such as per_cell=20")
        if key in found:
            raise ArgumentError(f"--set says {key} twice: {found[key]!r} and {text!r}")
        listed = key in ("weights", "fractions", "thresholds", "class_order") and not text.startswith("[")
        of_list = str if key == "class_order" else _value
        found[key] = [of_list(part.strip()) for part in text.split(",")] if listed else _value(text)
    return found


def provenance(workspace: Workspace, clusters: str) -> dict[str, Any]:
    """What the clusters were made with: their settings and those of their features, without personal paths."""
    path = workspace.path / "clusters" / f"{clusters}.json"
    of_clusters = files.read_json(path) if path.is_file() else {}
    settings = {k: v for k, v in of_clusters.items() if isinstance(v, str | int | float | bool)}
    found = {"clusters": files.without_folders(settings)}
    features = workspace.path / "features" / str(of_clusters.get("features", "")) / "recipe.json"
    if of_clusters.get("features") and features.is_file():
        found["features"] = files.without_folders(files.read_json(features))
    return found


# -- below: kinds, files, digests ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A kind of recipe: `typed` checks parameters and fills in defaults, `fitted` fits them to the inputs, `carve`
    makes the split."""

    typed: Callable[[Mapping[str, Any]], dict[str, Any]]
    fitted: Callable[[Inputs, Mapping[str, Any]], dict[str, Any]]
    carve: Callable[[Inputs, Mapping[str, Any]], glt.Result]


def _glt_typed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    typed = Parameters.from_dict(parameters)
    if typed.mode == "legacy":
        legacy.check_parameters(typed)
    return typed.to_dict()


def _glt_fitted(inputs: Inputs, parameters: Mapping[str, Any]) -> dict[str, Any]:
    typed = Parameters.from_dict(parameters)
    pool = glt.gather(inputs.images, inputs.clusters, inputs.excluded, attributes=typed.attributes)
    return suggest(pool.counts(), typed).to_dict()


def _glt_carve(inputs: Inputs, parameters: Mapping[str, Any]) -> glt.Result:
    typed = Parameters.from_dict(parameters)
    carve = legacy.carve if typed.mode == "legacy" else glt.carve
    return carve(inputs.images, inputs.clusters, inputs.excluded, typed)


RECIPES = {"glt": Kind(_glt_typed, _glt_fitted, _glt_carve)}


def _kind(name: Any) -> Kind:
    if name not in RECIPES:
        raise ArgumentError(f"unknown recipe {name!r}: choose one of {', '.join(RECIPES)}")
    return RECIPES[name]


def _free(workspace: Workspace, name: str) -> None:
    taken = {other.casefold() for other in workspace.split_names()}
    if name.casefold() in taken:
        free = next(n for i in range(2, len(taken) + 3) if (n := f"{name}-{i}").casefold() not in taken)
        raise ArgumentError(f"there is a split {name!r} already, and splits are never overwritten: name it {free!r}")


def _store(workspace: Workspace, name: str, recipe: dict[str, Any], inputs: Inputs, result: glt.Result) -> None:
    folder = workspace.path / "splits" / name
    # Two people may save one name at the same time: the first to be done has it.
    with files.replacing_folder(folder, check=lambda _: _free(workspace, name)) as part:
        files.write_json(part / "recipe.json", recipe)
        files.write_json(part / "report.json", result.report)
        for kind, table in vars(inputs).items():
            files.write_table(part / f"{kind}.parquet", table)
        files.write_table(part / "left_out.parquet", result.left_out)
        files.write_table(part / "split.parquet", result.split)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
