"""One pass over a folder of pictures, and the sorted listing that every layout makes of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from curation.engine import Progress, quiet
from curation.errors import CurationError
from curation.images.decode import EXTENSIONS

LISTING = pa.schema(
    {
        "path": pa.string(),  # relative to the root, POSIX separators
        "class_name": pa.dictionary(pa.int32(), pa.string()),
        "source_split": pa.dictionary(pa.int32(), pa.string()),
        "bytes": pa.int64(),
        "modified": pa.int64(),  # mtime in nanoseconds
    }
)
# How often the walk reports: a report may be a database write.
_REPORT = 20_000


@dataclass
class Folder:
    """Candidate pictures that lie directly in one folder; `path` is relative to the root, '' for the root itself."""

    path: str
    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    modified: list[int] = field(default_factory=list)

    @property
    def parts(self) -> tuple[str, ...]:
        return PurePosixPath(self.path).parts

    def pick(self, rows: Iterable[int]) -> Folder:
        """The same folder with only some of its pictures."""
        rows = list(rows)
        return Folder(self.path, *([column[i] for i in rows] for column in (self.names, self.sizes, self.modified)))


@dataclass
class Tree:
    """What a walk found: folders in byte order, files that are no candidates (reason to count), label files, notes."""

    root: Path
    folders: list[Folder] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    others: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def candidates(self) -> int:
        return sum(len(folder.names) for folder in self.folders)


@dataclass(frozen=True)
class Listing:
    """Candidate pictures of one root, sorted by the bytes of their paths (schema `LISTING`).

    `ignored` counts the files that are no candidates, by reason, so that files = candidates + ignored.
    """

    table: pa.Table
    layout: str
    ignored: dict[str, int]
    notes: list[str]


def walk(
    root: str | Path, *, skip: Path | None = None, label_files: Iterable[str] = (), progress: Progress = quiet
) -> Tree:
    """Find the candidates under `root` in one pass: files with a picture's ending that are not hidden.

    Symbolic links are followed, but never back into a folder that is being walked.

    Args:
        skip: a folder to leave out (the workspace, when it lies among the pictures).
        label_files: names of files that some layout reads; where they lie is kept.

    Raises:
        CurationError: a folder cannot be listed. (Going on would mark all its pictures as gone.)
    """
    tree = Tree(Path(root))
    wanted = frozenset(label_files)
    left_out = _identity(skip) if skip is not None and skip.exists() else None
    stack: list[tuple[str, tuple[tuple[int, int], ...]]] = [("", ())]
    seen = reported = 0
    while stack:
        path, above = stack.pop()
        here = _identity(tree.root / path)
        if here == left_out:
            continue
        if here in above:
            tree.notes.append(f"folder {path!r} is a link back to a folder above it: not followed")
            continue
        folder, below = _list_folder(tree, path, wanted)
        tree.folders.append(folder)
        stack.extend((child, (*above, here)) for child in below)
        seen += len(folder.names)
        if seen - reported >= _REPORT:
            reported = seen
            progress(seen, 0, "finding pictures")
    tree.folders.sort(key=lambda folder: folder.path)
    tree.others.sort()
    tree.notes.sort()
    return tree


def listing(tree: Tree, layout: str, groups: Iterable[tuple[Folder, str, str]]) -> Listing:
    """The sorted listing of (folder, class name, source split) groups."""
    groups = list(groups)
    counts = np.array([len(folder.names) for folder, _, _ in groups], np.int64)
    table = pa.table(
        [
            pa.array([f"{f.path}/{name}" if f.path else name for f, _, _ in groups for name in f.names], pa.string()),
            _words([class_name for _, class_name, _ in groups], counts),
            _words([split for _, _, split in groups], counts),
            pa.array(np.fromiter((size for f, _, _ in groups for size in f.sizes), np.int64)),
            pa.array(np.fromiter((time for f, _, _ in groups for time in f.modified), np.int64)),
        ],
        schema=LISTING,
    )
    # Arrow compares strings by their UTF-8 bytes.
    return Listing(table.sort_by("path"), layout, dict(sorted(tree.ignored.items())), tree.notes)


def _words(words: list[str], counts: np.ndarray) -> pa.DictionaryArray:
    names, codes = np.unique(np.array(words, object), return_inverse=True) if words else ([], np.zeros(0, np.int64))
    return pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(codes, counts).astype(np.int32)), pa.array(list(names), pa.string())
    )


def _identity(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise CurationError(f"folder {path} cannot be read: {error.strerror or error}") from error
    return stat.st_dev, stat.st_ino


def _list_folder(tree: Tree, path: str, wanted: frozenset[str]) -> tuple[Folder, list[str]]:
    folder, below, ignored = Folder(path), [], tree.ignored
    try:
        with os.scandir(tree.root / path) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith("."):
                    ignored["hidden"] += 1
                elif not name.isascii() and not _is_utf8(name):
                    ignored["name is not UTF-8"] += 1
                elif _is_folder(entry):
                    below.append(f"{path}/{name}" if path else name)
                elif os.path.splitext(name)[1].lower() in EXTENSIONS:  # noqa: PTH122 (a million Path objects)
                    _add(folder, entry, ignored)
                else:
                    ignored["no picture extension"] += 1
                    if name in wanted:
                        tree.others.append(f"{path}/{name}" if path else name)
    except OSError as error:
        raise CurationError(f"folder {tree.root / path} cannot be listed: {error.strerror or error}") from error
    return folder, below


def _add(folder: Folder, entry: os.DirEntry[str], ignored: Counter[str]) -> None:
    size = modified = 0  # of a link to nowhere: a candidate, which will be found broken
    try:
        if not entry.is_file() and not entry.is_symlink():
            ignored["neither file nor folder"] += 1  # reading a pipe or a device might never end
            return
        stat = entry.stat()
        size, modified = stat.st_size, stat.st_mtime_ns
    except OSError:
        pass
    folder.names.append(entry.name)
    folder.sizes.append(size)
    folder.modified.append(modified)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that were no UTF-8, kept by the system as lone surrogates
        return False
    return True
