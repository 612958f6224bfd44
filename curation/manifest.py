"""The manifest of an export and what it speaks of: the annotations of a split, its results and its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import files
from curation.errors import CurationError
from curation.formats import image_folder
from curation.formats.annotations import AnnotationSet, annotation_table, names_of

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
TREE = "folder"
_OWN = ("manifest", "report", "left_out")


def annotate(
    recipe: Mapping[str, Any], table: pa.Table, images: pa.Table, classes: Sequence[str], roots: Mapping[str, str]
) -> tuple[AnnotationSet, Callable[[str], tuple[str, str]]]:
    """The annotations of a split table, and a function from a path of theirs to (root, relative path).

    Paths are relative to the root; with several roots the root's name comes first; absolute where `roots` says where
    they lie.
    """
    rows = table["image_id"].to_numpy()
    relative = images["path"].take(pa.array(rows))
    root = images["root"].cast(pa.string()).take(pa.array(rows))
    if roots:
        start = pc.index_in(root, pa.array(list(roots)))
        bases = pa.chunked_array([pa.array(list(roots.values()))]).take(start)
        paths = pc.binary_join_element_wise(bases, relative, "/")
    elif len(pc.unique(images["root"])) > 1:
        paths = pc.binary_join_element_wise(root, relative, "/")
    else:
        paths = relative
    split = table["split"].unify_dictionaries()
    labels = table["label"].to_numpy()
    columns = {name: table[name] for name in ("split", "frequency", "attribute", "cluster")}
    found = annotation_table(columns | {"path": paths, "label": labels, "class_name": names_of(labels, classes)})
    legacy = recipe["parameters"].get("mode") == "legacy"
    meta = {} if legacy else {"schema_version": 1, "recipe": dict(recipe)}
    known = split.chunk(0).dictionary.to_pylist() if len(split) else []
    of_path: dict[str, tuple[str, str]] = {}

    def places(path: str) -> tuple[str, str]:
        if not of_path:
            of_path.update(
                zip(paths.to_pylist(), zip(root.to_pylist(), relative.to_pylist(), strict=True), strict=True)
            )
        return of_path[path]

    return AnnotationSet(found, tuple(classes), tuple(known), meta), places


def stem_of(split: str) -> str:
    """Name of a split's files, other than those that every export has."""
    return f"{split}-split" if split.casefold() in _OWN else split


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
        if not isinstance(name, str) or not isinstance(entry.get("sha256"), str) or _leads_out(name):
            raise CurationError(f"{path}, key 'files': {entry!r} is no file of the export")
    return content


def write_results(folder: Path, report: dict[str, Any], left_out: pa.Table) -> None:
    files.write_json(folder / "report.json", report)
    files.write_table(folder / "left_out.parquet", left_out)


def is_picture(path: Path) -> bool:
    return path.parts[0] == TREE and path.parts != (TREE, image_folder.INDEX)


def _leads_out(name: str) -> bool:
    place = PurePosixPath(name)
    return not name or place.is_absolute() or ".." in place.parts or "\\" in name or "\0" in name
