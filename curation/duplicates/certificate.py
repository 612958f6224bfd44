"""A certificate of what was done about near duplicates, and what is not known.

It follows from the tables, recipes and the ledger alone: no clock, no folders of this computer, no names of reviewers.
The same state gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

import curation
from curation import arrays, exclusions, files, judgements
from curation.duplicates import agreement, calibration, certificate_text, leaks, probes, searched, tables
from curation.duplicates.monotone import clopper_pearson
from curation.workspace import Workspace

VERSION = 1
DIGITS = 6


def certificate(workspace: Workspace, *, split: str | None = None, until: int | None = None) -> dict[str, Any]:
    """What was searched and decided, and what leaks, as a value that JSON can hold.

    Args:
        split: name of a saved split that the leak map is about; the splits found on disk when None.
        until: take decisions only to this position of the ledger. The search is the last one in any case.

    Returns:
        certificate_version, tool, workspace, split, ledger_position, images, search (null before any), searched (pairs
        compared by measure and scope), pairs (of the search, by what the rule says), verdicts, agreement, probes,
        reviewers, leaks, unseen, and not_known: sentences about what this certificate cannot tell.

    Raises:
        ArgumentError: there is no such split.
        CurationError: the pairs or a verdict name images that are not there.
    """
    now = workspace.ledger.position()
    position = now if until is None else min(until, now)
    recipe = searched.recipe(workspace)
    images = _images(workspace)
    parts: dict[str, Any] = {
        "certificate_version": VERSION,
        "tool": {"name": "curation", "version": curation.__version__},
        "workspace": {"name": workspace.name, "id": workspace.id},
        "split": _split(workspace, split),
        "ledger_position": position,
        "images": images,
        "search": _search(workspace, recipe),
        "searched": searched.pairs(workspace, recipe),
        "pairs": _pairs(workspace),
        "verdicts": _verdicts(workspace, position),
        "agreement": _agreement(workspace, position),
        "probes": _probes(workspace),
        "reviewers": _reviewers(workspace, position),
        "leaks": leaks.matrix(workspace, split=split, until=position).to_pylist(),
        "unseen": _unseen(workspace, position),
    }
    parts["not_known"] = _not_known(workspace, parts, recipe)
    return _plain(parts)


def write(workspace: Workspace, out: str | Path, *, split: str | None = None) -> dict[str, Any]:
    """Write certificate.json and certificate.md into the folder `out`, each whole or not at all; return the former."""
    found, folder = certificate(workspace, split=split), Path(out)
    text = certificate_text.markdown(found)
    files.write_json(folder / "certificate.json", found)
    with files.replacing(folder / "certificate.md") as part:
        part.write_text(text, encoding="utf-8")
    return found


# -- below: the parts --------------------------------------------------------------------------------------------------


def _images(workspace: Workspace) -> dict[str, Any]:
    table = workspace.images([*arrays.INPUT_COLUMNS, "flat"])
    counts = dict(zip(*(part.to_pylist() for part in table["status"].value_counts().flatten()), strict=True))
    usable = pc.equal(table["status"].cast(pa.string()), "ok")
    flat = pc.sum(pc.and_(usable, table["flat"].fill_null(False))).as_py() or 0
    digest = arrays.input_digests(table, {"shard_rows": max(1, len(table))})
    return {
        "rows": len(table),
        **{name: counts.get(name, 0) for name in ("ok", "broken", "gone")},
        "flat": int(flat),
        "sha256": digest[0] if digest else None,
    }


def _split(workspace: Workspace, name: str | None) -> dict[str, Any]:
    if name is None:
        return {"name": None, "sha256": None}
    path = workspace.path / "splits" / files.check_name(name, "the name of the split") / "split.parquet"
    return {"name": name, "sha256": files.sha256_file(path) if path.is_file() else None}


def _search(workspace: Workspace, recipe: dict[str, Any] | None) -> dict[str, Any] | None:
    """Settings of the last search, with the recipes of its tables of neighbours."""
    if recipe is None:
        return None
    kept = {key: value for key, value in recipe.items() if key not in ("workspace", "summary")}
    for name in ("", *recipe.get("references", ())):
        for measure in searched.measures(recipe):
            path = tables.folder(workspace, measure, name) / "recipe.json"
            if path.is_file():
                made = files.read_json(path)
                about = {key: value for key, value in made.items() if key not in ("workspace", "measure", "reference")}
                kept.setdefault("tables", {})[path.parent.name] = about
    return files.without_folders(kept)


def _pairs(workspace: Workspace) -> dict[str, Any] | None:
    if not exclusions.pairs_path(workspace).is_file():
        return None
    table = exclusions.read_pairs(workspace, ["reference", "decision"])
    table = table[table["reference"] != judgements.PROBES]
    counts = table["decision"].astype(str).value_counts()
    return {"all": len(table)} | {name: int(counts.get(name, 0)) for name in ("duplicate", "candidate", "different")}


def _verdicts(workspace: Workspace, position: int) -> dict[str, Any]:
    """Judged pairs by what stands about them, probes left out, and who takes part in how many."""
    said = judgements.verdicts(workspace, until=position)
    said = said[said["reference"] != judgements.PROBES]
    people = judgements.read(workspace, until=position)
    people = people[(people["kind"] == "pair") & (people["reference"] != judgements.PROBES)]
    counts = said["verdict"].value_counts()
    twice = int((said["reviewers"] > 1).sum())
    return {
        "judged": len(said),
        **{name: int(counts.get(name, 0)) for name in (*judgements.VERDICTS, judgements.CONTESTED)},
        "adjudicated": int(said["final"].sum()),
        "reviewers": int(people["reviewer"].nunique()),
        "judged_by_two": twice,
        "double_review_share": twice / len(said) if len(said) else None,
    }


def _agreement(workspace: Workspace, position: int) -> dict[str, Any] | None:
    """Cohen's kappa of every two reviewers as one number: the mean weighted by their common pairs, and the lowest."""
    table = agreement.kappa(workspace, until=position).to_pandas()
    known = table.dropna(subset=["kappa"])
    if not len(table):
        return None
    return {
        "couples": len(table),
        "pairs": int(table["pairs"].sum()),
        "agreed": int(table["agreed"].sum()),
        "kappa": float(np.average(known["kappa"], weights=known["pairs"])) if len(known) else None,
        "lowest": float(known["kappa"].min()) if len(known) else None,
    }


