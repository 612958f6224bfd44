"""Recipes as people give them: by name, as a file, as `key=value` in a shell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.splits import glt_kind, subset
from curation.splits.kind import Kind
from curation.splits.kinds import RECIPES, kind_of
from curation.splits.presets import PRESETS
from curation.splits.settings import is_list


def document(recipe: str) -> dict[str, Any]:
    """A recipe by its kind, by the name of a published preset, or from a JSON file.

    Raises:
        ArgumentError: there is none of that name.
        CurationError: the file holds no recipe; names the key.
    """
    if recipe in RECIPES:
        return {"kind": recipe, "parameters": {}}
    if recipe in PRESETS:
        return {"kind": PRESETS[recipe].recipe, "parameters": dict(PRESETS[recipe].parameters)}
    if Path(recipe).suffix == ".json":
        return checked(files.read_json(recipe), recipe)
    known = ", ".join([*RECIPES, *PRESETS])
    raise ArgumentError(f"unknown recipe {recipe!r}: choose one of {known}, or give a JSON file")


def checked(content: Any, what: str) -> dict[str, Any]:
    """A recipe from JSON: recipe.json of a split, the manifest of an export, or one of a person's own.

    Raises:
        ArgumentError: an unknown kind or parameter.
        CurationError: it is no recipe; names the key.
    """
    if isinstance(content, dict) and isinstance(content.get("recipe"), dict):
        content = content["recipe"]
    if not isinstance(content, dict):
        raise CurationError(
            f"{what} holds a {type(content).__name__}, and a recipe is an object with kind and parameters"
        )
    for key, wanted in (("kind", str), ("parameters", dict), ("inputs", dict)):
        if not isinstance(content.get(key, {} if wanted is dict else None), wanted):
            raise CurationError(f"{what} is no recipe: key {key!r} is missing or not a {wanted.__name__}")
    parameters = {key: value for key, value in content.get("parameters", {}).items() if key != "fit"}
    kind_of(content["kind"]).settings.from_dict(parameters)
    return content


def parse_settings(settings: Sequence[str], kind: Kind = glt_kind.KIND) -> dict[str, Any]:
    """`["per_cell=20", "weights=7,2,1"]` as parameters: JSON where it is JSON, lists by comma, else text.

    A list may also be the name of a text file with an entry a line; empty lines do not count.

    Raises:
        ArgumentError: an entry is not key=value, or a key is there twice.
    """
    found: dict[str, Any] = {}
    for entry in settings:
        key, equals, text = (part.strip() for part in entry.partition("="))
        if not equals or not key:
            raise ArgumentError(f"--set {entry!r} is not key=value, such as seed=25")
        if key in found:
            raise ArgumentError(f"--set says {key} twice: {found[key]!r} and {text!r}")
        found[key] = _listed(kind, key, text) if is_list(kind.settings, key) else _value(text)
    return found


# -- below: values in a shell ------------------------------------------------------------------------------------------


def _listed(kind: Kind, key: str, text: str) -> Any:
    if text.startswith("["):
        return _value(text)
    if "," not in text and Path(text).is_file():
        parts = subset.read_classes(text)
    else:
        parts = [part.strip() for part in text.split(",")]
    texts = is_list(kind.settings, key, of="str")
    return [part for part in parts if part] if texts else [_value(part) for part in parts]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
