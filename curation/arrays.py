"""Features on disk: shards of rows in image-id order, each a NumPy file with a JSON sidecar.

Row r of shard s belongs to image s * shard_rows + r, so an image's feature is found without an index. Images that have
no feature (broken, gone, or not decodable any more) have a row of NaN. The sidecar is written before the array: an
array in place is the mark that its shard is done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.workspace import Workspace

SHARD_ROWS = 4096
INPUT_COLUMNS = ("image_id", "sha256", "status")


def folder(workspace: Workspace, name: str) -> Path:
    """Where the shards of feature set `name` lie."""
    return workspace.path / "features" / files.check_name(name, "the name of the features")


def digest(recipe: Mapping[str, Any]) -> str:
    """SHA-256 of a recipe, in hex, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def input_digests(images: pa.Table, recipe: Mapping[str, Any]) -> list[str]:
    """What each shard is made from, as one hash: the recipe and its images' ids, file hashes and states.

    Args:
        images: the images table with at least `INPUT_COLUMNS`, all rows.
        recipe: with `shard_rows`.

    Returns:
        One SHA-256 in hex per shard, ceil(images / shard_rows) of them.
    """
    rows, count = recipe["shard_rows"], len(images)
    if count == 0:
        return []
    texts = [pc.fill_null(images[column].cast(pa.large_string()), "") for column in INPUT_COLUMNS]
    end, space = (pa.scalar(text, pa.large_string()) for text in ("\n", " "))
    lines = pa.concat_arrays(pc.binary_join_element_wise(*texts, end, space).chunks)
    # One buffer holds all lines end to end: a shard's text is a slice of it.
    _, offsets, text = lines.buffers()
    edges = np.frombuffer(offsets, np.int64)[np.append(np.arange(0, count, rows), count)]
    salt = digest(recipe).encode()
    return [hashlib.sha256(salt + memoryview(text)[a:b]).hexdigest() for a, b in pairwise(edges)]


def write_shard(
    directory: str | Path,
    index: int,
    array: np.ndarray,
    *,
    inputs_digest: str,
    failed: Sequence[tuple[int, str]] = (),
) -> None:
    """Write one shard and its sidecar; the array moves into place last.

    Args:
        directory: the feature set's folder.
        index: shard number, from 0.
        array: (rows, D), float16 or float32; NaN rows where there is no feature.
        inputs_digest: this shard's entry of `input_digests`.
        failed: (image id, reason) of usable images that could not be decoded.

    Raises:
        CurationError: the disk is full.
    """
    path = array_path(directory, index)
    with files.replacing(path) as part:
        with open(part, "wb") as file:
            np.save(file, np.ascontiguousarray(array))
        sidecar = {"inputs": inputs_digest, "sha256": files.sha256_file(part), "failed": [list(f) for f in failed]}
        files.write_json(path.with_suffix(".json"), sidecar)


def array_path(directory: str | Path, index: int) -> Path:
    """The NumPy file of shard `index`; its sidecar has the suffix .json."""
    return Path(directory) / f"{index:05d}.npy"


def shard_state(directory: str | Path, index: int, inputs_digest: str) -> str:
    """`done`, `missing`, `changed` (made from other inputs) or `corrupted` (bytes are not those written)."""
    path = array_path(directory, index)
    if not path.is_file():
        return "missing"
    try:
        sidecar = files.read_json(path.with_suffix(".json"))
        made_from, sha256 = sidecar["inputs"], sidecar["sha256"]
    except (CurationError, KeyError, TypeError):
        return "corrupted"
    if made_from != inputs_digest:
        return "changed"
    return "done" if files.sha256_file(path) == sha256 else "corrupted"


