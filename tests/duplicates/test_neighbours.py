"""Nearest neighbours, against plain loops in float64."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.duplicates import candidates, search
from curation.duplicates.neighbours import Near, near, rank, surplus, unique_pairs, unit
from curation.duplicates.ranking import Ranking
from curation.errors import ArgumentError

# Sums in float64 differ by less when made in another order.
CLOSE = 1e-12


def vectors(count: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32))


def made(kind: str, count: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Rows with many ties ("whole", zero rows among them), bunches of near copies, copies, or rows of all lengths."""
    if kind == "whole":
        return rng.integers(-1, 2, (count, dim)).astype(np.float32)
    rows = rng.normal(size=(count, dim))
    if kind == "bunches":
        rows = rows[rng.integers(0, 1 + count // 20, count)] + 10.0 ** rng.integers(-7, 0) * rows
    if kind == "copies":
        rows = rows[rng.integers(0, 3, count) % count]
    if kind == "lengths":
        rows *= 10.0 ** rng.integers(-5, 6, (count, 1))
    return rows.astype(np.float32)


def distances(queries: np.ndarray, targets: np.ndarray, metric: str) -> np.ndarray:
    q, t = queries.astype(np.float64), targets.astype(np.float64)
    if metric == "squared":
        return ((q[:, None] - t) ** 2).sum(-1)
    size = np.sqrt((q * q).sum(1)[:, None] * (t * t).sum(1))
    return 1 - np.divide(q @ t.T, size, out=np.zeros(size.shape), where=size > 0)


def brute(truth: np.ndarray, query_ids: np.ndarray, target_ids: np.ndarray, k: int, radius: float, own: bool) -> list:
    """Rows and columns of the k smallest distances and of all within the radius, by query id, distance, target id."""
    pairs = []
    for row in np.argsort(query_ids):
        others = np.flatnonzero(target_ids != query_ids[row]) if own else np.arange(len(target_ids))
        order = others[np.lexsort((target_ids[others], truth[row, others]))]
        wanted = (np.arange(len(order)) < k) | (truth[row, order] <= radius)
        pairs += [(row, column) for column in order[wanted]]
    return pairs


def assert_true(found: Near, truth: np.ndarray, query_ids, target_ids, *, k: int, radius: float | None, own: bool):
    """The true neighbours in their order; only pairs that float64 itself cannot tell apart may change places."""
    expected = brute(truth, query_ids, target_ids, k, -np.inf if radius is None else radius, own)
    row, column = np.array(expected, np.int64).reshape(-1, 2).T
    assert found.query.tolist() == query_ids[row].tolist()
    assert len(set(zip(found.query.tolist(), found.target.tolist(), strict=True))) == len(expected)
    places = {target: i for i, target in enumerate(target_ids.tolist())}
    of_found = truth[row, [places[target] for target in found.target.tolist()]]
    assert np.allclose(of_found, truth[row, column], rtol=CLOSE, atol=CLOSE)
    assert np.allclose(found.distance, of_found, rtol=1e-6, atol=2e-6)
    assert (found.distance >= 0).all()
    order = np.lexsort((found.target, found.distance, found.query))
    assert np.array_equal(order, np.arange(len(order)))


@pytest.fixture(params=[torch.bfloat16, torch.float32])
def precision(request, monkeypatch):
    monkeypatch.setattr(candidates, "precision", lambda device: request.param)


@settings(max_examples=100, deadline=None)
@example(0, "whole", 3, 40, 2, 100, None, "cosine", True, 16, 2**29)
@example(1, "copies", 30, 200, 5, 3, None, "squared", False, 32, 64)
@given(
    seed=st.integers(0, 2**32),
    kind=st.sampled_from(["whole", "normal", "bunches", "copies", "lengths"]),
    queries=st.integers(1, 40),
    targets=st.integers(1, 200),
    dim=st.integers(1, 40),
    k=st.sampled_from([0, 1, 5, 30, 500]),
    radius=st.sampled_from([None, 1e-9, 0.31, 2.5]),
    metric=st.sampled_from(["cosine", "squared"]),
    own=st.booleans(),
    columns=st.sampled_from([16, 32, 8192]),
    slab=st.sampled_from([64, 2**29]),
)
def test_neighbours_are_those_of_all_pairs(seed, kind, queries, targets, dim, k, radius, metric, own, columns, slab):
    rng = np.random.default_rng(seed)
    if not k and radius is None:
        k = 1
    rows, ids = made(kind, targets, dim, rng), rng.permutation(1000)[:targets]
    if own:
        chosen = rng.permutation(targets)[:queries]
        asked, asked_ids = rows[chosen], ids[chosen]
    else:
        asked, asked_ids = made(kind, queries, dim, rng), rng.permutation(1000)[:queries]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "COLUMNS", columns)
        patch.setattr(search, "ROWS", 16)
        patch.setattr(search, "SLAB_BYTES", slab)
        patch.setattr(search, "PENDING", int(rng.choice([50, 10**6])))
        patch.setattr(candidates, "precision", lambda device: torch.bfloat16 if seed % 2 else torch.float32)
        found = near(asked, asked_ids, rows, ids, metric=metric, k=k, radius=radius, same=own)
    assert_true(found, distances(asked, rows, metric), asked_ids, ids, k=k, radius=radius, own=own)


@pytest.mark.parametrize("metric", ["cosine", "squared"])
@pytest.mark.parametrize("spread", [0.0, 1e-4, 1.0])
def test_neighbours_of_long_rows_are_those_of_all_pairs(precision, metric, spread):
    rng = np.random.default_rng(3)
    rows = (rng.normal(size=(40, 700))[rng.integers(0, 40, 600)] + spread * rng.normal(size=(600, 700))).astype("f4")
    ids = rng.permutation(5000)[:600]
    found = near(rows[:150], ids[:150], rows, ids, metric=metric, same=True)
    assert_true(found, distances(rows[:150], rows, metric), ids[:150], ids, k=30, radius=None, own=True)


@pytest.mark.parametrize("metric", ["cosine", "squared"])
def test_threads_blocks_and_the_order_of_rows_change_no_byte(precision, monkeypatch, metric):
    rows = made("bunches", 1500, 200, np.random.default_rng(1))
    ids = np.arange(1500)
    shuffled = np.random.default_rng(2).permutation(1500)
    monkeypatch.setattr(search, "ROWS", 256)
    tables = [near(rows, ids, rows, ids, metric=metric, same=True, workers=workers) for workers in (1, 8)]
    tables.append(near(rows[shuffled], shuffled, rows[shuffled[::-1]], shuffled[::-1], metric=metric, same=True))
    monkeypatch.setattr(candidates, "COLUMNS", 96)
    monkeypatch.setattr(search, "SLAB_BYTES", 2**18)
    tables.append(near(rows, ids, rows, ids, metric=metric, same=True))
    parts = [near(rows[p], ids[p], rows, ids, metric=metric, same=True) for p in (slice(0, 700), slice(700, None))]
    tables.append(Near(*(np.concatenate(column) for column in zip(*parts, strict=True))))
    first, *others = [[column.tobytes() for column in table] for table in tables]
    assert all(other == first for other in others)


@pytest.mark.parametrize("metric", ["cosine", "squared"])
def test_few_pairs_beside_the_neighbours_are_measured_in_full(precision, monkeypatch, metric):
    rows, ids, ranked = made("normal", 2000, 128, np.random.default_rng(0)), np.arange(2000), []
    settle = Ranking.settle
    monkeypatch.setattr(
        Ranking, "settle", lambda self, q, n, row, place: (ranked.append(len(row)), settle(self, q, n, row, place))[1]
    )
    near(rows, ids, rows, ids, metric=metric, k=10, same=True)
    assert 20_000 <= sum(ranked) < 70_000


def test_a_gpu_gives_the_same_table():
    if not torch.cuda.is_available():
        pytest.skip("no GPU on this machine")
    rows, ids = made("bunches", 3000, 200, np.random.default_rng(1)), np.arange(3000)
    for metric in ("cosine", "squared"):
        tables = [near(rows, ids, rows, ids, metric=metric, same=True, device=device) for device in ("cpu", "cuda")]
        assert all(np.array_equal(cpu, gpu) for cpu, gpu in zip(*tables, strict=True))


@pytest.mark.parametrize("kept", ["cosine", "squared"])
def test_of_many_copies_the_smallest_ids_are_kept(kept):
    rows = np.concatenate([np.ones((300, 8)), np.eye(8), np.zeros((50, 8))]).astype(np.float32)
    ids = np.random.default_rng(0).permutation(len(rows))
    found = near(rows, ids, rows, ids, metric=kept, k=4, same=True)
    copies = np.sort(ids[:300])
    for number in (copies[0], copies[2], copies[200]):
        assert found.target[found.query == number].tolist() == [i for i in copies[:5].tolist() if i != number][:4]
    assert (found.distance[np.isin(found.query, copies)] == 0).all()
    assert surplus(rows, np.linalg.norm(rows, axis=1), ids, 5).sum() == 295 + 45


def test_equal_copies_are_at_no_distance_and_zero_rows_at_one():
    rows = np.array([[0.1, 0.7, 0.3], [0, 0, 0], [0.1, 0.7, 0.3], [0, 0, 0]], np.float32)
    found = near(rows, np.arange(4), rows, np.arange(4), same=True, k=2)
    assert found.target.tolist() == [2, 1, 0, 2, 0, 1, 0, 1]
    assert found.distance.tolist() == [0, 1, 1, 1, 0, 1, 1, 1]


def test_memory_maps_are_read_without_a_word(tmp_path):
    np.save(tmp_path / "rows.npy", vectors(50))
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = near(rows, np.arange(50), rows, np.arange(50), k=3, same=True)
    assert len(found.query) == 150
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("queries", "targets"), [(0, 5), (5, 0), (0, 0)])
def test_nothing_to_compare_is_no_neighbours(queries, targets):
    found = near(vectors(5)[:queries], np.arange(queries), vectors(5)[:targets], np.arange(targets), same=True)
    assert [len(column) for column in found] == [0, 0, 0]


