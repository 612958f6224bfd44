"""Parquet with the pictures inside, as Hugging Face `datasets` writes and reads image data sets.

A folder of `data/<split>-00000-of-00003.parquet`, whose schema says that `image` is a picture and `label` one of the
named classes, and a README.md that names each split's files, so that `datasets.load_dataset(folder)` finds them all.
(huggingface/datasets, packaged module parquet.) Row groups are small, so that one picture can be had without many.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation import files
from curation.errors import ArgumentError
from curation.formats import containers, picture_parquet
from curation.formats.annotations import ANNOTATIONS, AnnotationSet, Options, names_of

CARD = "README.md"
HOLDS = containers.HOLDS
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_GROUP_ROWS, _GROUP_BYTES = 100, 32 << 20
_SPLIT = re.compile(r"\w+(\.\w+)*", re.ASCII)  # datasets.naming


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write the folder `<stem>/` and return its README.md; the same set gives the same bytes.

    Pictures that are gone are left out and listed in `missing.txt`.

    Raises:
        ArgumentError: nothing says where the pictures are, two classes have one name, or a split or path that cannot
            be.
        CurationError: the folder is there already, a picture cannot be read or all are gone, or the disk is full.
    """
    annotations = _named(annotations)
    containers.check(annotations, options)
    _check(annotations)
    lost: list[str] = []
    schema = _schema(annotations)
    with files.replacing_folder(folder / stem) as part:
        (part / "data").mkdir()
        counts = {split: _write_split(annotations, split, schema, part, options, lost) for split in annotations.splits}
        containers.check_any(lost, len(annotations.table))
        with files.replacing(part / CARD) as card:
            card.write_text(_card(counts), encoding="utf-8", newline="\n")
        containers.write_missing(part, lost)
    return [folder / stem / CARD]


def read(path: Path) -> AnnotationSet:
    """Read a folder of Parquet files with pictures (or its README.md), or one such file.

    Files of others need a column of pictures, and one of labels: numbers, named or not, or texts.

    Raises:
        CurationError: a file is missing or no Parquet, lacks a column, a row has no label, or a path leads out; names
            the file.
    """
    path = Path(path)
    return picture_parquet.read(path.parent if path.name == CARD else path)


# -- below: writing ---------------------------------------------------------------------------------------------------


def unheld(annotations: AnnotationSet) -> dict[str, int]:
    """Rows whose split gets another name."""
    return {"split": 0 if _named(annotations) is annotations else len(annotations.table)}


def _named(annotations: AnnotationSet) -> AnnotationSet:
    """The set; its only split, called `all`, as `train`, which is what `datasets` calls data without splits."""
    if annotations.splits != ("all",):
        return annotations
    place, rows = annotations.table.column_names.index("split"), len(annotations.table)
    table = annotations.table.set_column(place, ANNOTATIONS.field("split"), names_of(np.zeros(rows), ("train",)))
    return dataclasses.replace(annotations, table=table, splits=("train",))


def _check(annotations: AnnotationSet) -> None:
    for split in annotations.splits:
        if not _SPLIT.fullmatch(split) or split.casefold() == "all":
            raise ArgumentError(
                f"Hugging Face datasets cannot call a split {split!r}: rename it to letters, digits and '_', not 'all'"
            )
    classes = annotations.classes
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise ArgumentError(
            f"two labels have the class name {twice!r}, and Hugging Face datasets needs names that differ"
        )


def _schema(annotations: AnnotationSet) -> pa.Schema:
    """The schema of the files, with what `datasets` and we need to know of them in its metadata."""
    facts = [kind for kind in containers.FACTS if kind.name in annotations.table.column_names]
    plain = [pa.field(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in facts]
    schema = pa.schema([("image", IMAGE), ("label", pa.int64()), ("path", pa.string()), *plain])
    features: dict[str, Any] = {f.name: {"dtype": str(f.type), "_type": "Value"} for f in schema}
    features["image"] = {"_type": "Image"}
    features["label"] = {"names": list(annotations.classes), "_type": "ClassLabel"}
    known = containers.known(annotations) | {"splits": list(annotations.splits)}
    return schema.with_metadata(
        {
            picture_parquet.FEATURES: json.dumps({"info": {"features": features}}),
            picture_parquet.KNOWN: json.dumps(known),
        }
    )


def _write_split(
    annotations: AnnotationSet, split: str, schema: pa.Schema, folder: Path, options: Options, lost: list[str]
) -> int:
    """Write the files of a split, none when it is empty, since `datasets` opens no empty split; gives its rows."""
    groups = _groups(annotations, split, schema, options, lost)
    written: list[tuple[Path, int]] = []
    group = next(groups, None)
    while group is not None:
        path = folder / "data" / f"{split}-{len(written):05d}"
        rows = 0
        with pq.ParquetWriter(path, schema, **_packing(schema)) as writer:
            while group is not None and rows < options.shard_images:
                writer.write_table(group)
                rows += len(group)
                group = next(groups, None)
        written.append((path, rows))
    for path, _ in written:
        path.rename(path.with_name(f"{path.name}-of-{len(written):05d}.parquet"))
    return sum(rows for _, rows in written)


def _groups(
    annotations: AnnotationSet, split: str, schema: pa.Schema, options: Options, lost: list[str]
) -> Iterator[pa.Table]:
    """The row groups of a split: few rows and bytes each; none reaches from one file into the next."""
    rows: list[dict[str, Any]] = []
    size = count = 0
    for _, record, data in containers.held(annotations, containers.rows_of(annotations, split), options, lost):
        name = PurePosixPath(record["path"]).name
        rows.append({**record, "image": {"bytes": data, "path": name}})
        size, count = size + len(data), count + 1
        if len(rows) == _GROUP_ROWS or size >= _GROUP_BYTES or count % options.shard_images == 0:
            yield pa.Table.from_pylist(rows, schema)
            rows, size = [], 0
    if rows:
        yield pa.Table.from_pylist(rows, schema)


def _packing(schema: pa.Schema) -> dict[str, Any]:
    """Pictures as they are, since they are packed already; all else packed, with a dictionary where that helps."""
    plain = [name for name in schema.names if name != "image"]
    return {
        "compression": {"image.bytes": "none", "image.path": "zstd"} | dict.fromkeys(plain, "zstd"),
        "use_dictionary": [name for name in plain if name not in ("path", "sha256")],
        "write_statistics": plain,
    }


def _card(counts: dict[str, int]) -> str:
    """The data set card: where each split's files are, for `datasets`, and how many pictures it has, for people."""
    paths = "".join(f'  - split: "{split}"\n    path: "data/{split}-*.parquet"\n' for split, n in counts.items() if n)
    configs = f"configs:\n- config_name: default\n  data_files:\n{paths}"
    rows = "".join(f"| {split} | {count:,} |\n" for split, count in counts.items())
    head = f"---\ntask_categories:\n- image-classification\n{configs}---\n\n"
    return f"{head}| split | pictures |\n| --- | ---: |\n{rows}"
