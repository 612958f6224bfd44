"""Every picture as 256 x 256 pixels, the form in which pixels are compared; made once, kept in shards.

The aspect ratio is not kept, as published for ImageNetV2 (Recht et al. 2019, its 256-pixel copies). A picture that has
256 x 256 pixels already is taken as it is, so that distances of published copies are the published ones. Row r of
shard s belongs to image s * SHARD_ROWS + r; an image without a rendition has a row of zeros.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from curation import arrays, files
from curation.duplicates.sketch import SIDE, SKETCH, sketch
from curation.engine import Progress, default_workers, quiet, run
from curation.errors import ArgumentError, CurationError
from curation.images import decode
from curation.workspace import Workspace

SHARD_ROWS = 1024
BYTES = SIDE * SIDE * 3
RECIPE = {"side": SIDE, "resample": "bilinear", "shard_rows": SHARD_ROWS, "sketch": SKETCH.itemsize}
_FIT = 2 * SIDE  # a JPEG may be decoded smaller, as long as its long side keeps this many pixels


class Renditions:
    """Renditions of one set of pictures, read through memory maps.

    Attributes:
        ids: int64 (N,), ascending: the images that have a rendition.
        failed: {image id: reason} of images that are usable and could not be decoded.
        directory: where the shards lie; None when they are only in memory.
    """

    def __init__(
        self,
        ids: np.ndarray,
        shards: Sequence[np.ndarray],
        sketches: Sequence[np.ndarray],
        *,
        failed: Mapping[int, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.ids = np.asarray(ids, np.int64)
        self.failed = dict(failed or {})
        self.directory = directory
        # Plain views: indexing a np.memmap makes a new np.memmap, which takes longer than comparing two pictures.
        self._shards = [np.asarray(shard).reshape(len(shard), BYTES) for shard in shards]
        self._sketches = [np.asarray(part) for part in sketches]

    @classmethod
    def of(cls, pictures: np.ndarray) -> Renditions:
        """Renditions in memory, uint8 (N, 256, 256, 3), of images 0 to N - 1."""
        if pictures.dtype != np.uint8 or pictures.shape[1:] != (SIDE, SIDE, 3):
            raise ArgumentError(f"renditions are uint8 (N, {SIDE}, {SIDE}, 3), not {pictures.dtype} {pictures.shape}")
        shards = [pictures[start : start + SHARD_ROWS] for start in range(0, len(pictures), SHARD_ROWS)]
        return cls(np.arange(len(pictures)), shards, [sketch(shard) for shard in shards])

    def __len__(self) -> int:
        return len(self.ids)

    def same(self, other: Renditions) -> bool:
        """Whether `other` shows the same set of pictures."""
        return self is other or (self.directory is not None and self.directory == other.directory)

    def rows(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """Renditions of `ids` (any order, repeats allowed), uint8 (n, 256, 256, 3); reads only those.

        Raises:
            ArgumentError: an image has no rendition.
        """
        return self._gather(self._shards, ids, np.empty((len(ids), BYTES), np.uint8)).reshape(-1, SIDE, SIDE, 3)

    def sketches(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """Sketches of `ids`, `SKETCH` (n,).

        Raises:
            ArgumentError: an image has no rendition.
        """
        return self._gather(self._sketches, ids, np.empty(len(ids), SKETCH))

    def views(self, ids: np.ndarray) -> list[np.ndarray]:
        """Renditions of `ids`, which all have one, as read-only rows of 196,608 bytes; nothing is copied."""
        places = zip(*(part.tolist() for part in np.divmod(ids, SHARD_ROWS)), strict=True)
        return [self._shards[shard][row] for shard, row in places]

    def check(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """`ids` as int64.

        Raises:
            ArgumentError: an image has no rendition.
        """
        ids = np.asarray(ids, np.int64)
        # Not np.isin, which looks through all ids for a few.
        place = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        lacking = ids[self.ids[place] != ids] if len(self.ids) else ids
        if len(lacking):
            raise ArgumentError(
                f"{len(lacking):,} of {len(ids):,} images have no rendition, image {lacking[0]} first "
                f"({self.failed.get(int(lacking[0]), 'broken, flat or gone')}): leave them out"
            )
        return ids

    def _gather(self, parts: Sequence[np.ndarray], ids: Sequence[int] | np.ndarray, out: np.ndarray) -> np.ndarray:
        shards, rows = np.divmod(self.check(ids), SHARD_ROWS)
        for index in np.unique(shards):
            here = shards == index
            out[here] = parts[index][rows[here]]
        return out


def make(
    source: Workspace,
    *,
    keeper: Workspace | None = None,
    name: str = "",
    workers: int | None = None,
    progress: Progress = quiet,
) -> Renditions:
    """Renditions of all usable pictures of `source`; goes on where an earlier run ended.

    Shards that are made from the same files are kept, the others are made anew. A picture that cannot be decoded now,
    or is no longer the file that was read in, has no rendition and a reason in `failed`.

    Args:
        source: the workspace whose pictures they are; only read.
        keeper: the workspace that keeps them; `source` when None.
        name: of the reference set that `source` is to `keeper`; '' when it is none.
        workers: processes; as many as there are processors when None.
        progress: called after every shard with (images done, images in all, message).

    Raises:
        CurationError: a folder of pictures is not there; the disk is too small; a shard cannot be read.
        Cancelled: from `progress`; finished shards are kept.
    """
    directory = folder(keeper or source, name)
    images = source.images(("root", "path", "flat", *arrays.INPUT_COLUMNS))
    _check_roots(source, images)
    digests = arrays.input_digests(images, RECIPE)
    todo = [index for index, digest in enumerate(digests) if not _done(directory, index, digest)]
    _check_disk(directory, todo, len(images))
    wanted = pc.and_(pc.equal(images["status"].cast(pa.string()), "ok"), pc.invert(pc.fill_null(images["flat"], False)))
    ids = np.flatnonzero(wanted.to_numpy())
    done = len(ids) - sum(len(_of_shard(ids, index)) for index in todo)
    progress(done, len(ids), "renditions")
    tasks = (_task(source, images, directory, index, digests[index], _of_shard(ids, index)) for index in todo)
    workers = default_workers() if workers is None else workers
    for task, _ in run(_make_shard, tasks, workers=min(workers, len(todo))):
        done += len(task.ids)
        progress(done, len(ids), "renditions")
    return _opened(directory, ids, len(images))


def folder(keeper: Workspace, name: str = "") -> Path:
    """Where the renditions of `keeper`'s own pictures lie, or of those of its reference set `name`."""
    suffix = f"@{files.check_name(name, 'the name of the reference set')}" if name else ""
    return keeper.path / "duplicates" / f"renditions{suffix}"


