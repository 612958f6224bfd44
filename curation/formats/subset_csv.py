"""The metadata CSV of baunilhamarga/imagenet-subset, one row a class in the order of labels, and where it comes from.

Three headers are known: the seven columns that its code writes since commit c47fb23, the four that it wrote before,
and four that only its README ever showed. `meta_clsloc.csv`, of the ILSVRC2015 development kit, describes all 1,000
classes; its numbers 1 to 1000 (`original_label`) are not the order of the WNIDs.

A text that a spreadsheet would take for a formula gets an apostrophe in front when written, and loses it when read.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation import files
from curation.errors import CurationError
from curation.formats.annotations import ABOUT, WNID, known_of, wnids_of

__all__ = ["COUNTED", "HEADER", "KNOWN_HEADERS", "WNID", "escaped", "plain", "read", "read_meta_clsloc", "write"]

HEADER = ("subset_label", "original_label", "WNID", "name", "description", "num_train_images", "human_label")
KNOWN_HEADERS = (
    HEADER,
    ("subset_label", "original_label", "WNID", "human_label"),
    ("subset_label", "original_id", "WNID", "human_label"),
)
CLSLOC_HEADER = ("ILSVRC2015_CLSLOC_ID", "WNID", "name", "description", "num_train_images", "human_label")
COUNTED = pa.schema([*ABOUT, pa.field("num_train_images", pa.int32())])
"""Schema of what the readers give: ABOUT, and how many training pictures each class has."""

_OURS = {
    "original_label": "original_label",
    "original_id": "original_label",
    "ILSVRC2015_CLSLOC_ID": "original_label",
    "WNID": "wnid",
    "name": "lemmas",
    "description": "definition",
    "num_train_images": "num_train_images",
    "human_label": "human_label",
}
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def write(path: Path, classes: Sequence[str], about: pa.Table | None, counts: np.ndarray) -> None:
    """Write the seven columns; what is not known of a class stays empty.

    Args:
        path: the file.
        classes: class names by label; one stands in for a WNID if it looks like one, else for a name, where `about`
            has none.
        about: table ABOUT, one row a label, which may lack columns; or None.
        counts: training pictures of every label, int, (C,).
    """
    known = {name: known_of(classes, about, name) for name in ABOUT.names}
    wnids = wnids_of(classes, about)
    names = [n or (c if c != w else None) for n, c, w in zip(known["lemmas"], classes, wnids, strict=True)]
    cells = (range(len(classes)), known["original_label"], wnids, names, known["definition"], counts.tolist())
    with files.replacing(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(map(escaped, row) for row in zip(*cells, known["human_label"], strict=True))


def read(path: Path) -> pa.Table:
    """Read any of the known headers as a table COUNTED, one row a label.

    A class is called by its WNID, or by its name or human label where it has none, or by its label.

    Raises:
        CurationError: no such file; names the line.
    """
    header, rows = _rows(path, KNOWN_HEADERS)
    for place, (line, row) in enumerate(rows):
        if row["subset_label"] != str(place):
            raise CurationError(
                f"{path}, line {line}: the label is {row['subset_label']!r}, and rows count 0, 1, 2, …: "
                f"it should be {place}"
            )
    return _table(path, header, rows)


def read_meta_clsloc(path: Path) -> pa.Table:
    """Read `meta_clsloc.csv` as a table COUNTED in the order of the file; `original_label` is the CLS-LOC id.

    Raises:
        CurationError: no such file; names the line.
    """
    return _table(path, *_rows(path, (CLSLOC_HEADER,)))


# -- below: reading rows -----------------------------------------------------------------------------------------------


def _rows(path: Path, headers: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], list[tuple[int, dict[str, str]]]]:
    """The header, and (line, cells by column) of every row."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = tuple(_first(path, reader))
            if header not in headers:
                raise CurationError(
                    f"{path}, line 1: the header is {','.join(header)!r}; known: {'; '.join(map(','.join, headers))}"
                )
            return header, list(_cells(path, reader, header))
    except FileNotFoundError:
        raise CurationError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        raise CurationError(f"{path} is not UTF-8 text: {error}") from None


def _first(path: Path, reader: Any) -> list[str]:
    try:
        return next(reader, [])
    except csv.Error as error:
        raise CurationError(f"{path}, line 1: not CSV: {error}") from None


def _cells(path: Path, reader: Any, header: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        for row in reader:
            if row and len(row) != len(header):
                raise CurationError(f"{path}, line {reader.line_num}: {len(row)} cells, and {len(header)} columns")
            if row:
                yield reader.line_num, dict(zip(header, map(plain, row), strict=True))
    except csv.Error as error:
        raise CurationError(f"{path}, line {reader.line_num}: not CSV: {error}") from None


def _table(path: Path, header: Sequence[str], rows: list[tuple[int, dict[str, str]]]) -> pa.Table:
    lines: dict[str, int] = {}
    for line, row in rows:
        if row["WNID"] and lines.setdefault(row["WNID"], line) != line:
            raise CurationError(f"{path}, line {line}: class {row['WNID']} is in line {lines[row['WNID']]} already")
    columns: dict[str, list[Any]] = {name: [None] * len(rows) for name in COUNTED.names}
    for name in header:
        if name in _OURS:
            number = pa.types.is_integer(COUNTED.field(_OURS[name]).type)
            columns[_OURS[name]] = [
                _number(path, line, name, r[name]) if number else r[name] or None for line, r in rows
            ]
    found = [columns["wnid"], columns["lemmas"], columns["human_label"]]
    names = [next(filter(None, known), str(label)) for label, known in enumerate(zip(*found, strict=True))]
    often = Counter(names)  # human labels are not unique: ILSVRC has two cranes and two maillots
    columns["class_name"] = [name if often[name] == 1 else str(label) for label, name in enumerate(names)]
    return pa.table(columns, COUNTED)


def _number(path: Path, line: int, column: str, cell: str) -> int | None:
    if not cell:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", cell):
        raise CurationError(f"{path}, line {line}: {column} is {cell!r}, no whole number")
    return int(cell)


def escaped(cell: Any) -> Any:
    """A cell, behind an apostrophe where a spreadsheet would take it for a formula."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def plain(cell: str) -> str:
    """A cell as it was before `escaped`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
