import json
import shutil

import clustered
import pyarrow as pa
import pytest

from curation import files
from curation.clusters import kmeans
from curation.errors import ArgumentError, CurationError
from curation.ledger import Event
from curation.splits import documents, inputs, recipes
from curation.splits.digests import digest
from curation.splits.result import reason_kind
from curation.workspace import IMAGES, SPLIT


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
        "clusters.parquet", "excluded.parquet", "images.parquet", "left_out.parquet", "recipe.json", "report.json",
        "split.parquet",
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
    again = recipes.run(recipe, inputs.stored(workspace, "one", recipe))
    assert again.split.equals(table)
    changed = inputs.stored(workspace, "one", recipe)
    changed = recipes.Inputs(changed.images, changed.excluded, clusters=changed.clusters.slice(1))
    with pytest.raises(CurationError, match=r"the clusters have SHA-256 .* they have changed since"):
        recipes.run(recipe, changed)


def test_saving_again_makes_a_revision_and_overwrites_nothing(workspace):
    recipes.make(workspace, name="one", parameters=clustered.FIT)
    before = files.sha256_file(workspace.path / "splits" / "one" / "split.parquet")
    assert recipes.make(workspace, name="one", parameters=clustered.FIT | {"seed": 1})["name"] == "one.r2"
    assert recipes.make(workspace, name="one", parameters=clustered.FIT | {"seed": 2})["name"] == "one.r3"
    recipe, _, _ = recipes.load(workspace, "one.r3")
    assert (recipe["name"], recipe["revision"], recipe["parameters"]["seed"]) == ("one.r3", 3, 2)
    assert recipes.revisions(workspace, "one.r2") == ["one", "one.r2", "one.r3"]
    assert files.sha256_file(workspace.path / "splits" / "one" / "split.parquet") == before
    with pytest.raises(ArgumentError, match=r"'one\.r2' names a revision: save under 'one'"):
        recipes.make(workspace, name="one.r2", parameters=clustered.FIT)
    with pytest.raises(ArgumentError, match="'One' differs only in letter case"):
        recipes.make(workspace, name="One", parameters=clustered.FIT)


def relabel(workspace, ids, name):
    """Give images another class, as a corrected listing does."""
    images = workspace.images()
    names = images["class_name"].to_pylist()
    for i in ids:
        names[i] = name
    at = images.column_names.index("class_name")
    files.write_table(workspace.images_path, images.set_column(at, "class_name", pa.array(names)).cast(IMAGES))


def test_a_split_is_still_that_of_its_day_when_a_label_was_corrected(workspace):
    recipes.make(workspace, name="one", parameters=clustered.FIT)
    recipe, table, _ = recipes.load(workspace, "one")
    relabel(workspace, [100], "ant")
    kept = inputs.stored(workspace, "one", recipe)
    assert recipes.run(recipe, kept).split.equals(table)
    assert kept.images["class_name"][100].as_py() == "bee"


def test_images_whose_class_changed_since_clustering_are_left_out(workspace):
    relabel(workspace, [0, 100, 101, 102], "ant")  # 0 is broken, and an ant as before
    relabel(workspace, [103], "elk")  # a class that was never clustered
    workspace.ledger.append([event("exclude", "102", "exclude")])
    summary = recipes.make(workspace, name="one", parameters=clustered.FIT)
    assert summary["left_out"]["class changed since clustering"] == 3
    assert summary["left_out"]["excluded by ann"] == 1
    assert summary["images"] == sum(summary["left_out"].values()) + sum(summary["splits"].values())
    rows = files.read_table(workspace.path / "splits" / "one" / "left_out.parquet").to_pylist()
    why = {row["image_id"]: row["reason"] for row in rows}
    assert [why[i] for i in (100, 101, 103)] == ["class changed since clustering: cluster again"] * 3
    kmeans.cluster(workspace, features="f", clusters=4, attributes=2, n_init=1, workers=1)
    again = recipes.make(workspace, name="two", parameters={"fit": True, "policy": "drop_class"})
    assert "class changed since clustering" not in again["left_out"]


def test_names_that_a_file_system_may_take_for_another(workspace):
    for name in ("GLT.r2", "n" * 72):
        (workspace.path / "splits" / name).mkdir(parents=True)
        (workspace.path / "splits" / name / "split.parquet").touch()
    with pytest.raises(ArgumentError, match="there is a split 'GLT', and 'glt' differs only in letter case"):
        recipes.free_name(workspace, "glt")
    assert recipes.free_name(workspace, "GLT") == "GLT.r3"
    assert recipes.free_name(workspace, "n" * 72) == "n" * 72 + ".r2"
    with pytest.raises(ArgumentError, match="has 73 letters, and the name of a split 72 at most"):
        recipes.free_name(workspace, "n" * 73)
    (workspace.path / "splits" / "GLT.r2").rename(workspace.path / "splits" / "GLT.r999999")
    with pytest.raises(ArgumentError, match="'GLT' has 999,999 revisions, and can have no more"):
        recipes.free_name(workspace, "GLT")