@pytest.mark.parametrize(
    ("value", "change", "words"),
    [
        (np.nan, {}, "1 of 5 rows cannot be compared; the first is row 2"),
        (np.inf, {}, "1 of 5 rows"),
        (1e30, {}, "length 1e+30"),
        (1.0, {"k": 0}, "k is 0 and there is no radius"),
        (1.0, {"metric": "angle"}, "angle"),
        (1.0, {"query_ids": np.arange(4)}, "5 rows, but ids"),
        (1.0, {"queries": np.zeros((5, 3), np.float32)}, "cannot be compared with targets"),
    ],
)
def test_what_cannot_be_compared_is_named(value, change, words):
    rows = np.eye(5, dtype=np.float32)
    rows[2, 2] = value
    given_rows = {"queries": rows, "query_ids": np.arange(5), "targets": rows, "target_ids": np.arange(5)} | change
    with pytest.raises(ArgumentError) as error:
        near(**given_rows, same=True)
    assert words in str(error.value)


def test_progress_ends_at_its_total_and_may_stop_the_search(monkeypatch):
    monkeypatch.setattr(search, "ROWS", 8)
    monkeypatch.setattr(search, "SLAB_BYTES", 64)
    rows, calls = vectors(40), []
    near(rows, np.arange(40), rows, np.arange(40), same=True, progress=lambda *call: calls.append(call))
    assert [done for done, _, _ in calls] == list(range(1, calls[0][1] + 1))

    def stop(*call: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        near(rows, np.arange(40), rows, np.arange(40), same=True, workers=2, progress=stop)


def test_rank_counts_earlier_equals():
    assert rank(np.array([5, 2, 5, 5, 2])).tolist() == [0, 0, 1, 2, 1]
    assert rank(np.zeros(0, np.int64)).tolist() == []


def test_unique_pairs_are_sorted_and_once():
    a, b = unique_pairs(np.array([7, 1, 7, 1]), np.array([9, 5, 9, 2]))
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == [(1, 2), (1, 5), (7, 9)]
