"""Nearest neighbours by pixels against plain blocked brute force, on the same renditions in memory.

    python -m benchmarks.pixel_search DATA

DATA has pictures at any depth. The plain side is what one would write: all pictures as float32, x.x - 2 x.y + y.y in
blocks with torch on as many threads, then `<= radius` or `topk`. Its conversion to float32 is not timed. Our side's
sketches, which are made once a data set, are timed and named apart. float32 rounds: where the two differ, distances in
int64 must say that ours are right. Our runs are spread over the time that the plain side takes, so that other work on
the machine counts alike. Exit code 1 when the claims do not hold.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np

from curation.duplicates import pixels
from curation.duplicates.neighbours import Near
from curation.duplicates.renditions import BYTES, Renditions, rendition
from curation.duplicates.sketch import sketch
from curation.duplicates.sources import REVIEWED
from curation.engine import default_workers
from curation.images.decode import EXTENSIONS

ROWS = 512
K, RADIUS = 30, REVIEWED["pixels"]
CLAIMS = {"all within the review radius": 50.0, "the 30 nearest": 6.0}
CHECKED = 300  # of our distances, at random


def load(data: Path, workers: int) -> np.ndarray:
    """Renditions of all pictures below `data`, in order of path, uint8 (N, 256, 256, 3)."""
    paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in EXTENSIONS)
    with ThreadPoolExecutor(workers) as pool:
        return np.stack(list(pool.map(lambda path: rendition(path.read_bytes()), paths)))


class Plain:
    """Brute force, a block of queries at a time, with the seconds that each part of it took."""

    def __init__(self, pictures: np.ndarray) -> None:
        import torch

        self.x = torch.from_numpy(pictures.reshape(-1, BYTES)).float()
        self.seconds = {"distances": 0.0, "radius": 0.0, "top": 0.0}
        self.within: list[np.ndarray] = []
        self.top: list[np.ndarray] = []

    def blocks(self) -> Iterator[int]:
        """Work through the queries; yields after every block."""
        norms = self._timed("distances", lambda: (self.x * self.x).sum(1))
        for start in range(0, len(self.x), ROWS):
            rows = self.x[start : start + ROWS]
            table = self._timed("distances", lambda: self._table(rows, norms, start))  # noqa: B023
            inside = self._timed("radius", lambda: (table <= RADIUS).nonzero())  # noqa: B023
            self.top.append(self._timed("top", lambda: table.topk(K, largest=False)).indices.numpy())  # noqa: B023
            self.within.append(np.add(inside.numpy(), [start, 0]))
            yield start

    def _table(self, rows, norms, start: int):
        import torch

        x, parts = self.x, range(0, len(self.x), ROWS)
        products = torch.cat([rows @ x[begin : begin + ROWS].T for begin in parts], dim=1)
        table = norms[start : start + ROWS, None] - 2 * products + norms[None]
        table[torch.arange(len(rows)), torch.arange(start, start + len(rows))] = torch.inf
        return table

    def _timed(self, part: str, function: Callable):
        began = time.perf_counter()
        result = function()
        self.seconds[part] += time.perf_counter() - began
        return result


class Ours:
    """Our side: sketches, then both searches; seconds of every run."""

    def __init__(self, pictures: np.ndarray, workers: int) -> None:
        self.renditions, self.workers = Renditions.of(pictures), workers
        self.pictures = pictures
        self.seconds: dict[str, list[float]] = {"sketches": [], "radius": [], "top": []}

    def run(self) -> tuple[Near, Near]:
        """Both searches: (within the radius, nearest)."""
        parts = [self.pictures[start : start + 64] for start in range(0, len(self.pictures), 64)]
        with ThreadPoolExecutor(self.workers) as pool:
            self._timed("sketches", lambda: list(pool.map(sketch, parts)))
        within = self._timed("radius", lambda: self._near(k=0, radius=RADIUS))
        return within, self._timed("top", lambda: self._near(k=K))

    def _near(self, **options) -> Near:
        r = self.renditions
        return pixels.near(r, r.ids, r, r.ids, workers=self.workers, device="cpu", **options)

    def _timed(self, part: str, function: Callable):
        began = time.perf_counter()
        result = function()
        self.seconds[part].append(time.perf_counter() - began)
        return result


def measure(data: Path) -> bool:
    """Print the times of both sides and whether they agree; whether all claims hold."""
    import torch

    workers = default_workers()
    torch.set_num_threads(workers)
    pictures = load(data, workers)
    plain, ours = Plain(pictures), Ours(pictures, workers)
    ours.run()  # starts threads, and is not counted
    ours.seconds = {part: [] for part in ours.seconds}
    blocks = -(-len(pictures) // ROWS)
    for number, _ in enumerate(plain.blocks()):
        if number % max(1, blocks // 4) == 0:
            within, top = ours.run()
    right = {
        "all within the review radius": _agree_within(pictures, plain, within),
        "the 30 nearest": _agree_top(pictures, plain, top),
    }
    return _report(len(pictures), workers, plain, ours, right)


def _report(count: int, workers: int, plain: Plain, ours: Ours, right: dict[str, str]) -> bool:
    took = {part: median(seconds) for part, seconds in ours.seconds.items()}
    print(f"{count:,} pictures, {workers} threads, sketches {took['sketches']:.2f} s (in both rows below)")
    good = True
    for (claim, least), part in zip(CLAIMS.items(), ("radius", "top"), strict=True):
        slow = plain.seconds["distances"] + plain.seconds[part]
        fast = took["sketches"] + took[part]
        print(f"{claim}: {slow:.1f} s plain, {fast:.2f} s ours: {slow / fast:.1f} times (claimed {least:.0f})")
        print(f"    {right[claim]}")
        good &= slow / fast >= least and right[claim].startswith("identical")
    return good


def _int64(pictures: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distances of pairs in int64, one at a time."""
    flat = pictures.reshape(-1, BYTES)
    return np.array([((flat[i].astype(np.int64) - flat[j]) ** 2).sum() for i, j in zip(a, b, strict=True)], np.int64)


