"""The Duplicates page's pairs and groups: who decides on what next."""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa
import streamlit as st

from curation import exclusions, files, leases, policies
from curation.duplicates import leaks, verdicts
from curation.duplicates.orders import MEASURES, ORDERS
from curation.survivors import resolution
from curation.ui import frame, tables
from curation.ui.components.groups import group_viewer
from curation.ui.components.pairs import pair_viewer, wants
from curation.ui.pair_search import MEASURES as TITLES
from curation.workspace import Workspace

NOTHING = (
    "Nothing to decide",
    "No pair is near enough to ask you. Every pair that was looked at is far from undecided.",
)
HELD = ("All pairs are taken", "Other reviewers hold what is left. Pairs come back when their time is over.")


def pairs(workspace: Workspace) -> None:
    """A queue of pairs, each leased to one person."""
    counts = verdicts.counts(workspace, reviewer=frame.reviewer())
    with st.sidebar:
        options = _filters(workspace, counts)
        frame.reviewer_field()
        _told(workspace, counts)
        _shared(workspace)
    undone = st.session_state.get("undone", 0)
    filters = options | {"subjects": st.session_state.get("pair_cell"), "undone": undone, "by": frame.reviewer()}
    queue = "/".join(map(str, filters.values()))
    if st.session_state.get("pair_queue") != (workspace.key, queue):
        leases.release(workspace, frame.reviewer())  # what another order had reserved
        st.session_state["pair_queue"] = (workspace.key, queue)
    served = verdicts.serve(workspace, reviewer=frame.reviewer(), count=wants("pairs", workspace), **options)
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
        empty=HELD if served.pending else NOTHING,
    )


def _filters(workspace: Workspace, counts: dict) -> dict:
    """What to look at and in which order, as options of `verdicts.queue`."""
    contested = counts["contested"] > 0 and st.toggle(
        f"Adjudicate {counts['contested']:,}", key="contested", help="Pairs on which reviewers disagree"
    )
    order = st.selectbox("Order", list(ORDERS), format_func=ORDERS.get, key="pair_order")
    measure = None
    if order == "measure":
        measure = st.selectbox("Measure", MEASURES, format_func=lambda m: TITLES.get(m, m.capitalize()), key="by")
    class_name = st.selectbox(
        "Class",
        [None, *tables.class_names(workspace)],
        format_func=lambda c: c or "All classes",
        key="pair_class",
    )
    cell = _cell_chosen(workspace)
    return {
        "order": order,
        "measure": measure,
        "class_name": class_name,
        "subjects": cell,
        "contested": contested,
    }


def _cell_chosen(workspace: Workspace) -> tuple[str, ...] | None:
    """Subjects of the cell of the leak map that is being reviewed."""
    if st.session_state.get("pair_cell") is None:
        return None
    split, first, second = st.session_state["pair_cell"]
    words = f"inside {first or 'the workspace'}" if first == second else f"{first} and {second}"
    st.button(
        f"Only {frame.plain(words)}",
        icon=":material/close:",
        help="Back to all pairs",
        on_click=st.session_state.pop,
        args=("pair_cell",),
    )
    return tuple(leaks.pairs(workspace, first, second, split=split)["subject"].to_pylist())


def _told(workspace: Workspace, counts: dict) -> None:
    told = {word: counts[word] for word in ("left", *verdicts.VERDICTS, "contested") if counts[word] or word == "left"}
    st.caption(" · ".join(f"{value:,} {word}" for word, value in told.items()))
    frame.undo_button(workspace, ("pair", "pair.final"))
    if counts["overruled"]:
        st.caption(f"{counts['overruled']:,} against the rule")


def _shared(workspace: Workspace) -> None:
    """Settings that hold for every reviewer."""
    with st.expander("Reviewing together"):
        st.slider(
            "Judged by two people",
            0,
            100,
            round(100 * policies.number(workspace, "double-review")),
            5,
            format="%d %%",
            key="double_review",
            on_change=_put,
            args=(workspace, "double-review", "double_review", 100),
            help="A share of the pairs, chosen by lot. Where the two disagree, the pair waits to be adjudicated.",
        )
        st.number_input(
            "Minutes a pair is kept for you",
            1,
            240,
            round(policies.number(workspace, "lease")),
            key="lease",
            on_change=_put,
            args=(workspace, "lease", "lease", 1),
        )


def _put(workspace: Workspace, policy: str, key: str, scale: float) -> None:
    policies.put(workspace, policy, f"{st.session_state[key] / scale:g}", reviewer=frame.reviewer())


def groups(workspace: Workspace) -> None:
    """Components of near duplicates: who stays, who goes and why."""
    with st.sidebar:
        frame.reviewer_field()
        _policy(workspace)
        frame.undo_button(workspace, ("survivor", "pair", "policy"))
    found = resolved(workspace)
    inner = found.members.column("component").to_numpy()
    policy = policies.value(workspace, "survivors")
    name, _, split = policy.partition(":")
    group_viewer(
        found.members,
        found.edges,
        key="groups",
        workspace=workspace,
        reviewer=frame.reviewer(),
        policy=resolution.POLICIES[name].removeprefix("split:NAME: ").replace("NAME", split),
        notify=len(inner) < 200_000,
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
        help="\n".join(f"- **{frame.plain(n)}**: {frame.plain(text)}" for n, text in resolution.POLICIES.items()),
    )
    st.dataframe(
        [{"policy": n.replace(":", ": "), "stay": c["kept"], "go": c["gone"]} for n, c in preview.counts.items()],
        hide_index=True,
    )
    before = preview.table.column(now).to_numpy() if now in preview.table.column_names else None
    st.caption(
        "Groups that touch a reference set lose all their pictures."
        if before is not None and any(c["without_survivor"] for c in preview.counts.values())
        else "One picture of each group stays; what you keep by hand comes first."
    )


def resolved(workspace: Workspace) -> resolution.Resolution:
    """Components and survivors as they stand."""
    return _resolved(workspace, files.stamp(exclusions.pairs_path(workspace)), workspace.ledger.position())


@lru_cache(maxsize=4)
def _resolved(workspace: Workspace, stamp: object, position: int) -> resolution.Resolution:
    return resolution.resolve(workspace, until=position)


def previewed(workspace: Workspace) -> resolution.Preview:
    """What every policy would do."""
    return _previewed(workspace, files.stamp(exclusions.pairs_path(workspace)), workspace.ledger.position())


@lru_cache(maxsize=4)
def _previewed(workspace: Workspace, stamp: object, position: int) -> resolution.Preview:
    return resolution.preview(workspace, until=position)


def leaking(workspace: Workspace, split: str | None) -> pa.Table:
    """The leak map as it stands."""
    stamp = files.stamp(exclusions.pairs_path(workspace))
    return _leaking(workspace, split, stamp, workspace.ledger.position())


@lru_cache(maxsize=8)
def _leaking(workspace: Workspace, split: str | None, stamp: object, position: int) -> pa.Table:
    return leaks.matrix(workspace, split=split, until=position)