def _unseen(workspace: Workspace, position: int) -> dict[str, Any] | None:
    """How many of the pairs that nobody judged are duplicates, learnt from verdicts by the rule's probability."""
    found = calibration.stop(workspace, "probability", until=position)
    if not found["verdicts"]:
        return None
    names = ("measure", "undecided", "estimated", "low", "high", "verdicts", "tolerated", "advice")
    return {name: found[name] for name in names}


def _probes(workspace: Workspace) -> list[dict[str, Any]] | None:
    table = probes.recall(workspace)
    return table.to_pylist() if len(table) else None


def _reviewers(workspace: Workspace, position: int) -> dict[str, Any] | None:
    """How often reviewers were right about planted pairs, all of them together."""
    table = probes.reviewers(workspace, until=position).to_pandas()
    if not table["judged"].sum():
        return None
    sums = {name: int(table[name].sum()) for name in ("judged", "right", "copies", "copies_right", "unsure")}
    low, high = (float(end) for end in clopper_pearson(sums["right"], sums["judged"], probes.TAIL))
    return {"reviewers": len(table), **sums, "rate": sums["right"] / sums["judged"], "low": low, "high": high}


def _not_known(workspace: Workspace, parts: dict[str, Any], recipe: dict[str, Any] | None) -> list[str]:
    if recipe is None:
        return ["No search for near duplicates was made: nothing is known about any pair."]
    said = searched.staleness(workspace, recipe)
    unsearched = [f"{cell['set_a']} and {cell['set_b']}" for cell in parts["leaks"] if cell["searched"] is False]
    if unsearched:
        said.append(f"The last search did not look between: {'; '.join(unsearched)}.")
    if any(cell["searched"] is None for cell in parts["leaks"]):
        said.append("The search looked between splits of the source only: duplicates inside one of them are unknown.")
    if recipe.get("scope") == "class":
        said.append("Some measures looked inside classes only: duplicates with different labels may be missed by them.")
    if parts["probes"] is None:
        said.append("The recall of the search is not known: no probes were planted.")
    elif parts["probes"][-1]["recall"] is None:
        said.append("The recall of the search is not known: it did not look at the planted probes.")
    if parts["reviewers"] is None:
        said.append("How often reviewers are right is not known: none judged a planted pair.")
    if parts["agreement"] is None:
        said.append("How well reviewers agree is not known: no pair was judged by two of them.")
    if parts["unseen"] is None:
        said.append("How many of the pairs that nobody saw are duplicates was not estimated.")
    return said


def _plain(value: Any) -> Any:
    """The same with plain numbers, floats to six digits."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return None if pd.isna(value) else float(f"{value:.{DIGITS}g}")
    return value
