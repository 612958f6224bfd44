"""Precision and devices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from curation.errors import ArgumentError, CurationError
from curation.features import backbones, model
from curation.features.transforms import Transform


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """24 pictures of 224 × 224 with coarse and fine structure."""
    from PIL import Image

    def one(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        coarse = Image.fromarray(rng.integers(0, 256, (5 + seed, 6 + seed, 3), np.uint8))
        return np.asarray(coarse.resize((224, 224), Image.Resampling.BICUBIC))

    return np.stack([one(seed) for seed in range(24)])


@pytest.fixture(scope="module")
def made() -> model.Model:
    return model.prepare(backbones.load(backbones.DEFAULT), device="cpu")


def test_features_agree_with_full_precision(pictures, made):
    exact = backbones.load(backbones.DEFAULT)
    with torch.inference_mode():
        values = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255.0
        expected = exact.network((values - 0.5) / 0.5).numpy()
    found = made(pictures)
    assert found.dtype == np.float32
    assert found.shape == (24, 1280)
    cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() >= 0.995


def test_a_picture_has_the_same_feature_whatever_lies_beside_it(pictures, made):
    first = made(pictures[:8])
    second = made(np.concatenate([pictures[:1], pictures[9:16]]))
    assert np.array_equal(first[0], second[0])


def own(network: torch.nn.Module, **transform: object) -> backbones.Backbone:
    return backbones.Backbone("own", network, Transform(8, 8, **transform), "", "", "")


@pytest.mark.parametrize(("largest", "mean", "std"), [(1.0, 0.0, 1.0), (255.0, 0.0, 1.0), (1.0, 0.4, 0.2)])
def test_values_are_scaled_and_normalised(largest, mean, std):
    transform = {"largest": largest, "mean": (mean, 0.0, 0.0), "std": (std, 1.0, 1.0)}
    made = model.prepare(own(torch.nn.Flatten(), **transform), device="cpu")
    picture = np.full((1, 8, 8, 3), 51, np.uint8)
    red, green = made(picture)[0, [0, 64]]
    assert red == pytest.approx((51 / 255 * largest - mean) / std, rel=1e-6)
    assert green == pytest.approx(51 / 255 * largest, rel=1e-6)


def test_only_one_vector_a_picture_will_do():
    with pytest.raises(CurationError, match=r"'own' returns shape \(1, 3, 8, 8\) for one picture"):
        model.prepare(own(torch.nn.Identity()), device="cpu")


@pytest.mark.parametrize(
    ("device", "message"), [("tpu9x", "unknown device"), ("cuda:99", "is not here"), ("mps", "is not")]
)
def test_a_device_that_is_not_here_is_refused(device, message):
    with pytest.raises(ArgumentError, match=message):
        model.prepare(own(torch.nn.Flatten()), device=device)
