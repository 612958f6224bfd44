"""The annotation file of ImageNet-GLT: one JSON object of maps from path to label, frequency and attribute.

Keys in order: cat2id, id2cat, then train, val, test_lt, test_bl, test_bbl, each {"label": {path: "id"}, "frequency":
{path: 0|1|2}, "attribute": {path: n}}. Written as Python's json.dump does by default, so that files of the original
(KaihuaTang/Generalized-Long-Tailed-Benchmarks.pytorch) and ours are equal byte for byte. Where more is known, each
split also has "cluster": {path: n}, and "meta" follows the splits; the original's loader ignores both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring_ascii as quote
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats.annotations import AnnotationSet, Options, annotation_table, names_of

SPLITS = ("train", "val", "test_lt", "test_bl", "test_bbl")
_MAPS = ("label", "frequency", "attribute")


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write `<stem>.json`. With `meta` in the set also the cluster maps and "meta"; without it, exactly the original.

    Raises:
        ArgumentError: the set has a split that this format has no key for, or a path twice in a split.
    """
    other = [name for name in annotations.splits if name not in SPLITS and len(annotations.of(name))]
    if other:
        raise ArgumentError(
            f"GLT JSON holds the splits {', '.join(SPLITS)}, and not {other[0]!r}: choose csv or parquet"
        )
    label_of: dict[str, int] = {}
    for label, name in enumerate(annotations.classes):
        if label_of.setdefault(name, label) != label:
            raise ArgumentError(
                f"labels {label_of[name]} and {label} share the class name {name!r}: GLT JSON tells classes by it"
            )
    path = folder / f"{stem}.json"
    maps = (*_MAPS, "cluster") if annotations.meta else _MAPS
    with files.replacing(path) as part, open(part, "w", encoding="ascii", newline="\n") as file:
        ids = [str(i) for i in range(len(annotations.classes))]
        file.write(f'{{"cat2id": {json.dumps(dict(zip(annotations.classes, ids, strict=True)))}, ')
        file.write(f'"id2cat": {json.dumps(dict(zip(ids, annotations.classes, strict=True)))}')
        for split in SPLITS:
            file.write(f', "{split}": {{')
            _write_split(file, annotations.of(split), maps, split)
            file.write("}")
        if annotations.meta:
            file.write(f', "meta": {json.dumps(annotations.meta)}')
        file.write("}")
    return [path]


def unheld(annotations: AnnotationSet) -> dict[str, int]:
    """Rows that lose their cluster, which is only told together with `meta`; splits that it has no key for."""
    clusters = annotations.table["cluster"]
    known = 0 if annotations.meta else len(clusters) - clusters.null_count
    return {"cluster": known, "splits": len(set(annotations.splits) - set(SPLITS))}


def read(path: Path) -> AnnotationSet:
    """Read a GLT JSON file, labels as text or as numbers.

    Raises:
        CurationError: not such a file; names the key.
    """
    document = files.read_json(path, once=True)
    if not isinstance(document, dict):
        raise CurationError(f"{path} holds a {type(document).__name__}, and a GLT JSON file holds an object")
    ids = _checked(document, "cat2id", path, _is_label)
    classes: list[str | None] = [None] * len(ids)
    for name, label in ids.items():
        if int(label) >= len(ids) or classes[int(label)] is not None:
            raise CurationError(
                f"{path}, key cat2id[{name!r}]: id {label} of {len(ids)} classes is there twice or too high"
            )
        classes[int(label)] = name
    columns: dict[str, list] = {name: [] for name in ("path", "label", "frequency", "attribute", "cluster", "split")}
    for split in SPLITS:
        _read_split(document, split, path, len(ids), columns)
    paths = pa.array(columns["path"], pa.string())
    codes = np.repeat(np.arange(len(SPLITS), dtype=np.int32), columns.pop("split"))
    table = annotation_table(
        columns
        | {"path": paths}
        | {"class_name": names_of(columns["label"], classes), "split": names_of(codes, SPLITS)}
    )
    return AnnotationSet(table, tuple(classes), SPLITS, document.get("meta") or {})


def _write_split(file: TextIO, rows: pa.Table, maps: Iterable[str], split: str) -> None:
    paths = rows["path"].to_pylist()
    if len(set(paths)) < len(paths):
        raise ArgumentError(
            f"split {split!r} has {len(paths):,} images and only {len(set(paths)):,} different paths: "
            "a GLT JSON file tells images apart by path"
        )
    keys = [quote(p) for p in paths]
    for name in maps:
        values = rows[name].to_pylist()
        texts = [f'"{v}"' for v in values] if name == "label" else ["null" if v is None else str(v) for v in values]
        file.write(f'{", " if name != "label" else ""}"{name}": {{')
        for start in range(0, len(keys), 65_536):
            pairs = zip(keys[start : start + 65_536], texts[start : start + 65_536], strict=True)
            file.write((", " if start else "") + ", ".join([f"{k}: {v}" for k, v in pairs]))
        file.write("}")


def _checked(holder: dict, key: str, path: Path, good: Callable[[Any], bool], where: str = "") -> dict[str, Any]:
    found = holder.get(key)
    if not isinstance(found, dict):
        problem = "missing" if key not in holder else f"a {type(found).__name__}"
        raise CurationError(f"{path}: key {where}{key} is {problem}, and must be an object")
    bad = next((k for k, v in found.items() if not good(v)), None)
    if bad is not None:
        raise CurationError(f"{path}: key {where}{key}[{bad!r}] is {found[bad]!r:.80}, which cannot be")
    return found


def _is_label(value: Any) -> bool:
    return isinstance(value, str | int) and re.fullmatch("[0-9]{1,9}", str(value)) is not None


def _small(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 32_768


def _read_split(document: dict, split: str, path: Path, classes: int, columns: dict[str, list]) -> None:
    if not isinstance(document.get(split), dict):
        raise CurationError(f"{path}: key {split} is missing or no object")
    part, where = document[split], f"{split}."
    labels = _checked(part, "label", path, _is_label, where)
    high = next((k for k, v in labels.items() if int(v) >= classes), None)
    if high is not None:
        raise CurationError(f"{path}: key {split}.label[{high!r}] is {labels[high]}, and there are {classes} classes")
    columns["path"] += labels
    columns["label"] += [int(v) for v in labels.values()]
    columns["split"].append(len(labels))
    for name in ("frequency", "attribute", "cluster"):
        if name == "cluster" and name not in part:
            columns[name] += [None] * len(labels)
            continue
        found = _checked(part, name, path, lambda v: v is None or _small(v), where)
        missing = next((k for k in labels if k not in found), None)
        if missing is not None:
            raise CurationError(f"{path}: key {split}.{name} has no entry for {missing!r}")
        columns[name] += [found[k] for k in labels]
