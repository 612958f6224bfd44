"""How far a workspace is: one line a step, each a link to the page where it is done."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import streamlit as st

from curation import files
from curation.exclusions import pairs_path
from curation.ui import frame, recent, tables
from curation.ui.components.gallery import Group, gallery
from curation.workspace import Workspace

# What a step is called while it is made: a job's kind, or a phase of the main job.
MAKING = {
    "images": {"init", "Fetching pictures", "Reading pictures"},
    "features": {"extract", "Extracting features"},
    "clusters": {"cluster", "Clustering"},
    "map": {"map", "Drawing the map"},
    "duplicates": {"duplicates", "Finding pairs"},
    "splits": {"split", "Carving a split"},
    "export": {"export"},
}


class Step(NamedTuple):
    """One step of the main job: the page it is done on, whether it is, and what there is."""

    page: str
    done: bool
    text: str


def folder_name(folder: str | Path) -> str:
    """A workspace name for a folder of pictures: its own name, made safe, and with a number when it is taken."""
    folder = Path(folder).expanduser().resolve()
    name = folder.name if files.NAME.fullmatch(folder.name) else files.slug(folder.name)
    taken = recent.home() / "workspaces" / name / "workspace.json"
    if taken.is_file() and folder not in Workspace(taken.parent).roots.values():
        return f"{name[:70]}-{hashlib.sha256(str(folder).encode()).hexdigest()[:6]}"
    return name


def steps(workspace: Workspace) -> list[Step]:
    """The steps of the main job in order."""
    if not workspace.images_path.is_file():
        return [Step(page, False, "") for page in MAKING]
    counts = tables.class_counts(workspace)
    usable, aside = int(counts["ok"].sum()), int(counts["broken"].sum() + counts["gone"].sum())
    pictures = f"{usable:,} pictures in {len(counts):,} classes" + (f", {aside:,} set aside" if aside else "")
    pairs = pairs_path(workspace)
    found = f"{files.read_table(pairs, columns=['image_a']).num_rows:,} pairs" if pairs.is_file() else ""
    named = {
        "features": workspace.feature_names(),
        "clusters": workspace.cluster_names(),
        "map": workspace.map_names(),
        "splits": workspace.split_names(),
    }
    lines = {"images": pictures, "duplicates": found} | {page: ", ".join(names) for page, names in named.items()}
    exports = sorted(p.parent.name for p in workspace.path.glob("exports/[!.]*/manifest.json"))
    lines["export"] = ", ".join(exports)
    return [Step(page, bool(lines[page]), lines[page]) for page in MAKING]


def show(workspace: Workspace) -> None:
    """Draw the steps beside pictures of every class; while a job runs, watch it."""
    left, right = st.columns([1, 3], gap="medium")
    found = steps(workspace)
    undone = [step for step in found if not step.done and step.page != "export"]
    making = frame.under_way(workspace)
    with left:
        for step in found:
            _line(step, bool(making & MAKING[step.page]))
        reading = not found[0].done
        if undone and not reading and not making:
            st.button(
                "Do the rest",
                key="rest",
                type="primary",
                help="Runs every step that is not done yet, with good defaults",
                on_click=frame.start_job,
                args=(workspace, "run"),
            )
        st.caption(f"`{workspace.path}`")
    with right:
        if reading:
            st.text("Pictures appear here once they are read." if making else "No pictures yet.")
        else:
            groups = some_of_each(workspace)
            gallery(
                groups=groups,
                captions=None,
                key="start",
                workspace=workspace,
                reviewer=frame.reviewer(),
                rows=1,
                tile=112,
                shown={"page": "start"},
            )


def _line(step: Step, making: bool) -> None:
    icon = "progress_activity" if making else "check_circle" if step.done else "radio_button_unchecked"
    with st.container(key=f"step_{step.page}", gap=None):
        icon = f":material/{icon}:"
        st.page_link(frame.PAGES / f"{step.page}.py", label=step.page.capitalize(), icon=icon)
        if step.text:
            st.caption(frame.plain(frame.shorten(step.text, 60)))


def some_of_each(workspace: Workspace) -> list[Group]:
    """The first pictures of the first classes, as gallery groups."""
    return _some_of_each(workspace, workspace.key, workspace.version())


@st.cache_data(max_entries=8, show_spinner=False)
def _some_of_each(_workspace: Workspace, key: str, version: str, classes: int = 12, images: int = 24) -> list[Group]:
    counts = tables.class_counts(_workspace).set_index("class_name")["ok"]
    groups = []
    for name in tables.class_names(_workspace)[:classes]:
        ids = tables.ids_where(_workspace, class_name=name, status="ok")
        picked = ids[np.linspace(0, len(ids) - 1, min(images, len(ids))).astype(int)]
        groups.append(Group(id=name, title=name, subtitle=f"{counts[name]:,} pictures", images=picked.tolist()))
    return groups
