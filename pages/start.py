"""Open a workspace, or make one from a sample or a folder; see how far it is."""

from pathlib import Path

import streamlit as st

from curation import pipeline
from curation.errors import CurationError
from curation.ui import frame, overview, recent
from curation.workspace import Workspace

WHAT = "Of pictures; or a workspace; or a CSV or Parquet table of paths and labels"
TABLES = (".csv", ".tsv", ".parquet")
LAYOUTS = {
    "auto": "Find out by itself",
    "folders": "Class folders",
    "splits": "train / val / test folders",
    "ilsvrc": "ILSVRC tree",
}


def begin(source: str, name: str, table: Path | None = None) -> None:
    """Make the workspace, start a job on it, and show it here: a sample gets the whole main job."""
    try:
        workspace = pipeline.prepare(recent.home() / "workspaces" / name, source=source)
    except CurationError as error:
        st.session_state["start_error"] = str(error)
        return
    frame.choose(workspace)
    if frame.busy(workspace, "init"):
        return
    if source in pipeline.SAMPLES:
        frame.start_job(workspace, "run", source=source)
    else:
        layout = "table" if table else st.session_state.get("layout", "auto")
        frame.start_job(workspace, "init", images=workspace.roots["images"], layout=layout, table=table)


def begin_folder() -> None:
    """A folder of pictures becomes a workspace; a folder that is a workspace is opened."""
    if not st.session_state["folder"].strip():
        st.session_state["start_error"] = "Type the folder that the pictures lie in, then press Read pictures in."
        return
    folder = Path(st.session_state["folder"].strip()).expanduser()
    if (folder / "workspace.json").is_file():
        try:
            frame.choose(Workspace(folder))
        except CurationError as error:
            st.session_state["start_error"] = str(error)
    elif folder.suffix.lower() in TABLES and folder.is_file():
        begin(str(folder.parent), overview.folder_name(folder.parent), table=folder)
    else:
        begin(str(folder), overview.folder_name(folder))


def forget(key: str) -> None:
    """Take a workspace off the list of recent ones."""
    recent.forget(key)
    st.session_state.pop("workspace_key", None)
    st.query_params.pop("w", None)


if not recent.listing() and not st.session_state.get("sample_begun"):
    st.session_state["sample_begun"] = True
    begin("digits", "digits")
    st.rerun()

frame.title("Start", "Open pictures, and see how far their benchmark is")
with st.sidebar:
    st.text_input("Open a folder", key="folder", placeholder="/data/pictures", help=WHAT)
    with st.expander("More"):
        st.selectbox("Layout", list(LAYOUTS), format_func=LAYOUTS.get, key="layout")
        frame.reviewer_field()
        if shown := st.session_state.get("workspace_key"):
            st.button(
                "Remove from this list",
                type="tertiary",
                help="The workspace itself stays as it is; open it again by its folder",
                on_click=forget,
                args=(shown,),
            )
    st.button("Read pictures in", width="stretch", on_click=begin_folder)
    with st.container(horizontal=True):
        st.button("Digits", type="tertiary", on_click=begin, args=("digits", "digits"), help="1,797 scans, offline")
        st.button(
            "Fetch Imagenette",
            type="tertiary",
            on_click=begin,
            args=("imagenette", "imagenette"),
            help="13,394 photographs of 10 ImageNet classes at 160 px, 99 MB from the network",
        )

if message := st.session_state.pop("start_error", None):
    st.error(frame.plain(message))

try:
    workspace = frame.current()
except CurationError:
    st.text("Choose another workspace, or open a folder on the left.")  # why is said in the sidebar
    st.stop()
overview.show(workspace)
