"""The gallery of published data sets: what each is, where it was published, and what this workspace lacks for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from curation.errors import CurationError
from curation.splits import class_names, kinds
from curation.splits.presets import PRESETS, Preset
from curation.ui import frame, tables
from curation.workspace import Workspace


def show(workspace: Workspace, begin: Callable[[Mapping[str, Any], str], None]) -> None:
    """Draw the gallery; `begin` takes a recipe and the name to save it under."""
    before = None
    for preset in PRESETS.values():
        lacks = lacking(workspace, preset)
        with st.container(horizontal=True, vertical_alignment="center", key=f"preset_{preset.name}"):
            with st.container(gap="xxsmall"):
                st.markdown(f"**{frame.plain(preset.title)}** · {frame.plain(preset.about)}")
                if preset.reference != before:
                    st.caption(_linked(preset.reference))
                if lacks:
                    st.caption(f":orange[{frame.plain(lacks)}]")
            kind = kinds.RECIPES[preset.recipe]
            st.button(
                "Use",
                key=f"use_{preset.name}",
                disabled=kind.clustered and not workspace.cluster_names(),
                on_click=begin,
                args=({"kind": preset.recipe, "parameters": dict(preset.parameters)}, preset.name),
            )
        before = preset.reference


def lacking(workspace: Workspace, preset: Preset) -> str:
    """What the workspace does not have that a published data set takes; '' where it has all that can be told."""
    kind = kinds.RECIPES[preset.recipe]
    if kind.clustered and not workspace.cluster_names():
        return "Needs clusters: cluster first"
    missing = []
    there = tables.source_splits(workspace)
    for key in ("val", "test"):
        value = preset.parameters.get(key)
        if isinstance(value, str) and value.removeprefix("source:") not in there:
            missing.append(f"a source split {value.removeprefix('source:')}")
    if asked := preset.parameters.get("classes"):
        try:
            settings = class_names.named(workspace, kind.settings.from_dict(preset.parameters))
        except CurationError as error:
            return str(error)
        here = len({*settings.classes} & {*tables.class_names(workspace)})
        if here < len(asked):
            missing.append(f"its classes: {here} of {len(asked)} are here")
    if "attributes" in {*vars(kind.settings())} and kind.suggest is not None:
        missing.append("a table of attributes")
    return f"Needs {' and '.join(missing)}" if missing else ""


def _linked(reference: str) -> str:
    """A reference with its arXiv number and repository as links."""
    text = re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", reference)
    return re.sub(r"(?<![/\w])(github\.com/[\w.-]+/[\w.-]*\w)", r"[\1](https://\1)", text)
