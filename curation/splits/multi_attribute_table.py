"""Tables of the attributes that images have: read from CSV or Parquet, and as numbers.

A long table has a row for each attribute of an image: `path` (or `image_id`) and `attribute`, perhaps `score`. A wide
one has a row for each image: `path` (or `image_id`), and a column of 0 and 1, of truth values or of scores for each
attribute. An image has an attribute when one of its rows says so; nothing is known of images that are in no row.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.splits.inputs import ATTRIBUTES
from curation.splits.pool import place_of
from curation.splits.result import coded

_IMAGE, _LONG = ("path", "image_id"), ("attribute", "score")


@dataclass(frozen=True)
class Positives:
    """Which attributes images have.

    `image` (row of the images asked for) and `code` (of `names`): int32 (M,), no pair twice, the pairs of an image side
    by side; `names`: attributes that any image has, in byte order.
    """

    image: np.ndarray
    code: np.ndarray
    names: list[str]


def positives(table: pa.Table, image_id: np.ndarray) -> Positives:
    """Attributes of some images, from a table ATTRIBUTES with its rows in any order.

    Args:
        table: attributes of all images.
        image_id: the images asked for, int (N,).
    """
    words, codes = coded(table["attribute"])
    ids, codes, names = _in_order(table["image_id"].to_numpy(), codes, words)
    image = place_of(ids, image_id).astype(np.int32)
    return Positives(image[image >= 0], codes[image >= 0], names)


def read(path: Path, images: pa.Table, *, threshold: float = 0.5) -> pa.Table:
    """Read a table of attributes.

    Args:
        path: a Parquet file; a CSV with commas when its name ends in .csv, else with tabs.
        images: columns image_id and path of all images that may be named.
        threshold: an image has an attribute when its number is above.

    Returns:
        Schema ATTRIBUTES, by image and attribute in byte order: the same whatever the order of rows and columns.

    Raises:
        ArgumentError: there is no such file.
        CurationError: a column or value that cannot be, or images that are not known; names column, row and count.
    """
    if not path.is_file():
        raise ArgumentError(f"there is no table of attributes {path}: give a CSV or Parquet file")
    table = files.read_table(path) if path.suffix.lower() == ".parquet" else _csv(path)
    key = next((name for name in _IMAGE if name in table.column_names), None)
    if key is None or len(table.column_names) < 2 or len(set(table.column_names)) < len(table.column_names):
        raise CurationError(
            f"{path} has {len(table.column_names)} columns ({_some(table.column_names)}): it needs path or image_id, "
            "and attribute or a column for each attribute, each name once"
        )
    ids = (_by_path if key == "path" else _by_id)(path, table[key], images)
    long = "attribute" in table.column_names and not _is_number(table["attribute"].type)
    rows, code, names = (_long if long else _wide)(path, table, threshold)
    image, code, names = _in_order(ids[rows], code, names)
    if not len(image):
        raise CurationError(f"{path} has {len(table):,} rows, and 0 attributes are above {threshold}: lower threshold")
    words = pa.DictionaryArray.from_arrays(pa.array(code), pa.array(names))
    return pa.table({"image_id": image, "attribute": words}, schema=ATTRIBUTES)


def _in_order(ids: np.ndarray, code: np.ndarray, names: list[str]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Pairs by image and name, each once, int32 (M,) each; and the names that are in any, in byte order."""
    there = np.flatnonzero(np.bincount(code, minlength=len(names)))
    there = np.array(sorted(there.tolist(), key=lambda i: names[i].encode()), np.int64)
    new = np.full(len(names), -1, np.int64)
    new[there] = np.arange(len(there))
    base = max(1, len(there))
    pairs = ids.astype(np.int64) * base + new[code]
    # Sorting is what takes time, and a stored table is in order; np.unique would take a minute for 10 million pairs.
    if not (pairs[1:] > pairs[:-1]).all():
        pairs = np.sort(pairs)
        pairs = pairs[np.r_[True, pairs[1:] > pairs[:-1]]]
    return (pairs // base).astype(np.int32), (pairs % base).astype(np.int32), [names[i] for i in there]


# -- below: columns --------------------------------------------------------------------------------------------------


def _csv(path: Path) -> pa.Table:
    """A CSV whose texts stay texts: an image may be called 007, an attribute NA."""
    delimiter = "," if path.suffix.lower() == ".csv" else "\t"
    try:
        with open(path, encoding="utf-8-sig", newline="") as lines:
            header = next(csv.reader(lines, delimiter=delimiter), [])
        texts = ["path", *(["attribute"] if len(header) <= len(_IMAGE) + len(_LONG) else [])]
        return arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(use_threads=False),  # errors then know their row
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(texts, pa.string())),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError, OSError, csv.Error) as error:
        raise CurationError(f"{path} cannot be read as a table: {error}") from None


