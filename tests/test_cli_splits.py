"""Splits, their comparison, conversion and datasheets from a shell."""

import json
from pathlib import Path

import clustered
import pytest

from curation.cli import main


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clustered")
    clustered.build(folder)
    return folder


@pytest.fixture
def work(template, tmp_path):
    return clustered.copy(template, tmp_path).path


@pytest.fixture
def say(capsys):
    """The lines that a person reads."""

    def called(*arguments):
        assert main([*map(str, arguments)]) == 0
        return capsys.readouterr().out.splitlines()

    return called


@pytest.fixture
def run(capsys):
    def called(*arguments):
        code = main([*map(str, arguments), "--json"])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return code, json.loads(printed.out.strip().splitlines()[-1]) if printed.out.strip() else printed.err

    return called


def test_recipes_by_kind_preset_and_file(work, run, tmp_path):
    code, made = run("split", work, "--name", "even", "--recipe", "stratified", "--set", "test=0.2", "--seed", 3)
    assert (code, made["name"]) == (0, "even")
    code, again = run("split", work, "--name", "even", "--recipe", work / "splits" / "even" / "recipe.json")
    assert (code, again["name"], again["splits"], again["other_inputs"]) == (0, "even.r2", made["splits"], [])
    assert (work / "splits/even/split.parquet").read_bytes() == (work / "splits/even.r2/split.parquet").read_bytes()
    run("export", work, "even", "--format", "csv", "--out", tmp_path / "out")
    code, third = run("split", work, "--name", "third", "--recipe", tmp_path / "out" / "manifest.json", "--seed", 4)
    assert (code, third["splits"]) == (0, made["splits"])
    code, few = run("split", work, "--name", "few", "--recipe", "five-shot")
    assert (code, few["recipe"], few["splits"]["train"]) == (0, "k-shot", 5 * len(clustered.CLASSES))
    code, listed = run("splits", work)
    assert [row["name"] for row in listed["splits"]] == ["even", "even.r2", "few", "third"]


