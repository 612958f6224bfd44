"""What the Duplicates page keeps in memory, and when it looks again."""

from __future__ import annotations

import pyarrow as pa
import pytest
from paired import build, refer, store

from curation import files, references
from curation.duplicates import calibration
from curation.survivors import bursts, frequencies
from curation.ui import court, stopping, tables
from curation.workspace import SPLIT, Workspace


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """Six pictures and a reference set; a pair within, and one with the set."""
    made = build(tmp_path / "w", 6, source_split=["train"] * 3 + ["val"] * 3)
    refer(made, "archive", 2)
    store(made, [(0, 3), (1, 1, {"reference": "archive"})])
    carve(made, ["train"] * 3 + ["val"] * 3)
    return made


def carve(workspace: Workspace, splits: list[str]) -> None:
    known = {"image_id": pa.array(range(len(splits))), "split": pa.array(splits)}
    columns = {f.name: known[f.name].cast(f.type) if f.name in known else pa.nulls(len(splits), f.type) for f in SPLIT}
    files.write_table(workspace.path / "splits" / "mine" / "split.parquet", pa.table(columns, schema=SPLIT))


def read_anew(workspace: Workspace) -> None:
    table = workspace.images()
    at = table.column_names.index("status")
    words = pa.array(["broken"] + ["ok"] * 5).cast(table.schema.field("status").type)
    files.write_table(workspace.images_path, table.set_column(at, "status", words))


CHANGES = {
    "a set is forgotten": lambda w: references.forget(w, "archive"),
    "bursts": lambda w: bursts.write(w, [4, 5], ["x", "x"]),
    "another split": lambda w: carve(w, ["train"] * 5 + ["val"]),
    "labels": lambda w: files.write_table(frequencies.frequency_path(w), frequencies.FREQUENCY.empty_table()),
    "images": read_anew,
    "pairs": lambda w: store(w, [(0, 3)]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_stands_has_another_key_after(workspace, change):
    before = tables.standing(workspace, "mine"), tables.standing(workspace)
    assert (tables.standing(workspace, "mine"), tables.standing(workspace)) == before
    CHANGES[change](workspace)
    assert tables.standing(workspace, "mine") != before[0]
    assert (tables.standing(workspace) != before[1]) == (change != "another split")


def test_groups_follow_bursts(workspace):
    policies = {name: court.previewed(workspace).counts[name]["gone"] for name in ("largest", "first")}
    assert court.resolved(workspace).members["component"].to_pylist() == [0, 0, 1, 1]
    assert court.resolved(workspace) is court.resolved(workspace)
    bursts.write(workspace, [4, 5], ["x", "x"])
    assert len(court.resolved(workspace).members) == 6
    assert court.previewed(workspace).counts["first"]["gone"] == policies["first"] + 1
    assert 5 in tables.ruled_out(workspace)


def test_the_leak_map_follows_its_split(workspace):
    def between() -> int:
        cells = court.leaking(workspace, "mine").to_pylist()
        return sum(c["duplicates"] for c in cells if {c["set_a"], c["set_b"]} == {"train", "val"})

    assert between() == 1
    carve(workspace, ["train"] * 5 + ["val"])
    assert between() == 0


def test_when_to_stop_follows_the_images_and_is_learnt_once(workspace, monkeypatch):
    asked, calibrate = [], calibration.calibrate
    monkeypatch.setattr(calibration, "calibrate", lambda *a, **k: asked.append(a[1]) or calibrate(*a, **k))

    def undecided() -> int:
        position = workspace.ledger.position()
        return stopping._learnt(workspace, "phash", tables.standing(workspace), position).stop["undecided"]

    assert (undecided(), undecided(), asked) == (2, 2, ["phash"])
    read_anew(workspace)
    assert (undecided(), asked) == (1, ["phash"] * 2)


def test_a_cell_of_another_workspace_filters_nothing(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(court.st, "session_state", {})
    court.open_cell(workspace, "mine", "train", "val")
    assert court._cell(workspace).subjects == ("0-3",)
    assert court._cell(build(tmp_path / "other", 2)) is None
