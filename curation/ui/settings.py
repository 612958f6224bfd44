"""Fields for what holds for every reviewer of a workspace (`curation.policies`): a change is kept as a decision."""

from __future__ import annotations

import streamlit as st

from curation import policies
from curation.ui import frame
from curation.workspace import Workspace


def number(workspace: Workspace, policy: str, label: str, *, key: str, help: str | None = None) -> None:
    """A field for a policy that is a number."""
    st.number_input(
        label,
        *policies.LIMITS[policy],
        policies.number(workspace, policy),
        1.0,
        format="%g",
        key=key,
        on_change=_put,
        args=(workspace, policy, key),
        help=help,
    )


def share(workspace: Workspace, policy: str, label: str, *, key: str, help: str | None = None) -> None:
    """A slider for a policy that is a share, in percent."""
    st.slider(
        label,
        *(100 * end for end in policies.LIMITS[policy]),
        100 * policies.number(workspace, policy),
        5.0,
        format="%.6g %%",
        key=key,
        on_change=_put,
        args=(workspace, policy, key, 100),
        help=help,
    )


def _put(workspace: Workspace, policy: str, key: str, scale: float = 1) -> None:
    policies.put(workspace, policy, f"{st.session_state[key] / scale:.12g}", reviewer=frame.reviewer())
