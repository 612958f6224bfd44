"""Make the files of an export again from its own inputs, and verify every hash."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from curation import files
from curation.errors import CurationError
from curation.formats import image_folder, registry
from curation.formats.annotations import Options
from curation.manifest import MANIFEST, TREE, annotate, read_manifest, stem_of, write_results
from curation.splits import recipes
from curation.splits.digests import digest


class Mismatch(CurationError):
    """Files that are not what the manifest says; `report` is what `rebuild` would have returned."""

    def __init__(self, message: str, report: dict[str, Any]) -> None:
        super().__init__(message)
        self.report = report


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
    write_results(made, result.report, result.left_out)


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
    return digest(files.read_table(one)) == digest(files.read_table(other))


def _pictures(manifest: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Pictures of the tree that are gone or, where they were copied, changed; none when the tree came without any."""
    index = folder / TREE / image_folder.INDEX
    if TREE not in manifest["formats"] or not index.is_file() or len(list((folder / TREE).iterdir())) == 1:
        return []
    gone = set(image_folder.missing(folder / TREE)) - set(manifest.get("missing_pictures", []))
    rows = [{"path": f"{TREE}/{n}", "status": "missing", "expected": None, "found": None} for n in sorted(gone)]
    return [row | {"rebuilt": None} for row in rows]


def _keep(made: Path, folder: Path, out: Path) -> None:
    with files.replacing_folder(out) as part:
        shutil.copytree(made, part, dirs_exist_ok=True)
        shutil.copytree(folder / "inputs", part / "inputs")
        shutil.copyfile(folder / MANIFEST, part / MANIFEST)


def _say(bad: list[dict[str, Any]], total: int, broken: list[str]) -> str:
    def short(value: str | None) -> str:
        return f"{value[:12]}…" if value else "none"

    lines = [
        f"{row['path']} {row['status']} (SHA-256 {short(row['expected'])} in the manifest, "
        f"{short(row['found'])} found, {short(row['rebuilt'])} made again)"
        for row in bad[:10]
    ]
    more = f"; and {len(bad) - 10:,} more" if len(bad) > 10 else ""
    why = "; nothing could be made again, since the inputs are not intact" if broken else ""
    return f"{len(bad):,} of {total:,} files are not what the manifest says: {'; '.join(lines)}{more}{why}"
