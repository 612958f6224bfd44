"""ImageNetV2's record of near duplicates into the ledger and out again."""

from __future__ import annotations

import json

import pytest
from paired import build, refer, say
from pictures import draw

from curation import exclusions
from curation.duplicates import published
from curation.errors import ArgumentError, CurationError
from curation.formats import imagenetv2_state
from curation.formats.imagenetv2_state import BLACKLIST, NEAR_DUPLICATES, OVERRIDES, REVIEWS
from curation.images import ingest
from curation.survivors import bursts, components, resolution
from curation.workspace import Workspace

VAL = "ILSVRC2012_val_00000001.JPEG"
NAMES = [*"abcdefgh", VAL[:-5], "n01440764_18"]
PATHS = [*(f"x/{name}.jpg" for name in "abcdefgh"), f"val/{VAL}", "train/n01440764_18.JPEG"]


def look(references, reviewer="becca", date="2018-08-26 18:51:00.765547", **more):
    return {"reviewer": reviewer, "date": date, "references": references, **more}


STATE = {
    NEAR_DUPLICATES: {"a": ["b", "c"], "b": ["a"], "d": [VAL, "a", "d"], "e": ["f"], "h": ["g"]},
    REVIEWS: {
        "b": {"fc7": look(["a", "e"]), "l2": look(["c", VAL], "ludwig", "2018-09-01 00:00:00.5", threshold=10)},
        "a": {"dssim": look(["b", "h"], "ludwig", "2018-10-01 10:00:00")},
    },
    OVERRIDES: ["f"],
    BLACKLIST: {"g": "a drawing", "unseen": "Too big"},
}


@pytest.fixture
def directory(tmp_path):
    """directory(**changes by file name) -> a folder of the four files, written as the program that they are of does."""

    def write(changes=None):
        folder = tmp_path / "metadata"
        folder.mkdir(exist_ok=True)
        for name, value in (STATE | (changes or {})).items():
            (folder / name).write_text(json.dumps(value, indent=2) + ("\n" if name == OVERRIDES else ""))
        return folder

    return write


@pytest.fixture
def workspace(tmp_path):
    return build(tmp_path / "w", len(PATHS), path=PATHS)


def same(out, folder, names=(NEAR_DUPLICATES, REVIEWS)):
    return all((out / name).read_bytes() == (folder / name).read_bytes() for name in names)


def pairs(workspace):
    events = workspace.ledger.events("pair")
    return {e.subject: (e.verdict, e.reviewer, e.data) for e in events}


def test_what_the_files_say_becomes_events(workspace, directory):
    result = published.import_reviews(workspace, directory())
    counts = {key: result[key] for key in ("edges", "duplicates", "different", "reviews", "overrides", "blacklist")}
    assert counts == {"edges": 8, "duplicates": 6, "different": 4, "reviews": 3, "overrides": 1, "blacklist": 1}
    assert (result["events"], result["new_events"], result["added"], result["set_aside"]) == (16, 16, 0, 1)
    assert pairs(workspace) == {
        "0-1": ("duplicate", "ludwig", {"listed": "both"}),
        "0-2": ("duplicate", "imported", {"listed": "ab"}),
        "0-3": ("duplicate", "imported", {"listed": "ba"}),
        "3-8": ("duplicate", "imported", {"listed": "ab"}),
        "4-5": ("duplicate", "imported", {"listed": "ab"}),
        "6-7": ("duplicate", "imported", {"listed": "ba"}),
        "1-4": ("different", "becca", {}),
        "1-2": ("different", "ludwig", {}),
        "1-8": ("different", "ludwig", {}),
        "0-7": ("different", "ludwig", {}),
    }
    times = {e.subject: e.time for e in workspace.ledger.events("pair")}
    assert times["0-1"] == "2018-10-01T10:00:00.000+00:00"
    review = next(e for e in workspace.ledger.events("review") if e.subject == "1/l2")
    assert (review.reviewer, review.verdict) == ("ludwig", "reviewed")
    assert review.data == {"references": ["2", "8"], "date": "2018-09-01 00:00:00.5", "threshold": 10}
    assert [(e.subject, e.verdict) for e in workspace.ledger.events("survivor")] == [("5", "keep")]
    assert [(e.subject, e.note) for e in workspace.ledger.events("exclude")] == [("6", "a drawing")]
    assert result["notes"] == [
        "1 images are near duplicates of themselves, which says nothing; kept for the way out: d",
        "1 images of the blacklist are not in the workspace: unseen",
    ]


