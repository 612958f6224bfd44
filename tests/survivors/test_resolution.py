"""Who stays of each component of near duplicates, by each policy."""

from __future__ import annotations

import pytest
from paired import build, refer, say, table

from curation import exclusions, files, policies
from curation.errors import ArgumentError, CurationError
from curation.survivors import bursts, components, resolution
from curation.survivors.frequencies import FREQUENCY, frequency_path


@pytest.fixture
def make(tmp_path):
    """make(count, pairs, **columns) -> workspace"""
    return lambda count, pairs=(), **columns: build(tmp_path / "w", count, pairs, **columns)


def label(workspace, rows):
    """Store selection frequencies (image id, class, frequency)."""
    known = dict(zip(("image_id", "class_name", "frequency"), map(list, zip(*rows, strict=True)), strict=True))
    known["assignments"] = [10] * len(rows)
    files.write_table(frequency_path(workspace), table(FREQUENCY, known, len(rows)))


def kept(workspace, policy=None, **options):
    """Ids of the workspace's images that survive."""
    members = resolution.resolve(workspace, policy=policy, **options).members.to_pylist()
    return [m["image_id"] for m in members if m["survives"] and not m["reference"]]


def reasons(workspace, policy=None):
    members = resolution.resolve(workspace, policy=policy).members.to_pylist()
    return {m["image_id"]: m["reason"] for m in members if not m["reference"]}


RULED = "by rule: pHash 2, cosine 0.97"


def test_tables(make):
    workspace = make(7, [(1, 2), (2, 3), (4, 6)])
    say(workspace, "pair", "4-6", "duplicate", reviewer="ben")
    found = resolution.resolve(workspace)
    assert found.members.schema == resolution.MEMBERS
    assert found.edges.schema == resolution.EDGES
    members = found.members.to_pylist()
    assert [(m["component"], m["image_id"], m["survives"]) for m in members] == [
        (0, 1, True),
        (0, 2, False),
        (0, 3, False),
        (1, 4, True),
        (1, 6, False),
    ]
    assert [m["reason"] for m in members] == [
        "",
        f"near duplicate of image 1 ({RULED})",
        f"near duplicate of image 1 by way of image 2 ({RULED})",
        "",
        "near duplicate of image 4 (ruled by ben)",
    ]
    assert [tuple(row.values()) for row in found.edges.to_pylist()] == [
        (0, 1, 2, "", "pair", "rule"),
        (0, 2, 3, "", "pair", "rule"),
        (1, 4, 6, "", "pair", "ben"),
    ]


def test_nothing_to_resolve(make):
    found = resolution.resolve(make(3))
    assert (len(found.members), len(found.edges)) == (0, 0)
    assert found.members.schema == resolution.MEMBERS


def test_simple_policies(make):
    columns = {"width": [5, 9, 9, 7], "source_split": ["train", "train", "val", "val"]}
    workspace = make(4, [(0, 1), (1, 2), (2, 3)], **columns)
    assert kept(workspace) == kept(workspace, "largest") == [1]
    assert kept(workspace, "first") == [0]
    assert kept(workspace, "split:val") == [2]
    assert kept(workspace, "split:train") == [1]
    assert kept(workspace, "frequency") == [3]  # nobody labelled anything: the last by name


def test_frequency_is_that_of_the_own_class(make):
    workspace = make(4, [(0, 1), (1, 2), (2, 3)])
    label(workspace, [(0, "b", 1.0), (0, "a", 0.2), (1, "a", 0.8), (2, "a", 0.8), (3, "a", 0.1)])
    assert kept(workspace, "frequency") == [2]
    say(workspace, "exclude", "2", "exclude")
    assert kept(workspace, "frequency") == [1]


def test_frequencies_of_another_workspace(make):
    workspace = make(2, [(0, 1)])
    label(workspace, [(2, "a", 1.0)])
    with pytest.raises(CurationError, match=r"frequency.parquet names image 2, but the workspace has 2 images"):
        resolution.resolve(workspace, policy="frequency")