class _Task(NamedTuple):
    """One shard to make: where, from which inputs, how many rows, and its pictures' rows, ids, files and hashes."""

    directory: Path
    index: int
    digest: str
    count: int
    rows: list[int]
    ids: list[int]
    paths: list[Path]
    hashes: list[str]


def _of_shard(ids: np.ndarray, index: int) -> np.ndarray:
    low, high = np.searchsorted(ids, [index * SHARD_ROWS, (index + 1) * SHARD_ROWS])
    return ids[low:high]


def _task(source: Workspace, images: pa.Table, directory: Path, index: int, digest: str, ids: np.ndarray) -> _Task:
    known = images.select(["root", "path", "sha256"]).take(pa.array(ids)).to_pydict()
    paths = [source.image_file(root, path) for root, path in zip(known["root"], known["path"], strict=True)]
    start = index * SHARD_ROWS
    count = min(SHARD_ROWS, len(images) - start)
    return _Task(directory, index, digest, count, (ids - start).tolist(), ids.tolist(), paths, known["sha256"])


def _make_shard(task: _Task) -> None:
    shard, failed = np.zeros((task.count, SIDE, SIDE, 3), np.uint8), []
    for row, image_id, path, sha256 in zip(task.rows, task.ids, task.paths, task.hashes, strict=True):
        try:
            shard[row] = _read(path, sha256)
        except decode.BrokenImage as error:
            failed.append((image_id, str(error)))
    path = arrays.array_path(task.directory, task.index)
    # Gone first: a shard that is in place is then always the one that its sidecar and its sketches speak of.
    path.unlink(missing_ok=True)
    with files.replacing(_sketch_path(path)) as part, open(part, "wb") as file:
        np.save(file, sketch(shard))
    arrays.write_shard(task.directory, task.index, shard, inputs_digest=task.digest, failed=failed)


