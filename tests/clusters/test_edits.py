"""What a person does to clusters: each act is one event, checked before it is written."""

import numpy as np
import pytest

from curation import derived
from curation.clusters import edits, kmeans
from curation.errors import CurationError


@pytest.fixture
def ready(animals):
    kmeans.cluster(animals, features="f", workers=1)
    return animals


def state(workspace, class_name="ant"):
    table = derived.clusters(workspace, "f", class_name=class_name)
    return dict(zip(table["image_id"].to_pylist(), table["cluster"].to_pylist(), strict=True))


def members(workspace, cluster, class_name="ant"):
    return [image for image, number in state(workspace, class_name).items() if number == cluster]


def test_rename(ready):
    event = edits.rename(ready, "f", "ant", 1, "  from \n above ", reviewer="ada", note="clear", shown={"rows": [1]})
    assert (event.kind, event.subject, event.verdict) == ("cluster.name", "f/1/ant", "from above")
    stored = ready.ledger.events("cluster.name")[0]
    assert (stored.reviewer, stored.note, stored.shown) == ("ada", "clear", {"rows": [1]})
    assert derived.cluster_labels(ready, "f") == {("ant", 1): "from above"}
    edits.rename(ready, "f", "ant", 1, "", reviewer="ada")
    assert derived.cluster_labels(ready, "f") == {}


def test_merge_goes_into_the_largest_unless_told(ready):
    before = [members(ready, c) for c in range(6)]
    event = edits.merge(ready, "f", "ant", [4, 2, 5], reviewer="ada")
    assert (event.subject, event.data["clusters"]) == ("f/2/ant", [4, 5])
    assert members(ready, 2) == sorted(before[2] + before[4] + before[5])
    edits.merge(ready, "f", "ant", [0], into=3, reviewer="ada")
    assert members(ready, 3) == sorted(before[0] + before[3])
    assert sorted(set(state(ready).values())) == [1, 2, 3]


def test_split_gives_new_numbers_and_new_distances(ready):
    before = members(ready, 0)
    event = edits.split(ready, "f", "ant", 0, parts=3, reviewer="ada")
    assert event.subject == "f/0/ant"
    assert sorted(event.data["parts"]) == ["6", "7", "8"]
    sizes = [len(members(ready, c)) for c in (6, 7, 8)]
    assert sizes == sorted(sizes, reverse=True)
    assert sorted(image for c in (6, 7, 8) for image in members(ready, c)) == before
    table = derived.clusters(ready, "f", class_name="ant")
    recorded = dict(zip(event.data["parts"]["7"], event.data["distances"]["7"], strict=True))
    for image, distance in zip(table["image_id"].to_pylist(), table["distance"].to_pylist(), strict=True):
        if image in recorded:
            assert distance == pytest.approx(recorded[image])


def test_split_is_the_same_for_the_same_seed(ready):
    first = edits.split(ready, "f", "ant", 0, seed=4, reviewer="ada")
    ready.ledger.undo(first.event_id, reviewer="ada")
    again = edits.split(ready, "f", "ant", 0, seed=4, reviewer="bob")
    assert [*again.data["parts"].values()] == [*first.data["parts"].values()]


def test_numbers_are_never_used_again(ready):
    first = edits.split(ready, "f", "ant", 0, reviewer="ada")
    ready.ledger.undo(first.event_id, reviewer="ada")
    second = edits.split(ready, "f", "ant", 0, reviewer="ada")
    assert (sorted(first.data["parts"]), sorted(second.data["parts"])) == (["6", "7"], ["8", "9"])
    edits.merge(ready, "f", "ant", [8, 9], reviewer="ada")
    assert sorted(edits.split(ready, "f", "ant", 1, reviewer="ada").data["parts"]) == ["10", "11"]


def test_two_splits_in_the_same_moment(ready, monkeypatch):
    edits.split(ready, "f", "ant", 0, reviewer="ada")
    before = state(ready)
    monkeypatch.setattr(derived, "highest_number", lambda *_: 5)  # what the other session saw
    with pytest.raises(CurationError, match="somebody else changed the clusters of class 'ant'"):
        edits.split(ready, "f", "ant", 1, reviewer="bob")
    assert state(ready) == before
    assert derived.ignored_events(ready, "f") == 0


def test_move(ready):
    images = members(ready, 0)[:3]
    event = edits.move(ready, "f", "ant", [*images, images[0]], to=5, reviewer="ada")
    assert (event.subject, event.data["images"]) == ("f/5/ant", images)
    assert {state(ready)[image] for image in images} == {5}
    table = derived.clusters(ready, "f", class_name="ant")
    unmeasured = [
        i for i, d in zip(*(table[c].to_pylist() for c in ("image_id", "distance")), strict=True) if d is None
    ]
    assert unmeasured == images


def test_an_act_sent_twice_happens_once(ready):
    first = edits.merge(ready, "f", "ant", [0, 1], reviewer="ada", event_id="page-7")
    assert (
        edits.merge(ready, "f", "ant", [0, 1], reviewer="ada", event_id="page-7")
        == (ready.ledger.events("cluster.merge")[0])
    )
    assert first.event_id == "page-7"
    assert len(ready.ledger.events("cluster.merge")) == 1


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda w: edits.rename(w, "f", "ant", 9, "x", reviewer="a"),
            "class 'ant' has no cluster 9: its 6 clusters are 0, 1",
        ),
        (lambda w: edits.rename(w, "f", "cow", 0, "x", reviewer="a"), "class 'cow' has 0 images in clusters 'f'"),
        (lambda w: edits.rename(w, "g", "ant", 0, "x", reviewer="a"), "there are no clusters 'g'"),
        (lambda w: edits.rename(w, "f", "ant", 0, "x" * 81, reviewer="a"), "81 characters, and 80"),
        (lambda w: edits.merge(w, "f", "ant", [2, 2], reviewer="a"), "1 clusters of class 'ant' were chosen"),
        (lambda w: edits.merge(w, "f", "ant", [], reviewer="a"), "0 clusters of class 'ant' were chosen"),
        (lambda w: edits.merge(w, "f", "ant", [2, 9], reviewer="a"), "no cluster 9"),
        (lambda w: edits.merge(w, "f", "ant", [2], into=8, reviewer="a"), "no cluster 8"),
        (lambda w: edits.split(w, "f", "dog", 0, reviewer="a"), "cluster 0 of class 'dog' has 1 images"),
        (lambda w: edits.split(w, "f", "ant", 0, parts=1, reviewer="a"), "cannot be split into 1 parts"),
        (
            lambda w: edits.move(w, "f", "ant", [3, 95, 96], to=0, reviewer="a"),
            "2 of 3 images .* 90 .*, image 95 first",
        ),
        (lambda w: edits.move(w, "f", "ant", [], to=0, reviewer="a"), "0 of 0 images"),
        (lambda w: edits.move(w, "f", "ant", [3], to=7, reviewer="a"), "no cluster 7"),
    ],
)
def test_what_cannot_be_is_said_and_not_written(ready, act, message):
    with pytest.raises(CurationError, match=message):
        act(ready)
    assert ready.ledger.position() == 0


def test_a_cluster_of_equal_features_cannot_be_split(make, paths, points):
    workspace = make(paths(ant=30), np.repeat(points(2, 4), 15, axis=0))
    kmeans.cluster(workspace, features="f", workers=1)
    with pytest.raises(CurationError, match="15 images have 1 distinct features"):
        edits.split(workspace, "f", "ant", 0, reviewer="ada")
