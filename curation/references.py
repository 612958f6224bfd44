"""Reference sets: other people's pictures that this workspace is compared with, opened where they lie.

`references.json` names each set and the workspace that holds it: an outside workspace by its full path, or one inside
`references/` (made from a plain folder of pictures) by a path relative to this workspace, so that copies take it along.
Nothing is ever written to an outside workspace: what is made from a reference set is kept in the workspace that
compares itself with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curation import arrays, files
from curation.errors import ArgumentError, CurationError
from curation.judgements import PROBES
from curation.workspace import Workspace

FILE, FOLDER = "references.json", "references"


def listing(workspace: Workspace) -> dict[str, Workspace]:
    """The reference sets that are in their place, by name in byte order; `missing` tells of the others."""
    return {name: found for name in paths(workspace) if isinstance(found := _found(workspace, name), Workspace)}


def missing(workspace: Workspace) -> dict[str, str]:
    """Reference sets that cannot be opened, and why, with what to do."""
    return {name: str(found) for name in paths(workspace) if isinstance(found := _found(workspace, name), Exception)}


def open_image_source(workspace: Workspace, name: str) -> Workspace:
    """The workspace that holds the pictures of reference set `name`; `workspace` itself where the name is ''.

    Raises:
        ArgumentError: there is no reference set of that name.
        CurationError: it is not where it was.
    """
    if not name:
        return workspace
    if name not in (known := paths(workspace)):
        raise ArgumentError(f"there is no reference set {name!r} (there are: {', '.join(known) or 'none yet'})")
    found = _found(workspace, name)
    if isinstance(found, Exception):
        raise found
    return found


def state(source: Workspace) -> dict[str, Any]:
    """What a search saw of a reference set: another value as soon as any of its pictures is another."""
    images = source.images(arrays.INPUT_COLUMNS)
    digests = arrays.input_digests(images, {"shard_rows": max(1, len(images))})
    return {"workspace": source.id, "images": len(images), "sha256": digests[0] if digests else None}


def paths(workspace: Workspace) -> dict[str, Path]:
    """Where each reference set is expected, by name in byte order, whether it is there or not.

    Raises:
        CurationError: `references.json` is damaged.
    """
    file = workspace.path / FILE
    if not file.is_file():
        return {}
    known = files.read_json(file)
    if not isinstance(known, dict) or not all(isinstance(path, str) for path in known.values()):
        raise CurationError(f"{file} does not name folders by reference set: mend it, or remove it and add them again")
    names = sorted(known, key=lambda name: files.check_name(name, f"{file}: the reference set").encode())
    return {name: workspace.path / known[name] for name in names}


def register(workspace: Workspace, path: str | Path, *, name: str | None = None, probes: bool = False) -> str:
    """Compare `workspace` with the workspace at `path` from now on; it is only read, never written to.

    A set that has moved is registered again under its old name.

    Args:
        name: of the reference set; the folder's name when None.
        probes: register the planted probes, whose name nothing else may have.

    Returns:
        The name.

    Raises:
        ArgumentError: the name cannot be used, or is that of another set; `path` is this workspace.
        CurationError: `path` is no workspace.
    """
    path = Path(path).resolve()
    name = check_name(path.name if name is None else name, probes=probes)
    if path == workspace.path:
        raise ArgumentError(f"{path} is this workspace: its own images are compared with each other already")
    there = Workspace(path)
    known = paths(workspace)
    if name in known and known[name] != path and name in (sets := listing(workspace)) and sets[name].id != there.id:
        raise ArgumentError(f"reference set {name!r} is {known[name]}, not {path}: choose another name")
    _write(workspace, known | {name: path})
    return name


def forget(workspace: Workspace, name: str) -> None:
    """Take a reference set off the list; its files, and what was decided about it, stay.

    Raises:
        ArgumentError: there is no reference set of that name.
    """
    known = paths(workspace)
    if name not in known:
        raise ArgumentError(f"there is no reference set {name!r} (there are: {', '.join(known) or 'none yet'})")
    del known[name]
    _write(workspace, known)


def folder(workspace: Workspace, name: str) -> Path:
    """What this workspace keeps of reference set `name`: the inner workspace of a folder of pictures, or the probes."""
    return workspace.path / FOLDER / name


def inner(workspace: Workspace, name: str) -> Path:
    """Where the inner workspace lies that reads in a folder of pictures, or the planted probes."""
    # The probes' own folder holds their pictures and their truth, and a new workspace wants an empty folder.
    return folder(workspace, name) / "workspace" if name == PROBES else folder(workspace, name)


def check_name(name: str, *, probes: bool = False) -> str:
    """Return `name` when a reference set can have it.

    Raises:
        ArgumentError: it is no safe file name, or the one kept for planted probes.
    """
    files.check_name(name, "the name of the reference set")
    if (name == PROBES) != probes:
        raise ArgumentError(f"the name {PROBES!r} is kept for planted probes: choose another name")
    return name


def _found(workspace: Workspace, name: str) -> Workspace | CurationError:
    path = paths(workspace)[name]
    try:
        found = Workspace(path)
        if name == PROBES:  # their pictures move with this workspace
            found.meta["roots"] = {"images": (folder(workspace, name) / "pictures").as_posix()}
        return found
    except CurationError as error:
        gone = "is not there" if not path.exists() else f"cannot be opened ({error})"
        return CurationError(
            f"reference set {name!r} {gone}: {path}; is its disk there? If it has moved, add it again from its new "
            f"place as {name!r}; if it is gone for good, take it off the list"
        )


def _write(workspace: Workspace, known: dict[str, Path]) -> None:
    value = {}
    for name in sorted(known, key=str.encode):
        path = known[name]
        inside = path.is_relative_to(workspace.path)
        value[name] = (path.relative_to(workspace.path) if inside else path).as_posix()
    files.write_json(workspace.path / FILE, value)
