"""The whole job from a shell, exit codes, and machine-readable last lines."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pictures import draw

from curation import jobs, pipeline
from curation.cli import main
from curation.console import finish
from curation.workspace import Workspace

REPOSITORY = Path(__file__).resolve().parents[1]


def run(capsys, *arguments) -> tuple[int, dict]:
    code = main([*map(str, arguments), "--json"])
    lines = capsys.readouterr().out.strip().splitlines()
    return code, json.loads(lines[-1]) if lines else {}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("cli") / "pictures"
    for label, name in enumerate(("ant", "bee", "cat")):
        (root / name).mkdir(parents=True)
        for i in range(24):
            draw(500 * label + i).save(root / name / f"{i:02d}.png")
    draw(0).save(root / "ant" / "copy.png")
    return root


def test_the_journey(tmp_path, pictures, capsys):
    work = tmp_path / "work"
    code, result = run(capsys, "init", work, "--images", pictures)
    assert (code, result["images"]) == (0, 73)
    code, result = run(capsys, "extract", work, "--workers", 1)
    assert code == 0
    code, _ = run(capsys, "cluster", work, "--features", "tf_efficientnet_lite0", "--clusters", 4, "--attributes", 2)
    assert code == 0
    code, _ = run(capsys, "map", work, "--features", "tf_efficientnet_lite0", "--method", "tsne", "--class", "ant")
    assert code == 0
    code, _ = run(capsys, "duplicates", work)
    assert code == 0
    sizes = ("--set=per_cell=1", "--set=val_per_cell=1", "--set=policy=shrink")
    code, _ = run(capsys, "split", work, "--name", "one", *sizes)
    assert code == 0
    formats = ("--format", "glt-json", "--format", "folder")
    code, _ = run(capsys, "export", work, "one", *formats, "--out", tmp_path / "out")
    assert code == 0
    code, result = run(capsys, "rebuild", tmp_path / "out" / "manifest.json")
    assert code == 0
    code, result = run(capsys, "status", work)
    assert (result["images"], result["splits"]) == (73, "one")
    assert {job.state for job in jobs.listing(Workspace(work))} == {"done"}


def test_the_whole_job_as_a_process(tmp_path, pictures):
    """What a shell runs starts worker processes of its own."""

    def run_process(*arguments):
        command = [sys.executable, "-m", "curation", *map(str, arguments), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    work = tmp_path / "work"
    code, result = run_process("run", work, "--source", pictures)
    assert (code, result["images"], result["splits"]) == (0, 73, "glt")
    code, result = run_process("export", work, "glt", "--format", "glt-json", "--format", "folder")
    assert code == 0
    (work / "exports" / "glt" / "glt.json").unlink()
    code, result = run_process("rebuild", work / "exports" / "glt" / "manifest.json")
    assert (code, result["missing"]) == (1, 1)


def test_broken_pictures_give_exit_code_3(tmp_path, picture_tree, capsys):
    (picture_tree / "ant" / "broken.jpg").write_bytes(b"")
    code, result = run(capsys, "init", tmp_path / "w", "--images", picture_tree)
    assert (code, result["set_aside"], result["ok"]) == (3, 1, 20)


def test_broken_pictures_of_a_reference_set_give_exit_code_3(tmp_path, picture_tree, capsys, monkeypatch):
    main(["init", str(tmp_path / "w"), "--images", str(picture_tree)])
    folder = tmp_path / "zoo"
    (folder / "wasp").mkdir(parents=True)
    draw(900).save(folder / "wasp" / "0.png")
    (folder / "wasp" / "broken.jpg").write_bytes(b"")
    given, add = [], pipeline.add_reference

    def watched(*arguments, **options):
        given.append({name: options[name] for name in ("workers", "device")})
        return add(*arguments, **options)

    monkeypatch.setattr(pipeline, "add_reference", watched)
    options = ("--workers", 1, "--device", "cpu")
    code, result = run(capsys, "duplicates", tmp_path / "w", "--reference", folder, *options)
    assert (code, result["set_aside"], result["added"][0]["set_aside"]) == (3, 1, 1)
    assert given == [{"workers": 1, "device": "cpu"}]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nonsense",), 2, "No such command"),
        (("init", "{w}"), 2, "--images"),
        (("init", "{w}", "--images", "/no/such"), 2, "there is no folder /no/such"),
        (("extract", "/no/such"), 1, "is not a workspace"),
        (("cluster", "{w}", "--features", "none"), 1, "none"),
        (("split", "{w}", "--name", "x", "--set", "per_cel=3"), 2, "per_cell"),
        (("rebuild", "/no/such/manifest.json"), 1, "manifest.json"),
    ],
)
def test_wrong_arguments_and_failures(tmp_path, picture_tree, capsys, arguments, code, message):
    work = tmp_path / "w"
    if arguments[0] not in ("init", "nonsense"):
        main(["init", str(work), "--images", str(picture_tree)])
    assert main([a.replace("{w}", str(work)) for a in arguments]) == code
    assert message in capsys.readouterr().err


def test_a_result_is_told_in_lines(capsys):
    rows = [{"set": "a", "pairs": 1200, "why": {"x": [1, 2]}}, {"set": "bcd", "pairs": 3, "why": None}]
    told = {"left_out": {"a_b": 1, "c": {"d": 2}}, "few": ["x", 1], "none": [], "nothing": None, "rows": rows}
    finish(told | {"long": ["a" * 40, "b"], "mixed": [{"a": 1}, {"b": [2000]}]}, False)
    assert capsys.readouterr().out.splitlines() == [
        "left out: a b 1, c (d 2)",
        "few: x, 1",
        "none: none",
        "rows:",
        "  set  pairs  why",
        "  a    1,200  x (1, 2)",
        "  bcd      3",
        "long:",
        f"  {'a' * 40}",
        "  b",
        "mixed: a 1, b (2,000)",
    ]
    finish(told, True)
    assert json.loads(capsys.readouterr().out) == told


def test_plain_lines_where_there_is_no_terminal(tmp_path, picture_tree, capsys):
    main(["init", str(tmp_path / "w"), "--images", str(picture_tree)])
    said = capsys.readouterr()
    assert "20 of 20" in said.err
    assert "images: 20" in said.out


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(5, "Input/output error", "/somewhere")])
def test_an_interrupt_and_a_broken_disk_are_told_without_a_trace(tmp_path, monkeypatch, capsys, error):
    from curation import cli

    Workspace.create(tmp_path / "w", roots={"images": tmp_path})

    def stop(*_):
        raise error

    monkeypatch.setattr(cli, "finish", stop)
    monkeypatch.setattr("curation.pipeline.status", lambda _: {})
    assert main(["status", str(tmp_path / "w")]) == 1
    said = capsys.readouterr().err
    assert ("run the same command again" in said) or said == "error: /somewhere: Input/output error\n"
