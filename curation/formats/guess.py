"""Which format a file or folder is of, from its name and its beginning."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import ArgumentError
from curation.formats import imagenet_lt_text

_HEAD = 1 << 20  # characters of a JSON file that are looked at
# Keys that only one format's files have, as they stand near the beginning.
_KEYS = {
    "glt-json": r'"cat2id"\s*:\s*\{',
    "imagenetv2-json": r'"image_filenames"\s*:\s*\[',
    "croissant": r'"@context"\s*:',
    "inat-json": r'"(annotations|categories)"\s*:\s*\[|"images"\s*:\s*\[\s*\{',
}
_MINI_LT = ["img", "label"]
_OWN = {"dataset.json": "webdataset", "labels.json": "fiftyone", "README.md": "hf", "index.csv": "folder"}
_IN_FOLDERS = {
    "folder": ("index.csv",),
    "webdataset": ("*.tar",),
    "subset-npz": ("*_cls.npz", "*_cls_part*.npz"),
    "hf": ("data/*.parquet",),
    "fiftyone": ("labels.json", "*/labels.json"),
}


def guess(path: Path) -> str:
    """The name of the format that a file or folder is of.

    Raises:
        ArgumentError: there is no such file, or it may be of several formats or of none.
    """
    path = Path(path)
    if not path.exists():
        raise ArgumentError(f"there is no file or folder {path}")
    found = _of_folder(path) if path.is_dir() else _of_file(path)
    if len(found) == 1:
        return found[0]
    may = f"may be of the formats {', '.join(found)}" if found else "is of no format that could be told"
    raise ArgumentError(f"{path} {may}: say which with --from")


def _of_folder(path: Path) -> list[str]:
    found = [name for name, patterns in _IN_FOLDERS.items() if any(_any(path, pattern) for pattern in patterns)]
    if (path / "train.csv").is_file() and _header(path / "train.csv") == _MINI_LT:
        found.append("mini-lt-csv")
    lists = [p for p in path.glob("*.txt") if p.stem.endswith("_classes") or imagenet_lt_text.LISTS.fullmatch(p.stem)]
    found += ["imagenet-lt-txt"] if lists and not found else []
    return found + (["folder"] if not set(found) - {"imagenet-lt-txt"} and _any(path, "*/*/*") else [])


def _any(path: Path, pattern: str) -> bool:
    return next(path.glob(pattern), None) is not None


def _of_file(path: Path) -> list[str]:
    suffix = path.suffix.lower()
    if path.name in _OWN and (suffix != ".csv" or "file" in _header(path)):
        return [_OWN[path.name]]
    if suffix == ".csv":
        return _of_csv(_header(path))
    if suffix == ".parquet":
        return _of_parquet(path)
    if suffix in (".json", ".jsonld"):
        with open(path, encoding="utf-8", errors="replace") as file:
            head = file.read(_HEAD)
        return [name for name, key in _KEYS.items() if re.search(key, head)]
    return {".tar": ["webdataset"], ".npz": ["subset-npz"], ".txt": ["imagenet-lt-txt"]}.get(suffix, [])


def _header(path: Path) -> list[str]:
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        try:
            return next(csv.reader(file), [])
        except csv.Error:
            return []


def _of_csv(header: list[str]) -> list[str]:
    if header == _MINI_LT:
        return ["mini-lt-csv"]
    return ["csv"] if "path" in header and {"label", "class_name"} & set(header) else []


def _of_parquet(path: Path) -> list[str]:
    try:
        names = {field.name: field.type for field in pq.read_schema(path)}
    except (pa.ArrowInvalid, OSError):
        return []
    if "image" in names and pa.types.is_struct(names["image"]):
        return ["hf"]
    return ["parquet"] if "path" in names and {"label", "class_name"} & set(names) else []
