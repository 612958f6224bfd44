"""What should not be in a released data set: excluded images, near duplicates, leaks, contested pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from curation import exclusions, files, judgements
from curation.errors import ArgumentError
from curation.formats import imagenetv2_dataset, imagenetv2_state
from curation.judgements import CONTESTED
from curation.references import PROBES
from curation.survivors import components, resolution
from curation.survivors.graph import paths_of
from curation.workspace import Workspace

SOURCE = "source"
"""What the sets that were found on disk are called together, beside saved splits."""
_SHOWN = 10
Finding = dict[str, Any]


def lint(target: str | Path | Workspace, *, state: str | Path | None = None) -> dict[str, Any]:
    """Look through a workspace, or a data set file of ImageNetV2.

    Of a workspace, all saved splits and the splits of the source are looked at. Kinds of findings: `excluded` (people
    excluded a member, or its picture is broken or gone), `duplicates` (several members of one component within a set),
    `across` (members of one component in several sets of a split), `leak` (a member's component has an image of a
    reference set), `contested` (people disagree on a pair of members). Of a file: `blacklisted`, `duplicates`, `leak`.

    Args:
        target: a workspace or its folder, or a data set file.
        state: folder with near_duplicates.json and the blacklist; for a file, that beside its folder (`../metadata`)
            when None.

    Returns:
        target, kind (`workspace` or `dataset`), images (by set), counts (findings by kind), findings: each with kind,
        why, and of a workspace split, sets and images (id and path), of a file names and classes. set_aside is 0.

    Raises:
        ArgumentError: the target is neither, or the state is not to be found.
        CurationError: a file cannot be read, or the workspace's decisions contradict each other.
    """
    if not isinstance(target, Workspace):
        path = Path(target)
        if path.is_file():
            return _dataset(path, state)
        if not path.is_dir():
            raise ArgumentError(f"there is neither a workspace nor a data set file {path}")
        target = Workspace(path)
    if state is not None:
        raise ArgumentError(f"{target.path} is a workspace, whose ledger says everything: leave out the state {state}")
    return _workspace(target)


def _report(target: Path, kind: str, images: dict[str, int], findings: list[Finding]) -> dict[str, Any]:
    counts = Counter(finding["kind"] for finding in findings)
    said = {"target": str(target), "kind": kind, "images": images, "counts": dict(sorted(counts.items()))}
    return said | {"findings": findings, "set_aside": 0}


# -- below: a data set file --------------------------------------------------------------------------------------------


def _dataset(path: Path, folder: str | Path | None) -> dict[str, Any]:
    dataset = imagenetv2_dataset.read_dataset(path)
    try:
        state = imagenetv2_state.read(folder or path.absolute().parent.parent)
    except ArgumentError as error:
        raise ArgumentError(f"{error}, with --state") if folder is None else error from None
    class_of = dict(zip(dataset.names, dataset.classes, strict=True))

    def finding(kind: str, names: list[str], why: str, **more: Any) -> Finding:
        return {"kind": kind, "names": names, "classes": [class_of[name] for name in names], "why": why} | more

    out = [name for name in sorted(dataset.names) if name in state.blacklist]
    found = [finding("blacklisted", [name], state.blacklist[name]) for name in out]
    graph = components.graph_of(*state.edges())
    member = np.array([name in class_of for name in graph.names], bool)
    outside = components.imagenet(graph.names) if len(graph.names) else member
    for label in np.flatnonzero(np.bincount(graph.label[member]) > 1):
        of = graph.names[graph.label == label].tolist()
        names = graph.names[(graph.label == label) & member].tolist()
        why = f"{len(names)} members of one component of {len(of)} near duplicates"
        found.append(finding("duplicates", names, why, component=components.component_name(of)))
    nearest = components.ways(graph.first, graph.second, np.flatnonzero(outside), len(graph.names)).root
    for at in np.flatnonzero(member & ~outside & (nearest >= 0)):
        other = graph.names[nearest[at]]
        found.append(finding("leak", [graph.names[at]], f"near duplicate of {other}", imagenet=other))
    return _report(path, "dataset", {dataset.name: len(dataset.names)}, found)


# -- below: a workspace ------------------------------------------------------------------------------------------------


def _workspace(workspace: Workspace) -> dict[str, Any]:
    members = resolution.resolve(workspace)
    contested = judgements.verdicts(workspace)
    contested = contested[(contested["verdict"] == CONTESTED) & (contested["reference"] != PROBES)]
    counts: dict[str, int] = {}
    findings: list[Finding] = []
    for split, rows in _sets(workspace):
        sizes = rows.groupby("set", sort=True).size()
        counts |= {f"{split}/{name}": int(size) for name, size in sizes.items()}
        findings += _excluded(workspace, split, rows)
        findings += _components(split, rows, members)
        findings += _contested(split, rows, contested)
    ids = sorted({image_id for finding in findings for image_id in finding["images"]})
    paths = dict(zip(ids, paths_of(workspace, "", np.array(ids, np.int64)), strict=True))
    for finding in findings:
        finding["images"] = [{"image_id": i, "path": paths[i]} for i in finding["images"]]
    return _report(workspace.path, "workspace", counts, findings)


def _sets(workspace: Workspace) -> Iterable[tuple[str, pd.DataFrame]]:
    """The source and each saved split, with the image_id and set of their members."""
    images = workspace.images(["image_id", "source_split", "status"]).to_pandas()
    ok = images[images["status"] == "ok"]
    yield SOURCE, pd.DataFrame({"image_id": ok["image_id"], "set": ok["source_split"].astype(object).fillna("")})
    for name in workspace.split_names():
        table = files.read_table(workspace.path / "splits" / name / "split.parquet", columns=["image_id", "split"])
        rows = table.to_pandas().rename(columns={"split": "set"}).astype({"set": object})
        yield name, rows.drop_duplicates().sort_values("image_id", ignore_index=True)


def _excluded(workspace: Workspace, split: str, rows: pd.DataFrame) -> list[Finding]:
    people = exclusions.excluded_by_people(workspace)
    images = workspace.images(["status", "reason"]).take(rows["image_id"].to_numpy()).to_pandas()
    reason = images["reason"].fillna("").astype(object)
    lost = images["status"].astype(object) + (": " + reason).where(reason != "", "")
    why = rows["image_id"].map(people.set_index("image_id")["reason"])
    why = why.astype(object).where(why.notna(), lost.where(images["status"] != "ok", None).to_numpy())
    bad = rows.assign(why=why)[why.notna().to_numpy()]
    return [_finding("excluded", split, [name], [i], text) for i, name, text in bad.itertuples(index=False)]


def _components(split: str, rows: pd.DataFrame, found: resolution.Resolution) -> list[Finding]:
    members, edges = found.members.to_pandas(), found.edges.to_pandas()
    own = members.loc[members["reference"] == "", ["image_id", "component"]]
    here = rows.merge(own, on="image_id").sort_values(["component", "set", "image_id"])
    references = members[members["reference"] != ""].groupby("component")["reference"].unique().to_dict()
    images = here.groupby("component")["image_id"].nunique()
    bad = images.index[(images > 1) | images.index.isin(list(references))]
    by_set: dict[int, dict[str, list[int]]] = {component: {} for component in bad.tolist()}
    for image_id, name, component in here[here["component"].isin(bad)].itertuples(index=False):
        by_set[component].setdefault(name, []).append(image_id)
    told = _edges_in_words(edges[edges["component"].isin(bad)])
    findings = []
    for component, sets in by_set.items():
        names, everyone = list(sets), sorted({image_id for ids in sets.values() for image_id in ids})
        inside = [(name, ids) for name, ids in sets.items() if len(ids) > 1]
        findings += [_finding("duplicates", split, [name], ids, told[component]) for name, ids in inside]
        if len(names) > 1 and len(everyone) > 1:
            findings.append(_finding("across", split, names, everyone, told[component]))
        if component in references:
            why = f"leads to reference set {', '.join(sorted(references[component]))}: {told[component]}"
            findings.append(_finding("leak", split, names, everyone, why))
    return findings


def _contested(split: str, rows: pd.DataFrame, contested: pd.DataFrame) -> list[Finding]:
    asked = np.concatenate([contested["image_a"], contested.loc[contested["reference"] == "", "image_b"]])
    here = rows[rows["image_id"].isin(asked)]  # few are: the rest of a million need no list of their sets
    sets = here.groupby("image_id")["set"].agg(lambda names: sorted(set(names))).to_dict()
    findings = []
    for a, b, reference in contested[["image_a", "image_b", "reference"]].itertuples(index=False):
        pair = [a] if reference else [a, b]
        if all(image_id in sets for image_id in pair):
            names = sorted({name for image_id in pair for name in sets[image_id]})
            where = f" with image {b} of reference set {reference}" if reference else ""
            findings.append(_finding("contested", split, names, pair, f"people disagree on the pair{where}"))
    return findings


def _finding(kind: str, split: str, sets: list[str], images: list[int], why: str) -> Finding:
    return {"kind": kind, "split": split, "sets": sets, "images": images, "why": why}


def _edges_in_words(edges: pd.DataFrame) -> dict[int, str]:
    """The first edges of each component, and who says so."""
    told: dict[int, list[str]] = {}
    for component, a, b, reference, kind, by in edges[resolution.EDGES.names].itertuples(index=False):
        told.setdefault(component, []).append(f"{a} - {f'{reference}:' if reference else ''}{b} ({kind}, {by})")
    return {
        component: ", ".join(words[:_SHOWN]) + (f" and {len(words) - _SHOWN:,} more" if len(words) > _SHOWN else "")
        for component, words in told.items()
    }
