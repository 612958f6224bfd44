"""Designing a split: controls in the sidebar, what it would contain in the page, before anything is saved."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from curation import files
from curation.errors import CurationError
from curation.splits.parameters import CHOICES, Parameters
from curation.splits.plan import SPLITS, Infeasible, Plan, plan, suggest
from curation.splits.profiles import PROFILES
from curation.splits.statistics import gini, imbalance
from curation.ui import charts, frame, tables
from curation.workspace import Workspace

INTER = {"lt": "long-tailed", "bl": "balanced"}
POLICIES = {
    "error": "refuse, and say what is short",
    "shrink": "give it smaller test and val cells",
    "drop_class": "leave the class out",
    "relax_class_balance": "let its tests be smaller",
}

ABOUT = {
    "Imbalance": "Largest class of train over the smallest",
    "Gini": "Of train: 0 when all classes are equal, towards 1 when one has all",
    "Ruled out": "By people, or near duplicates of an image that stays",
    "To spare": "More than the class sizes ask for",
}


def show(workspace: Workspace) -> None:
    """Draw the designer."""
    with st.sidebar:
        found = workspace.cluster_names()
        clusters = found[0] if len(found) == 1 else st.selectbox("Clustering", found, key="split_clusters")
        names, counts, out = tables.cells(workspace, clusters)
        asked = controls(names, counts, workspace.key)
    try:
        parameters = Parameters.from_dict(asked)
        planned = plan(counts, parameters, names=names)
    except Infeasible as error:
        if asked["mode"] != "legacy":
            _short(error, names)
            return
    except CurationError as error:
        st.error(frame.plain(str(error)))
        return
    with st.sidebar:
        save(workspace, clusters, asked)
    if asked["mode"] == "legacy":
        st.info("The published procedure has sizes of its own: what it gives shows once it is saved.")
        return
    preview(names, counts, planned, out, asked)


def controls(names: list[str], counts: np.ndarray, scope: str) -> dict[str, Any]:
    """The sliders; their first positions are what fits the data, and they stay while one looks at other pages."""
    kept: dict[str, Any] = {"persist_state": "session"}
    inter = st.segmented_control(
        "Classes of train",
        list(INTER),
        format_func=INTER.get,
        default="lt",
        required=True,
        key=f"inter_{scope}",
        **kept,
    )
    fit = _suggested(counts, inter)
    per_cell = st.slider(
        "Test images a cell",
        1,
        max(50, fit.per_cell),
        fit.per_cell,
        key=f"per_cell_{inter}_{scope}",
        **kept,
        help="A cell is one attribute of one class",
    )
    most_val = max(50, fit.val_per_cell)
    val = st.slider("Val images a cell", 0, most_val, fit.val_per_cell, key=f"val_{inter}_{scope}", **kept)
    asked: dict[str, Any] = {"inter": inter, "per_cell": per_cell, "val_per_cell": val}
    if inter == "lt":
        asked["profile"] = st.selectbox(
            "Class sizes", PROFILES, index=PROFILES.index(fit.profile), key=f"profile_{scope}", **kept
        )
        if asked["profile"] in ("pareto", "exp", "step"):
            asked["imbalance"] = float(st.slider("Imbalance factor", 1, 500, 100, key=f"imbalance_{scope}", **kept))
    else:
        most = int(counts.sum(1).max())
        size = min(fit.class_size or 145, most)
        asked["class_size"] = st.slider("Images a class", 1, most, size, key=f"class_size_{scope}", **kept)
    policies = list(POLICIES)
    asked["policy"] = st.selectbox(
        "A class too small",
        policies,
        index=policies.index(fit.policy),
        format_func=POLICIES.get,
        key=f"policy_{inter}_{scope}",
        **kept,
    )
    with st.expander("More"):
        asked |= _rare(counts.shape[1], fit, scope, kept)
    return asked


def _rare(attributes: int, fit: Parameters, scope: str, kept: dict[str, Any]) -> dict[str, Any]:
    usual = fit.attribute_weights(attributes)
    text = st.text_input("Weights of attributes", ", ".join(f"{w:g}" for w in usual), key=f"weights_{scope}", **kept)
    try:
        weights = [float(part) for part in text.split(",")]
    except ValueError:
        st.caption("Numbers with commas between them, one an attribute; the usual ones are taken")
        weights = None
    order = st.selectbox(
        "Order of classes", [c for c in CHOICES["order"] if c != "given"], key=f"class_order_{scope}", **kept
    )
    iid = st.selectbox("Val and Test-GLT drawn", CHOICES["iid"], key=f"iid_{scope}", **kept)
    head, tail = st.slider("Head and tail begin at (% of classes)", 0, 100, (40, 85), key=f"fractions_{scope}", **kept)
    least = st.number_input("Training images a class, at least", 1, 1000, 1, key=f"min_train_{scope}", **kept)
    seed = st.number_input("Seed", 0, 2**31 - 1, 25, key=f"split_seed_{scope}", **kept)
    mode = st.toggle(
        "The published procedure to the letter",
        key=f"legacy_{scope}",
        **kept,
        help="As ImageNet-GLT was carved, its sizes and its defects included",
    )
    return {
        "weights": weights,
        "order": order,
        "iid": iid,
        "fractions": [head / 100, tail / 100],
        "min_train_per_class": int(least),
        "seed": int(seed),
        "mode": "legacy" if mode else "default",
    }


@st.cache_data(max_entries=32, show_spinner=False)
def _suggested(counts: np.ndarray, inter: str) -> Parameters:
    return suggest(counts, Parameters(inter=inter))


def save(workspace: Workspace, clusters: str, asked: dict[str, Any]) -> None:
    """The primary button: carve it as a job, under a name that is free."""
    taken = set(workspace.split_names())
    stem = f"glt-{asked['inter']}"
    free = next(n for n in (stem, *(f"{stem}-{i}" for i in range(2, 10_000))) if n not in taken)
    name = st.text_input("Name", free, key=f"save_{free}")
    # The published procedure has fixed sizes: nothing but seed and classes can be chosen.
    chosen = {} if asked["mode"] == "legacy" else asked
    settings = [
        f"{key}={','.join(f'{v:g}' for v in value) if isinstance(value, list) else value}"
        for key, value in chosen.items()
        if key not in ("inter", "mode", "seed") and value is not None
    ]
    fine = files.NAME.fullmatch(name) and name not in taken
    if not fine:
        st.caption("A name that is free, of letters, digits, '.', '_' and '-'")
    st.button(
        "Save split",
        type="primary",
        width="stretch",
        disabled=not fine or frame.busy(workspace, "split"),
        on_click=_save,
        args=(workspace, name),
        kwargs={
            "name": name,
            "clusters": clusters,
            "inter": asked["inter"],
            "mode": asked["mode"],
            "seed": asked["seed"],
            "set": settings,
        },
    )


def _save(workspace: Workspace, split: str, **options: Any) -> None:
    frame.start_job(workspace, "split", **options)
    st.session_state["split_wanted"] = split


def preview(names: list[str], counts: np.ndarray, planned: Plan, out: int, asked: dict[str, Any]) -> None:
    """Totals and histograms of a planned split."""
    train = planned.of("train").sum(1)
    facts = {
        "Images": int(counts.sum()) + out,
        "In splits": int(planned.counts.sum()),
        "To spare": int(counts.sum()) - int(planned.counts.sum()),
        "Ruled out": out,
        "Classes": len(planned.order),
    }
    numbers(facts, {"Imbalance": imbalance(train), "Gini": gini(train)})
    if len(planned.dropped):
        dropped = ", ".join(names[i] for i in planned.dropped[:8])
        st.warning(frame.plain(f"{len(planned.dropped)} classes are left out, too small for their cells: {dropped}"))
    empty = [s for s, n in (("val", "val_per_cell"), ("test_bbl", "per_cell")) if not planned.of(s).sum() and asked[n]]
    without = [names[planned.order[i]] for i in np.flatnonzero(planned.per_cell == 0)]
    if empty:
        st.warning(f"Nothing is left for {' and '.join(empty)}: lower the images a cell.")
    if without:
        told = frame.shorten(", ".join(without), 160)
        st.warning(frame.plain(f"{len(without):,} classes are too small for any test image of their own: {told}"))
    shrunk = int((planned.per_cell < planned.per_cell.max()).sum())
    if shrunk:
        words = "class has" if shrunk == 1 else "classes have"
        st.caption(f"{shrunk:,} {words} smaller test cells than the others, down to {planned.per_cell.min():,}")
    figure = charts.split_histograms(
        {split: planned.of(split) for split in SPLITS}, [names[i] for i in planned.order], planned.frequency
    )
    st.plotly_chart(figure, key="preview", config={"displayModeBar": False})


def numbers(whole: dict[str, int], ratios: dict[str, float | None]) -> None:
    """A row of totals."""
    texts = {label: f"{value:,}" for label, value in whole.items()}
    texts |= {label: "–" if value is None else f"{value:,.2f}" for label, value in ratios.items()}
    for column, (label, text) in zip(st.columns(len(texts)), texts.items(), strict=True):
        column.metric(label, text, help=ABOUT.get(label))


def _short(error: Infeasible, names: list[str]) -> None:
    """What is missing, cell by cell."""
    table = error.table.to_pandas()
    table = table[table["short"] > 0].sort_values("short", ascending=False)
    index = table["class_index"].astype("Int64")
    table.insert(
        0,
        "class",
        [
            names[i] if i is not None and i == i else "all classes"
            for i in index.astype(object).where(index.notna(), None)
        ],
    )
    st.warning(
        frame.plain(str(error).splitlines()[0][:400])
        + ". Lower the images a cell, or choose what happens to a class too small."
    )
    table["attribute"] = table["attribute"].astype("Int64").astype(str).replace("<NA>", "all")
    st.dataframe(
        table.drop(columns="class_index"),
        hide_index=True,
        height=min(560, 38 + 35 * len(table)),
        column_config={"what": st.column_config.TextColumn("of", width="medium")},
    )
