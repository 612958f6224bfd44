"""Exact nearest neighbours and DSSIM against the plain ways: times, ratios, peak memory, and whether results agree.

    python -m benchmarks.neighbours DATA [--workspace DIR] [--only pixels,cosine,memory,dssim]

DATA holds the photographs `clothing/` and `neardup/` (5,276). Both sides of every ratio take turns in one run with the
same number of threads, and their medians are compared.

pixels: see `benchmarks.pixel_search`.
cosine: top-30 of lite0 features, and of 50,000 random and 50,000 clustered vectors, against faiss-cpu's IndexFlatIP.
    faiss ranks in float32: where the two differ, both choices must be equally far in float64 to 1e-6, and ours must
    be the ones that float64 ranks first.
memory: peak beyond the vectors, each size in a process of its own.
dssim: against scikit-image's structural_similarity, which has one thread; ours with one, and with all.

Exit code 1 when a claim does not hold.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.memory import peak
from curation.duplicates.neighbours import Near, near, unit
from curation.engine import default_workers

K, TURNS = 30, 5
EQUAL = 1e-6
# Vectors, queries among them and dimensions of the memory section.
SIZES, QUERIES, DIM = (50_000, 200_000), 16_384, 1280
MEMORY_LIMIT = 2e9


def turns(ours: Callable[[], Any], theirs: Callable[[], Any], count: int = TURNS) -> tuple[float, float, Any, Any]:
    """Median seconds of both, and their last results; one turn each before, which is not timed when there are more."""
    seconds: tuple[list, list] = ([], [])
    results: list = [None, None]
    for _ in range(count):
        for side, function in enumerate((ours, theirs)):
            began = time.perf_counter()
            results[side] = function()
            seconds[side].append(time.perf_counter() - began)
    first = min(1, count - 1)
    return median(seconds[0][first:]), median(seconds[1][first:]), *results


def report(name: str, ours: float, theirs: float, unit_name: str, scale: float, note: str) -> None:
    """One line: both times, theirs as a multiple of ours, and the note."""
    print(
        f"{name:34} ours {ours * scale:9.3f} {unit_name}, theirs {theirs * scale:9.3f} {unit_name}, "
        f"ratio {ours / theirs:.2f} ({theirs / ours:.1f}x): {note}",
        flush=True,
    )


def photographs(data: Path, folder: Path) -> np.ndarray:
    """Unit lite0 features of the photographs, float32 (N, 1280); made in the workspace `folder` when not there."""
    from curation.arrays import Features
    from curation.features.extract import extract
    from curation.images.ingest import read
    from curation.workspace import Workspace

    workspace = Workspace.create(folder, roots={name: data / name for name in ("clothing", "neardup")})
    if not workspace.images_path.is_file():
        read(workspace, layout="folders")
    if not workspace.feature_names():
        extract(workspace)
    features = Features(workspace, workspace.feature_names()[0])
    return unit(features.rows(features.ids))


def drawn(kind: str, count: int = 50_000, dim: int = 256) -> np.ndarray:
    """Unit rows: random, or around one of count / 50 centres."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((count, dim), np.float32)
    if kind == "clustered":
        centres = rng.standard_normal((count // 50, dim), np.float32)
        rows = 0.3 * rows + centres[rng.integers(len(centres), size=count)]
    return unit(rows)


def faiss_top(rows: np.ndarray, k: int, workers: int) -> np.ndarray:
    """The k nearest other rows by IndexFlatIP, int64 (N, k)."""
    import faiss

    faiss.omp_set_num_threads(workers)
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    return index.search(rows, k + 1)[1]


def without_self(found: np.ndarray, k: int) -> np.ndarray:
    """Of lists of k + 1 the first k other than the row's own number."""
    other = found != np.arange(len(found))[:, None]
    # A row that has more than k copies may be missing from its own list.
    other[other.all(axis=1), -1] = False
    return found[other].reshape(len(found), k)


def verdict(rows: np.ndarray, ours: Near, theirs: np.ndarray) -> tuple[bool, str]:
    """Whether both lists hold the true neighbours, judged in float64 for at most 6,000 rows."""
    k = theirs.shape[1]
    found = ours.target.reshape(len(rows), k)
    exact = rows.astype(np.float64)
    differ, far, wrong = 0, 0.0, 0
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), 6000)).astype(np.int64)
    for some in np.array_split(np.unique(chosen), 24):
        # Of unit rows in float32, which are 1 long but for rounding.
        truth = 1 - (exact[some] @ exact.T) / np.outer(*(np.linalg.norm(x, axis=1) for x in (exact[some], exact)))
        truth[np.arange(len(some)), some] = np.inf
        mine, other = (np.take_along_axis(truth, lists[some], axis=1) for lists in (found, theirs))
        best = np.sort(np.partition(truth, k, axis=1)[:, :k], axis=1)
        wrong += int((np.abs(mine - best) > 1e-12).sum())
        differ += int((found[some] != theirs[some]).sum())
        far = max(far, float(np.abs(mine - other).max()))
    note = f"{differ:,} of {len(chosen) * k:,} places differ from faiss, by {far:.1e} at most; {wrong} from float64"
    return wrong == 0 and far <= EQUAL, note


