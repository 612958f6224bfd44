"""Recipes as people give them: by name, as a file, as `key=value` in a shell."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.splits import glt_kind, subset
from curation.splits.kind import Kind
from curation.splits.kinds import RECIPES, kind_of
from curation.splits.presets import PRESETS
from curation.splits.settings import is_list

FOLDER = "_folder"
"""Key of a document from a file: the folder of the tables that the recipe was made from."""

# What a person may write, and what else recipe.json has.
_KEYS = {"kind": str, "parameters": dict, "inputs": dict, "clusters": str, "duplicates": str, "seed": int}
_TOLD = ("name", "revision", "ledger_position", "made_from", "tool")


def document(recipe: str) -> dict[str, Any]:
    """A recipe by its kind, by the name of a published preset, or from a JSON file.

    From a file that lies beside stored tables it has the key FOLDER besides.

    Raises:
        ArgumentError: there is none of that name.
        CurationError: the file holds no recipe; names the key.
    """
    if recipe in RECIPES:
        return {"kind": recipe, "parameters": {}}
    if recipe in PRESETS:
        return {"kind": PRESETS[recipe].recipe, "parameters": dict(PRESETS[recipe].parameters)}
    if Path(recipe).suffix == ".json":
        found = checked(files.read_json(recipe), recipe)
        beside = (Path(recipe).parent, Path(recipe).parent / "inputs")  # of a split, of an export
        folder = next((str(f) for f in beside if (f / "images.parquet").is_file()), None)
        return found if folder is None else found | {FOLDER: folder}
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
    _check_keys(content, what)
    content = _seeded(content, what)
    parameters = {key: value for key, value in content.get("parameters", {}).items() if key != "fit"}
    kind_of(content["kind"]).settings.from_dict(parameters)
    return content


def is_file(text: str) -> bool:
    """Whether a text is the path of a file; it may be any text."""
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # longer than a path may be, or with a null byte
        return False


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


# -- below: keys of a document ---------------------------------------------------------------------------------------


def _check_keys(content: Mapping[str, Any], what: str) -> None:
    """Raises CurationError when a document has no kind, a key that no recipe has, or a value of another type."""
    for key in content:
        if key not in (*_KEYS, *_TOLD):
            near = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"parameters go under 'parameters'; others are {_known()}"
            raise CurationError(f"{what} has the key {key!r}, which no recipe has: {hint}")
    for key, wanted in _KEYS.items():
        value = content.get(key)
        missing = value is None and (key == "kind" or key in content)
        if missing or (value is not None and (not isinstance(value, wanted) or isinstance(value, bool))):
            raise CurationError(f"{what} is no recipe: key {key!r} is missing or not a {wanted.__name__}")


def _known() -> str:
    return ", ".join(key for key in _KEYS if key != "parameters")


def _seeded(content: dict[str, Any], what: str) -> dict[str, Any]:
    """The document with a seed that stands beside the parameters among them."""
    if "seed" not in content:
        return content
    parameters, seed = content.get("parameters", {}), content["seed"]
    if parameters.get("seed", seed) != seed:
        raise ArgumentError(f"{what} has seed {seed}, and {parameters['seed']} among its parameters: keep one")
    rest = {key: value for key, value in content.items() if key != "seed"}
    return rest | {"parameters": {**parameters, "seed": seed}}


# -- below: values in a shell ------------------------------------------------------------------------------------------


def _listed(kind: Kind, key: str, text: str) -> Any:
    if text.startswith("["):
        return _value(text)
    lone = "," not in text
    if lone and is_file(text):
        parts = subset.read_classes(text)
    elif lone and (text.endswith(".txt") or len(Path(text).parts) > 1):
        raise ArgumentError(f"{key}: there is no file {text[:200]!r}; an entry of that name is given as '[\"...\"]'")
    else:
        parts = [part.strip() for part in text.split(",")]
    texts = is_list(kind.settings, key, of="str")
    return [part for part in parts if part] if texts else [_value(part) for part in parts]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"--set: {text[:60]!r}… cannot be read: {error}") from None
