"""Croissant 1.0, MLCommons' JSON-LD metadata of a data set, and the file of records that it describes.

`<stem>.croissant.json` names `<stem>-records.parquet` with its SHA-256 and says what its columns mean: record sets
`records`, `classes` (an sc:Enumeration) and `splits` (a cr:Split), the first referring to the others, as the format's
description asks of categorical data and of splits (mlcommons/croissant, docs/croissant-spec.md). Read by mlcroissant,
TensorFlow Datasets and data set search engines. The records are Parquet, since readers of CSV take a class `null` for
nothing and `01` for 1. What is not known is not told: no date, no creator, and a licence only where `meta` has one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation import files
from curation.errors import CurationError
from curation.formats import comma_separated, containers, parquet, split_files
from curation.formats.annotations import AnnotationSet, Options

HOLDS = containers.HOLDS
_VERSION = "http://mlcommons.org/croissant/1.0"
_PARQUET, _CSV = "application/x-parquet", "text/csv"
# Prefixes and abbreviations that the format's description lists for every file.
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
} | {
    name: f"cr:{name}"
    for name in (
        *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet"),
        *("format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
        *("references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
    )
}
# Keys of `meta` that are a property of the data set here too; kept where they are text.
_PROPERTIES = ("description", "license", "url", "version", "citeAs", "keywords")
_ABOUT = {
    "path": "Where the picture lies, relative to the root of the pictures.",
    "class_name": "Name of the class.",
    "label": "Number of the class, from 0.",
    "split": "The split that the picture belongs to.",
    "frequency": "How often the class is in training: 0 head, 1 medium, 2 tail.",
    "attribute": "Attribute of the picture in its class; 0 is the most frequent.",
    "cluster": "Cluster of the picture in its class; 0 is the largest.",
    "number": "Number by which the original data set lists the picture.",
    "width": "Width of the picture in pixels.",
    "height": "Height of the picture in pixels.",
    "sha256": "SHA-256 of the picture's bytes.",
    "source": "Whether the picture is real or generated.",
}
_REFERENCES = {"label": "classes/label", "split": "splits/name"}


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write `<stem>-records.parquet`, then `<stem>.croissant.json`; the latter is the first of the paths returned.

    Raises:
        ArgumentError: a label without class, a path with `..`, or a split that cannot be a file name.
    """
    split_files.check(annotations)
    records, path = folder / f"{stem}-records.parquet", folder / f"{stem}.croissant.json"
    known = containers.known(annotations) | {"splits": annotations.splits}
    files.write_table(records, annotations.table.replace_schema_metadata({parquet.KNOWN: json.dumps(known)}))
    files.write_json(path, _document(annotations, stem, records))
    return [path, records]


def read(path: Path) -> AnnotationSet:
    """Read the records that a Croissant file describes; also those of others, in CSV or Parquet, with our columns.

    Raises:
        CurationError: not such a file, naming the key; records that lie elsewhere, are gone, or are others than those
            described.
    """
    path = Path(path)
    document = files.read_json(path)
    if not isinstance(document, dict) or not isinstance(document.get("distribution"), list):
        raise CurationError(f"{path}: key distribution is missing or no list: it is no Croissant file")
    resource = _resource(path, document)
    records = _place(path, resource)
    if (found := files.sha256_file(records)) != resource["sha256"]:
        raise CurationError(
            f"{records} is not what {path} describes: its SHA-256 is {found[:12]}…, not {resource['sha256'][:12]}…; "
            "get both from one place"
        )
    found = (comma_separated if resource["encodingFormat"] == _CSV else parquet).read(records)
    if (row := files.first_outside(found.table["path"], rooted=True)) is not None:
        raise CurationError(f"{records}, row {row + 1}: {found.table['path'][row].as_py()!r} climbs out of its folder")
    return found


# -- writing ----------------------------------------------------------------------------------------------------------


def _document(annotations: AnnotationSet, stem: str, records: Path) -> dict[str, Any]:
    meta = annotations.meta
    told = {key: meta[key] for key in _PROPERTIES if meta.get(key) and isinstance(meta[key], str)}
    resource = {
        "@type": "cr:FileObject",
        "@id": records.name,
        "name": records.name,
        "contentUrl": records.name,
        "contentSize": f"{records.stat().st_size} B",
        "encodingFormat": _PARQUET,
        "sha256": files.sha256_file(records),
    }
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": stem,
        "conformsTo": _VERSION,
        **({"description": _description(annotations)} | told),
        "distribution": [resource],
        "recordSet": [s for s in (_splits(annotations), _classes(annotations)) if s["data"]]
        + [_records(annotations, records.name)],
    }


