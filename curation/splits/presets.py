"""Published data sets as recipes, each with its reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """A published recipe: `recipe` is its kind; `reference` says where it was published."""

    name: str
    title: str
    recipe: str
    parameters: Mapping[str, Any]
    reference: str
    about: str


PRESETS: dict[str, Preset] = {}
