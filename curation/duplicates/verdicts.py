"""The queue of pairs that people work through, and what they have decided so far."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from curation import exclusions
from curation.duplicates.rule import DECISIONS
from curation.errors import ArgumentError
from curation.workspace import PAIRS, Workspace

ORDERS = ("uncertain", "closest")
VERDICTS = ("duplicate", "related", "different", "unsure")


def queue(
    workspace: Workspace,
    *,
    order: str = "uncertain",
    decided: bool = False,
    between_splits: bool = False,
    class_name: str | None = None,
    decisions: tuple[str, ...] = DECISIONS,
    until: int | None = None,
) -> pa.Table:
    """Pairs to look at, those without a verdict first.

    Args:
        order: `uncertain`: closest to undecided first (probability nearest to 0.5); `closest`: most probable first.
            Ties go by image ids.
        decided: also pairs that have a verdict, after the others, the latest verdict first; those too that the last
            search did not find again.
        between_splits: only pairs between two splits of the source.
        class_name: only pairs with an image of this class.
        decisions: only pairs for which the rule decided one of these.
        until: take verdicts only to this position of the ledger.

    Returns:
        The columns of the pairs table, then class_a, class_b, split_a, split_b (words), verdict, reviewer and note
        (null where no person decided). Without rows when no search was made.

    Raises:
        ArgumentError: unknown order or decision.
        CurationError: the pairs or a verdict name images that the workspace does not have.
    """
    if order not in ORDERS:
        raise ArgumentError(f"unknown order {order!r}: choose one of {', '.join(ORDERS)}")
    if unknown := sorted(set(decisions) - set(DECISIONS)):
        raise ArgumentError(f"unknown decision {unknown[0]!r}: choose from {', '.join(DECISIONS)}")
    pairs = _joined(workspace, until)
    keep = pairs["decision"].isin(decisions) | pairs["decision"].isna()
    if not decided:
        keep &= pairs["verdict"].isna()
    pairs = _described(workspace, pairs[keep])
    if between_splits:
        pairs = pairs[pairs["split_a"] != pairs["split_b"]]
    if class_name is not None:
        pairs = pairs[(pairs["class_a"] == class_name) | (pairs["class_b"] == class_name)]
    pairs = pairs.iloc[_order(pairs, order)].drop(columns="position")
    return _table(pairs)


def counts(workspace: Workspace, *, until: int | None = None) -> dict[str, Any]:
    """How far people have come.

    Returns:
        pairs (of the last search), left (of them, without a verdict), decided (verdicts that stand), verdicts by
        kind, verdicts by reviewer, and overruled (verdicts that differ from what the rule decided).
    """
    pairs = _joined(workspace, until)
    said = pairs[pairs["verdict"].notna()]
    rule, person = said["decision"] == "duplicate", said["verdict"] == "duplicate"
    return {
        "pairs": int(pairs["decision"].notna().sum()),
        "left": int((pairs["decision"].notna() & pairs["verdict"].isna()).sum()),
        "decided": len(said),
        **{verdict: int((said["verdict"] == verdict).sum()) for verdict in VERDICTS},
        "overruled": int((rule != person).sum()),
        "by_reviewer": {str(name): int(n) for name, n in said["reviewer"].value_counts().sort_index().items()},
    }


def _joined(workspace: Workspace, until: int | None) -> pd.DataFrame:
    """Pairs of the table and pairs with a verdict, by image ids; nulls on the side that has none."""
    pairs = exclusions.read_pairs(workspace)
    said = exclusions.verdicts(workspace, until=until).drop(columns="event_id")
    return pairs.merge(said, how="outer", on=["image_a", "image_b"], sort=True)


def _described(workspace: Workspace, pairs: pd.DataFrame) -> pd.DataFrame:
    images = workspace.images(["class_name", "source_split"])
    words = {}
    for column, short in (("class_name", "class"), ("source_split", "split")):
        for side in "ab":
            taken = images[column].take(pa.array(pairs[f"image_{side}"].to_numpy()))
            words[f"{short}_{side}"] = taken.cast(pa.string()).to_pandas().to_numpy()
    return pairs.assign(**words)


def _order(pairs: pd.DataFrame, order: str) -> np.ndarray:
    chance = pairs["probability"].fillna(0.5).to_numpy(np.float64)
    near = np.abs(chance - 0.5) if order == "uncertain" else -chance
    latest = -pairs["position"].fillna(0).to_numpy(np.float64)
    return np.lexsort((pairs["image_b"], pairs["image_a"], near, latest, pairs["verdict"].notna()))


def _table(pairs: pd.DataFrame) -> pa.Table:
    text = {name: pa.string() for name in ("verdict", "reviewer", "note")}
    words = {name: pa.dictionary(pa.int32(), pa.string()) for name in ("class_a", "class_b", "split_a", "split_b")}
    types = {field.name: field.type for field in PAIRS} | words | text
    if not len(pairs):
        return pa.schema(types).empty_table()
    pairs = pairs.reindex(columns=list(types))
    columns = {}
    for name, kind in types.items():
        values = pairs[name].astype(object) if isinstance(pairs[name].dtype, pd.CategoricalDtype) else pairs[name]
        columns[name] = pa.array(values, from_pandas=True).cast(kind)
    return pa.table(columns)
