"""Extraction, on real pictures with the default backbone: the same bytes always, and nothing finished is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from curation import arrays
from curation.errors import ArgumentError, Cancelled, CurationError
from curation.features import extract as stage
from curation.features.extract import extract
from curation.images import ingest

NAME = "tf_efficientnet_lite0"
SMALL = {"batch_size": 3, "shard_rows": 8, "device": "cpu"}


LOAD, PREPARE = lru_cache(stage.load), lru_cache(stage.prepare)


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch):
    """One model for all runs in this process; the killed run loads its own, and must give the same bytes."""
    monkeypatch.setattr(stage, "load", LOAD)
    monkeypatch.setattr(stage, "prepare", PREPARE)


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("features") / NAME


@pytest.fixture
def extracted(workspace, kept):
    """The workspace with the shards of a finished run in this process, which is made once."""
    if kept.exists():
        shutil.copytree(kept, workspace.path / "features" / NAME)
    else:
        extract(workspace, workers=0, **SMALL)
        shutil.copytree(workspace.path / "features" / NAME, kept)
    return workspace


def shards(workspace, name: str = NAME) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((workspace.path / "features" / name).glob("0*"))}


def test_every_usable_picture_gets_a_feature(workspace):
    seen = []
    made = extract(workspace, workers=0, progress=lambda *step: seen.append(step), **SMALL)
    assert made | {"rate": 0} == {
        "features": NAME,
        "images": 20,
        "extracted": 20,
        "kept": 0,
        "set_aside": 0,
        "failed": {},
        "remade": {},
        "dim": 1280,
        "dtype": "float16",
        "device": "cpu",
        "precision": made["precision"],
        "rate": 0,
    }
    assert [step[:2] for step in seen[1:]] == [(n, 20) for n in (3, 6, 8, 11, 14, 16, 19, 20)]
    assert [step[2] for step in seen[3:5]] == ["extracting: shard 1 of 3", "extracting: shard 2 of 3"]
    # What comes before the colon names a phase, and a new phase counts its rate and time left from zero.
    assert [step[2].split(":")[0] for step in seen] == [f"loading {NAME}"] + ["extracting"] * 8
    features = arrays.Features(workspace, NAME)
    assert features.ids.tolist() == list(range(20))
    assert np.isfinite(features.rows(features.ids)).all()
    assert len(np.unique(features.rows(features.ids), axis=0)) == 20
    assert len(features.recipe["weights_sha256"]) == 64
    assert features.recipe["transform"]["resize"] == 256


def test_the_same_bytes_whatever_the_number_of_workers(extracted):
    extract(extracted, workers=1, name="one", **SMALL)
    extract(extracted, workers=3, name="three", **SMALL)
    assert len(shards(extracted)) == 6
    assert shards(extracted) == shards(extracted, "one") == shards(extracted, "three")


def test_features_are_those_of_the_backbone(extracted, picture_tree):
    import torch
    from PIL import Image
    from timm.data import create_transform, resolve_model_data_config

    from curation.features.backbones import load

    network = load(NAME).network
    transform = create_transform(**resolve_model_data_config(network))
    paths = extracted.images(["path"])["path"].to_pylist()
    pictures = torch.stack([transform(Image.open(picture_tree / path).convert("RGB")) for path in paths])
    with torch.inference_mode():
        expected = network(pictures).numpy()
    found = arrays.Features(extracted, NAME).rows(range(20))
    cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() >= 0.995


def test_a_second_run_keeps_everything(extracted):
    before = shards(extracted)
    made = extract(extracted, workers=0, **SMALL)
    assert (made["kept"], made["extracted"]) == (20, 0)
    assert shards(extracted) == before


KILLED = """
import multiprocessing, os, signal, sys
from curation.features.extract import extract
from curation.workspace import Workspace

