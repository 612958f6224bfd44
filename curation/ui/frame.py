"""What surrounds every page: workspace and reviewer in the sidebar, running jobs, titles, empty states."""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import NoReturn

import streamlit as st

from curation import jobs
from curation.errors import CurationError
from curation.ledger import Event
from curation.ui import recent
from curation.workspace import Workspace

HERE = Path(__file__).resolve().parent
ICON = HERE / "components" / "icon.png"
PAGES = HERE.parents[1] / "pages"


def plain(text: object) -> str:
    """Text that Streamlit's Markdown shows as it is: names and messages may hold anything."""
    escaped = re.sub(r"([\\`*_{}\[\]()<>#+!|~$:&^=-])", r"\\\1", str(text))
    return escaped.replace("\n", " ")


def shorten(text: str, length: int = 40) -> str:
    """Cut the middle out of a long name."""
    if len(text) <= length:
        return text
    half = (length - 1) // 2
    return f"{text[: length - 1 - half]}…{text[-half:]}"


def style() -> None:
    """The few rules that Streamlit's theme cannot say."""
    st.html(HERE / "frame.html")


def sidebar() -> None:
    """Workspace, reviewer and jobs; pages put their own controls below with `st.sidebar`."""
    known = {entry["key"]: entry for entry in recent.listing()}
    chosen = st.query_params.get("w") or st.session_state.get("workspace_key")
    unknown = chosen is not None and chosen not in known
    if chosen not in known:
        chosen = next(iter(known), None)
    with st.sidebar:
        if unknown:
            st.caption("The workspace of that link is not known here: open it by its folder.")
        if chosen:
            if st.session_state.get("workspace_choice") != chosen:
                st.session_state["workspace_choice"] = chosen
            st.selectbox(
                "Workspace",
                list(known),
                format_func=lambda key: known[key]["name"] if key in known else "",
                key="workspace_choice",
                on_change=_switch,
                help=known[chosen]["path"],
            )
            st.session_state["workspace_key"] = chosen
            st.query_params["w"] = chosen
        if "reviewer" not in st.session_state:
            st.session_state["reviewer"] = st.user.get("email") or st.query_params.get("reviewer") or _account()
        if "reviewer" in st.session_state and reviewer() not in (st.user.get("email"), _account()):
            st.query_params["reviewer"] = reviewer()  # so that a reload, or a link, is the same person's
        if chosen:
            try:
                job_bar(recent.open_workspace(chosen))
            except CurationError as error:
                st.error(plain(str(error)))


def _switch() -> None:
    st.query_params["w"] = st.session_state["workspace_choice"]


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "anonymous"


def reviewer() -> str:
    """Who decides, as the ledger will remember."""
    return (st.session_state.get("reviewer") or "anonymous").strip() or "anonymous"


def reviewer_field() -> None:
    """Lets a person say who they are, where decisions are made."""
    # The name lives under a key of its own: what a widget's key held before the widget was drawn is lost.
    st.session_state["reviewer_field"] = reviewer()
    help_ = "Written beside every decision you make"
    st.text_input("Reviewer", key="reviewer_field", on_change=_name_reviewer, help=help_)


def _name_reviewer() -> None:
    st.session_state["reviewer"] = st.query_params["reviewer"] = st.session_state["reviewer_field"]


def current() -> Workspace:
    """The chosen workspace; without one, an empty page that leads to the start."""
    chosen = st.session_state.get("workspace_key")
    if not chosen:
        empty("No workspace yet", "A workspace holds what is known about one set of pictures.", "start", "Start here")
    return recent.open_workspace(chosen)


def undo_button(
    workspace: Workspace, kinds: tuple[str, ...], *, accept: Callable[[Event], bool] = lambda event: True
) -> None:
    """Takes back one's own last decision of these kinds that stands; shown only when there is one."""
    mine = reviewer()
    last = workspace.ledger.last(kinds, accept=lambda event: event.reviewer == mine and accept(event))
    if last is not None:
        what = last.kind.removeprefix("cluster.") if last.kind.startswith("cluster.") else last.verdict
        st.button(
            f"Undo {plain(what)}",
            type="tertiary",
            icon=":material/undo:",
            on_click=_undo,
            args=(workspace, last.event_id),
        )


def _undo(workspace: Workspace, event_id: str) -> None:
    workspace.ledger.undo(event_id, reviewer=reviewer())
    st.session_state["undone"] = st.session_state.get("undone", 0) + 1


def choose(workspace: Workspace) -> None:
    """Make a workspace the current one."""
    recent.remember(workspace)
    st.session_state["workspace_key"] = st.query_params["w"] = workspace.key


def title(name: str, purpose: str) -> None:
    """A page's name and, in one line, what it is for."""
    st.html(f'<div class="page-title"><h1>{escape(name)}</h1><p>{escape(purpose)}</p></div>')


def empty(what: str, then: str, page: str, label: str) -> NoReturn:
    """An empty page: what it will show and how to get there."""
    with st.container(horizontal_alignment="center", key="empty_state"):
        st.subheader(what, anchor=False, width="content")
        st.text(then, width="content")
        st.page_link(PAGES / f"{page}.py", label=label, icon=":material/arrow_forward:")
    st.stop()


