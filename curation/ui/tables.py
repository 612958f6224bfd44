"""What pages read, kept in memory by file version: a page turn must not read 1.28 million rows again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from curation import derived, exclusions, files, references
from curation.duplicates import found
from curation.splits import documents, glt_kind, pool, recipes
from curation.splits import inputs as split_inputs
from curation.splits.class_plan import Counts
from curation.splits.compare import Comparison, compare
from curation.splits.expected_leaks import Located, locate, made_leaks, pairs_of
from curation.splits.kind import Kind
from curation.splits.parameters import Parameters
from curation.survivors import bursts, frequencies
from curation.ui import split_preview
from curation.ui.split_preview import Contents
from curation.workspace import Workspace

COLUMNS = ("image_id", "root", "path", "class_name", "source_split", "width", "height", "bytes", "brightness")
COLUMNS += ("flat", "status", "reason")


def images(workspace: Workspace) -> pa.Table:
    """The images table (the columns that pages show), shared by all sessions: never change it."""
    return _images(str(workspace.path), workspace.version())


@st.cache_resource(max_entries=4, show_spinner=False)
def _images(path: str, version: str) -> pa.Table:
    return Workspace(path).images(COLUMNS).combine_chunks()


def class_counts(workspace: Workspace) -> pd.DataFrame:
    """One row a class, in byte order of names: class_name and images by status (ok, broken, gone)."""
    return _class_counts(str(workspace.path), workspace.version())


@st.cache_data(max_entries=8, show_spinner=False)
def _class_counts(path: str, version: str) -> pd.DataFrame:
    # Only two columns are read: a page that lists classes must not wait for the paths of a million images.
    table = Workspace(path).images(["class_name", "status"])
    counts = table.group_by(["class_name", "status"]).aggregate([([], "count_all")]).to_pandas()
    counts = counts.astype({"class_name": str, "status": str})
    wide = counts.pivot_table(index="class_name", columns="status", values="count_all", aggfunc="sum", fill_value=0)
    wide = wide.reindex(columns=["ok", "broken", "gone"], fill_value=0).astype(int)
    order = sorted(wide.index, key=lambda name: name.encode("utf-8", "surrogatepass"))
    return wide.loc[order].reset_index()


def class_names(workspace: Workspace) -> list[str]:
    """Names of the classes that have usable images."""
    counts = class_counts(workspace)
    return counts["class_name"][counts["ok"] > 0].tolist()


def rows(workspace: Workspace, ids: np.ndarray) -> pd.DataFrame:
    """The rows of some images, in the order asked for."""
    table = images(workspace).take(pa.array(np.asarray(ids, dtype=np.int64)))
    return table.to_pandas(strings_to_categorical=False)


def ids_where(workspace: Workspace, **equal: str) -> np.ndarray:
    """Ids of the images whose columns have these values, ascending."""
    table = images(workspace)
    mask = None
    for column, value in equal.items():
        hit = pc.equal(table[column], value)
        mask = hit if mask is None else pc.and_(mask, hit)
    picked = table["image_id"] if mask is None else table["image_id"].filter(mask)
    return picked.to_numpy()


def has_splits(workspace: Workspace) -> bool:
    """Whether the pictures lay in train, val or test folders when they were read."""
    return any(images(workspace)["source_split"].unique().to_pylist())


def clusters(workspace: Workspace, name: str, class_name: str | None = None) -> pa.Table:
    """A clustering with people's edits in it, whole or of one class."""
    base = files.stamp(workspace.path / "clusters" / f"{name}.parquet")
    return _clusters(workspace, workspace.key, name, class_name, base, workspace.ledger.position())


@st.cache_resource(max_entries=32, show_spinner=False)
def _clusters(_workspace: Workspace, key: str, name: str, class_name: str | None, base: str, position: int) -> pa.Table:
    return derived.clusters(_workspace, name, class_name=class_name)


def points(workspace: Workspace, name: str) -> pa.Table:
    """A map: image_id, x, y."""
    path = workspace.path / "maps" / f"{name}.parquet"
    return _table(str(path), files.stamp(path))


def split(workspace: Workspace, name: str) -> pa.Table:
    """A split's rows."""
    path = workspace.path / "splits" / name / "split.parquet"
    return _table(str(path), files.stamp(path))


def left_out(workspace: Workspace, name: str) -> pa.Table:
    """The images that a split left out, with their reasons."""
    path = workspace.path / "splits" / name / "left_out.parquet"
    return _table(str(path), files.stamp(path))


def contents(workspace: Workspace, name: str) -> Contents:
    """What a saved split contains, beside what it was made from."""
    return _contents(workspace, name, workspace.key, files.stamp(workspace.path / "splits" / name / "split.parquet"))


@st.cache_resource(max_entries=8, show_spinner=False)
def _contents(_workspace: Workspace, name: str, key: str, made: str) -> Contents:
    recipe, table, report = recipes.load(_workspace, name)
    return split_preview.of_table(table, report["classes"], split_inputs.stored(_workspace, name, recipe))


def comparison(workspace: Workspace, a: str, b: str) -> Comparison:
    """How saved split `b` differs from saved split `a`."""
    made = "".join(files.stamp(workspace.path / "splits" / name / "split.parquet") for name in (a, b))
    return _comparison(workspace, workspace.key, a, b, made)


@st.cache_resource(max_entries=4, show_spinner=False)
def _comparison(_workspace: Workspace, key: str, a: str, b: str, made: str) -> Comparison:
    return compare(*(recipes.load(_workspace, name) for name in (a, b)))


def leaks(workspace: Workspace, name: str) -> float | None:
    """Near-duplicate pairs with their images in two splits of a saved one; None when no search was made."""
    if not exclusions.pairs_path(workspace).is_file():
        return None
    made = f"{standing(workspace, name)} {workspace.ledger.position()}"
    return _leaks(workspace, name, workspace.key, made)


