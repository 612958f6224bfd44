from dataclasses import replace

import pyarrow as pa
import tallied

from curation.splits.counts import Counts, base_ids
from curation.splits.inputs import BASE
from curation.splits.pool import gather


def test_counts_of_tables():
    inputs = tallied.made({"bee": 3, "ant": 2}, sources=("train", "val"), excluded=[0])
    ids = inputs.images["image_id"].to_pylist()
    splits = ["test", "train", "train"]
    base = pa.table({"image_id": [ids[4], ids[1], ids[0]], "split": splits}).cast(BASE)
    wanted = pa.table({"class_name": ["bee", "cow"], "images": [7, 8]})
    counts = Counts.of(gather(replace(inputs, base=base, histogram=wanted)), inputs)
    assert (counts.names, counts.sources) == (["ant", "bee"], ["train", "val"])
    assert counts.available.tolist() == [[1, 1], [1, 1]]
    assert (counts.base, counts.wanted) == ({}, None)
    full = replace(inputs, base=base, histogram=wanted)
    counts = Counts.of(gather(full), full)
    assert {name: found.tolist() for name, found in counts.base.items()} == {"test": [1, 0], "train": [0, 1]}
    assert counts.wanted.tolist() == [-1, 7]
    assert {name: found.tolist() for name, found in base_ids(base).items()} == {
        "test": [ids[4]], "train": sorted([ids[1], ids[0]])
    }  # fmt: skip