def test_the_way_out_gives_the_same_bytes(workspace, directory, tmp_path):
    folder = directory()
    published.import_reviews(workspace, folder)
    result = published.export_reviews(workspace, tmp_path / "out")
    assert same(tmp_path / "out", folder, (NEAR_DUPLICATES, REVIEWS, OVERRIDES))
    assert json.loads((tmp_path / "out" / BLACKLIST).read_text()) == {"g": "a drawing"}
    assert (result["edges"], result["reviews"], result["overrides"], result["blacklist"]) == (8, 3, 1, 1)
    assert result["left_out"] == []


def test_lists_that_are_not_sorted_stay_so(workspace, directory, tmp_path):
    folder = directory({NEAR_DUPLICATES: {"a": ["c", "b"], "b": ["h", "e", "g"]}})
    published.import_reviews(workspace, folder)
    published.export_reviews(workspace, tmp_path / "out")
    assert same(tmp_path / "out", folder)
    say(workspace, "pair", "1-5", "duplicate")
    say(workspace, "pair.final", "1-4", "different")
    published.export_reviews(workspace, tmp_path / "more")
    assert json.loads((tmp_path / "more" / NEAR_DUPLICATES).read_text())["b"] == ["h", "g", "f"]


def test_twice_changes_nothing(workspace, directory):
    folder = directory()
    published.import_reviews(workspace, folder)
    position = workspace.ledger.position()
    undone = workspace.ledger.events("pair")[0]
    workspace.ledger.undo(undone.event_id, reviewer="anna")
    assert published.import_reviews(workspace, folder)["new_events"] == 0
    assert workspace.ledger.position() == position + 1
    assert undone.subject not in pairs(workspace)


def test_decisions_made_here_go_out_too(workspace, directory, tmp_path):
    published.import_reviews(workspace, directory())
    say(workspace, "pair", "8-9", "duplicate")  # both of ImageNet
    say(workspace, "pair", "2-8", "duplicate")
    say(workspace, "pair", "3-9", "duplicate")
    say(workspace, "pair", "2-7", "duplicate")
    say(workspace, "pair.final", "0-2", "related")
    say(workspace, "survivor", "2", "keep")
    say(workspace, "exclude", "0", "exclude", note="blurred")
    say(workspace, "exclude", "8", "exclude")  # no candidate
    result = published.export_reviews(workspace, tmp_path / "out")
    assert result["left_out"] == [f"{VAL} - n01440764_18.JPEG"]
    state = imagenetv2_state.read(tmp_path / "out")
    assert state.near_duplicates == {
        "a": ["b"],
        "b": ["a"],
        "c": [VAL, "h"],
        "d": [VAL, "a", "d", "n01440764_18.JPEG"],
        "e": ["f"],
        "h": ["g"],
    }
    assert state.overrides == ["f", "c"]
    assert state.blacklist == {"a": "blurred", "g": "a drawing"}


def test_nothing_is_written_over(workspace, directory, tmp_path):
    folder = directory()
    published.import_reviews(workspace, folder)
    with pytest.raises(ArgumentError, match=f"{NEAR_DUPLICATES} and {REVIEWS} already"):
        published.export_reviews(workspace, folder)
    published.export_reviews(workspace, folder, overwrite=True)


def test_unknown_names_are_an_error_and_nothing_is_changed(workspace, directory):
    near = {"a": ["b"], "u1": ["a", "u2"], "u3": ["u4", "u5", "u6"]}
    folder = directory({NEAR_DUPLICATES: near})
    with pytest.raises(CurationError, match=r"lack 6 of them \(u1, u3, u2, u4, u5, \.\.\.\)"):
        published.import_reviews(workspace, folder)
    assert workspace.ledger.count() == 0


def test_a_name_of_two_images_is_an_error(tmp_path, directory):
    workspace = build(tmp_path / "w", 11, path=[*PATHS, "y/a.png"])
    with pytest.raises(CurationError, match=r"2 images called 'a': 0 \(x/a.jpg\) and 10 \(y/a.png\)"):
        published.import_reviews(workspace, directory())


def test_a_row_whose_file_is_gone_gives_way(tmp_path, directory):
    status = ["gone", *["ok"] * 10]
    workspace = build(tmp_path / "w", 11, path=[*PATHS, "y/a.png"], status=status)
    published.import_reviews(workspace, directory())
    assert "1-10" in pairs(workspace)


def test_a_name_of_two_images_has_no_way_out(tmp_path):
    workspace = build(tmp_path / "w", 3, path=["x/a.jpg", "y/a.jpg", "b.jpg"])
    say(workspace, "pair", "0-2", "duplicate")
    published.export_reviews(workspace, tmp_path / "out")
    say(workspace, "pair", "1-2", "duplicate")
    with pytest.raises(CurationError, match="images 0 and 1 are both called 'a'"):
        published.export_reviews(workspace, tmp_path / "more")