def cosine(data: Path, folder: Path) -> bool:
    """Top-30 against IndexFlatIP."""
    workers, good = default_workers(), True
    for name, make, count in (
        ("lite0 features of photographs", lambda: photographs(data, folder), TURNS),
        ("random vectors", lambda: drawn("random"), 2),
        ("clustered vectors", lambda: drawn("clustered"), 2),
    ):
        rows = make()
        ids = np.arange(len(rows))
        near(rows[:100], ids[:100], rows, ids, same=True)
        ours, theirs, mine, other = turns(
            lambda rows=rows, ids=ids: near(rows, ids, rows, ids, k=K, same=True, workers=workers, device="cpu"),
            lambda rows=rows: faiss_top(rows, K, workers),
            count,
        )
        agree, note = verdict(rows, mine, without_self(other, K))
        report(f"{name} {len(rows):,} x {rows.shape[1]}", ours, theirs, "s", 1, note)
        good &= agree and ours <= theirs
    return good


def hold(count: int) -> None:
    """In a process of its own: print the peak beyond `count` vectors and the libraries."""
    import torch

    rows = np.empty((count, DIM), np.float32)
    rng = np.random.default_rng(0)
    for start in range(0, count, 1000):
        rows[start : start + 1000] = rng.standard_normal((len(rows[start : start + 1000]), DIM), np.float32)
    ids = np.arange(count)
    # Libraries are loaded and warm.
    torch.set_num_threads(1)
    near(rows[:2], ids[:2], rows[:2], ids[:2], same=True)
    before, began = peak(), time.perf_counter()
    near(rows[:QUERIES], ids[:QUERIES], rows, ids, k=K, same=True, workers=default_workers(), device="cpu")
    print(peak() - before, time.perf_counter() - began)


def memory() -> bool:
    """Peak beyond the vectors at both sizes."""
    more = []
    for count in SIZES:
        command = [sys.executable, "-m", "benchmarks.neighbours", "--hold", str(count)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        used, seconds = out.split()
        more.append(int(used))
        print(
            f"{count:,} x {DIM} ({count * DIM * 4 / 1e9:.2f} GB): peak {int(used) / 1e9:.2f} GB beyond the vectors, "
            f"{float(seconds):.1f} s for the top {K} of {QUERIES:,} of them among all",
            flush=True,
        )
    growth = more[1] / more[0]
    print(f"{SIZES[1] / SIZES[0]:.0f} times the vectors take {growth:.1f} times the memory beyond them")
    return max(more) < MEMORY_LIMIT and growth <= SIZES[1] / SIZES[0]


def dissimilarity(data: Path) -> bool:
    """DSSIM of photographs at 256 x 256 against scikit-image."""
    from PIL import Image
    from skimage.metrics import structural_similarity

    from curation.duplicates.dssim import dssim

    paths = sorted((data / "neardup").rglob("*.jpg"))[:160]
    pictures = np.stack([np.asarray(Image.open(path).convert("RGB").resize((256, 256))) for path in paths])
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, len(pictures), 200) for _ in range(2))

    def plain() -> list[float]:
        similar = (
            structural_similarity(pictures[i], pictures[j], win_size=35, channel_axis=2, data_range=255)
            for i, j in zip(a, b, strict=True)
        )
        return [(1 - value) / 2 for value in similar]

    all_threads, good = default_workers(), True
    for name, workers in (("DSSIM, 1 thread", 1), (f"DSSIM, {all_threads} threads", all_threads)):
        ours, theirs, mine, other = turns(
            lambda workers=workers: dssim(pictures, pictures, pairs=(a, b), workers=workers), plain
        )
        far = np.abs(mine - other).max()
        report(name, ours / len(a), theirs / len(a), "ms", 1000, f"largest difference {far:.1e}")
        good &= far <= EQUAL and theirs / ours >= 10
    return good


def main() -> None:
    """Print the sections that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--workspace", type=Path, help="made there when absent, used again when present")
    parser.add_argument("--only", default="pixels,cosine,memory,dssim", help="sections, separated by commas")
    parser.add_argument("--hold", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hold:
        hold(options.hold)
        return
    if options.data is None:
        parser.error("name the folder DATA")
    good = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.workspace or Path(temporary) / "workspace"
        for section in options.only.split(","):
            print(f"-- {section}", flush=True)
            if section == "pixels":
                from benchmarks.pixel_search import measure

                good &= measure(options.data)
            else:
                sections = {
                    "cosine": lambda: cosine(options.data, folder),
                    "memory": memory,
                    "dssim": lambda: dissimilarity(options.data),
                }
                good &= sections[section]()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
