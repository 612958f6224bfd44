"""NPZ files opened by memory map: one array is looked at without the others, and none is loaded whole.

An NPZ file is a ZIP archive of .npy files (numpy.lib.format). One that is stored as it is gets mapped in place; one
that is compressed is unpacked once, into a temporary file without a name. Pickled objects are never read.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from curation.errors import CurationError

_BLOCK = 1 << 20


@dataclass(frozen=True)
class _Member:
    info: zipfile.ZipInfo
    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    header: int  # bytes of the .npy header

    @property
    def bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


class Arrays(Mapping[str, np.ndarray]):
    """The arrays of an NPZ file by key, mapped anew whenever one is asked for; `kinds` tells (dtype, shape) before.

    No map is kept here, since each takes a file handle, and its pages count as memory for as long as it lives.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._members = _members(self.path)
        self._unpacked: dict[str, BinaryIO] = {}
        self._starts: dict[str, int] = {}
        self.kinds = {key: (member.dtype, member.shape) for key, member in self._members.items()}

    def __getitem__(self, key: str) -> np.ndarray:
        member = self._members[key]
        if not member.bytes:
            return np.zeros(member.shape, member.dtype)
        order = "F" if member.fortran else "C"
        if member.info.compress_type == zipfile.ZIP_STORED:
            if key not in self._starts:
                self._starts[key] = _start(self.path, member.info) + member.header
            return np.memmap(self.path, member.dtype, "r", self._starts[key], member.shape, order)
        if key not in self._unpacked:
            self._unpacked[key] = _unpack(self.path, member.info)
        return np.memmap(self._unpacked[key], member.dtype, "r", member.header, member.shape, order)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


def open_npz(path: str | Path) -> Arrays:
    """Open an NPZ file: a mapping from keys to read-only arrays, each a memory map.

    Raises:
        CurationError: there is no such file, it is no NPZ file, is cut short, or an array holds pickled objects (named
            by its key).
    """
    return Arrays(path)


def _members(path: Path) -> dict[str, _Member]:
    try:
        with zipfile.ZipFile(path) as archive:
            return {info.filename.removesuffix(".npy"): _member(path, archive, info) for info in archive.infolist()}
    except FileNotFoundError:
        raise CurationError(f"{path} does not exist") from None
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, ValueError) as error:
        raise CurationError(f"{path} is no NPZ file, or is cut short: {error}") from None


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    try:
        with archive.open(info) as file:
            version = np.lib.format.read_magic(file)
            reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, fortran, dtype = reader(file)
            member = _Member(info, dtype, shape, fortran, file.tell())
    # What reads headers evaluates them: damaged ones raise nearly anything.
    except Exception as error:
        raise CurationError(f"{path}, {info.filename}: no .npy file that can be read ({error})") from None
    if dtype.hasobject:
        raise CurationError(f"{path}, {info.filename}: holds pickled objects, which are never read")
    if info.file_size != member.header + member.bytes:
        raise CurationError(
            f"{path}, {info.filename}: {info.file_size:,} bytes, and an array {shape} of {dtype} "
            f"makes {member.header + member.bytes:,}"
        )
    return member


def _unpack(path: Path, info: zipfile.ZipInfo) -> BinaryIO:
    """A member as a temporary file, which goes with the arrays that it is kept by."""
    file = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        with zipfile.ZipFile(path) as archive, archive.open(info) as source:
            shutil.copyfileobj(source, file, _BLOCK)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise CurationError(f"{path}, {info.filename}: damaged: {error}") from None
    except OSError as error:
        raise CurationError(
            f"{path}, {info.filename}: its {info.file_size:,} bytes cannot be unpacked into {tempfile.gettempdir()}: "
            f"{error.strerror or error}; make room there, or set $TMPDIR"
        ) from error
    file.flush()
    return file


def _start(path: Path, info: zipfile.ZipInfo) -> int:
    """Where the bytes of a stored member begin: behind its local header, whose extra field has a length of its own."""
    with open(path, "rb") as file:
        file.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    start = info.header_offset + 30 + name + extra
    if start + info.file_size > path.stat().st_size:
        raise CurationError(f"{path}, {info.filename}: cut short")
    return start
