"""The stages from a shell: `python -m curation STAGE WORKSPACE …`."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated, Any

import typer

from curation import cli_duplicates, cli_splits, console
from curation.console import Folder, JobId, Json, Reviewer, Seed, Workers, finish, run_stage
from curation.engine import Progress
from curation.errors import ArgumentError
from curation.workspace import Workspace

app = typer.Typer(
    help="Make image-classification benchmarks: read pictures in, cluster, find duplicates, carve splits, export.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(cli_duplicates.app)
app.add_typer(cli_splits.app)

Backend = Annotated[str, typer.Option(help="Where shards run: processes or ray.")]


@app.command()
def init(
    folder: Folder,
    images: Annotated[Path, typer.Option(help="The folder that the pictures lie in.")],
    layout: Annotated[str, typer.Option(help="auto, folders, splits, ilsvrc or table.")] = "auto",
    table: Annotated[Path | None, typer.Option(help="CSV or Parquet with path and label, for layout table.")] = None,
    name: Annotated[str | None, typer.Option(help="Shown in the app; the folder's name by default.")] = None,
    workers: Workers = None,
    job: JobId = None,
    as_json: Json = False,
) -> None:
    """Make a workspace, or read its folder again: new pictures are added, missing ones marked gone."""
    from curation.images.ingest import read

    Workspace.create(folder, name=name, roots={"images": images})
    options = {"table": table} if table else {}
    run_stage(folder, job, as_json, read, layout=layout, workers=workers, **options)


@app.command()
def extract(
    folder: Folder,
    backbone: Annotated[str, typer.Option(help="Name of the network.")] = "tf_efficientnet_lite0",
    weights: Annotated[Path | None, typer.Option(help="A local weights file.")] = None,
    dtype: Annotated[str, typer.Option(help="float16 or float32, as stored.")] = "float16",
    name: Annotated[str | None, typer.Option(help="Name of the feature set; the backbone's by default.")] = None,
    batch_size: Annotated[int, typer.Option(help="Pictures a forward pass.")] = 64,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU when there is one.")] = None,
    workers: Workers = None,
    job: JobId = None,
    as_json: Json = False,
) -> None:
    """Extract features of every usable picture, in resumable shards."""
    from curation.features.extract import extract as stage

    run_stage(
        folder,
        job,
        as_json,
        stage,
        backbone=backbone,
        weights=weights,
        dtype=dtype,
        name=name,
        batch_size=batch_size,
        device=device,
        workers=workers,
    )


@app.command()
def cluster(
    folder: Folder,
    features: Annotated[str, typer.Option(help="Name of a feature set.")],
    clusters: Annotated[int, typer.Option(help="Clusters in each class.")] = 6,
    attributes: Annotated[int, typer.Option(help="Attributes that they are merged into.")] = 3,
    merge: Annotated[str, typer.Option(help="rank, or none to keep every cluster as an attribute.")] = "rank",
    seed: Seed = 25,
    name: Annotated[str | None, typer.Option(help="Name of the clustering; the feature set's by default.")] = None,
    workers: Workers = None,
    backend: Backend = "processes",
    job: JobId = None,
    as_json: Json = False,
) -> None:
    """Cluster the features inside each class and merge the clusters into attributes."""
    from curation.clusters.kmeans import cluster as stage

    run_stage(
        folder,
        job,
        as_json,
        stage,
        features=features,
        clusters=clusters,
        attributes=attributes,
        merge=merge,
        seed=seed,
        name=name,
        workers=workers,
        backend=backend,
    )


@app.command()
def sweep(
    folder: Folder,
    features: Annotated[str, typer.Option(help="Name of a feature set.")],
    class_name: Annotated[str, typer.Option("--class", help="The class to try on.")],
    clusters: Annotated[int, typer.Option(help="Number at which other seeds are tried.")] = 6,
    most: Annotated[int, typer.Option(help="Try from 2 to this many clusters.")] = 10,
    seed: Seed = 25,
    job: JobId = None,
    as_json: Json = False,
) -> None:
    """Try numbers of clusters on one class: silhouette at each, and how well other seeds agree."""
    from curation.clusters import quality

    def stage(workspace: Workspace, *, progress: Progress) -> dict[str, Any]:
        options = {"features": features, "class_name": class_name, "seed": seed}
        progress(0, 2, f"Trying clusters: {class_name}")
        table = quality.sweep(workspace, clusters=range(2, most + 1), **options).to_pydict()
        progress(1, 2, f"Trying seeds: {class_name}")
        return table | {"class": class_name, "stability": quality.stability(workspace, clusters=clusters, **options)}

    run_stage(folder, job, as_json, stage)


@app.command("map")
def map_(
    folder: Folder,
    features: Annotated[str, typer.Option(help="Name of a feature set.")],
    method: Annotated[str, typer.Option(help="tsne or umap.")] = "tsne",
    class_name: Annotated[str | None, typer.Option("--class", help="Only this class.")] = None,
    seed: Seed = 25,
    job: JobId = None,
    as_json: Json = False,
) -> None:
    """Lay features out in two dimensions, for a whole workspace or one class."""
    from curation.clusters.maps import project

    run_stage(folder, job, as_json, project, features=features, method=method, class_name=class_name, seed=seed)


@app.command()
def run(
    folder: Folder,
    source: Annotated[
        str | None, typer.Option(help="Read these in first: digits, imagenette, or a folder of your own.")
    ] = None,
    backbone: Annotated[str, typer.Option(help="Name of the network.")] = "tf_efficientnet_lite0",
    method: Annotated[str | None, typer.Option(help="Map: tsne or umap; by the number of images.")] = None,
    seed: Seed = 25,
    workers: Workers = None,
    job: JobId = None,
    as_json: Json = False,
) -> None:
    """The whole main job with good defaults: features, clusters, map, pairs and a split."""
    from curation import pipeline

    if source:
        pipeline.prepare(folder, source=source)
    run_stage(
        folder,
        job,
        as_json,
        pipeline.run,
        source=source,
        backbone=backbone,
        method=method,
        seed=seed,
        workers=workers,
    )


@app.command()
def undo(
    folder: Folder,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Id of an event of the ledger, as messages name it.")],
    reviewer: Reviewer = None,
    as_json: Json = False,
) -> None:
    """Take back one decision; undoing an undo brings it back."""
    workspace = Workspace(folder)
    if not (found := workspace.ledger.named([event])):
        raise ArgumentError(f"the ledger of {workspace.path} has no event {event!r} among {workspace.ledger.count():,}")
    workspace.ledger.undo(event, reviewer=reviewer or getpass.getuser())
    finish({"undone": event, "kind": found[0].kind, "subject": found[0].subject, "by": found[0].reviewer}, as_json)


@app.command()
def status(folder: Folder, as_json: Json = False) -> None:
    """What a workspace holds."""
    from curation.pipeline import status as look

    finish(look(Workspace(folder)), as_json)


def main(argv: list[str] | None = None) -> int:
    """Run a command line; exit codes: 0 done, 1 failed, 2 wrong arguments, 3 finished but inputs were set aside."""
    return console.main(app, argv)
