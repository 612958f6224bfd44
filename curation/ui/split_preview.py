"""What a split contains, planned or made: totals, histograms beside the source's, a row a split, what is short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from curation.splits.class_plan import ClassPlan, Counts, Shortfall
from curation.splits.inputs import Inputs
from curation.splits.plan import SPLITS, Plan
from curation.splits.statistics import GROUPS, effective_number, entropy, gini, imbalance, statistics
from curation.ui import frame, split_charts

ABOUT = {
    "Imbalance": "Largest class of train over the smallest",
    "Ruled out": "By people, or near duplicates of an image that stays",
    "Left out": "Ruled out, not asked for, or to spare; see the view left out",
    "To spare": "More than the class sizes ask for, or of classes that are not asked for",
    "Leaks": "Pairs of near duplicates with their images in two splits, undecided ones by their probability",
}


@dataclass(frozen=True)
class Contents:
    """Counts of a split, in the order of labels.

    `counts` int64 (S, L, A) with A = 1 where there are no attributes; `source` int64 (L, A): images there are;
    `frequency` (L,): 0 head, 1 medium, 2 tail; `images`: of the workspace; `ruled_out` of them.
    """

    splits: tuple[str, ...]
    classes: list[str]
    counts: np.ndarray
    source: np.ndarray
    frequency: np.ndarray
    images: int
    ruled_out: int
    shortfalls: list[Shortfall] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def of(self, split: str) -> np.ndarray:
        """Images of every label in a split, int64 (L,)."""
        found = self.counts[self.splits.index(split)] if split in self.splits else np.zeros_like(self.source)
        return found.sum(1)

    @property
    def train(self) -> np.ndarray:
        """Images of every label in train, or in the first split where there is no train."""
        return self.of("train" if "train" in self.splits or not self.splits else self.splits[0])


def of_cells(names: list[str], counts: np.ndarray, planned: Plan, ruled_out: int) -> Contents:
    """Contents of a planned generalised long-tail split; counts (C, A) of all that there is."""
    short = [
        Shortfall(
            names[row],
            "each test cell",
            int(planned.per_cell.max()),
            int(size),
            f"its smallest attribute has {counts[row].min():,} images",
        )
        for row, size in zip(planned.order, planned.per_cell, strict=True)
        if size < planned.per_cell.max()
    ]
    return Contents(
        SPLITS,
        [names[row] for row in planned.order],
        planned.counts,
        counts[planned.order],
        planned.frequency,
        int(counts.sum()) + ruled_out,
        ruled_out,
        short,
        [names[row] for row in planned.dropped],
    )


def of_classes(counts: Counts, planned: ClassPlan, ruled_out: int) -> Contents:
    """Contents of a split planned by class."""
    return Contents(
        planned.splits,
        [counts.names[row] for row in planned.order],
        planned.counts[:, :, None],
        counts.available[planned.order].sum(1)[:, None],
        planned.frequency,
        int(counts.available.sum()) + ruled_out,
        ruled_out,
        planned.shortfalls,
        [counts.names[row] for row in planned.dropped],
    )


def of_table(table: pa.Table, classes: Sequence[str], inputs: Inputs) -> Contents:
    """Contents of a split that is made (schema SPLIT), with its class names by label and what it was made from."""
    found = statistics(table, classes=len(classes))
    label = table["label"].to_numpy()
    frequency = np.zeros(len(classes), np.int64)
    frequency[label] = table["frequency"].fill_null(0).to_numpy()
    counts = np.stack([np.array(entry.per_class_attribute) for entry in found.values()])
    if not counts.sum():  # no attributes
        counts = np.stack([np.array(entry.per_class)[:, None] for entry in found.values()])
    source = _source(inputs, classes, counts.shape[2])
    return Contents(tuple(found), list(classes), counts, source, frequency, len(inputs.images), len(inputs.excluded))


def _source(inputs: Inputs, classes: Sequence[str], attributes: int) -> np.ndarray:
    """Images of every label and attribute that were not excluded, int64 (L, A); of every label where A is 1."""
    rows = inputs.images if attributes == 1 or inputs.clusters is None else inputs.clusters
    kept = ~np.isin(rows["image_id"].to_numpy(), inputs.excluded["image_id"].to_numpy())
    label = pc.index_in(rows["class_name"].cast(pa.string()), pa.array(classes)).fill_null(-1).to_numpy()
    attribute = rows["attribute"].to_numpy() if rows is inputs.clusters else np.zeros(len(rows), np.int64)
    kept &= (label >= 0) & (attribute < attributes)
    cell = label[kept].astype(np.int64) * attributes + attribute[kept]
    return np.bincount(cell, minlength=len(classes) * attributes).reshape(-1, attributes)


def draw(contents: Contents, *, leaks: float | None, key: str, made: bool = False) -> None:
    """Totals, histograms and tables of a split."""
    inside = int(contents.counts.sum())
    facts = {"Images": f"{contents.images:,}", "In splits": f"{inside:,}"}
    if made:
        facts["Left out"] = f"{contents.images - inside:,}"
    else:
        facts |= {"To spare": f"{contents.images - contents.ruled_out - inside:,}"}
        facts |= {"Ruled out": f"{contents.ruled_out:,}"}
    facts["Classes"] = f"{len(contents.classes):,}"
    ratio = imbalance(contents.train)
    facts["Imbalance"] = "–" if ratio is None else f"{ratio:,.1f}"
    if leaks is not None:
        facts["Leaks"] = f"{leaks:,.1f}"
    for column, (label, text) in zip(st.columns(len(facts)), facts.items(), strict=True):
        expected = " to expect: nothing is drawn yet" if label == "Leaks" and not made else ""
        column.metric(label, text, help=ABOUT[label] + expected if label in ABOUT else None)
    _warn(contents)
    # Largest first, aligned in all splits, so that the tail is seen for what it is.
    order = np.argsort(-contents.train, kind="stable")
    order = order[np.argsort(contents.frequency[order], kind="stable")]
    figure = split_charts.histograms(
        {split: contents.counts[i][order] for i, split in enumerate(contents.splits)},
        [contents.classes[i] for i in order],
        contents.frequency[order],
        source=contents.source[order],
        labels=order,
    )
    st.plotly_chart(figure, key=key, config={"displayModeBar": False})
    by_split(contents)
    if contents.shortfalls:
        shortfalls(contents.shortfalls)


def _warn(contents: Contents) -> None:
    if contents.dropped:
        told = frame.shorten(", ".join(contents.dropped), 160)
        st.caption(frame.plain(f"{_classes(len(contents.dropped))} left out as too small: {told}"))
    empty = [split for split in contents.splits if split != "test_lt" and not contents.of(split).sum()]
    if empty:
        st.warning(f"Nothing is left for {frame.plain(' and '.join(empty))}: ask for less elsewhere.")
    without = [name for name, count in zip(contents.classes, contents.train, strict=True) if not count]
    if without and contents.train.sum():
        told = frame.shorten(", ".join(without), 160)
        st.warning(frame.plain(f"{_classes(len(without))} without a training image: {told}"))


def _classes(count: int) -> str:
    return "1 class" if count == 1 else f"{count:,} classes"


def by_split(contents: Contents) -> None:
    """One row a split: images, classes, head / medium / tail, and how uneven the classes are."""
    rows = []
    for split in contents.splits:
        images = contents.of(split)
        if images.sum():
            groups = np.bincount(contents.frequency, images, minlength=len(GROUPS)).astype(int)
            attributes = contents.counts[contents.splits.index(split)].sum(0)
            rows.append(
                {"split": split, "images": int(images.sum()), "classes": int((images > 0).sum())}
                | dict(zip(GROUPS, groups.tolist(), strict=True))
                | ({f"attribute {a}": int(n) for a, n in enumerate(attributes)} if 1 < len(attributes) <= 6 else {})
                | {"imbalance": imbalance(images), "Gini": gini(images), "entropy": entropy(images)}
                | {"effective number": float(effective_number(images).sum())}
            )
    number = st.column_config.NumberColumn
    config = {name: number(format="localized") for name in (rows[0] if rows else ()) if name != "split"}
    config |= {"imbalance": number(format="%.1f"), "Gini": number(format="%.3f")}
    config |= {"entropy": number(format="%.2f", help="Bits of the class distribution")}
    config |= {"effective number": number(format="%,.0f", help="Of samples, summed over classes (Cui et al., 2019)")}
    st.dataframe(rows, hide_index=True, column_config=config)


def shortfalls(found: Sequence[Shortfall]) -> None:
    """Which classes have too few images for which split, and why; the worst first."""
    table = pd.DataFrame([vars(s) for s in found])
    table["short"] = table["wanted"] - table["has"]
    table = table.sort_values("short", ascending=False, kind="stable")
    st.caption(f"{_classes(table['class_name'].nunique())} short of images")
    st.dataframe(
        table[["class_name", "split", "wanted", "has", "short", "reason"]],
        hide_index=True,
        height=min(420, 37 + 33 * len(table)),
        column_config={
            "class_name": st.column_config.TextColumn("class"),
            "reason": st.column_config.TextColumn("why", width="large"),
            **{name: st.column_config.NumberColumn(format="localized") for name in ("wanted", "has", "short")},
        },
    )
