"""From any format of annotations to any other that can carry them, saying what the other cannot hold."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import files, renames
from curation.engine import Progress, quiet
from curation.errors import ArgumentError, CurationError
from curation.formats import registry
from curation.formats.annotations import AnnotationSet, Options
from curation.formats.registry import Format
from curation.manifest import missing

_FILES = (".csv", ".json", ".parquet")


def convert(
    source: str | Path,
    target: str | Path,
    *,
    to: str,
    origin: str | None = None,
    root: str | Path | None = None,
    prefix: tuple[str, str] | None = None,
    absolute: bool = False,
    stem: str | None = None,
    link: str = "link",
    class_folders: str = "name",
    max_ram: float | None = None,
    concatenate: bool = False,
    shard_images: int = 10_000,
    overwrite: bool = False,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Read annotations in one format and write them in another.

    Args:
        source: file or folder, as the format's reader takes it.
        target: a folder; or a file (.csv, .json, .parquet) where the format writes exactly one. A format that is a
            folder itself becomes `target`, or `target/stem` where a stem is given.
        to: name of the format to write.
        origin: name of the format of `source`; told from its name and content when None.
        root: folder of the pictures. Absolute paths below it become relative to it; pictures are looked for in it,
            unless `source` has them inside.
        prefix: (old, new): every path begins with `old`, as it was on another machine, say, and gets `new` instead.
        absolute: write paths as `root/path`.
        stem: of the names of files; by default that of the source.
        link, class_folders, max_ram, concatenate, shard_images: as for `Options`.
        overwrite: whether files of the same names, and a folder without any others, may be replaced.
        progress: called by formats with pictures while they are written.

    Returns:
        from, to, out, images, splits (images by split), files (names in `out`), lost (what the target cannot hold: rows
        of `column`, name and `rows`), lacks (in the same way, what published readers of the target need and the source
        does not tell), set_aside (pictures that were not there).

    Raises:
        ArgumentError: an unknown format, one that cannot hold the set, or files that are there already.
        CurationError: `source` cannot be read or holds no images, a path does not begin with `prefix` or leads out of
            `root`, or the disk is full. Nothing is written.
    """
    source, kind = Path(source), registry.get(to)
    reader, found = registry.read(source, origin)
    if not len(found.table):
        raise CurationError(f"{source} holds 0 images: there is nothing to write")
    if prefix is not None:
        found = _replaced(found, *prefix)
    found = _relative(found, None if root is None else Path(root))
    lost = [] if kind is reader else _lost(found, kind)
    lacks = _entries({name: found.table[name].null_count for name in sorted(kind.needs)})
    if absolute:
        found = _absolute(found, root)
    folder, name, single = _place(kind, Path(target).resolve(), source, stem)
    options = Options(
        locate=None if root is None else Path(root).joinpath,
        link=link,
        class_folders=class_folders,
        max_ram=max_ram,
        concatenate=concatenate,
        shard_images=shard_images,
        progress=progress,
        final=folder,
    )
    with _near(folder) as part:
        written = [path.relative_to(part) for path in kind.write(found, part, name, options)]
        if single:
            written = [_only(part, written, Path(target).name)]
        _put(part, folder, overwrite)
        gone = missing(kind, folder / name) if kind.pictures else []
    return {
        "from": reader.name,
        "to": kind.name,
        "out": str(folder),
        "images": len(found.table),
        "splits": found.counts(),
        "files": [path.as_posix() for path in written],
        "lost": lost,
        "lacks": lacks,
        "set_aside": len(gone),
    }


# -- below: paths of pictures ----------------------------------------------------------------------------------------


def _replaced(found: AnnotationSet, old: str, new: str) -> AnnotationSet:
    """The set with `new` in place of `old` at the beginning of every path.

    Raises:
        CurationError: a path begins with something else, as the published notebook ChangePath of ImageNet-GLT asserts
            (KaihuaTang/Generalized-Long-Tailed-Benchmarks.pytorch).
    """
    paths = found.table["path"].cast(pa.string())
    fits = pc.starts_with(paths, old)
    if (row := pc.index(fits, False).as_py()) >= 0:
        raise CurationError(
            f"path {paths[row].as_py()!r:.200} does not begin with {old!r}, and so it is with "
            f"{len(paths) - pc.sum(fits).as_py():,} of {len(paths):,}: give what every path begins with"
        )
    return _renamed(found, pc.binary_join_element_wise(new, pc.utf8_slice_codeunits(paths, len(old)), ""))


def _relative(found: AnnotationSet, root: Path | None) -> AnnotationSet:
    """The set with paths below `root` relative to it.

    Raises:
        CurationError: a path leads out of the root.
    """
    old = found.table["path"].cast(pa.string())
    paths = old
    for base in [] if root is None else dict.fromkeys((root.absolute().as_posix(), root.resolve().as_posix())):
        base = base.rstrip("/")
        below = pc.starts_with(paths, f"{base}/")
        paths = pc.if_else(below, pc.utf8_slice_codeunits(paths, len(base) + 1), paths)
    if (row := files.first_outside(paths, rooted=root is None)) is not None:
        place = "the folder of the pictures" if root is None else str(root)
        raise CurationError(f"path {paths[row].as_py()!r} leads out of {place}: give the folder it lies in as --root")
    if paths.equals(old):
        return found
    return _renamed(found, paths)


