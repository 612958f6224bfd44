"""`streamlit run app.py`: the HTTP routes and the Streamlit frame in one server."""

from pathlib import Path

import streamlit as st

if __name__ == "__main__":  # run as a plain script (AppTest): the frame itself
    from curation.ui.main import main

    main()
else:
    from curation.ui.routes import lifespan, routes

    # The frame lies in another folder than pages/: a deep link on a cold server then still passes through it.
    app = st.App(Path(__file__).resolve().parent / "curation" / "ui" / "main.py", routes=routes, lifespan=lifespan)
