"""Fields of a recipe's parameters, drawn from what the parameters say of themselves."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from curation.errors import ArgumentError, CurationError
from curation.splits.carving import Carving
from curation.splits.kind import Kind
from curation.ui import frame, tables
from curation.workspace import Workspace

# Where a slider ends; it goes on to a value that starts beyond.
_SLIDERS = {
    "per_cell": 50,
    "val_per_cell": 50,
    "imbalance": 500,
    "power": 12,
    "k": 50,
    "cap": 1.0,
}
_CARVING = {field.name for field in dataclasses.fields(Carving)}
_SHARES = ("0.05", "0.1", "0.2", "10", "20", "50")
_NONE = "none"
_NEEDED = ("attributes", "base", "match", "file")
_MOST = 2**53 - 1  # what a browser can count to
# What an empty field means; "none" where nothing else is said.
_EMPTY: dict[str | tuple[str, str], str] = {
    "classes": "all",
    "class_order": "none",
    "weights": "as usual",
    "attributes": "as clustered",
    "class_size": "145 at most",
    "train": "the rest",
    ("k-shot", "test"): "see where the rest goes",
    "size": "as the smallest class",
    "largest": "the largest there is",
    "smallest": "by the imbalance factor",
    "keep": "all",
    "at_most": "no limit",
    "most": "no limit",
    ("glt-multi", "test"): "as published",
    ("glt-multi", "val"): "as published",
}
_KEPT: dict[str, Any] = {"persist_state": "session"}


def form(
    workspace: Workspace, kind: Kind, start: Callable[[Mapping[str, Any]], Mapping[str, Any]], scope: str
) -> tuple[dict[str, Any], ArgumentError | None]:
    """Draw a field for every parameter that counts; the rare ones under *More*.

    Args:
        workspace: whose splits, features and source splits are offered.
        kind: of the recipe.
        start: first values, from those chosen so far.
        scope: part of the fields' keys; another one begins anew.

    Returns:
        Values of the parameters that were drawn, as JSON has them; and what is wrong with a field that cannot be read.
    """
    fields = sorted((f for f in dataclasses.fields(kind.settings) if f.metadata.get("label")), key=_common)
    values: dict[str, Any] = {}
    problems: list[ArgumentError] = []

    def draw(field: Any) -> None:
        try:
            _draw(workspace, kind, field, start, values, scope)
        except ArgumentError as error:
            problems.append(error)

    for field in (f for f in fields if not f.metadata["rare"]):
        draw(field)
    rare = [f for f in fields if f.metadata["rare"]]
    if rare:
        with st.expander("More"):
            for field in rare:
                draw(field)
    return values, problems[0] if problems else None


def _common(field: Any) -> int:
    """What makes a recipe what it is comes first; then what all have, and what depends on that."""
    return int(field.name in _CARVING) + 2 * bool(_CARVING & {*field.metadata["when"]} - {"frequency"})


def _draw(workspace: Workspace, kind: Kind, field: Any, start: Callable, values: dict[str, Any], scope: str) -> None:
    first = start(values)
    if any(values.get(key, _usual(kind, key)) not in options for key, options in field.metadata["when"].items()):
        return
    usual = first.get(field.name, _usual(kind, field.name))
    # Another first value is another field, so that what fits is offered again when the rest changes.
    known = {"label": field.metadata["label"], "help": field.metadata["help"] or None, **_KEPT}
    known["key"] = f"{kind.name}.{field.name}.{json.dumps(usual)}.{scope}"
    values[field.name] = _value(workspace, kind, field, usual, known)


def _usual(kind: Kind, name: str) -> Any:
    return kind.settings().to_dict()[name]


def _value(workspace: Workspace, kind: Kind, field: Any, usual: Any, known: dict[str, Any]) -> Any:
    annotation = str(field.type)
    empty = _EMPTY.get((kind.name, field.name)) or _EMPTY.get(field.name, "none")
    if field.metadata["choices"]:
        words = field.metadata["choices"]
        place = list(words).index(usual) if usual in words else 0
        return st.selectbox(options=list(words), index=place, format_func=lambda c: words[c], **known)
    if field.name in ("base", "match", "features", "pool"):
        return _named(workspace, field.name, usual, known)
    if annotation == "bool":
        return st.toggle(value=usual, **known)
    if annotation.startswith("Share"):
        return _share(workspace, usual, empty, known)
    if annotation.startswith(("int", "float")):
        return _number(field, annotation, usual, empty, known)
    if annotation.startswith("tuple"):
        return _list(field, annotation, usual, empty, known)
    return st.text_input(value=usual or "", **known)


def _number(field: Any, annotation: str, usual: Any, empty: str, known: dict[str, Any]) -> Any:
    whole = annotation.startswith("int")
    cast = int if whole else float
    least = cast(field.metadata["least"] or 0)
    if field.name in _SLIDERS and usual is not None:
        most = max(cast(_SLIDERS[field.name]), cast(usual))
        step = 1 if whole else 0.05 if most <= 1 else 0.5 if most <= 20 else 1.0
        shown = None if whole else "%g"
        return st.slider(min_value=least, max_value=most, value=cast(usual), step=cast(step), format=shown, **known)
    most = cast(min(field.metadata["most"] or _MOST, _MOST))
    value = None if usual is None else cast(usual)
    return st.number_input(min_value=least, max_value=most, value=value, placeholder=empty, **known)


def _share(workspace: Workspace, usual: Any, empty: str, known: dict[str, Any]) -> Any:
    """A share, a number or a source split; others can be typed."""
    sources = [f"source:{name}" for name in tables.source_splits(workspace)]
    text = _NONE if usual in (None, 0) else usual if isinstance(usual, str) else _text(usual)
    options = list(dict.fromkeys([text, *_SHARES, *sources, _NONE]))
    words = {_NONE: empty}
    chosen = st.selectbox(
        options=options, accept_new_options=True, format_func=lambda o: words.get(o) or _share_words(o), **known
    )
    if chosen is None or chosen == _NONE:
        return None
    try:
        return float(chosen)
    except ValueError:
        return chosen


def _share_words(text: str) -> str:
    if text.startswith("source:"):
        return f"all of the source split {text[7:]}"
    try:
        number = float(text)
    except ValueError:
        return text
    return f"{number:.0%} of each class" if 0 < number < 1 else f"{number:,.0f} images a class"


def _named(workspace: Workspace, name: str, usual: str, known: dict[str, Any]) -> str:
    """A split, feature set or source split of the workspace; a file can be typed where one may be matched."""
    there = {
        "base": workspace.split_names,
        "match": lambda: [*workspace.split_names(), ""],
        "features": workspace.feature_names,
        "pool": lambda: ["", *tables.source_splits(workspace)],
    }[name]()
    options = list(dict.fromkeys([*([usual] if usual else []), *there])) or [""]
    words = {"": "all others" if name == "pool" else "none"}
    chosen = st.selectbox(
        options=options, accept_new_options=name == "match", format_func=lambda o: words.get(o, o), **known
    )
    return chosen or ""


def _list(field: Any, annotation: str, usual: Any, empty: str, known: dict[str, Any]) -> Any:
    if "str" in annotation:
        text = st.text_area(value="\n".join(usual or ()), placeholder=f"{empty}, or one a line", height=100, **known)
        return [line.strip() for line in text.splitlines() if line.strip()]
    text = st.text_input(value=", ".join(_text(number) for number in usual or ()), placeholder=empty, **known)
    if not text.strip():
        return None if annotation.endswith("None") else list(usual or ())
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ArgumentError(
            f"{field.metadata['label']}: {text!r} is not numbers with commas between them, such as 7, 2, 1"
        ) from None


def _text(number: float) -> str:
    """A number in all its digits."""
    return repr(int(number) if number == int(number) else float(number))


def labels(kind: Kind) -> dict[str, str]:
    """What a page calls the parameters of a kind, by name."""
    return {f.name: f.metadata["label"] for f in dataclasses.fields(kind.settings) if f.metadata.get("label")}


def unfilled(kind: Kind, values: Mapping[str, Any]) -> str:
    """What a recipe that is made from a table or a split still needs to be told; '' when it has one."""
    fields = [f for f in dataclasses.fields(kind.settings) if f.metadata.get("reads") and f.name in _NEEDED]
    if not kind.counted or not fields or any(values.get(f.name) for f in fields):
        return ""
    asked = " or ".join(f"*{f.metadata['label']}*" for f in fields)
    return f"Fill in {asked} on the left: {fields[0].metadata['help'][0].lower()}{fields[0].metadata['help'][1:]}."


def told(error: CurationError, kind: Kind) -> str:
    """An error in a page's words: parameters by their labels."""
    text = str(error).splitlines()[0]
    called = labels(kind)
    too_small = repr(called.get("policy", "policy"))
    text = re.sub(r"\bset policy=[^.;]*", f"choose another answer to {too_small}", text)
    for name, label in called.items():
        text = re.sub(rf"\bset {name}(=[A-Z]+)?\b", f"fill in {label!r}", text)
        text = re.sub(rf"(^|: |; ){name} (?=(is|are|has|lists|names) )", rf"\g<1>{label!r} ", text)
    return frame.plain(frame.shorten(text, 600))
