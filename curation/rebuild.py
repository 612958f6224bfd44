"""Make the files of an export again from its own inputs, and verify every hash."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from curation import files
from curation.errors import CurationError
from curation.formats import comma_separated, image_folder, registry
from curation.formats.registry import LISTED
from curation.manifest import (
    ADDED,
    MANIFEST,
    REPORT,
    about,
    annotate,
    given,
    leads_out,
    options_of,
    read_manifest,
    write_format,
    write_results,
)
from curation.splits import inputs as inputs_of
from curation.splits import recipes
from curation.splits.digests import digest
from curation.splits.result import Result

_DETAIL = re.compile(r":| of image | \(")  # what ended the kind of a reason


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
        split, ok, changed, missing, differs, without_pictures (files with pictures that were left aside: of a format of
        which none is there, as in the ZIP of an export), set_aside (0), and under `files` each of the others with path,
        status (ok, changed, missing or differs: made again, it is another), expected, found and rebuilt (SHA-256; None
        also for files that hold pictures or were made from the workspace, which cannot be made again here).

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
        without = _came_without(content, found)
        there = [entry for entry in content["files"] if entry["path"] not in set(without)]
        rows = [_compare(entry, found[entry["path"]], folder, made, broken) for entry in there]
        rows += _loose(content, found, folder)
        if out is not None and not broken:
            _keep(content, made, folder, Path(out))
    counts = {s: sum(row["status"] == s for row in rows) for s in ("ok", "changed", "missing", "differs")}
    counts["without_pictures"] = len(without)
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
    recipe = manifest["recipe"]
    inputs = inputs_of.read(folder / "inputs", recipe)
    result = recipes.run(recipe, inputs)
    images, classes, known = inputs.images, result.report["classes"], None
    stored = files.read_table(folder / "inputs" / "images.parquet")
    if set(ADDED) <= set(stored.column_names):  # exports of earlier versions told less
        images, path = stored, folder / "inputs" / "classes.parquet"
        known = about(classes, files.read_table(path) if path.is_file() else None, inputs.class_metadata)
    annotations, _ = annotate(recipe, result.split, images, classes, manifest["roots"], about=known)
    options, version = options_of(manifest), manifest["manifest_version"]
    for name in manifest["formats"]:
        kind = registry.get(name)
        if not kind.pictures:
            write_format(kind, annotations, made, manifest["split"], options, version=version)
        elif name == "folder":
            (made / name).mkdir()
            tree = image_folder.tree(annotations, options.class_folders)
            image_folder.write_index(given(annotations, kind), made / name, tree)
    write_results(made, result.report, result.left_out)
    if version == 1:
        _report_of_before(manifest, made, result)


def _report_of_before(manifest: dict[str, Any], made: Path, result: Result) -> None:
    """Where the manifest means a report of before, count again as it was: pictures of reference sets one by one."""
    if any(e["path"] == REPORT and e["sha256"] == _sha256(made / REPORT) for e in manifest["files"]):
        return
    reasons = result.left_out["reason"].to_pylist()
    kinds = Counter(_DETAIL.split(reason, maxsplit=1)[0] for reason in reasons)
    funnel = result.report["funnel"] | {"left_out": dict(sorted(kinds.items()))}
    files.write_json(made / REPORT, result.report | {"funnel": funnel})


def _follows(entry: dict[str, Any]) -> bool:
    """Whether a file can be made from the recipe and the inputs alone."""
    return not (_is_input(entry["path"]) or entry.get("pictures") or entry.get("made_from"))


def _compare(entry: dict[str, Any], found: str | None, folder: Path, made: Path, broken: list[str]) -> dict[str, Any]:
    name, expected, follows = entry["path"], entry["sha256"], _follows(entry)
    rebuilt = _sha256(made / name) if follows else None
    status = "missing" if found is None else "changed" if found != expected else "ok"
    if follows and not broken and rebuilt != expected and status in ("ok", "missing"):
        # Another version of the Parquet library may write other bytes for the same rows.
        same = status == "ok" and name.endswith(".parquet") and rebuilt and _same_rows(folder / name, made / name)
        status = status if same else "differs"
    return {"path": name, "status": status, "expected": expected, "found": found, "rebuilt": rebuilt}


def _same_rows(one: Path, other: Path) -> bool:
    return digest(files.read_table(one)) == digest(files.read_table(other))


def _came_without(manifest: dict[str, Any], found: dict[str, str | None]) -> list[str]:
    """Files with pictures of formats of which no such file is there: the ZIP of an export has none."""
    holders = [e["path"] for e in manifest["files"] if e.get("pictures")]
    there = {name.split("/")[0] for name in holders if found[name] is not None}
    return [name for name in holders if name.split("/")[0] not in there]


def _loose(manifest: dict[str, Any], hashes: dict[str, str | None], folder: Path) -> list[dict[str, Any]]:
    """Pictures as files of their own that are gone or, where they were copied, changed; unless all are gone."""
    rows = []
    changed = {e["path"] for e in manifest["files"] if hashes[e["path"]] not in (None, e["sha256"])}
    for kind in (registry.get(name) for name in manifest["formats"]):
        if not kind.loose or f"{kind.name}/{LISTED}" in changed:  # a list that is another is reported as such
            continue
        place = folder / kind.name
        listed = _listed(place, manifest)
        found = {name: (place / name).is_file() for name in listed}
        if not any(found.values()):
            continue
        for name, expected in listed.items():
            sha256 = files.sha256_file(place / name) if expected and found[name] else None
            status = "missing" if not found[name] else "changed" if sha256 != expected else "ok"
            rows.append({"path": f"{kind.name}/{name}", "status": status, "expected": expected, "found": sha256})
    return [row | {"rebuilt": None} for row in rows if row["status"] != "ok"]


def _listed(folder: Path, manifest: dict[str, Any]) -> dict[str, str | None]:
    """SHA-256 of the loose pictures of a format, None of links."""
    if (folder / LISTED).is_file():
        table = files.read_table(folder / LISTED, columns=["file", "sha256"])
        pairs = zip(table["file"].to_pylist(), table["sha256"].to_pylist(), strict=True)
        return {file: sha256 for file, sha256 in pairs if not leads_out(file)}
    # Exports of earlier versions have the format `folder` only, and no list.
    if not (folder / image_folder.INDEX).is_file():
        return {}
    gone = manifest.get("missing_pictures", [])
    names = comma_separated.read_table(folder / image_folder.INDEX)["file"].to_pylist()
    return {file: None for file in names if file not in gone and not leads_out(file)}


def _keep(content: dict[str, Any], made: Path, folder: Path, out: Path) -> None:
    with files.replacing_folder(out) as part:
        shutil.copytree(made, part, dirs_exist_ok=True)
        shutil.copytree(folder / "inputs", part / "inputs")
        shutil.copyfile(folder / MANIFEST, part / MANIFEST)
        for name in (e["path"] for e in content["files"] if e.get("made_from")):
            if (folder / name).is_file():
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, part / name)


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