def test_a_place_that_is_always_taken(workspace, monkeypatch):
    recipes.make(workspace, name="one", parameters=clustered.FIT)
    monkeypatch.setattr(recipes, "free_name", lambda *_: "one")
    with pytest.raises(CurationError, match="'one' was taken by others 100 times"):
        recipes.make(workspace, name="one", parameters=clustered.FIT)


def test_of_two_people_who_save_under_one_name_at_the_same_time_both_keep_theirs(workspace, monkeypatch):
    write = files.write_table

    def meanwhile(path, table, **options):
        if path.name == "split.parquet":
            monkeypatch.setattr(files, "write_table", write)
            recipes.make(workspace, name="one", parameters=clustered.FIT)
        write(path, table, **options)

    monkeypatch.setattr(files, "write_table", meanwhile)
    assert recipes.make(workspace, name="one", parameters=clustered.FIT | {"seed": 1})["name"] == "one.r2"
    for name, seed in (("one", 25), ("one.r2", 1)):
        recipe, table, _ = recipes.load(workspace, name)
        assert (recipe["name"], recipe["parameters"]["seed"]) == (name, seed)
        assert recipes.run(recipe, inputs.stored(workspace, name, recipe)).split.equals(table)
    assert sorted(p.name for p in (workspace.path / "splits").iterdir()) == ["one", "one.r2"]


def test_a_split_that_is_being_written_is_not_listed(workspace):
    recipes.make(workspace, name="one", parameters=clustered.FIT)
    shutil.copytree(workspace.path / "splits" / "one", workspace.path / "splits" / ".0123456789abcdef.part")
    assert workspace.split_names() == ["one"]


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
    assert not list((workspace.path / "splits").iterdir())
    monkeypatch.undo()
    (workspace.path / "splits" / "one").mkdir()  # as an earlier version left it
    files.write_json(workspace.path / "splits" / "one" / "recipe.json", {})
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
    assert documents.parse_settings(texts) == {
        "per_cell": 20, "policy": "shrink", "weights": [7, 2, 1], "cap": 0.5, "fit": True, "class_order": ["b", "1"],
        "class_size": None,
    }  # fmt: skip
    assert documents.parse_settings(['custom={"a": 1}', "weights=[1, 2]"]) == {"custom": {"a": 1}, "weights": [1, 2]}
    with pytest.raises(ArgumentError, match="--set 'per_cell' is not key=value"):
        documents.parse_settings(["per_cell"])
    with pytest.raises(ArgumentError, match="--set says seed twice: 1 and '2'"):
        documents.parse_settings(["seed=1", "seed=2"])
    long = "n" * 5000
    assert documents.parse_settings([f"class_order={long}"]) == {"class_order": [long]}
    for text in ("[" * 100_000, "1" * 5000):
        with pytest.raises(ArgumentError, match=r"--set: '.{60}'… cannot be read"):
            documents.parse_settings([f"seed={text}"])
    for text in ("nofile.txt", "lists/classes", "/tmp/no/such"):
        with pytest.raises(ArgumentError, match=f"class_order: there is no file '{text}'"):
            documents.parse_settings([f"class_order={text}"])
    assert documents.parse_settings(['class_order=["a/b"]']) == {"class_order": ["a/b"]}


def test_a_seed_may_stand_beside_the_parameters(tmp_path):
    path = tmp_path / "r.json"
    files.write_json(path, {"kind": "stratified", "seed": 7, "parameters": {"val": 2}})
    assert documents.document(str(path))["parameters"] == {"val": 2, "seed": 7}
    files.write_json(path, {"kind": "stratified", "seed": 7})
    assert documents.document(str(path))["parameters"] == {"seed": 7}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"seed": 7, "parameters": {"seed": 8}}, "r.json has seed 7, and 8 among its parameters: keep one"),
        ({"seed": "7"}, "key 'seed' is missing or not a int"),
        ({"parameter": {}}, "has the key 'parameter', which no recipe has: did you mean 'parameters'"),
        ({"_folder": "/"}, "has the key '_folder', which no recipe has"),
        ({"val": 0.1}, "has the key 'val', which no recipe has: parameters go under 'parameters'"),
        ({"clusters": 3}, "key 'clusters' is missing or not a str"),
        ({"duplicates": ["together"]}, "key 'duplicates' is missing or not a str"),
        ({"parameters": None}, "key 'parameters' is missing or not a dict"),
    ],
)
def test_what_a_recipe_file_cannot_say(content, message):
    with pytest.raises(CurationError, match=message):
        documents.checked({"kind": "stratified", **content}, "r.json")


