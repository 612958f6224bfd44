"""Who survives, from a shell: what is refused changes nothing."""

from __future__ import annotations

import json

import pytest
from paired import build, say

from curation import policies
from curation.cli import main
from curation.survivors import bursts


@pytest.fixture
def workspace(tmp_path):
    """Two near duplicates, one of each source split."""
    return build(tmp_path / "w", 3, [(0, 1)], source_split=["train", "val", "val"])


@pytest.fixture
def photographs(tmp_path):
    (table := tmp_path / "bursts.csv").write_text("path,burst\na/1.jpg,f1\na/2.jpg,f1\n")
    return table


def test_a_policy_holds_from_then_on(workspace, capsys):
    assert main(["resolve", str(workspace.path), "--policy", "split:val", "--reviewer", "anna", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["policy"] == "split:val"
    assert workspace.ledger.last("policy").reviewer == "anna"


@pytest.mark.parametrize("policy", ["split:nope", "luckiest", ""])
def test_a_policy_that_cannot_be_is_not_kept(workspace, policy):
    assert main(["resolve", str(workspace.path), "--policy", policy]) == 2
    assert main(["resolve", str(workspace.path), "--policy", policy, "--dry-run"]) == 2
    assert workspace.ledger.position() == 0
    assert main(["resolve", str(workspace.path)]) == 0


def test_a_policy_is_not_kept_where_it_cannot_be_resolved(workspace):
    for image in "01":
        say(workspace, "survivor", image, "keep")
    assert main(["resolve", str(workspace.path), "--policy", "first"]) == 1
    assert policies.value(workspace, "survivors") == "largest"


def test_a_dry_run_reads_no_bursts(workspace, photographs, capsys):
    assert main(["resolve", str(workspace.path), "--dry-run", "--bursts", str(photographs)]) == 2
    assert "--dry-run changes nothing, and --bursts" in " ".join(capsys.readouterr().err.split())
    assert not bursts.bursts_path(workspace).is_file()
    assert main(["resolve", str(workspace.path), "--bursts", str(photographs)]) == 0
    assert bursts.read(workspace).num_rows == 2


def test_a_dry_run_says_what_every_policy_would_do(workspace, capsys):
    assert main(["resolve", str(workspace.path), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert all(policy in said for policy in ("largest", "first", "published", "split:train"))
    assert "kept 1, gone 1" in said


def test_a_decision_is_taken_back_by_its_id(workspace, capsys):
    known = say(workspace, "pair", "0-2", "duplicate")
    assert main(["undo", str(workspace.path), "no-such-event"]) == 2
    assert main(["undo", str(workspace.path), known.event_id, "--reviewer", "ben"]) == 0
    assert workspace.ledger.events("pair") == []


@pytest.mark.parametrize("command", ["certificate", "export-reviews"])
def test_a_place_that_cannot_be_written_is_named(workspace, tmp_path, capsys, command):
    (tmp_path / "file").write_text("")
    where = str(tmp_path / "file" / "below")
    options = ["--out", where] if command == "certificate" else [where]
    assert main([command, str(workspace.path), *options]) == 1
    assert "cannot be written" in capsys.readouterr().err
