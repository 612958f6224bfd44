"""Designing a split: a recipe's parameters in the sidebar, what it would contain in the page, before it is saved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from curation import files
from curation.errors import CurationError
from curation.splits import class_names, documents, kinds, recipes
from curation.splits.class_plan import Shortfall, TooFew
from curation.splits.expected_leaks import planned_leaks, straddling
from curation.splits.inputs import DUPLICATES
from curation.splits.kind import Kind
from curation.splits.parameters import Parameters
from curation.splits.plan import Infeasible, plan, suggest
from curation.ui import frame, recipe_form, split_presets, split_preview, tables
from curation.ui.split_preview import Contents
from curation.workspace import Workspace

VIEWS = ("preview", "published", "recipe")
DUPLICATE_WORDS = {
    "decided": "one of each group stays",
    "together": "all stay, on one side",
    "verdicts": "only what people decided",
    "ignore": "not looked at",
}


def show(workspace: Workspace) -> None:
    """Draw the designer."""
    st.session_state.setdefault("design_view", VIEWS[0])
    view = st.segmented_control("View", VIEWS, required=True, key="design_view", label_visibility="collapsed")
    begun = st.session_state.get("design", {"kind": None, "parameters": {}, "name": None, "begun": 0})
    with st.sidebar:
        head = st.container()
        place = st.container()  # in sight whatever the number of parameters
        kind = _kind(workspace, head, begun)
        document, contents, leaks, problem = None, None, None, None
        try:
            document = _asked(workspace, kind, begun)
            contents, leaks = _planned(workspace, document)
        except CurationError as error:
            problem = error
        with place:
            save(workspace, kind, document if contents is not None else None, begun)
    if view == "published":
        split_presets.show(workspace, begin)
    elif view == "recipe":
        _recipe(document)
    elif contents is not None:
        split_preview.draw(contents, leaks=leaks, key="preview")
    if problem is not None and view != "published":
        _told(workspace, kind, document, problem)


def _kind(workspace: Workspace, head: DeltaGenerator, begun: Mapping[str, Any]) -> Kind:
    """The kind that is chosen; those that take clusters are offered once there are any."""
    clustered = bool(workspace.cluster_names())
    names = [k.name for k in kinds.RECIPES.values() if clustered or not k.clustered]
    usual = begun["kind"] if begun["kind"] in names else "glt" if clustered else "stratified"
    name = head.selectbox(
        "Recipe",
        names,
        index=names.index(usual),
        format_func=lambda n: kinds.RECIPES[n].title,
        key=f"kind.{_scope(workspace, begun)}",
        persist_state="session",
        help=None if clustered else "Generalised long tails need clusters: cluster first",
    )
    head.caption(kinds.RECIPES[name].about)
    return kinds.RECIPES[name]


def _scope(workspace: Workspace, begun: Mapping[str, Any]) -> str:
    return f"{begun['begun']}.{workspace.key}"


def _asked(workspace: Workspace, kind: Kind, begun: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe as its fields have it.

    Raises:
        CurationError: it cannot be.
    """
    scope = _scope(workspace, begun)
    clusters = None
    if kind.clustered:
        found = workspace.cluster_names()
        clusters = found[0] if len(found) == 1 else st.selectbox("Clustering", found, key="split_clusters")
    told = begun["parameters"] if begun["kind"] == kind.name else {}

    fits: dict[str, dict[str, Any]] = {}  # every field asks, and the answer changes with two of them alone

    def start(values: Mapping[str, Any]) -> dict[str, Any]:
        known = {key: values[key] for key in ("attributes", "inter") if key in values}
        if (asked := json.dumps(known)) not in fits:
            fits[asked] = _fit(workspace, kind, clusters, known)
        return fits[asked] | told

    values, problem = recipe_form.form(workspace, kind, start, scope)
    hidden = {key: value for key, value in told.items() if key not in values and key != "fit"}
    duplicates = "decided"
    if not kind.clustered:
        duplicates = st.selectbox(
            "Near duplicates",
            DUPLICATES,
            format_func=DUPLICATE_WORDS.get,
            key=f"duplicates.{scope}",
            persist_state="session",
        )
    if problem is not None:
        raise problem
    parameters = class_names.named(workspace, kind.settings.from_dict({**hidden, **values}))
    document = {"kind": kind.name, "parameters": parameters.changed(), "clusters": clusters, "duplicates": duplicates}
    return {key: value for key, value in document.items() if value is not None}


