"""Text of other people in pages of Markdown."""

from __future__ import annotations

import re
from typing import Any

LONGEST = 120
_SPECIAL = re.compile(r"([\\`*_\[\]|~$@]|:(?=//)|(?<=www)\.)", re.IGNORECASE)
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escaped(text: Any) -> str:
    """Text in which nothing is markup: neither Markdown nor HTML, no line breaks, no control characters, no links."""
    plain = "".join(char if char.isprintable() else " " for char in str(text))
    if len(plain) > LONGEST:
        plain = plain[: LONGEST - 1] + "…"
    # Backslashes first: the entities' own & and ; stay as they are.
    return re.sub("[&<>]", lambda hit: _HTML[hit[0]], _SPECIAL.sub(r"\\\1", plain))