def test_classes_from_a_file(work, run, tmp_path):
    names = tmp_path / "two.txt"
    names.write_text("cat\n\nbee\n")
    code, made = run("split", work, "--name", "two", "--recipe", "subset", "--set", f"classes={names}")
    assert (code, made["classes"]) == (0, 2)
    report = json.loads((work / "splits/two/report.json").read_text())
    assert report["classes"] == ["cat", "bee"]
    names.write_text("cat\nbee\ncat\n")
    code, said = run("split", work, "--name", "x", "--recipe", "subset", "--set", f"classes={names}")
    assert code == 2
    assert "line 3 names 'cat', as 1 does" in said["error"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--recipe", "strat"], 2, "unknown recipe 'strat': choose one of glt"),
        (
            ["--recipe", "stratified", "--set", "tst=1"],
            2,
            "unknown parameter 'tst' of recipe 'stratified': did you mean",
        ),
        (["--recipe", "k-shot", "--set", "k=500"], 1, "needs 500"),
        (["--recipe", "stratified", "--set", "classes=cow"], 2, "no images that may be used, such as 'cow'"),
        (["--recipe", "stratified", "--set", "classes=ant,ant"], 2, "classes lists 'ant' 2 times"),
        (["--recipe", "stratified", "--set", "test=source:test"], 2, "there is no source split 'test'"),
        (["--recipe", "glt", "--set", "weights=0,0"], 2, "sum to 0"),
        (["--recipe", "glt", "--set", "attributes=9"], 2, "attributes is 9"),
        (["--recipe", "trim-tail", "--set", "base=none"], 2, "none"),
        (["--recipe", "stratified", "--duplicates", "hope"], 2, "choose one of decided, verdicts, ignore, together"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_written(work, run, arguments, code, message):
    found, said = run("split", work, "--name", "x", *arguments)
    assert (found, message in said["error"]) == (code, True), said
    assert not list((work / "splits").glob("*"))


def test_a_recipe_file_that_is_none(work, run, tmp_path):
    path = tmp_path / "r.json"
    for text, message in (
        ("[1]", "holds a list, and a recipe is an object"),
        ('{"parameters": {}}', "key 'kind' is missing"),
        ('{"kind": "stratified", "parameters": [1]}', "key 'parameters' is missing or not a dict"),
        ('{"kind": "stratified", "parameters": {"seed": "a"}}', "seed is 'a' (str), and must be a whole number"),
        ("{", "r.json, line 1: not a JSON file"),
    ):
        path.write_text(text)
        code, said = run("split", work, "--name", "x", "--recipe", path)
        assert code in (1, 2)
        assert message in said["error"]


def _to(splits):
    return " ".join(f"to {name}" for name in splits).split()


def test_two_splits_are_compared(work, run, say):
    run("split", work, "--name", "one", "--recipe", "stratified")
    run("split", work, "--name", "one", "--recipe", "stratified", "--seed", 1)
    code, found = run("splits", work, "--compare", "one", "one.r2")
    assert code == 0
    assert found["parameters"] == {"seed": [25, 1]}
    assert sum(map(sum, found["moved"])) == sum(clustered.CLASSES.values())
    assert found["histograms"]["train"]["a"] == found["histograms"]["train"]["b"]
    told = say("splits", work, "--compare", "one", "one.r2")
    for line in ("compared: one → one.r2", f"moved: {found['changed']}", f"kept: {found['kept']}", "added: 0"):
        assert line in told
    row = next(line for line in told if line.startswith("  train "))
    assert row.split() == ["train", *(f"{count:,}" for count in found["moved"][0])]
    assert next(line for line in told if line.startswith("  from ")).split() == ["from", *_to(found["splits"][1])]
    assert "other parameters: seed 25 → 1" in told
    code, said = run("splits", work, "--compare", "one", "two")
    assert (code, "there is no split 'two'" in said["error"]) == (2, True)


def test_what_was_made_from_other_tables_is_told(work, run, say):
    run("split", work, "--name", "one", "--recipe", "stratified")
    recipe = work / "splits" / "one" / "recipe.json"
    document = json.loads(recipe.read_text())
    document["inputs"] |= {"images": "0", "rows": 1}
    recipe.write_text(json.dumps(document))
    told = say("split", work, "--name", "two", "--recipe", recipe)
    assert "made from other: images" in told
    assert not any(line.startswith("other inputs") for line in told)
    assert any(line.startswith("splits: train ") for line in told)


def test_exports_are_told_in_rows_and_checked_in_words(work, run, say, tmp_path):
    for _ in range(2):
        run("split", work, "--name", "one", "--recipe", "stratified")
    told = say("export", work, "one", "one.r2", "--format", "hf")
    assert told[0] == "exports:"
    assert told[1].split() == ["split", "images", "files", "bytes", "newer", "revision", "out"]
    assert [line.split()[0] for line in told[2:4]] == ["one", "one.r2"]
    assert told[2].split()[4] == "one.r2"
    pictures = list((work / "exports" / "one" / "hf").glob("**/*.parquet"))
    for path in pictures:
        path.unlink()
    word = f"not checked: {len(pictures)} files with pictures, which are not here"
    told = say("verify", work, "one")
    assert told[0] == "export: one"
    assert told[2:] == [word]
    manifest = work / "exports" / "one" / "manifest.json"
    (manifest.parent / "left_out.parquet").unlink()
    told = say("rebuild", manifest, "--out", tmp_path / "again")
    assert {"split: one", "were missing: left_out.parquet", word} <= set(told)


def test_files_are_converted_and_what_is_lost_is_told(work, run, say, tmp_path):
    run("split", work, "--name", "one", "--recipe", "glt", *[f"--set={k}={v}" for k, v in clustered.FIT.items()])
    run("export", work, "one", "--format", "glt-json", "--out", tmp_path / "out")
    code, found = run("convert", tmp_path / "out/one.json", tmp_path / "lists", "--to", "csv")
    assert (code, found["from"], {row["column"] for row in found["lost"]}) == (0, "glt-json", {"meta"})
    code, found = run("convert", tmp_path / "lists/one.csv", tmp_path / "back", "--from", "csv", "--to", "inat-json")
    assert (code, {"attribute", "frequency"} <= {row["column"] for row in found["lost"]}) == (0, True)
    rows = found["images"]
    told = say("convert", tmp_path / "lists/one.csv", tmp_path / "more", "--to", "inat-json")
    assert f"cannot hold: frequency ({rows} rows), attribute ({rows} rows), cluster ({rows} rows)" in told
    told = say("convert", tmp_path / "out/one.json", tmp_path / "more.csv", "--to", "csv")
    assert told[-1] == "cannot hold: meta"
    swap = ("--to", "csv", "--prefix")
    code, _ = run(
        "convert", tmp_path / "lists/one.csv", tmp_path / "a.csv", "--to", "csv", "--root", "/a", "--absolute"
    )
    code, _ = run("convert", tmp_path / "a.csv", tmp_path / "b.csv", *swap, "/a/=")
    assert code == 0
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "lists/one.csv").read_bytes()
    code, said = run("convert", tmp_path / "lists/one.csv", tmp_path / "x.csv", *swap, "ant/")
    assert (code, "--prefix 'ant/' has no '=': give OLD=NEW" in said["error"]) == (2, True)
    code, said = run("convert", tmp_path / "lists/one.csv", tmp_path / "back", "--to", "yaml")
    assert (code, "unknown format 'yaml'" in said["error"]) == (2, True)


def test_a_datasheet(work, run):
    run("split", work, "--name", "one", "--recipe", "balanced")
    code, found = run("datasheet", work, "one")
    assert code == 0
    text = next(path for path in found["files"] if path.endswith(".md"))
    assert "Balanced" in Path(text).read_text(encoding="utf-8")


def test_a_format_that_cannot_hold_a_split_does_not_keep_the_others_from_it(work, run, tmp_path):
    run("split", work, "--name", "one", "--recipe", "stratified")
    code, found = run("export", work, "one", "--format", "csv", "--format", "glt-json", "--out", tmp_path / "out")
    assert code == 3
    assert [row["format"] for row in found["refused"]] == ["glt-json"]
    assert "not 'test'" in found["refused"][0]["reason"]
    assert (tmp_path / "out" / "one.csv").is_file()
    assert not (tmp_path / "out" / "one.json").exists()
    assert run("rebuild", tmp_path / "out" / "manifest.json")[0] == 0
    code, said = run("export", work, "one", "--format", "glt-json", "--out", tmp_path / "other")
    assert (code, "not 'test'" in said["error"]) == (2, True)
    assert not (tmp_path / "other").exists()


def test_what_was_refused_of_several_splits_is_told(work, run, tmp_path, capsys):
    run("split", work, "--name", "one", "--recipe", "stratified")
    run("split", work, "--name", "two", "--recipe", "stratified", "--seed", 1)
    formats = ["--format", "csv", "--format", "glt-json"]
    assert main(["export", str(work), "one", "two", *formats, "--out", str(tmp_path / "out")]) == 3
    said = capsys.readouterr().out
    assert said.count("not 'test'") == 2