def _absolute(found: AnnotationSet, root: str | Path | None) -> AnnotationSet:
    if root is None:
        raise ArgumentError("absolute paths need the folder of the pictures: give --root")
    base = Path(root).absolute().as_posix().rstrip("/")
    return _renamed(found, pc.binary_join_element_wise(base, found.table["path"].cast(pa.string()), "/"))


def _renamed(found: AnnotationSet, paths: pa.ChunkedArray) -> AnnotationSet:
    place = found.table.column_names.index("path")
    table, pictures = found.table.set_column(place, found.table.schema.field("path"), paths), found.pictures
    if pictures is not None:
        old = dict(zip(paths.to_pylist(), found.table["path"].to_pylist(), strict=True))
        return dataclasses.replace(found, table=table, pictures=lambda path: pictures(old[path]))
    return dataclasses.replace(found, table=table)


def _lost(found: AnnotationSet, kind: Format) -> list[dict[str, Any]]:
    """What a format cannot hold of a set: columns, `meta`, `about`, pictures, and classes and splits without images."""
    table = found.table
    rows = {name: len(table) - table[name].null_count for name in table.column_names}
    rows |= {"meta": len(table) if found.meta else 0, "about": 0 if found.about is None else len(found.about)}
    for name, all_of, column in (("classes", found.classes, "label"), ("splits", found.splits, "split")):
        rows[name] = len(all_of) - pc.count_distinct(table[column].cast(pa.string())).as_py()
    rows = {name: count for name, count in rows.items() if name not in kind.holds} | kind.unheld(found)
    if not kind.pictures:
        rows["pictures"] = 0 if found.pictures is None else len(table)
    return _entries(rows)


def _entries(rows: dict[str, int]) -> list[dict[str, Any]]:
    return [{"column": name, "rows": count} for name, count in rows.items() if count]


# -- below: where files go -------------------------------------------------------------------------------------------


def _place(kind: Format, target: Path, source: Path, stem: str | None) -> tuple[Path, str, bool]:
    """The folder that is written to, the stem, and whether the format's only file is to be called as the target."""
    if stem is not None:
        return target, files.check_name(stem, "the stem"), False
    if kind.folder:
        if not target.name:
            raise ArgumentError(f"{kind.title} is a folder of its own, and {target} is the top of the disk: name one")
        return target.parent, target.name, False
    if target.suffix.lower() in _FILES and not target.is_dir():
        return target.parent, target.stem, True
    own = source.resolve().stem.removesuffix("_classes")
    return target, own if files.NAME.fullmatch(own) else files.slug(own), False


@contextmanager
def _near(folder: Path) -> Iterator[Path]:
    """A new folder on the disk of `folder`: in it, or in the nearest above it that is there; removed in the end.

    Raises:
        CurationError: there can be none, or the disk is full.
    """
    place = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    part = renames.beside(place / "any")
    try:
        files.sweep(place)
        part.mkdir()
    except OSError as error:
        why = f"{place} is a file" if place.is_file() else error.strerror
        raise CurationError(f"{folder} cannot be written: {why}: choose another place") from error
    try:
        yield part
    except CurationError as error:
        raise type(error)(str(error).replace(str(part), str(folder))) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CurationError(f"no space left on the disk while writing {folder}: nothing was written") from error
        if error.errno == errno.EXDEV:
            raise CurationError(f"{folder} is the top of another disk: choose a folder in it") from error
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _only(part: Path, written: list[Path], name: str) -> Path:
    """Give the only file that was written a name.

    Raises:
        ArgumentError: there are several, or they have another suffix.
    """
    if len(written) != 1:
        there = ", ".join(path.name for path in written[:3])
        raise ArgumentError(
            f"{name!r} is to be one file, and the format writes {len(written)} ({there}): name a folder"
        )
    if (suffix := written[0].suffix) != Path(name).suffix.lower():
        raise ArgumentError(f"{name!r} ends with {Path(name).suffix}, and the format writes {suffix}: name it so")
    (part / written[0]).rename(part / name)
    return Path(name)


def _put(part: Path, folder: Path, overwrite: bool) -> None:
    """Move what was written into `folder`.

    Raises:
        ArgumentError: something of the same name is there that may not be replaced; nothing is moved.
    """
    entries = sorted(part.iterdir())
    there = [entry.name for entry in entries if _taken(folder / entry.name)]
    if there and not overwrite:
        raise ArgumentError(
            f"{folder} has {len(there)} of the {len(entries)} files to write ({there[0]!r}): choose another place, or "
            "overwrite them with --overwrite"
        )
    for name in there:
        if (folder / name).is_symlink() and (part / name).is_dir():
            raise ArgumentError(f"{folder / name} is a link: give the folder that it leads to, or remove it")
        other = _others(part / name, folder / name)
        if other:
            raise ArgumentError(
                f"{folder / name} holds {len(other):,} files that would not be written again ({other[0]!r}): "
                "choose another folder, or remove it first"
            )
    renames.put_all(part, folder)


def _taken(path: Path) -> bool:
    """Whether anything but an empty folder is there."""
    empty = path.is_dir() and not path.is_symlink() and not any(path.iterdir())
    return os.path.lexists(path) and not empty


def _others(new: Path, old: Path) -> list[str]:
    """Files below `old` that `new` does not have; a file and a folder have nothing in common."""
    if not old.is_dir():
        return [] if new.is_file() else [old.name]
    names = sorted(p.relative_to(old).as_posix() for p in old.rglob("*") if p.is_symlink() or not p.is_dir())
    return [name for name in names if not os.path.lexists(new / name)]
