"""Splits as files for other programs, with all that it takes to make them again.

An export is a folder: the annotation files, a folder for each format that is one, report.json and left_out.parquet, a
datasheet, `inputs/` (the tables that the split was carved from), manifest.json (recipe, seeds, backbone, hashes), and a
ZIP of all these. It can be moved anywhere; `rebuild` needs nothing else.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from curation import datasheet, files, manifest
from curation.engine import Progress, quiet
from curation.errors import ArgumentError, CurationError
from curation.formats import image_folder, loose_pictures, registry
from curation.formats.annotations import AnnotationSet, Options
from curation.formats.registry import LISTED, Format
from curation.manifest import MANIFEST, MANIFEST_VERSION, OPTIONS, format_of, is_picture, read_manifest, write_results
from curation.rebuild import Mismatch, rebuild
from curation.splits import inputs as inputs_of
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
    class_folders: str = "name",
    max_ram: float | None = None,
    concatenate: bool = False,
    shard_images: int = 10_000,
    absolute: bool = False,
    zip: bool = True,
    pictures_in_zip: bool = False,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Write a split in the formats chosen, with datasheet, manifest, inputs and ZIP.

    Args:
        workspace: that has the split.
        split: its name.
        formats: names of `curation.formats.registry`.
        out: folder; `exports/<split>` of the workspace when None. An earlier export there is replaced.
        link: how formats of loose pictures hold them: link (symbolic, relative), hardlink or copy.
        class_folders, max_ram, concatenate, shard_images: as for `Options`.
        absolute: write absolute paths, as the original loaders want, instead of paths relative to the images' root.
        zip: also pack everything but pictures into `<split>.zip`; the same export gives the same bytes.
        pictures_in_zip: pack the pictures too.
        progress: called after each format, and by those with pictures while they are written.

    Returns:
        split, out, manifest, zip, images, bytes, files; refused (formats that cannot hold the split, with the reason,
        where another can); set_aside (these, and pictures that were not there for formats that hold them);
        newer_revision, the latest under the split's name where this is an earlier one.

    Raises:
        ArgumentError: unknown split or format, an option that cannot be, none of the formats can hold the split, or the
            folder holds other files.
        CurationError: the split's inputs have changed, or the disk is full; an earlier export stays as it was.
    """
    chosen = [registry.get(name) for name in dict.fromkeys(formats)]
    if not chosen:
        raise ArgumentError(f"no format to write: choose one or more of {', '.join(registry.FORMATS)}")
    if class_folders not in image_folder.CLASS_FOLDERS or link not in loose_pictures.LINKS:
        told = f"{', '.join(image_folder.CLASS_FOLDERS)}; {', '.join(loose_pictures.LINKS)}"
        raise ArgumentError(f"unknown class folders {class_folders!r} or link {link!r}: choose of {told}")
    content = _content(workspace, split, absolute)
    options = Options(
        link=link,
        locate=lambda path: workspace.image_file(*content.places(path)),
        class_folders=class_folders,
        max_ram=max_ram,
        concatenate=concatenate,
        shard_images=shard_images,
    )
    target = Path(out) if out is not None else workspace.path / "exports" / split
    with files.replacing_folder(target, check=_check_ours) as part:
        lost, refused = _write_formats(chosen, content, part, split, options, progress)
        _write_others(workspace, content, part, split)
        names = [kind.name for kind in chosen if kind.name not in refused]
        written = _manifest(part, split, content, names, lost, options)
        files.write_json(part / MANIFEST, written)
        progress(len(chosen), len(chosen) + 1, "writing: ZIP")
        archive = _pack(part, f"{split}.zip", pictures_in_zip) if zip else None
    progress(len(chosen) + 1, len(chosen) + 1, "writing: done")
    latest = recipes.revisions(workspace, split)[-1]
    return {
        "split": split,
        "out": str(target),
        "manifest": str(target / MANIFEST),
        "zip": str(target / archive) if archive else None,
        "images": len(content.annotations.table),
        "files": len(written["files"]),
        "bytes": sum(entry["bytes"] for entry in written["files"]),
        "set_aside": len(lost) + len(refused),
        **({"refused": [{"format": name, "reason": why} for name, why in refused.items()]} if refused else {}),
    } | ({"newer_revision": latest} if latest != split else {})


# -- below: the parts of an export folder ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Content:
    """What an export says: `tables` are its inputs, `places` gives (root, relative path) of a path of `annotations`."""

    recipe: dict[str, Any]
    report: dict[str, Any]
    tables: dict[str, pa.Table]
    roots: dict[str, str]
    annotations: AnnotationSet
    places: Callable[[str], tuple[str, str]]


