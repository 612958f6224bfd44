from dataclasses import replace

import paired
import pyarrow as pa
import pytest
import tallied

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.splits import inputs as split_inputs
from curation.splits.class_draw import TO_SPARE
from curation.splits.even import BALANCED, K_SHOT, STRATIFIED
from curation.splits.inputs import GROUPS, IMAGE_COLUMNS, check, gather, read, stored


@pytest.fixture
def workspace(tmp_path):
    """30 images of two classes; groups 0-1-2, 20-21 and 25-26-27, of which 2 is broken and 26 is excluded by a person;
    3 and 4 are duplicates, and 4 is one of an image of a reference set; 6 is gone."""
    pairs = [(0, 1), (1, 2), (3, 4), (20, 21), (25, 26), (26, 27), (4, 0, {"reference": "laion"})]
    status, reason = ["ok"] * 30, [""] * 30
    status[2], reason[2], status[6] = "broken", "truncated at byte 9", "gone"
    found = paired.build(
        tmp_path / "w", 30, pairs, class_name=["ant"] * 15 + ["bee"] * 15, status=status, reason=reason
    )
    paired.refer(found, "laion", 2)
    paired.say(found, "exclude", "26", "exclude", note="a drawing")
    return found


def out(inputs):
    return dict(zip(*(inputs.excluded[c].to_pylist() for c in inputs.excluded.column_names), strict=True))


def groups(inputs):
    found = {}
    for row in inputs.groups.to_pylist():
        found.setdefault(row["group"], []).append(row["image_id"])
    return sorted(found.values())


def test_near_duplicates_together(workspace):
    inputs = gather(workspace, duplicates="together")
    assert inputs.images.column_names == list(IMAGE_COLUMNS)
    assert inputs.groups.schema.equals(GROUPS)
    assert groups(inputs) == [[0, 1], [20, 21], [25, 27]]
    told = out(inputs)
    assert sorted(told) == [2, 3, 4, 6, 26]
    assert (told[2], told[6], told[26]) == ("broken: truncated at byte 9", "gone", "excluded by anna: a drawing")
    assert "laion" in told[3]
    assert "laion" in told[4]


def test_one_image_of_each_group_stays_where_they_are_not_kept_together(workspace):
    decided, ignored = gather(workspace), gather(workspace, duplicates="ignore")
    assert decided.groups is None
    assert {0, 1, 3, 4, 20, 21} - set(out(decided)) == {0, 20}
    assert sorted(out(ignored)) == [2, 6, 26]
    assert sorted(out(gather(workspace, duplicates="verdicts"))) == [2, 6, 26]
    with pytest.raises(ArgumentError, match="duplicates is 'both': choose one of decided, verdicts, ignore, together"):
        gather(workspace, duplicates="both")


def test_what_people_said_up_to_a_position(workspace):
    then = workspace.ledger.position()
    paired.say(workspace, "pair", "20-21", "different")
    paired.say(workspace, "pair", "8-16", "duplicate")
    paired.say(workspace, "exclude", "26", "include")
    now, before = gather(workspace, duplicates="together"), gather(workspace, duplicates="together", until=then)
    assert groups(now) == [[0, 1], [8, 16], [25, 26, 27]]
    assert groups(before) == [[0, 1], [20, 21], [25, 27]]


@pytest.mark.parametrize("kind", [STRATIFIED, BALANCED, K_SHOT], ids=lambda kind: kind.name)
def test_a_split_of_a_workspace_keeps_duplicates_together_and_leaks_out(workspace, kind):
    paired.say(workspace, "pair", "8-16", "duplicate")  # two classes
    for seed in range(4):
        p = kind.settings(seed=seed, policy="shrink")
        inputs = tallied.complete(workspace, kind, p, duplicates="together")
        found = kind.carve(inputs, p)
        tallied.check(inputs, found)
        told = tallied.reasons(found)
        assert {i for i, reason in told.items() if reason != TO_SPARE} == {2, 3, 4, 6, 26}
        assert found.report["groups"] == {"groups": 4, "images": 8, "left_out": 0}
        planned = kind.plan(split_inputs_counts(inputs), p)
        assert tallied.counts(found).tolist() == planned.counts.tolist()


