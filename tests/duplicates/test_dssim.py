"""DSSIM, against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.metrics import structural_similarity

from curation.duplicates import dssim as module
from curation.duplicates.dssim import dssim
from curation.errors import ArgumentError


def scikit(x: np.ndarray, y: np.ndarray, window: int = 35) -> float:
    return (1 - structural_similarity(x, y, win_size=window, channel_axis=2, data_range=255)) / 2


def picture(kind: str, rng: np.random.Generator, height: int = 256, width: int = 256) -> np.ndarray:
    """Noise, one colour, black and white, a picture-like sum of waves, or nearly one colour."""
    y, x = np.mgrid[:height, :width]
    if kind == "waves":
        parts = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(0, 0.15, (6, 3)) * [1, 1, 40]]
        return (127 + 20 * sum(parts)[..., None] * [1, 0.8, 0.6] + rng.normal(size=(height, width, 3))).astype(np.uint8)
    if kind == "flat":
        return np.full((height, width, 3), rng.integers(0, 256), np.uint8)
    if kind == "edges":
        return (rng.integers(0, 2, (height, width, 3)) * 255).astype(np.uint8)
    if kind == "faint":
        return (rng.integers(0, 255) + rng.integers(0, 2, (height, width, 3))).astype(np.uint8)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


KINDS = st.sampled_from(["noise", "waves", "flat", "edges", "faint"])


@settings(max_examples=40, deadline=None)
@given(KINDS, KINDS, st.integers(0, 2**32), st.sampled_from([(3, 20, 31), (7, 40, 40), (35, 60, 80), (35, 35, 35)]))
def test_equal_to_scikit_image(one, other, seed, shape):
    window, height, width = shape
    rng = np.random.default_rng(seed)
    x, y = picture(one, rng, height, width), picture(other, rng, height, width)
    (found,) = dssim(x[None], y[None], window=window)
    assert found == pytest.approx(scikit(x, y, window), abs=1e-6)
    assert 0 <= found <= 1
    assert dssim(y[None], x[None], window=window)[0] == found


def test_equal_to_scikit_image_at_the_published_size():
    rng = np.random.default_rng(0)
    x = np.stack([picture(kind, rng) for kind in ("noise", "waves", "flat", "edges", "faint", "waves")])
    y = np.stack([255 - x[0], np.roll(x[1], 3, axis=1), x[2], x[0], x[1], picture("waves", rng)])
    expected = [scikit(*pair) for pair in zip(x, y, strict=True)]
    assert dssim(x, y) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["noise", "waves", "flat", "edges", "faint"])
def test_a_picture_is_at_no_distance_from_itself(kind):
    one = picture(kind, np.random.default_rng(1))[None]
    assert dssim(one, one.copy()).tolist() == [0.0]


def test_pairs_and_threads_change_no_byte(monkeypatch):
    monkeypatch.setattr(module, "PAIRS", 5)
    rng = np.random.default_rng(2)
    x, y = (np.stack([picture("waves", rng, 40, 50) for _ in range(6)]) for _ in range(2))
    a, b = (rng.integers(0, 6, 60) for _ in range(2))
    by_row = dssim(x[a], y[b])
    assert by_row == pytest.approx([scikit(*pair) for pair in zip(x[a], y[b], strict=True)], abs=1e-6)
    for workers in (1, 8):
        assert dssim(x, y, pairs=(a, b), workers=workers).tobytes() == by_row.tobytes()


def test_no_pairs_are_no_distances():
    none = np.zeros((0, 40, 40, 3), np.uint8)
    assert dssim(none, none).shape == (0,)


def test_a_noisy_copy_is_nearest_to_its_original(shared_data):
    """As in ImageNetV2's own tests: of 41 pictures the original is first, and the second is far away."""
    paths = sorted((shared_data / "neardup").glob("**/*.jpg"))[:: max(1, 2021 // 41)][:41]
    pictures = np.stack([np.asarray(Image.open(path).convert("RGB").resize((256, 256))) for path in paths])
    noise = np.random.default_rng(586724699).normal(size=pictures.shape)
    noisy = np.clip(np.round(pictures + noise), 0, 255).astype(np.uint8)
    for i in (0, 20, 40):
        found = dssim(noisy[[i]], pictures, pairs=(np.zeros(len(pictures), int), np.arange(len(pictures))))
        order = np.argsort(found)
        assert order[0] == i
        assert found[order[0]] < 0.1 < found[order[1]]


@pytest.mark.parametrize(
    ("first", "second", "window", "words"),
    [
        (np.zeros((1, 40, 40, 3), np.float32), np.zeros((1, 40, 40, 3), np.uint8), 35, "uint8"),
        (np.zeros((1, 40, 40, 3), np.uint8), np.zeros((1, 40, 41, 3), np.uint8), 35, "(40, 41, 3)"),
        (np.zeros((2, 40, 40, 3), np.uint8), np.zeros((3, 40, 40, 3), np.uint8), 35, "2 pictures"),
        (np.zeros((1, 30, 40, 3), np.uint8), np.zeros((1, 30, 40, 3), np.uint8), 35, "from 3 to 30"),
        (np.zeros((1, 40, 40, 3), np.uint8), np.zeros((1, 40, 40, 3), np.uint8), 8, "window is 8"),
    ],
)
def test_pictures_that_do_not_fit_are_named(first, second, window, words):
    with pytest.raises(ArgumentError) as error:
        dssim(first, second, window=window)
    assert words in str(error.value)
