"""A small annotated set whose pictures are drawn on the spot."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from pictures import draw

from curation.formats.annotations import ABOUT, AnnotationSet, Options, annotation_table, names_of

SPLITS = ("train", "val", "test_lt", "test_bl", "test_bbl")
SIZES = {"train": 3, "val": 1, "test_lt": 0, "test_bl": 1, "test_bbl": 2}
# In the order of labels, which is neither that of the names nor, from ten on, that of the labels as texts.
CLASSES = ("zebra", "n01440764", "été", "crane", "a b", "<b>", "ant", "Bee", "cat", "dog", "eel", "fox")
WNIDS = [f"n{40_000_000 - i:08d}" for i in range(len(CLASSES))]


def pictured() -> AnnotationSet:
    """85 pictures of 12 classes without any bytes; the first class has most, and the split test_lt has none."""
    rows = []
    for split in SPLITS:
        for label in range(len(CLASSES)):
            for i in range(SIZES[split] + (label == 0 and split == "train")):
                suffix = ("JPEG", "png", "jpg")[i % 3]
                rows.append((f"c{label}/{split}_{i}.x.{suffix}", label, split, int(label > 3) + int(label > 8), i % 3))
    path, label, split, frequency, attribute = zip(*rows, strict=True)
    columns = {"path": pa.array(path), "label": pa.array(label), "class_name": names_of(label, CLASSES)}
    columns |= {"split": pa.array(split), "frequency": pa.array(frequency), "attribute": pa.array(attribute)}
    columns |= {"number": np.arange(1, len(rows) + 1), "source": pa.array(["real"] * len(rows))}
    about = pa.table({"class_name": list(CLASSES), "wnid": WNIDS}, schema=pa.schema([ABOUT.field(i) for i in (0, 1)]))
    return AnnotationSet(annotation_table(columns), CLASSES, SPLITS, {"seed": 25}, about)


def put(found: AnnotationSet, root: Path) -> Options:
    """Draw the set's pictures under `root`; options that find them there."""
    for row, path in enumerate(found.table["path"].to_pylist()):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(encoded(row, path))
    return Options(locate=lambda path: root / path)


def encoded(seed: int, path: str) -> bytes:
    """A picture in the format that the path's suffix says."""
    sink = io.BytesIO()
    draw(seed, (16, 12)).save(sink, "PNG" if path.endswith("png") else "JPEG")
    return sink.getvalue()
