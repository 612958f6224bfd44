"""The whole job from a shell, exit codes, and machine-readable last lines."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pictures import draw

from curation import jobs, pipeline
from curation.cli import main
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


@pytest.mark.parametrize("shell", [False, True], ids=["called", "as a process"])
def test_the_journey(tmp_path, pictures, capsys, shell):
    def step(*arguments):
        if not shell:
            return run(capsys, *arguments)
        command = [sys.executable, "-m", "curation", *map(str, arguments), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    work = tmp_path / "work"
    code, result = step("init", work, "--images", pictures)
    assert (code, result["images"]) == (0, 73)
    code, result = step("extract", work, "--workers", 1)
    assert code == 0
    code, _ = step("cluster", work, "--features", "tf_efficientnet_lite0", "--clusters", 4, "--attributes", 2)
    assert code == 0
    code, _ = step("map", work, "--features", "tf_efficientnet_lite0", "--method", "tsne", "--class", "ant")
    assert code == 0
    code, _ = step("duplicates", work)
    assert code == 0
    code, result = step(
        "split", work, "--name", "one", "--set", "per_cell=1", "--set", "val_per_cell=1", "--set", "policy=shrink"
    )
    assert code == 0
    code, result = step("export", work, "one", "--format", "glt-json", "--format", "folder", "--out", tmp_path / "out")
    assert code == 0
    code, result = step("rebuild", tmp_path / "out" / "manifest.json")
    assert code == 0
    code, result = step("status", work)
    assert (result["images"], result["splits"]) == (73, "one")
    assert {job.state for job in jobs.listing(Workspace(work))} == {"done"}


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


def test_plain_lines_where_there_is_no_terminal(tmp_path, picture_tree, capsys):
    main(["init", str(tmp_path / "w"), "--images", str(picture_tree)])
    said = capsys.readouterr()
    assert "20 of 20" in said.err
    assert "images: 20" in said.out
