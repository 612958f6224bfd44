import json

import clustered
import pyarrow as pa
import pytest

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.ledger import Event
from curation.splits import glt, recipes
from curation.splits.digests import digest
from curation.workspace import SPLIT


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clustered")
    clustered.build(folder)
    return folder


@pytest.fixture
def workspace(template, tmp_path):
    return clustered.copy(template, tmp_path)


def event(kind, subject, verdict):
    return Event(reviewer="ann", kind=kind, subject=subject, verdict=verdict)


def test_a_split_and_all_that_it_was_made_from(workspace):
    summary = recipes.make(workspace, name="one", parameters=clustered.FIT)
    folder = workspace.path / "splits" / "one"
    assert sorted(p.name for p in folder.iterdir()) == [
        "clusters.parquet", "excluded.parquet", "left_out.parquet", "recipe.json", "report.json", "split.parquet",
    ]  # fmt: skip
    recipe, table, report = recipes.load(workspace, "one")
    assert table.schema.equals(SPLIT)
    assert recipe["parameters"]["per_cell"] == 2
    assert recipe["made_from"]["clusters"]["seed"] == 25
    assert report["funnel"]["left_out"]["broken"] == clustered.BROKEN
    left_out = files.read_table(folder / "left_out.parquet")
    assert len(table) + len(left_out) == summary["images"] == 300
    assert "broken: truncated at byte 2" in left_out["reason"].to_pylist()
    assert summary["set_aside"] == 0
    assert summary["splits"]["test_bbl"] == 4 * 2 * 2


def test_a_recipe_is_a_pure_function_of_its_inputs(workspace):
    recipes.make(workspace, name="one", parameters=clustered.FIT)
    recipe, table, _ = recipes.load(workspace, "one")
    again = recipes.run(recipe, recipes.stored_inputs(workspace, "one", recipe))
    assert again.split.equals(table)
    changed = recipes.stored_inputs(workspace, "one", recipe)
    changed = recipes.Inputs(changed.images, changed.clusters.slice(1), changed.excluded)
    with pytest.raises(CurationError, match=r"the clusters have SHA-256 .* they have changed since"):
        recipes.run(recipe, changed)


def test_a_name_is_never_used_twice(workspace):
    recipes.make(workspace, name="one", parameters=clustered.FIT)
    before = files.sha256_file(workspace.path / "splits" / "one" / "split.parquet")
    with pytest.raises(ArgumentError, match=r"there is a split 'one' already.*name it 'one-2'"):
        recipes.make(workspace, name="one", parameters=clustered.FIT | {"seed": 1})
    with pytest.raises(ArgumentError, match="name it 'One-2'"):
        recipes.make(workspace, name="One", parameters=clustered.FIT)
    assert files.sha256_file(workspace.path / "splits" / "one" / "split.parquet") == before


def test_what_people_decided_up_to_a_position(workspace):
    workspace.ledger.append([event("exclude", "100", "exclude")])
    position = workspace.ledger.position()
    workspace.ledger.append([event("exclude", "101", "exclude")])
    recipes.make(workspace, name="now", parameters=clustered.FIT)
    recipes.make(workspace, name="then", parameters=clustered.FIT, until=position)
    out = {
        n: files.read_table(workspace.path / "splits" / n / "excluded.parquet")["image_id"].to_pylist()
        for n in ("now", "then")
    }
    assert out == {"now": [0, 1, 2, 100, 101], "then": [0, 1, 2, 100]}
    assert recipes.load(workspace, "then")[0]["ledger_position"] == position
    assert not {100, 101} & set(recipes.load(workspace, "now")[1]["image_id"].to_pylist())


def test_sizes_that_fit_the_data(workspace):
    with pytest.raises(CurationError, match=r"4 of 4 classes have too few images.*Set per_cell="):
        recipes.make(workspace, name="one")
    assert workspace.split_names() == []
    summary = recipes.make(workspace, name="one", parameters={"fit": True})
    recipe = recipes.load(workspace, "one")[0]
    assert 1 <= recipe["parameters"]["per_cell"] < 20
    assert summary["splits"]["train"] >= sum(summary["splits"].values()) / 3


