"""Nearest neighbours and their limits, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.duplicates import neighbours
from curation.duplicates.neighbours import closest, cosine_top, rank, same, unique_pairs, unit


def vectors(count: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32))


def brute_top(rows: np.ndarray, k: int) -> np.ndarray:
    similarity = rows.astype(np.float64) @ rows.T.astype(np.float64)
    np.fill_diagonal(similarity, -np.inf)
    return np.argsort(-similarity, axis=1, kind="stable")[:, : min(k, len(rows) - 1)]


@pytest.mark.parametrize(("count", "k"), [(2, 5), (3, 2), (50, 5), (400, 30)])
@pytest.mark.parametrize(("rows", "columns"), [(1024, 8192), (33, 60), (7, 3)])
def test_top_is_that_of_all_pairs_whatever_the_blocks(monkeypatch, count, k, rows, columns):
    monkeypatch.setattr(neighbours, "ROWS", rows)
    monkeypatch.setattr(neighbours, "COLUMNS", columns)
    made = vectors(count)
    indices, similarities = cosine_top(made, k)
    assert np.array_equal(indices, brute_top(made, k))
    assert np.allclose(similarities, (made[:, None] * made[indices]).sum(-1), atol=1e-6)


def test_any_number_of_workers_gives_the_same_bytes(monkeypatch):
    monkeypatch.setattr(neighbours, "ROWS", 64)
    made = vectors(700, 96)
    one, four = (cosine_top(made, 30, workers=workers) for workers in (1, 4))
    assert [x.tobytes() for x in one] == [x.tobytes() for x in four]


def test_equal_similarities_are_ordered_by_id(monkeypatch):
    monkeypatch.setattr(neighbours, "COLUMNS", 16)
    # Whole numbers: products are exact, so that ties are ties on every machine.
    made = np.repeat(np.eye(2, 8, dtype=np.float32), 40, axis=0)
    indices, similarities = cosine_top(made, 5)
    assert indices[0].tolist() == [1, 2, 3, 4, 5]
    assert indices[3].tolist() == [0, 1, 2, 4, 5]
    assert indices[79].tolist() == [40, 41, 42, 43, 44]
    assert (similarities == 1).all()


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_rows_have_no_neighbours(count):
    assert cosine_top(vectors(count), 30)[0].shape == (count, 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 14), st.integers(1, 5))
def test_closest_keeps_what_either_image_has_among_its_nearest(seed, count, k):
    rng = np.random.default_rng(seed)
    a, b = np.array([(i, j) for i in range(count) for j in range(i + 1, count) if rng.random() < 0.7] or [(0, 1)]).T
    distance = rng.integers(0, 4, len(a))
    kept, capped = closest(a, b, distance, k)
    lists: dict[int, list] = {}
    for x, y, d in zip(a.tolist(), b.tolist(), distance.tolist(), strict=True):
        lists.setdefault(x, []).append((d, y))
        lists.setdefault(y, []).append((d, x))
    near = {i: {other for _, other in sorted(entries)[:k]} for i, entries in lists.items()}
    assert kept.tolist() == [y in near[x] or x in near[y] for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert capped.tolist() == sorted(i for i, entries in lists.items() if len(entries) > k)


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(1, 4))
def test_same_pairs_each_member_with_the_first_of_its_group(groups, k):
    ids = np.arange(len(groups)) * 3
    a, b, capped = same(ids, np.array(groups, np.int64), k)
    members = {g: [3 * i for i, other in enumerate(groups) if other == g] for g in groups}
    expected = [(x, y) for m in members.values() for n, y in enumerate(m) for x in m[: min(n, k)]]
    assert sorted(zip(a.tolist(), b.tolist(), strict=True)) == sorted(expected)
    assert capped.tolist() == sorted(i for m in members.values() if len(m) > k + 1 for i in m)


def test_rank_counts_earlier_equals():
    assert rank(np.array([5, 2, 5, 5, 2])).tolist() == [0, 0, 1, 2, 1]
    assert rank(np.zeros(0, np.int64)).tolist() == []


def test_unique_pairs_are_sorted_and_once():
    a, b = unique_pairs(np.array([7, 1, 7, 1]), np.array([9, 5, 9, 2]))
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == [(1, 2), (1, 5), (7, 9)]
