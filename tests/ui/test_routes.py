"""HTTP routes: pictures, decisions, points, scripts, downloads."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from pictures import draw
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from curation import files, leases, policies, references
from curation.images import ingest
from curation.ui import recent, routes
from curation.ui.components import base, scatter
from curation.workspace import MAPS, Workspace


def batch(*events, client="browser-1", reviewer="anna"):
    return {"client": client, "reviewer": reviewer, "events": [{"seq": i + 1, **e} for i, e in enumerate(events)]}


FLAG = {"kind": "flag", "subject": "3", "verdict": "flag"}


@pytest.fixture
def door(workspace) -> str:
    return f"/api/{workspace.key}/events"


# -- pictures


def test_a_thumbnail_is_small_and_kept_forever(client, workspace):
    answer = client.get(f"/img/{workspace.key}/thumb/3.webp?v=1")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    assert "immutable" in answer.headers["cache-control"]
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.size == (48, 40)


def test_a_thumbnail_without_a_version_is_not_kept_forever(client, workspace):
    assert "immutable" not in client.get(f"/img/{workspace.key}/thumb/3.webp").headers["cache-control"]


def test_a_picture_that_cannot_be_shown_says_so(client, workspace):
    table = workspace.images(["path", "status"])
    broken = table["status"].to_pylist().index("broken")
    for path in (f"thumb/{broken}", "thumb/999", "huge/3", "thumb/99999999999999999999"):
        answer = client.get(f"/img/{workspace.key}/{path}.webp?v=1")
        assert answer.status_code == 404
        assert "cannot be shown" in answer.text
        assert "immutable" not in answer.headers["cache-control"]


def test_a_missing_file_is_asked_for_again_once_it_is_back(client, workspace, picture_tree):
    path = picture_tree / workspace.images(["path"])["path"][3].as_py()
    kept = path.read_bytes()
    path.unlink()
    assert client.get(f"/img/{workspace.key}/mid/3.webp?v=1").status_code == 404
    path.write_bytes(kept)
    assert client.get(f"/img/{workspace.key}/mid/3.webp?v=1").status_code == 200


@pytest.mark.parametrize("name", ["nowhere", "..", "%2e%2e", "..%2f..%2fetc"])
def test_only_listed_workspaces_are_served(client, workspace, name):
    for path in ("img/{}/thumb/3.webp", "details/{}/3.json", "points/{}/m.bin", "exports/{}/x.zip"):
        assert client.get("/" + path.format(name)).status_code == 404
    assert client.post(f"/api/{name}/events", json=batch(FLAG)).status_code == 404
    recent.forget(workspace.key)
    assert client.get(f"/img/{workspace.key}/thumb/4.webp?v=forgotten").status_code == 404


def test_details_tell_what_is_known(client, workspace):
    known = client.get(f"/details/{workspace.key}/3.json").json()
    assert known["class_name"] == "ant"
    assert (known["width"], known["height"]) == (48, 40)
    assert len(known["sha256"]) == 64
    assert "21 images" in client.get(f"/details/{workspace.key}/21.json").json()["error"]


@pytest.fixture
def compared(workspace, tmp_path):
    """The reference sets `other` and `probes`, of three pictures each, the latter with names that betray them."""
    for name in ("other", "probes"):
        folder = tmp_path / name / "ant"
        folder.mkdir(parents=True)
        for i in range(3):
            draw(500 + 10 * len(name) + i).resize((31, 37)).save(folder / f"blurred-{i}.png")
        inner = Workspace.create(tmp_path / f"{name}-workspace", roots={"p": tmp_path / name})
        ingest.read(inner, workers=1)
        references.register(workspace, inner.path, name=name, probes=name == "probes")
    return workspace


def test_pictures_of_a_reference_set_come_from_there_and_are_kept_here(client, compared):
    other = references.listing(compared)["other"]
    before = {path: path.stat().st_mtime_ns for path in other.path.rglob("*")}
    kept = set(compared.path.rglob("*.webp"))
    answer = client.get(f"/img/{compared.key}/other/thumb/1.webp?v=1")
    assert "immutable" in answer.headers["cache-control"]
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.size == (31, 37)
    assert client.get(f"/img/{compared.key}/thumb/1.webp?v=1").content != answer.content
    assert {path: path.stat().st_mtime_ns for path in other.path.rglob("*")} == before
    assert len(set(compared.path.rglob("*.webp")) - kept) == 2
    for path in ("nothing/thumb/1", "other/thumb/3", "..%2fother/thumb/1", "other/huge/1"):
        assert client.get(f"/img/{compared.key}/{path}.webp").status_code == 404


def test_details_of_a_reference_picture_and_of_a_probe(client, compared):
    known = client.get(f"/details/{compared.key}/other/1.json").json()
    assert (known["path"], known["width"]) == ("ant/blurred-1.png", 31)
    told = client.get(f"/details/{compared.key}/probes/1.json")
    assert told.json()["class_name"] == "ant"
    assert "blurred" not in told.text
    assert not {"path", "root", "sha256"} & set(told.json())
    assert client.get(f"/details/{compared.key}/nothing/1.json").status_code == 404
    assert "3 images" in client.get(f"/details/{compared.key}/probes/3.json").json()["error"]


def test_pairs_with_a_reference_set_are_taken_and_checked(client, compared, door):
    for subject, status in (("20-other:2", 200), ("20-probes:0", 200), ("21-other:2", 422), ("20-other:3", 422)):
        event = {"kind": "pair", "subject": subject, "verdict": "related"}
        assert client.post(door, json=batch(event, client=f"browser-{subject[:2]}-x")).status_code == status
    bad = {"kind": "pair", "subject": "20-other:02", "verdict": "related"}
    assert "is no image" in client.post(door, json=batch(bad)).json()["error"]


def test_a_verdict_gives_the_pair_back_for_which_it_was_leased(client, workspace, door):
    leases.take(workspace, "anna", ["2-7", "3-4"], 2)
    leases.take(workspace, "ben", ["5-6"], 1)
    client.post(door, json=batch({"kind": "pair", "subject": "2-7", "verdict": "related"}))
    assert leases.held(workspace) == {"3-4": ["anna"], "5-6": ["ben"]}
    client.post(door, json=batch({"kind": "undo", "subject": "browser-1:1"}, client="browser-2"))
    assert set(leases.held(workspace)) == {"2-7", "3-4", "5-6"}
    client.post(door, json=batch(FLAG, {"kind": "undo", "subject": "browser-2:1"}, client="browser-3", reviewer="ben"))
    assert set(leases.held(workspace)) == {"2-7", "3-4", "5-6"}  # what another said is not before ben's eyes


def test_kept_bytes_stay_within_their_bound():
    kept = routes.Kept(100)
    for i in range(10):
        kept.put(i, bytes(30))
        kept.get(0)
    assert kept.size == 90
    assert kept.get(0) is not None  # used last, though put first
    assert kept.get(1) is None
    kept.put(0, bytes(10))
    assert kept.size == 70


# -- decisions


def test_a_batch_that_comes_twice_is_kept_once(client, workspace, door):
    two = batch(
        FLAG, {"kind": "pair", "subject": "2-7", "verdict": "related", "shown": {"view": "blink"}, "note": "né"}
    )
    for _ in range(2):
        assert client.post(door, json=two).json() == {"ack": 2, "position": 2}
    flag, pair = workspace.ledger.events()
    assert (flag.kind, flag.subject, flag.verdict, flag.reviewer) == ("flag", "3", "flag", "anna")
    assert (flag.event_id, pair.event_id) == ("browser-1:1", "browser-1:2")
    assert (pair.shown, pair.note) == ({"view": "blink"}, "né")


def test_undo_takes_a_decision_back(client, workspace, door):
    client.post(door, json=batch(FLAG, {"kind": "undo", "subject": "browser-1:1"}))
    assert workspace.ledger.events() == []
    assert len(workspace.ledger.events(undone=True)) == 2


def test_every_kind_is_taken(client, workspace, door):
    kinds = [
        {"kind": "exclude", "subject": "0", "verdict": "include"},
        {"kind": "pair.final", "subject": "2-7", "verdict": "unsure"},
        {"kind": "survivor", "subject": "3", "verdict": "keep", "note": "sharper"},
        {"kind": "policy", "subject": "double-review", "verdict": "0.25"},
        {"kind": "policy", "subject": "survivors", "verdict": "largest"},
        {"kind": "cluster.name", "subject": "lite0/2/a/b c", "verdict": "striped"},
        {"kind": "cluster.merge", "subject": "lite0/0/ant", "verdict": "merge", "data": {"clusters": [1, 2]}},
        {"kind": "cluster.split", "subject": "lite0/0/ant", "verdict": "split", "data": {"parts": {"6": [1, 2]}}},
        {"kind": "cluster.move", "subject": "lite0/0/ant", "verdict": "move", "data": {"images": [1, 2]}},
    ]
    assert client.post(door, json=batch(*kinds)).json()["ack"] == len(kinds)
    assert [e.kind for e in workspace.ledger.events()] == [k["kind"] for k in kinds]


def test_survivors_may_be_those_of_a_source_split(client, workspace, door, monkeypatch):
    monkeypatch.setattr(policies, "source_splits", lambda of: ["val"] if of.path == workspace.path else [])
    policy = {"kind": "policy", "subject": "survivors", "verdict": "split:val"}
    assert client.post(door, json=batch(policy)).json()["ack"] == 1
    policy["verdict"] = "split:train"
    assert client.post(door, json=batch(policy, client="browser-2")).status_code == 422
    assert policies.value(workspace, "survivors") == "split:val"


BAD = [
    ({"kind": "flag", "subject": "21", "verdict": "flag"}, "ids run from 0 to 20"),
    ({"kind": "flag", "subject": "-1", "verdict": "flag"}, "is no image"),
    ({"kind": "flag", "subject": "03", "verdict": "flag"}, "is no image"),
    ({"kind": "flag", "subject": 3, "verdict": "flag"}, "subject must be a text"),
    ({"kind": "flag", "subject": "3", "verdict": "yes"}, "one of flag, clear"),
    ({"kind": "flag", "subject": "3", "verdict": "flag", "note": "x" * 4001}, "4,001 characters"),
    ({"kind": "flag", "subject": "3", "verdict": "flag", "note": "a\0b"}, "note must be a text"),
    ({"kind": "flag", "subject": "3", "verdict": "flag", "note": "\ud800"}, "note must be a text"),
    ({"kind": "flag", "subject": "3", "verdict": "flag", "shown": [1]}, "shown must be a JSON object"),
    ({"kind": "flag", "subject": "3", "verdict": "flag", "time": "1999"}, "unknown fields ['time']"),
    ({"kind": "drop table", "subject": "3"}, "unknown kind"),
    ({"kind": "pair", "subject": "7-2", "verdict": "related"}, "the smaller first"),
    ({"kind": "pair", "subject": "2-2", "verdict": "related"}, "the smaller first"),
    ({"kind": "pair", "subject": "2-21", "verdict": "related"}, "ids run from 0 to 20"),
    ({"kind": "pair", "subject": "2", "verdict": "related"}, "is no pair"),
    ({"kind": "pair", "subject": "2-other:1", "verdict": "related"}, "'other' is no reference set"),
    ({"kind": "pair.final", "subject": "7-2", "verdict": "related"}, "the smaller first"),
    ({"kind": "pair.final", "subject": "2-7", "verdict": "contested"}, "one of duplicate, related"),
    ({"kind": "survivor", "subject": "21", "verdict": "keep"}, "ids run from 0 to 20"),
    ({"kind": "survivor", "subject": "3", "verdict": "drop"}, "one of keep, release"),
    ({"kind": "policy", "subject": "colour", "verdict": "red"}, "unknown policy 'colour'"),
    ({"kind": "policy", "subject": "double-review", "verdict": "1.5"}, "a number from 0 to 1, not '1.5'"),
    ({"kind": "policy", "subject": "survivors", "verdict": "luckiest"}, "luckiest"),
    ({"kind": "policy", "subject": "survivors", "verdict": "split:nope"}, "no image is of the source split 'nope'"),
    ({"kind": "review", "subject": "3/dssim", "verdict": "reviewed"}, "unknown kind"),
    ({"kind": "undo", "subject": "x y"}, "no event id"),
    ({"kind": "cluster.name", "subject": "lite0/2", "verdict": "x"}, "is no cluster"),
    ({"kind": "cluster.name", "subject": "../2/ant", "verdict": "x"}, "is no cluster"),
    ({"kind": "cluster.name", "subject": "lite0/2/ant", "verdict": " "}, "1 to 200 characters"),
    ({"kind": "cluster.merge", "subject": "lite0/0/ant", "verdict": "merge", "data": {"clusters": [0]}}, "into itself"),
    ({"kind": "cluster.merge", "subject": "lite0/0/ant", "verdict": "merge"}, "data.clusters"),
    ({"kind": "cluster.split", "subject": "lite0/0/ant", "verdict": "split", "data": {"parts": {"x": [1]}}}, "'x'"),
    ({"kind": "cluster.move", "subject": "lite0/0/ant", "verdict": "move", "data": {"images": [1, 1]}}, "different"),
    (
        {"kind": "cluster.move", "subject": "lite0/0/ant", "verdict": "move", "data": {"images": [True]}},
        "whole numbers",
    ),
]


@pytest.mark.parametrize(("event", "said"), BAD)
def test_a_bad_decision_is_named_and_nothing_of_its_batch_kept(client, workspace, door, event, said):
    answer = client.post(door, content=json.dumps(batch(FLAG, event)), headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["seq"] == 2
    assert said in answer.json()["error"]
    assert answer.json()["error"].startswith("decision 2: ")
    assert workspace.ledger.position() == 0


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        batch(),
        batch(FLAG, client="short"),
        batch(FLAG, client="a/b/c/d/e/f"),
        batch(FLAG, reviewer=" "),
        batch(FLAG, reviewer=7),
        {"client": "browser-1", "reviewer": "anna", "events": [{**FLAG, "seq": 0}]},
        {"client": "browser-1", "reviewer": "anna", "events": [{**FLAG, "seq": "1"}]},
        {"client": "browser-1", "reviewer": "anna", "events": ["flag"]},
    ],
)
def test_a_bad_batch_is_refused(client, workspace, door, body):
    answer = client.post(door, json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]
    assert workspace.ledger.position() == 0


def test_other_sites_cannot_decide(client, workspace, door):
    strangers = [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
    ]
    for headers in strangers:
        assert client.post(door, json=batch(FLAG), headers=headers).status_code == 403
    assert workspace.ledger.position() == 0
    for headers in ({"sec-fetch-site": "same-origin"}, {"origin": "http://testserver"}):
        assert client.post(door, json=batch(FLAG), headers=headers).status_code == 200


def test_only_json_of_a_sensible_size_is_read(client, workspace, door):
    as_json = {"content-type": "application/json"}
    assert client.post(door, content="{}", headers={"content-type": "text/plain"}).status_code == 415
    assert client.post(door, content="{", headers=as_json).status_code == 400
    assert client.post(door, content="[" * 100_000, headers=as_json).status_code == 400
    assert client.post(door, content=b"\xff\xfe", headers=as_json).status_code == 400
    assert client.post(door, content=b" " * 1_000_001, headers=as_json).status_code == 413
    assert client.get(door).status_code == 405


def test_twenty_browsers_that_decide_at_once_lose_nothing(workspace, door):
    application = Starlette(routes=routes.routes)
    together = threading.Barrier(20)

    def sit(number: int) -> None:
        session = TestClient(application)
        together.wait()
        for seq in range(1, 31):
            event = {"seq": seq, "kind": "flag", "subject": str(seq % 20), "verdict": ("flag", "clear")[seq % 2]}
            body = {"client": f"browser-{number}", "reviewer": f"person {number}", "events": [event]}
            for _ in range(1 + (seq % 7 == 0)):  # some answers are lost, and the batch is sent again
                assert session.post(door, json=body).json()["ack"] == seq

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(sit, range(20)))
    kept = workspace.ledger.events("flag")
    assert len(kept) == 600
    assert {e.event_id for e in kept} == {f"browser-{n}:{s}" for n in range(20) for s in range(1, 31)}
    for number in range(20):
        mine = [int(e.event_id.partition(":")[2]) for e in kept if e.reviewer == f"person {number}"]
        assert mine == list(range(1, 31))


# -- points, scripts, downloads


@pytest.fixture
def small_map(workspace) -> np.ndarray:
    rng = np.random.default_rng(0)
    ids = np.array([0, 1, 2, 5, 9, 14, 20], np.int32)
    at = rng.normal(size=(7, 2)).astype(np.float32)
    table = pa.table({"image_id": ids, "x": at[:, 0], "y": at[:, 1]}, schema=MAPS)
    files.write_table(workspace.path / "maps" / "lite0-tsne.parquet", table)
    return at


def test_points_take_five_bytes_each(client, workspace, small_map):
    answer = client.get(f"/points/{workspace.key}/lite0-tsne.bin?colour=class&v=1")
    assert len(answer.content) == 5 * 7
    assert "immutable" in answer.headers["cache-control"]
    at = np.frombuffer(answer.content, "<u2", 14).reshape(7, 2) / 65535
    drawn = scatter.scatter(workspace, "lite0-tsne", "class")
    assert np.abs(np.array(drawn.origin) + drawn.span * at - small_map).max() < drawn.span / 65535
    group = np.frombuffer(answer.content, "u1", 7, 28)
    assert [drawn.labels[g] for g in group] == ["ant", "ant", "ant", "ant", "ant", "bee", "bee"]
    ids = client.get(f"/points/{workspace.key}/lite0-tsne.bin?colour=class&v=1&ids")
    assert np.frombuffer(ids.content, "<i4").tolist() == [0, 1, 2, 5, 9, 14, 20]


@pytest.mark.parametrize("path", ["none.bin", "lite0-tsne.bin?colour=cluster:none", "lite0-tsne.bin?colour=x", "..bin"])
def test_points_that_are_not_there(client, workspace, small_map, path):
    assert client.get(f"/points/{workspace.key}/{path}").status_code == 404


def test_scripts_come_under_their_version_with_all_that_they_import(client):
    for name in base.FILES:
        answer = client.get(f"/assets/{base.VERSION}/{name}")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        for other in re.findall(r'(?:from |sheet\()"(?:\./)?([\w.]+)"', answer.text):
            assert other in base.FILES
    assert "immutable" not in client.get("/assets/older/gallery.js").headers["cache-control"]


@pytest.mark.parametrize("name", ["base.py", "..%2froutes.py", "%2e%2e/routes.py", "nothing.js", "__init__.py"])
def test_nothing_but_scripts_is_served_as_one(client, name):
    assert client.get(f"/assets/{base.VERSION}/{name}").status_code == 404


def test_an_export_is_downloaded(client, workspace):
    (workspace.path / "exports" / "glt").mkdir(parents=True)
    (workspace.path / "exports" / "glt" / "glt.zip").write_bytes(b"zip")
    (workspace.path / "secret.zip").write_bytes(b"no")
    answer = client.get(f"/exports/{workspace.key}/glt.zip")
    assert answer.content == b"zip"
    assert 'filename="glt.zip"' in answer.headers["content-disposition"]
    for name in ("..%2fsecret", "../secret", ".glt", "missing"):
        assert client.get(f"/exports/{workspace.key}/{name}.zip").status_code == 404


def test_start_up_sets_listening_sockets_to_send_at_once_and_leaves_nothing_open(workspace):
    reading, writing = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as listening, open(reading, "rb") as end:
        assert not listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        with TestClient(Starlette(routes=routes.routes, lifespan=routes.lifespan)):
            assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        os.close(writing)
        assert end.read() == b""  # the last writer is gone; a copy left open would wait here for ever


def test_a_datasheet_is_shown_and_can_run_nothing(client, workspace):
    (workspace.path / "exports" / "glt").mkdir(parents=True)
    (workspace.path / "exports" / "glt" / "datasheet.html").write_text("<h1>glt</h1>")
    answer = client.get(f"/exports/{workspace.key}/glt/datasheet.html")
    assert (answer.status_code, answer.text) == (200, "<h1>glt</h1>")
    assert answer.headers["content-type"].startswith("text/html")
    assert "content-disposition" not in answer.headers
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert client.get(f"/exports/{workspace.key}/other/datasheet.html").status_code == 404
