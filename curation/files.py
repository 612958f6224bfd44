"""Files that are either whole or absent: atomic writes, JSON, Parquet, hashes, safe names."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import renames
from curation.errors import ArgumentError, CurationError
from curation.renames import NO_SPACE

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
DAY = 86_400.0
_PART = re.compile(r"\.[0-9a-f]{16}\.part")
_NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENOTEMPTY)
_CLIMBS = r"^$|\x00|(^|[/\\])\.\.([/\\]|$)"
_ROOTED = r"^[/\\]|^[A-Za-z]:[/\\]"


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it into place only when the block ends without an error.

    Raises:
        CurationError: the disk is full (the old file, if any, is untouched), or there can be no such folder.
    """
    path = Path(path)
    renames.make_folder(path.parent, path)
    _sweep_daily(path.parent, int(time.time() // DAY))
    part = renames.beside(path)
    try:
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if error.errno in NO_SPACE:
            free = shutil.disk_usage(path.parent).free
            raise CurationError(
                f"no space left on the disk while writing {path} ({free:,} bytes free): "
                "make room and run the same command again; nothing that was finished is lost"
            ) from error
        if error.errno in _NO_PLACE and error.filename in (str(part), part):
            raise CurationError(f"{path} cannot be written: {error.strerror}: choose another place") from error
        raise
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: str | Path, *, check: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Yield a new folder beside `folder`; move it into place, whole, only when the block ends without an error.

    Args:
        folder: where it goes.
        check: raises when what lies at `folder` must stay; asked before the block, and again when something is found
            there at its end. What it lets pass is removed. Nothing may be there when None.

    Raises:
        CurationError: `folder` is there already, there can be none, or the disk is full.
    """
    folder, check = Path(folder), check or _absent
    check(folder)
    renames.make_folder(folder.parent, folder)
    sweep(folder.parent)
    part = renames.beside(folder)
    try:
        part.mkdir()
    except OSError as error:
        raise CurationError(f"{folder} cannot be written: {error.strerror}: choose another place") from error
    try:
        yield part
        renames.put(part, folder, check)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise CurationError(
                f"no space left on the disk while writing {folder}: nothing was written; make room"
            ) from error
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def sweep(folder: str | Path) -> None:
    """Remove what killed runs left half written in `folder`: nobody has written to it for a day."""
    with suppress(OSError), os.scandir(folder) as entries:
        for path in [Path(entry.path) for entry in entries if _PART.fullmatch(entry.name)]:
            with suppress(OSError):
                if not _is_fresh(path):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, atomically."""
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: str | Path, *, once: bool = False, made: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Read a JSON file, as `parse_json` does.

    Raises:
        CurationError: the file is missing, is a folder, or is not JSON (named with its line).
    """
    try:
        return parse_json(Path(path).read_bytes(), path, once=once, made=made)
    except FileNotFoundError:
        raise CurationError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise CurationError(f"{path} is a folder, not a JSON file") from None


def parse_json(
    text: str | bytes, what: object, *, once: bool = False, made: Callable[[dict[str, Any]], Any] | None = None
) -> Any:
    """Parse JSON, text or UTF-8, with or without a byte order mark.

    Args:
        text: the JSON.
        what: what it is called in messages.
        once: refuse an object in which a key is twice, since one of the two would be lost.
        made: gives what stands for each object.

    Raises:
        CurationError: it is no JSON, named with the line; a number of thousands of digits, or nested too deeply.
    """

    def pairs(found: list[tuple[str, Any]]) -> Any:
        value = dict(found)
        if once and len(value) < len(found):
            keys = [key for key, _ in found]
            twice = next(key for key in value if keys.count(key) > 1)
            raise CurationError(f"{what}: the key {twice!r} is there twice in one object")
        return value if made is None else made(value)

    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=pairs if once or made else None)
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise CurationError(f"{what}, line {line}: not a JSON file: not UTF-8 text ({error.reason})") from None
    except json.JSONDecodeError as error:
        raise CurationError(f"{what}, line {error.lineno}: not a JSON file ({error})") from None
    except RecursionError:
        raise CurationError(f"{what}: not a JSON file that can be read: it is nested too deeply") from None
    except ValueError as error:  # the only one left: more digits than Python reads
        most = sys.get_int_max_str_digits()
        found = re.search(rf"(?:^|[\s:,\[])-?[0-9]{{{most + 1},}}", text)
        line = text.count("\n", 0, found.end()) + 1 if found else 1
        raise CurationError(f"{what}, line {line}: a number has more than {most:,} digits") from error


def write_table(path: str | Path, table: pa.Table, *, row_group_size: int = 131_072) -> None:
    """Write an Arrow table as Parquet (zstd), atomically; the same table gives the same bytes."""
    with replacing(path) as part:
        pq.write_table(table, part, compression="zstd", row_group_size=row_group_size)


def read_table(path: str | Path, *, columns: Sequence[str] | None = None, filters: Any = None) -> pa.Table:
    """Read a Parquet table, or only some of its columns or rows.

    Raises:
        CurationError: the file is missing, is no Parquet, or lacks a column.
    """
    try:
        return pq.read_table(path, columns=list(columns) if columns is not None else None, filters=filters)
    except FileNotFoundError:
        raise CurationError(f"{path} does not exist") from None
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise CurationError(f"{path} cannot be read as a Parquet table: {error}") from None


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def without_folders(value: Any) -> Any:
    """The same JSON with absolute paths cut to their last part, so that no home folder is told."""
    if isinstance(value, dict):
        return {key: without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_folders(inner) for inner in value]
    absolute = isinstance(value, str) and (PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute())
    return PureWindowsPath(value).name if absolute else value


def stamp(path: Path) -> str:
    """Changes whenever a file does; '' when there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return ""
    return f"{stat.st_mtime_ns:x}-{stat.st_size:x}"


def first_outside(paths: pa.Array | pa.ChunkedArray, *, rooted: bool = False) -> int | None:
    """The row of the first path that is null, empty, holds a NUL character or climbs (`..`); None when all are sound.

    Args:
        paths: texts, with / or \\ between their parts.
        rooted: whether paths may start at a root or a drive.
    """
    wrong = pc.match_substring_regex(paths.cast(pa.string()), _CLIMBS if rooted else f"{_CLIMBS}|{_ROOTED}")
    row = pc.index(pc.fill_null(wrong, True), True).as_py()
    return None if row < 0 else row


def fault(path: str) -> str:
    """What is wrong with a path that `first_outside` found."""
    if not path or "\0" in path:
        return "holds a NUL character" if path else "is empty"
    return "climbs out of its folder" if leads_out(path, rooted=True) else "starts at a root"


def leads_out(path: str, *, rooted: bool = False) -> bool:
    """Whether one path is such as `first_outside` looks for."""
    try:
        return first_outside(pa.array([path], pa.string()), rooted=rooted) is not None
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold
        return True


def check_name(name: str, what: str) -> str:
    """Return `name` when it can safely be a file name.

    Raises:
        ArgumentError: it is empty, too long, or has other characters than letters, digits, '.', '_' and '-'.
    """
    if not NAME.fullmatch(name):
        raise ArgumentError(
            f"{what} {name!r} cannot be a file name: use up to 80 letters, digits, '.', '_' or '-', "
            "starting with a letter or digit"
        )
    return name


def slug(text: str) -> str:
    """A short, safe and unique file name for any text (a class name in any script, say)."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:40]
    return f"{plain or 'x'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


# -- below: temporary names --------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _sweep_daily(folder: Path, _day: int) -> None:
    # Once a day and process: a folder of thumbnails is written to more often than it should be listed.
    sweep(folder)


def _is_fresh(path: Path) -> bool:
    """Whether a file, or any folder of a tree, was changed within the last day."""
    places = [path] if path.is_file() else (Path(place) for place, _, _ in os.walk(path))
    return any(place.stat().st_mtime >= time.time() - DAY for place in places)


def _absent(folder: Path) -> None:
    if folder.exists():
        raise CurationError(f"{folder} is there already: remove it or choose another name")
