"""One function over many shards, whichever back end runs it."""

import os
import time

import pytest

from curation import engine
from curation.errors import ArgumentError, CurationError


def square(n: int) -> tuple[int, int]:
    return n * n, os.getpid()


def fail_at_three(n: int) -> int:
    if n == 3:
        raise ValueError("three")
    return n


def die(n: int) -> int:
    if n == 1:
        os._exit(9)
    time.sleep(0.05)
    return n


@pytest.mark.parametrize(("workers", "backend"), [(1, "processes"), (2, "processes"), (2, "ray")])
def test_every_shard_once(workers, backend):
    if backend == "ray":
        ray = pytest.importorskip("ray", reason="the package ray is not installed: pip install ray")
    try:
        results = dict(engine.run(square, range(20), workers=workers, backend=backend))
    finally:
        if backend == "ray":
            ray.shutdown()
    assert {n: value for n, (value, _) in results.items()} == {n: n * n for n in range(20)}
    assert (os.getpid() in {pid for _, pid in results.values()}) == (workers == 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_comes_through(workers):
    with pytest.raises(ValueError, match="three"):
        list(engine.run(fail_at_three, range(10), workers=workers))


def test_a_dead_worker_says_what_to_do():
    with pytest.raises(CurationError, match=r"a worker process died.*run the same command again"):
        list(engine.run(die, range(6), workers=2))


def test_shards_are_taken_as_they_are_needed():
    taken = []

    def shards():
        for n in range(1000):
            taken.append(n)
            yield n

    results = engine.run(square, shards(), workers=2)
    next(results)
    assert len(taken) < 12
    results.close()


def test_unknown_backend():
    with pytest.raises(ArgumentError, match="unknown backend 'slurm'"):
        list(engine.run(square, [1], backend="slurm"))
