"""The manifest of an export and what it speaks of: the annotations of a split, its results and its inputs."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import curation
from curation import files
from curation.errors import CurationError
from curation.formats import comma_separated, image_folder, registry
from curation.formats.annotations import (
    ABOUT,
    ANNOTATIONS,
    AnnotationSet,
    Options,
    annotation_table,
    names_of,
)
from curation.formats.registry import MISSING, Format

MANIFEST = "manifest.json"
REPORT = "report.json"
MANIFEST_VERSION = 2
"""In 1 every format had the split's name as its stem, and the funnel a row for each picture of a reference set."""
DATASHEET = "datasheet"
OPTIONS = ("link", "class_folders", "max_ram", "concatenate", "shard_images")
# Read by people and by all kinds of programs: these get no more columns than they always had.
PLAIN = ("glt-json", "csv", "parquet", "folder")
_OWN = ("manifest", "report", "left_out")
_STEMS = {"imagenetv2-json": "imagenetv2"}  # its names are those of GLT JSON, or of iNaturalist JSON
ADDED = ("width", "height", "sha256")  # to the images among an export's inputs
_VALIDATION = r"(?:^|/)ILSVRC2012_val_(?P<number>[0-9]{8})(?:\.[^/]*)?$"


def annotate(
    recipe: Mapping[str, Any],
    table: pa.Table,
    images: pa.Table,
    classes: Sequence[str],
    roots: Mapping[str, str],
    *,
    about: pa.Table | None = None,
) -> tuple[AnnotationSet, Callable[[str], tuple[str, str]]]:
    """The annotations of a split table, and a function from a path of theirs to (root, relative path).

    Paths are relative to the root; with several roots the root's name comes first; absolute where `roots` says where
    they lie. Where `images` has width, height and sha256, so have the annotations, and each picture's `number`.
    """
    rows = pa.array(table["image_id"].to_numpy())
    paths, root, relative = _paths(images, rows, roots)
    split = table["split"].unify_dictionaries()
    labels = table["label"].to_numpy()
    columns = {name: table[name] for name in ("split", "frequency", "attribute", "cluster")}
    columns |= {"path": paths, "label": labels, "class_name": names_of(labels, classes)}
    if set(ADDED) <= set(images.column_names):
        columns |= {name: images[name].take(rows) for name in ADDED} | {"number": numbers(images).take(rows)}
    legacy = recipe.get("parameters", {}).get("mode") == "legacy"
    meta = {} if legacy else {"schema_version": 1, "recipe": dict(recipe)}
    known = split.chunk(0).dictionary.to_pylist() if len(split) else []

    @cache
    def of_path() -> dict[str, tuple[str, str]]:
        places = zip(root.to_pylist(), relative.to_pylist(), strict=True)
        return dict(zip(paths.to_pylist(), places, strict=True))

    found = AnnotationSet(annotation_table(columns), tuple(classes), tuple(known), meta, about)
    return found, lambda path: of_path()[path]


def numbers(images: pa.Table) -> pa.Array:
    """Number of every picture in its data set, int32 (N,).

    That in the name of a validation picture of ILSVRC 2012 (`ILSVRC2012_val_00000007.JPEG`); of others the rank, from
    1, of the path in byte order among the images of the same source split.
    """
    splits = images["source_split"] if "source_split" in images.column_names else pa.nulls(len(images), pa.string())
    keys = {"split": splits.cast(pa.string()).fill_null(""), "path": images["path"], "root": images["root"]}
    keys["root"] = keys["root"].cast(pa.string())
    order = pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys]).to_numpy()
    codes = _one(keys["split"].dictionary_encode()).indices.to_numpy()[order]
    starts = np.flatnonzero(np.diff(codes, prepend=-1)) if len(codes) else np.zeros(0, np.int64)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order))) + 1
    named = pc.struct_field(pc.extract_regex(images["path"], _VALIDATION), "number")
    return _one(pc.coalesce(pc.cast(named, pa.int32()), pa.chunked_array([pa.array(rank)])))


def about(names: Sequence[str], classes: pa.Table | None, metadata: pa.Table | None) -> pa.Table:
    """What is known of the classes, schema ABOUT, one row a label.

    Args:
        names: the class names by label.
        classes: schema CLASSES; a class's first lemma without blanks is its human_label.
        metadata: of a published file, with class_name and columns of ABOUT, which hold instead where they are not null;
            it alone knows the numbers of the data set's own (original_label).
    """
    found = {"class_name": pa.array(names, pa.string())}
    for table in (classes, metadata):
        if table is None or "class_name" not in table.column_names:
            continue
        rows = pc.index_in(found["class_name"], _one(table["class_name"].cast(pa.string())))
        told = {name: table[name] for name in ABOUT.names[1:] if name in table.column_names}
        if "lemmas" in told and "human_label" not in told:
            first = pc.utf8_trim_whitespace(pc.replace_substring_regex(told["lemmas"].cast(pa.string()), ",.*", ""))
            told["human_label"] = pc.replace_substring_regex(first, r"\s+", "_")
        for name, column in told.items():
            new = _known(column.cast(ABOUT.field(name).type)).take(rows)
            found[name] = pc.coalesce(new, found[name]) if name in found else new
    return pa.table({f.name: found.get(f.name, pa.nulls(len(names), f.type)) for f in ABOUT}, schema=ABOUT)


def given(annotations: AnnotationSet, kind: Format) -> AnnotationSet:
    """What an export gives a format of what is known of a split: all, or only ANNOTATIONS where that is the custom."""
    if kind.name not in PLAIN:
        return annotations
    return dataclasses.replace(annotations, table=annotations.table.select(ANNOTATIONS.names))


