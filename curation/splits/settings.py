"""Parameters of a recipe: typed, checked, read from JSON, and described for pages and documentation."""

from __future__ import annotations

import dataclasses
import difflib
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from curation.errors import ArgumentError

Share = str | float | None
"""Images of a split: below 1 a share of each class, from 1 a number a class, `source:NAME` all of a source split."""

MOST = 1_000_000
_WANTED = {
    "str": "a text",
    "int": "a whole number",
    "float": "a finite number",
    "bool": "true or false",
    "Share": "a number or source:NAME",
    "Mapping": "a table of class names",
    "tuple": "a list",
}


def option(
    default: Any,
    label: str = "",
    help: str = "",
    *,
    choices: Sequence[str] | Mapping[str, str] = (),
    least: float | None = None,
    most: float | None = None,
    when: Mapping[str, Sequence[Any]] | None = None,
    rare: bool = False,
    reads: bool = False,
    table: str = "",
) -> Any:
    """A field of `Settings`.

    Args:
        default: its value unless told; a dict or list is copied for every recipe.
        label: what a page calls it; the page leaves it out when ''.
        help: one line on what it does.
        choices: the values that a text may have, or these and what a page calls them.
        least, most: bounds of a number, both included.
        when: other parameters, and values of theirs for which this one counts.
        rare: shown under *More*.
        reads: the recipe's input tables depend on it.
        table: it names a file, of which this table of `Inputs` is made.
    """
    words = dict(choices) if isinstance(choices, Mapping) else {choice: choice for choice in choices}
    known = {"label": label, "help": help, "choices": words, "least": least, "most": most}
    known |= {"when": dict(when or {}), "rare": rare, "reads": reads or bool(table), "table": table}
    if isinstance(default, dict | list):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=known)
    return dataclasses.field(default=default, metadata=known)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the parameters of all recipes have in common."""

    KIND: ClassVar[str] = ""
    CLASS_LISTS: ClassVar[tuple[str, ...]] = ()  # parameters that list classes

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _bounded(field.name, getattr(self, field.name), field.metadata)
        self.check()

    def check(self) -> None:
        """Raises ArgumentError when parameters do not go together; for subclasses."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Parameters from a recipe's JSON or the command line.

        Raises:
            ArgumentError: a key is unknown, or a value has the wrong type or cannot work; names key and both numbers.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
                raise ArgumentError(f"unknown parameter {key!r} of recipe {cls.KIND!r}: {hint}")
        return cls(**{key: _typed(key, str(known[key].type), value) for key, value in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Every parameter as JSON has it; `from_dict` reads it back."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {k: list(v) if isinstance(v, tuple) else dict(v) if isinstance(v, Mapping) else v
                for k, v in found.items()}  # fmt: skip

    def replace(self, **changes: Any) -> Self:
        """A copy with some parameters changed, checked again."""
        return type(self).from_dict(self.to_dict() | changes)

    def named(self, resolve: Callable[[Sequence[str]], list[str]]) -> Self:
        """The same with the classes that it lists called by the names that `resolve` has for them."""
        lists = {key: list(getattr(self, key)) for key in self.CLASS_LISTS}
        changes = {key: names for key, told in lists.items() if (names := resolve(told)) != told}
        return self.replace(**changes) if changes else self

    def files(self) -> dict[str, tuple[str, str]]:
        """Files that parameters name: {parameter: (file, table of `Inputs` that is made of it)}."""
        tables = {f.name: f.metadata["table"] for f in dataclasses.fields(self) if f.metadata.get("table")}
        return {key: (getattr(self, key), table) for key, table in tables.items() if getattr(self, key)}

    def counts(self, key: str) -> bool:
        """Whether a parameter has a say, the others being as they are."""
        when = next(field.metadata.get("when", {}) for field in dataclasses.fields(self) if field.name == key)
        return all(getattr(self, other) in values for other, values in when.items())

    def changed(self) -> dict[str, Any]:
        """The parameters that are not as by default."""
        usual = type(self)().to_dict()
        return {key: value for key, value in self.to_dict().items() if value != usual[key]}


def check_share(key: str, value: Share) -> None:
    """Raises ArgumentError when a value is no `Share`."""
    if value is None or (isinstance(value, str) and value.startswith("source:") and len(value) > 7):
        return
    if isinstance(value, str) or not (0 <= value < 1 or (1 <= value <= MOST and value == int(value))):
        raise ArgumentError(
            f"{key} is {value!r}: give a share below 1, a whole number of images a class up to {MOST:,}, or "
            "source:NAME for all images of a source split"
        )


def check_groups(fractions: Sequence[float], thresholds: Sequence[float] | None = None) -> None:
    """Raises ArgumentError when shares or numbers cannot be where medium and tail begin."""
    for key, values in (("fractions", fractions), ("thresholds", thresholds)):
        if values is not None and len(values) != 2:
            raise ArgumentError(f"{key} has {len(values)} entries, and must have 2")
    if not 0 <= fractions[0] <= fractions[1] <= 1:
        raise ArgumentError(f"fractions are {list(fractions)}: they must rise from 0 to 1")
    # Head above 19 and tail below 20 leave no whole number without a group.
    if thresholds is not None and thresholds[0] < thresholds[1] - 1:
        raise ArgumentError(f"thresholds are {list(thresholds)}: the first must not be below the second")


def is_list(kind: type[Settings], key: str, *, of: str = "") -> bool:
    """Whether a parameter is a list (of `str`, `int` or `float`)."""
    return any(f.name == key and str(f.type).startswith(f"tuple[{of}") for f in dataclasses.fields(kind))


def _bounded(key: str, value: Any, known: Mapping[str, Any]) -> None:
    if value is None or not known:
        return
    if known["choices"] and value not in known["choices"]:
        raise ArgumentError(f"{key} is {value!r}: choose one of {', '.join(known['choices'])}")
    if isinstance(value, str | Sequence | Mapping):
        return
    if known["least"] is not None and not (value >= known["least"] and math.isfinite(value)):
        raise ArgumentError(f"{key} is {value}, and must be at least {known['least']}")
    if known["most"] is not None and value > known["most"]:
        raise ArgumentError(f"{key} is {value:,}, and may be {known['most']:,} at most")


def _typed(key: str, annotation: str, value: Any) -> Any:
    """The value as the field has it, so that 20 passes for 20.0 but '20' and true do not."""
    if value is None and (annotation.endswith("| None") or annotation == "Share"):
        return None
    kind = annotation.removesuffix(" | None")
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if kind in ("str", "Share") and isinstance(value, str):
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "int" and number and value == int(value):
        return int(value)
    if kind in ("float", "Share") and number:
        return float(value)
    if kind.startswith("tuple") and isinstance(value, Sequence) and not isinstance(value, str):
        inner = next(word for word in ("str", "int", "float") if word in kind)
        return tuple(_typed(f"{key}[{i}]", inner, entry) for i, entry in enumerate(value))
    if kind.startswith("Mapping") and isinstance(value, Mapping):
        return {str(name): _typed(f"{key}[{name}]", "int", entry) for name, entry in value.items()}
    wanted = next(words for word, words in _WANTED.items() if kind.startswith(word))
    huge = isinstance(value, int) and value.bit_length() > 1024
    said = "a number of hundreds of digits" if huge else f"{value!r} ({type(value).__name__})"
    raise ArgumentError(f"{key} is {said}, and must be {wanted}")