def split_inputs_counts(inputs):
    from curation.splits.class_plan import Counts
    from curation.splits.pool import gather as pool_of

    return Counts.of(pool_of(inputs), inputs)


def test_images_that_pass_for_a_reference_stay_with_their_group(tmp_path):
    """Under `published`, images called as ImageNet calls its own are of a reference set themselves."""
    names = ["ant/n01440764_10.JPEG", "ant/n01440764_20.JPEG", "ant/plain.jpg", "ant/alone.jpg"]
    workspace = paired.build(tmp_path / "w", 4, [(0, 1), (1, 2), (0, 0, {"reference": "laion"})], path=names)
    paired.refer(workspace, "laion", 1)
    paired.say(workspace, "policy", "survivors", "published")
    found = gather(workspace, duplicates="together")
    assert groups(found) == [[0, 1]]
    told = out(found)
    assert list(told) == [2]
    assert told[2]
    assert sorted(out(gather(workspace))) == [2]


def test_a_workspace_without_a_search_has_no_groups(tmp_path):
    workspace = paired.build(tmp_path / "w", 5)
    (workspace.path / "duplicates" / "pairs.parquet").unlink()
    inputs = gather(workspace, duplicates="together")
    assert (len(inputs.groups), out(inputs)) == (0, {})
    found = STRATIFIED.carve(inputs, STRATIFIED.settings(val=1, test=1))
    assert tallied.counts(found).tolist() == [[3], [1], [1]]


def test_two_images_of_a_group_that_people_keep_may_stay_together(workspace):
    for image in ("20", "21"):
        paired.say(workspace, "survivor", image, "keep")
    assert [20, 21] in groups(gather(workspace, duplicates="together"))


def test_inputs_are_known_by_their_content(workspace):
    inputs = gather(workspace, duplicates="together")
    digests = inputs.digests()
    assert list(digests) == ["images", "excluded", "groups"]
    recipe = {"inputs": digests | {"rows": 30}}
    check(recipe, inputs)
    check({}, inputs)
    changed = replace(inputs, groups=inputs.groups.slice(1))
    assert changed.digests()["images"] == digests["images"]
    with pytest.raises(CurationError, match=r"the groups have SHA-256 .* was made from .*make the split again"):
        check(recipe, changed)
    with pytest.raises(CurationError, match=r"made from 3 tables, and there are 2: groups is missing"):
        check(recipe, replace(inputs, groups=None))
    with pytest.raises(CurationError, match=r"made from 3 tables, and there are 4: scores is none of the recipe's"):
        check(recipe, replace(inputs, scores=split_inputs.SCORES.empty_table()))


def test_inputs_are_read_again_as_they_were_stored(workspace):
    inputs = gather(workspace, duplicates="together")
    folder = workspace.path / "splits" / "one"
    for name, table in inputs.tables().items():
        files.write_table(folder / f"{name}.parquet", table)
    recipe = {"inputs": inputs.digests()}
    for found in (read(folder, recipe), stored(workspace, "one", recipe)):
        check(recipe, found)
        assert found.tables().keys() == inputs.tables().keys()
    p = STRATIFIED.settings(policy="shrink")
    assert tallied.same(STRATIFIED.carve(read(folder, recipe), p), STRATIFIED.carve(inputs, p))


def test_only_the_tables_that_are_there_count(workspace):
    inputs = gather(workspace)
    assert list(inputs.tables()) == ["images", "excluded"]
    scores = pa.table({"image_id": [1], "score": [0.5]}).cast(split_inputs.SCORES)
    assert list(replace(inputs, scores=scores).tables()) == ["images", "excluded", "scores"]
