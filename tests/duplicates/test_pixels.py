"""Exact neighbours by pixels against brute force in whole numbers, and the published tests on real photographs."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from curation.duplicates import bounds, integers, pixels
from curation.duplicates.pixels import distances, near
from curation.duplicates.renditions import BYTES, Renditions, rendition
from curation.duplicates.sketch import sketch
from curation.duplicates.sources import REVIEWED
from curation.errors import ArgumentError, Cancelled

NONE = np.zeros(0, np.int64)


@lru_cache(maxsize=200)
def picture(kind: str, seed: int) -> np.ndarray:
    """A picture of 256 x 256 pixels; a seed gives the same picture, close seeds of some kinds close ones."""
    rng = np.random.default_rng(seed)
    if kind == "noise":
        return rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    if kind == "flat":  # many equal distances
        return np.full((256, 256, 3), 40 * (seed % 6), np.uint8)
    if kind == "extreme":
        return (
            np.where((np.indices((256, 256)).sum(0) >> (seed % 4)) & 1, 255, 0)[..., None].repeat(3, 2).astype(np.uint8)
        )
    scene = np.random.default_rng(seed % 4).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(scene).resize((256, 256), Image.Resampling.BICUBIC)).astype(np.int16)
    return (smooth + rng.normal(0, 1 + seed % 5, smooth.shape)).clip(0, 255).astype(np.uint8)


def table(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """All squared distances, int64; float64 adds up whole numbers below 2**53 exactly."""
    x, y = (pictures.reshape(-1, BYTES).astype(np.float64) for pictures in (first, second))
    return ((x * x).sum(1)[:, None] - 2 * (x @ y.T) + (y * y).sum(1)).astype(np.int64)


def brute(distance: np.ndarray, rows, columns, *, k: int, radius: float, same: bool) -> list[tuple[int, int, int]]:
    """(query, target, distance) from the table of all distances."""
    found = []
    for row in sorted(set(rows)):
        others = sorted((int(distance[row, column]), column) for column in set(columns) if not (same and row == column))
        found += [(row, c, d) for place, (d, c) in enumerate(others) if place < k or d <= radius]
    return found


def listed(found) -> list[tuple[int, int, int]]:
    return list(zip(*(part.tolist() for part in found), strict=True))


kinds = st.sampled_from(["noise", "flat", "extreme", "scene"])
drawn = st.lists(st.tuples(kinds, st.integers(0, 11)), min_size=1, max_size=14)


def test_the_table_of_this_test_is_that_of_int64():
    pictures = np.stack([picture(kind, 1) for kind in ("noise", "flat", "extreme", "scene")])
    flat = pictures.reshape(4, -1).astype(np.int64)
    assert np.array_equal(table(pictures, pictures), ((flat[:, None] - flat[None]) ** 2).sum(2))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn, st.integers(0, 6), st.floats(0, 1), st.integers(2, 9), st.data())
def test_neighbours_are_those_of_brute_force(named, k, share, block, data):
    pictures = np.stack([picture(*name) for name in named])
    distance = table(pictures, pictures)
    radius = float(np.quantile(distance, share)) if k == 0 or data.draw(st.booleans()) else None
    ids = st.lists(st.integers(0, len(named) - 1), min_size=1)
    everyone = list(range(len(named)))
    rows, columns = (everyone, everyone) if data.draw(st.booleans()) else (data.draw(ids), data.draw(ids))
    ours = Renditions.of(pictures)
    same = data.draw(st.booleans())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "BLOCK", block)
        patch.setattr(pixels, "_COLLECTED", data.draw(st.sampled_from([0, 10**9])))
        patch.setitem(pixels._DENSE, "cpu", data.draw(st.sampled_from([0, 1 / 8, 1])))
        found = near(ours, rows, ours if same else Renditions.of(pictures), columns, k=k, radius=radius, device="cpu")
    assert listed(found) == brute(distance, rows, columns, k=k, radius=-1 if radius is None else radius, same=same)
    assert [part.dtype for part in found] == [np.int64, np.int64, np.float64]


@settings(max_examples=20, deadline=None)
@given(drawn)
def test_sketches_bound_distances_from_below(named):
    pictures = np.stack([picture(*name) for name in named])
    sketches = sketch(pictures)
    point, error = sketches["point"].astype(np.float64), sketches["error"].astype(np.float64)
    apart = np.linalg.norm(point[:, None] - point[None], axis=2) - error[:, None] - error[None]
    assert (64 * apart.clip(min=0) ** 2 <= table(pictures, pictures)).all()


def test_the_same_from_any_number_of_workers_and_order_of_ids(monkeypatch):
    monkeypatch.setattr(bounds, "BLOCK", 16)
    monkeypatch.setattr(pixels, "_PAIRS", 5)
    ours = Renditions.of(np.stack([picture("scene", seed) for seed in range(60)]))
    shuffled = np.random.default_rng(0).permutation(60)
    one = near(ours, ours.ids, ours, ours.ids, k=5, radius=3e6, device="cpu")
    many = near(ours, shuffled, ours, shuffled[::-1], k=5, radius=3e6, device="cpu", workers=4)
    assert listed(one) == listed(many)
    assert len(one.query) > 60 * 5


def test_products_by_float_give_the_same(monkeypatch):
    ours = Renditions.of(np.stack([picture("scene", seed) for seed in range(20)]))
    monkeypatch.setitem(pixels._DENSE, "cpu", 0)
    usual = near(ours, ours.ids, ours, ours.ids, k=3, device="cpu")
    monkeypatch.setattr(integers, "_int8_is_exact", lambda device: False)
    assert listed(near(ours, ours.ids, ours, ours.ids, k=3, device="cpu")) == listed(usual)


@pytest.mark.parametrize("exact", [True, False])
def test_products_of_the_largest_numbers_are_exact(monkeypatch, exact):
    import torch

    x = torch.full((3, 65_536), -128, dtype=torch.int8)
    x[1] = 127
    x[2, ::2] = 127
    if not exact:
        monkeypatch.setattr(integers, "_int8_is_exact", lambda device: False)
    expected = x.double() @ x.double().T
    assert torch.equal(integers.products(x, x).double(), expected)


def test_most_pairs_are_not_measured(monkeypatch):
    measured = []
    norms = pixels._norms
    monkeypatch.setattr(pixels, "_norms", lambda *pairs: measured.append(len(pairs[1])) or norms(*pairs))
    ours = Renditions.of(np.stack([picture("scene", seed) for seed in range(100)]))
    near(ours, ours.ids, ours, ours.ids, k=0, radius=1e6, device="cpu")
    assert sum(measured) < 0.3 * 100 * 99 / 2  # four scenes: a quarter of all pairs is of one scene
    measured.clear()
    found = near(ours, ours.ids, ours, ours.ids, k=5, device="cpu")
    assert len(found.query) == 500
    assert sum(measured) < 0.3 * 100 * 99 / 2


def test_distances_of_given_pairs_are_exact():
    pictures = np.stack([np.zeros((256, 256, 3), np.uint8), np.full((256, 256, 3), 255, np.uint8), picture("noise", 1)])
    ours, steps = Renditions.of(pictures), []
    a, b = np.array([0, 2, 1, 0, 2]), np.array([1, 1, 1, 2, 0])
    found = distances(ours, a, Renditions.of(pictures), b, workers=2, progress=lambda *step: steps.append(step[:2]))
    assert found.dtype == np.float64
    assert found.tolist() == table(pictures, pictures)[a, b].tolist()
    assert found[0] == 196_608 * 255**2
    assert steps[-1] == (5, 5)
    assert distances(ours, NONE, ours, NONE).tolist() == []


def test_nothing_on_a_side_gives_no_neighbours():
    ours = Renditions.of(np.stack([picture("flat", 0)]))
    for query, target in ((NONE, ours.ids), (ours.ids, NONE), (NONE, NONE), (ours.ids, ours.ids)):
        assert listed(near(ours, query, ours, target, radius=1e9, device="cpu")) == []


def test_impossible_arguments_and_unknown_images():
    ours = Renditions.of(np.stack([picture("flat", 0)]))
    for options in ({"k": 0}, {"k": -1}, {"radius": -1.0}, {"radius": float("nan")}):
        with pytest.raises(ArgumentError, match="give k > 0 or a radius"):
            near(ours, [0], ours, [0], **options)
    with pytest.raises(ArgumentError, match="1 of 2 images have no rendition, image 7"):
        near(ours, [0], ours, [0, 7])
    with pytest.raises(ArgumentError, match="image 7"):
        distances(ours, [7], ours, [0])


def test_a_search_can_be_stopped(monkeypatch):
    monkeypatch.setattr(bounds, "BLOCK", 4)
    ours = Renditions.of(np.stack([picture("flat", seed) for seed in range(12)]))
    steps = []

    def stop(done: int, total: int, message: str) -> None:
        steps.append((done, total))
        if done == 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        near(ours, ours.ids, ours, ours.ids, k=2, device="cpu", progress=stop)
    assert steps == [(1, 6), (2, 6), (3, 6), (4, 6)]


# -- the published tests (github.com/modestyachts/ImageNetV2, seed 586724699), on photographs at hand --------------


@pytest.fixture(scope="module")
def photographs(shared_data) -> list[Path]:
    """A hundred and one photographs; no two are near duplicates."""
    paths = sorted((shared_data / "clothing").rglob("*.jpg"))
    return [paths[i] for i in np.random.default_rng(586724699).choice(len(paths), 101, replace=False)]


@pytest.fixture(scope="module")
def references(photographs) -> Renditions:
    return Renditions.of(np.stack([rendition(path.read_bytes()) for path in photographs]))


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=100, subsampling=0)
    return buffer.getvalue()


def by_way_of_500(path: Path) -> Image.Image:
    """The photograph with a long side of 500 pixels, then 256 x 256."""
    with Image.open(path) as image:
        scale = 500 / max(image.size)
        larger = image.convert("RGB").resize([round(side * scale) for side in image.size], Image.Resampling.BILINEAR)
    return larger.resize((256, 256), Image.Resampling.BILINEAR)


def noisy(image: Image.Image) -> Image.Image:
    noise = np.random.default_rng(586724699).normal(0, 1, (256, 256, 3))
    return Image.fromarray((np.asarray(image) + noise).round().clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "edit",
    [
        lambda path: path.read_bytes(),
        lambda path: jpeg(by_way_of_500(path)),
        lambda path: jpeg(noisy(by_way_of_500(path))),
    ],
    ids=["identical", "by way of 500 pixels", "with noise"],
)
def test_an_edited_copy_finds_its_original_first(photographs, references, edit):
    copies = Renditions.of(np.stack([rendition(edit(path)) for path in photographs[:20]]))
    found = near(copies, copies.ids, references, references.ids, k=2, device="cpu")
    first, second = found.target.reshape(-1, 2), found.distance.reshape(-1, 2)
    assert first[:, 0].tolist() == list(range(20))
    assert (second[:, 1] > 1e4).all()
    assert (second[:, 0] < REVIEWED["pixels"]).all()


def test_identical_copies_are_at_distance_0(photographs, references):
    copies = Renditions.of(np.stack([rendition(path.read_bytes()) for path in photographs[:20]]))
    assert near(copies, copies.ids, references, references.ids, k=1).distance.tolist() == [0.0] * 20
