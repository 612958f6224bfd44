"""Extraction: one feature for every usable picture, shard by shard."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation import arrays, files
from curation.engine import Progress, default_workers, quiet
from curation.errors import ArgumentError, CurationError
from curation.features.backbones import DEFAULT, Backbone, load
from curation.features.decoding import Batch, decoded
from curation.features.model import Model, prepare
from curation.workspace import Workspace

DTYPES = ("float16", "float32")
# What may differ between two runs into the same feature set.
NOT_COMPARED = ("device", "versions", "weights")
COLUMNS = ("root", "path", "width", "height", *arrays.INPUT_COLUMNS)


def extract(
    workspace: Workspace,
    *,
    backbone: str = DEFAULT,
    weights: str | Path | None = None,
    dtype: str = "float16",
    name: str | None = None,
    batch_size: int = 64,
    workers: int | None = None,
    device: str | None = None,
    progress: Progress = quiet,
    shard_rows: int = arrays.SHARD_ROWS,
) -> dict[str, Any]:
    """Extract features of all usable images into `features/NAME`; goes on where an earlier run ended.

    Shards that are finished, whole and made from the same images are kept; the others are made anew. A picture that
    cannot be decoded gets a row of NaN and a reason.

    Args:
        backbone: see `backbones.load`.
        weights: a local weights file instead of the published weights.
        dtype: `float16` or `float32`, of the stored features.
        name: of the feature set; the backbone's name when None.
        batch_size: pictures the backbone sees at once.
        workers: processes that decode; as many as there are processors when None, 0 to decode in this one.
        device: `cpu`, `cuda` or `cuda:N`; the GPU when there is one and None is given.
        progress: called after every batch with (images done, images in all, message).
        shard_rows: rows of a shard.

    Returns:
        `features` (the name), `images` (usable), `extracted` (in this run), `kept` (from earlier runs), `set_aside`
        (could not be decoded) and `failed` (the first ten, {image id: reason}), `remade` ({shard: why}), `dim`,
        `dtype`, `device`, `precision`, `rate` (images a second).

    Raises:
        ArgumentError: an impossible argument, or features of that name were made with other settings.
        CurationError: see `backbones.load`; no picture of a shard could be read; the disk is full; the features do
            not fit into float16.
        Cancelled: from `progress`; finished shards are kept.
    """
    _check(dtype, batch_size, workers, shard_rows)
    name = files.check_name(name or backbone.replace(":", "-"), "the name of the features")
    images = workspace.images(COLUMNS)
    _check_roots(workspace, images)
    progress(0, 0, f"loading {backbone}")
    loaded = load(backbone, weights=weights)
    model = prepare(loaded, device=device)
    directory = arrays.folder(workspace, name)
    recipe = _claim(directory, _recipe(loaded, model, dtype, batch_size, shard_rows))
    run = _Run(workspace, images, directory, recipe, model)
    run.run(loaded, default_workers() if workers is None else workers, progress)
    features = arrays.Features(workspace, name)
    return {
        "features": name,
        "images": run.total,
        "extracted": run.done - run.kept,
        "kept": run.kept,
        "set_aside": len(features.failed),
        "failed": {str(i): features.failed[i] for i in sorted(features.failed)[:10]},
        "remade": run.remade,
        "dim": model.dim,
        "dtype": dtype,
        "device": recipe["device"],
        "precision": model.precision,
        "rate": round(run.rate, 1),
    }


class _Run:
    """The shards that are to be made, and where the making of them stands."""

    def __init__(
        self, workspace: Workspace, images: pa.Table, directory: Path, recipe: Mapping[str, Any], model: Model
    ) -> None:
        self.directory, self.recipe, self.model = directory, recipe, model
        self.roots, self.images = workspace.roots, images
        self.rows = int(recipe["shard_rows"])
        self.digests = arrays.input_digests(images, recipe)
        self.usable = workspace.usable()
        states = [arrays.shard_state(directory, i, d) for i, d in enumerate(self.digests)]
        self.todo = [i for i, state in enumerate(states) if state != "done"]
        self.remade = {str(i): state for i, state in enumerate(states) if state in ("changed", "corrupted")}
        self.total = len(self.usable)
        self.kept = self.total - sum(len(self._ids(shard)) for shard in self.todo)
        self.done, self.rate = self.kept, 0.0

    def run(self, backbone: Backbone, workers: int, progress: Progress) -> None:
        size = int(self.recipe["batch_size"])
        start = time.perf_counter()
        with closing(decoded(self._batches(size), backbone.transform, batch_size=size, workers=workers)) as stream:
            for shard, steps in self._by_shard(stream):
                array, failed = self._empty(shard), []
                for batch, pictures, lost in steps:
                    self._place(array, batch, self.model(pictures), lost)
                    failed += [(int(batch.ids[position]), reason) for position, reason in lost]
                    self.done += len(batch.ids)
                    self.rate = (self.done - self.kept) / (time.perf_counter() - start)
                    progress(self.done, self.total, self._message(shard))
                self._finish(shard, array, failed)

    def _by_shard(self, stream: Iterator) -> Iterator[tuple[int, Iterator]]:
        for shard in self.todo:
            count = -(-len(self._ids(shard)) // int(self.recipe["batch_size"]))
            yield shard, (next(stream) for _ in range(count))

    def _ids(self, shard: int) -> np.ndarray:
        low, high = np.searchsorted(self.usable, [shard * self.rows, (shard + 1) * self.rows])
        return self.usable[low:high]

    def _empty(self, shard: int) -> np.ndarray:
        rows = min(self.rows, len(self.images) - shard * self.rows)
        return np.full((rows, self.model.dim), np.nan, self.recipe["dtype"])

    def _batches(self, size: int) -> Iterator[Batch]:
        for shard in self.todo:
            ids = self._ids(shard)
            for start in range(0, len(ids), size):
                part = ids[start : start + size]
                rows = self.images.select(COLUMNS[:4]).take(pa.array(part)).to_pydict()
                places = zip(rows["root"], rows["path"], strict=True)
                paths = [str(self.roots[root] / path) for root, path in places]
                sizes = [(w or 0, h or 0) for w, h in zip(rows["width"], rows["height"], strict=True)]
                yield Batch(shard, part, paths, sizes)

    def _place(self, array: np.ndarray, batch: Batch, features: np.ndarray, lost: list[tuple[int, str]]) -> None:
        with np.errstate(over="ignore"):
            stored = features.astype(array.dtype)
        wrong = np.flatnonzero(~np.isfinite(stored).all(axis=1))
        if len(wrong):
            largest = np.abs(features[wrong[0]]).max()
            raise CurationError(
                f"image {batch.ids[wrong[0]]} has a feature value of {largest:g}, and {array.dtype} holds "
                f"{np.finfo(array.dtype).max:g} at most: use --dtype float32, or other weights"
            )
        stored[[position for position, _ in lost]] = np.nan
        array[batch.ids - batch.shard * self.rows] = stored

    def _finish(self, shard: int, array: np.ndarray, failed: list[tuple[int, str]]) -> None:
        count = len(self._ids(shard))
        if failed and len(failed) == count:
            raise CurationError(
                f"none of the {count:,} pictures of shard {shard} could be read (image {failed[0][0]} first: "
                f"{failed[0][1]}): see whether their folder is in place, then run the same command again"
            )
        arrays.write_shard(self.directory, shard, array, inputs_digest=self.digests[shard], failed=failed)

    def _message(self, shard: int) -> str:
        why = {"changed": ", its images have changed", "corrupted": ", which was corrupted"}
        # The text before the colon is the phase, of which the rate and the time left are told.
        return f"extracting: shard {shard + 1} of {len(self.digests)}{why.get(self.remade.get(str(shard), ''), '')}"


def _check(dtype: str, batch_size: int, workers: int | None, shard_rows: int) -> None:
    if dtype not in DTYPES:
        raise ArgumentError(f"unknown dtype {dtype!r}: choose 'float16' or 'float32'")
    if batch_size < 1 or shard_rows < 1:
        raise ArgumentError(f"batch size {batch_size} and {shard_rows} rows a shard: both have to be 1 or more")
    if workers is not None and workers < 0:
        raise ArgumentError(f"{workers} workers: give 0 (decode in this process) or more")


def _check_roots(workspace: Workspace, images: pa.Table) -> None:
    used = images["root"].unique().to_pylist()
    for root in sorted(root for root in used if root is not None):
        if root not in workspace.roots or not workspace.roots[root].is_dir():
            raise CurationError(
                f"the pictures' folder {workspace.roots.get(root)} (root {root!r}) is not there: mount it, or mend "
                f"its path in {workspace.path / 'workspace.json'}"
            )


def _recipe(backbone: Backbone, model: Model, dtype: str, batch_size: int, shard_rows: int) -> dict[str, Any]:
    return {
        "backbone": backbone.name,
        "feature": backbone.feature,
        "weights": backbone.weights,
        "weights_sha256": backbone.weights_sha256,
        "transform": backbone.transform.recipe(),
        "dtype": dtype,
        "dim": model.dim,
        "shard_rows": shard_rows,
        "batch_size": batch_size,
        "precision": model.precision,
        "device": model.device_name,
        "versions": {package: version(package) for package in ("torch", "torchvision", "timm", "pillow", "numpy")},
    }


def _claim(directory: Path, recipe: dict[str, Any]) -> dict[str, Any]:
    """Write the recipe of a new feature set, or return that of the one that is there when the settings agree."""
    path = directory / "recipe.json"
    if not any(directory.glob("*.npy")):  # nothing was made with another recipe yet
        files.write_json(path, recipe)
        return recipe
    there = files.read_json(path) if path.is_file() else {}
    different = [k for k in recipe if k not in NOT_COMPARED and there.get(k) != recipe[k]]
    if different:
        key = different[0]
        old, new = (json.dumps(r.get(key), ensure_ascii=False) for r in (there, recipe))
        raise ArgumentError(
            f"features {directory.name!r} were made with other settings ({', '.join(different)}: {key} was {old}, now "
            f"{new}): choose another --name, or give the settings they were made with"
        )
    return there
