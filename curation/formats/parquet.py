"""Apache Parquet: the annotation table as it is, with class names and the recipe in the file's own metadata."""

from __future__ import annotations

import json
from pathlib import Path

from curation import files
from curation.errors import CurationError
from curation.formats.annotations import ANNOTATIONS, EXTRAS, AnnotationSet, Options, annotation_table

_KEY = b"annotations"


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write `<stem>.parquet` with the columns of the set."""
    path = folder / f"{stem}.parquet"
    known = {"classes": annotations.classes, "splits": annotations.splits, "meta": annotations.meta}
    files.write_table(path, annotations.table.replace_schema_metadata({_KEY: json.dumps(known)}))
    return [path]


def read(path: Path) -> AnnotationSet:
    """Read a Parquet file that `write` wrote, or any with its columns.

    Raises:
        CurationError: not such a file; names the column.
    """
    from curation.formats import comma_separated

    table = files.read_table(path)
    if _KEY not in (table.schema.metadata or {}):
        return comma_separated.from_table(table, path)
    known = json.loads(table.schema.metadata[_KEY])
    missing = [name for name in ANNOTATIONS.names if name not in table.column_names]
    if missing:
        raise CurationError(f"{path} has no column {missing[0]!r}")
    there = [name for name in (*ANNOTATIONS.names, *EXTRAS.names) if name in table.column_names]
    table = annotation_table({name: table[name] for name in there})
    return AnnotationSet(table, tuple(known["classes"]), tuple(known["splits"]), known["meta"])
