"""The leak map: what each cell counts, and the pairs behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from curation import files, references
from curation.duplicates import leaks
from curation.errors import ArgumentError
from curation.ledger import Event
from curation.workspace import PAIRS, SPLIT, Workspace

SPLITS = ["train"] * 6 + ["val"] * 3 + ["test"] * 3


@pytest.fixture
def workspace(make) -> Workspace:
    """Twelve images: 0 to 5 of train, 6 to 8 of val, 9 to 11 of test."""
    return make(12, source_split=SPLITS)


def store(workspace: Workspace, rows: list[tuple], **recipe: Any) -> None:
    """Write pairs (a, b, decision) or (a, b, decision, reference) as a search would."""
    rows = sorted(((row[3] if len(row) > 3 else "", *row[:3]) for row in rows), key=lambda row: row[:3])
    known = dict(zip(("reference", "image_a", "image_b", "decision"), map(list, zip(*rows, strict=True)), strict=True))
    known["probability"] = np.linspace(0.1, 0.9, len(rows))
    columns = {f.name: pa.array(known[f.name]) if f.name in known else pa.nulls(len(rows)) for f in PAIRS}
    path = workspace.path / "duplicates" / "pairs.parquet"
    files.write_table(path, pa.table({f.name: columns[f.name].cast(f.type) for f in PAIRS}, schema=PAIRS))
    files.write_json(path.with_suffix(".json"), {"workspace": workspace.id, "scope": "all", "references": {}} | recipe)


def say(workspace: Workspace, subject: str, verdict: str, reviewer: str = "anna", kind: str = "pair") -> int:
    return workspace.ledger.append([Event(reviewer=reviewer, kind=kind, subject=subject, verdict=verdict)])


def beside(workspace: Workspace, make, name: str, count: int = 5, **options) -> None:
    references.register(workspace, make(count).path, name=name, **options)


def cells(workspace: Workspace, **options) -> dict[tuple[str, str], dict]:
    table = leaks.matrix(workspace, **options)
    assert table.schema.equals(leaks.LEAKS)
    return {(row["set_a"], row["set_b"]): row for row in table.to_pylist()}


def counts(workspace: Workspace, **options) -> dict[tuple[str, str], tuple]:
    """The cells that are not empty, as (duplicates, undecided, contested)."""
    names = ("duplicates", "undecided", "contested")
    found = {key: tuple(row[name] for name in names) for key, row in cells(workspace, **options).items()}
    return {key: value for key, value in found.items() if any(value)}


def test_every_unordered_pair_of_sets_has_a_cell_in_order(workspace, make):
    beside(workspace, make, "other")
    order = [(row["set_a"], row["set_b"], row["reference"]) for row in leaks.matrix(workspace).to_pylist()]
    expected = [("train", other, False) for other in ("train", "val", "test")] + [("train", "other", True)]
    expected += [("val", "val", False), ("val", "test", False), ("val", "other", True)]
    assert order == [*expected, ("test", "test", False), ("test", "other", True)]
    assert counts(workspace) == {}


def test_pairs_are_counted_where_they_lie_whichever_way_round(workspace):
    store(workspace, [(0, 1, "duplicate"), (2, 9, "duplicate"), (6, 9, "candidate"), (7, 8, "different")])
    assert counts(workspace) == {
        ("train", "train"): (1, 0, 0),
        ("train", "test"): (1, 0, 0),
        ("val", "test"): (0, 1, 0),
    }


def test_an_image_of_a_later_split_may_have_the_smaller_id(make):
    workspace = make(3, source_split=["test", "train", "train"])
    store(workspace, [(0, 1, "duplicate"), (0, 2, "duplicate")])
    row = cells(workspace)["train", "test"]
    assert (row["duplicates"], row["images_a"], row["images_b"]) == (2, 2, 1)


def test_people_stand_above_the_rule(workspace):
    found = [(0, 6, "duplicate"), (1, 6, "candidate"), (2, 6, "candidate"), (3, 6, "duplicate"), (4, 6, "duplicate")]
    store(workspace, found)
    assert counts(workspace) == {("train", "val"): (3, 2, 0)}
    say(workspace, "0-6", "related")
    say(workspace, "1-6", "duplicate")
    say(workspace, "2-6", "different")
    say(workspace, "3-6", "unsure")
    position = say(workspace, "5-7", "duplicate")  # a pair that the search did not find
    assert counts(workspace) == {("train", "val"): (3, 1, 0)}
    say(workspace, "4-6", "duplicate")
    say(workspace, "4-6", "different", reviewer="ben")
    assert counts(workspace) == {("train", "val"): (2, 1, 1)}
    assert counts(workspace, until=position) == {("train", "val"): (3, 1, 0)}
    say(workspace, "4-6", "duplicate", reviewer="cy", kind="pair.final")
    assert counts(workspace) == {("train", "val"): (3, 1, 0)}


def test_reference_sets_are_counted_and_probes_never(workspace, make):
    beside(workspace, make, "other")
    beside(workspace, make, "probes", probes=True)
    store(workspace, [(0, 4, "duplicate", "other"), (9, 4, "candidate", "other"), (0, 4, "duplicate", "probes")])
    say(workspace, "1-probes:3", "duplicate")
    say(workspace, "6-other:0", "duplicate")
    found = {("train", "other"): (1, 0, 0), ("val", "other"): (1, 0, 0), ("test", "other"): (0, 1, 0)}
    assert counts(workspace) == found
    assert not any("probes" in key for key in cells(workspace))


def test_a_reference_set_of_an_earlier_version_may_be_named_like_a_split(workspace, make):
    files.write_json(workspace.path / "references.json", {"val": str(make(5).path)})
    store(workspace, [(0, 4, "duplicate", "val"), (0, 6, "duplicate"), (1, 6, "duplicate")])
    table = leaks.matrix(workspace).to_pylist()
    both = {row["reference"]: row["duplicates"] for row in table if (row["set_a"], row["set_b"]) == ("train", "val")}
    assert both == {False: 2, True: 1}
    assert len(leaks.pairs(workspace, "train", "val")) == 2
    assert leaks.pairs(workspace, "train", "val", reference=True)["subject"].to_pylist() == ["0-val:4"]


def test_images_count_once_however_many_pairs_they_have(workspace):
    store(workspace, [(0, 9, "duplicate"), (0, 10, "duplicate"), (1, 9, "duplicate"), (2, 3, "duplicate")])
    row = cells(workspace)["train", "test"]
    assert (row["duplicates"], row["images_a"], row["images_b"]) == (3, 2, 2)
    row = cells(workspace)["train", "train"]
    assert (row["images_a"], row["images_b"]) == (2, 2)


def test_a_saved_split_has_its_own_sets(workspace):
    folder = workspace.path / "splits" / "mine"
    members = {"image_id": [0, 1, 6, 9], "split": ["train", "test", "train", "held out"]}
    known = {f.name: pa.array(members.get(f.name, [0] * 4)).cast(f.type) for f in SPLIT}
    files.write_table(folder / "split.parquet", pa.table(known, schema=SPLIT))
    store(workspace, [(0, 1, "duplicate"), (0, 6, "duplicate"), (1, 9, "candidate"), (0, 2, "duplicate")])
    expected = {("train", "test"): (1, 0, 0), ("train", "train"): (1, 0, 0), ("test", "held out"): (0, 1, 0)}
    assert counts(workspace, split="mine") == expected
    assert leaks.pairs(workspace, "held out", "test", split="mine")["set_a"].to_pylist() == ["test"]
    with pytest.raises(ArgumentError, match="no split 'other'"):
        leaks.matrix(workspace, split="other")


def test_what_was_not_searched_is_said(workspace, make):
    beside(workspace, make, "other")
    assert {row["searched"] for row in cells(workspace).values()} == {False}
    store(workspace, [(0, 1, "duplicate")])
    said = {key: row["searched"] for key, row in cells(workspace).items()}
    assert {key for key, known in said.items() if not known} == {(name, "other") for name in ("train", "val", "test")}
    store(workspace, [(0, 1, "duplicate")], scope="splits", references={"other": {}})
    said = {key: row["searched"] for key, row in cells(workspace).items()}
    assert {key for key, known in said.items() if not known} == {(name, name) for name in ("train", "val", "test")}


def test_pairs_of_a_cell_are_those_it_counts_most_urgent_first(workspace):
    store(workspace, [(0, 9, "duplicate"), (1, 9, "candidate"), (2, 9, "different"), (0, 6, "duplicate")])
    say(workspace, "3-9", "duplicate")
    say(workspace, "3-9", "different", reviewer="ben")
    rows = leaks.pairs(workspace, "test", "train").to_pylist()
    assert [(row["subject"], row["status"]) for row in rows] == [
        ("3-9", "contested"),
        ("1-9", "undecided"),
        ("0-9", "duplicate"),
    ]
    assert [(row["set_a"], row["set_b"]) for row in rows] == [("train", "test")] * 3
    assert [row["decision"] for row in rows] == [None, "candidate", "duplicate"]
    assert rows[0]["verdict"] == "contested"
    assert leaks.pairs(workspace, "val", "val").to_pylist() == []
    with pytest.raises(ArgumentError, match="no split 'nowhere': there are 'train', 'val', 'test'"):
        leaks.pairs(workspace, "train", "nowhere")


def test_counts_are_those_of_a_plain_loop(make):
    rng = np.random.default_rng(4)
    split = rng.choice(["train", "test", ""], 80)
    workspace = make(80, source_split=list(split))
    keys = sorted({tuple(sorted(rng.choice(80, 2, replace=False).tolist())) for _ in range(600)})
    decisions = rng.choice(["duplicate", "candidate", "different"], len(keys)).tolist()
    store(workspace, [(a, b, word) for (a, b), word in zip(keys, decisions, strict=True)])
    names, expected = ["train", "test", ""], {}
    for (a, b), word in zip(keys, decisions, strict=True):
        key = tuple(sorted((split[a], split[b]), key=names.index))
        cell = expected.setdefault(key, {"duplicate": [], "candidate": []})
        if word in cell:
            cell[word].append((a, b) if split[a] == key[0] else (b, a))
    for key, row in cells(workspace).items():
        found = expected[key]
        assert (row["duplicates"], row["undecided"]) == (len(found["duplicate"]), len(found["candidate"]))
        ends = [set(side) for side in zip(*found["duplicate"], strict=True)]
        ends = [ends[0] | ends[1]] * 2 if key[0] == key[1] else ends
        assert (row["images_a"], row["images_b"]) == (len(ends[0]), len(ends[1]))
        assert len(leaks.pairs(workspace, *key)) == row["duplicates"] + row["undecided"]


def test_duplicates_are_those_that_exclusions_follow(workspace):
    from curation import exclusions

    store(workspace, [(0, 1, "duplicate"), (2, 9, "duplicate"), (6, 9, "candidate"), (3, 4, "duplicate")])
    say(workspace, "6-9", "duplicate")
    say(workspace, "0-1", "different")
    found = exclusions.duplicate_pairs(workspace)
    frames = [leaks.pairs(workspace, *key).to_pandas() for key in counts(workspace)]
    mine = pd.concat(frames).query("status == 'duplicate'")
    pairs = sorted(zip(mine["image_a"], mine["image_b"], strict=True))
    assert pairs == sorted(zip(found["image_a"], found["image_b"], strict=True)) == [(2, 9), (3, 4), (6, 9)]
