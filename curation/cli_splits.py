"""Splits and their files from a shell: `split`, `splits`, `export`, `convert`, `datasheet`, `rebuild`, `verify`, …"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from curation import cli_told
from curation.console import Folder, JobId, Json, Seed, finish, run_stage
from curation.engine import Progress
from curation.errors import ArgumentError
from curation.files import check_name
from curation.workspace import Workspace

app = typer.Typer()

MaxRam = Annotated[
    float | None, typer.Option("--max-ram", metavar="GB", help="subset-npz: memory a reader has for one part.")
]
Concatenate = Annotated[bool, typer.Option("--concatenate", help="subset-npz: one compressed file instead of parts.")]
ClassFolders = Annotated[str, typer.Option(help="Class folders of a tree: name, index (zero-padded label) or wnid.")]
Copy = Annotated[bool, typer.Option("--copy", help="Copy pictures into trees instead of links.")]
ShardImages = Annotated[int, typer.Option(help="The most pictures in one shard.")]


@app.command()
def split(
    folder: Folder,
    name: Annotated[str, typer.Option(help="Name of the split; a name that is taken gets its next revision.")],
    recipe: Annotated[str, typer.Option(help="Kind of recipe, a published preset, or a JSON file.")] = "glt",
    inter: Annotated[str | None, typer.Option(help="glt: classes long-tailed (lt) or balanced (bl).")] = None,
    mode: Annotated[str | None, typer.Option(help="glt: default, or legacy for the published procedure.")] = None,
    clusters: Annotated[str | None, typer.Option(help="Name of a clustering; the only one.")] = None,
    duplicates: Annotated[
        str | None, typer.Option(help="Near duplicates: decided (one stays), verdicts, together (on one side), ignore.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Every random draw comes from it.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any parameter.")] = None,
    job: JobId = None,
    as_json: Json = False,
) -> None:
    """Make a split by a recipe; what was left out is listed with its reason."""
    from curation.splits import documents, kinds, recipes

    document = documents.document(recipe)
    given = {"inter": inter, "mode": mode, "seed": seed}
    parameters = {key: value for key, value in given.items() if value is not None}
    parameters |= documents.parse_settings(settings or [], kinds.kind_of(document["kind"]))

    def stage(workspace: Workspace, *, progress: Progress) -> dict[str, Any]:
        progress(0, 1, "making a split")
        options = {"clusters": clusters, "parameters": parameters, "duplicates": duplicates}
        return recipes.make(workspace, recipe=document, name=name, **options)

    run_stage(folder, job, as_json, stage, tell=cli_told.made)


@app.command()
def splits(
    folder: Folder,
    compare: Annotated[tuple[str, str] | None, typer.Option(metavar="A B", help="Compare two splits.")] = None,
    as_json: Json = False,
) -> None:
    """The splits of a workspace, or what differs between two of them."""
    from curation.splits import recipes
    from curation.splits.compare import compare as compare_two

    workspace = Workspace(folder)
    if compare:
        found = compare_two(*(recipes.load(workspace, name) for name in compare)).to_dict()
        finish(found, as_json, cli_told.compared)
    else:
        finish({"splits": recipes.listing(workspace)}, as_json, cli_told.listed)


@app.command()
def export(
    folder: Folder,
    splits: Annotated[list[str], typer.Argument(metavar="SPLIT", help="Name of a split, or of several.")],
    formats: Annotated[
        list[str],
        typer.Option(
            "--format",
            help="glt-json, imagenet-lt-txt, inat-json, mini-lt-csv, subset-npz, imagenetv2-json, csv, parquet, "
            "folder, webdataset, hf, croissant or fiftyone; may be given several times.",
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Where to; exports/SPLIT in the workspace by default.")] = None,
    copy: Copy = False,
    absolute: Annotated[
        bool, typer.Option("--absolute", help="Absolute paths, as the published loader wants.")
    ] = False,
    pictures_in_zip: Annotated[
        bool, typer.Option("--pictures-in-zip", help="Pack the pictures of trees and shards too.")
    ] = False,
    class_folders: ClassFolders = "name",
    max_ram: MaxRam = None,
    concatenate: Concatenate = False,
    shard_images: ShardImages = 10_000,
    job: JobId = None,
    as_json: Json = False,
) -> None:
    """Write a split as annotation files, with a manifest that can rebuild and verify them."""
    options = {
        "formats": formats,
        "link": "copy" if copy else "link",
        "absolute": absolute,
        "pictures_in_zip": pictures_in_zip,
        "class_folders": class_folders,
        "max_ram": max_ram,
        "concatenate": concatenate,
        "shard_images": shard_images,
    }
    places = {name: out / name if out and len(splits) > 1 else out for name in splits}
    run_stage(folder, job, as_json, _export, tell=cli_told.exported, places=places, **options)


def _export(
    workspace: Workspace, *, places: dict[str, Path | None], progress: Progress, **options: Any
) -> dict[str, Any]:
    """Write several splits, each to its place."""
    from curation.export import export as write

    made = [write(workspace, name, out=place, progress=progress, **options) for name, place in places.items()]
    return made[0] if len(made) == 1 else {"exports": made, "set_aside": sum(m["set_aside"] for m in made)}


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A file or folder of a known format.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A folder, or a file of a format that is one.")],
    to: Annotated[str, typer.Option(help="Format to write.")],
    origin: Annotated[
        str | None, typer.Option("--from", help="Format to read; told by the file when left out.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Where the pictures lie; taken off absolute paths.")] = None,
    absolute: Annotated[bool, typer.Option("--absolute", help="Write paths with the root before them.")] = False,
    prefix: Annotated[
        str | None, typer.Option(metavar="OLD=NEW", help="What every path begins with, and what comes there instead.")
    ] = None,
    stem: Annotated[str | None, typer.Option(help="Of the names of files; the source's by default.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    copy: Copy = False,
    class_folders: ClassFolders = "name",
    max_ram: MaxRam = None,
    concatenate: Concatenate = False,
    shard_images: ShardImages = 10_000,
    as_json: Json = False,
) -> None:
    """Write an annotation file in another format, and say what that cannot hold."""
    from curation.convert import convert as stage

    found = stage(
        source,
        target,
        origin=origin,
        to=to,
        root=root,
        absolute=absolute,
        prefix=None if prefix is None else _pair(prefix),
        stem=stem,
        overwrite=overwrite,
        link="copy" if copy else "link",
        class_folders=class_folders,
        max_ram=max_ram,
        concatenate=concatenate,
        shard_images=shard_images,
    )
    finish(found, as_json, cli_told.converted)


def _pair(text: str) -> tuple[str, str]:
    """Both sides of OLD=NEW."""
    old, equals, new = text.partition("=")
    if not equals:
        raise ArgumentError(f"--prefix {text!r} has no '=': give OLD=NEW, such as /data/ILSVRC/=")
    return old, new


@app.command()
def datasheet(
    folder: Folder,
    name: Annotated[str, typer.Argument(metavar="SPLIT", help="Name of a split.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the sheet; the split's own by default.")] = None,
    as_json: Json = False,
) -> None:
    """Write what is known of a split on one page, as Markdown and HTML."""
    from curation import datasheet as sheets

    workspace = Workspace(folder)
    sheet = sheets.datasheet(workspace, name)
    written = sheets.write(sheet, out or workspace.path / "datasheets" / name)
    finish({"split": name, "files": [str(path) for path in written]}, as_json)


@app.command()
def rebuild(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="manifest.json of an export.")],
    out: Annotated[Path | None, typer.Option(help="Keep the rebuilt files here.")] = None,
    as_json: Json = False,
) -> None:
    """Make an export's files again from its manifest and verify their hashes."""
    from curation.export import rebuild as again

    finish(again(manifest, out=out), as_json, cli_told.checked)


