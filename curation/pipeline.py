"""The main job in one go, with good defaults; and what of it a workspace has done."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from curation import references
from curation.engine import Progress, quiet
from curation.errors import ArgumentError, CurationError
from curation.exclusions import pairs_path
from curation.files import read_json, read_table, write_json
from curation.workspace import Workspace

MOST_TSNE = 20_000  # beyond, t-SNE takes hours and UMAP minutes
SAMPLES = {"digits": "Handwritten digits", "imagenette": "Imagenette 160 px"}


def prepare(folder: str | Path, *, source: str) -> Workspace:
    """Make the workspace for a source: a sample by name (its pictures go beside the workspace), or a folder."""
    folder = Path(folder).resolve()
    pictures = Path(source)
    if source in SAMPLES:
        pictures = folder.with_name(f"{folder.name}-pictures")
        if source == "imagenette":
            pictures /= "imagenette2-160"
        pictures.mkdir(parents=True, exist_ok=True)  # a root must be there; filled by the first step
    return Workspace.create(folder, name=SAMPLES.get(source, pictures.resolve().name), roots={"images": pictures})


def run(
    workspace: Workspace,
    *,
    source: str | None = None,
    backbone: str = "tf_efficientnet_lite0",
    method: str | None = None,
    seed: int = 25,
    workers: int | None = None,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Run every step that a workspace has not done yet, from pictures to a generalised long-tail split.

    The map is t-SNE up to `MOST_TSNE` images and UMAP beyond, unless `method` says; the split's cells are the largest
    that the classes can fill (`curation.splits.plan.suggest`).
    """
    from curation.clusters import kmeans
    from curation.duplicates.find import find
    from curation.features.extract import extract
    from curation.images.ingest import read

    steps: list[tuple[str, Callable[..., Any]]] = []
    if source or not workspace.images_path.is_file():
        steps.append(("Fetching pictures", partial(_fetch, source=source)))
        steps.append(("Reading pictures", partial(read, workers=workers)))
    steps.append(("Extracting features", partial(extract, backbone=backbone, workers=workers)))
    if backbone not in workspace.cluster_names():
        steps.append(("Clustering", partial(kmeans.cluster, features=backbone, seed=seed, workers=workers)))
    if not any(name in workspace.map_names() for name in (f"{backbone}-tsne", f"{backbone}-umap")):
        steps.append(("Drawing the map", partial(_map, features=backbone, method=method, seed=seed)))
    if not pairs_path(workspace).is_file():
        steps.append(("Finding pairs", partial(find, features=backbone, workers=workers)))
    if not workspace.split_names():
        steps.append(("Carving a split", partial(_carve, clusters=backbone, seed=seed)))
    set_aside = 0
    for number, (title, step) in enumerate(steps, 1):

        def tell(done: int, total: int, _: str, title: str = f"{title} ({number} of {len(steps)})") -> None:
            progress(done, total, title)

        tell(0, 1, "")
        result = step(workspace, progress=tell)
        set_aside = max(
            set_aside, result.get("set_aside", 0) if title in ("Reading pictures", "Extracting features") else 0
        )
    return status(workspace) | {"set_aside": set_aside}


