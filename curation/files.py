"""Files that are either whole or absent: atomic writes, JSON, Parquet, hashes, safe names."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import ArgumentError, CurationError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it into place only when the block ends without an error.

    Raises:
        CurationError: the disk is full (the old file, if any, is untouched).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A fixed-length name, since the final one may already use all 255 bytes a file name can have.
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(path.parent).free
            raise CurationError(
                f"no space left on the disk while writing {path} ({free:,} bytes free): "
                "make room and run the same command again; nothing that was finished is lost"
            ) from error
        raise
    finally:
        part.unlink(missing_ok=True)


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