@app.command()
def verify(
    folder: Folder,
    name: Annotated[str, typer.Argument(metavar="EXPORT", help="Name of an export of the workspace.")],
    job: JobId = None,
    as_json: Json = False,
) -> None:
    """Rebuild an export of a workspace and verify its hashes."""
    from curation.export import rebuild as again

    def stage(workspace: Workspace, *, progress: Progress) -> dict[str, Any]:
        progress(0, 1, "rebuilding")
        path = workspace.path / "exports" / check_name(name, "export") / "manifest.json"
        found = again(path)
        return {"export": name, "files": len(found["files"]), "without_pictures": found["without_pictures"]}

    run_stage(folder, job, as_json, stage, tell=cli_told.checked)


@app.command("glt-carve")
def glt_carve(
    table: Annotated[Path, typer.Argument(metavar="TABLE.json", help="{class: {cluster: [paths]}}")],
    out: Annotated[Path, typer.Option(help="Folder for the two JSON files.")],
    mode: Annotated[str, typer.Option(help="legacy or default.")] = "legacy",
    seed: Seed = 25,
    profile: Annotated[str, typer.Option(help="Class sizes of the long-tailed file.")] = "imagenet-glt",
    as_json: Json = False,
) -> None:
    """Carve a cluster table into both ImageNet-GLT annotation files."""
    from curation.splits.carve_table import glt_carve as stage

    finish(stage(table, out=out, mode=mode, seed=seed, profile=profile), as_json)
