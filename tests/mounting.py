"""Mounts a component without a browser, to see what it sends and what it makes of an answer."""

from __future__ import annotations

import json

from streamlit.testing.v1 import AppTest

from curation.ledger import Event


def run(script, workspace, **state) -> tuple[AppTest, dict]:
    """Run a script that mounts one component; the session after it and the data that was sent.

    `state` holds what the browser set before, by the component's key; `n` is the script's own.
    """
    at = AppTest.from_function(script, args=(workspace.key,), default_timeout=20)
    for key, value in state.items():
        at.session_state[key if key == "n" else f"{key}-{workspace.key}"] = value
    at.run()
    assert not at.exception, at.exception
    return at, json.loads(at.get("bidi_component")[0].proto.json)


def decide(workspace, kind: str, **verdicts: str) -> None:
    """Verdicts by subject; `_` stands for the dash of a pair and is not needed at the start of a number."""
    events = [
        Event(reviewer="ben", kind=kind, subject=subject.strip("_").replace("_", "-"), verdict=verdict)
        for subject, verdict in verdicts.items()
    ]
    workspace.ledger.append(events)
