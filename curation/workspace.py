"""What lies in a workspace and where; the schemas of its tables.

A workspace is a folder: Parquet tables, NumPy arrays, JSON recipes and one SQLite file. Pictures stay where they
are; a row names them by a root and a relative POSIX path.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.ledger import Ledger

SCHEMA_VERSION = 1

# Repeated words are stored once per column: counting 1.28 million rows by class then takes milliseconds.
_word = pa.dictionary(pa.int32(), pa.string())

IMAGES = pa.schema(
    {
        "image_id": pa.int32(),  # the row number; never changes
        "root": _word,
        "path": pa.string(),  # relative to the root, POSIX separators
        "class_name": _word,
        "source_split": _word,  # as found on disk: train, val, test or ''
        "width": pa.int32(),  # as displayed, after EXIF orientation; 0 where the picture is broken
        "height": pa.int32(),
        "bytes": pa.int64(),
        "modified": pa.int64(),  # mtime in nanoseconds: an unchanged file is not read again
        "sha256": pa.string(),  # of the file's bytes
        "pixels": pa.string(),  # hash of the decoded RGB pixels and their shape
        "phash": pa.uint64(),  # perceptual hash, and that of the mirror image
        "phash_mirror": pa.uint64(),
        "brightness": pa.float32(),  # mean luma, 0 to 255
        "flat": pa.bool_(),  # all black or all one colour
        "status": _word,  # ok, broken or gone
        "reason": pa.string(),
    }
)
CLASSES = pa.schema(
    {
        "class_name": pa.string(),
        "wnid": pa.string(),
        "lemmas": pa.string(),
        "definition": pa.string(),
        "images": pa.int32(),
    }
)
CLUSTERS = pa.schema(
    {
        "image_id": pa.int32(),
        "class_name": _word,
        "cluster": pa.int16(),  # 0 is the class's largest
        "attribute": pa.int16(),  # 0 is the class's largest
        "distance": pa.float32(),  # Euclidean, to the cluster's centre
    }
)
MAPS = pa.schema({"image_id": pa.int32(), "x": pa.float32(), "y": pa.float32()})
PAIRS = pa.schema(
    {
        "image_a": pa.int32(),  # of this workspace
        "image_b": pa.int32(),  # of this workspace (image_a < image_b), or of the reference set named beside it
        "reference": _word,  # '' or the name of a reference set
        "exact": pa.bool_(),  # same decoded pixels
        "phash": pa.int16(),  # Hamming distance, 0 to 64; null where a measure did not look, here and below
        "phash_mirror": pa.int16(),  # the same against the mirror image
        "pixels": pa.float64(),  # squared Euclidean distance of 256 x 256 x 3 bytes
        "dssim": pa.float32(),  # (1 - SSIM) / 2, 0 to 1
        "fc7": pa.float32(),  # squared Euclidean distance of VGG-16's second hidden layer
        "cosine": pa.float32(),  # similarity of features, -1 to 1
        "inliers": pa.int16(),  # local features that agree on one similarity transform
        "transform": pa.list_(pa.float32(), 6),  # rows of the 2 x 3 matrix; see duplicates.geometry
        "probability": pa.float32(),  # that the two are near duplicates
        "found_by": _word,  # the measures that proposed it, joined by +
        "decision": _word,  # duplicate, candidate or different, by rule; a person's verdict overrules
    }
)
NEIGHBOURS = pa.schema(
    {
        "image_id": pa.int32(),
        "neighbour_id": pa.int32(),  # never the image itself
        "distance": pa.float64(),  # in the measure's own unit, smaller is closer
        "rank": pa.int32(),  # 0 is the nearest; equal distances in the order of neighbour_id
    }
)
SPLIT = pa.schema(
    {
        "image_id": pa.int32(),
        "split": _word,
        "label": pa.int32(),
        "frequency": pa.int8(),  # 0 head, 1 medium, 2 tail
        "attribute": pa.int16(),
        "cluster": pa.int16(),
    }
)


class Workspace:
    """An open workspace. Use `Workspace(path)` for one that exists, `Workspace.create` for a new one."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()
        if not (self.path / "workspace.json").is_file():
            raise CurationError(f"{self.path} is not a workspace: make one with `init {path} --images DIR`")
        self.meta = files.read_json(self.path / "workspace.json")
        if not isinstance(self.meta, dict) or not {"id", "name", "roots"} <= self.meta.keys():
            raise CurationError(
                f"{self.path / 'workspace.json'} has no id, name and roots: it is no file of this program, or damaged"
            )
        version = self.meta.get("schema_version", 0)
        if version > SCHEMA_VERSION:
            raise CurationError(
                f"{self.path} was written with schema version {version}, and this program knows version "
                f"{SCHEMA_VERSION}: upgrade the program; the workspace was not touched"
            )

    @classmethod
    def create(cls, path: str | Path, *, name: str | None = None, roots: Mapping[str, str | Path]) -> Workspace:
        """Make a workspace whose pictures lie under the named `roots`; open it when it is there already.

        Raises:
            ArgumentError: a root is no folder, or the workspace has another folder under that root name.
        """
        path = Path(path).resolve()
        for key, root in roots.items():
            if not Path(root).is_dir():
                raise ArgumentError(f"there is no folder {root} (root {key!r})")
        if (path / "workspace.json").is_file():
            workspace = cls(path)
            for key, root in roots.items():
                if workspace.roots.get(key) != Path(root).resolve():
                    raise ArgumentError(
                        f"{path} already reads its root {key!r} from {workspace.roots.get(key)}, "
                        f"not from {Path(root).resolve()}: choose another workspace folder"
                    )
            return workspace
        if path.exists() and any(path.iterdir()):
            raise ArgumentError(
                f"{path} has {len(list(path.iterdir()))} files and is no workspace: choose a new folder"
            )
        meta = {
            "name": name or path.name,
            "id": uuid.uuid4().hex[:12],
            "schema_version": SCHEMA_VERSION,
            "roots": {key: Path(root).resolve().as_posix() for key, root in roots.items()},
        }
        files.write_json(path / "workspace.json", meta)
        return cls(path)

    @property
    def name(self) -> str:
        return self.meta["name"]

    @property
    def id(self) -> str:
        return self.meta["id"]

    @property
    def key(self) -> str:
        """Names this folder in URLs. A copy of a workspace has the same `id` and another key."""
        return hashlib.sha256(str(self.path).encode()).hexdigest()[:12]

    @property
    def roots(self) -> dict[str, Path]:
        """Folders that pictures lie in, by name."""
        return {key: Path(root) for key, root in self.meta["roots"].items()}

    @cached_property
    def ledger(self) -> Ledger:
        """The decisions. `$CURATION_DATABASE_URL` or "database" in workspace.json put it on PostgreSQL."""
        url = os.environ.get("CURATION_DATABASE_URL") or self.meta.get("database")
        return Ledger(url or f"sqlite:///{self.path / 'ledger.db'}", self.id)

    # -- tables ------------------------------------------------------------------------------------------------

    @property
    def images_path(self) -> Path:
        return self.path / "images.parquet"

    def images(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The images table (row number = image id), or some of its columns.

        Raises:
            CurationError: nothing has been read in yet.
        """
        if not self.images_path.is_file():
            raise CurationError(f"{self.path} has no images yet: run `init` on it first")
        return files.read_table(self.images_path, columns=columns)

    def usable(self) -> np.ndarray:
        """Ids of the images that can be used (status ok), int32, ascending."""
        table = self.images(["image_id", "status"])
        status = table["status"].combine_chunks().cast(pa.string()).to_numpy(zero_copy_only=False)
        return table["image_id"].to_numpy()[status == "ok"]

    def check_ids(self, ids: np.ndarray, what: str, remedy: str) -> None:
        """Check that all `ids`, which `what` names, are of images of this workspace; `remedy` says what to do.

        Raises:
            CurationError: one is not.
        """
        count = self.images(["image_id"]).num_rows
        if len(ids) and (ids.max() >= count or ids.min() < 0):
            beyond = ids.max() if ids.max() >= count else ids.min()
            raise CurationError(f"{what} names image {beyond}, but the workspace has {count:,} images: {remedy}")

    def classes(self) -> pa.Table:
        """The classes table, in byte order of class names."""
        return files.read_table(self.path / "classes.parquet")

    def image_file(self, root: str, path: str) -> Path:
        """Where a picture lies.

        Raises:
            CurationError: the root is unknown or the path leads out of it.
        """
        if root not in self.roots:
            raise CurationError(f"root {root!r} is not one of this workspace's {sorted(self.roots)}")
        base = self.roots[root]
        # Textual check, no resolve(): a data set's own symbolic links are the person's business.
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise CurationError(f"path {path!r} leads out of root {root!r}")
        return base / path

    def version(self) -> str:
        """Changes whenever the images table does; a key for caches."""
        stat = self.images_path.stat()
        return f"{stat.st_mtime_ns:x}-{stat.st_size:x}"

    # -- what stages have made -----------------------------------------------------------------------------------

    def feature_names(self) -> list[str]:
        """Finished or unfinished feature sets, by name."""
        return self._folders("features/*/recipe.json")

    def cluster_names(self) -> list[str]:
        return sorted(p.stem for p in self.path.glob("clusters/*.parquet"))

    def map_names(self) -> list[str]:
        return sorted(p.stem for p in self.path.glob("maps/*.parquet"))

    def split_names(self) -> list[str]:
        return self._folders("splits/*/split.parquet")

    def _folders(self, pattern: str) -> list[str]:
        # A name with a dot in front is of a folder that is still being written.
        return sorted(p.parent.name for p in self.path.glob(pattern) if not p.parent.name.startswith("."))
