"""Designing a split: a recipe's parameters in the sidebar, what it would contain in the page, before it is saved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from curation import files
from curation.errors import CurationError
from curation.splits import class_names, documents, kinds, recipes
from curation.splits.class_plan import TooFew
from curation.splits.expected_leaks import planned_leaks, straddling
from curation.splits.inputs import DUPLICATES
from curation.splits.kind import Kind
from curation.splits.parameters import Parameters
from curation.splits.plan import Infeasible, plan, suggest
from curation.splits.presets import PRESETS
from curation.ui import frame, recipe_form, split_preview, tables
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
    with st.sidebar:
        place = st.container()  # in sight whatever the number of parameters
        document = _asked(workspace, place)
        with place:
            save(workspace, document)
    if view == "published":
        _published(workspace)
    elif view == "recipe":
        _recipe(workspace, document)
    elif document is not None:
        _preview(workspace, document)


def _asked(workspace: Workspace, head: DeltaGenerator) -> dict[str, Any] | None:
    """The recipe as its fields have it (its kind in `head`); None when it cannot be, which the page then says."""
    names = [k.name for k in kinds.RECIPES.values() if workspace.cluster_names() or not k.clustered]
    begun = st.session_state.get("design", {"kind": names[0], "parameters": {}, "begun": 0})
    scope = f"{begun['begun']}.{workspace.key}"
    first = names.index(begun["kind"]) if begun["kind"] in names else 0
    name = head.selectbox(
        "Recipe",
        names,
        index=first,
        format_func=lambda n: kinds.RECIPES[n].title,
        key=f"kind.{scope}",
        persist_state="session",
    )
    kind = kinds.RECIPES[name]
    head.caption(kind.about)
    clusters = None
    if kind.clustered:
        found = workspace.cluster_names()
        clusters = found[0] if len(found) == 1 else st.selectbox("Clustering", found, key="split_clusters")
    told = begun["parameters"] if begun["kind"] == name else {}

    def start(values: Mapping[str, Any]) -> dict[str, Any]:
        return {**_fit(workspace, kind, clusters, values), **told}

    values = recipe_form.form(workspace, kind, start, scope)
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
    try:
        parameters = class_names.named(workspace, kind.settings.from_dict({**hidden, **values}))
    except CurationError as error:
        st.error(recipe_form.told(error))
        return None
    found = {"kind": name, "parameters": parameters.changed(), "clusters": clusters, "duplicates": duplicates}
    return {key: value for key, value in found.items() if value is not None}


def _fit(workspace: Workspace, kind: Kind, clusters: str | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """First values that fit the data, where they are other than the recipe's."""
    if clusters is not None:
        fit = _suggested(tables.by_cell(workspace, clusters).counts, values.get("inter", "lt"))
        return {"per_cell": fit.per_cell, "val_per_cell": fit.val_per_cell, "policy": fit.policy}
    if kind.suggest is None:
        return {}
    try:
        settings = kind.settings.from_dict({k: v for k, v in values.items() if k in ("attributes", "inter")})
        found = kind.suggest(tables.by_class(workspace, kind, settings, "decided").counts, settings)
    except CurationError:  # the preview says what is missing
        return {}
    return {key: value for key, value in found.changed().items() if key not in values}


@st.cache_data(max_entries=32, show_spinner=False)
def _suggested(counts: np.ndarray, inter: str) -> Parameters:
    return suggest(counts, Parameters(inter=inter))


# -- what it would contain -------------------------------------------------------------------------------------------


def _preview(workspace: Workspace, document: Mapping[str, Any]) -> None:
    try:
        if document["kind"] == "glt":
            _of_cells(workspace, document)
        else:
            _of_classes(workspace, document)
    except Infeasible as error:
        _short(error, tables.by_cell(workspace, document["clusters"]).names)
    except TooFew as error:
        st.warning(recipe_form.told(error))
        split_preview.shortfalls(error.plan.shortfalls)
    except CurationError as error:
        st.error(recipe_form.told(error))


def _of_cells(workspace: Workspace, document: Mapping[str, Any]) -> None:
    names, counts, out, pairs = tables.by_cell(workspace, document["clusters"])
    parameters = Parameters.from_dict(document["parameters"])
    leaks = None
    if parameters.mode == "legacy":
        contents = tables.legacy_contents(workspace, document["clusters"], parameters)
    else:
        planned = plan(counts, parameters, names=names)
        contents = split_preview.of_cells(names, counts, planned, out)
        if pairs is not None:
            label = np.full(len(names) + 1, -1, np.int64)  # the last for images of no class
            label[planned.order] = np.arange(len(planned.order))
            sizes = contents.counts.sum(2), contents.source.sum(1)
            leaks = float(straddling(label[pairs[0]], label[pairs[1]], pairs[2], *sizes).sum())
    split_preview.draw(contents, leaks=leaks, key="preview")


