"""Images by the names that other people's files use, also such as the workspace has never seen."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curation import files, references
from curation.errors import CurationError
from curation.survivors import components
from curation.survivors.graph import names_of, paths_of
from curation.workspace import CLASSES, IMAGES, Workspace

_PLAIN = pa.schema([f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in IMAGES])
NAMED_ONLY = "known by name only"
"""Why the picture of a row is gone that was never there."""
_WORDS = ("root", "path", "class_name", "source_split", "sha256", "pixels", "status", "reason")


class Place(NamedTuple):
    """An image: its id, and the reference set that the id is of ('': the workspace)."""

    reference: str
    image_id: int

    def text(self) -> str:
        return f"{self.reference}:{self.image_id}" if self.reference else str(self.image_id)

    @classmethod
    def parse(cls, text: str) -> Place:
        """The image that `text` names. Raises ValueError when it names none."""
        reference, _, image_id = text.rpartition(":")
        return cls(reference, int(image_id))


def locate(workspace: Workspace, names: Sequence[str]) -> dict[str, Place]:
    """Where images of these names are: in the workspace, or else in the first reference set that has them.

    A name is a file's stem, or its whole name where it is one of ImageNet's. A row whose file is gone counts only where
    no other has the name.

    Raises:
        CurationError: two images of one source have the same name.
    """
    found: dict[str, Place] = {}
    wanted = pa.array(list(names), pa.string())
    sources = {"": workspace, **references.listing(workspace)}
    sources.pop(references.PROBES, None)
    for reference, source in sources.items():
        if not source.images_path.is_file():
            continue
        rows = _rows(source, wanted)
        _check_once(rows, source)
        for name, image_id in zip(rows["name"], rows["image_id"], strict=True):
            found.setdefault(name, Place(reference, int(image_id)))
    return found


def names_at(workspace: Workspace, places: Sequence[Place]) -> dict[Place, str]:
    """The name of each image; the other way round than `locate`.

    Raises:
        ArgumentError: an image is of a reference set that is not on the list.
        CurationError: a reference set is out of reach, so that names are not known; or two images have the same name.
    """
    found: dict[Place, str] = {}
    frame = pd.DataFrame(sorted(set(places)), columns=["reference", "image_id"])
    for reference, rows in frame.groupby("reference"):
        references.open_image_source(workspace, str(reference))  # raises where nobody can tell the names
        ids = rows["image_id"].to_numpy(np.int64)
        names = names_of(paths_of(workspace, str(reference), ids))
        found |= {Place(str(reference), i): name for i, name in zip(ids.tolist(), names, strict=True)}
    owner: dict[str, Place] = {}
    for place, name in found.items():
        if owner.setdefault(name, place) != place:
            raise CurationError(
                f"images {owner[name].text()} and {place.text()} are both called {name!r}, and a file names an image "
                "by its name alone: rename one, or undo what was decided about one of them"
            )
    return found


def add(workspace: Workspace, names: Sequence[str], *, classes: Mapping[str, str]) -> dict[str, Place]:
    """Append images that are known by name only; they become usable when a picture is read in at their path.

    The path is the name, with `.jpg` where it has no ending, in the workspace's first root; `classes` tells the class
    of those whose class is known, the others have ''.

    Raises:
        CurationError: pictures are being read into the workspace at the moment.
    """
    with open(workspace.path / "workspace.json", "rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CurationError(f"pictures are being read into {workspace.path}: wait for its end") from None
        found = locate(workspace, names)  # somebody else may have added some since
        new = [name for name in names if name not in found]
        old = workspace.images() if workspace.images_path.is_file() else IMAGES.empty_table()
        files.write_table(workspace.images_path, _appended(old, _new(workspace, new, classes, len(old))))
        if not (workspace.path / "classes.parquet").is_file():
            files.write_table(workspace.path / "classes.parquet", CLASSES.empty_table())
    return found | {name: Place("", len(old) + i) for i, name in enumerate(new)}


def _rows(source: Workspace, wanted: pa.Array) -> pd.DataFrame:
    """name and image_id of rows with a wanted name, gone ones only where there is no other."""
    table = source.images(["path", "status"])
    names = pa.array(names_of(table["path"].to_pandas().to_numpy(object)), pa.string())
    at = np.flatnonzero(np.asarray(pc.is_in(names, value_set=wanted)))
    rows = pd.DataFrame({"name": names.take(pa.array(at)).to_pylist(), "image_id": at})
    rows["gone"] = (table["status"].take(pa.array(at)).cast(pa.string()).to_pandas() == "gone").to_numpy(bool)
    if not len(rows):
        return rows
    here = ~rows.groupby("name")["gone"].transform("all")
    return rows[~(rows["gone"] & here)]


def _check_once(rows: pd.DataFrame, source: Workspace) -> None:
    twice = rows[rows.duplicated("name", keep=False)]
    if len(twice):
        name = twice["name"].iloc[0]
        ids = twice.loc[twice["name"] == name, "image_id"].to_numpy()
        paths = source.images(["path"])["path"].take(pa.array(ids)).to_pylist()
        more = twice["name"].nunique() - 1
        raise CurationError(
            f"{source.path} has {len(ids)} images called {name!r}: {ids[0]} ({paths[0]}) and {ids[1]} ({paths[1]})"
            f"{f', and {more:,} more such names' if more else ''}: rename or remove one, then read the pictures again"
        )


def _new(workspace: Workspace, names: Sequence[str], classes: Mapping[str, str], first: int) -> pa.Table:
    whole = components.imagenet(names)
    columns = {name: [""] * len(names) for name in _WORDS}
    columns["root"] = [sorted(workspace.roots)[0]] * len(names)
    columns["path"] = [name if image else f"{name}.jpg" for name, image in zip(names, whole, strict=True)]
    columns["class_name"] = [classes.get(name, "") for name in names]
    columns["status"], columns["reason"] = ["gone"] * len(names), [NAMED_ONLY] * len(names)
    zeros = np.zeros(len(names), np.uint8)  # what a picture that cannot be read has
    numbers = {f.name: pa.array(zeros).cast(f.type) for f in _PLAIN if f.name not in columns}
    numbers["image_id"] = pa.array(np.arange(first, first + len(names), dtype=np.int32))
    return pa.table(columns | numbers).select(IMAGES.names).cast(_PLAIN)


def _appended(old: pa.Table, new: pa.Table) -> pa.Table:
    # Words are coded anew, in the order in which they appear, as reading pictures does.
    both = pa.concat_tables([old.cast(_PLAIN), new]).combine_chunks()
    coded = {f.name for f in IMAGES if pa.types.is_dictionary(f.type)}
    columns = [both[name].combine_chunks() for name in IMAGES.names]
    columns = [c.dictionary_encode() if name in coded else c for name, c in zip(IMAGES.names, columns, strict=True)]
    return pa.table(columns, names=IMAGES.names).cast(IMAGES)