def test_legacy_in_a_workspace_says_what_the_original_would_fail_on(workspace):
    with pytest.raises(
        CurationError, match=r"class '.*', attribute \d, has \d+ images left for Test-CBL and needs \d+"
    ):
        recipes.make(workspace, name="one", parameters={"mode": "legacy"})
    with pytest.raises(ArgumentError, match="per_cell is 3, and mode legacy has 20 built in"):
        recipes.make(workspace, name="one", parameters={"mode": "legacy", "per_cell": 3})


def test_wrong_names(workspace):
    for call, message in (
        ({"recipe": "pie"}, "unknown recipe 'pie': choose one of glt"),
        ({"clusters": "g"}, r"there are no clusters 'g': the workspace has 1 \(f\)"),
        ({"name": "a/b"}, "the name of the split 'a/b' cannot be a file name"),
        ({"parameters": {"per_cel": 1}}, "unknown parameter 'per_cel'"),
    ):
        with pytest.raises(ArgumentError, match=message):
            recipes.make(workspace, **{"name": "x", **call})
    with pytest.raises(ArgumentError, match=r"there is no split 'x' in .* it has none"):
        recipes.load(workspace, "x")


def test_a_killed_run_leaves_no_split(workspace, monkeypatch):
    write = files.write_table

    def killed(path, table, **options):
        if path.name == "split.parquet":
            raise KeyboardInterrupt
        write(path, table, **options)

    monkeypatch.setattr(files, "write_table", killed)
    with pytest.raises(KeyboardInterrupt):
        recipes.make(workspace, name="one", parameters=clustered.FIT)
    assert workspace.split_names() == []
    monkeypatch.undo()
    recipes.make(workspace, name="one", parameters=clustered.FIT)


def test_settings_of_the_command_line():
    texts = [
        "per_cell=20",
        "policy=shrink",
        "weights=7,2,1",
        "cap=0.5",
        "fit=true",
        "class_order=b, 1",
        "class_size=null",
    ]
    assert recipes.parse_settings(texts) == {
        "per_cell": 20, "policy": "shrink", "weights": [7, 2, 1], "cap": 0.5, "fit": True, "class_order": ["b", "1"],
        "class_size": None,
    }  # fmt: skip
    assert recipes.parse_settings(['custom={"a": 1}', "weights=[1, 2]"]) == {"custom": {"a": 1}, "weights": [1, 2]}
    with pytest.raises(ArgumentError, match="--set 'per_cell' is not key=value"):
        recipes.parse_settings(["per_cell"])
    with pytest.raises(ArgumentError, match="--set says seed twice: 1 and '2'"):
        recipes.parse_settings(["seed=1", "seed=2"])


def test_personal_folders_stay_out_of_a_recipe():
    cleaned = recipes._without_folders({"weights": "/home/ann/w.pth", "a": ["C:\\Users\\ann\\w.pth", 3, "images/a"]})
    assert json.dumps(cleaned) == '{"weights": "w.pth", "a": ["w.pth", 3, "images/a"]}'


def test_a_digest_is_of_content_alone():
    table = pa.table({"a": ["x", "yy", None], "b": pa.array([1, None, 3], pa.int16())})
    words = table.set_column(0, "a", table["a"].combine_chunks().dictionary_encode())
    chunks = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert digest(table) == digest(words) == digest(chunks) == digest(table.slice(0))
    for other in (
        table.slice(1),
        table.rename_columns(["a", "c"]),
        pa.table({"a": ["xy", "y", None], "b": table["b"]}),
    ):
        assert digest(other) != digest(table)
    assert digest(pa.table({"a": ["", None]})) != digest(pa.table({"a": [None, ""]}))


def test_left_out_reasons_are_counted_by_kind():
    assert glt.reason_kind("near duplicate of image 12 (decided by rule)") == "near duplicate"
    assert glt.reason_kind("broken: truncated at byte 2") == "broken"