def test_images_of_reference_sets(tmp_path, directory):
    workspace = build(tmp_path / "w", 6, path=PATHS[:6])
    refer(workspace, "imagenet", 3, path=[PATHS[6], PATHS[9], PATHS[8]])
    refer(workspace, "other", 2, path=[PATHS[7], PATHS[8]])
    folder = directory({OVERRIDES: ["g", "f"], BLACKLIST: {"g": "a drawing"}})
    result = published.import_reviews(workspace, folder)
    said = pairs(workspace)
    assert said["3-imagenet:2"] == ("duplicate", "imported", {"listed": "ab"})
    assert said["0-other:0"] == ("different", "ludwig", {})
    assert [e.subject for e in workspace.ledger.events("survivor")] == ["5"]
    assert "1 pairs lie within reference sets and are no verdicts; kept for the way out: g - h" in result["notes"]
    published.export_reviews(workspace, tmp_path / "out")
    assert same(tmp_path / "out", folder)
    state = imagenetv2_state.read(tmp_path / "out")
    assert (sorted(state.overrides), state.blacklist) == (["f", "g"], {"g": "a drawing"})
    members = resolution.resolve(workspace).members.to_pylist()
    assert [m["image_id"] for m in members if m["survives"] and not m["reference"]] == [5]


def test_a_reference_set_out_of_reach_has_no_way_out(tmp_path, directory):
    workspace = build(tmp_path / "w", 6, path=PATHS[:6])
    there = refer(workspace, "imagenet", 3, path=[PATHS[6], PATHS[9], PATHS[8]])
    say(workspace, "pair", "3-imagenet:2", "duplicate")
    there.path.rename(tmp_path / "away")
    with pytest.raises(CurationError, match="reference set 'imagenet' is not there"):
        published.export_reviews(workspace, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_contradictions_are_told_with_names(workspace, directory):
    say(workspace, "pair.final", "0-2", "different", reviewer="ben")
    say(workspace, "pair", "4-5", "related", reviewer="ben")
    say(workspace, "pair", "1-4", "duplicate", reviewer="ben")
    result = published.import_reviews(workspace, directory({OVERRIDES: ["h", "g"], BLACKLIST: {}}))
    assert "1 pairs are duplicate by the files and different here: a - c" in result["notes"]
    assert "1 pairs are duplicate by the files and contested here: e - f" in result["notes"]
    assert "1 pairs are different by the files and contested here: b - e" in result["notes"]
    assert any("2 images of one component must survive" in note and "(g)" in note for note in result["notes"])
    assert len(workspace.ledger.events("survivor")) == 2  # nothing is lost


def test_bursts_come_from_search_results(workspace, directory, tmp_path):
    folder = directory()
    (tmp_path / "search_results").mkdir()
    ids = {"a": "1", "c": "1", "b": "2", "e": "2", "elsewhere": "2"}
    records = [{"id_ours": n, "wnid": "n01440764", "url": "u", "id_search_engine": i} for n, i in ids.items()]
    (tmp_path / "search_results" / "1.json").write_text(json.dumps(records))
    assert published.import_reviews(workspace, folder)["bursts"] == 4
    assert bursts.read(workspace).to_pydict() == {"image_id": [0, 1, 2, 4], "burst": ["1", "2", "1", "2"]}


@pytest.fixture
def empty(tmp_path) -> Workspace:
    (tmp_path / "pictures").mkdir()
    return Workspace.create(tmp_path / "e", roots={"images": tmp_path / "pictures"})


def test_names_may_come_before_their_pictures(empty, directory, tmp_path):
    (tmp_path / "datasets").mkdir()
    dataset = {"image_filenames": [["a", "n01440764"], [VAL, "n01443537"]]}
    (tmp_path / "datasets" / "d.json").write_text(json.dumps(dataset))
    folder = directory()
    result = published.import_reviews(empty, folder, add_missing=True)
    assert (result["added"], result["blacklist"], result["set_aside"]) == (10, 2, 0)
    rows = {row["path"]: row for row in empty.images().to_pylist()}
    assert {row["status"] for row in rows.values()} == {"gone"}
    assert {row["reason"] for row in rows.values()} == {"known by name only"}
    assert (rows["a.jpg"]["class_name"], rows["b.jpg"]["class_name"], rows[VAL]["class_name"]) == (
        "n01440764",
        "",
        "n01443537",
    )
    published.export_reviews(empty, tmp_path / "out")
    assert same(tmp_path / "out", folder, tuple(STATE))
    assert published.import_reviews(empty, folder, add_missing=True)["new_events"] == 0
    assert exclusions.exclusions(empty, duplicates="verdicts").num_rows == 2  # what people excluded


def test_a_picture_that_comes_later_takes_its_row(empty, directory, tmp_path):
    published.import_reviews(empty, directory(), add_missing=True)
    known = empty.images(["path"])["path"].to_pylist()
    for i, name in enumerate(("b.jpg", "c.jpg", "z.jpg")):
        (tmp_path / "pictures" / "ant").mkdir(exist_ok=True)
        draw(i).save(tmp_path / "pictures" / name)
    table = tmp_path / "labels.csv"
    table.write_text("path,label\nb.jpg,ant\nc.jpg,ant\nz.jpg,bee\n")
    result = ingest.read(empty, table=table, workers=1)
    assert (result["back"], result["new"], result["gone"]) == (2, 1, len(known) - 2)
    images = empty.images()
    assert images["path"].to_pylist() == [*known, "z.jpg"]
    row = images.to_pylist()[known.index("b.jpg")]
    assert (row["status"], row["class_name"], row["reason"]) == ("ok", "ant", "")
    assert empty.classes()["class_name"].to_pylist() == ["ant", "bee"]
    assert ingest.counts(empty).num_rows == 3
    gone = exclusions.exclusions(empty)
    why = dict(zip([known[i] for i in gone["image_id"].to_pylist()], gone["reason"].to_pylist(), strict=True))
    a, b = known.index("a.jpg"), known.index("b.jpg")
    assert why == {
        "c.jpg": f"near duplicate of image {b} by way of image {a} (ruled by imported)",
        "g.jpg": "excluded by imported: a drawing",
        "unseen.jpg": "excluded by imported: Too big",
    }


def test_a_name_whose_picture_never_came_stays_known_by_name(empty, directory, tmp_path):
    published.import_reviews(empty, directory(), add_missing=True)
    draw(0).save(tmp_path / "pictures" / "b.jpg")
    (tmp_path / "labels.csv").write_text("path,label\nb.jpg,ant\n")
    ingest.read(empty, table=tmp_path / "labels.csv", workers=1)
    ingest.read(empty, workers=1)
    members = resolution.resolve(empty, policy="first").members.to_pylist()
    paths = empty.images(["path"])["path"].to_pylist()
    by_path = {paths[m["image_id"]]: m for m in members}
    assert by_path["b.jpg"]["survives"]
    assert by_path["f.jpg"]["survives"]  # the override, without a picture


def test_the_published_record(empty, shared_data, tmp_path):
    """All of ImageNetV2's record: byte for byte through the ledger, and its components."""
    source = shared_data / "imagenetv2"
    result = published.import_reviews(empty, source, add_missing=True)
    counts = [result[key] for key in ("edges", "duplicates", "different", "reviews", "added", "events", "new_events")]
    assert counts == [16361, 14521, 48142, 8019, 58498, 102021, 102021]
    published.export_reviews(empty, tmp_path / "out")
    assert same(tmp_path / "out", source / "metadata", (NEAR_DUPLICATES, REVIEWS, OVERRIDES, BLACKLIST))

    state = imagenetv2_state.read(source)
    found = resolution.resolve(empty, policy="published")
    summary = resolution.summary(empty, found)
    assert (summary["components"], summary["images"], summary["largest"]) == (4444, 17805 + 111, 396)
    assert [summary["sizes"][size] for size in (2, 3, 4)] == [2586, 742, 334]
    assert len(summary["giants"]) == sum(n for size, n in summary["sizes"].items() if size > 20)
    members = found.members.to_pandas()
    paths = empty.images(["path"])["path"].to_pandas()[members["image_id"]]
    members["name"] = paths.str.removesuffix(".jpg").to_numpy()
    members["imagenet"] = components.imagenet(members["name"])
    of = members.groupby("component")
    assert int(of["imagenet"].any().sum()) == 106
    assert not members[~members["imagenet"] & of["imagenet"].transform("any")]["survives"].any()
    candidates = members[~members["imagenet"]]
    whole = members[~of["imagenet"].transform("any")]
    barred = whole["name"].isin(state.blacklist).groupby(whole["component"]).all()
    # One candidate stays of every component without ImageNet, unless all of it is on the blacklist.
    assert int((~candidates["survives"]).sum()) == 13467 + int(barred.sum())
    assert candidates.set_index("name").loc[state.overrides[0], "survives"]
