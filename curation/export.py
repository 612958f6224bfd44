"""Splits as files for other programs, with all that it takes to make them again.

An export is a folder: the annotation files, report.json and left_out.parquet, `inputs/` (the tables that the split was
carved from), manifest.json (recipe, seeds, backbone, hashes), and a ZIP of all these. It can be moved anywhere;
`rebuild` needs nothing else.
"""

from __future__ import annotations

import platform
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import curation
from curation import files
from curation.engine import Progress, quiet
from curation.errors import ArgumentError, CurationError
from curation.formats import image_folder, registry
from curation.formats.annotations import AnnotationSet, Options, annotation_table, names_of, replacing_folder
from curation.splits import recipes
from curation.workspace import Workspace

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
TREE = "folder"
_OWN = ("manifest", "report", "left_out")


class Mismatch(CurationError):
    """Files that are not what the manifest says; `report` is what `rebuild` would have returned."""

    def __init__(self, message: str, report: dict[str, Any]) -> None:
        super().__init__(message)
        self.report = report


def export(
    workspace: Workspace,
    split: str,
    *,
    formats: Sequence[str] = ("glt-json",),
    out: str | Path | None = None,
    link: str = "link",
    absolute: bool = False,
    zip: bool = True,  # noqa: A002
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
    with _replacing_export(target) as part:
        for done, kind in enumerate(chosen):
            progress(done, len(chosen) + 1, f"{kind.title}")
            kind.write(annotations, part, TREE if kind.pictures else stem_of(split), options)
        _write_results(part, report, files.read_table(workspace.path / "splits" / split / "left_out.parquet"))
        _write_inputs(part / "inputs", inputs, workspace.images(["image_id", "sha256"])["sha256"])
        lost = image_folder.missing(part / TREE) if (part / TREE).is_dir() else []
        manifest = _manifest(part, split, recipe, [kind.name for kind in chosen], link, roots, lost)
        files.write_json(part / MANIFEST, manifest)
        progress(len(chosen), len(chosen) + 1, "ZIP")
        archive = _pack(part, f"{split}.zip", pictures_in_zip) if zip else None
    progress(len(chosen) + 1, len(chosen) + 1, "done")
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


def annotate(
    recipe: Mapping[str, Any], table: pa.Table, images: pa.Table, classes: Sequence[str], roots: Mapping[str, str]
) -> tuple[AnnotationSet, Any]:
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


# -- below: the parts of an export folder -------------------------------------------------------------------------------


@contextmanager
def _replacing_export(target: Path) -> Iterator[Path]:
    """A new folder that takes the place of an earlier export; other people's files are never touched.

    Raises:
        ArgumentError: there are files in `target` that no export of ours put there.
    """
    _check_ours(target)
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        with replacing_folder(fresh) as part:
            yield part
        if target.exists():
            shutil.rmtree(target)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _check_ours(target: Path) -> None:
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


def _write_results(folder: Path, report: dict[str, Any], left_out: pa.Table) -> None:
    files.write_json(folder / "report.json", report)
    files.write_table(folder / "left_out.parquet", left_out)


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
    listed = sorted(p for p in folder.rglob("*") if p.is_file() and not _is_picture(p.relative_to(folder)))
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


def _is_picture(path: Path) -> bool:
    return path.parts[0] == TREE and path.parts != (TREE, image_folder.INDEX)


def _pack(folder: Path, name: str, pictures: bool) -> str:
    """A ZIP of the folder whose bytes depend on its content alone: no times, names in order."""
    members = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    with files.replacing(folder / name) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            if _is_picture(member) and not pictures:
                continue
            info = zipfile.ZipInfo(member.as_posix())  # dated 1980-01-01
            info.create_system, info.external_attr = 3, 0o644 << 16
            # Pictures are compressed already.
            info.compress_type = zipfile.ZIP_STORED if _is_picture(member) else zipfile.ZIP_DEFLATED
            large = (folder / member).stat().st_size > 1 << 30
            with open(folder / member, "rb") as source, archive.open(info, "w", force_zip64=large) as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
    return name


# -- rebuild ------------------------------------------------------------------------------------------------------------


def rebuild(manifest: str | Path, *, out: str | Path | None = None) -> dict[str, Any]:
    """Make the files of an export again from its own inputs, and verify every SHA-256.

    Args:
        manifest: `manifest.json` of an export, wherever it lies now.
        out: keep the files made again in this new folder; then files that the export has lost do no harm.

    Returns:
        split, ok, changed, missing, set_aside (0), and under `files` each with path, status (ok, changed, missing or
        differs: made again, it is another), expected, found and rebuilt (SHA-256 or None).

    Raises:
        CurationError: no such manifest.
        Mismatch: a file is not what the manifest says.
    """
    path = Path(manifest)
    path = path / MANIFEST if path.is_dir() else path
    content, folder = read_manifest(path), path.parent
    found = {e["path"]: _sha256(folder / e["path"]) for e in content["files"]}
    broken = [e["path"] for e in content["files"] if _is_input(e["path"]) and found[e["path"]] != e["sha256"]]
    with tempfile.TemporaryDirectory(prefix="rebuild-") as temporary:
        made = Path(temporary)
        if not broken:
            _make_again(content, folder, made)
        rows = [_compare(entry, found[entry["path"]], folder, made, broken) for entry in content["files"]]
        rows += _pictures(content, folder)
        if out is not None and not broken:
            _keep(made, folder, Path(out))
    counts = {s: sum(row["status"] == s for row in rows) for s in ("ok", "changed", "missing", "differs")}
    report = {"split": content["split"], **counts, "set_aside": 0, "files": rows, "out": str(out) if out else None}
    harmless = ("ok", "missing") if out is not None and not broken else ("ok",)
    bad = [row for row in rows if row["status"] not in harmless]
    if bad:
        raise Mismatch(_say(bad, len(rows), broken), report)
    return report


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


def _leads_out(name: str) -> bool:
    place = PurePosixPath(name)
    return not name or place.is_absolute() or ".." in place.parts or "\\" in name or "\0" in name


def _is_input(name: str) -> bool:
    return name.startswith("inputs/")


def _sha256(path: Path) -> str | None:
    return files.sha256_file(path) if path.is_file() else None


def _make_again(manifest: dict[str, Any], folder: Path, made: Path) -> None:
    """Run the recipe on the export's inputs and write all files that follow from it."""
    recipe, split = manifest["recipe"], manifest["split"]
    tables = {name: files.read_table(folder / "inputs" / f"{name}.parquet") for name in ("clusters", "excluded")}
    images = files.read_table(folder / "inputs" / "images.parquet").select(recipes.IMAGE_COLUMNS)
    result = recipes.run(recipe, recipes.Inputs(images, **tables))
    annotations, _ = annotate(recipe, result.split, images, result.report["classes"], manifest["roots"])
    for name in manifest["formats"]:
        kind = registry.get(name)
        if kind.pictures:
            (made / TREE).mkdir()
            image_folder.write_index(annotations, made / TREE)
        else:
            kind.write(annotations, made, stem_of(split), Options())
    _write_results(made, result.report, result.left_out)


def _compare(entry: dict[str, Any], found: str | None, folder: Path, made: Path, broken: list[str]) -> dict[str, Any]:
    name, expected = entry["path"], entry["sha256"]
    rebuilt = None if _is_input(name) else _sha256(made / name)
    status = "missing" if found is None else "changed" if found != expected else "ok"
    if not _is_input(name) and not broken and rebuilt != expected and status in ("ok", "missing"):
        # Another version of the Parquet library may write other bytes for the same rows.
        same = status == "ok" and name.endswith(".parquet") and rebuilt and _same_rows(folder / name, made / name)
        status = status if same else "differs"
    return {"path": name, "status": status, "expected": expected, "found": found, "rebuilt": rebuilt}


def _same_rows(one: Path, other: Path) -> bool:
    return recipes.digest(files.read_table(one)) == recipes.digest(files.read_table(other))


def _pictures(manifest: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Pictures of the tree that are gone or, where they were copied, changed; none when the tree came without any."""
    index = folder / TREE / image_folder.INDEX
    if TREE not in manifest["formats"] or not index.is_file() or len(list((folder / TREE).iterdir())) == 1:
        return []
    gone = set(image_folder.missing(folder / TREE)) - set(manifest.get("missing_pictures", []))
    rows = [{"path": f"{TREE}/{n}", "status": "missing", "expected": None, "found": None} for n in sorted(gone)]
    return [row | {"rebuilt": None} for row in rows]


def _keep(made: Path, folder: Path, out: Path) -> None:
    with replacing_folder(out) as part:
        shutil.copytree(made, part, dirs_exist_ok=True)
        shutil.copytree(folder / "inputs", part / "inputs")
        shutil.copyfile(folder / MANIFEST, part / MANIFEST)


def _say(bad: list[dict[str, Any]], total: int, broken: list[str]) -> str:
    def short(value: str | None) -> str:
        return f"{value[:12]}…" if value else "none"

    lines = [
        f"{row['path']} {row['status']} (SHA-256 {short(row['expected'])} in the manifest, {short(row['found'])} found, "
        f"{short(row['rebuilt'])} made again)"
        for row in bad[:10]
    ]
    more = f"; and {len(bad) - 10:,} more" if len(bad) > 10 else ""
    why = "; nothing could be made again, since the inputs are not intact" if broken else ""
    return f"{len(bad):,} of {total:,} files are not what the manifest says: {'; '.join(lines)}{more}{why}"
