"""Cluster every class of a workspace by k-means and merge its clusters into attributes by rank."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation import derived, engine, files
from curation.arrays import Features
from curation.clusters.fit import Fit, class_seed, fit, one_thread
from curation.clusters.members import by_class, check_finite
from curation.errors import ArgumentError, CurationError
from curation.workspace import CLUSTERS, Workspace

MERGES = ("rank", "none")
# Classes are put together until a shard has about this many images: one or two of ImageNet's.
SHARD_IMAGES = 2048
MOST_CLUSTERS = 1000


@dataclass(frozen=True)
class Settings:
    """What decides the result, with the features themselves."""

    features: str
    features_digest: str
    clusters: int
    attributes: int
    merge: str
    seed: int
    n_init: int


@dataclass(frozen=True)
class Shard:
    """A few whole classes: their names, and the ids of their images in the order of paths.

    `inputs` says which bytes the features have; what a shard is made from is in the name of its part.
    """

    workspace: str
    part: str
    settings: Settings
    inputs: str
    classes: tuple[tuple[str, np.ndarray], ...]

    @property
    def images(self) -> int:
        return sum(len(ids) for _, ids in self.classes)


def cluster(
    workspace: Workspace,
    *,
    features: str,
    clusters: int = 6,
    attributes: int = 3,
    merge: str = "rank",
    seed: int = 25,
    n_init: int = 10,
    name: str | None = None,
    workers: int | None = None,
    backend: str = "processes",
    progress: engine.Progress = engine.quiet,
) -> dict[str, Any]:
    """k-means inside each class; writes clusters/<name>.parquet and its recipe clusters/<name>.json.

    scikit-learn's KMeans on float32 features (k-means++, Lloyd, at most 300 iterations, tolerance 1e-4), rows in the
    order of paths, random_state from the run's seed and the class name. Clusters are numbered by size, equal sizes by
    their smallest path, and merged into attributes by rank as in ImageNet-GLT (see `derived.attribute_of`). The result
    does not depend on workers, backend or the order of image ids; a killed run goes on from its last shard.

    Args:
        features: name of a finished feature set.
        clusters: K; a class with fewer distinct features gets fewer, which the recipe's notes say.
        attributes: A, at most K; taken as K with merge="none".
        merge: `rank`, or `none` (the attribute is the cluster).
        n_init: k-means starts, of which the best is kept.
        name: of the clusters; the features' name when None.
        workers: processes, one thread each; all processors when None.

    Returns:
        Counts: images, classes, clusters, fewer (classes with fewer clusters), set_aside (usable images without a
        feature), ignored_edits (people's edits that do not fit these clusters and are left aside, see `derived`); the
        mean silhouette over classes; name.

    Raises:
        ArgumentError: impossible numbers, an unknown merge.
        CurationError: no such features, or they are not finite numbers.
    """
    _check(clusters, attributes, merge, n_init)
    found = Features(workspace, features).verify()
    name = files.check_name(name or features, "the name of the clusters")
    attributes = clusters if merge == "none" else attributes
    settings = Settings(features, found.recipe_digest, clusters, attributes, merge, seed, n_init)
    shards = _plan(workspace, found, name, settings)
    target = workspace.path / "clusters" / f"{name}.parquet"
    inputs = _hash([Path(shard.part).stem for shard in shards])
    if (summary := _finished(target, inputs)) is None:
        _run(shards, workers or engine.default_workers(), backend, progress)
        summary = _assemble(shards, target, found, settings, inputs)
    shutil.rmtree(_parts(workspace, name), ignore_errors=True)
    return summary | {"ignored_edits": derived.ignored_events(workspace, name)}


def _check(clusters: int, attributes: int, merge: str, n_init: int) -> None:
    if merge not in MERGES:
        raise ArgumentError(f"unknown merge {merge!r}: choose one of {', '.join(MERGES)}")
    if not 1 <= clusters <= MOST_CLUSTERS:
        raise ArgumentError(f"{clusters} clusters a class were asked for: choose 1 to {MOST_CLUSTERS}")
    if merge == "rank" and not 1 <= attributes <= clusters:
        raise ArgumentError(
            f"{attributes} attributes cannot be made of {clusters} clusters: choose 1 to {clusters} with --attributes, "
            f"or raise --clusters to {max(attributes, 1)}"
        )
    if n_init < 1:
        raise ArgumentError(f"{n_init} starts were asked for: choose 1 or more")


def _plan(workspace: Workspace, found: Features, name: str, settings: Settings) -> list[Shard]:
    """Shards of whole classes in the byte order of class names; a part's name says what it is made from."""
    if not len(found):
        raise CurationError(f"features {settings.features!r} hold 0 of {found.images:,} images: nothing to cluster")
    shards, group, images = [], [], 0
    inputs = found.inputs_digest
    for item in by_class(workspace, found):
        if group and images + len(item[1]) > SHARD_IMAGES:
            shards.append(_shard(workspace, name, settings, inputs, group))
            group, images = [], 0
        group.append(item)
        images += len(item[1])
    return [*shards, _shard(workspace, name, settings, inputs, group)]


def _shard(
    workspace: Workspace, name: str, settings: Settings, inputs: str, group: list[tuple[str, np.ndarray, str]]
) -> Shard:
    digest = _hash([asdict(settings), [(c, _hash(ids.tolist()), hashes) for c, ids, hashes in group]])
    part = _parts(workspace, name) / f"{digest[:32]}.parquet"
    return Shard(str(workspace.path), str(part), settings, inputs, tuple((c, ids) for c, ids, _ in group))


def _parts(workspace: Workspace, name: str) -> Path:
    return workspace.path / "clusters" / f"{name}.parts"


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _run(shards: list[Shard], workers: int, backend: str, progress: engine.Progress) -> None:
    total = sum(shard.images for shard in shards)
    missing = [shard for shard in shards if not Path(shard.part).is_file()]
    done = total - sum(shard.images for shard in missing)
    progress(done, total, "clustering")
    # Largest first, so that no worker starts a long shard when the others are done.
    missing.sort(key=lambda shard: -shard.images)
    for shard, _ in engine.run(_work, missing, workers=min(workers, len(missing)), backend=backend):
        done += shard.images
        progress(done, total, "clustering")


def _work(shard: Shard) -> None:
    """Cluster the classes of one shard and write its part file."""
    settings, columns, about = shard.settings, [], {}
    found = _features(shard.workspace, settings.features, shard.inputs)
    with one_thread():
        for class_name, ids in shard.classes:
            x = check_finite(found.rows(ids), ids, settings.features)
            result = fit(
                x,
                clusters=settings.clusters,
                attributes=settings.attributes,
                n_init=settings.n_init,
                seed=class_seed(settings.seed, class_name),
            )
            columns.append((ids, result.cluster, result.attribute, result.distance))
            about[class_name] = _about(class_name, result, settings)
    arrays = [np.concatenate(column) for column in zip(*columns, strict=True)]
    names = ("image_id", "cluster", "attribute", "distance")
    table = pa.table(dict(zip(names, arrays, strict=True)))
    files.write_table(shard.part, table.replace_schema_metadata({"classes": json.dumps(about)}))


@lru_cache(maxsize=2)
def _features(workspace: str, name: str, _inputs: str) -> Features:
    # The process that planned the shards has compared them with the images.
    return Features(Workspace(workspace), name, check=False)


def _about(class_name: str, result: Fit, settings: Settings) -> dict[str, Any]:
    """What the recipe says about a class."""
    about: dict[str, Any] = {
        "images": len(result.cluster),
        "clusters": result.clusters,
        "attributes": min(settings.attributes, result.clusters),
        "inertia": result.inertia,
        "silhouette": result.silhouette,
    }
    if result.clusters < settings.clusters:
        few = len(result.cluster) <= result.clusters
        has = f"{len(result.cluster):,} images" if few else f"{result.clusters} distinct features"
        about["note"] = (
            f"class {class_name!r} has {has}, so it has {result.clusters} clusters and {about['attributes']} "
            f"attributes, where {settings.clusters} and {settings.attributes} were asked for"
        )
    return about


def _assemble(shards: list[Shard], target: Path, found: Features, settings: Settings, inputs: str) -> dict[str, Any]:
    """Put the parts together, write recipe and table, and return the summary."""
    parts = [files.read_table(shard.part) for shard in shards]
    about = {k: v for part in parts for k, v in json.loads(part.schema.metadata[b"classes"]).items()}
    names = list(about)
    codes = np.repeat(np.arange(len(names), dtype=np.int32), [len(ids) for s in shards for _, ids in s.classes])
    table = pa.concat_tables([part.replace_schema_metadata(None) for part in parts])
    table = table.append_column("class_name", pa.DictionaryArray.from_arrays(codes, names))
    table = table.sort_by("image_id").select(CLUSTERS.names).cast(CLUSTERS)
    silhouettes = {k: v["silhouette"] for k, v in about.items()}
    known = [v for v in silhouettes.values() if v is not None]
    summary = {
        "name": target.stem,
        "images": len(table),
        "classes": len(about),
        "clusters": sum(v["clusters"] for v in about.values()),
        "fewer": sum("note" in v for v in about.values()),
        "silhouette": float(np.mean(known)) if known else None,
        "set_aside": len(found.failed),
    }
    recipe = asdict(settings) | {
        "scikit-learn": version("scikit-learn"),
        "inputs": inputs,
        "summary": summary,
        "set_aside": {str(image): reason for image, reason in sorted(found.failed.items())},
        "notes": {k: v.pop("note") for k, v in about.items() if "note" in v},
        "silhouettes": silhouettes,
        "classes": about,
    }
    files.write_json(target.with_suffix(".json"), recipe)
    # Read back with every table: what the clusters become after edits, and which run the file is of.
    meta = {"settings": json.dumps(asdict(settings)), "inputs": inputs}
    files.write_table(target, table.replace_schema_metadata(meta))
    return summary


def _finished(target: Path, inputs: str) -> dict[str, Any] | None:
    """The summary of an earlier run of the same settings on the same images."""
    if not target.is_file() or not target.with_suffix(".json").is_file():
        return None
    recipe, meta = files.read_json(target.with_suffix(".json")), pq.read_schema(target).metadata or {}
    same = recipe.get("inputs") == inputs and meta.get(b"inputs") == inputs.encode()
    return recipe["summary"] if same else None