def _content(workspace: Workspace, split: str, absolute: bool) -> _Content:
    recipe, table, report = recipes.load(workspace, split)
    if not (workspace.path / "splits" / split / "images.parquet").is_file():
        raise CurationError(
            f"the split {split!r} was saved by an earlier version, without the images that it was made from "
            f"({workspace.path / 'splits' / split / 'images.parquet'} does not exist): save it again"
        )
    inputs = inputs_of.stored(workspace, split, recipe)
    inputs_of.check(recipe, inputs)
    tables = _tables(workspace, inputs)
    roots = {name: root.as_posix() for name, root in workspace.roots.items()} if absolute else {}
    about = manifest.about(report["classes"], tables.get("classes"), inputs.class_metadata)
    annotations, places = manifest.annotate(recipe, table, tables["images"], report["classes"], roots, about=about)
    return _Content(recipe, report, tables, roots, annotations, places)


def _write_formats(
    chosen: Sequence[Format], content: _Content, folder: Path, split: str, options: Options, progress: Progress
) -> tuple[list[str], dict[str, str]]:
    """Write the annotations in every format that can hold them.

    Returns:
        Paths of pictures that were gone; and the formats that refused, with what they said.
    """
    lost: set[str] = set()
    refused: dict[str, str] = {}
    for done, kind in enumerate(chosen):
        tell = _within(progress, done, len(chosen) + 1, f"writing: {kind.title}")
        tell(0, 0, "")
        before = {*folder.iterdir()}
        try:
            manifest.write_format(kind, content.annotations, folder, split, replace(options, progress=tell))
        except ArgumentError as error:
            if len(refused) + 1 == len(chosen):  # nothing can be written
                raise
            refused[kind.name] = str(error)
            for path in {*folder.iterdir()} - before:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            continue
        lost.update(_finish(kind, folder / kind.name, options.link) if kind.pictures else ())
    return sorted(lost), refused


def _write_others(workspace: Workspace, content: _Content, folder: Path, split: str) -> None:
    """Report, what was left out, datasheet and inputs."""
    left_out = files.read_table(workspace.path / "splits" / split / "left_out.parquet")
    write_results(folder, content.report, left_out)
    datasheet.write(datasheet.datasheet(workspace, split), folder)
    for name, table in content.tables.items():
        files.write_table(folder / "inputs" / f"{name}.parquet", table)


def _within(progress: Progress, done: int, total: int, title: str) -> Progress:
    """The progress of one format as a message of the whole."""

    def tell(pictures: int, of: int, _message: str) -> None:
        progress(done, total, f"{title}, {pictures:,} of {of:,} pictures" if of else title)

    return tell


def _tables(workspace: Workspace, inputs: inputs_of.Inputs) -> dict[str, pa.Table]:
    """The tables that the split was made from, and what formats tell beyond: more columns of `images`, `classes`."""
    found = inputs.tables()
    more = workspace.images(list(manifest.ADDED)).slice(0, len(inputs.images))
    for name in manifest.ADDED:
        found["images"] = found["images"].append_column(more.schema.field(name), more[name])
    if (workspace.path / "classes.parquet").is_file():
        found["classes"] = workspace.classes()
    return found


def _check_ours(target: Path) -> None:
    """Raises ArgumentError when there are files in `target` that no export of ours put there."""
    if not target.exists():
        return
    there = sorted(p.name for p in target.iterdir()) if target.is_dir() else [target.name]
    ours: set[str] = set()
    if (target / MANIFEST).is_file():
        earlier = read_manifest(target / MANIFEST)
        ours = {PurePosixPath(entry["path"]).parts[0] for entry in earlier["files"]}
        ours |= {MANIFEST, f"{earlier['split']}.zip", *earlier["formats"]}
    other = [name for name in there if name not in ours]
    if other:
        raise ArgumentError(
            f"{target} holds {len(other)} files that are of no export ({other[0]!r}): choose another folder with --out"
        )


def _finish(kind: Format, folder: Path, link: str) -> list[str]:
    """List the pictures of `folder` that are files of their own; returns the paths of those that were gone."""
    if kind.loose:
        names = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
        names = [name for name in names if not kind.is_text(name)]
        # Links lead to pictures of whose bytes the inputs have the hashes.
        sha256 = [files.sha256_file(folder / name) if link == "copy" else None for name in names]
        columns = {
            "file": pa.array([n.as_posix() for n in names], pa.string()),
            "sha256": pa.array(sha256, pa.string()),
        }
        files.write_table(folder / LISTED, pa.table(columns))
    return manifest.missing(kind, folder)


def _manifest(
    folder: Path, split: str, content: _Content, formats: list[str], lost: list[str], options: Options
) -> dict[str, Any]:
    names = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return {
        "manifest_version": MANIFEST_VERSION,
        "split": split,
        "formats": formats,
        "roots": content.roots,
        "recipe": content.recipe,
        "tools": manifest.tools(),
        "missing_pictures": lost,
        "files": [_entry(folder, name) for name in names if not (is_picture(name) and format_of(name).loose)],
        "link": options.link,
        "options": {name: getattr(options, name) for name in OPTIONS if name != "link"},
    }


def _entry(folder: Path, name: Path) -> dict[str, Any]:
    path = folder / name
    entry = {"path": name.as_posix(), "bytes": path.stat().st_size, "sha256": files.sha256_file(path)}
    if is_picture(name):
        return entry | {"pictures": True}
    return entry | ({"made_from": source} if (source := manifest.made_from(name)) else {})


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
