"""One function over many shards: in process, on a pool of processes, or on Ray."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from typing import Any, TypeVar

from curation.errors import ArgumentError, CurationError

Shard = TypeVar("Shard")
Result = TypeVar("Result")

Progress = Callable[[int, int, str], None]
"""Called as progress(done, total, message) at shard edges; may raise `Cancelled`."""


def quiet(done: int, total: int, message: str) -> None:
    """A progress callback that says nothing."""


def default_workers() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    function: Callable[[Shard], Result],
    shards: Iterable[Shard],
    *,
    workers: int = 1,
    backend: str = "processes",
) -> Iterator[tuple[Shard, Result]]:
    """Apply `function` to every shard and yield (shard, result) as each is done, in no particular order.

    Args:
        function: importable at top level, so that another process can find it.
        shards: small picklable descriptions of work, not the data.
        workers: how many at once; 1 runs in this process (unless on Ray).
        backend: `processes`, or `ray` (needs the package `ray`; joins a running cluster when there is one).

    Raises:
        ArgumentError: unknown backend, or Ray is not installed.
        Whatever `function` raises; shards that were finished stay finished.
    """
    if backend == "ray":
        yield from _run_ray(function, shards, workers)
    elif backend != "processes":
        raise ArgumentError(f"unknown backend {backend!r}: choose 'processes' or 'ray'")
    elif workers <= 1:
        for shard in shards:
            yield shard, function(shard)
    else:
        yield from _run_pool(function, shards, workers)


def _run_pool(function: Callable[[Any], Any], shards: Iterable[Any], workers: int) -> Iterator[tuple[Any, Any]]:
    # Spawned, never forked: a forked child would inherit locks, threads and listening sockets.
    context = multiprocessing.get_context("spawn")
    waiting = iter(shards)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=die_with_parent, initargs=(os.getpid(),)) as pool:
        running: dict[Any, Any] = {}
        try:
            while True:
                while len(running) < 2 * workers and (shard := next(waiting, _END)) is not _END:
                    running[pool.submit(function, shard)] = shard
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if type(error).__name__ == "BrokenProcessPool":
                raise CurationError(
                    f"a worker process died (out of memory?) with {len(running)} shards under way: "
                    "run the same command again, with fewer workers if it dies again"
                ) from error
            raise


def _run_ray(function: Callable[[Any], Any], shards: Iterable[Any], workers: int) -> Iterator[tuple[Any, Any]]:
    try:
        import ray
    except ImportError:
        raise ArgumentError("backend 'ray' needs the package ray: pip install ray") from None
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if os.environ.get("RAY_ADDRESS"):
            ray.init(log_to_driver=False)
        else:  # a cluster of one, that finds the code where this process does
            paths = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}}
            ray.init(num_cpus=max(1, workers), include_dashboard=False, log_to_driver=False, runtime_env=paths)
    task = ray.remote(function)
    waiting = iter(shards)
    running: dict[Any, Any] = {}
    while True:
        while len(running) < 2 * max(1, workers) and (shard := next(waiting, _END)) is not _END:
            running[task.remote(shard)] = shard
        if not running:
            return
        done, _ = ray.wait(list(running), num_returns=1)
        yield running.pop(done[0]), ray.get(done[0])


_END: Any = object()


def die_with_parent(parent: int) -> None:
    """Ask Linux to end this worker when its parent is killed, so that no orphan keeps working."""
    try:
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:
        os._exit(1)
