"""Text that people typed never becomes markup."""

import pytest

from curation.jobs import Job
from curation.ui import frame


@pytest.mark.parametrize("text", ["*bold*", "<b>x</b>", "$x$", ":material/home:", "[a](http://b)", "# head", "`code`"])
def test_markdown_is_escaped(text):
    escaped = frame.plain(text)
    assert escaped.replace("\\", "") == text
    assert escaped != text


def test_long_names_are_cut_in_the_middle():
    assert frame.shorten("a" * 30 + "b" * 30, 21) == "a" * 10 + "…" + "b" * 10
    assert len(frame.shorten("x" * 100, 40)) == 40
    assert frame.shorten("short") == "short"


@pytest.mark.parametrize(
    ("done", "total", "rate", "text"),
    [
        (1000, 4000, 50.0, "1,000 of 4,000 · 50 a second · 60 s left"),
        (10, 1000, 0.1, "10 of 1,000 · 6 a minute · 165 min left"),
        (0, 1, 0.0, ""),
    ],
)
def test_pace(done, total, rate, text):
    values = dict.fromkeys(Job.__dataclass_fields__, 0)
    assert frame.pace(Job(**values | {"done": done, "total": total, "rate": rate})) == text
