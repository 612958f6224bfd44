"""The Duplicates page's pairs and groups: who decides on what next."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa
import streamlit as st

from curation import leases, policies
from curation.duplicates import found, leaks, verdicts
from curation.duplicates.orders import ORDERS
from curation.survivors import resolution
from curation.ui import frame, settings, tables
from curation.ui.components.groups import group_viewer
from curation.ui.components.pairs import pair_viewer, wants
from curation.ui.pair_search import MEASURES as TITLES
from curation.workspace import Workspace

NOTHING = (
    "Nothing to decide",
    "No pair is near enough to ask you. Every pair that was looked at is far from undecided.",
)
SETTLED = ("All disagreements are settled", "Turn Adjudicate off to go on with pairs.")
HELD = ("All pairs are taken", "Other reviewers hold what is left. Pairs come back when their time is over.")


class Cell(NamedTuple):
    """A cell of the leak map that is being reviewed, with its pairs as they were when it was opened."""

    workspace: str
    split: str | None
    first: str
    second: str
    subjects: tuple[str, ...]


def pairs(workspace: Workspace) -> None:
    """A queue of pairs, each leased to one person."""
    counts = verdicts.counts(workspace)
    with st.sidebar:
        options = _filters(workspace, counts)
        frame.reviewer_field()
        told = st.empty()
        _shared(workspace)
    cell = _cell(workspace)
    filters = options | {"subjects": cell and cell[1:4], "by": frame.reviewer()}
    queue = "/".join(map(str, filters.values()))
    _turn_to(workspace, queue)
    served = verdicts.serve(workspace, reviewer=frame.reviewer(), count=wants("pairs", workspace), **options)
    told.caption(_told(counts, served.pending))
    if not served.pending:
        frame.following("splits", "Next: splits")
    pair_viewer(
        served.pairs,
        key="pairs",
        workspace=workspace,
        reviewer=frame.reviewer(),
        total=served.total,
        pending=served.pending,
        queue=queue,
        finals=options["contested"],
        lease=policies.number(workspace, "lease"),
        empty=HELD if served.pending else SETTLED if options["contested"] else NOTHING,
    )


def _turn_to(workspace: Workspace, queue: str) -> None:
    """Give back what another order had reserved, for whoever it was."""
    before = st.session_state.get("pair_queue")
    now = (workspace.key, queue, frame.reviewer())
    if before != now:
        leases.release(workspace, before[2] if before and before[0] == workspace.key else frame.reviewer())
        st.session_state["pair_queue"] = now


def _filters(workspace: Workspace, counts: dict) -> dict:
    """What to look at and in which order, as options of `verdicts.queue`."""
    kept: dict[str, Any] = {"persist_state": "session"}
    # It stays until it is turned off: the last one settled must not lead to other pairs unasked.
    drawn = counts["contested"] > 0 or st.session_state.get("contested")
    label, help_ = f"Adjudicate {counts['contested']:,}", "Pairs on which reviewers disagree, best settled by a third"
    contested = bool(drawn) and st.toggle(label, key="contested", help=help_)
    order = st.selectbox("Order", list(ORDERS), format_func=ORDERS.get, key="pair_order", **kept)
    measure = None
    if order == "measure":
        looked = found.looked(workspace)
        measure = st.selectbox("Measure", looked, format_func=lambda m: TITLES.get(m, m.capitalize()), key="by", **kept)
    classes = ["", *tables.class_names(workspace)]
    class_name = st.selectbox("Class", classes, format_func=lambda c: c or "All classes", key="pair_class", **kept)
    cell = _cell_chosen(workspace)
    return {
        "order": order,
        "measure": measure,
        "class_name": class_name or None,
        "subjects": cell,
        "contested": contested,
    }


def _cell_chosen(workspace: Workspace) -> tuple[str, ...] | None:
    """Subjects of the cell of the leak map that is being reviewed."""
    cell = _cell(workspace)
    if cell is None:
        return None
    inside = cell.first == cell.second
    words = f"inside {cell.first or 'the workspace'}" if inside else f"{cell.first} and {cell.second}"
    st.button(
        f"Only {frame.plain(words)}",
        icon=":material/close:",
        help="Back to all pairs",
        on_click=st.session_state.pop,
        args=("pair_cell",),
    )
    return cell.subjects


def _cell(workspace: Workspace) -> Cell | None:
    cell = st.session_state.get("pair_cell")
    return cell if cell is not None and cell.workspace == workspace.key else None


def open_cell(workspace: Workspace, split: str | None, first: str, second: str) -> None:
    """Turn to the pairs of a cell of the leak map; those that are judged from now on stay among them."""
    subjects = leaks.pairs(workspace, first, second, split=split)["subject"].to_pylist()
    st.session_state["pair_cell"] = Cell(workspace.key, split, first, second, tuple(subjects))
    st.session_state["duplicates_view"] = "Pairs"


def _told(counts: dict, left: int) -> str:
    told = {word: counts[word] for word in (*verdicts.VERDICTS, "contested") if counts[word]}
    told |= {"against the rule": counts["overruled"]} if counts["overruled"] else {}
    return " · ".join([f"{left:,} left for you", *(f"{value:,} {word}" for word, value in told.items())])


def _shared(workspace: Workspace) -> None:
    """Settings that hold for every reviewer."""
    with st.expander("Reviewing together"):
        told = "A share of the pairs, chosen by lot. Where the two disagree, the pair waits to be adjudicated."
        settings.share(workspace, "double-review", "Judged by two people", key="double_review", help=told)
        settings.number(workspace, "lease", "Minutes a pair is kept for you", key="lease")


def groups(workspace: Workspace) -> None:
    """Components of near duplicates: who stays, who goes and why."""
    with st.sidebar:
        frame.reviewer_field()
        _policy(workspace)
    shown = resolved(workspace)
    policy = policies.value(workspace, "survivors")
    name, _, split = policy.partition(":")
    group_viewer(
        shown.members,
        shown.edges,
        key="groups",
        workspace=workspace,
        reviewer=frame.reviewer(),
        policy=policies.SURVIVORS[name].removeprefix("split:NAME: ").replace("NAME", split),
        notify=len(shown.members) < 200_000,
        empty=("No groups", "Pictures that are near duplicates of each other show here as one group."),
    )


def _policy(workspace: Workspace) -> None:
    """Choose the policy in force; each tells how many it keeps."""
    preview = previewed(workspace)
    names = list(preview.counts)
    now = policies.value(workspace, "survivors")
    names = names if now in names else [now, *names]
    if st.session_state.get("policy") != now:
        st.session_state["policy"] = now

    def choose() -> None:
        policies.put(workspace, "survivors", st.session_state["policy"], reviewer=frame.reviewer())

    st.selectbox(
        "Who stays of each group",
        names,
        format_func=lambda n: n.replace(":", ": "),
        key="policy",
        on_change=choose,
        help="\n".join(
            f"- **{frame.plain(n)}**: {frame.plain(text.removeprefix('split:NAME: '))}"
            for n, text in policies.SURVIVORS.items()
        ),
    )
    goes = {name: preview.table[name].to_numpy() for name in preview.counts}
    rows = [
        {"policy": n.replace(":", ": "), "stay": c["kept"], "go": c["gone"]}
        | {"differ": int((goes[n] != goes[now]).sum()) if now in goes else None}
        for n, c in preview.counts.items()
    ]
    differ = st.column_config.NumberColumn(help="Pictures that it treats otherwise than the policy in force")
    st.dataframe(rows, hide_index=True, column_config={"differ": differ})
    st.caption(
        "Groups that touch a reference set lose all their pictures."
        if any(c["without_survivor"] for c in preview.counts.values())
        else "One picture of each group stays; what you keep by hand comes first."
    )


def resolved(workspace: Workspace) -> resolution.Resolution:
    """Components and survivors as they stand."""
    return _resolved(workspace, tables.standing(workspace), workspace.ledger.position())


@lru_cache(maxsize=4)
def _resolved(workspace: Workspace, stamp: object, position: int) -> resolution.Resolution:
    return resolution.resolve(workspace, until=position, strict=False)


def previewed(workspace: Workspace) -> resolution.Preview:
    """What every policy would do."""
    return _previewed(workspace, tables.standing(workspace), workspace.ledger.position())


@lru_cache(maxsize=4)
def _previewed(workspace: Workspace, stamp: object, position: int) -> resolution.Preview:
    return resolution.preview(workspace, until=position)


def leaking(workspace: Workspace, split: str | None) -> pa.Table:
    """The leak map as it stands."""
    return _leaking(workspace, split, tables.standing(workspace, split), workspace.ledger.position())


@lru_cache(maxsize=8)
def _leaking(workspace: Workspace, split: str | None, stamp: object, position: int) -> pa.Table:
    return leaks.matrix(workspace, split=split, until=position)
