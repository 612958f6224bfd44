"""Counting images by class and status at the size of ILSVRC train: the workspace's table against a CSV in pandas.

    python -m benchmarks.images_table [--rows 1281167] [--classes 1000]

The CSV holds only the three columns that the count needs, which favours pandas; the table holds all of them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from curation import files
from curation.images import ingest, merge, thumbnails
from curation.workspace import IMAGES, Workspace


def synthetic(rows: int, classes: int) -> pa.Table:
    """An images table with ILSVRC's kind of paths, random hashes, and one broken picture in a thousand."""
    rng = np.random.default_rng(0)
    label = np.sort(rng.integers(0, classes, rows))
    names = np.array([f"n{number:08d}" for number in range(classes)])
    status = np.where(rng.random(rows) < 0.001, "broken", "ok")
    hashes = [bytes(row).hex() for row in rng.integers(0, 256, (rows, 32), dtype=np.uint8)]
    columns = {
        "image_id": np.arange(rows, dtype=np.int32),
        "root": pa.repeat("images", rows).dictionary_encode().cast(IMAGES.field("root").type),
        "path": [f"{names[c]}/{names[c]}_{i}.JPEG" for i, c in enumerate(label)],
        "class_name": pa.DictionaryArray.from_arrays(pa.array(label.astype(np.int32)), pa.array(names.tolist())),
        "source_split": pa.repeat("", rows).dictionary_encode().cast(IMAGES.field("root").type),
        "width": np.full(rows, 500, np.int32),
        "height": np.full(rows, 375, np.int32),
        "bytes": rng.integers(20_000, 200_000, rows),
        "modified": np.arange(rows, dtype=np.int64),
        "sha256": hashes,
        "pixels": [text[:32] for text in hashes],
        "phash": rng.integers(0, 2**63, rows, dtype=np.uint64),
        "phash_mirror": rng.integers(0, 2**63, rows, dtype=np.uint64),
        "brightness": rng.random(rows, dtype=np.float32),
        "flat": np.zeros(rows, bool),
        "status": pa.array(status).dictionary_encode().cast(IMAGES.field("root").type),
        "reason": pa.repeat("", rows),
    }
    return pa.table(columns, schema=IMAGES)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds (best of three) and the result."""
    best, result = float("inf"), None
    for _ in range(3):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    return best, result


def relisted(old: pa.Table) -> pa.Table:
    """What a second reading of unchanged files does after listing them."""
    plain = merge.plain(old)
    return merge.merged(plain, plain.select(merge.LISTED.names), plain.select(merge.FACTS.names), ["images"])


def main() -> None:
    """Make the table and the CSV, count in both, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_281_167)
    parser.add_argument("--classes", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pictures").mkdir()
        workspace = Workspace.create(Path(folder) / "workspace", roots={"images": Path(folder) / "pictures"})
        table = synthetic(options.rows, options.classes)
        files.write_table(workspace.images_path, table)
        sheet = Path(folder) / "images.csv"
        merge.plain(table.select(["path", "class_name", "status"])).to_pandas().to_csv(sheet, index=False)

        ours, counted = timed(lambda: ingest.counts(workspace))
        theirs, expected = timed(lambda: pd.read_csv(sheet).groupby(["class_name", "status"]).size())
        assert counted["images"].to_pylist() == expected.tolist()
        merging, again = timed(lambda: relisted(table))
        assert again.equals(table)
        thumbnails.lookup(workspace, 0)
        looking, _ = timed(
            lambda: [thumbnails.lookup(workspace, i) for i in range(0, options.rows, options.rows // 100)]
        )
        print(f"{options.rows:,} images in {options.classes:,} classes, {workspace.images_path.stat().st_size:,} bytes")
        print(f"merge of an unchanged listing: {merging:.2f} s; one lookup for a thumbnail: {looking * 1e4:.0f} us")
        print(f"count by class and status: {ours:.3f} s; CSV in pandas: {theirs:.3f} s; ratio {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
