"""Pictures decoded by several threads, in order, straight into the members of an NPZ file."""

from __future__ import annotations

import io
import threading
import zipfile
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from curation.engine import Progress, default_workers
from curation.formats import crops
from curation.formats.annotations import AnnotationSet, Options, check_pictures, picture

KEYS = ("X_train", "y_train", "train_id", "X_val", "y_val", "val_id")
_AHEAD = 4  # pictures that are decoded ahead of the writer, a thread
_PATHS = 4096  # paths that are Python texts at once
_REPORT = 256  # pictures between two reports of progress


@dataclass(frozen=True)
class Rows:
    """Rows of a split, sorted by part: paths, labels and numbers (N,); `size` classes make a part."""

    paths: pa.ChunkedArray
    labels: np.ndarray
    numbers: np.ndarray
    classes: int
    size: int

    def bounds(self, part: int | None) -> tuple[int, int]:
        """First row of a part, and the row behind its last; of all parts when None."""
        if part is None:
            return 0, len(self.labels)
        start, end = np.searchsorted(self.labels // self.size, [part, part + 1])
        return int(start), int(end)


class Source:
    """Gives the packed pixels of a path, or why there are none.

    Raises:
        ArgumentError: nothing says where the pictures are.
    """

    def __init__(self, annotations: AnnotationSet, options: Options) -> None:
        check_pictures(annotations, options)
        self._annotations, self._options = annotations, options
        self._pixels = getattr(annotations.pictures, "pixels", None)
        # What reads containers need not bear several threads.
        self._alone = threading.Lock() if annotations.pictures is not None else nullcontext()

    def __call__(self, path: str) -> bytes | str:
        try:
            with self._alone:
                if self._pixels is not None:
                    return self._pixels(path)
                data = picture(self._annotations, self._options, path)
            return "there is no such picture" if data is None else crops.crop(data)
        # A picture that cannot be had, for any reason, does not stop the others.
        except Exception as error:
            return f"{error or type(error).__name__}"


class Packer:
    """Writes NPZ files of rows; `kept` counts pictures written by label, `missing` are (path, reason) left out."""

    def __init__(self, source: Source, splits: Mapping[str, Rows], progress: Progress) -> None:
        self.missing: list[tuple[str, str]] = []
        self._splits = dict(zip(("train", "val"), splits.values(), strict=True))
        self.kept = {name: np.bincount(rows.labels, minlength=rows.classes) for name, rows in self._splits.items()}
        self._source, self._progress = source, progress
        self._total, self._done = sum(len(rows.labels) for rows in self._splits.values()), 0
        self._pool = ThreadPoolExecutor(default_workers())

    def __enter__(self) -> Packer:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        if error[0] is None:
            self._progress(self._done, self._total, "writing pictures")

    def write(self, path: Path, part: int | None) -> None:
        """Write the rows of a part as stored arrays; of all parts, compressed, when None."""
        lost: dict[str, list[int]] = {}
        compression = zipfile.ZIP_DEFLATED if part is None else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, rows in self._splits.items():
                start, end = rows.bounds(part)
                with _member(archive, f"X_{name}", np.dtype(np.uint8), (end - start, *crops.SHAPE)) as sink:
                    lost[name] = self._pictures(name, rows, start, end, sink)
                for key, values in ((f"y_{name}", rows.labels), (f"{name}_id", rows.numbers)):
                    with _member(archive, key, np.dtype(np.int32), (end - start,)) as sink:
                        sink.write(values[start:end].astype(np.int32).tobytes())
        if any(lost.values()):
            _drop(path, lost, compression)

    def _pictures(self, name: str, rows: Rows, start: int, end: int, sink: BinaryIO) -> list[int]:
        """Write pictures of rows in order, black where there is none; the places of those, from 0."""
        lost = []
        for place, (path, pixels) in enumerate(self._decoded(rows.paths.slice(start, end - start))):
            if isinstance(pixels, str):
                self.missing.append((path, pixels))
                self.kept[name][rows.labels[start + place]] -= 1
                lost.append(place)
            sink.write(bytes(crops.BYTES) if isinstance(pixels, str) else pixels)
            if self._done % _REPORT == 0:
                self._progress(self._done, self._total, "writing pictures")
            self._done += 1
        return lost

    def _decoded(self, paths: pa.ChunkedArray) -> Iterator[tuple[str, bytes | str]]:
        ahead: deque[tuple[str, Future[bytes | str]]] = deque()
        for first in range(0, len(paths), _PATHS):
            for path in paths.slice(first, _PATHS).to_pylist():
                ahead.append((path, self._pool.submit(self._source, path)))
                if len(ahead) > _AHEAD * default_workers():
                    path, future = ahead.popleft()
                    yield path, future.result()
        while ahead:
            path, future = ahead.popleft()
            yield path, future.result()


def _member(archive: zipfile.ZipFile, key: str, dtype: np.dtype, shape: tuple[int, ...]) -> BinaryIO:
    """A new member of the archive with its .npy header written, as numpy.savez does but dated 1980-01-01."""
    info = zipfile.ZipInfo(f"{key}.npy")
    info.compress_type, info.create_system, info.external_attr = archive.compression, 3, 0o600 << 16
    header = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    sink = archive.open(info, "w", force_zip64=True)
    sink.write(header.getvalue())
    return sink  # type: ignore[return-value]


def _drop(path: Path, lost: Mapping[str, list[int]], compression: int) -> None:
    """Write the file once more without the rows that have no picture: the header, which counts them, comes first."""
    part = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(part, "w", compression) as new:
        for key in KEYS:
            gone = set(lost["train" if "train" in key else "val"])
            with old.open(f"{key}.npy") as source:
                np.lib.format.read_magic(source)
                shape, _, dtype = np.lib.format.read_array_header_1_0(source)
                size = dtype.itemsize * int(np.prod(shape[1:]))
                with _member(new, key, dtype, (shape[0] - len(gone), *shape[1:])) as sink:
                    for place in range(shape[0]):
                        row = source.read(size)
                        if place not in gone:
                            sink.write(row)
    part.replace(path)
