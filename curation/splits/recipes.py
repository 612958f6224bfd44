"""Recipes: a split as a small JSON document, made from a workspace's tables and stored beside the split.

A split is a folder `splits/<name>/`: recipe.json and report.json; the tables that it was made from (images.parquet and
the others of `inputs.Inputs`, with labels and people's decisions as they stood); left_out.parquet and split.parquet.
It is written under a temporary name and put into place whole. Saving under a name that is taken makes the next
revision, `<name>.r2` and so on: nothing is ever overwritten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

import curation
from curation import files
from curation.errors import ArgumentError, CurationError
from curation.splits import chosen, class_names, inputs
from curation.splits.digests import digest
from curation.splits.documents import FOLDER, is_file
from curation.splits.inputs import IMAGE_COLUMNS, Inputs
from curation.splits.kinds import kind_of
from curation.splits.result import Result
from curation.splits.settings import Settings
from curation.workspace import Workspace

__all__ = ["IMAGE_COLUMNS", "Inputs", "load", "make", "run"]

_REVISION = re.compile(r"(?P<name>.+)\.r(?P<revision>[1-9][0-9]{0,5})")
_MOST_LETTERS = 80 - len(".r999999")  # of the 80 that a file name of ours may have
_TRIES = 100


def run(recipe: Mapping[str, Any], tables: Inputs) -> Result:
    """Run a recipe: a pure function of its parameters and inputs.

    Raises:
        ArgumentError: unknown kind or parameter.
        CurationError: the inputs are others than the recipe's, or the split cannot be carved.
    """
    kind = kind_of(recipe.get("kind"))
    inputs.check(recipe, tables)
    return kind.carve(tables, kind.settings.from_dict(recipe.get("parameters", {})))


def make(
    workspace: Workspace,
    *,
    recipe: str | Mapping[str, Any] = "glt",
    name: str,
    clusters: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    until: int | None = None,
    duplicates: str | None = None,
) -> dict[str, Any]:
    """Make a split of a workspace and store it under `name`, or as the next revision of that name.

    Args:
        workspace: with images, and clusters where the recipe takes them.
        recipe: its kind, or a document with kind, parameters, clusters and duplicates; see `documents.document`. Where
            its parameters name a file, the table that was made of it is taken instead if it lies beside the document.
        name: of the split.
        clusters: which; may be left out when there is one, or when the recipe names them.
        parameters: of the recipe, as JSON has them, over those of its document; `"fit": true` sets sizes that fit.
        until: take people's decisions only to this position of the ledger.
        duplicates: as for `inputs.gather`; the recipe's, or `decided`, when None.

    Returns:
        name, recipe, images, images by split, left_out by kind of reason, classes, set_aside (0: to leave out is a
        split's purpose), other_inputs (tables that are not those that the document was made from).

    Raises:
        ArgumentError: a name that cannot be, an unknown recipe, parameter or clusters, or a file that is not there.
        CurationError: too few images; nothing is written.
    """
    free_name(workspace, files.check_name(name, "the name of the split"))
    asked = {"kind": recipe} if isinstance(recipe, str) else dict(recipe)
    given = {**asked.get("parameters", {}), **(parameters or {})}
    fit = given.pop("fit", False)
    kind = kind_of(asked["kind"])
    duplicates = duplicates or asked.get("duplicates", "decided")
    clusters = clusters or (asked.get("clusters") if asked.get("clusters") in workspace.cluster_names() else None)
    typed = class_names.named(workspace, kind.settings.from_dict(given))
    position = workspace.ledger.position() if until is None else until
    of_clusters = choose_clusters(workspace, clusters) if kind.clustered else None
    found = inputs.gather(workspace, clusters=of_clusters, until=position, duplicates=duplicates)
    told = _told(asked, typed, parameters or {}, found)
    tables = replace(found, **told) if told else kind.complete(workspace, typed, found)
    if fit:
        typed = kind.fitted(tables, typed)
    document = {
        "kind": kind.name,
        "name": name,
        "revision": 1,
        "parameters": files.without_folders(typed.to_dict()),
        "inputs": tables.digests() | {"rows": len(tables.images)},
        "clusters": of_clusters,
        "duplicates": duplicates,
        "ledger_position": position,
        "made_from": provenance(workspace, of_clusters, _features(workspace, typed)),
        "tool": {"name": "curation", "version": curation.__version__},
    }
    document = {key: value for key, value in document.items() if value not in (None, {})}
    result = kind.carve(tables, kind.settings.from_dict(document.get("parameters", {})))
    stored = _store(workspace, name, document, tables, result)
    counts = result.report["funnel"]
    return {
        "name": stored,
        "recipe": kind.name,
        "images": counts["images"],
        "splits": counts["splits"],
        "left_out": counts["left_out"],
        "classes": len(result.report["classes"]),
        "other_inputs": [n for n, d in asked.get("inputs", {}).items() if document["inputs"].get(n) != d],
        "set_aside": 0,
    }


def listing(workspace: Workspace) -> list[dict[str, Any]]:
    """The stored splits: name, recipe, images in them by split and classes; revisions after each other."""
    rows = []
    for name in sorted(workspace.split_names(), key=revision_of):
        folder = workspace.path / "splits" / name
        recipe, report = files.read_json(folder / "recipe.json"), files.read_json(folder / "report.json")
        counts = report["funnel"]["splits"]
        rows.append(
            {
                "name": name,
                "recipe": recipe["kind"],
                "images": sum(counts.values()),
                "classes": len(report["classes"]),
                "splits": counts,
            }
        )
    return rows


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


def provenance(workspace: Workspace, clusters: str | None, features: str | None = None) -> dict[str, Any]:
    """What clusters and features were made with, without personal paths."""
    found: dict[str, Any] = {}
    if clusters is not None:
        path = workspace.path / "clusters" / f"{clusters}.json"
        of_clusters = files.read_json(path) if path.is_file() else {}
        settings = {k: v for k, v in of_clusters.items() if isinstance(v, str | int | float | bool)}
        found["clusters"] = files.without_folders(settings)
        features = of_clusters.get("features", features)
    recipe = workspace.path / "features" / str(features or "") / "recipe.json"
    if features and recipe.is_file():
        found["features"] = files.without_folders(files.read_json(recipe))
    return found


# -- below: names and files ------------------------------------------------------------------------------------------


def revision_of(name: str) -> tuple[str, int]:
    """The name that a stored split was saved under, and which revision it is."""
    found = _REVISION.fullmatch(name)
    return (found["name"], int(found["revision"])) if found else (name, 1)


def revisions(workspace: Workspace, name: str) -> list[str]:
    """The stored splits that were saved under one name, oldest first."""
    mine = [other for other in workspace.split_names() if revision_of(other)[0] == revision_of(name)[0]]
    return sorted(mine, key=lambda other: revision_of(other)[1])


def free_name(workspace: Workspace, name: str) -> str:
    """Where a split saved under `name` goes: `name`, or its next revision.

    Raises:
        ArgumentError: the name is that of a revision, too long to have revisions, has no more of them, or differs from
            another's only in letter case.
    """
    if revision_of(name)[0] != name:
        raise ArgumentError(f"{name!r} names a revision: save under {revision_of(name)[0]!r}, and it gets the next one")
    if len(name) > _MOST_LETTERS:
        raise ArgumentError(f"{name!r} has {len(name)} letters, and the name of a split {_MOST_LETTERS} at most")
    names = {revision_of(other)[0] for other in workspace.split_names()}
    other = min((o for o in names if o.casefold() == name.casefold() and o != name), default=None)
    if other is not None:
        raise ArgumentError(
            f"there is a split {other!r}, and {name!r} differs only in letter case: choose another name"
        )
    there = revisions(workspace, name)
    place = f"{name}.r{revision_of(there[-1])[1] + 1}" if there else name
    if revision_of(place)[0] != name:
        raise ArgumentError(f"{name!r} has {revision_of(there[-1])[1]:,} revisions, and can have no more: rename it")
    return files.check_name(place, "the name of the split")


def _told(
    asked: Mapping[str, Any], settings: Settings, given: Mapping[str, Any], tables: Inputs
) -> dict[str, pa.Table]:
    """Tables that files were read into when a recipe was made first, from beside its document.

    Args:
        asked: the document.
        settings: all parameters.
        given: those that the document did not tell.
        tables: the others, of this workspace.

    Raises:
        ArgumentError: neither is a file there that the parameters name, nor its table.
        CurationError: the table is not that of the recipe.
    """
    found, told = {}, asked.get("inputs", {})
    for key, (file, name) in settings.files().items():
        stored = Path(asked.get(FOLDER, "")) / f"{name}.parquet"
        if key not in given and FOLDER in asked and name in told and stored.is_file():
            found[name] = files.read_table(stored)
            if digest(found[name]) != told[name]:
                raise CurationError(f"{stored} is not the table that the recipe was made from: set {key}=FILE")
            # Ids are those of one table of images.
            if "image_id" in found[name].column_names and digest(tables.images) != told.get("images"):
                raise ArgumentError(f"{key} was told of other images than there are now: set {key}=FILE")
        elif not is_file(file):
            raise ArgumentError(f"{key} is {file!r}, and there is no such file: set {key}=FILE")
    return found


def _features(workspace: Workspace, settings: Any) -> str | None:
    """The feature set that a recipe of this kind uses."""
    return chosen.choose_features(workspace, settings.features) if isinstance(settings, chosen.Chosen) else None


class _Taken(Exception):
    """Somebody else has saved a split in this place a moment ago."""


def _store(workspace: Workspace, name: str, recipe: dict[str, Any], tables: Inputs, result: Result) -> str:
    def still_free(folder: Path) -> None:
        if (folder / "split.parquet").is_file():
            raise _Taken

    for _ in range(_TRIES):
        place = free_name(workspace, name)
        try:
            with files.replacing_folder(workspace.path / "splits" / place, check=still_free) as part:
                document = recipe | {"name": place, "revision": revision_of(place)[1]}
                files.write_json(part / "recipe.json", document)
                files.write_json(part / "report.json", result.report)
                for kind, table in tables.tables().items():
                    files.write_table(part / f"{kind}.parquet", table)
                files.write_table(part / "left_out.parquet", result.left_out)
                files.write_table(part / "split.parquet", result.split)
        except _Taken:
            continue
        return place
    raise CurationError(f"{name!r} was taken by others {_TRIES} times while it was written: try again, or rename it")