def rendition(data: bytes) -> np.ndarray:
    """The rendition of a picture file given as its bytes, uint8 (256, 256, 3).

    Raises:
        BrokenImage: it cannot be decoded.
    """
    image = decode.rgb(data, fit=_FIT)
    if image.size != (SIDE, SIDE):
        image = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _read(path: Path, sha256: str) -> np.ndarray:
    data = decode.read_bytes(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise decode.BrokenImage("it has changed since it was read in: run `init` again")
    return rendition(data)


def _sketch_path(path: Path) -> Path:
    return path.with_suffix(".sketch.npy")


def _done(directory: Path, index: int, digest: str) -> bool:
    """Whether a shard is in place and made from these inputs."""
    path = arrays.array_path(directory, index)
    if not (path.is_file() and _sketch_path(path).is_file()):
        return False
    try:
        return files.read_json(path.with_suffix(".json"))["inputs"] == digest
    except (CurationError, KeyError, TypeError):
        return False


def _check_roots(source: Workspace, images: pa.Table) -> None:
    for root in sorted(root for root in images["root"].unique().to_pylist() if root is not None):
        if root not in source.roots or not source.roots[root].is_dir():
            raise CurationError(
                f"the pictures' folder {source.roots.get(root)} (root {root!r}) is not there: mount it, or mend its "
                f"path in {source.path / 'workspace.json'}"
            )


def _check_disk(directory: Path, todo: Sequence[int], images: int) -> None:
    rows = sum(min(SHARD_ROWS, images - index * SHARD_ROWS) for index in todo)
    old = [arrays.array_path(directory, index) for index in todo]
    need = rows * (BYTES + SKETCH.itemsize) - sum(path.stat().st_size for path in old if path.is_file())
    there = next(place for place in (directory, *directory.parents) if place.is_dir())
    free = shutil.disk_usage(there).free
    if need > free:
        raise CurationError(
            f"renditions of {rows:,} pictures take {need:,} bytes, and {free:,} are free on the disk of {there}: make "
            "room, or leave out the measures that compare pixels (pixels and dssim)"
        )


def _opened(directory: Path, ids: np.ndarray, images: int) -> Renditions:
    shards, sketches, failed = [], [], {}
    for index in range(-(-images // SHARD_ROWS)):
        path = arrays.array_path(directory, index)
        rows = min(SHARD_ROWS, images - index * SHARD_ROWS)
        shards.append(_mapped(path, (rows, SIDE, SIDE, 3), np.dtype(np.uint8)))
        sketches.append(_mapped(_sketch_path(path), (rows,), SKETCH))
        failed |= {int(i): str(reason) for i, reason in files.read_json(path.with_suffix(".json"))["failed"]}
    ids = np.setdiff1d(ids, np.array(sorted(failed), np.int64), assume_unique=True)
    return Renditions(ids, shards, sketches, failed=failed, directory=directory)


def _mapped(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise CurationError(f"{path} cannot be read ({error}): delete it and run the same command again") from None
    if array.shape != shape or array.dtype != dtype:
        raise CurationError(
            f"{path} holds {array.dtype} {array.shape}, where {dtype} {shape} belong: delete it and run the same "
            "command again"
        )
    return array