def test_published_prefers_the_poorest_eligible_class(make):
    workspace = make(6, [(0, 1), (1, 2)], class_name=["x", "y", "y", "x", "y", "y"])
    label(workspace, [(0, "x", 0.7), (1, "y", 0.9), (2, "y", 1.0), (3, "x", 0.9)])
    assert kept(workspace, "published") == [0]  # 2 good ones of either class: the first by name
    label(workspace, [(0, "x", 0.7), (1, "y", 0.9), (2, "y", 0.6), (3, "x", 0.9)])
    assert kept(workspace, "published") == [1]  # 1 good of y, 2 of x
    say(workspace, "exclude", "3", "exclude")
    assert kept(workspace, "published") == [0]  # now 1 of either


def test_published_settles_ties_by_name_not_by_id(make):
    workspace = make(3, [(0, 1), (1, 2)], path=["z/b.jpg", "z/c.jpg", "y/a.jpg"])
    assert kept(workspace, "published") == [1]


def test_published_takes_imagenets_images_for_a_reference_set(make):
    workspace = make(4, [(0, 1), (2, 3)], path=["a/1.jpg", "a/ILSVRC2012_val_00000001.JPEG", "a/2.jpg", "a/3.jpg"])
    assert kept(workspace, "published") == [3, 1][::-1]  # image 1 is no candidate, 0 goes
    assert reasons(workspace, "published")[0] == f"near duplicate of image 1 ({RULED})"
    assert kept(workspace, "largest") == [0, 2]


def test_a_reference_set_keeps_nothing_of_a_component(make):
    workspace = make(4, [(0, 1), (1, 2), (2, 1, {"reference": "bench"})])
    refer(workspace, "bench", 2, path=["a/0.jpg", "b/leak.png"])
    say(workspace, "survivor", "0", "keep")
    assert kept(workspace) == []
    assert reasons(workspace) == {
        0: f"near duplicate of b/leak.png in reference set bench by way of image 1 ({RULED})",
        1: f"near duplicate of b/leak.png in reference set bench by way of image 2 ({RULED})",
        2: f"near duplicate of b/leak.png in reference set bench ({RULED})",
    }
    out = exclusions.exclusions(workspace)
    assert out["image_id"].to_pylist() == [0, 1, 2]
    assert resolution.resolve(workspace).members.to_pylist()[-1]["reference"] == "bench"
    say(workspace, "pair", "2-bench:1", "different")
    assert kept(workspace) == [0]


def test_a_verdict_links_to_a_reference_set(make):
    workspace = make(2)
    refer(workspace, "bench", 2)
    say(workspace, "pair", "1-bench:0", "duplicate")
    assert exclusions.exclusions(workspace)["reason"].to_pylist() == [
        "near duplicate of a/0.jpg in reference set bench (ruled by anna)"
    ]


def test_planted_probes_leak_nothing(make):
    workspace = make(3, [(0, 0, {"reference": "probes"})])
    refer(workspace, "probes", 2)
    say(workspace, "pair", "1-probes:1", "duplicate")
    assert len(resolution.resolve(workspace).members) == 0


def test_a_reference_set_that_has_shrunk(make):
    workspace = make(2, [(0, 5, {"reference": "bench"})])
    refer(workspace, "bench", 2)
    with pytest.raises(CurationError, match="name image 5 of the reference set 'bench', which has 2 images"):
        resolution.resolve(workspace)


def test_an_override_survives_and_its_reason_is_kept(make):
    workspace = make(3, [(0, 1), (1, 2)], width=[9, 5, 5])
    event = say(workspace, "survivor", "2", "keep", note="the only one in focus")
    for policy in ("largest", "first", "frequency", "published"):
        assert kept(workspace, policy) == [2]
    assert reasons(workspace)[2] == "kept by anna: the only one in focus"
    then = workspace.ledger.position()
    say(workspace, "survivor", "2", "release")
    assert kept(workspace) == [0]
    assert kept(workspace, until=then) == [2]
    workspace.ledger.undo(event.event_id, reviewer="anna")


def test_an_override_that_people_excluded_does_not_survive(make):
    workspace = make(3, [(0, 1), (1, 2)])
    for image in "12":
        say(workspace, "survivor", image, "keep")
    say(workspace, "exclude", "1", "exclude")
    assert kept(workspace) == [2]


