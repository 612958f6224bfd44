"""Tables of paths and labels, and what is wrong with them, by line."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.errors import ArgumentError, CurationError
from curation.images import readers


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "pictures"
    for path in ("b/1.jpg", "a/2.jpg", "a/3"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"12345")
    return folder


def rows(found: readers.Listing) -> list[tuple]:
    table = found.table.to_pydict()
    return list(zip(table["path"], table["class_name"], table["source_split"], strict=True))


def write(root: Path, text: str, name: str = "table.csv") -> Path:
    path = root.parent / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "Path,Label,split\nb/1.jpg,bee,Training\na/2.jpg,007,\n",
        "\ufefffile,class,subset\na/2.jpg,007,\nb/1.jpg,bee,train",
    ],
)
def test_csv(root, text):
    found = readers.find(root, table=write(root, text))
    assert found.layout == "table"
    assert rows(found) == [("a/2.jpg", "007", ""), ("b/1.jpg", "bee", "train")]
    assert found.table["bytes"].to_pylist() == [5, 5]
    assert min(found.table["modified"].to_pylist()) > 0


def test_tsv_quotes_and_names_that_look_like_numbers(root):
    path = write(root, 'path\tlabel\na/2.jpg\tNA\n"b/1.jpg"\t1e3\n', "table.tsv")
    assert rows(readers.find(root, table=path)) == [("a/2.jpg", "NA", ""), ("b/1.jpg", "1e3", "")]
    path = write(root, 'path,label\na/2.jpg,"bee, honey"\n')
    assert rows(readers.find(root, table=path)) == [("a/2.jpg", "bee, honey", "")]


def test_parquet_with_numbers_and_words(root):
    label = pa.array([3, 1], pa.int64())
    split = pa.array(["val", "test"]).dictionary_encode()
    path = root.parent / "table.parquet"
    pq.write_table(pa.table({"image_path": ["b/1.jpg", "a/3"], "target": label, "split": split}), path)
    assert rows(readers.find(root, layout="table", table=path)) == [("a/3", "1", "test"), ("b/1.jpg", "3", "val")]


def test_a_file_that_is_not_there_stays_in_the_listing(root):
    found = readers.find(root, table=write(root, "path,label\nb/none.jpg,bee\n"))
    assert found.table["bytes"].to_pylist() == [0]


def test_absolute_and_roundabout_paths_below_the_root(root):
    text = f"path,label\n{root}/b/1.jpg,bee\n./a//x/../2.jpg,ant\n"
    assert rows(readers.find(root, table=write(root, text))) == [("a/2.jpg", "ant", ""), ("b/1.jpg", "bee", "")]


@pytest.mark.parametrize("path", ["../secret.jpg", "/etc/passwd", "a/../../secret.jpg", "..", ".", "a/.."])
def test_paths_that_lead_out_are_refused_with_their_line(root, path):
    with pytest.raises(CurationError, match=r"table.csv, line 3: path .* leads out of"):
        readers.find(root, table=write(root, f"path,label\nb/1.jpg,bee\n{path},x\n"))


def test_empty_cells_are_refused_with_their_line(root):
    with pytest.raises(CurationError, match=r"table.csv, line 3: the label is empty \(2 such rows\)"):
        readers.find(root, table=write(root, "path,label\nb/1.jpg,bee\na/2.jpg,\na/3, \n"))
    with pytest.raises(CurationError, match="line 2: the path is empty"):
        readers.find(root, table=write(root, "path,label\n,bee\n"))
    path = root.parent / "table.parquet"
    pq.write_table(pa.table({"path": ["a/3", "a/2.jpg"], "label": ["x", None]}), path)
    with pytest.raises(CurationError, match=r"table.parquet, row 2: the label is empty"):
        readers.find(root, table=path)


def test_the_same_path_twice(root):
    found = readers.find(root, table=write(root, "path,label\nb/1.jpg,bee\na/3,ant\nb/1.jpg,bee\n"))
    assert [row[0] for row in rows(found)] == ["a/3", "b/1.jpg"]
    assert "table.csv names 1 paths more than once" in found.notes[0]
    with pytest.raises(CurationError, match=r"line 4: 'b/1.jpg' has the label 'wasp', and 'bee' in .*line 2"):
        readers.find(root, table=write(root, "path,label\nb/1.jpg,bee\na/3,ant\nb/1.jpg,wasp\n"))


def test_files_that_are_no_such_table(root):
    with pytest.raises(CurationError, match=r"has the columns 'a', 'b', and none is called 'path'"):
        readers.find(root, table=write(root, "a,b\n1,2\n"))
    with pytest.raises(CurationError, match=r"cannot be read as a table: .*Expected 2 columns, got 3"):
        readers.find(root, table=write(root, "path,label\n1,2\n1,2,3\n"))
    with pytest.raises(CurationError, match="cannot be read as a table"):
        readers.find(root, table=write(root, ""))
    with pytest.raises(CurationError, match="cannot be read as a Parquet table"):
        readers.find(root, table=write(root, "no", "table.parquet"))
    with pytest.raises(ArgumentError, match="there is no table"):
        readers.find(root, table=root / "none.csv")
    with pytest.raises(CurationError, match="has no pictures"):
        readers.find(root, table=write(root, "path,label\n"))
    latin = root.parent / "latin.csv"
    latin.write_bytes("path,label\na/3,müsli\n".encode("latin-1"))
    with pytest.raises(CurationError, match=r"latin.csv cannot be read as a table"):
        readers.find(root, table=latin)
