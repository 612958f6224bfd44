"""Pictures decoded by worker processes ahead of the model, handed over in shared memory, in order."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from curation.engine import die_with_parent
from curation.errors import CurationError
from curation.features.transforms import Transform


@dataclass(frozen=True)
class Batch:
    """Pictures to decode together: a shard's number, image ids, files, and (width, height) where known."""

    shard: int
    ids: np.ndarray
    paths: list[str]
    sizes: list[tuple[int, int]]


Decoded = tuple[Batch, np.ndarray, list[tuple[int, str]]]
"""A batch, its pictures uint8 (n, crop, crop, 3), and (position, reason) of those that failed, which are black."""


def decoded(batches: Iterable[Batch], transform: Transform, *, batch_size: int, workers: int) -> Iterator[Decoded]:
    """Yield `batches` decoded, in their order; the pictures' memory is used again once the next one is asked for.

    Args:
        batch_size: pictures of the largest batch.
        workers: processes; each is at most two batches ahead. 0 decodes in this process.

    Raises:
        CurationError: a worker process died.
    """
    if workers == 0:
        memory = np.empty((batch_size, transform.crop, transform.crop, 3), np.uint8)
        for batch in batches:
            yield batch, memory[: len(batch.ids)], _fill(memory, batch, transform)
    else:
        yield from _ahead(batches, transform, batch_size, workers)


def _ahead(batches: Iterable[Batch], transform: Transform, batch_size: int, workers: int) -> Iterator[Decoded]:
    context = multiprocessing.get_context("spawn")
    depth = 2 * workers
    shape = (depth, batch_size, transform.crop, transform.crop, 3)
    # Anonymous shared memory: nothing is left behind, however the processes end.
    shared = context.RawArray("B", int(np.prod(shape)))
    memory = np.frombuffer(shared, np.uint8).reshape(shape)
    source = ((number % depth, batch) for number, batch in enumerate(batches))
    initargs = (shared, shape, transform, os.getpid())
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=initargs)
    try:
        pending: deque[tuple[int, Batch, Future[list[tuple[int, str]]]]] = deque()
        for slot, batch in islice(source, depth):
            pending.append((slot, batch, pool.submit(_decode, slot, batch)))
        while pending:
            slot, batch, future = pending.popleft()
            yield batch, memory[slot, : len(batch.ids)], future.result()
            for slot, following in islice(source, 1):  # the same slot, free now
                pending.append((slot, following, pool.submit(_decode, slot, following)))
    except BrokenProcessPool as error:
        raise CurationError(
            "a process that decodes pictures died (out of memory?): run the same command again, "
            f"with fewer than {workers} workers if it dies again"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_memory: np.ndarray
_transform: Transform


def _start(shared: Any, shape: tuple[int, ...], transform: Transform, parent: int) -> None:
    global _memory, _transform
    die_with_parent(parent)
    _memory = np.frombuffer(shared, np.uint8).reshape(shape)
    _transform = transform


def _decode(slot: int, batch: Batch) -> list[tuple[int, str]]:
    return _fill(_memory[slot], batch, _transform)


def _fill(memory: np.ndarray, batch: Batch, transform: Transform) -> list[tuple[int, str]]:
    """Decode into `memory`; return (position, reason) of the pictures that failed."""
    failed: list[tuple[int, str]] = []
    for position, (path, size) in enumerate(zip(batch.paths, batch.sizes, strict=True)):
        try:
            memory[position] = transform.read(path, *size)
        # One picture never ends a run, whatever is wrong with it.
        except Exception as error:
            memory[position] = 0
            failed.append((position, str(error) or type(error).__name__))
    return failed
