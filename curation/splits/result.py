"""What a recipe gives: a split table, the images left out with their reasons, and counts that add up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.exclusions import EXCLUSIONS
from curation.workspace import SPLIT

Reasons = tuple[np.ndarray, str | Sequence[str]]
"""Image ids with one reason for all of them, or with a reason each."""


@dataclass(frozen=True)
class Result:
    """`split` (schema SPLIT), `left_out` (schema EXCLUSIONS, by image id) and a report that JSON can hold."""

    split: pa.Table
    left_out: pa.Table
    report: dict[str, Any]


def coded(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """The words of a column of texts, and which of them each row has, int64 (N,)."""
    column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    words = column.unify_dictionaries().combine_chunks()
    return words.dictionary.to_pylist(), words.indices.to_numpy().astype(np.int64)


def listed(*groups: Reasons) -> pa.Table:
    """Images with the reason why they are in no split, schema EXCLUSIONS, in the order of ids."""
    ids = np.concatenate([np.asarray(g[0], np.int64) for g in groups])
    reasons = pa.chunked_array(
        [pa.repeat(r, len(i)) if isinstance(r, str) else pa.array(r, pa.string()) for i, r in groups], pa.string()
    )
    order = np.argsort(ids, kind="stable")
    return pa.table({"image_id": ids[order], "reason": reasons.take(pa.array(order))}).cast(EXCLUSIONS)


def split_table(codes: np.ndarray, names: Sequence[str], columns: dict[str, np.ndarray | None]) -> pa.Table:
    """A table of the schema SPLIT from split numbers, their names and the other columns; null where one is None."""
    split = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(list(names), pa.string()))
    arrays: dict[str, Any] = {"split": split}
    for name in SPLIT.names[:1] + SPLIT.names[2:]:
        values, kind = columns.get(name), SPLIT.field(name).type
        arrays[name] = pa.nulls(len(codes), kind) if values is None else pa.array(values).cast(kind)
    return pa.table(arrays).select(SPLIT.names).cast(SPLIT)


def reason_kind(reason: str) -> str:
    """The part of a reason before its detail: what the funnel counts."""
    reason = re.sub(r" of .+ in reference set ", " in reference set ", reason, count=1)
    return re.split(r":| of image | \(", reason, maxsplit=1)[0]


def funnel(images: int, split: pa.Table, left_out: pa.Table, names: Sequence[str]) -> dict[str, Any]:
    """Counts that add up: images = left out (by kind of reason) + in splits (by split)."""
    by_split = {entry["values"]: entry["counts"] for entry in pc.value_counts(split["split"]).to_pylist()}
    kinds: dict[str, int] = {}
    for entry in pc.value_counts(left_out["reason"]).to_pylist():
        kind = reason_kind(entry["values"])
        kinds[kind] = kinds.get(kind, 0) + entry["counts"]
    return {
        "images": images,
        "left_out": {kind: kinds[kind] for kind in sorted(kinds)},
        "splits": {name: by_split.get(name, 0) for name in names},
    }