def add_reference(
    workspace: Workspace,
    path: str | Path,
    *,
    name: str | None = None,
    workers: int | None = None,
    device: str | None = None,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Compare `workspace` with another workspace, or with a folder of pictures, from the next search on.

    A workspace is opened where it lies and never written to. A folder is read into a workspace of its own inside this
    one, and the features that this workspace has are extracted from its pictures too; adding it again reads what has
    changed.

    Args:
        name: of the reference set; the folder's name when None, with its parent's before it where a split has it.

    Returns:
        reference (the name), path (of the workspace that holds it), images (usable ones), features (of this workspace
        that it can be compared by), notes (those that it lacks, and what to do), set_aside (broken pictures).

    Raises:
        ArgumentError: `path` is no folder, or see `references.register`.
        CurationError: there are no pictures in the folder, or the workspace has not read any.
    """
    path = Path(path).resolve()
    if not path.is_dir():
        raise ArgumentError(f"there is no folder {path}: give a workspace, or a folder of pictures")
    name = references.check_name(workspace, references.default_name(workspace, path) if name is None else name)
    if (path / "workspace.json").is_file():
        if not (there := Workspace(path)).images_path.is_file():
            raise CurationError(f"{path} has no images to compare with: run `init {path}` first, then add it again")
        return _comparable(workspace, references.register(workspace, there.path, name=name), {})
    place = references.inner(workspace, name)
    if (there := references.paths(workspace).get(name, place)) != place:
        raise ArgumentError(f"reference set {name!r} is {there}, not {path}: choose another name")
    new = not (place / "workspace.json").is_file()
    inner = Workspace.create(place, name=name, roots={"images": path}) if new else Workspace(place)
    if inner.roots != {"images": path}:  # the pictures have moved; their ids and what was decided about them stay
        inner.meta["roots"] = {"images": path.as_posix()}
        write_json(place / "workspace.json", inner.meta)
    references.check_same(workspace, name, inner)  # before the pictures are read, which takes long
    try:
        return _read_reference(workspace, inner, name, workers, device, progress)
    except CurationError:
        if new and name not in references.paths(workspace):
            shutil.rmtree(place, ignore_errors=True)
        raise


def plant_probes(
    workspace: Workspace,
    *,
    count: int = 60,
    seed: int = 25,
    workers: int | None = None,
    device: str | None = None,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Make edited copies of this workspace's pictures, in place of earlier ones, for the next search to find.

    Returns:
        As `add_reference`; `images` are the probes.
    """
    from curation.duplicates import probes

    pictures = probes.write(workspace, count=count, seed=seed, progress=progress) / "pictures"
    place = references.inner(workspace, references.PROBES)
    inner = Workspace(place) if place.is_dir() else Workspace.create(place, name="probes", roots={"images": pictures})
    inner.meta["roots"] = {"images": pictures.as_posix()}  # they have moved if this workspace has
    # The table has the classes of the originals by their real names; folders have what a file system allows.
    table = {"layout": "table", "table": pictures.parent / "probes.parquet"}
    return _read_reference(workspace, inner, references.PROBES, workers, device, progress, **table)


def _read_reference(
    workspace: Workspace,
    inner: Workspace,
    name: str,
    workers: int | None,
    device: str | None,
    progress: Progress,
    **layout: Any,
) -> dict[str, Any]:
    """Read the pictures of an inner workspace, extract the features that `workspace` has, and register it."""
    from curation.images.ingest import read

    summary = read(inner, workers=workers, progress=progress, **layout)
    references.register(workspace, inner.path, name=name, probes=name == references.PROBES)
    why = {}
    for known in workspace.feature_names() if summary["ok"] else ():
        try:
            _extract_alike(workspace, inner, known, workers, device, progress)
        except CurationError as error:
            why[known] = str(error)
    result = _comparable(workspace, name, why)
    return result | {"notes": [*summary["notes"], *result["notes"]], "set_aside": summary["set_aside"]}


def _extract_alike(
    workspace: Workspace, inner: Workspace, name: str, workers: int | None, device: str | None, progress: Progress
) -> None:
    """Extract feature set `name` as `workspace` has it."""
    from curation.features.backbones import load
    from curation.features.extract import extract

    recipe = read_json(workspace.path / "features" / name / "recipe.json")
    if recipe["backbone"] == "given":
        raise CurationError("they were made elsewhere; store those of the reference set's pictures in the same way")
    if load(recipe["backbone"]).weights_sha256 != recipe["weights_sha256"]:
        raise CurationError(
            f"they were made with other weights ({recipe['weights']}) than those that can be fetched: run `extract "
            f"{inner.path} --backbone {recipe['backbone']} --name {name} --weights FILE`"
        )
    options = {key: recipe[key] for key in ("backbone", "dtype", "batch_size", "shard_rows")}
    extract(inner, name=name, **options, workers=workers, device=device, progress=progress)


def _comparable(workspace: Workspace, name: str, why: Mapping[str, str]) -> dict[str, Any]:
    """What a reference set can be compared by; `why` says of features that could not be made what the matter is."""
    from curation.arrays import Features
    from curation.duplicates.sources import counterpart

    other, features, notes = references.open_image_source(workspace, name), [], []
    for known in workspace.feature_names():
        try:
            counterpart(Features(workspace, known), other)
            features.append(known)
        except CurationError as error:
            notes.append(f"reference set {name!r} cannot be compared by {known!r}: {why.get(known, error)}")
    counts = {"images": len(other.usable()), "features": features, "notes": notes, "set_aside": 0}
    return {"reference": name, "path": str(other.path), **counts}


def status(workspace: Workspace) -> dict[str, Any]:
    """What a workspace holds, as counts and names."""
    result: dict[str, Any] = {"workspace": workspace.name, "path": str(workspace.path)}
    if workspace.images_path.is_file():
        counts = workspace.images(["status"])["status"].value_counts()
        by_status = dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))
        result |= {"images": sum(by_status.values())} | {k: by_status.get(k, 0) for k in ("ok", "broken", "gone")}
        result["classes"] = pc.count(workspace.classes()["class_name"]).as_py()
    for what in ("feature", "cluster", "map", "split"):
        names = getattr(workspace, f"{what}_names")()
        result[f"{what}s".replace("features", "feature sets")] = ", ".join(names) or "none"
    if names := list(references.paths(workspace)):
        result["reference sets"] = ", ".join(names)
    pairs = pairs_path(workspace)
    result["pairs"] = read_table(pairs, columns=["image_a"]).num_rows if pairs.is_file() else 0
    result["decisions"] = workspace.ledger.count()
    return result


def _map(workspace: Workspace, *, features: str, method: str | None, seed: int, progress: Progress) -> dict[str, Any]:
    from curation.clusters import maps

    method = method or ("tsne" if len(workspace.usable()) <= MOST_TSNE else "umap")
    return maps.project(workspace, features=features, method=method, seed=seed, progress=progress)


def _carve(workspace: Workspace, *, clusters: str, seed: int, progress: Progress) -> dict[str, Any]:
    from curation.splits import recipes

    return recipes.make(workspace, name="glt", clusters=clusters, parameters={"seed": seed, "fit": True})


def _fetch(workspace: Workspace, *, source: str | None, progress: Progress) -> dict[str, Any]:
    from curation import sample

    pictures = workspace.roots["images"]
    if source == "digits":
        sample.digits(pictures)
    elif source == "imagenette":
        sample.imagenette(pictures.parent)
    progress(1, 1, "")
    return {}
