"""Every recipe on a table of ILSVRC's size: time, and memory above the table; three of them against plain Python.

    python -m benchmarks.splits [--kinds glt,stratified] [--classes 1000] [--no-npz]

The table is made up: 1000 classes of ILSVRC's sizes (1,281,167 images of source split train, 50 a class of val), six
clusters a class, near-duplicate pairs among 1 % of the images, scores and attributes. Each recipe runs in a fresh
process, which reads its peak memory (VmHWM) above what it took with its tables loaded. The plain ways get the same
tables as pandas frames: for `glt` the published procedure with lists, for `long-tailed` the loop over classes of
kaidic/LDAM-DRW, for `stratified` groupby and sample. They keep no near duplicates together. Exit code 1 when a recipe
takes more than 5 seconds or 1 GB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.memory import peak, peak_from_here

REPOSITORY = Path(__file__).resolve().parents[1]
SECONDS, BYTES = 5.0, 1e9
VAL, CLUSTERS, ATTRIBUTES = 50, 6, 3
WORDS = 40  # different attributes of images that have several

# Tables that a kind takes beside images and exclusions, and parameters without which it says nothing.
TABLES = {
    "glt": ["clusters"],
    "glt-multi": ["attributes"],
    "diverse": ["groups", "scores"],
    "hard": ["groups", "scores"],
    "typical": ["groups", "scores"],
    "trim-tail": ["groups", "base", "class_metadata"],
    "match-histogram": ["groups", "histogram"],
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "long-tailed": {"val": 20, "test": "source:val"},
    "glt-multi": {"attributes": "attributes.parquet", "test": 60, "val": 30},
    "trim-tail": {"base": "base", "keep": 0.8, "at_most": 500},
    "match-histogram": {"match": "other", "scale": "proportional"},
}


def make(folder: Path, classes: int) -> int:
    """Write the tables as Parquet; return the number of images."""
    import pyarrow as pa

    from curation import files
    from curation.exclusions import EXCLUSIONS
    from curation.splits.inputs import ATTRIBUTES as WORDED
    from curation.splits.inputs import BASE, GROUPS, HISTOGRAM, SCORES
    from curation.workspace import CLUSTERS as CLUSTERED

    rng = np.random.default_rng(25)
    sizes = np.r_[np.full(895, 1300), (732 + 567 * np.linspace(0, 1, 105) ** 0.455).astype(int)]
    sizes[900] += 1_281_167 - sizes.sum()
    sizes = rng.permutation(sizes)[:classes]
    names = [f"n{i:08d}" for i in range(classes)]
    train, val = np.repeat(np.arange(classes), sizes), np.repeat(np.arange(classes), VAL)
    cls, count, total = np.r_[train, val], len(train), len(train) + len(val)
    ids = np.arange(total)
    words = [f"train/{names[c]}/{names[c]}_{i}.JPEG" for i, c in enumerate(train.tolist())]
    words += [f"val/{names[c]}/ILSVRC2012_val_{i:08d}.JPEG" for i, c in enumerate(val.tolist(), 1)]
    source = np.r_[np.zeros(count, np.int32), np.ones(total - count, np.int32)]
    cluster = rng.choice(CLUSTERS, count, p=[0.30, 0.22, 0.17, 0.13, 0.10, 0.08])
    grouped = rng.choice(count, count // 100 // 2 * 2, replace=False)
    parts = rng.choice(3, count, p=[0.8, 0.1, 0.1])
    words_of, vocabulary = rng.integers(0, WORDS, 2 * count), [f"a{i}" for i in range(WORDS)]

    def coded(codes: np.ndarray, dictionary: list[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(dictionary))

    tables: dict[str, tuple[dict[str, Any], Any]] = {
        "images": ({"image_id": pa.array(ids, pa.int32()), "root": coded(0 * cls, ["images"]), "path": words,
                    "class_name": coded(cls, names), "source_split": coded(source, ["train", "val"])}, None),
        "excluded": ({"image_id": [], "reason": []}, EXCLUSIONS),
        "clusters": ({"image_id": ids[:count], "class_name": coded(train, names), "cluster": cluster,
                      "attribute": cluster * ATTRIBUTES // CLUSTERS, "distance": rng.random(count)}, CLUSTERED),
        "groups": ({"image_id": np.sort(grouped), "group": np.arange(len(grouped)) // 2}, GROUPS),
        "scores": ({"image_id": ids, "score": rng.random(total)}, SCORES),
        "base": ({"image_id": ids[:count], "split": coded(parts, ["train", "val", "test"])}, BASE),
        "class_metadata": ({"class_name": names}, None),
        "histogram": ({"class_name": names, "images": rng.integers(50, 5000, classes)}, HISTOGRAM),
        "attributes": ({"image_id": np.repeat(ids[:count], 2), "attribute": coded(words_of, vocabulary)}, WORDED),
    }  # fmt: skip
    for name, (columns, schema) in tables.items():
        table = pa.table(columns)
        files.write_table(folder / f"{name}.parquet", table if schema is None else table.cast(schema))
    return total


# -- the two sides -----------------------------------------------------------------------------------------------------


def ours(kind: str, folder: Path) -> Callable[[], dict[str, int]]:
    """A recipe of the program: images by split."""
    from curation import files
    from curation.splits.inputs import Inputs
    from curation.splits.recipes import kind_of

    names = ["images", "excluded", *TABLES.get(kind, ["groups"])]
    inputs = Inputs(**{name: files.read_table(folder / f"{name}.parquet") for name in names})
    known = kind_of(kind)
    settings = known.settings.from_dict(PARAMETERS.get(kind, {}))
    return lambda: known.carve(inputs, settings).report["funnel"]["splits"]


def plain_glt(folder: Path) -> Callable[[], dict[str, int]]:
    """The published procedure: a list of paths for each cluster, pop from the front, pop at random."""
    import pandas as pd

    from benchmarks.carving import SPLITS, carve

    images = pd.read_parquet(folder / "images.parquet", columns=["image_id", "path"])
    clusters = pd.read_parquet(folder / "clusters.parquet", columns=["image_id", "class_name", "cluster"])

    def work() -> dict[str, int]:
        table: dict[str, dict[str, list[str]]] = {}
        frame = clusters.merge(images, on="image_id")
        for (name, cluster), paths in frame.groupby(["class_name", "cluster"], observed=True)["path"]:
            table.setdefault(str(name), {})[str(cluster)] = paths.tolist()
        document = carve(table, "lt")
        return {split: len(document[split]["label"]) for split in SPLITS}

    return work


def plain_long_tailed(folder: Path) -> Callable[[], dict[str, int]]:
    """A loop over classes: find the class in the whole list, shuffle, cut; then lists of paths and labels."""
    import pandas as pd

    from curation.splits.profiles import imagenet_lt

    images = pd.read_parquet(folder / "images.parquet", columns=["path", "class_name", "source_split"])

    def work() -> dict[str, int]:
        targets, names = pd.factorize(images["class_name"].astype(str), sort=True)
        paths, source = images["path"].to_numpy(), images["source_split"].astype(str).to_numpy()
        inside = np.flatnonzero(source == "train")
        available = np.bincount(targets[inside], minlength=len(names))
        rank = np.argsort(np.argsort(-available, kind="stable"), kind="stable")
        rng, wanted = np.random.RandomState(25), imagenet_lt()
        found: dict[str, list] = {"train": [], "val": [], "test": []}
        for label in range(len(names)):
            mine = inside[np.where(targets[inside] == label)[0]]
            rng.shuffle(mine)
            found["val"] += [(path, label) for path in paths[mine[:20]]]
            found["train"] += [(path, label) for path in paths[mine[20 : 20 + wanted[rank[label]]]]]
            found["test"] += [(path, label) for path in paths[np.where((targets == label) & (source == "val"))[0]]]
        return {split: len(rows) for split, rows in found.items()}

    return work


def plain_stratified(folder: Path) -> Callable[[], dict[str, int]]:
    """groupby and sample for test, then for val, and train is the rest."""
    import pandas as pd

    images = pd.read_parquet(folder / "images.parquet", columns=["image_id", "path", "class_name"])

    def work() -> dict[str, int]:
        frame = images.sort_values(["class_name", "path"])
        frame["label"] = frame["class_name"].cat.codes
        test = frame.groupby("class_name", observed=True).sample(frac=0.1, random_state=25)
        rest = frame.drop(test.index)
        val = rest.groupby("class_name", observed=True).sample(frac=0.1 / 0.9, random_state=25)
        parts = {"train": rest.drop(val.index), "val": val, "test": test}
        split = pd.concat([part.assign(split=name) for name, part in parts.items()])
        return split.sort_values(["split", "label", "path"])["split"].value_counts().to_dict()

    return work


PLAIN = {"glt": plain_glt, "long-tailed": plain_long_tailed, "stratified": plain_stratified}


def side(which: str, kind: str, folder: Path) -> dict[str, Any]:
    """Seconds, bytes above the tables, and images by split, of one way in this process."""
    work = ours(kind, folder) if which == "ours" else PLAIN[kind](folder)
    before, start = peak_from_here(), time.perf_counter()  # libraries and tables are there
    splits = work()
    return {"seconds": time.perf_counter() - start, "bytes": peak() - before, "splits": splits}


def measured(which: str, kind: str, folder: Path) -> dict[str, Any]:
    """The same in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.splits", "--side", which, kind, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    return json.loads(done.stdout)