def progress(done, total, message):
    if done >= 11:
        print(*[child.pid for child in multiprocessing.active_children()], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    settings = {"batch_size": 3, "shard_rows": 8, "device": "cpu"}
    extract(Workspace(sys.argv[1]), name="killed", workers=2, progress=progress, **settings)
"""


def test_a_killed_run_loses_at_most_one_shard(extracted, tmp_path):
    (tmp_path / "killed.py").write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": str(Path(stage.__file__).resolve().parents[2])}
    command = [sys.executable, str(tmp_path / "killed.py"), str(extracted.path)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    workers = [int(pid) for pid in ended.stdout.split()]
    assert len(workers) == 2
    _wait_for_end(workers)
    with pytest.raises(CurationError, match="have 1 of 3 shards: run `extract`"):
        arrays.Features(extracted, "killed")
    made = extract(extracted, workers=0, name="killed", **SMALL)
    assert (made["kept"], made["extracted"], made["remade"]) == (8, 12, {})
    assert shards(extracted) == shards(extracted, "killed")


def _wait_for_end(pids: list[int]) -> None:
    """Return when none of the processes runs any more; fails after ten seconds."""
    for _ in range(100):
        states = [Path(f"/proc/{pid}/stat") for pid in pids]
        if not [s for s in states if s.exists() and s.read_text().rsplit(")", 1)[1].split()[0] != "Z"]:
            return
        time.sleep(0.1)
    pytest.fail(f"decoders outlived their parent: {pids}")


def test_a_stopped_run_goes_on_from_its_last_shard(workspace):
    def stop(done: int, total: int, message: str) -> None:
        if done == 14:
            raise Cancelled

    with pytest.raises(Cancelled):
        extract(workspace, workers=2, progress=stop, **SMALL)
    assert extract(workspace, workers=0, **SMALL)["kept"] == 8


def test_a_corrupted_shard_is_made_anew_and_told(extracted):
    before = shards(extracted)
    path = extracted.path / "features" / NAME / "00001.npy"
    data = bytearray(path.read_bytes())
    data[-2] ^= 4
    path.write_bytes(data)
    (path.parent / "00002.json").write_text("{half")
    seen = []
    made = extract(extracted, workers=0, progress=lambda *step: seen.append(step[2]), **SMALL)
    assert made["remade"] == {"1": "corrupted", "2": "corrupted"}
    assert (made["kept"], made["extracted"]) == (8, 12)
    assert "extracting: shard 2 of 3, which was corrupted" in seen
    assert shards(extracted) == before


def test_new_pictures_touch_only_their_shard(extracted, picture_tree):
    before = shards(extracted)
    (picture_tree / "bee" / "new.png").write_bytes((picture_tree / "ant" / "001.png").read_bytes())
    ingest.read(extracted, workers=1)
    made = extract(extracted, workers=0, **SMALL)
    assert (made["images"], made["kept"], made["remade"]) == (21, 16, {"2": "changed"})
    after = shards(extracted)
    assert all(after[key] == before[key] for key in before if not key.startswith("00002"))
    features = arrays.Features(extracted, NAME)
    assert len(features) == 21


def test_a_picture_that_cannot_be_decoded_is_set_aside(extracted, picture_tree):
    (picture_tree / "ant" / "004.jpg").write_bytes(b"text")
    (picture_tree / "bee" / "003.png").unlink()
    made = extract(extracted, workers=2, name="damaged", **SMALL)
    assert (made["set_aside"], made["images"]) == (2, 20)
    assert set(made["failed"]) == {"4", "15"}
    assert made["failed"]["4"].startswith("not a picture of a known kind")
    features, whole = arrays.Features(extracted, "damaged"), arrays.Features(extracted, NAME)
    assert features.failed.keys() == {4, 15}
    others = [i for i in range(20) if i not in (4, 15)]
    assert features.ids.tolist() == others
    assert np.array_equal(features.rows(others), whole.rows(others))


def test_broken_pictures_of_the_table_are_not_asked_for(workspace, picture_tree):
    (picture_tree / "ant" / "002.jpg").write_bytes(b"")
    ingest.read(workspace, workers=1)
    made = extract(workspace, workers=0, **SMALL)
    assert (made["images"], made["set_aside"]) == (19, 0)
    assert 2 not in arrays.Features(workspace, NAME).ids


def test_pictures_that_are_all_away_are_not_taken_for_broken(workspace, picture_tree):
    for path in picture_tree.glob("*/*"):
        path.unlink()
    with pytest.raises(
        CurationError, match=r"none of the 8 pictures of shard 0 could be read \(image 0 first: cannot be"
    ):
        extract(workspace, workers=0, **SMALL)
    assert not shards(workspace)
    for path in picture_tree.iterdir():
        path.rmdir()
    picture_tree.rmdir()
    with pytest.raises(CurationError, match="is not there: mount it"):
        extract(workspace, workers=0, **SMALL)


def test_other_settings_need_another_name(extracted):
    before = shards(extracted)
    with pytest.raises(ArgumentError, match=r'\(dtype: dtype was "float16", now "float32"\): choose another --name'):
        extract(extracted, workers=0, dtype="float32", **SMALL)
    assert shards(extracted) == before


def test_a_recipe_without_shards_does_not_bind(workspace):
    (workspace.path / "features" / NAME).mkdir(parents=True)
    (workspace.path / "features" / NAME / "recipe.json").write_text(json.dumps({"backbone": "other"}))
    assert extract(workspace, workers=0, **SMALL)["extracted"] == 20


def test_values_beyond_float16_ask_for_float32(workspace, monkeypatch):
    prepare = stage.prepare

    class Loud:
        def __init__(self, model):
            self._model = model

        def __getattr__(self, name):
            return getattr(self._model, name)

        def __call__(self, pictures):
            return self._model(pictures) * 1e6

    monkeypatch.setattr(stage, "prepare", lambda *a, **k: Loud(prepare(*a, **k)))
    with pytest.raises(
        CurationError, match=r"image 0 has a feature value of .*float16 holds 65504 at most: use --dtype"
    ):
        extract(workspace, workers=0, **SMALL)
    assert extract(workspace, workers=0, dtype="float32", **SMALL)["extracted"] == 20


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dtype": "float64"}, "unknown dtype 'float64'"),
        ({"batch_size": 0}, "batch size 0"),
        ({"workers": -1}, "-1 workers"),
        ({"backbone": "resnet5"}, "unknown backbone 'resnet5'"),
        ({"name": "a/b"}, "cannot be a file name"),
        ({"device": "cuda:99"}, "is not here"),
    ],
)
def test_impossible_arguments_are_refused(workspace, wrong, message):
    with pytest.raises(ArgumentError, match=message):
        extract(workspace, **wrong)
    assert not list((workspace.path).glob("features/*/*.npy"))


def test_importing_the_stage_does_not_import_torch():
    code = "import sys, curation.features.extract; sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    root = Path(stage.__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, timeout=60).returncode == 0