def _description(annotations: AnnotationSet) -> str:
    parts = ", ".join(f"{name} ({count:,})" for name, count in annotations.counts().items())
    return f"{len(annotations.table):,} labelled images of {len(annotations.classes):,} classes; splits: {parts}."


def _splits(annotations: AnnotationSet) -> dict[str, Any]:
    meanings = [_meaning(name) for name in annotations.splits]
    columns: dict[str, tuple[Any, list]] = {"name": ("sc:Text", list(annotations.splits))}
    if any(meanings):
        columns["url"] = (["sc:Text", "cr:Split"], meanings)
    return _inline("splits", "cr:Split", "The splits.", "name", columns)


def _meaning(split: str) -> str | None:
    name = split.lower()
    if name in ("train", "training"):
        return "cr:TrainingSplit"
    if name in ("val", "valid", "validation", "dev"):
        return "cr:ValidationSplit"
    return "cr:TestSplit" if name.split("_")[0] in ("test", "testing") else None


def _classes(annotations: AnnotationSet) -> dict[str, Any]:
    columns: dict[str, tuple[Any, list]] = {
        "label": ("sc:Integer", list(range(len(annotations.classes)))),
        "name": (["sc:Text", "sc:name"], list(annotations.classes)),
    }
    for name in annotations.about.column_names if annotations.about is not None else ():
        column = annotations.about[name]
        if name != "class_name" and column.null_count < len(column):
            columns[name] = ("sc:Integer" if pa.types.is_integer(column.type) else "sc:Text", column.to_pylist())
    return _inline("classes", "sc:Enumeration", "The classes by label.", "label", columns)


def _inline(name: str, kind: str, description: str, key: str, columns: dict[str, tuple[Any, list]]) -> dict[str, Any]:
    """A record set whose records stand in the metadata itself."""
    names = [f"{name}/{column}" for column in columns]
    rows = zip(*(values for _, values in columns.values()), strict=True)
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "dataType": kind,
        "key": {"@id": f"{name}/{key}"},
        "field": [_field(name, column, kind) for column, (kind, _) in columns.items()],
        "data": [dict(zip(names, row, strict=True)) for row in rows],
    }


def _records(annotations: AnnotationSet, file: str) -> dict[str, Any]:
    fields = []
    for kind in annotations.table.schema:
        column = annotations.table[kind.name]
        if kind.name not in ("path", "class_name", "label", "split") and column.null_count == len(column):
            continue
        types = ["sc:Integer", "cr:Label"] if kind.name == "label" else _type(kind.type)
        field = _field("records", kind.name, types) | {"description": _ABOUT[kind.name]}
        field["source"] = {"fileObject": {"@id": file}, "extract": {"column": kind.name}}
        if kind.name in _REFERENCES and len(annotations.splits if kind.name == "split" else annotations.classes):
            field["references"] = {"field": {"@id": _REFERENCES[kind.name]}}
        fields.append(field)
    return {
        "@type": "cr:RecordSet",
        "@id": "records",
        "name": "records",
        "description": "One record an image of a split.",
        "field": fields,
    }


def _type(kind: pa.DataType) -> str:
    return "sc:Integer" if pa.types.is_integer(kind) else "sc:Text"


def _field(records: str, name: str, kind: Any) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": f"{records}/{name}", "name": name, "dataType": kind}


# -- reading ----------------------------------------------------------------------------------------------------------


def _resource(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """The description of the one file of records."""
    found = [
        entry
        for entry in document["distribution"]
        if isinstance(entry, dict) and entry.get("encodingFormat") in (_PARQUET, _CSV) and "containedIn" not in entry
    ]
    if len(found) != 1:
        raise CurationError(
            f"{path}: distribution has {len(found)} files of records ({_PARQUET} or {_CSV}), and this reader takes one"
        )
    for key in ("contentUrl", "sha256"):
        if not isinstance(found[0].get(key), str):
            raise CurationError(f"{path}: distribution has a file without the text {key!r}")
    return found[0]


def _place(path: Path, resource: dict[str, Any]) -> Path:
    url = resource["contentUrl"]
    if "://" in url:
        raise CurationError(f"{path}: the records lie at {url}: fetch them, and give contentUrl their name beside it")
    if files.leads_out(url):
        raise CurationError(f"{path}: contentUrl {url!r} leads out of the folder of the Croissant file")
    place = path.parent / url
    if len(url) > 4_000 or not place.is_file():
        raise CurationError(f"{place} does not exist, and {path} describes it: put it there")
    return place
