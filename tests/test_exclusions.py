"""Which images are kept out of splits, and why."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paired import build, refer, say

from curation import files, references
from curation.errors import ArgumentError, CurationError
from curation.exclusions import EXCLUSIONS, exclusions
from curation.ledger import Event
from curation.workspace import Workspace


@pytest.fixture
def make(tmp_path):
    """make(sizes, pairs, status=): images of these (width, height), and pairs (a, b) or (a, b, {column: value})."""

    def built(sizes, pairs=(), status=None) -> Workspace:
        folder = tmp_path / f"w{len(list(tmp_path.iterdir()))}"
        columns = {"width": [w for w, _ in sizes], "height": [h for _, h in sizes]}
        return build(folder, len(sizes), pairs, **columns, status=status or ["ok"] * len(sizes))

    return built


def out(workspace: Workspace, **options) -> dict[int, str]:
    found = exclusions(workspace, **options)
    assert found.schema.equals(EXCLUSIONS)
    assert found["image_id"].to_pylist() == sorted(set(found["image_id"].to_pylist()))
    return dict(zip(found["image_id"].to_pylist(), found["reason"].to_pylist(), strict=True))


SAME = [(10, 10)] * 6


def test_nothing_is_out_at_first(make):
    workspace = make(SAME)
    (workspace.path / "duplicates" / "pairs.parquet").unlink()
    assert out(workspace) == {}


def test_people_exclude_and_include_again(make):
    workspace = make(SAME)
    say(workspace, "exclude", "3", "exclude", note="a drawing")
    say(workspace, "exclude", "1", "exclude", reviewer="ben")
    assert out(workspace) == {1: "excluded by ben", 3: "excluded by anna: a drawing"}
    then = workspace.ledger.position()
    say(workspace, "exclude", "3", "include", reviewer="ben")
    assert out(workspace) == {1: "excluded by ben"}
    assert list(out(workspace, until=then)) == [1, 3]


def test_the_largest_picture_stays_and_the_first_of_equals(make):
    workspace = make([(10, 10), (20, 10), (5, 5), (7, 7), (7, 7)], [(0, 1), (1, 2), (3, 4)])
    assert out(workspace) == {
        0: "near duplicate of image 1 (by rule: pHash 2, cosine 0.97)",
        2: "near duplicate of image 1 (by rule: pHash 2, cosine 0.97)",
        4: "near duplicate of image 3 (by rule: pHash 2, cosine 0.97)",
    }


def test_reasons_say_what_the_pair_rests_on(make):
    pairs = [
        (0, 1, {"exact": True}),
        (0, 2, {"phash": 40, "phash_mirror": 4, "cosine": None}),
        (0, 3, {"phash": None, "phash_mirror": None}),
        (3, 4, {"phash": 6}),
    ]
    assert out(make([(20, 20), *SAME[1:]], pairs)) == {
        1: "near duplicate of image 0 (by rule: same pixels)",
        2: "near duplicate of image 0 (by rule: mirror pHash 4)",
        3: "near duplicate of image 0 (by rule: cosine 0.97)",
        4: "near duplicate of image 0 by way of image 3 (by rule: pHash 6, cosine 0.97)",
    }


def test_measures_are_told_as_far_as_they_are_known(make):
    pairs = [
        (0, 1, {"phash": None, "phash_mirror": None, "cosine": None, "pixels": 3.14e7, "dssim": 0.2, "fc7": 12300.0}),
        (0, 2, {"inliers": 41}),
        (0, 3, {"inliers": 0, "phash": None, "phash_mirror": None, "cosine": None}),
    ]
    assert out(make(SAME, pairs)) == {
        1: "near duplicate of image 0 (by rule: pixels 31.4e6, DSSIM 0.20, fc7 12.3e3)",
        2: "near duplicate of image 0 (by rule: pHash 2, cosine 0.97, 41 matching points)",
        3: "near duplicate of image 0 (by rule)",
    }


def test_a_set_off_the_list_keeps_nothing_out(make):
    workspace = make(SAME, [(0, 0, {"reference": "bench"}), (1, 1, {"reference": "bench"}), (2, 3)])
    there = refer(workspace, "bench", 2)
    say(workspace, "pair", "0-bench:0", "different")
    assert list(out(workspace)) == [1, 3]
    references.forget(workspace, "bench")
    assert list(out(workspace)) == [3]
    references.register(workspace, there.path, name="bench")
    assert list(out(workspace)) == [1, 3]


def test_a_contested_pair_keeps_both(make):
    workspace = make(SAME, [(0, 1)])
    say(workspace, "pair", "0-1", "duplicate")
    say(workspace, "pair", "0-1", "different", reviewer="ben")
    assert out(workspace) == out(workspace, duplicates="verdicts") == {}


def test_only_duplicates_by_rule_count(make):
    pairs = [(0, 1, {"decision": "candidate"}), (2, 3, {"decision": "different"})]
    assert out(make(SAME, pairs)) == {}


@pytest.mark.parametrize("verdict", ["different", "related", "unsure"])
def test_a_person_overrules_the_rule(make, verdict):
    workspace = make(SAME, [(0, 1), (1, 2)])
    event = say(workspace, "pair", "0-1", verdict)
    assert out(workspace) == {2: "near duplicate of image 1 (by rule: pHash 2, cosine 0.97)"}
    workspace.ledger.undo(event.event_id, reviewer="anna")
    assert list(out(workspace)) == [1, 2]


def test_a_person_rules_a_pair_that_the_rule_did_not(make):
    workspace = make(SAME, [(0, 1, {"decision": "candidate"})])
    say(workspace, "pair", "0-1", "duplicate")
    say(workspace, "pair", "4-5", "duplicate", reviewer="ben")
    assert out(workspace) == {
        1: "near duplicate of image 0 (ruled by anna)",
        5: "near duplicate of image 4 (ruled by ben)",
    }


def test_policies(make):
    workspace = make(SAME, [(0, 1)])
    say(workspace, "pair", "2-3", "duplicate")
    say(workspace, "exclude", "5", "exclude")
    assert list(out(workspace)) == list(out(workspace, duplicates="decided")) == [1, 3, 5]
    assert list(out(workspace, duplicates="verdicts")) == [3, 5]
    assert list(out(workspace, duplicates="ignore")) == [5]
    with pytest.raises(ArgumentError, match="'all'"):
        exclusions(workspace, duplicates="all")


def test_a_picture_that_is_out_anyway_does_not_survive(make):
    status = ["gone", "ok", "ok", "broken", "broken", "ok"]
    workspace = make([(99, 99), (98, 98), *SAME[2:]], [(0, 1), (0, 2), (1, 2), (3, 4)], status=status)
    say(workspace, "exclude", "1", "exclude")
    assert out(workspace) == {1: "excluded by anna"}  # 2 is the only one left to stay; 3 and 4 are broken, not doubles
    say(workspace, "exclude", "1", "include")
    assert out(workspace) == {2: "near duplicate of image 1 (by rule: pHash 2, cosine 0.97)"}


def test_a_component_holds_together_through_a_picture_that_is_out(make):
    workspace = make(SAME, [(0, 1), (1, 2)])
    say(workspace, "exclude", "1", "exclude")
    assert out(workspace)[2] == "near duplicate of image 0 by way of image 1 (by rule: pHash 2, cosine 0.97)"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda p: p[0] < p[1])), st.integers(0, 2**32))
def test_each_component_keeps_exactly_its_largest(make, edges, seed):
    areas = np.random.default_rng(seed).integers(1, 5, 12).tolist()
    gone = set(out(make([(area, 3) for area in areas], sorted(edges))))
    component = list(range(12))
    for _ in range(12):
        for a, b in edges:
            component[a] = component[b] = min(component[a], component[b])
    for root in set(component):
        members = [i for i in range(12) if component[i] == root]
        assert [i for i in members if i not in gone] == [max(members, key=lambda i: (areas[i], -i))]


def test_ids_of_another_workspace(make):
    workspace = make(SAME, [(2, 6)])
    with pytest.raises(CurationError, match=r"pairs.parquet names image 6, but the workspace has 6 images"):
        exclusions(workspace)
    assert out(workspace, duplicates="ignore") == {}


def test_pairs_of_an_earlier_version(make):
    workspace = make(SAME, [(0, 1)])
    path = workspace.path / "duplicates" / "pairs.parquet"
    files.write_table(path, files.read_table(path).drop_columns(["reference", "dssim"]))
    with pytest.raises(CurationError, match=r"lacks 2 of [0-9]+ columns \(dssim, reference\).*run `duplicates` again"):
        exclusions(workspace)


@pytest.mark.parametrize(("subject", "message"), [("6", "names image 6"), ("x", "'x', which is no image id")])
def test_an_exclusion_of_what_is_no_image_is_named(make, subject, message):
    workspace = make(SAME)
    say(workspace, "exclude", subject, "exclude")
    with pytest.raises(CurationError, match=message):
        exclusions(workspace)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30)), max_size=25), st.integers(0, 30))
def test_standing_events_are_those_of_the_ledger(make, acts, until):
    workspace = make(SAME[:1])
    made: list[Event] = []
    for subject, target in acts:
        if target < len(made):
            made.append(Event(reviewer="anna", kind="undo", subject=made[target].event_id))
        else:
            made.append(Event(reviewer="anna", kind="pair", subject=subject))
    workspace.ledger.append(made)
    for position in (None, until):
        expected = [e.event_id for e in workspace.ledger.events("pair", until=position)]
        assert workspace.ledger.standing("pair", until=position)["event_id"].tolist() == expected
