"""Pictures of a pair or group for the browser: of this workspace and of reference sets; probes look like the others."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from curation import judgements, references
from curation.ui.components import base
from curation.workspace import Workspace


class Sources:
    """The sets that pictures come from: the workspace itself ('') and its reference sets that have any, by name.

    Attributes:
        images: their picture URLs with `{size}` and `{id}` in them, by name; a picture names its own as `source`.
    """

    def __init__(self, workspace: Workspace) -> None:
        there = references.listing(workspace)
        self.sets = {"": workspace} | {name: source for name, source in there.items() if source.images_path.is_file()}
        self.images = {name: self._url(workspace, name) for name in self.sets}

    def _url(self, workspace: Workspace, name: str) -> str:
        own = base.urls(workspace)["image"]
        if not name:
            return own
        front = f"/img/{workspace.key}/"
        return f"{front}{name}/{own.removeprefix(front).partition('?')[0]}?v={self.sets[name].version()}"

    def rows(self, name: str, ids: np.ndarray) -> dict[int, dict[str, Any]]:
        """What is known of some pictures of a set, by id: id, source, name (its path), class, width, height."""
        ids = np.unique(ids)
        if name not in self.sets:  # a reference set that was taken away since, or has no pictures
            return {i: self._row(name, i, "", "", 0, 0) for i in ids.tolist()}
        table = base.image_rows(self.sets[name], ids)
        columns = [table[c].to_pylist() for c in ("path", "class_name", "width", "height")]
        return {i: self._row(name, i, *row) for i, *row in zip(ids.tolist(), *columns, strict=True)}

    def _row(self, name: str, i: int, path: str, class_name: str, width: int, height: int) -> dict[str, Any]:
        return {"id": i, "source": name, "name": path, "class": class_name, "width": width, "height": height}

    def lookup(self, names: Sequence[str], ids: np.ndarray) -> Callable[[str, int], dict[str, Any]]:
        """A function of (set, id) that gives a copy of such a row, for the pictures named."""
        names = np.asarray(names, object)
        known = {name: self.rows(name, ids[names == name]) for name in dict.fromkeys(names.tolist())}
        return lambda name, i: dict(known[name][i])


def disguised(probe: Mapping[str, Any], partner: Mapping[str, Any]) -> dict[str, Any]:
    """A planted probe as a picture of its partner's class and set, under a file name made after its partner's.

    Digits are replaced by digits and letters of a hexadecimal name by such letters, always by the same ones.
    """
    path = PurePosixPath(partner["name"])
    draw = iter(hashlib.sha256(f"{partner['name']} {probe['id']}".encode()).digest() * 16)
    letters = "0123456789abcdef" if re.fullmatch(r"[0-9a-fA-F-]{8,}", path.stem) else "0123456789"
    stem = "".join(letters[next(draw) % len(letters)] if c.lower() in letters else c for c in path.stem)
    if stem == path.stem:
        stem = f"{stem}_{next(draw):03d}"
    told = {key: partner[key] for key in ("class", "set") if key in partner}
    return dict(probe) | told | {"name": str(path.with_name(stem + path.suffix))}


def parts_of(subject: str) -> tuple[int, str, int] | None:
    """Image, reference set and other image of a ledger subject; None where it is about no pair."""
    found = re.fullmatch(judgements.SUBJECT, subject)
    return (int(found["a"]), found["reference"] or "", int(found["b"])) if found else None