@st.cache_data(max_entries=16, show_spinner=False)
def _leaks(_workspace: Workspace, name: str, key: str, made: str) -> float:
    recipe, table, _ = recipes.load(_workspace, name)
    everything = dataclasses.replace(split_inputs.stored(_workspace, name, recipe), groups=None)
    return made_leaks(pairs_of(_workspace, everything), table).total


@st.cache_resource(max_entries=16, show_spinner=False)
def _table(path: str, version: str) -> pa.Table:
    return files.read_table(path).combine_chunks()


def standing(workspace: Workspace, split: str | None = None) -> tuple[str, ...]:
    """Changes with the files that pairs, groups and leaks (of a saved split) follow from; the ledger is not in it."""
    paths = [bursts.bursts_path(workspace), frequencies.frequency_path(workspace), workspace.path / references.FILE]
    paths += [workspace.path / "splits" / split / "split.parquet"] if split else []
    return (*found.stamp(workspace), *(files.stamp(path) for path in paths))


def ruled_out(workspace: Workspace) -> np.ndarray:
    """Ids of the images that people or near-duplicate pairs rule out now, ascending."""
    return _ruled_out(workspace, workspace.key, standing(workspace), workspace.ledger.position())


@st.cache_data(max_entries=8, show_spinner=False)
def _ruled_out(_workspace: Workspace, key: str, made: tuple[str, ...], position: int) -> np.ndarray:
    return exclusions.exclusions(_workspace)["image_id"].to_numpy()


def source_splits(workspace: Workspace) -> list[str]:
    """Names of the source splits that pictures lay in when they were read, in byte order."""
    return sorted(name for name in images(workspace)["source_split"].unique().to_pylist() if name)


class ByClass(NamedTuple):
    """What a split by class can be made of: counts, how many images are out, and pairs that may leak."""

    counts: Counts
    out: int
    pairs: Located | None


def by_class(workspace: Workspace, kind: Kind, settings: Any, duplicates: str) -> ByClass:
    """What a split by class can be made of now."""
    made = f"{workspace.version()} {standing(workspace)} {workspace.ledger.position()} {duplicates}"
    if not kind.counted:
        return _by_class(workspace, None, None, workspace.key, made, duplicates)
    told = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings) if f.metadata.get("reads")}
    # A file that changed, or a split of that name that was saved anew, is another table.
    named = [value for value in told.values() if isinstance(value, str)]
    paths = [workspace.path / "splits" / name / "split.parquet" for name in named if name in workspace.split_names()]
    paths += [Path(text) for text in named if documents.is_file(text)]
    told |= {"": [files.stamp(path) for path in paths]}
    return _by_class(workspace, kind, settings, workspace.key, f"{made} {kind.name} {told}", duplicates)


@st.cache_resource(max_entries=8, show_spinner=False)
def _by_class(
    _workspace: Workspace, _kind: Kind | None, _settings: Any, key: str, made: str, duplicates: str
) -> ByClass:
    found = split_inputs.gather(_workspace, duplicates=duplicates)
    if _kind is not None:
        found = _kind.complete(_workspace, _settings, found)
    images = pool.gather(found)
    return ByClass(Counts.of(images, found), len(found.excluded), _may_leak(_workspace, found, images))


def _may_leak(workspace: Workspace, inputs: split_inputs.Inputs, images: pool.Pool) -> Located | None:
    """Pairs of a pool's images that may leak; None when no search was made."""
    searched = exclusions.pairs_path(workspace).is_file()
    return locate(pairs_of(workspace, inputs), images) if searched else None


def legacy_contents(workspace: Workspace, clusters_name: str, parameters: Parameters) -> Contents:
    """What the published procedure makes; it has no plan, so it is carved."""
    base = files.stamp(workspace.path / "clusters" / f"{clusters_name}.parquet")
    made = f"{base} {standing(workspace)} {workspace.ledger.position()} {parameters.inter} {parameters.seed}"
    return _legacy_contents(workspace, parameters, workspace.key, clusters_name, made)


@st.cache_resource(max_entries=4, show_spinner="Carving")
def _legacy_contents(_workspace: Workspace, _parameters: Parameters, key: str, name: str, made: str) -> Contents:
    found = split_inputs.gather(_workspace, clusters=name)
    result = glt_kind.carve(found, _parameters)
    return split_preview.of_table(result.split, result.report["classes"], found)


class ByCell(NamedTuple):
    """What a generalised long-tail split can be carved from: class names in byte order, images (classes, attributes),
    how many are out, and pairs that may leak."""

    names: list[str]
    counts: np.ndarray
    out: int
    pairs: Located | None


def by_cell(workspace: Workspace, clusters_name: str, attributes: int | None = None) -> ByCell:
    """What can be carved now: without the images that people, near-duplicate pairs or the folder ruled out.

    Raises:
        ArgumentError: there are fewer clusters than `attributes`, which they are merged into anew.
    """
    base = files.stamp(workspace.path / "clusters" / f"{clusters_name}.parquet")
    made = f"{base} {standing(workspace)} {workspace.ledger.position()}"
    return _by_cell(workspace, workspace.key, clusters_name, attributes, made)


@st.cache_resource(max_entries=8, show_spinner=False)
def _by_cell(_workspace: Workspace, key: str, name: str, attributes: int | None, made: str) -> ByCell:
    found = split_inputs.gather(_workspace, clusters=name)
    images = pool.gather(found, attributes=attributes)
    pairs = _may_leak(_workspace, found, images)
    return ByCell(images.names, images.counts(), len(found.excluded), pairs)
