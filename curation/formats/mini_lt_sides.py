"""What lies beside the lists of mini-ImageNet-LT (see mini_lt_csv): counts, class names, our table of labels."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation import files
from curation.errors import CurationError
from curation.formats.annotations import ABOUT, AnnotationSet, known_of, wnids_of
from curation.formats.csv_dialect import MAX_LABEL, decoded
from curation.formats.subset_csv import escaped, plain

COUNTS, NAMES, LABELS = "cls_label.json", "classname.txt", "labels.csv"
HEADER = ("label", "WNID", "name", "count")
_INDENTS: tuple[int | str | None, ...] = (None, 0, 1, 2, 4, "\t")
_SEPARATORS = (None, (",", ":"))
_ENDS = ("", "\n", "\r\n")


class Known:
    """What `meta` tells of the files that a set was read from, as far as it makes sense."""

    def __init__(self, meta: Any) -> None:
        known = meta if isinstance(meta, dict) else {}
        found = known.get("files")
        self.files: dict[str, dict[str, Any]] = {}
        if isinstance(found, dict):
            self.files = {name: entry for name, entry in found.items() if isinstance(entry, dict)}
        self.texts = any("text" in entry for entry in self.files.values())

    def text(self, name: str, digests: Sequence[str | None]) -> str | None:
        """The text of a file as it was read, if what it was made from still has these digests."""
        entry = self.files.get(name, {})
        text = entry.get("text")
        return text if isinstance(text, str) and entry.get("digest") == joined(digests) else None


@dataclass
class Sides:
    """The side files that were there: their texts, number of classes, their names where a file has them."""

    texts: dict[str, str]
    count: int
    layout: dict[str, Any] | None = None  # of cls_label.json; None: only its text will do
    classes: list[str] = field(default_factory=list)
    wnids: list[str | None] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # by WNID

    def entries(self, train: str, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What `meta` keeps of them; `train` is the digest of the training rows."""
        basis = {COUNTS: [train], NAMES: [_digest(classes)], LABELS: [train, _digest(classes)]}
        kept = {name: {"text": text, "digest": joined(basis[name])} for name, text in self.texts.items()}
        return kept | ({COUNTS: self.layout} if self.layout is not None else {})

    def about(self, classes: Sequence[str]) -> pa.Table | None:
        """A table ABOUT of the classes, where something is known of one."""
        wnids = self.wnids or wnids_of(classes, None)
        if not any(wnids):
            return None
        columns = {"class_name": classes, "wnid": wnids, "human_label": [self.names.get(w or "") for w in wnids]}
        return pa.table(columns, pa.schema([ABOUT.field(name) for name in columns]))


def joined(digests: Sequence[str | None]) -> str:
    """Several digests as one text."""
    return " ".join(digest or "-" for digest in digests)


def write(
    folder: Path, known: Known, annotations: AnnotationSet, labels: np.ndarray, train: str | None, told: bool
) -> list[str]:
    """Write the side files and return their names.

    Args:
        folder: where to.
        known: what is known of the files that the set was read from.
        annotations: the set.
        labels: of its real training pictures, (N,).
        train: digest of the training rows.
        told: the names of pictures tell what class every label is.
    """
    counts = np.bincount(labels, minlength=len(annotations.classes)).tolist()
    classes = _digest(annotations.classes)
    fresh = not known.files
    texts: dict[str, str | None] = {}
    if fresh or COUNTS in known.files:
        texts[COUNTS] = known.text(COUNTS, [train]) or _counts_text(counts, known.files.get(COUNTS, {}))
    if fresh or NAMES in known.files:
        texts[NAMES] = known.text(NAMES, [classes]) or _names_text(annotations)
    if fresh or LABELS in known.files or not told:
        texts[LABELS] = known.text(LABELS, [train, classes]) or _labels_text(annotations, counts)
    there = {name: text for name, text in texts.items() if text is not None}
    for name, text in there.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return list(there)