def _of_classes(workspace: Workspace, document: Mapping[str, Any]) -> None:
    kind = kinds.RECIPES[document["kind"]]
    settings = kind.settings.from_dict(document["parameters"])
    counts, out, pairs = tables.by_class(workspace, kind, settings, document["duplicates"])
    planned = kind.plan(counts, settings)
    leaks = None if pairs is None else planned_leaks(pairs, counts, planned).total
    split_preview.draw(split_preview.of_classes(counts, planned, out), leaks=leaks, key="preview")


def _short(error: Infeasible, names: list[str]) -> None:
    """What is missing, cell by cell."""
    table = error.table.to_pandas()
    table = table[table["short"] > 0].sort_values("short", ascending=False)
    index = table["class_index"].astype("Int64").astype(object)
    words = ["all classes" if i is None else names[i] for i in index.where(index.notna(), None)]
    table.insert(0, "class", words)
    st.warning(
        frame.plain(str(error).splitlines()[0][:400])
        + ". Lower the images a cell, or choose what happens to a class too small."
    )
    table["attribute"] = table["attribute"].astype("Int64").astype(str).replace("<NA>", "all")
    st.dataframe(
        table.drop(columns="class_index"),
        hide_index=True,
        height=min(560, 38 + 35 * len(table)),
        column_config={"what": st.column_config.TextColumn("of", width="medium")},
    )


# -- where a recipe comes from, and where it goes ----------------------------------------------------------------------


def begin(document: Mapping[str, Any]) -> None:
    """Put a recipe into the fields."""
    begun = st.session_state.get("design", {"begun": 0})["begun"] + 1
    st.session_state["design"] = {
        "kind": document["kind"],
        "parameters": dict(document.get("parameters", {})),
        "begun": begun,
    }
    st.session_state["design_view"] = VIEWS[0]


def _published(workspace: Workspace) -> None:
    """The gallery of published presets."""
    for preset in PRESETS.values():
        kind = kinds.RECIPES.get(preset.recipe)
        with st.container(horizontal=True, vertical_alignment="center", key=f"preset_{preset.name}"):
            with st.container(gap="xxsmall"):
                st.markdown(f"**{frame.plain(preset.title)}** · {frame.plain(preset.about)}")
                st.caption(frame.plain(preset.reference))
            st.button(
                "Use",
                key=f"use_{preset.name}",
                disabled=kind is None or (kind.clustered and not workspace.cluster_names()),
                help="Cluster first: it takes attributes from clusters"
                if kind is not None and kind.clustered and not workspace.cluster_names()
                else None,
                on_click=begin,
                args=({"kind": preset.recipe, "parameters": dict(preset.parameters)},),
            )


def _recipe(workspace: Workspace, document: Mapping[str, Any] | None) -> None:
    """The recipe as a document, to keep or to drop in."""
    dropped = st.file_uploader("Drop in a recipe", type="json", help="recipe.json of a split, or a manifest.json")
    if dropped is not None:
        try:
            read = documents.checked(json.loads(dropped.getvalue()), dropped.name)
            st.button(f"Use {frame.plain(dropped.name)}", type="primary", on_click=begin, args=(read,))
        except (ValueError, CurationError) as error:
            st.error(frame.plain(frame.shorten(f"{dropped.name}: {error}", 400)))
    if document is not None:
        text = json.dumps(document, indent=2, ensure_ascii=False)
        st.download_button("Download this recipe", text, file_name=f"{document['kind']}.json", mime="application/json")
        st.code(text, language="json")


def save(workspace: Workspace, document: Mapping[str, Any] | None) -> None:
    """The primary button: make it as a job, under a name, or as the next revision of one."""
    kind = document["kind"] if document else "split"
    inter = document["parameters"].get("inter", "lt") if document and kind == "glt" else ""
    name = st.text_input("Name", f"{kind}-{inter}" if inter else kind, key=f"save_{kind}_{inter}")
    place = None
    try:
        place = recipes.free_name(workspace, files.check_name(name, "the name"))
        if place != name:
            st.caption(f"Saved as revision {recipes.revision_of(place)[1]}: {frame.plain(place)}")
    except CurationError as error:
        st.caption(frame.plain(str(error)))
    parameters = document["parameters"] if document else {}
    st.button(
        "Save split",
        type="primary",
        width="stretch",
        disabled=place is None or document is None or frame.busy(workspace, "split"),
        on_click=_save,
        args=(workspace, place),
        kwargs={
            "name": name,
            "recipe": kind,
            "clusters": document.get("clusters") if document else None,
            "duplicates": document.get("duplicates") if document else None,
            "set": [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in parameters.items()],
        },
    )


def _save(workspace: Workspace, place: str, **options: Any) -> None:
    frame.start_job(workspace, "split", **options)
    st.session_state["split_wanted"] = place
