"""A kind of recipe: its parameters, the tables it takes, and how it plans and carves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from curation.splits.class_plan import ClassPlan, Counts
from curation.splits.inputs import Inputs
from curation.splits.result import Result
from curation.splits.settings import Settings
from curation.workspace import Workspace


def _nothing(_workspace: Workspace, _settings: Any, _inputs: Inputs) -> Mapping[str, pa.Table]:
    return {}


def _as_it_is(_inputs: Inputs, settings: Any) -> Any:
    return settings


@dataclass(frozen=True)
class Kind:
    """One kind of recipe.

    - `name`, `title`, `about`: as files, pages and help call it, and one line on what it makes.
    - `settings`: the class of its parameters.
    - `carve`: makes the split; a pure function of inputs and parameters.
    - `plan`: split sizes from counts alone, for previews; None for kinds with previews of their own.
    - `clustered`: whether it takes clusters; `counted`: whether its plan counts what `tables` makes.
    - `tables`: makes its other input tables (by name of `Inputs`' fields) from a workspace, or from files and splits
      that its parameters name; the inputs so far tell which images are excluded.
    - `fitted`: parameters that fit the data; `suggest`: the same from counts alone, where a preview begins with them.
    """

    name: str
    title: str
    about: str
    settings: type[Settings]
    carve: Callable[[Inputs, Any], Result]
    plan: Callable[[Counts, Any], ClassPlan] | None = None
    clustered: bool = False
    counted: bool = False
    tables: Callable[[Workspace, Any, Inputs], Mapping[str, pa.Table]] = _nothing
    fitted: Callable[[Inputs, Any], Any] = _as_it_is
    suggest: Callable[[Counts, Any], Any] | None = None

    def complete(self, workspace: Workspace, settings: Any, inputs: Inputs) -> Inputs:
        """The inputs with the other tables that recipes of this kind take."""
        return replace(inputs, **self.tables(workspace, settings, inputs))