def write_features(
    workspace: Workspace,
    name: str,
    array: np.ndarray,
    recipe: Mapping[str, Any] | None = None,
    *,
    shard_rows: int = SHARD_ROWS,
) -> Features:
    """Store features that were made elsewhere, one row an image of the workspace.

    Args:
        array: (images, D); stored as float16 or float32 as it is, anything else as float32. A row with NaN means
            that the image has no feature.
        recipe: whatever is known of their origin; dim, dtype and shard_rows are filled in.

    Raises:
        ArgumentError: the array has another number of rows than the workspace has images.
    """
    images = workspace.images(INPUT_COLUMNS)
    if array.ndim != 2 or len(array) != len(images):
        raise ArgumentError(f"the array has shape {array.shape}, but the workspace has {len(images):,} images")
    array = array if array.dtype in (np.float16, np.float32) else array.astype(np.float32)
    recipe = {"backbone": "given", **(recipe or {}), "dtype": array.dtype.name}
    recipe |= {"dim": array.shape[1], "shard_rows": shard_rows}
    directory = folder(workspace, name)
    files.write_json(directory / "recipe.json", recipe)
    usable = np.isin(np.arange(len(array)), workspace.usable())
    for index, inputs in enumerate(input_digests(images, recipe)):
        start = index * shard_rows
        rows = np.where(usable[start : start + shard_rows, None], array[start : start + shard_rows], np.nan)
        lost = np.flatnonzero(np.isnan(rows).any(axis=1) & usable[start : start + shard_rows]) + start
        failed = [(int(i), "no feature was given") for i in lost]
        write_shard(directory, index, rows.astype(array.dtype), inputs_digest=inputs, failed=failed)
    return Features(workspace, name)


