"""Files that are either whole or absent: atomic writes, JSON, Parquet, hashes, safe names."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import ArgumentError, CurationError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
DAY = 86_400.0
_PART = re.compile(r"\.[0-9a-f]{16}\.part")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it into place only when the block ends without an error.

    Raises:
        CurationError: the disk is full (the old file, if any, is untouched), or there can be no such folder.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, FileNotFoundError, PermissionError) as error:
        raise CurationError(f"{path} cannot be written: {error.strerror}: choose another place") from error
    _sweep_daily(path.parent, int(time.time() // DAY))
    part = _beside(path)
    try:
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if error.errno in _NO_SPACE:
            free = shutil.disk_usage(path.parent).free
            raise CurationError(
                f"no space left on the disk while writing {path} ({free:,} bytes free): "
                "make room and run the same command again; nothing that was finished is lost"
            ) from error
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
        CurationError: `folder` is there already, or the disk is full.
    """
    folder, check = Path(folder), check or _absent
    check(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder.parent)
    part = _beside(folder)
    part.mkdir()
    try:
        yield part
        _put(part, folder, check)
    except OSError as error:
        if error.errno in _NO_SPACE:
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
                if _last_written(path) < time.time() - DAY:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, atomically."""
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        CurationError: the file is missing or is not JSON (named with its line).
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CurationError(f"{path} does not exist") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise CurationError(f"{path}{where}: not a JSON file ({error})") from None


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


def _beside(path: Path) -> Path:
    """A temporary path beside `path`; of fixed length, since the final name may use all 255 bytes a name can have."""
    return path.with_name(f".{secrets.token_hex(8)}.part")


@lru_cache(maxsize=4096)
def _sweep_daily(folder: Path, _day: int) -> None:
    # Once a day and process: a folder of thumbnails is written to more often than it should be listed.
    sweep(folder)


def _last_written(path: Path) -> float:
    """When a file, or any folder of a tree, was last changed, in seconds since 1970."""
    return max(place.stat().st_mtime for place in (path, *(Path(place) for place, _, _ in os.walk(path))))


def _absent(folder: Path) -> None:
    if folder.exists():
        raise CurationError(f"{folder} is there already: remove it or choose another name")


def _put(part: Path, folder: Path, check: Callable[[Path], None]) -> None:
    """Rename `part` to `folder`; what is there, perhaps since a moment, goes out of the way first if `check` allows."""
    moved: Path | None = None
    while True:
        try:
            part.rename(folder)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                if moved is not None and not folder.exists():
                    moved.rename(folder)
                raise
        check(folder)
        with suppress(FileNotFoundError):
            moved = folder.rename(_beside(folder))
    if moved is not None:
        shutil.rmtree(moved, ignore_errors=True)
