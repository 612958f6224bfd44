"""The datasheet of a split: what is known of it, on one page, and nothing that is not.

In the spirit of Datasheets for Datasets (Gebru et al., Communications of the ACM 64(12), 2021), made from the
workspace's own records instead of a template: a section about which nothing is known is left out. There is no date in
it: the same split, decisions and pictures give the same page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from curation import datasheet_pages, datasheet_pictures, files, ledger, manifest
from curation.duplicates import leaks
from curation.duplicates.searched import recipe as search_recipe
from curation.splits import kinds, recipes, result, statistics
from curation.workspace import Workspace

LICENCES = ("license", "licence", "copying")
PICTURE = "classes.svg"


@dataclass(frozen=True)
class Datasheet:
    """What is known of a split (`facts`, as JSON has it), and the page of it."""

    facts: dict[str, Any]

    def pictures(self) -> dict[str, str]:
        """SVG text by file name: images by class and by attribute of every split, aligned by label."""
        return self._drawn

    @cached_property
    def _drawn(self) -> dict[str, str]:
        splits = {name: found for name, found in self.facts["splits"].items() if found["images"]}
        if not splits:
            return {}
        per_class, per_attribute = (
            {name: found[key] for name, found in splits.items()} for key in ("per_class", "per_attribute")
        )
        drawn = datasheet_pictures.histograms(per_class, per_attribute, self.facts["classes"], self.facts["frequency"])
        return {PICTURE: drawn}

    def markdown(self) -> str:
        """The page as Markdown; its pictures lie in the folder `datasheet` beside it."""
        return datasheet_pages.markdown(self.facts, {name: f"{manifest.DATASHEET}/{name}" for name in self.pictures()})

    def html(self) -> str:
        """The page as one self-contained HTML file: no scripts, light and dark, printed on one sheet."""
        return datasheet_pages.html(self.facts, self.pictures())


def datasheet(workspace: Workspace, split: str) -> Datasheet:
    """Gather what is known of a saved split.

    Raises:
        ArgumentError: there is no such split.
        CurationError: its files, or the pairs of the workspace, are damaged.
    """
    recipe, table, report = recipes.load(workspace, split)
    tools = manifest.tools()
    facts: dict[str, Any] = {
        "name": split,
        "revision": recipe.get("revision", 1),
        "workspace": workspace.name,
        "kind": recipe["kind"],
        "images": len(table),
        "classes": report["classes"],
        "frequency": _frequency(table, len(report["classes"])),
        "splits": statistics.as_dict(statistics.statistics(table, classes=len(report["classes"]))),
        "recipe": _recipe(recipe),
        "funnel": _funnel(workspace, split, table, report["funnel"]),
        "decisions": _decisions(workspace, recipe.get("ledger_position")),
        "made_from": recipe.get("made_from", {}),
        "duplicates": recipe.get("duplicates"),
        "leaks": _leaks(workspace, split),
        "licences": _licences(workspace, table),
        "inputs": {name: value for name, value in recipe.get("inputs", {}).items() if name != "rows"},
        "tools": tools | {"curation": recipe.get("tool", {}).get("version", tools["curation"])},
    }
    return Datasheet(facts)


def write(sheet: Datasheet, folder: str | Path) -> list[Path]:
    """Write datasheet.md, datasheet.html and the folder `datasheet` of pictures; returns the files.

    Raises:
        CurationError: the disk is full.
    """
    folder = Path(folder)
    texts = {f"{manifest.DATASHEET}.md": sheet.markdown(), f"{manifest.DATASHEET}.html": sheet.html()}
    texts |= {f"{manifest.DATASHEET}/{name}": text for name, text in sheet.pictures().items()}
    for name, text in texts.items():
        with files.replacing(folder / name) as part:
            part.write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in texts]


# -- below: what is known ---------------------------------------------------------------------------------------------


def _frequency(table: pa.Table, classes: int) -> list[int | None]:
    """0 head, 1 medium, 2 tail of every label; None where it has none."""
    known = table.filter(pc.is_valid(table["frequency"]))
    found = np.full(classes, -1, np.int64)
    found[known["label"].to_numpy()] = known["frequency"].to_numpy()
    return [None if value < 0 else value for value in found.tolist()]


def _funnel(workspace: Workspace, split: str, table: pa.Table, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The funnel counted again: earlier versions counted each picture of a reference set as a reason of its own."""
    left_out = files.read_table(workspace.path / "splits" / split / "left_out.parquet")
    return result.funnel(stored["images"], table, left_out, list(stored["splits"]))


def _recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Title of the kind, parameters that are not as they are by default, and all seeds."""
    kind, parameters = kinds.RECIPES.get(recipe["kind"]), recipe.get("parameters", {})
    usual = kind.settings().to_dict() if kind is not None else {}
    seeds = {"recipe": parameters.get("seed")}
    for name, settings in recipe.get("made_from", {}).items():
        seeds[name] = settings.get("seed") if isinstance(settings, dict) else None
    return {
        "title": kind.title if kind is not None else recipe["kind"],
        "about": kind.about if kind is not None else "",
        "clusters": recipe.get("clusters"),
        "changed": {k: v for k, v in parameters.items() if k != "seed" and (k not in usual or usual[k] != v)},
        "seeds": {name: seed for name, seed in seeds.items() if seed is not None},
    }


def _decisions(workspace: Workspace, position: int | None) -> dict[str, Any] | None:
    """How many decisions of each kind stood when the split was made, and of how many people; None when none did."""
    if not position:
        return None
    events = ledger.events
    query = sa.select(events.c.kind).where(events.c.workspace == workspace.ledger.workspace).distinct()
    with workspace.ledger.reading() as connection:
        kinds = sorted(kind for (kind,) in connection.execute(query) if kind != "undo")
    found = workspace.ledger.standing(kinds, until=position)
    if not len(found):
        return None
    counts = found["kind"].value_counts()
    return {
        "position": position,
        "people": int(found["reviewer"].nunique()),
        "kinds": {kind: int(counts[kind]) for kind in sorted(counts.index)},
    }


def _leaks(workspace: Workspace, split: str) -> dict[str, Any] | None:
    """Cells of the leak map between different sets that are not empty; None when no search was made."""
    if search_recipe(workspace) is None:
        return None
    cells = leaks.matrix(workspace, split=split).to_pylist()
    apart = [cell for cell in cells if cell["set_a"] != cell["set_b"] or cell["reference"]]
    open_ones = [cell for cell in apart if cell["duplicates"] or cell["undecided"] or cell["contested"]]
    return {"compared": len(apart), "searched": all(cell["searched"] for cell in apart), "cells": open_ones}


def _licences(workspace: Workspace, table: pa.Table) -> list[dict[str, str]]:
    """Licence files at the top of the roots that the split's pictures lie in, with their first line."""
    roots = workspace.images(["root"])["root"].take(pa.array(table["image_id"].to_numpy()))
    found = []
    for name in sorted(pc.unique(roots.cast(pa.string())).to_pylist()):
        root = workspace.roots.get(name)
        if root is None or not root.is_dir():
            continue
        for path in sorted(root.iterdir()):
            if path.name.lower().split(".")[0] in LICENCES and path.is_file():
                found.append({"root": name, "file": path.name, "line": _first_line(path)})
    return found


def _first_line(path: Path) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read(4096).splitlines()
    return next((line.strip() for line in lines if line.strip()), "")