class Features:
    """A finished feature set, read through memory maps.

    Attributes:
        name: of the feature set.
        recipe: how it was made (backbone, weights_sha256, transform, dtype, dim, shard_rows, …).
        ids: int32 (N,), ascending: the images that have a feature.
        failed: {image id: reason} of images that were usable but could not be decoded.

    Raises:
        CurationError: there is no such feature set, it is unfinished, or its images have changed since.
    """

    def __init__(self, workspace: Workspace, name: str, *, check: bool = True) -> None:
        """Open feature set `name`; with `check=False` do not compare it with the images table's file hashes."""
        self.name = name
        self._folder = folder(workspace, name)
        if not (self._folder / "recipe.json").is_file():
            known = ", ".join(workspace.feature_names()) or "none yet"
            raise CurationError(f"there are no features {name!r} (there are: {known}): run `extract` first")
        self.recipe: dict[str, Any] = files.read_json(self._folder / "recipe.json")
        images = workspace.images(INPUT_COLUMNS if check else ("image_id", "status"))
        self.images = len(images)
        self._sidecars = self._read_sidecars()
        if check:
            self._check_inputs(input_digests(images, self.recipe))
        self.failed = {int(i): str(reason) for sidecar in self._sidecars for i, reason in sidecar["failed"]}
        usable = images["image_id"].to_numpy()[pc.equal(images["status"].cast(pa.string()), "ok").to_numpy()]
        lost = np.array(sorted(self.failed), np.int32)
        self.ids = np.setdiff1d(usable, lost, assume_unique=True).astype(np.int32)
        self._maps: dict[int, np.ndarray] = {}
        self._sound: set[int] = set()

    @property
    def dim(self) -> int:
        """Length of one feature."""
        return int(self.recipe["dim"])

    @property
    def shard_rows(self) -> int:
        """Rows of every shard but the last, which may have fewer."""
        return int(self.recipe["shard_rows"])

    @property
    def recipe_digest(self) -> str:
        """SHA-256 of the recipe, for recipes of what is made from these features."""
        return digest(self.recipe)

    @property
    def inputs_digest(self) -> str:
        """SHA-256 of the recipe and of every shard's bytes; another one as soon as any feature is another."""
        return digest({"recipe": self.recipe, "shards": self.shard_digests})

    @property
    def shard_digests(self) -> list[str]:
        """SHA-256 of every shard's bytes, as they were written."""
        return [sidecar["sha256"] for sidecar in self._sidecars]

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """Features of the images `ids` (any order, repeats allowed) as float32 (len(ids), D); reads only those rows.

        Raises:
            ArgumentError: an image has no feature.
            CurationError: a shard is corrupted.
        """
        ids = np.asarray(ids, np.int64)
        lacking = ids[~np.isin(ids, self.ids)]
        if len(lacking):
            raise ArgumentError(
                f"{len(lacking):,} of {len(ids):,} images have no feature in {self.name!r}, image {lacking[0]} first: "
                "leave them out (`Features.ids` has those that do)"
            )
        result = np.empty((len(ids), self.dim), np.float32)
        shards, offsets = np.divmod(ids, self.shard_rows)
        for index in np.unique(shards):
            here = shards == index
            result[here] = self._map(int(index))[offsets[here]]
        return result

    def shards(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Walk over all features: (ids int32 (n,), features float32 (n, D)), one pair a shard.

        Raises:
            CurationError: a shard's bytes are not those that were written.
        """
        edges = np.searchsorted(self.ids, np.arange(len(self._sidecars) + 1) * self.shard_rows)
        for index in range(len(self._sidecars)):
            ids = self.ids[edges[index] : edges[index + 1]]
            self._verify(index)
            yield ids, self._map(index)[ids - index * self.shard_rows].astype(np.float32)

    def verify(self) -> Features:
        """Compare every shard with the SHA-256 it was written with; stages call this before they build on features.

        Raises:
            CurationError: a shard's bytes are not those that were written.
        """
        for index in range(len(self._sidecars)):
            self._verify(index)
        return self

    def _read_sidecars(self) -> list[dict[str, Any]]:
        expected = -(-self.images // self.shard_rows)
        missing = [i for i in range(expected) if not array_path(self._folder, i).is_file()]
        if missing:
            raise CurationError(
                f"features {self.name!r} have {expected - len(missing):,} of {expected:,} shards: run `extract` with "
                f"the same settings again; it goes on from there"
            )
        sidecars = [files.read_json(array_path(self._folder, i).with_suffix(".json")) for i in range(expected)]
        for index, sidecar in enumerate(sidecars):
            if not isinstance(sidecar, dict) or not {"inputs", "sha256", "failed"} <= sidecar.keys():
                raise self._corrupted(index, "its sidecar lacks inputs, sha256 or failed")
        return sidecars

    def _check_inputs(self, digests: list[str]) -> None:
        changed = [i for i, (a, b) in enumerate(zip(digests, self._sidecars, strict=True)) if a != b["inputs"]]
        if changed:
            raise CurationError(
                f"features {self.name!r} are older than the images: {len(changed):,} of {len(digests):,} shards have "
                "images that were added, changed or are gone: run `extract` with the same settings again; only those "
                "shards are made anew"
            )

    def _corrupted(self, index: int, why: str) -> CurationError:
        return CurationError(
            f"shard {array_path(self._folder, index)} is corrupted ({why}): run `extract` with the same settings "
            "again; it makes that shard anew"
        )

    def _map(self, index: int) -> np.ndarray:
        if index not in self._maps:
            rows = min(self.shard_rows, self.images - index * self.shard_rows)
            try:
                array = np.load(array_path(self._folder, index), mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise self._corrupted(index, str(error)) from None
            if array.shape != (rows, self.dim) or array.dtype != self.recipe["dtype"]:
                found = f"{array.shape} of {array.dtype}, where ({rows}, {self.dim}) of {self.recipe['dtype']} belong"
                raise self._corrupted(index, found)
            self._maps[index] = array
        return self._maps[index]

    def _verify(self, index: int) -> None:
        if index not in self._sound:
            path, expected = array_path(self._folder, index), self._sidecars[index]["sha256"]
            found = files.sha256_file(path)
            if found != expected:
                raise self._corrupted(index, f"its SHA-256 is {found[:12]}…, where {expected[:12]}… was written")
            self._sound.add(index)
