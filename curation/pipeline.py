"""The main job in one go, with good defaults; and what of it a workspace has done."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from curation.engine import Progress, quiet
from curation.exclusions import pairs_path
from curation.files import read_table
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