def test_two_overrides_in_a_component(make):
    workspace = make(5, [(0, 1), (1, 2), (3, 4)])
    one, two = say(workspace, "survivor", "0", "keep"), say(workspace, "survivor", "2", "keep", reviewer="ben")
    with pytest.raises(CurationError) as caught:
        exclusions.exclusions(workspace)
    message = str(caught.value)
    assert f"event {one.event_id} by anna keeps image 0" in message
    assert f"event {two.event_id} by ben keeps image 2" in message
    assert "3 members (0, 1, 2)" in message
    say(workspace, "pair", "1-2", "different")
    assert kept(workspace) == [0, 3]


@pytest.mark.parametrize("policy", ["largest", "published"])
def test_two_overrides_in_a_component_can_be_shown(make, policy):
    status = ["ok", "ok", "ok", "broken", "ok", "ok"]
    workspace = make(6, [(0, 1), (1, 2), (2, 3), (4, 5)], status=status, reason=["", "", "", "truncated", "", ""])
    one, two = say(workspace, "survivor", "0", "keep"), say(workspace, "survivor", "2", "keep", reviewer="ben")
    with pytest.raises(CurationError):
        resolution.resolve(workspace, policy=policy)
    found = resolution.resolve(workspace, policy=policy, strict=False).members.to_pylist()
    told = {m["image_id"]: (m["survives"], m["reason"]) for m in found}
    why = (
        f"2 images of one component must survive, and one can: event {one.event_id} by anna keeps image 0 (0); "
        f"event {two.event_id} by ben keeps image 2 (2)"
    )
    stays = 4 if policy == "largest" else 5
    assert {i for i, (survives, _) in told.items() if survives} == {stays}
    assert {i: told[i][1] for i in range(4)} == {0: why, 1: why, 2: why, 3: "broken: truncated"}
    counts = resolution.preview(workspace, policies=[policy]).counts[policy]
    assert (counts["kept"], counts["without_survivor"]) == (1, 1)
    say(workspace, "survivor", "2", "release", reviewer="ben")
    assert kept(workspace, policy) == [0, stays]


@pytest.mark.parametrize("subject", ["9", "x", "1-2"])
def test_an_override_of_what_is_no_image(make, subject):
    workspace = make(3, [(0, 1)])
    event = say(workspace, "survivor", subject, "keep")
    with pytest.raises(CurationError, match=f"{event.event_id}.* keeps '{subject}', which is none of the 3 images"):
        resolution.resolve(workspace)


def test_nothing_that_is_out_survives(make):
    status, reason = ["broken", "gone", "ok", "ok"], ["truncated", "not there", "", ""]
    workspace = make(4, [(0, 1), (1, 2), (2, 3)], status=status, reason=reason, width=[99, 98, 9, 8])
    say(workspace, "exclude", "2", "exclude", note="a drawing")
    for policy in ("largest", "first", "frequency", "published"):
        assert kept(workspace, policy) == [3]
    assert reasons(workspace) == {0: "broken: truncated", 1: "gone: not there", 2: "excluded by anna: a drawing", 3: ""}
    say(workspace, "exclude", "3", "exclude")
    assert kept(workspace) == []


def test_what_is_known_by_name_only_survives_where_no_picture_can(make):
    workspace = make(4, [(0, 1), (2, 3)], status=["gone", "gone", "gone", "ok"], bytes=[0, 0, 0, 99])
    assert kept(workspace, "first") == [0, 3]
    assert kept(workspace, "published") == [1, 3]
    assert exclusions.exclusions(workspace).num_rows == 0  # nothing that is usable goes


def test_bursts_link_as_pairs_do(make):
    workspace = make(6, [(1, 4)])
    assert bursts.write(workspace, [5, 2, 1, 0], ["f1", "f1", "f1", "f2"]) == {"images": 4, "bursts": 2, "linked": 3}
    found = resolution.resolve(workspace)
    assert [(row["image_a"], row["image_b"], row["kind"], row["by"]) for row in found.edges.to_pylist()] == [
        (1, 2, "burst", "f1"),
        (1, 4, "pair", "rule"),
        (1, 5, "burst", "f1"),
    ]
    assert reasons(workspace)[5] == "near duplicate of image 1 (burst f1)"
    assert kept(workspace) == [1]
    bursts.write(workspace, [5], ["f3"])
    assert 5 not in reasons(workspace)


