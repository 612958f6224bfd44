"""Splits as files for other programs, with all that it takes to make them again.

An export is a folder: the annotation files, report.json and left_out.parquet, `inputs/` (the tables that the split was
carved from), manifest.json (recipe, seeds, backbone, hashes), and a ZIP of all these. It can be moved anywhere;
`rebuild` needs nothing else.
"""

from __future__ import annotations

import platform
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

import curation
from curation import files
from curation.engine import Progress, quiet
from curation.errors import ArgumentError
from curation.formats import image_folder, registry
from curation.formats.annotations import Options
from curation.manifest import (
    MANIFEST,
    MANIFEST_VERSION,
    TREE,
    annotate,
    is_picture,
    read_manifest,
    stem_of,
    write_results,
)
from curation.rebuild import Mismatch, rebuild
from curation.splits import recipes
from curation.workspace import Workspace

__all__ = ["Mismatch", "export", "rebuild"]


def export(
    workspace: Workspace,
    split: str,
    *,
    formats: Sequence[str] = ("glt-json",),
    out: str | Path | None = None,
    link: str = "link",
    absolute: bool = False,
    zip: bool = True,
    pictures_in_zip: bool = False,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Write a split in the formats chosen, with manifest, inputs and ZIP.

    Args:
        workspace: that has the split.
        split: its name.
        formats: names of `curation.formats.registry`.
        out: folder; `exports/<split>` of the workspace when None. An earlier export there is replaced.
        link: how the format `folder` holds pictures: link (symbolic, relative), hardlink or copy.
        absolute: write absolute paths, as the original loaders want, instead of paths relative to the images' root.
        zip: also pack everything but pictures into `<split>.zip`; the same export gives the same bytes.
        pictures_in_zip: pack the pictures of the format `folder` too.
        progress: called after each format.

    Returns:
        out, zip, images, bytes, files, set_aside (pictures that were not there for the format `folder`).

    Raises:
        ArgumentError: unknown split or format, or the folder holds other files.
        CurationError: the split's inputs have changed, or the disk is full; an earlier export stays as it was.
    """
    chosen = [registry.get(name) for name in dict.fromkeys(formats)]
    if not chosen:
        raise ArgumentError(f"no format to write: choose one or more of {', '.join(registry.FORMATS)}")
    recipe, table, report = recipes.load(workspace, split)
    inputs = recipes.stored_inputs(workspace, split, recipe)
    recipes.check_inputs(recipe, inputs)
    roots = {name: root.as_posix() for name, root in workspace.roots.items()} if absolute else {}
    annotations, places = annotate(recipe, table, inputs.images, report["classes"], roots)
    options = Options(link=link, locate=lambda path: workspace.image_file(*places(path)))
    target = Path(out) if out is not None else workspace.path / "exports" / split
    with files.replacing_folder(target, check=_check_ours) as part:
        for done, kind in enumerate(chosen):
            progress(done, len(chosen) + 1, f"writing: {kind.title}")
            kind.write(annotations, part, TREE if kind.pictures else stem_of(split), options)
        write_results(part, report, files.read_table(workspace.path / "splits" / split / "left_out.parquet"))
        _write_inputs(part / "inputs", inputs, workspace.images(["image_id", "sha256"])["sha256"])
        lost = image_folder.missing(part / TREE) if (part / TREE).is_dir() else []
        manifest = _manifest(part, split, recipe, [kind.name for kind in chosen], link, roots, lost)
        files.write_json(part / MANIFEST, manifest)
        progress(len(chosen), len(chosen) + 1, "writing: ZIP")
        archive = _pack(part, f"{split}.zip", pictures_in_zip) if zip else None
    progress(len(chosen) + 1, len(chosen) + 1, "writing: done")
    return {
        "split": split,
        "out": str(target),
        "manifest": str(target / MANIFEST),
        "zip": str(target / archive) if archive else None,
        "images": len(table),
        "files": len(manifest["files"]),
        "bytes": sum(entry["bytes"] for entry in manifest["files"]),
        "set_aside": len(lost),
    }


# -- below: the parts of an export folder ----------------------------------------------------------------------------


def _check_ours(target: Path) -> None:
    """Raises ArgumentError when there are files in `target` that no export of ours put there."""
    if not target.exists():
        return
    there = sorted(p.name for p in target.iterdir()) if target.is_dir() else [target.name]
    ours: set[str] = set()
    if (target / MANIFEST).is_file():
        manifest = read_manifest(target / MANIFEST)
        ours = {PurePosixPath(entry["path"]).parts[0] for entry in manifest["files"]}
        ours |= {MANIFEST, f"{manifest['split']}.zip", TREE}
    other = [name for name in there if name not in ours]
    if other:
        raise ArgumentError(
            f"{target} holds {len(other)} files that are of no export ({other[0]!r}): choose another folder with --out"
        )


def _write_inputs(folder: Path, inputs: recipes.Inputs, sha256: pa.ChunkedArray) -> None:
    images = inputs.images.append_column("sha256", sha256.slice(0, len(inputs.images)))
    for name, table in (("images", images), ("clusters", inputs.clusters), ("excluded", inputs.excluded)):
        files.write_table(folder / f"{name}.parquet", table)


def _manifest(
    folder: Path,
    split: str,
    recipe: dict[str, Any],
    formats: list[str],
    link: str,
    roots: Mapping[str, str],
    lost: list[str],
) -> dict[str, Any]:
    listed = sorted(p for p in folder.rglob("*") if p.is_file() and not is_picture(p.relative_to(folder)))
    return {
        "manifest_version": MANIFEST_VERSION,
        "split": split,
        "formats": formats,
        "link": link,
        "roots": dict(roots),
        "recipe": recipe,
        "tools": {
            "curation": curation.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pyarrow": pa.__version__,
        },
        "missing_pictures": lost,
        "files": [
            {"path": p.relative_to(folder).as_posix(), "bytes": p.stat().st_size, "sha256": files.sha256_file(p)}
            for p in listed
        ],
    }


def _pack(folder: Path, name: str, pictures: bool) -> str:
    """A ZIP of the folder whose bytes depend on its content alone: no times, names in order."""
    members = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    with files.replacing(folder / name) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            if is_picture(member) and not pictures:
                continue
            info = zipfile.ZipInfo(member.as_posix())  # dated 1980-01-01
            info.create_system, info.external_attr = 3, 0o644 << 16
            # Pictures are compressed already.
            info.compress_type = zipfile.ZIP_STORED if is_picture(member) else zipfile.ZIP_DEFLATED
            large = (folder / member).stat().st_size > 1 << 30
            with open(folder / member, "rb") as source, archive.open(info, "w", force_zip64=large) as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
    return name