def following(page: str, label: str) -> None:
    """What comes next, once a page's work is done."""
    with st.sidebar:
        st.page_link(PAGES / f"{page}.py", label=label, icon=":material/arrow_forward:")


def stepper(label: str, options: list[str], *, key: str) -> str:
    """A selectbox with buttons for the one before and the one after; kept in the URL and from page to page."""
    if st.session_state.get(key) not in options:
        st.session_state[key] = st.query_params.get(key) if st.query_params.get(key) in options else options[0]

    def step(by: int) -> None:
        st.session_state[key] = options[(options.index(st.session_state[key]) + by) % len(options)]

    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        chosen = st.selectbox(label, options, key=key, persist_state="session")
        st.button("", icon=":material/chevron_left:", key=f"{key}_before", help="Previous", on_click=step, args=(-1,))
        st.button("", icon=":material/chevron_right:", key=f"{key}_after", help="Next", on_click=step, args=(1,))
    st.query_params[key] = chosen
    return chosen


def start_job(workspace: Workspace, kind: str, *arguments: object, **options: object) -> None:
    """Start a stage in its own process with its command-line arguments and options; for `on_click`."""
    given: list[str] = []
    for key, value in options.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            given += [] if one is None else [f"--{key}"] if one is True else [f"--{key}", str(one)]
    jobs.start(workspace, kind, [str(workspace.path), *map(str, arguments), *given])


def under_way(workspace: Workspace) -> set[str]:
    """What is being made now: kinds of jobs, and phases of the main job."""
    return {phase(job) for job in jobs.listing(workspace, limit=10) if job.live}


def busy(workspace: Workspace, *kinds: str) -> bool:
    """Whether a job of these kinds (or the main job) is under way."""
    return any(job.live and job.kind in (*kinds, "run") for job in jobs.listing(workspace, limit=10))


def job_bar(workspace: Workspace) -> None:
    """Jobs under way, or the last one that went wrong. Polls only while there is something to see."""
    live = {job.job_id: phase(job) for job in jobs.listing(workspace, limit=10) if job.live}

    @st.fragment(run_every=1.0 if live else None)
    def bar() -> None:
        shown = jobs.listing(workspace, limit=10)
        if live != {job.job_id: phase(job) for job in shown if job.live}:
            st.rerun()  # something finished or began: the page has news
        for job in shown:
            latest = job.job_id == shown[0].job_id
            if job.live or (latest and job.state != "done" and not st.session_state.get(f"seen{job.job_id}")):
                _job_card(workspace, job)

    if message := st.session_state.pop("job_error", None):
        st.error(plain(message))
    bar()


def phase(job: jobs.Job) -> str:
    """The part of a job that is under way, without its numbers."""
    return job.message.split(" (")[0].split(":")[0] if job.kind == "run" else job.kind


def _job_card(workspace: Workspace, job: jobs.Job) -> None:
    with st.container(key=f"job_{job.job_id}", gap="xsmall"):
        if job.live:
            st.progress(min(1.0, job.done / job.total) if job.total else 0.0, text=plain(job.message or "Starting"))
        else:
            said = f"{job.kind} {job.state}" + (f": {job.message}" if job.message else "")
            st.text(shorten(said, 180), help=plain(said) if len(said) > 180 else None)
        with st.container(horizontal=True, vertical_alignment="center"):
            if job.live:
                st.caption(pace(job), width="stretch")
                label = "Stopping" if job.stop else "Cancel"
                st.button(
                    label,
                    key=f"cancel{job.job_id}",
                    type="tertiary",
                    disabled=job.stop,
                    on_click=jobs.cancel,
                    args=(workspace, job.job_id),
                )
            else:
                again = "Try again" if job.state == "failed" else "Resume"
                st.button(again, key=f"resume{job.job_id}", on_click=_resume, args=(workspace, job.job_id))
                st.button("Dismiss", key=f"dismiss{job.job_id}", type="tertiary", on_click=_dismiss, args=(job.job_id,))


def _resume(workspace: Workspace, job_id: int) -> None:
    try:
        jobs.resume(workspace, job_id)
    except CurationError as error:  # it began elsewhere meanwhile, or belongs to a copy
        st.session_state["job_error"] = str(error)


def _dismiss(job_id: int) -> None:
    st.session_state[f"seen{job_id}"] = True


def pace(job: jobs.Job) -> str:
    """Where a job stands, how fast it goes and when it ends."""
    parts = [f"{job.done:,} of {job.total:,}"] if job.total > 1 else []
    if job.rate > 0 and job.total > 1:
        parts.append(f"{job.rate:,.0f} a second" if job.rate >= 1 else f"{60 * job.rate:,.0f} a minute")
    if (left := job.seconds_left) and job.total > 1:
        parts.append(f"{left:,.0f} s left" if left < 100 else f"{left / 60:,.0f} min left")
    return " · ".join(parts)
