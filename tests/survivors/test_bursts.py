"""Images that share the id of their photograph."""

from __future__ import annotations

import pyarrow as pa
import pytest
from paired import build

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.survivors import bursts, resolution


@pytest.fixture
def make(tmp_path):
    """make(count, **columns) -> workspace"""
    return lambda count, **columns: build(tmp_path / "w", count, **columns)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_bursts_come_from_a_table(make, tmp_path, ending):
    workspace = make(4)
    rows = {
        "path": ["a/1.jpg", "a/3.jpg", "a/9.jpg", "a/0.jpg"],
        "burst": ["007", "007", "7", ""],
        "more": [1, 2, 3, 4],
    }
    file = tmp_path / f"bursts.{ending}"
    if ending == "csv":
        file.write_text("path,burst,more\n" + "".join(f"{p},{b},{m}\n" for p, b, m in zip(*rows.values(), strict=True)))
    else:
        files.write_table(file, pa.table(rows))
    assert bursts.import_table(workspace, file) == {"images": 2, "bursts": 1, "linked": 2, "set_aside": 1}
    assert bursts.read(workspace).to_pydict() == {"image_id": [1, 3], "burst": ["007", "007"]}


def test_tables_of_bursts_that_cannot_be_read(make, tmp_path):
    workspace = make(2)
    with pytest.raises(ArgumentError, match=r"no table .*none.csv"):
        bursts.import_table(workspace, tmp_path / "none.csv")
    (tmp_path / "b.csv").write_text("path,id\na/1.jpg,4\n")
    with pytest.raises(CurationError, match="'burst' is missing"):
        bursts.import_table(workspace, tmp_path / "b.csv")
    files.write_table(bursts.bursts_path(workspace), pa.table({"image_id": [2], "burst": ["x"]}))
    with pytest.raises(CurationError, match="names image 2, but the workspace has 2 images"):
        resolution.resolve(workspace)


def test_the_first_image_is_the_centre_of_its_burst():
    table = pa.table({"image_id": [1, 2, 5, 7, 9], "burst": ["x", "y", "x", "z", "x"]}, schema=bursts.BURSTS)
    centre, other, names = bursts.links(table)
    assert (centre.tolist(), other.tolist(), names) == ([1, 1], [5, 9], ["x", "x"])
    assert [len(part) for part in bursts.links(table.slice(0, 0))] == [0, 0, 0]


def test_a_path_in_two_roots_is_ambiguous(make, tmp_path):
    workspace = make(3, path=["a.jpg", "a.jpg", "b.jpg"], root=["one", "two", "one"])
    (tmp_path / "t.csv").write_text("path,burst\nb.jpg,1\na.jpg,1\n")
    with pytest.raises(CurationError, match=r"'a.jpg', which is an image in two roots"):
        bursts.import_table(workspace, tmp_path / "t.csv")
