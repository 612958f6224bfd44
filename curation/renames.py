"""Files and folders moved into place, with the old ones back where a move fails; `files` writes what is moved."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from curation.errors import CurationError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def beside(path: Path, suffix: str = "part") -> Path:
    """A temporary path beside `path`; of fixed length, since the final name may use all 255 bytes a name can have.

    What ends with `part` is swept when a run was killed, what ends with `old` is not: it may be all that is left.
    """
    return path.with_name(f".{secrets.token_hex(8)}.{suffix}")


def make_folder(folder: Path, path: Path) -> None:
    """Make a folder for `path`. Raises CurationError when there can be none; OSError when the disk is full."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise
        raise CurationError(f"{path} cannot be written: {error.strerror}: choose another place") from error


def put(part: Path, folder: Path, check: Callable[[Path], None]) -> None:
    """Rename `part` to `folder`; what is there, perhaps since a moment, goes out of the way first if `check` allows."""
    moved: list[Path] = []
    with _undone_on_failure() as rename:
        while True:
            try:
                rename(part, folder)
                break
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            check(folder)
            with suppress(FileNotFoundError):
                moved.append(beside(folder, "old"))
                rename(folder, moved[-1])
    for old in moved:
        shutil.rmtree(old, ignore_errors=True)


def put_all(part: Path, folder: Path) -> None:
    """Move all that lies in `part` into `folder`; what has the same names there goes, and is back when a move fails."""
    entries, aside = sorted(part.iterdir()), beside(part, "old")
    make_folder(folder, folder)
    aside.mkdir()
    try:
        with _undone_on_failure() as rename:
            for entry in entries:
                final = folder / entry.name
                # A single file is replaced in one step.
                if os.path.lexists(final) and (len(entries) > 1 or final.is_dir()):
                    rename(final, aside / entry.name)
                rename(entry, final)
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        with suppress(OSError):  # where something could not be brought back it stays
            aside.rmdir()


@contextmanager
def _undone_on_failure() -> Iterator[Callable[[Path, Path], None]]:
    """Yield a rename; when the block fails, all that it renamed gets its old name back."""
    done: list[tuple[Path, Path]] = []

    def rename(old: Path, new: Path) -> None:
        old.rename(new)
        done.append((old, new))

    try:
        yield rename
    except BaseException:
        for old, new in reversed(done):
            with suppress(OSError):
                new.rename(old)
        raise