def options_of(manifest: Mapping[str, Any]) -> Options:
    """The options that an export was written with."""
    told = {"link": manifest.get("link", "link")} | manifest.get("options", {})
    return Options(**{name: told[name] for name in OPTIONS if name in told})


def stem_of(kind: Format, split: str, version: int = MANIFEST_VERSION) -> str:
    """The stem of the files of one format in an export: no two formats write the same names, nor those of the rest."""
    taken = registry.FORMATS if kind.folder else _OWN
    stem = f"{split}-split" if split.casefold() in taken else split
    return f"{stem}-{_STEMS[kind.name]}" if version > 1 and kind.name in _STEMS else stem


def write_format(
    kind: Format,
    annotations: AnnotationSet,
    folder: Path,
    split: str,
    options: Options,
    *,
    version: int = MANIFEST_VERSION,
) -> None:
    """Write a split into an export in one format, a folder of which gets the name of the format.

    Raises:
        CurationError: it has written a file that is of another format, or of another of its own splits.
    """
    there = {path.name.casefold() for path in folder.iterdir()}
    stem = stem_of(kind, split, version)
    written = kind.write(given(annotations, kind), folder, stem, options)
    if kind.folder:
        (folder / stem).rename(folder / kind.name)
    for path in written if version > 1 and not kind.folder else ():
        if path.name.casefold() in there:
            raise CurationError(f"{kind.title} writes {path.name!r}, which is written already: leave that format out")
        there.add(path.name.casefold())


def missing(kind: Format, folder: Path) -> list[str]:
    """Paths of pictures that were gone when `folder` was written in a format with pictures."""
    if kind.name == "folder":
        index = comma_separated.read_table(folder / image_folder.INDEX)
        gone = set(image_folder.missing(folder, index))
        pairs = zip(index["path"].to_pylist(), index["file"].to_pylist(), strict=True)
        return [path for path, file in pairs if file in gone]
    return (folder / MISSING).read_text(encoding="utf-8").splitlines() if (folder / MISSING).is_file() else []


def tools() -> dict[str, str]:
    """Versions of what writes files here."""
    return {
        "curation": curation.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
    }


def read_manifest(path: Path) -> dict[str, Any]:
    """Read and check a manifest.

    Raises:
        CurationError: not a manifest, or of a newer program; names the key.
    """
    content = files.read_json(path)
    kinds = {"manifest_version": int, "split": str, "formats": list, "recipe": dict, "files": list, "roots": dict}
    for key, kind in kinds.items():
        if not isinstance(content, dict) or not isinstance(content.get(key), kind):
            raise CurationError(f"{path} is no manifest of an export: key {key!r} is missing or not a {kind.__name__}")
    if content["manifest_version"] > MANIFEST_VERSION:
        raise CurationError(
            f"{path} has manifest version {content['manifest_version']}, and this program knows {MANIFEST_VERSION}: "
            "upgrade the program"
        )
    files.check_name(content["split"], f"{path}, key 'split':")
    for entry in content["files"]:
        name = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not isinstance(entry.get("sha256"), str) or leads_out(name):
            raise CurationError(f"{path}, key 'files': {entry!r} is no file of the export")
    if not all(isinstance(name, str) for name in content["formats"]):
        raise CurationError(f"{path}: key 'formats' is not a list of names")
    if not isinstance(content.get("options", {}), dict):
        raise CurationError(f"{path}: key 'options' is not a dict")
    return content


def write_results(folder: Path, report: dict[str, Any], left_out: pa.Table) -> None:
    files.write_json(folder / REPORT, report)
    files.write_table(folder / "left_out.parquet", left_out)


def format_of(name: PurePath) -> Format | None:
    """The format with pictures whose folder a file of an export lies in."""
    kind = registry.FORMATS.get(name.parts[0]) if len(name.parts) > 1 else None
    return kind if kind is not None and kind.pictures else None


def is_picture(name: PurePath) -> bool:
    """Whether a file of an export, by its path in it, holds pictures."""
    kind = format_of(name)
    return kind is not None and not kind.is_text(PurePath(*name.parts[1:]))


def made_from(name: PurePath) -> str | None:
    """What a file of an export was made from that the export does not have: `workspace`, `pictures`, or None."""
    if name.parts[0].split(".")[0] == DATASHEET and (len(name.parts) > 1 or name.suffix in (".md", ".html")):
        return "workspace"
    kind = format_of(name)
    return None if kind is None or PurePath(*name.parts[1:]) == PurePath(kind.index) else "pictures"


def leads_out(name: str) -> bool:
    """Whether a path in a file could lead out of the folder that it is relative to."""
    place = PurePosixPath(name)
    return not name or place.is_absolute() or ".." in place.parts or "\\" in name or "\0" in name


# -- below: columns -------------------------------------------------------------------------------------------------


def _paths(images: pa.Table, rows: pa.Array, roots: Mapping[str, str]) -> tuple[Any, Any, Any]:
    """Paths as annotations have them, roots, and paths relative to these, of some rows of the images."""
    relative = images["path"].take(rows)
    root = images["root"].cast(pa.string()).take(rows)
    if roots:
        bases = pa.chunked_array([pa.array(list(roots.values()))]).take(pc.index_in(root, pa.array(list(roots))))
        return pc.binary_join_element_wise(bases, relative, "/"), root, relative
    if len(pc.unique(images["root"])) > 1:
        return pc.binary_join_element_wise(root, relative, "/"), root, relative
    return relative, root, relative


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def _known(column: pa.ChunkedArray) -> pa.Array:
    """The column with empty texts as null."""
    column = _one(column)
    empty = pc.equal(column, "") if pa.types.is_string(column.type) else None
    return column if empty is None else pc.if_else(empty, pa.scalar(None, column.type), column)
