"""WebDataset: tar files in which the members of one sample share a name, read by webdataset, and by many others.

A folder of `<split>-000000.tar`, `<split>-000001.tar` and so on. A sample has its picture under its own suffix, its
label as text (`cls`), and the rest of its row (`json`); `dataset.json` beside them names splits, shards and classes.
(webdataset/webdataset; a sample's name ends at its first dot, so that names hold none.)

    webdataset.WebDataset(shards, shardshuffle=False).decode("pil").to_tuple("jpg;jpeg;png;webp", "cls")

Shards are read where they lie; nothing is ever unpacked.
"""

from __future__ import annotations

import itertools
import json
import re
import tarfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from curation import files
from curation.errors import CurationError
from curation.formats import containers
from curation.formats.annotations import ANNOTATIONS, EXTRAS, AnnotationSet, Options

INDEX = "dataset.json"
HOLDS = containers.HOLDS
_KINDS = tuple(kind for kind in (*ANNOTATIONS, *EXTRAS) if kind.name != "split")
_WORDS = 1 << 20  # bytes that a label or a row may have


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write the folder `<stem>/` of shards and return its `dataset.json`; the same set gives the same bytes.

    Pictures that are gone are left out and listed in `missing.txt`.

    Raises:
        ArgumentError: nothing says where the pictures are, or a split or path that cannot be.
        CurationError: the folder is there already, a picture cannot be read, or the disk is full.
    """
    containers.check(annotations, options)
    lost: list[str] = []
    with files.replacing_folder(folder / stem) as part:
        shards = {split: _write_split(annotations, split, part, options, lost) for split in annotations.splits}
        splits = {name: {"images": sum(found.values()), "shards": found} for name, found in shards.items()}
        files.write_json(part / INDEX, {"format": "webdataset", "splits": splits, **containers.known(annotations)})
        containers.check_any(lost, len(annotations.table))
        containers.write_missing(part, lost)
    return [folder / stem / INDEX]


def read(path: Path) -> AnnotationSet:
    """Read a folder of shards, through its `dataset.json` where it has one, or one shard.

    Shards of others need a picture in every sample, and a label in `cls` (a number or the class) or in `json`.

    Raises:
        CurationError: a shard is missing, damaged or a packed one, a sample lacks a part, or a path leads out; names
            the shard and the member.
    """
    path = Path(path)
    known: dict[str, Any] | None = None
    if path.name == INDEX or (path / INDEX).is_file():
        path = path.parent if path.name == INDEX else path
        known = _index(path / INDEX)
        shards = [(split, path / name, n) for split, e in known["splits"].items() for name, n in e["shards"].items()]
        splits = list(known["splits"])
    else:
        found = [path] if path.is_file() else sorted(path.rglob("*.tar"))
        if not found:
            raise CurationError(f"{path} holds no .tar files" if path.is_dir() else f"{path} does not exist")
        root = path if path.is_dir() else path.parent
        shards = [(containers.split_of(shard, root), shard, None) for shard in found]
        splits = list(dict.fromkeys(split for split, _, _ in shards))
    rows, where = _read(shards, path if path.is_dir() else path.parent)
    return containers.assemble(rows, where=str(path), splits=splits, pictures=where, known=known)


# -- below: writing ---------------------------------------------------------------------------------------------------


def _write_split(
    annotations: AnnotationSet, split: str, folder: Path, options: Options, lost: list[str]
) -> dict[str, int]:
    """Write the shards of a split; gives the samples in each."""
    from webdataset.writer import TarWriter

    samples = _samples(annotations, split, options, lost)
    written: dict[str, int] = {}
    while (first := next(samples, None)) is not None:
        name = f"{split}-{len(written):06d}.tar"
        # A time that is no whole number would cost every member a header more.
        with (
            open(folder / name, "wb") as file,
            TarWriter(file, user="", group="", mode=0o644, mtime=0, encoder=False) as tar,
        ):
            shard = itertools.chain([first], itertools.islice(samples, options.shard_images - 1))
            written[name] = sum(bool(tar.write(sample)) for sample in shard)
    return written


def _samples(annotations: AnnotationSet, split: str, options: Options, lost: list[str]) -> Iterator[dict[str, Any]]:
    for row, record, data in containers.held(annotations, containers.rows_of(annotations, split), options, lost):
        path = record["path"]
        readable = re.sub(r"[^A-Za-z0-9]+", "-", PurePosixPath(path).stem).strip("-")[:40]
        facts = {name: value for name, value in record.items() if value is not None}
        yield {
            "__key__": f"{row:08d}-{readable}".rstrip("-"),
            containers.suffix(path, data): data,
            "cls": str(record["label"]).encode(),
            "json": json.dumps(facts, ensure_ascii=False).encode(),
        }


# -- below: reading ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Places:
    """Where the picture of every row lies: `shards[shard[row]]`, from byte `start[row]` on, `size[row]` bytes long."""

    shards: list[Path]
    shard: np.ndarray  # (N,) int32
    start: np.ndarray  # (N,) int64
    size: np.ndarray  # (N,) int64

    def __call__(self, row: int) -> bytes:
        shard = self.shards[self.shard[row]]
        try:
            with open(shard, "rb") as file:
                file.seek(int(self.start[row]))
                data = file.read(int(self.size[row]))
        except OSError as error:
            raise CurationError(f"{shard} cannot be read: {error.strerror or error}") from error
        if len(data) < self.size[row]:
            raise CurationError(f"{shard} ends within a picture: it has changed since it was read")
        return data


def _index(path: Path) -> dict[str, Any]:
    document = containers.check_known(files.read_json(path), str(path))
    splits = document.get("splits")
    if not isinstance(splits, dict):
        raise CurationError(f"{path}: key 'splits' is missing or not an object")
    for split, entry in splits.items():
        shards = entry.get("shards") if isinstance(entry, dict) else None
        if not isinstance(shards, dict):
            raise CurationError(f"{path}: key splits.{split}.shards is missing or not an object")
        for name, count in shards.items():
            if not files.NAME.fullmatch(name.removesuffix(".tar")) or not isinstance(count, int):
                raise CurationError(f"{path}: key splits.{split}.shards[{name!r}] is no shard beside it")
    return document


def _read(shards: list[tuple[str, Path, int | None]], root: Path) -> tuple[containers.Rows, _Places]:
    rows = containers.Rows([], [], [], [], {kind.name: [] for kind in containers.FACTS})
    shard, start, size = array("i"), array("q"), array("q")
    for number, (split, path, expected) in enumerate(shards):
        before = len(rows.path)
        for key, parts in _grouped(path):
            name, at, length = _picture(path, key, parts)
            record = _record(path, key, parts)
            rows.path.append(record.get("path") or (path.relative_to(root).with_suffix("") / name).as_posix())
            rows.label.append(record.get("label"))
            rows.class_name.append(record.get("class_name"))
            rows.split.append(split)
            for fact, values in rows.facts.items():
                values.append(record.get(fact))
            shard.append(number)
            start.append(at)
            size.append(length)
        if expected is not None and len(rows.path) - before != expected:
            found = len(rows.path) - before
            raise CurationError(f"{path} holds {found:,} samples, and {INDEX} says {expected:,}: copy it again")
    places = _Places([path for _, path, _ in shards], *(np.array(column) for column in (shard, start, size)))
    return rows, places


def _grouped(path: Path) -> Iterator[tuple[str, dict[str, tuple[str, int, int, bytes]]]]:
    """(Name, parts) of every sample of a shard: by suffix the member, its place, size and, of small ones, content."""
    key, parts, seen = "", {}, set()
    for member, content in _members(path):
        folder, _, last = member.name.rpartition("/")
        base, _, kind = last.partition(".")
        name = f"{folder}/{base}" if folder else base
        if not base or not kind or last.startswith("__"):
            continue
        if name != key and parts:
            yield key, parts
            seen.add(key)
            parts = {}
        key, kind = name, kind.lower()
        if key in seen:
            raise CurationError(f"{path}, member {member.name!r}: its sample came earlier, and other samples between")
        if kind in parts:
            raise CurationError(f"{path}, member {member.name!r}: its sample has a {kind} already")
        parts[kind] = (member.name, member.offset_data, member.size, content)
    if parts:
        yield key, parts


def _members(path: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """The plain files of a tar and the content of labels and rows; links, devices and the like do not count."""
    length = path.stat().st_size if path.is_file() else 0
    last = -1
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # which would grow with the shard
                # A size below 0 sends the library back to a member it has read (CVE-2025-8194).
                if member.size < 0 or member.offset <= last or member.offset_data + member.size > length:
                    raise CurationError(f"{path}, member {member.name!r}: it is cut off, or its size is wrong")
                last = member.offset
                if not member.isreg() or member.issparse():
                    continue
                words = member.name.endswith((".cls", ".json"))
                if words and member.size > _WORDS:
                    raise CurationError(f"{path}, member {member.name!r}: {member.size:,} bytes, {_WORDS:,} at most")
                yield member, tar.extractfile(member).read() if words else b""
    except FileNotFoundError:
        raise CurationError(f"{path} does not exist") from None
    except (tarfile.TarError, ValueError, OverflowError, OSError) as error:
        raise CurationError(f"{path} is no plain tar file, or a damaged one: {error}") from None


def _picture(path: Path, key: str, parts: dict[str, Any]) -> tuple[str, int, int]:
    """(Name within the sample, place, size) of the picture of a sample."""
    kind = next((kind for kind in parts if kind in containers.SUFFIXES), None)
    if kind is None:
        there = ", ".join(name for name, *_ in parts.values())
        raise CurationError(f"{path}, sample {key!r} has no picture: its members are {there}")
    return f"{key}.{kind}", *parts[kind][1:3]


def _record(path: Path, key: str, parts: dict[str, Any]) -> dict[str, Any]:
    """The row of a sample from its `json` and `cls`, checked."""
    record = _row(path, *parts["json"][::3]) if "json" in parts else {}
    if "cls" in parts:
        name, *_, content = parts["cls"]
        try:
            text = content.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise CurationError(f"{path}, member {name!r}: its label {content!r:.80} is not UTF-8 text") from None
        label = int(text) if re.fullmatch(r"[0-9]{1,8}", text) else None
        wanted = record.get("class_name") if label is None else record.get("label")
        if not text or wanted not in (None, text if label is None else label):
            raise CurationError(f"{path}, member {name!r}: {text!r:.80} where its sample has {wanted!r:.80}")
        record |= {"class_name": text} if label is None else {"label": label}
    if record.get("label") is None and record.get("class_name") is None:
        there = ", ".join(name for name, *_ in parts.values())
        raise CurationError(f"{path}, sample {key!r} has no label in cls or json: its members are {there}")
    return record


def _row(path: Path, member: str, content: bytes) -> dict[str, Any]:
    row = files.parse_json(content, f"{path}, member {member!r}")
    if not isinstance(row, dict):
        return {}
    for kind in _KINDS:
        if row.get(kind.name) is not None and not _fits(row[kind.name], kind.type):
            raise CurationError(f"{path}, member {member!r}: key {kind.name!r} is {row[kind.name]!r:.80}")
    return row


def _fits(value: Any, kind: pa.DataType) -> bool:
    if not pa.types.is_integer(kind):
        return isinstance(value, str)
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << (kind.bit_width - 1)