def report(kinds: list[str], folder: Path) -> bool:
    """Print a line for each recipe; whether all keep to the bounds."""
    print(f"{'recipe':18}{'seconds':>9}{'MB above':>10}{'plain s':>10}{'ratio':>8}   images by split")
    good = True
    for kind in kinds:
        mine = measured("ours", kind, folder)
        line = f"{kind:18}{mine['seconds']:9.2f}{mine['bytes'] / 1e6:10.0f}"
        if kind in PLAIN:
            other = measured("plain", kind, folder)
            line += f"{other['seconds']:10.2f}{other['seconds'] / mine['seconds']:8.1f}"
        else:
            line += f"{'':18}"
        print(line + "   " + " ".join(f"{name} {images:,}" for name, images in mine["splits"].items()), flush=True)
        good &= mine["seconds"] <= SECONDS and mine["bytes"] <= BYTES
    return good


def main() -> int:
    from curation.splits.kinds import RECIPES

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(RECIPES), help="by comma; all when left out")
    parser.add_argument("--classes", type=int, default=1000, help="at most 1000")
    parser.add_argument("--no-npz", action="store_true", help="leave out the measurement of benchmarks.npz")
    parser.add_argument("--side", nargs=3, metavar=("WHICH", "KIND", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(side(options.side[0], options.side[1], Path(options.side[2]))))
        return 0
    with tempfile.TemporaryDirectory() as name:
        rows = make(Path(name), options.classes)
        print(
            f"{rows:,} images, {options.classes:,} classes; at most {SECONDS:.0f} s and {BYTES / 1e6:,.0f} MB allowed"
        )
        good = report(options.kinds.split(","), Path(name))
    if not options.no_npz:
        from benchmarks import npz

        line, kept = npz.verdict(npz.measure())
        print(f"npz: {line}")
        good &= kept
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
