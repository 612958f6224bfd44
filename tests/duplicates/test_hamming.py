"""Multi-index hashing against the comparison of all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.duplicates.hamming import BITS, Index, bands


def near_hashes(seed: int, count: int, flips: int) -> np.ndarray:
    """Families of hashes that differ in a few bits: their pairs lie on both sides of a radius."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, max(1, count // 4), dtype=np.uint64)[rng.integers(0, max(1, count // 4), count)]
    for _ in range(flips):
        hashes ^= np.uint64(1) << rng.integers(0, 64, count, dtype=np.uint64)
    return hashes


def found(targets: np.ndarray, queries: np.ndarray, radius: int, **options) -> list[tuple[int, int, int]]:
    pieces = Index(targets, radius=radius, queries=len(queries)).search(queries, **options)
    return sorted(triple for piece in pieces for triple in zip(*(x.tolist() for x in piece), strict=True))


def brute(queries: np.ndarray, targets: np.ndarray, radius: int) -> list[tuple[int, int, int]]:
    distance = np.bitwise_count(queries[:, None] ^ targets[None])
    i, j = np.nonzero(distance <= radius)
    return list(zip(i.tolist(), j.tolist(), distance[i, j].tolist(), strict=True))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32), st.integers(1, 80), st.integers(0, 8), st.integers(0, 16), st.sampled_from([1, 7, 10_000])
)
def test_finds_every_pair_within_the_radius_once(seed, count, flips, radius, block):
    hashes = near_hashes(seed, count, flips)
    assert found(hashes, hashes, radius, block=block) == brute(hashes, hashes, radius)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 60), st.integers(0, 12))
def test_finds_every_query_and_target_within_the_radius_once(seed, queries, targets, radius):
    hashes = near_hashes(seed, queries + targets, 4)
    left, right = hashes[:queries], hashes[queries:]
    assert found(right, left, radius) == brute(left, right, radius)


def test_the_bands_that_large_collections_use_find_every_pair_too(monkeypatch):
    hashes = near_hashes(3, 300, 5)
    chosen = bands(1_280_000, 8)
    assert max(band.width for band in chosen) > max(band.width for band in bands(300, 8))
    monkeypatch.setattr("curation.duplicates.hamming.bands", lambda *_: chosen)
    assert found(hashes, hashes, 8) == brute(hashes, hashes, 8)


@pytest.mark.parametrize("count", [1, 1_000, 100_000, 1_280_000])
@pytest.mark.parametrize("radius", [0, 1, 5, 8, 16])
def test_bands_cover_each_bit_at_most_once_and_keep_the_guarantee(count, radius):
    chosen = bands(count, radius)
    used = [bit for band in chosen for bit in range(band.shift, band.shift + band.width)]
    assert len(used) == len(set(used)) <= BITS
    # With every band one bit beyond its radius, the whole distance must exceed the radius.
    assert sum(band.radius + 1 for band in chosen) > radius


def test_no_hashes_give_no_pairs():
    none, some = np.zeros(0, np.uint64), near_hashes(0, 5, 2)
    assert found(none, none, 8) == found(none, some, 8) == found(some, none, 8) == []
