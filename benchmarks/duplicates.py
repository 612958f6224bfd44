"""Near duplicates found on photographs with known copies, against perceptual hashes compared as users compare them.

    python -m benchmarks.duplicates DATA [--workspace DIR] [--workers N]

DATA holds `neardup/` and `neardup_groups.csv`: 2,021 photographs, 180 of them with five edits each; pictures of the
same group are near duplicates (2,700 pairs). The other side is the package `imagehash`: pHash of every picture, and
every pair of hashes subtracted, at most 10 bits apart. Both sides start from decoded hashes; `find` also uses the
features of the workspace, which are not timed, and makes its tables of neighbours anew. Prints recall by edit
(original and edit), precision, the seconds of each part of `find`, and one ratio of time.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from curation import files
from curation.duplicates.find import find
from curation.exclusions import pairs_path
from curation.images.ingest import read
from curation.workspace import Workspace


class Truth(NamedTuple):
    """By image id: `group` int64 and `edit`; `pairs` is the number of true pairs."""

    group: np.ndarray
    edit: np.ndarray
    pairs: int

    def same(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Whether each pair is a near duplicate."""
        return self.group[a] == self.group[b]


def prepare(data: Path, folder: Path) -> tuple[Workspace, Truth]:
    """The photographs as a workspace in `folder` (what it has already is kept), with lite0 features, and the truth."""
    workspace = Workspace.create(folder, roots={"images": data / "neardup"})
    if not workspace.images_path.is_file():
        read(workspace, layout="folders")
    if not workspace.feature_names():
        from curation.features.extract import extract

        extract(workspace)
    with open(data / "neardup_groups.csv", newline="", encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    known = [rows[path] for path in workspace.images(["path"])["path"].to_pylist()]
    group = np.array([int(row["group"]) for row in known])
    sizes = np.bincount(group)
    return workspace, Truth(group, np.array([row["edit"] for row in known]), int((sizes * (sizes - 1) // 2).sum()))


def recall_by_edit(truth: Truth, a: np.ndarray, b: np.ndarray) -> dict[str, tuple[int, int]]:
    """For each edit: how many pairs of an original and its edit are among (a, b), and how many there are."""
    result = {}
    first, second = np.where(truth.edit[a] == "original", (a, b), (b, a))
    hit = second[(truth.edit[first] == "original") & truth.same(a, b)]
    for edit in sorted(set(truth.edit.tolist()) - {"original"}):
        result[edit] = (int((truth.edit[hit] == edit).sum()), int((truth.edit == edit).sum()))
    return result


def imagehash_pairs(workspace: Workspace, radius: int = 10) -> tuple[np.ndarray, np.ndarray, float]:
    """Pairs within `radius` by the package imagehash in a double loop, and the seconds that the loop took."""
    import imagehash
    from PIL import Image

    table = workspace.images(["root", "path"])
    paths = [workspace.image_file(*row.values()) for row in table.to_pylist()]
    hashes = [imagehash.phash(Image.open(path)) for path in paths]
    began = time.perf_counter()
    pairs = [(i, j) for i, one in enumerate(hashes) for j in range(i + 1, len(hashes)) if one - hashes[j] <= radius]
    seconds = time.perf_counter() - began
    a, b = np.array(pairs, np.int64).reshape(-1, 2).T
    return a, b, seconds


class Clock:
    """Progress that adds up the seconds that pass before each report, by message."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.last = time.perf_counter()

    def __call__(self, done: int, total: int, message: str) -> None:
        now = time.perf_counter()
        self.seconds[message] = self.seconds.get(message, 0.0) + now - self.last
        self.last = now


def main() -> None:
    """Print the table, the times and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--workspace", type=Path, help="made there when absent, used again when present")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        workspace, truth = prepare(options.data, options.workspace or Path(temporary) / "workspace")
        shutil.rmtree(workspace.path / "duplicates", ignore_errors=True)
        began, busy, clock = time.perf_counter(), time.process_time(), Clock()
        summary = find(workspace, workers=options.workers, progress=clock)
        ours_seconds, busy = time.perf_counter() - began, time.process_time() - busy
        table = files.read_table(pairs_path(workspace), filters=[("decision", "=", "duplicate")])
        ours = tuple(table[side].to_numpy().astype(np.int64) for side in ("image_a", "image_b"))
        *theirs, their_seconds = imagehash_pairs(workspace)
    print(f"{'':12}{'find':>10}{'pHash <= 10':>14}")
    columns = [recall_by_edit(truth, *pairs) for pairs in (ours, theirs)]
    for edit in columns[0]:
        shares = [column[edit][0] / column[edit][1] for column in columns]
        print(f"{edit:12}{shares[0]:10.1%}{shares[1]:14.1%}")
    hits = [int(truth.same(*pairs).sum()) for pairs in (ours, theirs)]
    print(f"{'all pairs':12}{hits[0] / truth.pairs:10.1%}{hits[1] / truth.pairs:14.1%}   recall of {truth.pairs:,}")
    print(f"{'precision':12}{hits[0] / len(ours[0]):10.1%}{hits[1] / len(theirs[0]):14.1%}")
    print(f"{'seconds':12}{ours_seconds:10.2f}{their_seconds:14.2f}   of comparing {len(truth.group):,} pictures")
    print(f"ratio {their_seconds / ours_seconds:.1f}; find used {busy:.1f} s of processor on {options.workers} workers")
    print(f"{summary['checked']:,} pairs checked by geometry; seconds before each report:")
    for message, seconds in clock.seconds.items():
        print(f"    {message:32}{seconds:8.2f}")


if __name__ == "__main__":
    main()