def test_every_stored_recipe_and_manifest_is_a_document(workspace):
    recipes.make(workspace, name="one", parameters=clustered.FIT)
    recipe = recipes.load(workspace, "one")[0]
    assert documents.checked(recipe, "recipe.json") == recipe
    assert documents.checked({"manifest_version": 1, "recipe": recipe}, "manifest.json") == recipe


def test_personal_folders_stay_out_of_a_recipe():
    cleaned = files.without_folders({"weights": "/home/ann/w.pth", "a": ["C:\\Users\\ann\\w.pth", 3, "images/a"]})
    assert json.dumps(cleaned) == '{"weights": "w.pth", "a": ["w.pth", 3, "images/a"]}'


def test_a_recipe_that_read_a_file_is_run_again_from_its_own_table(workspace, tmp_path):
    told = tmp_path / "sizes.csv"
    told.write_text("class_name,images\nant,20\nbee,30\ncat,10\n")
    words = tmp_path / "words.csv"
    words.write_text("image_id,attribute\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(3, 300)))
    first = {
        "match-histogram": {"file": str(told), "val": 1, "test": 1},
        "glt-multi": {"attributes": str(words), "test": 5, "val": 2, "imbalance": 2},
    }
    for kind, parameters in first.items():
        recipes.make(workspace, recipe=kind, name=kind, parameters=parameters)
        again = documents.document(str(workspace.path / "splits" / kind / "recipe.json"))
        moved = tmp_path / f"{kind}.json"
        files.write_json(moved, recipes.load(workspace, kind)[0])
        (told if kind == "match-histogram" else words).rename(tmp_path / f"{kind}.csv")
        assert recipes.make(workspace, recipe=again, name=kind)["other_inputs"] == []
        assert recipes.load(workspace, f"{kind}.r2")[1].equals(recipes.load(workspace, kind)[1])
        key = "file" if kind == "match-histogram" else "attributes"
        with pytest.raises(ArgumentError, match=rf"{key} is '\w+.csv', and there is no such file: set {key}=FILE"):
            recipes.make(workspace, recipe=documents.document(str(moved)), name="x")
        with pytest.raises(ArgumentError, match=f"{key} is 'none', and there is no such file"):
            recipes.make(workspace, recipe=again, name="x", parameters={key: "none"})
        recipes.make(workspace, recipe=again, name="x", parameters={key: str(tmp_path / f"{kind}.csv")})
    relabel(workspace, [250], "ant")
    with pytest.raises(
        ArgumentError, match="attributes was told of other images than there are now: set attributes=FI"
    ):
        recipes.make(workspace, recipe=again, name="x")
    stored = workspace.path / "splits" / "glt-multi" / "attributes.parquet"
    files.write_table(stored, files.read_table(stored).slice(1))
    with pytest.raises(CurationError, match=r"attributes.parquet is not the table that the recipe was made from"):
        recipes.make(workspace, recipe=again, name="x")


def test_inputs_are_digested_once(workspace, monkeypatch):
    seen = []
    monkeypatch.setattr(inputs, "digest", lambda table: seen.append(table) or digest(table))
    recipes.make(workspace, name="one", parameters=clustered.FIT)
    assert len(seen) == 3  # images, excluded, clusters


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
    for kind in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.large_string())):
        assert digest(table.set_column(0, "a", table["a"].cast(kind))) == digest(table)
    flags = pa.table({"a": [True, None, False]})
    assert digest(flags) == digest(pa.concat_tables([flags.slice(0, 1), flags.slice(1)]))
    assert len({digest(t) for t in (flags, pa.table({"a": [True, False, False]}), pa.table({"a": [None] * 3}))}) == 3
    for values in ([[1], [2]], [b"x", b"y"]):
        with pytest.raises(CurationError, match=r"column 'a' has the type .*, of which there is no digest"):
            digest(pa.table({"a": values}))


def test_left_out_reasons_are_counted_by_kind():
    assert reason_kind("near duplicate of image 12 (decided by rule)") == "near duplicate"
    assert reason_kind("broken: truncated at byte 2") == "broken"
    leak = "near duplicate of hat/x (1).jpg in reference set fashion-test (decided by rule)"
    assert reason_kind(leak) == "near duplicate in reference set fashion-test"
