"""Planted probes: copies that are what they say, drawn by seed, and what they tell of search and reviewers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pictures import draw
from PIL import Image
from scipy.stats import binomtest

from curation import files, pipeline, references
from curation.duplicates import edits, probes
from curation.duplicates import find as search
from curation.errors import ArgumentError, CurationError
from curation.images import ingest
from curation.ledger import Event
from curation.workspace import PAIRS, Workspace

COUNT = 24


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """Three classes of 12 pictures each (JPEG and PNG), one flat and one broken file."""
    root = tmp_path / "pictures"
    for label, name in enumerate(("ant", "bee", "<i>cow")):
        (root / name).mkdir(parents=True)
        for i in range(12):
            draw(100 * label + i, (96, 72)).save(root / name / f"{i:03d}.{'png' if i % 2 else 'jpg'}")
    Image.new("RGB", (96, 72), "red").save(root / "ant" / "flat.png")
    (root / "ant" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    workspace = Workspace.create(tmp_path / "workspace", roots={"images": root})
    ingest.read(workspace, workers=1)
    return workspace


def plant(workspace: Workspace, **options) -> Workspace:
    """Write probes and read them in; the inner workspace stays when they are planted anew."""
    place = probes.write(workspace, **{"count": COUNT, **options})
    inner = Workspace.create(references.inner(workspace, "probes"), roots={"images": place / "pictures"})
    ingest.read(inner, layout="table", table=place / "probes.parquet", workers=1)
    references.register(workspace, inner.path, name="probes", probes=True)
    return inner


def made(workspace: Workspace) -> list[dict]:
    return files.read_table(probes.folder(workspace) / "probes.parquet").to_pylist()


def picture(workspace: Workspace, image_id: int) -> Image.Image:
    row = workspace.images(["root", "path"]).slice(image_id, 1).to_pylist()[0]
    return Image.open(workspace.image_file(row["root"], row["path"])).convert("RGB")


def copy_of(workspace: Workspace, row: dict) -> Image.Image:
    return Image.open(probes.folder(workspace) / "pictures" / row["path"]).convert("RGB")


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def find(workspace: Workspace, decisions: dict[tuple[int, int], str], **recipe) -> None:
    """Write the table of pairs that a search would have written."""
    keys = sorted(decisions)
    columns = {"image_a": [a for a, _ in keys], "image_b": [b for _, b in keys], "reference": ["probes"] * len(keys)}
    columns["decision"] = [decisions[key] for key in keys]
    table = {f.name: pa.array(columns[f.name]) if f.name in columns else pa.nulls(len(keys)) for f in PAIRS}
    path = workspace.path / "duplicates" / "pairs.parquet"
    files.write_table(path, pa.table({f.name: table[f.name].cast(f.type) for f in PAIRS}, schema=PAIRS))
    searched = {"references": {"probes": references.state(references.listing(workspace)["probes"])}} | recipe
    files.write_json(path.with_suffix(".json"), {"workspace": workspace.id} | searched)


def say(workspace: Workspace, reviewer: str, pair: dict, verdict: str, kind: str = "pair") -> None:
    subject = f"{pair['image_a']}-probes:{pair['image_b']}"
    workspace.ledger.append([Event(reviewer=reviewer, kind=kind, subject=subject, verdict=verdict)])


def of_truth(workspace: Workspace, truth: str) -> list[dict]:
    return [row for row in probes.planted(workspace).to_pylist() if row["truth"] == truth]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(workspace):
    first = content(probes.write(workspace, count=COUNT))
    assert len(first) == COUNT + 1
    assert content(probes.write(workspace, count=COUNT)) == first
    assert content(probes.write(workspace, count=COUNT, seed=26)).keys() & first.keys() == {"probes.parquet"}


def test_copies_are_spread_over_classes_and_edits_and_names_tell_nothing(workspace):
    probes.write(workspace, count=COUNT)
    rows = made(workspace)
    assert set(Counter(row["edit"] for row in rows).values()) == {2}
    assert set(Counter(row["class_name"] for row in rows).values()) == {8}
    assert len({row["image_id"] for row in rows}) == COUNT
    images = workspace.images(["class_name", "flat", "status", "sha256"]).to_pylist()
    for row in rows:
        source = images[row["image_id"]]
        assert (source["status"], source["flat"], source["sha256"]) == ("ok", False, row["sha256"])
        assert source["class_name"] == row["class_name"]
        assert not any(name in Path(row["path"]).name for name in edits.EDITS)
        assert len(Path(row["path"]).stem) == 16


def test_more_than_there_are_pictures_takes_each_once(workspace):
    probes.write(workspace, count=1000)
    assert len({row["image_id"] for row in made(workspace)}) == len(made(workspace)) == 36


def test_look_alikes_are_other_images_of_the_class(workspace):
    probes.write(workspace, count=COUNT)
    images = workspace.images(["class_name", "status", "flat"]).to_pylist()
    for row in made(workspace):
        other = images[row["lookalike"]]
        assert row["lookalike"] != row["image_id"]
        assert other["class_name"] == row["class_name"]
        assert other["status"] == "ok"
        assert not other["flat"]


def test_a_class_of_one_has_no_look_alike(tmp_path):
    (tmp_path / "pictures" / "ant").mkdir(parents=True)
    draw(1).save(tmp_path / "pictures" / "ant" / "a.png")
    workspace = Workspace.create(tmp_path / "workspace", roots={"images": tmp_path / "pictures"})
    ingest.read(workspace, workers=1)
    plant(workspace)
    assert [row["lookalike"] for row in made(workspace)] == [None]
    assert [row["truth"] for row in probes.planted(workspace).to_pylist()] == ["duplicate"]


def test_edits_do_what_they_say(workspace):
    probes.write(workspace, count=36)
    seen = {}
    for row in made(workspace):
        seen[row["edit"], row["path"].endswith("png")] = picture(workspace, row["image_id"]), copy_of(workspace, row)
    size = {edit: copy.size for (edit, _), (_, copy) in seen.items()}
    assert size["half-size"] == (48, 36)
    assert size["crop-10"] == (86, 65)
    assert size["crop-30"] == (67, 50)
    width, height = size.pop("border")
    assert width - 96 == height - 72
    assert 10 <= width - 96 <= 20
    assert all(size[edit] == (96, 72) for edit in set(size) - {"half-size", "crop-10", "crop-30"})
    for (edit, exact), (source, copy) in seen.items():
        before, after = np.asarray(source, float), np.asarray(copy, float)
        if edit == "mirror" and exact:
            assert (after == before[:, ::-1]).all()
        if edit == "grey":
            assert np.ptp(after, axis=2).max() <= 2
        if edit == "brighter":
            assert after.mean() > before.mean() + 10
        if edit == "hue":
            assert np.abs(after.max(axis=2) - before.max(axis=2)).mean() < 3 < np.abs(after - before).mean()
        if edit in ("recompressed", "blur", "mark", "rotated"):
            assert 0 < np.abs(after - before).mean() < 40
        if edit == "mark":
            assert (np.abs(after - before).max(axis=2) > 12).mean() < 0.08


def test_a_failure_leaves_the_earlier_probes_whole(workspace, monkeypatch):
    before = content(probes.write(workspace, count=COUNT))

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(probes.lookalikes, "choose", lambda *_, **__: fail())
    with pytest.raises(MemoryError):
        probes.write(workspace, count=COUNT, seed=1)
    assert content(probes.folder(workspace)) == before


def test_a_file_that_is_gone_is_passed_over(workspace):
    probes.write(workspace, count=COUNT)
    row = workspace.images(["root", "path"]).slice(made(workspace)[0]["image_id"], 1).to_pylist()[0]
    lost = made(workspace)[0]["image_id"]
    workspace.image_file(row["root"], row["path"]).unlink()
    probes.write(workspace, count=COUNT)
    assert lost not in {row["image_id"] for row in made(workspace)}
    assert len(made(workspace)) == COUNT


def test_impossible_requests_say_why(workspace, tmp_path):
    with pytest.raises(ArgumentError, match="0 probes"):
        probes.write(workspace, count=0)
    for name in ("ant", "bee", "<i>cow"):
        for path in (tmp_path / "pictures" / name).iterdir():
            path.write_bytes(b"")
    with pytest.raises(CurationError, match="no usable picture"):
        probes.write(workspace)
    assert not (probes.folder(workspace) / "pictures").exists()


def test_planted_pairs_name_images_of_both_workspaces(workspace):
    inner = plant(workspace)
    pairs = probes.planted(workspace).to_pylist()
    assert Counter(row["truth"] for row in pairs) == {"duplicate": COUNT, "different": COUNT}
    paths = inner.images(["path"])["path"].to_pylist()
    by_path = {row["path"]: row for row in made(workspace)}
    for row in pairs:
        column = "image_id" if row["truth"] == "duplicate" else "lookalike"
        assert by_path[paths[row["image_b"]]][column] == row["image_a"]
    names = set(inner.images(["class_name"])["class_name"].to_pylist())
    assert names == {"ant", "bee", "<i>cow"}


def test_recall_counts_proposals_and_duplicates_by_edit(workspace):
    plant(workspace)
    pairs = of_truth(workspace, "duplicate")
    blurred = [(row["image_a"], row["image_b"]) for row in pairs if row["edit"] == "blur"]
    found = {(row["image_a"], row["image_b"]): "duplicate" for row in pairs if row["edit"] != "blur"}
    others = [row for row in of_truth(workspace, "different") if row["edit"] in ("hue", "mark")]
    wrong = {(row["image_a"], row["image_b"]): "duplicate" for row in others}
    find(workspace, found | wrong | {blurred[0]: "candidate"})
    table = {row["edit"]: row for row in probes.recall(workspace).to_pylist()}
    assert list(table) == [*edits.EDITS, "all"]
    assert [table["blur"][key] for key in ("planted", "proposed", "duplicates", "recall")] == [2, 1, 0, 0.0]
    assert [table["hue"][key] for key in ("planted", "proposed", "duplicates", "recall")] == [2, 2, 2, 1.0]
    assert {edit: row["alarms"] for edit, row in table.items() if row["alarms"]} == {"hue": 2, "mark": 2, "all": 4}
    whole = table["all"]
    assert whole["lookalikes"] == COUNT
    assert [whole[key] for key in ("planted", "proposed", "duplicates")] == [COUNT, COUNT - 1, COUNT - 2]
    exact = binomtest(COUNT - 2, COUNT).proportion_ci(0.95, method="exact")
    assert (whole["low"], whole["high"]) == pytest.approx((exact.low, exact.high))


def test_probes_go_through_the_pipeline_and_the_search(workspace):
    pipeline.plant_probes(workspace, count=COUNT, workers=1)
    assert len(of_truth(workspace, "duplicate")) == COUNT
    search.find(workspace, metrics=["phash"], geometry=False, workers=1)
    table = {row["edit"]: row for row in probes.recall(workspace).to_pylist()}
    assert table["half-size"]["proposed"] == table["mirror"]["proposed"] == 2
    assert probes.searched(workspace)


def test_recall_is_unknown_when_the_search_did_not_look_at_the_probes(workspace):
    assert len(probes.recall(workspace)) == 0
    plant(workspace)
    assert probes.recall(workspace)["recall"].null_count == 13
    find(workspace, {}, references={})
    assert probes.recall(workspace)["proposed"].null_count == 13
    find(workspace, {})
    assert set(probes.recall(workspace)["recall"].to_pylist()) == {0.0}
    plant(workspace, seed=26)  # since the search
    assert probes.recall(workspace)["recall"].null_count == 13


def test_an_original_that_changed_is_no_longer_planted(workspace):
    plant(workspace)
    changed = of_truth(workspace, "duplicate")[0]["image_a"]
    row = workspace.images(["root", "path"]).slice(changed, 1).to_pylist()[0]
    draw(999, (96, 72)).save(workspace.image_file(row["root"], row["path"]))
    ingest.read(workspace, workers=1)
    assert changed not in {row["image_a"] for row in probes.planted(workspace).to_pylist()}
    assert len(of_truth(workspace, "duplicate")) == COUNT - 1


def test_reviewers_are_scored_on_planted_pairs_only(workspace):
    plant(workspace)
    copies, others = of_truth(workspace, "duplicate"), of_truth(workspace, "different")
    for pair in copies[:4]:
        say(workspace, "anna", pair, "duplicate")
    say(workspace, "anna", others[0], "different")
    say(workspace, "anna", others[1], "related")
    say(workspace, "anna", others[2], "unsure")
    say(workspace, "ben", copies[0], "duplicate")
    say(workspace, "ben", copies[0], "different")  # changed his mind
    say(workspace, "ben", others[0], "duplicate")
    position = workspace.ledger.position()
    say(workspace, "ben", others[1], "different")
    workspace.ledger.append([Event(reviewer="cy", kind="pair", subject="0-1", verdict="duplicate")])
    anna, ben = probes.reviewers(workspace).to_pylist()
    names = ("reviewer", "judged", "right", "copies", "copies_right", "unsure")
    assert [anna[name] for name in names] == ["anna", 6, 6, 4, 4, 1]
    assert [ben[name] for name in names] == ["ben", 3, 1, 1, 0, 0]
    assert anna["rate"] == 1
    assert anna["low"] == pytest.approx(binomtest(6, 6).proportion_ci(0.95, "exact").low)
    assert probes.reviewers(workspace, until=position).to_pylist()[1]["judged"] == 2


def test_an_adjudicated_look_alike_is_left_out(workspace):
    plant(workspace)
    pair = of_truth(workspace, "different")[0]
    say(workspace, "anna", pair, "duplicate")
    assert probes.reviewers(workspace)["judged"].to_pylist() == [1]
    say(workspace, "ben", pair, "duplicate", kind="pair.final")
    assert len(probes.reviewers(workspace)) == 0


def test_verdicts_on_earlier_probes_do_not_count_for_new_ones(workspace):
    inner = plant(workspace)
    before = of_truth(workspace, "duplicate")
    say(workspace, "anna", before[0], "duplicate")
    plant(workspace, seed=26)
    after = of_truth(workspace, "duplicate")
    assert not {row["image_b"] for row in before} & {row["image_b"] for row in after}
    assert len(probes.reviewers(workspace)) == 0
    assert pc.sum(pc.equal(inner.images(["status"])["status"].cast(pa.string()), "gone")).as_py() == COUNT
