"""The kinds of recipe by name."""

from __future__ import annotations

from typing import Any

from curation.errors import ArgumentError
from curation.splits import (
    chosen,
    even,
    glt_kind,
    long_tailed,
    match_histogram,
    mini_imagenet_lt,
    multi_attribute,
    subset,
    trim_tail,
)
from curation.splits.kind import Kind

RECIPES: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        glt_kind.KIND,
        multi_attribute.KIND,
        long_tailed.KIND,
        mini_imagenet_lt.KIND,
        subset.KIND,
        even.STRATIFIED,
        even.BALANCED,
        even.K_SHOT,
        chosen.DIVERSE,
        chosen.HARD,
        chosen.TYPICAL,
        trim_tail.KIND,
        match_histogram.KIND,
    )
}


def kind_of(name: Any) -> Kind:
    """A kind of recipe by name.

    Raises:
        ArgumentError: there is none of that name.
    """
    if name not in RECIPES:
        raise ArgumentError(f"unknown recipe {name!r}: choose one of {', '.join(RECIPES)}, or give a file")
    return RECIPES[name]
