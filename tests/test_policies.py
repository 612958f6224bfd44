"""Settings of a workspace are events like any other decision."""

import pytest
from paired import build

from curation import policies
from curation.errors import ArgumentError
from curation.ledger import Event
from curation.workspace import Workspace


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    (tmp_path / "pictures").mkdir()
    return Workspace.create(tmp_path / "w", roots={"images": tmp_path / "pictures"})


def test_the_latest_setting_that_stands_holds(workspace):
    assert policies.number(workspace, "double-review") == 0
    policies.put(workspace, "double-review", "0.25", reviewer="anna")
    then = workspace.ledger.position()
    policies.put(workspace, "double-review", "1", reviewer="ben")
    policies.put(workspace, "lease", "3", reviewer="ben")
    assert policies.number(workspace, "double-review") == 1
    assert policies.value(workspace, "double-review", until=then) == "0.25"
    workspace.ledger.undo(workspace.ledger.last("policy", accept=lambda e: e.verdict == "1").event_id, reviewer="ben")
    assert policies.number(workspace, "double-review") == 0.25


def test_a_value_that_cannot_be_is_refused_and_does_not_count(workspace):
    for name, text in (("double-review", "2"), ("double-review", "nan"), ("lease", "0.4"), ("tolerated", "-1")):
        with pytest.raises(ArgumentError, match=rf"{name} must be a number from .* not '{text}'"):
            policies.put(workspace, name, text, reviewer="anna")
    for name, ends in policies.LIMITS.items():
        assert not any(policies.problem(name, f"{end:.12g}") for end in ends)
        assert policies.LIMITS[name][0] <= float(policies.DEFAULTS[name]) <= policies.LIMITS[name][1]
    with pytest.raises(ArgumentError, match="unknown policy 'colour'"):
        policies.put(workspace, "colour", "1", reviewer="anna")
    with pytest.raises(ArgumentError, match="luckiest"):
        policies.put(workspace, "survivors", "luckiest", reviewer="anna")
    for text in ("", "split", "split:", "first:", "first:x"):
        with pytest.raises(ArgumentError, match=f"unknown policy '{text}' for survivors"):
            policies.put(workspace, "survivors", text, reviewer="anna")
    assert workspace.ledger.position() == 0
    workspace.ledger.append([Event(reviewer="x", kind="policy", subject="lease", verdict="long")])
    assert policies.number(workspace, "lease") == 10
    assert policies.standing([("1", "lease", "5"), ("2", "lease", "long"), ("3", "lease", "7")], {"3"})["lease"] == "5"


def test_survivors_of_a_source_split_that_no_image_is_of_are_refused(tmp_path):
    workspace = build(tmp_path / "w", 3, source_split=["val", "train", ""])
    with pytest.raises(ArgumentError, match="no image is of the source split 'nope': there are train, val"):
        policies.put(workspace, "survivors", "split:nope", reviewer="anna")
    assert workspace.ledger.position() == 0
    policies.put(workspace, "survivors", "split:val", reviewer="anna")
    assert policies.value(workspace, "survivors") == "split:val"
    assert policies.problem("survivors", "split:nope") == ""  # without splits only the form is looked at
