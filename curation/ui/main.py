"""The frame that every page is drawn in. Streamlit runs this file; `app.py` names it."""

from pathlib import Path

import streamlit as st

from curation.errors import CurationError
from curation.ui import frame

PAGES = Path(__file__).resolve().parents[2] / "pages"
# In the order in which a data set is made.
ORDER = ("start", "images", "features", "clusters", "map", "duplicates", "splits", "export")


def main() -> None:
    """Draw the navigation and the sidebar, then the page."""
    st.set_page_config(page_title="Curation", page_icon=str(frame.ICON), layout="wide")
    frame.style()
    pages = [st.Page(PAGES / f"{stem}.py", title=stem.capitalize(), default=stem == ORDER[0]) for stem in ORDER]
    page = st.navigation(pages, position="top")
    frame.sidebar()
    try:
        page.run()
    except CurationError as error:
        st.error(frame.plain(str(error)))


if __name__ == "__main__":
    main()