def _sample_is_exact(pictures: np.ndarray, near: Near) -> bool:
    some = np.random.default_rng(0).choice(len(near.query), min(CHECKED, len(near.query)), replace=False)
    return np.array_equal(_int64(pictures, near.query[some], near.target[some]), near.distance[some])


def _agree_within(pictures: np.ndarray, plain: Plain, ours: Near) -> str:
    count = len(pictures)
    theirs = np.concatenate(plain.within) @ [count, 1]
    mine = ours.query * count + ours.target
    missing, extra = np.setdiff1d(theirs, mine), np.setdiff1d(mine, theirs)
    wrong = (_int64(pictures, *np.divmod(missing, count)) <= RADIUS).sum()
    wrong += (_int64(pictures, *np.divmod(extra, count)) > RADIUS).sum()
    same = not wrong and _sample_is_exact(pictures, ours)
    rounded = len(missing) + len(extra)
    return f"{'identical' if same else 'DIFFERENT'}: {len(mine):,} ordered pairs, {rounded} that float32 put wrongly"


def _agree_top(pictures: np.ndarray, plain: Plain, ours: Near) -> str:
    theirs, mine = np.concatenate(plain.top), ours.target.reshape(len(pictures), -1)
    differ = np.flatnonzero((np.sort(theirs, axis=1) != np.sort(mine, axis=1)).any(axis=1))
    wrong = 0
    for query in differ:
        either = np.union1d(theirs[query], mine[query])
        distance = _int64(pictures, np.full(len(either), query), either)
        wrong += not np.array_equal(either[np.lexsort((either, distance))][: mine.shape[1]], mine[query])
    same = not wrong and _sample_is_exact(pictures, ours)
    return (
        f"{'identical' if same else 'DIFFERENT'}: {mine.size:,} neighbours, "
        f"{len(differ)} queries that float32 put wrongly"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    sys.exit(0 if measure(parser.parse_args().data) else 1)