def _by_path(path: Path, column: pa.ChunkedArray, images: pa.Table) -> np.ndarray:
    """The image of every row by path, int64 (R,)."""
    known = images["path"].combine_chunks()
    found = pc.index_in(column.cast(pa.string()), value_set=known)
    _all_known(path, column, found.is_valid().to_numpy(), known[0].as_py() if len(known) else "")
    rows = found.to_numpy()
    twice = pc.value_counts(known)
    twice = twice.filter(pc.greater(twice.field("counts"), 1)).field("values")
    odd = np.flatnonzero(pc.is_in(column.cast(pa.string()), value_set=twice).to_numpy())
    if len(odd):
        raise CurationError(
            f"{path}, row {odd[0] + 1:,}: several images have the path {column[int(odd[0])].as_py()!r} ({len(odd):,} "
            "such rows): name images by image_id"
        )
    return images["image_id"].to_numpy().astype(np.int64)[rows]


def _by_id(path: Path, column: pa.ChunkedArray, images: pa.Table) -> np.ndarray:
    """The image of every row by number, int64 (R,)."""
    if not pa.types.is_integer(column.type):
        raise CurationError(f"{path}: column 'image_id' holds {column.type}, and must hold whole numbers")
    known = images["image_id"].combine_chunks().cast(pa.int64())
    _all_known(path, column, pc.is_in(column.cast(pa.int64()), value_set=known).to_numpy(), len(known))
    return column.to_numpy().astype(np.int64)


def _all_known(path: Path, column: pa.ChunkedArray, known: np.ndarray, example: object) -> None:
    odd = np.flatnonzero(~known)
    if len(odd):
        images = f"as the images have them, such as {example!r}" if isinstance(example, str) else f"below {example:,}"
        raise CurationError(
            f"{path}, row {odd[0] + 1:,}: no image is called {column[int(odd[0])].as_py()!r}; {len(odd):,} of "
            f"{len(column):,} rows name no image: give them {images}"
        )


def _long(path: Path, table: pa.Table, threshold: float) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Rows and codes of the attributes that a long table says, and their names."""
    other = [c for c in table.column_names if c not in (*_IMAGE, *_LONG)]
    if other:
        raise CurationError(
            f"{path} has a column attribute, and {len(other)} that a long table does not know ({_some(other)}): take "
            "them out"
        )
    kind = table["attribute"].type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)):
        raise CurationError(f"{path}: column 'attribute' holds {kind}, and must hold one name a row")
    words = table["attribute"].cast(pa.string()).fill_null("")
    odd = np.flatnonzero(pc.equal(words, "").to_numpy())
    if len(odd):
        raise CurationError(f"{path}, row {odd[0] + 1:,}: the attribute is empty ({len(odd):,} such rows)")
    said = np.ones(len(table), bool)
    if "score" in table.column_names:
        said = _above(path, table, "score", threshold)
    coded = words.combine_chunks().filter(pa.array(said)).dictionary_encode()
    return np.flatnonzero(said), coded.indices.to_numpy().astype(np.int64), coded.dictionary.to_pylist()


def _wide(path: Path, table: pa.Table, threshold: float) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Rows and codes of the attributes that a wide table says, and their names."""
    names = [c for c in table.column_names if c not in _IMAGE]
    rows = [np.flatnonzero(_above(path, table, name, threshold)) for name in names]
    there = [i for i, found in enumerate(rows) if len(found)]
    codes = np.repeat(np.arange(len(there)), [len(rows[i]) for i in there])
    return np.concatenate([np.empty(0, np.int64), *(rows[i] for i in there)]), codes, [names[i] for i in there]


def _above(path: Path, table: pa.Table, name: str, threshold: float) -> np.ndarray:
    """Where a column of numbers or truth values is above the threshold, bool (R,); not where it is empty."""
    column = table[name]
    if pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.bool_()).fill_null(False).to_numpy()
    if not _is_number(column.type):
        raise CurationError(
            f"{path}: column {name!r} holds {column.type}, and an attribute must be 0, 1 or a score: take the column "
            "out, or give one row for each attribute in columns path and attribute"
        )
    return pc.greater(column.cast(pa.float64()), threshold).fill_null(False).to_numpy()


def _is_number(kind: pa.DataType) -> bool:
    tests: list[Callable[[pa.DataType], bool]] = [pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean]
    return any(test(kind) for test in tests)


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (", …" if len(names) > 5 else "")
