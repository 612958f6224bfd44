"""What is in a saved split: histograms, who is in each class and why, who was left out, and its recipe."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from curation import files
from curation.splits import kinds, recipes
from curation.splits.result import reason_kind
from curation.splits.statistics import GROUPS
from curation.ui import charts, frame, split_compare, split_design, split_preview, tables
from curation.ui.components.gallery import Group, gallery
from curation.workspace import Workspace

MOST_SHOWN = 400
VIEWS = ("histograms", "classes", "left out", "compare", "recipe")


def show(workspace: Workspace, name: str) -> None:
    """Draw a saved split."""
    folder = workspace.path / "splits" / name
    if not (folder / "images.parquet").is_file():
        st.warning(f"{frame.plain(name)} was saved by an earlier version: save it again.")
        return
    table = tables.split(workspace, name)
    if late := ruled_out_since(workspace, table):
        are = "image in it was" if late == 1 else "images in it were"
        st.warning(f"{late:,} {are} ruled out since this split was saved: save it again to leave them out.")
    view = st.segmented_control(
        "View", VIEWS, default=VIEWS[0], required=True, key="split_view", label_visibility="collapsed"
    )
    recipe = files.read_json(folder / "recipe.json")
    st.caption(_about(recipe, (folder / "split.parquet").stat().st_mtime))
    if view == "histograms":
        contents = tables.contents(workspace, name)
        split_preview.draw(contents, leaks=tables.leaks(workspace, name), key="saved", made=True)
    elif view == "classes":
        _classes(workspace, name, table, files.read_json(folder / "report.json")["classes"])
    elif view == "left out":
        _left_out(workspace, tables.left_out(workspace, name))
    elif view == "compare":
        split_compare.show(workspace, name)
    else:
        split_design.download(recipe, name)
    with st.sidebar:
        st.button(
            "Design from this one",
            icon=":material/edit:",
            on_click=_anew,
            args=(recipe,),
            help="Its recipe in the fields of a new split; saved under its name it becomes the next revision",
        )


def latest(workspace: Workspace) -> str | None:
    """The split that was saved last."""
    folder = workspace.path / "splits"
    return max(workspace.split_names(), key=lambda n: (folder / n / "split.parquet").stat().st_mtime, default=None)


def ruled_out_since(workspace: Workspace, table: pa.Table) -> int:
    """How many images of a split are excluded by now."""
    return int(np.isin(table["image_id"].to_numpy(), tables.ruled_out(workspace)).sum())


def has_attributes(workspace: Workspace, names: Sequence[str]) -> bool:
    """Whether all of these saved splits tell attributes, as GLT JSON does."""
    return all(tables.split(workspace, name)["attribute"].null_count == 0 for name in names)


def _about(recipe: dict, saved: float) -> str:
    """What a split is, in one line."""
    parameters = recipe.get("parameters", {})
    kind = kinds.RECIPES.get(recipe["kind"])
    facts = [kind.title if kind else recipe["kind"], f"revision {recipe.get('revision', 1)}"]
    facts += [f"of {parameters[key]}" for key in ("base", "match") if parameters.get(key)]
    facts += [f"seed {parameters['seed']}"] if "seed" in parameters else []
    facts += [f"saved {datetime.fromtimestamp(saved):%d %b %Y, %H:%M}"]
    return " · ".join(frame.plain(fact) for fact in facts)


def _anew(recipe: dict) -> None:
    split_design.begin(recipe, recipes.revision_of(recipe.get("name", ""))[0])
    st.session_state["split"] = "New split"


def _classes(workspace: Workspace, name: str, table: pa.Table, classes: Sequence[str]) -> None:
    """The images of one class, by split and by the reason for which they were left out."""
    class_name = frame.stepper("Class", sorted(classes), key="class")
    mine = table.filter(pc.equal(table["label"], list(classes).index(class_name)))
    splits = mine["split"].cast(pa.string()).to_numpy(zero_copy_only=False)
    ids, attribute = mine["image_id"].to_numpy(), mine["attribute"].cast(pa.int64()).fill_null(-1).to_numpy()
    known = [split for split in charts.SPLIT_COLOURS if split in splits]
    groups, captions = [], []
    for split in [*known, *sorted({*splits.tolist()} - {*known})]:
        there = np.flatnonzero(splits == split)
        title, colour = charts.SPLIT_NAMES.get(split, split), charts.split_colour(split)
        captions += _add(groups, title, ids[there], [_why(attribute[i]) for i in there], colour)
    out = tables.left_out(workspace, name)
    of_class = pc.is_in(out["image_id"], pa.array(tables.ids_where(workspace, class_name=class_name), pa.int32()))
    out = out.filter(of_class)
    reasons = out["reason"].to_pylist()
    kinds = np.array([reason_kind(reason) for reason in reasons], object)
    for kind in sorted(set(kinds.tolist())):
        there = np.flatnonzero(kinds == kind)
        words = [reasons[i] if reasons[i] != kind and not reasons[i].startswith("tail cut") else "" for i in there]
        captions += _add(groups, f"left out: {kind}", out["image_id"].to_numpy()[there], words)
    group = GROUPS[mine["frequency"][0].as_py()] if len(mine) and mine["frequency"][0].is_valid else None
    st.caption(f"{len(mine):,} in splits, {len(out):,} left out" + (f" · {group} class" if group else ""))
    gallery(
        groups=groups,
        captions=captions if any(captions) else None,
        key="split_pictures",
        workspace=workspace,
        reviewer=frame.reviewer(),
        tile=112,
    )


def _add(groups: list[Group], title: str, ids: np.ndarray, words: list[str], colour: str | None = None) -> list[str]:
    """One more group of at most `MOST_SHOWN` pictures; returns their captions."""
    first = f", the first {MOST_SHOWN}" if len(ids) > MOST_SHOWN else ""
    count = "1 picture" if len(ids) == 1 else f"{len(ids):,} pictures{first}"
    group = Group(id=str(len(groups)), title=title, subtitle=count, images=ids[:MOST_SHOWN])
    groups.append(group | {"colour": colour} if colour else group)
    return words[:MOST_SHOWN]


def _why(attribute: int) -> str:
    return "" if attribute < 0 else f"attribute {attribute}"


def _left_out(workspace: Workspace, table: pa.Table) -> None:
    if not table.num_rows:
        st.text("Every image is in a split.")
        return
    words = table["reason"].combine_chunks().dictionary_encode()
    reasons = words.dictionary.to_pylist()
    kinds = [reason_kind(reason) for reason in reasons]
    counts = dict.fromkeys(kinds, 0)
    for kind, count in zip(kinds, np.bincount(words.indices.to_numpy(), minlength=len(kinds)).tolist(), strict=True):
        counts[kind] += count
    order = sorted(counts, key=lambda k: (-counts[k], k))
    kind = st.segmented_control(
        "Reason", order, default=order[0], required=True, key="reason", format_func=lambda k: f"{k} {counts[k]:,}"
    )
    chosen = np.flatnonzero(np.array(kinds) == kind)
    mine = np.flatnonzero(np.isin(words.indices.to_numpy(), chosen))
    why = reasons[chosen[0]] if len(chosen) == 1 else ""
    first = f"the first {MOST_SHOWN} of {len(mine):,}" if len(mine) > MOST_SHOWN else ""
    if told := " · ".join(part for part in (first, why) if part):
        st.caption(frame.plain(told))
    shown = mine[:MOST_SHOWN]
    gallery(
        table["image_id"].to_numpy()[shown],
        captions="class" if why else [reasons[i] for i in words.indices.to_numpy()[shown]],
        key="left_out",
        workspace=workspace,
        reviewer=frame.reviewer(),
        tile=144,
    )
