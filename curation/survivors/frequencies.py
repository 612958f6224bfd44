"""Selection frequencies: the share of people who say that an image shows its class."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from curation import files
from curation.workspace import Workspace

FREQUENCY = pa.schema(
    {
        "image_id": pa.int32(),
        "class_name": pa.string(),  # the class people were asked about; an image may be asked about under several
        "frequency": pa.float64(),  # selected / assignments, 0 to 1
        "assignments": pa.int32(),
    }
)


def frequency_path(workspace: Workspace) -> Path:
    """Where the table of selection frequencies lies."""
    return workspace.path / "labels" / "frequency.parquet"


def read(workspace: Workspace) -> pa.Table:
    """The selection frequencies (schema FREQUENCY); without rows where nobody has labelled anything.

    Raises:
        CurationError: the table names images that the workspace does not have.
    """
    path = frequency_path(workspace)
    if not path.is_file():
        return FREQUENCY.empty_table()
    table = files.read_table(path, columns=FREQUENCY.names).cast(FREQUENCY)
    workspace.check_ids(table["image_id"].to_numpy(), str(path), "it belongs to another workspace")
    return table


def of_own_class(workspace: Workspace) -> pa.Table:
    """image_id, class_name and frequency of images that were labelled under the class they have, each once."""
    table = read(workspace)
    own = workspace.images(["class_name"])["class_name"].cast(pa.string()).take(table["image_id"])
    table = table.filter(pc.equal(table["class_name"], own)).select(["image_id", "class_name", "frequency"])
    best = table.group_by(["image_id", "class_name"]).aggregate([("frequency", "max")])
    return best.rename_columns(["image_id", "class_name", "frequency"]).sort_by("image_id")
