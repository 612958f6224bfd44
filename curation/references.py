"""Reference sets: other people's pictures that this workspace is compared with, opened where they lie.

`references.json` names each set and the workspace that holds it: an outside workspace by its full path, or one inside
`references/` (made from a plain folder of pictures) by a path relative to this workspace, so that copies take it along.
It keeps the workspace's id too, also of a set that was taken off the list: what people said about pairs with a set is
about the pictures of that workspace, and another one under its name would have them say it about others.
Nothing is ever written to an outside workspace: what is made from a reference set is kept in the workspace that
compares itself with it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from curation import arrays, files, policies
from curation.errors import ArgumentError, CurationError
from curation.judgements import KINDS, PROBES
from curation.workspace import Workspace

FILE, FOLDER = "references.json", "references"
SPLITS = ("train", "val", "test")
"""Names that a split of any workspace may have, so that no reference set has them."""


class _Known(NamedTuple):
    """A set of the list: where it is expected, None once it was taken off; the workspace's id, None where not known."""

    path: Path | None
    workspace: str | None


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
    return {name: known.path for name, known in _read(workspace).items() if known.path is not None}


def register(workspace: Workspace, path: str | Path, *, name: str | None = None, probes: bool = False) -> str:
    """Compare `workspace` with the workspace at `path` from now on; it is only read, never written to.

    A set that has moved is registered again under its old name. The name of a set stays with its workspace for as long
    as it is on the list, or people's verdicts speak of it.

    Args:
        name: of the reference set; `default_name` when None.
        probes: register the planted probes, whose name nothing else may have.

    Returns:
        The name.

    Raises:
        ArgumentError: the name cannot be used, or is or was that of another set; `path` is this workspace.
        CurationError: `path` is no workspace.
    """
    path = Path(path).resolve()
    name = check_name(workspace, default_name(workspace, path) if name is None else name, probes=probes)
    if path == workspace.path:
        raise ArgumentError(f"{path} is this workspace: its own images are compared with each other already")
    there = Workspace(path)
    check_same(workspace, name, there)
    _write(workspace, _read(workspace) | {name: _Known(path, there.id)})
    return name


def forget(workspace: Workspace, name: str) -> None:
    """Take a reference set off the list; its files, and what was decided about it, stay.

    Raises:
        ArgumentError: there is no reference set of that name.
    """
    if name not in (listed := paths(workspace)):
        raise ArgumentError(f"there is no reference set {name!r} (there are: {', '.join(listed) or 'none yet'})")
    known, found = _read(workspace), _found(workspace, name)
    kept = known.pop(name).workspace or (found.id if isinstance(found, Workspace) else None)
    _write(workspace, known | ({name: _Known(None, kept)} if kept and name != PROBES else {}))


def folder(workspace: Workspace, name: str) -> Path:
    """What this workspace keeps of reference set `name`: the inner workspace of a folder of pictures, or the probes."""
    return workspace.path / FOLDER / name


def inner(workspace: Workspace, name: str) -> Path:
    """Where the inner workspace lies that reads in a folder of pictures, or the planted probes."""
    # The probes' own folder holds their pictures and their truth, and a new workspace wants an empty folder.
    return folder(workspace, name) / "workspace" if name == PROBES else folder(workspace, name)


def default_name(workspace: Workspace, path: Path) -> str:
    """The name of the set at `path`: its folder's, with its parent's before it where a split has that name."""
    if path.name not in _splits(workspace):
        return path.name
    longer = f"{path.parent.name}-{path.name}"
    return longer if files.NAME.fullmatch(longer) else files.slug(longer)


def check_name(workspace: Workspace, name: str, *, probes: bool = False) -> str:
    """Return `name` when a reference set of `workspace` can have it.

    Raises:
        ArgumentError: it is no safe file name, the one kept for planted probes, or that of a split.
    """
    files.check_name(name, "the name of the reference set")
    if (name == PROBES) != probes:
        raise ArgumentError(f"the name {PROBES!r} is kept for planted probes: choose another name")
    if name in _splits(workspace):
        raise ArgumentError(
            f"a reference set cannot be called {name!r}, as splits are: pairs with it would be taken for pairs within "
            "that split; choose another name"
        )
    return name