def read(folder: Path, train: np.ndarray, labels: np.ndarray) -> Sides:
    """Read the side files that are there; `train` are the labels of training rows, `labels` those of all rows.

    Raises:
        CurationError: one is damaged; names the line or key.
    """
    texts = {name: decoded(folder / name) for name in (COUNTS, NAMES, LABELS) if (folder / name).is_file()}
    found = Sides(texts, int(labels.max(initial=-1)) + 1)
    if COUNTS in texts:
        counts = _counts(folder / COUNTS, texts[COUNTS])
        found.count = max(found.count, 1 + max(map(int, counts), default=-1))
        found.layout = _layout(texts[COUNTS], np.bincount(train, minlength=found.count).tolist())
    if NAMES in texts:
        found.names = _names(folder / NAMES, texts[NAMES])
    if LABELS in texts:
        rows = list(_label_rows(folder / LABELS, texts[LABELS]))
        if len(rows) < found.count:
            raise CurationError(
                f"{folder / LABELS} has {len(rows)} labels, and label {found.count - 1} is in the lists"
            )
        found.wnids, found.classes = [row[1] or None for row in rows], [row[2] for row in rows]
    return found


# -- below: the three files --------------------------------------------------------------------------------------------


def _counts(path: Path, text: str) -> dict[str, int]:
    counts = _object(path, text)
    for key, count in counts.items():
        if not re.fullmatch("[0-9]{1,9}", key) or int(key) > MAX_LABEL:
            raise CurationError(f"{path}, key {key!r}: no label from 0 to {MAX_LABEL:,}")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise CurationError(f"{path}, key {key!r}: {count!r} is no number of pictures")
    return counts


def _layout(text: str, counts: Sequence[int]) -> dict[str, Any] | None:
    """The layout that gives this text for these counts; None when no layout does."""
    layouts = ({"indent": i, "separators": s, "end": e} for i in _INDENTS for s in _SEPARATORS for e in _ENDS)
    return next((layout for layout in layouts if _counts_text(counts, layout) == text), None)


def _counts_text(counts: Sequence[int], layout: dict[str, Any]) -> str:
    indent, separators, end = (layout.get(key) for key in ("indent", "separators", "end"))
    by_label = {str(label): count for label, count in enumerate(counts)}
    separators = tuple(separators) if separators and tuple(separators) in _SEPARATORS else None
    text = json.dumps(by_label, indent=indent if indent in _INDENTS else None, separators=separators)
    return text + (end if end in _ENDS else "")


def _names(path: Path, text: str) -> dict[str, str]:
    names = {}
    for key, value in _object(path, text).items():
        if not isinstance(value, list) or len(value) != 2 or not all(isinstance(part, str) for part in value):
            raise CurationError(f"{path}, key {key!r}: {value!r} is not [WNID, name]")
        names[value[0]] = value[1]
    return names


def _names_text(annotations: AnnotationSet) -> str | None:
    """WNIDs in byte order with their names, as Keras lays them out; None when not all are known."""
    wnids = wnids_of(annotations.classes, annotations.about)
    labels, lemmas = (known_of(annotations.classes, annotations.about, name) for name in ("human_label", "lemmas"))
    firsts = [lemma.partition(",")[0].strip().replace(" ", "_") if lemma else None for lemma in lemmas]
    pairs = sorted((w, label or first) for w, label, first in zip(wnids, labels, firsts, strict=True) if w)
    if not pairs or len(pairs) < len(annotations.classes) or not all(name for _, name in pairs):
        return None
    lines = (f'"{place}": {json.dumps(pair, ensure_ascii=False)}' for place, pair in enumerate(pairs))
    return "{" + ",\n".join(lines) + "}"


def _label_rows(path: Path, text: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    try:
        if tuple(next(reader, ())) != HEADER:
            raise CurationError(f"{path}, line 1: the header should be {','.join(HEADER)}")
        for place, row in enumerate(row for row in reader if row):
            if len(row) != len(HEADER) or row[0] != str(place):
                raise CurationError(f"{path}, line {reader.line_num}: {row}: the cells of label {place} should be here")
            yield [plain(cell) for cell in row]
    except csv.Error as error:
        raise CurationError(f"{path}, line {reader.line_num}: not CSV: {error}") from None


def _labels_text(annotations: AnnotationSet, counts: Sequence[int]) -> str:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink)
    writer.writerow(HEADER)
    rows = zip(annotations.classes, wnids_of(annotations.classes, annotations.about), counts, strict=True)
    writer.writerows((label, wnid, escaped(name), count) for label, (name, wnid, count) in enumerate(rows))
    return sink.getvalue()


def _object(path: Path, text: str) -> dict[str, Any]:
    value = files.parse_json(text, path)
    if not isinstance(value, dict):
        raise CurationError(f"{path} holds a JSON {type(value).__name__}, not an object")
    return value


def _digest(classes: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(classes)).encode()).hexdigest()
