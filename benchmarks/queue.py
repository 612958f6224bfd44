"""What the next pair costs after a verdict: the court in memory against joining pairs and verdicts anew.

    python -m benchmarks.queue [--pairs 200000] [--verdicts 50000] [--rounds 15]

Both ways append one verdict and then make what a page shows: the first 60 open pairs by uncertainty with classes and
sets, and the counts. Ours leases the pairs as well. They take turns, so that whatever else the machine does hits both.
Prints one JSON line, whose `ratio` is plain median / ours median.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation import files, judgements
from curation.duplicates import verdicts
from curation.ledger import Event
from curation.workspace import IMAGES, PAIRS, Workspace

ROWS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--verdicts", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), args.pairs, args.verdicts, args.rounds)))


def measure(folder: Path, pairs: int, judged: int, rounds: int) -> dict[str, Any]:
    """Median milliseconds of both ways, and what it takes to start."""
    workspace, subjects = build(folder, pairs)
    start = time.perf_counter()
    workspace.ledger.append([said(subject, f"r{i % 20}", i) for i, subject in enumerate(subjects[:judged])])
    appended = time.perf_counter() - start
    start = time.perf_counter()
    ours(workspace)
    first = time.perf_counter() - start
    times: dict[str, list[float]] = {"ours": [], "plain": []}
    busy: dict[str, list[float]] = {"ours": [], "plain": []}
    for turn in range(rounds):
        for name, way in (("ours", ours), ("plain", plain)):
            workspace.ledger.append([said(subjects[judged + turn], f"{name}-{turn}", turn)])
            start, worked = time.perf_counter(), time.process_time()
            shown = way(workspace)
            times[name].append(1000 * (time.perf_counter() - start))
            busy[name].append(1000 * (time.process_time() - worked))
            assert shown == ROWS
    middle = {name: float(np.median(values)) for name, values in times.items()}
    return {
        "pairs": pairs,
        "verdicts": judged,
        "append_s": round(appended, 2),
        "first_s": round(first, 2),
        "ours_ms": round(middle["ours"], 1),
        "ours_cpu_ms": round(float(np.median(busy["ours"])), 1),
        "ours_worst_ms": round(max(times["ours"]), 1),
        "plain_ms": round(middle["plain"], 1),
        "plain_cpu_ms": round(float(np.median(busy["plain"])), 1),
        "ratio": round(middle["plain"] / middle["ours"], 1),
    }


def said(subject: str, reviewer: str, number: int) -> Event:
    verdict = judgements.VERDICTS[number % 4]
    return Event(reviewer=reviewer, kind="pair", subject=subject, verdict=verdict, shown={"view": "blink"})


def ours(workspace: Workspace) -> int:
    """What the page calls."""
    served = verdicts.serve(workspace, reviewer="anna", count=ROWS)
    verdicts.counts(workspace, reviewer="anna")
    return len(served.pairs)


def plain(workspace: Workspace) -> int:
    """The same rows with nothing kept: read, join, filter, sort, count."""
    table = files.read_table(workspace.path / "duplicates" / "pairs.parquet").to_pandas()
    images = workspace.images(["class_name", "source_split"]).to_pandas()
    for side in "ab":
        ids = table[f"image_{side}"]
        table = table.assign(**{f"{name}_{side}": images[name].to_numpy()[ids] for name in images})
    ruled = judgements.verdicts(workspace)
    table = table.merge(ruled, how="left", on=["image_a", "image_b", "reference"])
    left = table[table["verdict"].isna()]
    near = (left["probability"] - 0.5).abs()
    left = left.iloc[np.lexsort((left["image_b"], left["image_a"], near))]
    ruled.groupby("verdict").size(), ruled.groupby("reviewer").size()
    return len(pa.Table.from_pandas(left.head(ROWS), preserve_index=False))


def build(folder: Path, pairs: int) -> tuple[Workspace, list[str]]:
    """A workspace with that many pairs among a tenth as many images, and the subjects in random order."""
    rng = np.random.default_rng(0)
    images = max(pairs // 10, 40)
    (folder / "pictures").mkdir()
    workspace = Workspace.create(folder / "workspace", roots={"images": folder / "pictures"})
    known: dict[str, Any] = {
        "image_id": np.arange(images),
        "class_name": [f"class {i % 1000:04d}" for i in range(images)],
        "source_split": [("train", "val")[i % 2] for i in range(images)],
        "path": [f"{i:07d}.jpg" for i in range(images)],
        "status": ["ok"] * images,
    }
    files.write_table(workspace.images_path, table_of(IMAGES, known, images))
    drawn = np.unique(np.sort(rng.integers(0, images, (2 * pairs, 2)), axis=1), axis=0)
    drawn = drawn[drawn[:, 0] < drawn[:, 1]]
    drawn = drawn[np.sort(rng.permutation(len(drawn))[:pairs])]
    chance = rng.random(pairs)
    known = {
        "image_a": drawn[:, 0],
        "image_b": drawn[:, 1],
        "reference": [""] * pairs,
        "phash": rng.integers(0, 64, pairs),
        "cosine": rng.random(pairs),
        "transform": pa.FixedSizeListArray.from_arrays(pa.array(rng.random(6 * pairs)), 6),
        "probability": chance,
        "decision": np.where(chance > 0.9, "duplicate", "candidate").tolist(),
    }
    files.write_table(workspace.path / "duplicates" / "pairs.parquet", table_of(PAIRS, known, pairs))
    subjects = [judgements.subject(a, b) for a, b in drawn.tolist()]
    return workspace, [subjects[i] for i in rng.permutation(pairs).tolist()]


def table_of(schema: pa.Schema, known: dict[str, Any], count: int) -> pa.Table:
    """A table of these columns, the others null."""
    columns = {f.name: pa.array(known[f.name]) if f.name in known else pa.nulls(count) for f in schema}
    return pa.table({f.name: columns[f.name].cast(f.type) for f in schema}, schema=schema)


if __name__ == "__main__":
    main()
