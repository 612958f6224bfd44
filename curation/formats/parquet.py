"""Apache Parquet: the annotation table as it is, with class names and the recipe in the file's own metadata."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import files
from curation.errors import CurationError
from curation.formats import comma_separated, containers
from curation.formats.annotations import ANNOTATIONS, AnnotationSet, Options, annotation_table, names_of
from curation.formats.table_columns import check_once, columns_of

KNOWN = b"annotations"


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write `<stem>.parquet` with the columns of the set."""
    path = folder / f"{stem}.parquet"
    known = {"classes": annotations.classes, "splits": annotations.splits, "meta": annotations.meta}
    files.write_table(path, annotations.table.replace_schema_metadata({KNOWN: json.dumps(known)}))
    return [path]


def read(path: Path) -> AnnotationSet:
    """Read a Parquet file that `write` wrote, or any with its columns.

    Raises:
        CurationError: not such a file; names the column or the key of its metadata.
    """
    with suppress(OSError, pa.ArrowException):  # which the next line tells in full
        check_once(pq.read_schema(path).names, path)
    table = files.read_table(path)
    if KNOWN not in (table.schema.metadata or {}):
        return comma_separated.from_table(table, path)
    where = f"{path}, metadata"
    told = files.parse_json(table.schema.metadata[KNOWN], where)
    known = containers.check_known({"columns": []} | told if isinstance(told, dict) else told, where)
    splits, classes = known.get("splits"), known["classes"]
    if not isinstance(splits, list) or not all(isinstance(name, str) for name in splits):
        raise CurationError(f"{where}: key 'splits' is missing or no list of texts")
    found = columns_of(table, path)
    if lacks := [name for name in ANNOTATIONS.names if name not in found]:
        raise CurationError(f"{path} has no column {lacks[0]!r}")
    if other := sorted(set(pc.unique(found["split"]).to_pylist()) - set(splits)):
        raise CurationError(f"{path} has rows of the split {other[0]!r}, which is none of its {len(splits)} splits")
    columns = annotation_table(found)
    labels = columns["label"]
    if pc.any(pc.or_(pc.less(labels, 0), pc.greater_equal(labels, len(classes)))).as_py():
        raise CurationError(f"{path} has labels that are none of its {len(classes)} classes")
    place = columns.column_names.index("class_name")
    columns = columns.set_column(place, columns.field(place), names_of(labels.to_numpy(), classes))
    return AnnotationSet(columns, tuple(classes), tuple(splits), known["meta"], known["about"])
