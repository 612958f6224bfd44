"""Near duplicates from a shell: search, pairs, probes, survivors, leaks, lint, and ImageNetV2's own review files."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated, Any

import typer

from curation import files, references
from curation.console import Folder, JobId, Json, Reviewer, Seed, Workers, finish, run_stage
from curation.engine import Progress
from curation.errors import ArgumentError
from curation.workspace import Workspace

app = typer.Typer()

Split = Annotated[str | None, typer.Option(help="A saved split; the splits found on disk by default.")]


@app.command()
def duplicates(
    folder: Folder,
    metrics: Annotated[
        str,
        typer.Option(help="Measures, with commas between: phash, pixels, fc7, dssim, cosine or a feature set's name."),
    ] = "phash,cosine",
    features: Annotated[str | None, typer.Option(help="Feature set for cosine similarity; the only one.")] = None,
    scope: Annotated[
        str, typer.Option(help="Where to look: class, all, splits, or auto by the number of images.")
    ] = "auto",
    reference: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]PATH", help="Also against this workspace or folder of pictures; it is only read."),
    ] = None,
    forget: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Take this reference set off the list.")
    ] = None,
    top_k: Annotated[int, typer.Option(help="Neighbours an image in every measure.")] = 30,
    compare: Annotated[
        str, typer.Option(help="What DSSIM compares: proposed, class, similar, or a JSON file {class: [classes]}.")
    ] = "proposed",
    geometry: Annotated[bool, typer.Option(help="Check proposed pairs by local features.")] = True,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU when there is one.")] = None,
    workers: Workers = None,
    job: JobId = None,
    as_json: Json = False,
) -> None:
    """Find exact copies and near duplicates, within the workspace, between its splits and against reference sets."""
    from curation import pipeline
    from curation.duplicates.find import find

    def stage(workspace: Workspace, *, progress: Progress) -> dict[str, Any]:
        options = {"workers": workers, "device": device, "progress": progress}
        for name in forget or []:
            references.forget(workspace, name)
        added = [
            pipeline.add_reference(workspace, path, name=name, **options) for name, path in map(_named, reference or [])
        ]
        found = find(
            workspace,
            metrics=tuple(filter(None, metrics.split(","))),
            features=features,
            scope=scope,
            top_k=top_k,
            compare=compare,
            geometry=geometry,
            **options,
        )
        aside = found["set_aside"] + sum(each["set_aside"] for each in added)
        return found | {"added": added, "set_aside": aside}

    run_stage(folder, job, as_json, stage)


def _named(text: str) -> tuple[str | None, Path]:
    """Name and path of NAME=PATH; no name where the whole is a folder, or has no '='."""
    name, equals, path = text.partition("=")
    return (name, Path(path)) if equals and name and not Path(text).is_dir() else (None, Path(text))


@app.command()
def pairs(
    folder: Folder,
    decision: Annotated[
        str | None, typer.Option(help="Only pairs that the rule calls duplicate, candidate or different.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Pairs in numbers; with --json all of them, with every measure, what the rule says and what people said."""
    from curation.duplicates import verdicts
    from curation.duplicates.rule import DECISIONS

    if decision is not None and decision not in DECISIONS:
        raise ArgumentError(f"unknown decision {decision!r}: choose one of {', '.join(DECISIONS)}")
    workspace = Workspace(folder)
    result = verdicts.counts(workspace)
    if as_json:
        table = verdicts.ruled(workspace)
        result["list"] = [row for row in table.to_pylist() if decision in (None, row["decision"])]
    finish(result, as_json)


@app.command()
def probes(
    folder: Folder,
    count: Annotated[int, typer.Option(help="Edited copies to plant.")] = 60,
    seed: Seed = 25,
    workers: Workers = None,
    job: JobId = None,
    as_json: Json = False,
) -> None:
    """Plant edited copies among the pairs: they measure how much the search and the reviewers find."""
    from curation.pipeline import plant_probes

    run_stage(folder, job, as_json, plant_probes, count=count, seed=seed, workers=workers)


@app.command()
def resolve(
    folder: Folder,
    policy: Annotated[
        str | None,
        typer.Option(help="largest, first, frequency, split:NAME or published; default: the one in force."),
    ] = None,
    bursts: Annotated[
        Path | None, typer.Option(help="First read this CSV or Parquet: path, and burst, the photograph's own id.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what every policy would do, change nothing.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write every member, with who stays and why, as Parquet.")] = None,
    reviewer: Reviewer = None,
    as_json: Json = False,
) -> None:
    """Who stays of every group of near duplicates; the policy holds for splits from then on."""
    from curation import policies
    from curation.survivors import bursts as photographs
    from curation.survivors import resolution

    workspace = Workspace(folder)
    if dry_run and bursts:
        raise ArgumentError(f"--dry-run changes nothing, and --bursts {bursts} would be kept: give one of them")
    if dry_run:
        return finish(
            {"policies": resolution.preview(workspace, policies=None if policy is None else [policy]).counts}, as_json
        )
    result = {"bursts": photographs.import_table(workspace, bursts)} if bursts else {}
    found = resolution.resolve(workspace, policy=policy)
    if policy:  # kept only now: one that cannot be resolved would stop everything that asks who survives
        policies.put(workspace, "survivors", policy, reviewer=reviewer or getpass.getuser())
    if out:
        files.write_table(out, found.members)
    summary = resolution.summary(workspace, found)
    return finish({"policy": policies.value(workspace, "survivors"), **summary, **result}, as_json)


@app.command()
def lint(
    target: Annotated[Path, typer.Argument(metavar="WORKSPACE|DATASET.json", help="What to look through.")],
    state: Annotated[
        Path | None, typer.Option(help="Folder with near_duplicates.json and candidate_blacklist.json, for a file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find members that are excluded, duplicates of each other or leaked; exit code 3 when there are any."""
    from curation.lint import lint as look

    result = look(target, state=state)
    finish(result, as_json)
    if result["findings"]:
        raise typer.Exit(3)


@app.command()
def leaks(folder: Folder, split: Split = None, as_json: Json = False) -> None:
    """How many pairs of near duplicates lie within and between splits and reference sets."""
    from curation.duplicates.leaks import matrix

    finish({"leaks": matrix(Workspace(folder), split=split).to_pylist()}, as_json)


@app.command()
def certificate(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="Folder for certificate.json and certificate.md.")],
    split: Split = None,
    as_json: Json = False,
) -> None:
    """Write what was searched, judged and found."""
    from curation.duplicates.certificate import write

    finish(write(Workspace(folder), out, split=split), as_json)


@app.command("import-reviews")
def import_reviews(
    folder: Folder,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="With near_duplicates.json and its companions.")],
    add_missing: Annotated[
        bool, typer.Option("--add-missing", help="Add images that are named there and not here, without pictures.")
    ] = False,
    job: JobId = None,
    as_json: Json = False,
) -> None:
    """Take ImageNetV2's review files into the ledger; importing twice changes nothing."""
    from curation.duplicates.published import import_reviews as stage

    run_stage(folder, job, as_json, stage, directory=directory, add_missing=add_missing)


@app.command("export-reviews")
def export_reviews(
    folder: Folder,
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace such files there.")] = False,
    as_json: Json = False,
) -> None:
    """Write what the ledger holds as ImageNetV2's review files."""
    from curation.duplicates.published import export_reviews as write

    finish(write(Workspace(folder), out, overwrite=overwrite), as_json)