def test_the_policy_in_force(make):
    workspace = make(2, [(0, 1)], width=[5, 6], source_split=["train", "val"])
    assert kept(workspace) == [1]
    policies.put(workspace, "survivors", "first", reviewer="anna")
    assert exclusions.exclusions(workspace)["image_id"].to_pylist() == [1]
    then = workspace.ledger.position()
    policies.put(workspace, "survivors", "split:val", reviewer="ben")
    assert kept(workspace) == [1]
    assert kept(workspace, until=then) == [0]
    assert kept(workspace, until=0) == [1]


@pytest.mark.parametrize("policy", ["best", "split", "split:", "first:x", ""])
def test_unknown_policies(make, policy):
    workspace = make(2, [(0, 1)])
    with pytest.raises(ArgumentError, match="unknown policy"):
        resolution.resolve(workspace, policy=policy)
    with pytest.raises(ArgumentError, match="unknown policy"):
        resolution.preview(workspace, policies=[policy])


def test_a_split_that_is_not_there(make):
    with pytest.raises(ArgumentError, match="source split 'test': there are train, val"):
        resolution.resolve(make(2, [(0, 1)], source_split=["train", "val"]), policy="split:test")


def test_a_split_that_is_not_there_is_refused_even_where_nothing_is_to_be_resolved(make):
    with pytest.raises(ArgumentError, match="source split 'test': there are none"):
        resolution.resolve(make(2), policy="split:test")


def test_people_and_the_rule(make):
    workspace = make(6, [(0, 1), (2, 3)])
    say(workspace, "pair", "0-1", "duplicate")
    say(workspace, "pair", "0-1", "different", reviewer="ben")
    assert kept(workspace) == [2]  # contested: no link
    assert kept(workspace, rule=False) == []
    say(workspace, "pair.final", "0-1", "duplicate")
    assert kept(workspace) == [0, 2]
    assert kept(workspace, rule=False) == [0]


def test_preview(make):
    workspace = make(6, [(0, 1), (1, 2), (3, 4)], width=[1, 2, 3, 4, 5, 6], source_split=["train"] * 3 + ["val"] * 3)
    found = resolution.preview(workspace)
    names = ["largest", "first", "frequency", "split:train", "split:val", "published"]
    assert found.table.column_names == ["component", "image_id", *names]
    assert found.table["image_id"].to_pylist() == [0, 1, 2, 3, 4]
    assert found.table["first"].to_pylist() == [False, True, True, False, True]
    assert found.table["largest"].to_pylist() == [True, True, False, True, False]
    assert found.counts["largest"] == {"kept": 2, "gone": 3, "without_survivor": 0}
    for name in names:
        stay = [i for i, goes in zip(range(5), found.table[name].to_pylist(), strict=True) if not goes]
        assert stay == kept(workspace, name)
    say(workspace, "exclude", "3", "exclude")
    say(workspace, "exclude", "4", "exclude")
    assert resolution.preview(workspace, policies=["first"]).counts == {
        "first": {"kept": 1, "gone": 2, "without_survivor": 1}
    }


def test_summary_and_giants(make):
    workspace = make(9, [(0, 1), (1, 2), (2, 3), (5, 6), (7, 0, {"reference": "bench"})])
    refer(workspace, "bench", 1)
    found = resolution.resolve(workspace)
    result = resolution.summary(workspace, found, giant=3)
    assert result == {
        "components": 3,
        "images": 7,
        "references": 1,
        "kept": 2,
        "gone": 5,
        "leaked": 1,
        "sizes": {2: 2, 4: 1},
        "largest": 4,
        "giants": [{"component": 0, "name": components.component_name("0123"), "members": 4, "images": [0, 1, 2, 3]}],
    }


def test_the_order_of_pairs_changes_nothing(make, tmp_path):
    edges = [(0, 3), (1, 3), (0, 2), (2, 3), (4, 5)]
    one, two = build(tmp_path / "x", 6, edges), build(tmp_path / "y", 6, edges[::-1])
    for policy in ("largest", "published"):
        a, b = resolution.resolve(one, policy=policy), resolution.resolve(two, policy=policy)
        assert a.members.equals(b.members)
        assert a.edges.equals(b.edges)