def check_same(workspace: Workspace, name: str, there: Workspace) -> None:
    """Check that reference set `name` is `there`, or is none and no verdict speaks of one.

    Raises:
        ArgumentError: it is, or was, another workspace.
    """
    known = _read(workspace).get(name)
    if known is None or name == PROBES:
        return
    if known.path is None:
        if known.workspace != there.id and (said := _spoken_of(workspace, name)):
            raise ArgumentError(
                f"{said:,} verdicts are about the reference set {name!r} that was workspace {known.workspace}, and "
                f"{there.path} is workspace {there.id}: choose another name"
            )
        return
    found = _found(workspace, name)
    old = known.workspace or (found.id if isinstance(found, Workspace) else there.id)
    if old != there.id:
        raise ArgumentError(
            f"reference set {name!r} is {known.path} (workspace {old}), not {there.path} (workspace {there.id}): "
            f"choose another name, or take {name!r} off the list first"
        )


def _splits(workspace: Workspace) -> set[str]:
    """Names of splits: those that are always kept, and those of the workspace's source."""
    return {*SPLITS, *(policies.source_splits(workspace) if workspace.images_path.is_file() else ())}


def _spoken_of(workspace: Workspace, name: str) -> int:
    """How many verdicts stand about pairs with reference set `name`."""
    return int(workspace.ledger.standing(KINDS)["subject"].str.fullmatch(f"[0-9]+-{re.escape(name)}:[0-9]+").sum())


def _found(workspace: Workspace, name: str) -> Workspace | CurationError:
    known = _read(workspace)[name]
    path = known.path
    try:
        found = Workspace(path)
        if name == PROBES:  # their pictures move with this workspace
            found.meta["roots"] = {"images": (folder(workspace, name) / "pictures").as_posix()}
        elif known.workspace not in (None, found.id):
            return CurationError(
                f"reference set {name!r} was workspace {known.workspace}, and {path} is workspace {found.id} now: put "
                f"the old one back, or take {name!r} off the list and add this one by another name"
            )
        return found
    except CurationError as error:
        gone = "is not there" if not path.exists() else f"cannot be opened ({error})"
        return CurationError(
            f"reference set {name!r} {gone}: {path}; is its disk there? If it has moved, add it again by "
            f"`--reference {name}=PATH`; if it is gone for good, take it off the list by `--forget {name}`"
        )


def _read(workspace: Workspace) -> dict[str, _Known]:
    """The list, by name in byte order, with the sets that were taken off it. Raises as `paths` does."""
    file = workspace.path / FILE
    if not file.is_file():
        return {}
    listed = files.read_json(file)
    whole = [_entry(value) for value in listed.values()] if isinstance(listed, dict) else [None]
    if None in whole:
        raise CurationError(f"{file} does not name folders by reference set: mend it, or remove it and add them again")
    known = dict(zip(listed, whole, strict=True))
    names = sorted(known, key=lambda name: files.check_name(name, f"{file}: the reference set").encode())
    return {n: known[n]._replace(path=None if known[n].path is None else workspace.path / known[n].path) for n in names}


def _entry(value: Any) -> _Known | None:
    """An entry of the list: a path and an id, or the path alone (of earlier versions). None when it is neither."""
    value = {"path": value, "workspace": None} if isinstance(value, str) else value
    if not isinstance(value, dict) or set(value) != {"path", "workspace"}:
        return None
    path, made = value["path"], value["workspace"]
    if not all(isinstance(part, str | None) for part in (path, made)) or (path is None and made is None):
        return None
    return _Known(None if path is None else Path(path), made)


def _write(workspace: Workspace, known: dict[str, _Known]) -> None:
    value: dict[str, Any] = {}
    for name in sorted(known, key=str.encode):
        path, made = known[name]
        if path is not None and path.is_relative_to(workspace.path):
            path = path.relative_to(workspace.path)
        value[name] = {"path": None if path is None else path.as_posix(), "workspace": made}
    files.write_json(workspace.path / FILE, value)