def _fit(workspace: Workspace, kind: Kind, clusters: str | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """First values that fit the data, where they are other than the recipe's."""
    if clusters is not None:
        fit = _suggested(tables.by_cell(workspace, clusters).counts, values.get("inter", "lt"))
        return {"per_cell": fit.per_cell, "val_per_cell": fit.val_per_cell, "policy": fit.policy}
    if kind.suggest is None:
        return {}
    try:
        settings = kind.settings.from_dict(values)
        found = kind.suggest(tables.by_class(workspace, kind, settings, "decided").counts, settings)
    except CurationError:  # the preview says what is missing
        return {}
    return found.changed()


@st.cache_data(max_entries=32, show_spinner=False)
def _suggested(counts: np.ndarray, inter: str) -> Parameters:
    return suggest(counts, Parameters(inter=inter))


# -- what it would contain -------------------------------------------------------------------------------------------


def _planned(workspace: Workspace, document: Mapping[str, Any]) -> tuple[Contents, float | None]:
    """What a recipe would make, and how many pairs would leak; None where that cannot be told beforehand.

    Raises:
        CurationError: it cannot be made.
    """
    kind = kinds.RECIPES[document["kind"]]
    settings = kind.settings.from_dict(document["parameters"])
    if kind.plan is None:
        return _of_cells(workspace, document["clusters"], settings)
    counts, out, pairs = tables.by_class(workspace, kind, settings, document["duplicates"])
    planned = kind.plan(counts, settings)
    # Images of a given split are where they are: nothing is drawn that could be expected.
    leaks = None if pairs is None or counts.base else planned_leaks(pairs, counts, planned).total
    return split_preview.of_classes(counts, planned, out), leaks


def _of_cells(workspace: Workspace, clusters: str, p: Parameters) -> tuple[Contents, float | None]:
    names, counts, out, pairs = tables.by_cell(workspace, clusters, p.attributes)
    if p.mode == "legacy":
        return tables.legacy_contents(workspace, clusters, p), None
    planned = plan(counts, p, names=names)
    contents = split_preview.of_cells(names, counts, planned, out)
    if pairs is None:
        return contents, None
    label = np.full(len(names), -1, np.int64)
    label[planned.order] = np.arange(len(planned.order))
    sizes = contents.counts.sum(2), contents.source.sum(1)
    return contents, float(straddling(label[pairs.cls], label[pairs.other_cls], pairs.probability, *sizes).sum())


def _told(workspace: Workspace, kind: Kind, document: Mapping[str, Any] | None, error: CurationError) -> None:
    """Why a recipe cannot be made, and which classes are short of what."""
    if document is not None and (needed := recipe_form.unfilled(kind, document["parameters"])):
        st.info(needed)
    elif isinstance(error, TooFew):
        st.warning("Some classes have too few images. Ask for fewer, or choose another answer to *A class too small*.")
        split_preview.shortfalls(error.plan.shortfalls)
    elif isinstance(error, Infeasible) and document:
        st.warning(recipe_form.told(error, kind) + ". Lower the images a cell, or choose what happens to such a class.")
        split_preview.shortfalls(_cells(error, tables.by_cell(workspace, document["clusters"]).names))
    else:
        st.error(recipe_form.told(error, kind))


def _cells(error: Infeasible, names: list[str]) -> list[Shortfall]:
    """The cells that are short."""
    rows = (row for row in error.table.to_pylist() if row["short"] > 0)
    return [
        Shortfall(
            "all classes" if row["class_index"] is None else names[row["class_index"]],
            "all" if row["attribute"] is None else f"attribute {row['attribute']}",
            row["need"],
            row["have"],
            row["what"],
        )
        for row in rows
    ]


# -- where a recipe comes from, and where it goes ----------------------------------------------------------------------


def begin(document: Mapping[str, Any], name: str | None = None) -> None:
    """Put a recipe into the fields, to be saved as `name`."""
    begun = st.session_state.get("design", {"begun": 0})["begun"] + 1
    st.session_state["design"] = {
        "kind": document["kind"],
        "parameters": dict(document.get("parameters", {})),
        "name": name,
        "begun": begun,
    }
    st.session_state["design_view"] = VIEWS[0]


def _recipe(document: Mapping[str, Any] | None) -> None:
    """The recipe as a document, to keep or to drop in."""
    dropped = st.file_uploader("Drop in a recipe", type="json", help="recipe.json of a split, or a manifest.json")
    if dropped is not None:
        try:
            read = documents.checked(json.loads(dropped.getvalue()), dropped.name)
            name = recipes.revision_of(read["name"])[0] if isinstance(read.get("name"), str) else None
            st.button(f"Use {frame.plain(dropped.name)}", type="primary", on_click=begin, args=(read, name))
        except (ValueError, RecursionError) as error:
            st.error(frame.plain(f"{dropped.name} is no JSON file: {frame.shorten(str(error), 200)}"))
        except CurationError as error:
            st.error(frame.plain(frame.shorten(str(error), 400)))
    if document is not None:
        download(document, document["kind"])


def download(document: Mapping[str, Any], name: str) -> None:
    """A recipe to read and to keep."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    st.download_button("Download this recipe", text, file_name=f"{name}.json", mime="application/json")
    st.code(text, language="json")


def save(workspace: Workspace, kind: Kind, document: Mapping[str, Any] | None, begun: Mapping[str, Any]) -> None:
    """The primary button: make it as a job, under a name, or as the next revision of one."""
    inter = document["parameters"].get("inter", "lt") if document and kind.name == "glt" else ""
    usual = begun["name"] if begun["kind"] == kind.name and begun["name"] else f"{kind.name}-{inter}".strip("-")
    name = st.text_input("Name", usual, key=f"save.{usual}.{_scope(workspace, begun)}", persist_state="session")
    place = None
    try:
        place = recipes.free_name(workspace, files.check_name(name, "the name"))
        if place != name:
            st.caption(f"Saved as revision {recipes.revision_of(place)[1]}: {frame.plain(place)}")
    except CurationError as error:
        st.caption(frame.plain(str(error)) if name else "Give it a name")
    st.button(
        "Save split",
        type="primary",
        width="stretch",
        disabled=place is None or document is None or frame.busy(workspace, "split"),
        help=None if document else "It cannot be made yet: the page says why",
        on_click=_save,
        args=(workspace, name, place, document),
    )


def _save(workspace: Workspace, name: str, place: str, document: Mapping[str, Any]) -> None:
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    # As a file: a list of classes may be longer than an argument can be.
    path = workspace.path / "jobs" / "recipes" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    files.write_json(path, document)
    frame.start_job(workspace, "split", name=name, recipe=path)
    st.session_state["split_wanted"] = place
