"""Class histograms to match: read from files of several kinds and from stored splits, with classes told by name.

The frequency files are those of concept-frequency studies (repository CVMI-Lab/clip-beyond-tail): a display name, a
tab and a count a line, without a header.
"""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curation.errors import ArgumentError, CurationError
from curation.splits.class_names import resolved
from curation.splits.inputs import HISTOGRAM, Inputs
from curation.splits.result import coded
from curation.workspace import Workspace

ALIGN = {
    "auto": "by name where the file has names",
    "name": "by name, WNID or lemma",
    "position": "by place, in byte order",
}
HEADER = ["class_name", "images"]
MOST_IMAGES = 10**15
_NUMBER = re.compile(r"[0-9]{1,16}")


class Histogram(NamedTuple):
    """Images of each class: `images` int64 (C,), and `names` where they are told, None where only the order is."""

    names: list[str] | None
    images: np.ndarray


def read(path: str | Path) -> Histogram:
    """A class histogram from a file, its kind told by what is in it.

    - `.json`: an object {class: images}, or a list of numbers in the order of labels;
    - `.csv`: a table with the columns class_name and images;
    - any other: lines `name<tab>images`, or one number a line in the order of labels. Empty lines at the end do not
      count.

    Raises:
        CurationError: the file cannot be read, has no classes, a class twice, or what is no number of images; names
            the file and the line or key.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise CurationError(f"{path} does not exist: give a frequency file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CurationError(f"{path} cannot be read as UTF-8 text: {error}") from None
    by_suffix = {".json": _from_json, ".csv": _from_csv}
    entries = by_suffix.get(path.suffix.lower(), _from_lines)(path, text)
    if not entries:
        raise CurationError(f"{path} has 0 classes: a frequency file has one a line")
    seen: dict[str, str] = {}
    for where, name, _ in entries:
        if name is not None and seen.setdefault(name, where) != where:
            raise CurationError(f"{path}, {where}: class {name!r} was there before, in {seen[name]}: keep one")
    names = [name for _, name, _ in entries if name is not None]
    numbers = [_number(path, where, value) for where, _, value in entries]
    return Histogram(names or None, np.array(numbers, np.int64))


def of_split(workspace: Workspace, name: str, split: str = "train") -> Histogram:
    """Images by class of one split of a stored split, for every class of its recipe.

    Raises:
        ArgumentError: there is no such split.
    """
    from curation.splits.recipes import load  # it registers the recipes that read histograms

    _, table, report = load(workspace, name)
    there, codes = coded(table["split"])
    if split not in there:
        raise ArgumentError(f"split {name!r} has no {split!r}: it has {', '.join(there)}")
    mine = codes == there.index(split)
    return Histogram(
        list(report["classes"]), np.bincount(table["label"].to_numpy()[mine], minlength=len(report["classes"]))
    )


def tabled(histogram: Histogram, workspace: Workspace, inputs: Inputs, *, align: str = "auto", what: str) -> pa.Table:
    """A histogram with the workspace's names of classes, schema HISTOGRAM, in byte order.

    Classes are told by name, else by WNID, else by a lemma that only one class of the workspace has, without regard to
    case. Entries that mean no class keep their own name, so that they can be listed.

    Args:
        histogram: from a file or a split.
        workspace: WNIDs and lemmas come from its table of classes, where it has one.
        inputs: with the images, whose classes count.
        align: one of ALIGN.
        what: names the histogram in messages.

    Raises:
        ArgumentError: classes are told by place, and there are more or fewer than the workspace has; or by name, and
            the file has no names.
    """
    ours = inputs.classes()
    if align == "name" and histogram.names is None:
        raise ArgumentError(f"{what} has {len(histogram.images):,} numbers and 0 names: set align=position")
    if align == "position" or histogram.names is None:
        if len(histogram.images) != len(ours):
            raise ArgumentError(
                f"{what} has {len(histogram.images):,} numbers, and the workspace has {len(ours):,} classes: equal "
                "numbers can be told by place; give a file with names"
            )
        return pa.table({"class_name": ours, "images": histogram.images}, schema=HISTOGRAM)
    names = resolved(histogram.names, ours, workspace)
    order = sorted(range(len(names)), key=lambda i: names[i].encode())
    columns = {"class_name": [names[i] for i in order], "images": histogram.images[order]}
    return pa.table(columns, schema=HISTOGRAM)


# -- below: files ------------------------------------------------------------------------------------------------------

_Entry = tuple[str, str | None, Any]  # where it stands, the class, and what should be a number


def _from_json(path: Path, text: str) -> list[_Entry]:
    def pairs(found: list[tuple[str, Any]]) -> list[_Entry]:
        return [(f"entry {i} (key {key!r})", key, value) for i, (key, value) in enumerate(found, 1)]

    try:
        content = json.loads(text, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise CurationError(f"{path}{line}: not a JSON file ({error})") from None
    if not isinstance(content, list):
        raise CurationError(
            f"{path} holds a {type(content).__name__}: it must be {{class: images}} or a list of numbers"
        )
    # An object has become a list of entries, whose first is a tuple; numbers stand in a list as they are.
    return content if content and isinstance(content[0], tuple) else [
        (f"entry {i}", None, value) for i, value in enumerate(content, 1)
    ]  # fmt: skip


def _from_csv(path: Path, text: str) -> list[_Entry]:
    rows = csv.reader(io.StringIO(text, newline=""))
    try:
        return _rows(path, rows)
    except csv.Error as error:
        raise CurationError(f"{path}, line {rows.line_num}: {error}") from None


def _rows(path: Path, rows: Any) -> list[_Entry]:
    header = next(rows, [])
    missing = [column for column in HEADER if column not in header]
    if missing:
        raise CurationError(f"{path}, line 1: the header is {header}, and lacks {missing[0]!r}")
    name, images = (header.index(column) for column in HEADER)
    found: list[_Entry] = []
    for row in rows:
        if row and len(row) != len(header):
            raise CurationError(f"{path}, line {rows.line_num}: {len(row)} columns, and the header has {len(header)}")
        if row:
            found.append((f"line {rows.line_num}", row[name], row[images]))
    return found


def _from_lines(path: Path, text: str) -> list[_Entry]:
    text = text.replace("\r\n", "\n").rstrip("\n")
    lines = text.split("\n") if text else []
    found: list[_Entry] = []
    for number, line in enumerate(lines, 1):
        name, tab, images = line.rpartition("\t")
        if bool(tab) != ("\t" in lines[0]):
            raise CurationError(
                f"{path}, line {number}: {line[:60]!r} is not like line 1: all lines have names, or none"
            )
        found.append((f"line {number}", name if tab else None, images))
    return found


def _number(path: Path, where: str, value: Any) -> int:
    text = value.strip() if isinstance(value, str) else str(value) if type(value) is int else ""
    if not _NUMBER.fullmatch(text) or int(text) > MOST_IMAGES:
        raise CurationError(f"{path}, {where}: {str(value)[:60]!r} is no number of images from 0 to {MOST_IMAGES:,}")
    return int(text)
