import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.errors import ArgumentError, CurationError
from curation.splits.inputs import ATTRIBUTES
from curation.splits.multi_attribute_table import positives, read

PICTURES = pa.table({"image_id": pa.array([0, 1, 2], pa.int32()), "path": ["x/a.jpg", "x/b, c.jpg", "y/007"]})
TOLD = [(0, "NA"), (0, "red"), (1, "red"), (2, "Zebra stripes")]


def rows_of(table):
    assert table.schema.equals(ATTRIBUTES)
    return list(zip(table["image_id"].to_pylist(), table["attribute"].to_pylist(), strict=True))


FILES = {
    "long.csv": 'path,attribute\ny/007,Zebra stripes\n"x/b, c.jpg",red\nx/a.jpg,red\nx/a.jpg,NA\nx/a.jpg,red\n',
    "scored.csv": "image_id,attribute,score\n0,red,.6\n0,NA,1\n1,red,0.51\n1,NA,0.5\n2,Zebra stripes,9\n2,none,0\n",
    "wide.csv": 'path,red,NA,never,Zebra stripes\nx/a.jpg,1,1,0,0\n"x/b, c.jpg",1,0,,0\ny/007,0,0,0,1\n',
    "scores.tsv": "image_id\tred\tNA\tZebra stripes\n2\t0.1\t0.5\t0.9\n0\t0.8\t0.7\t0.2\n1\t0.6\t\t0.3\n",
}


@pytest.mark.parametrize("name", FILES)
def test_long_and_wide_tables_say_the_same(tmp_path, name):
    (tmp_path / name).write_text(FILES[name])
    table = read(tmp_path / name, PICTURES)
    assert rows_of(table) == sorted(TOLD, key=lambda r: (r[0], r[1].encode()))
    assert positives(table, np.array([2, 0])).names == ["NA", "Zebra stripes", "red"]
    assert positives(table, np.array([2, 0])).image.tolist() == [1, 1, 0]


def test_parquet_tables_say_the_same(tmp_path):
    wide = {"path": PICTURES["path"], "red": [True, True, False], "NA": [0.9, None, 0.1], "Zebra stripes": [0, 0, 1]}
    pq.write_table(pa.table(wide), tmp_path / "wide.parquet")
    assert set(rows_of(read(tmp_path / "wide.parquet", PICTURES))) == set(TOLD)
    ids, words = zip(*TOLD, strict=True)
    pq.write_table(
        pa.table({"image_id": ids, "attribute": pa.array(words).dictionary_encode()}), tmp_path / "l.parquet"
    )
    assert read(tmp_path / "l.parquet", PICTURES).equals(read(tmp_path / "wide.parquet", PICTURES))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,attribute\nx/a.jpg,red\nq.jpg,red\nz.jpg,red\n", r"row 2: no image is called 'q.jpg'; 2 of 3 rows"),
        ("image_id,red\n0,1\n7,1\n", r"row 2: no image is called 7; 1 of 2 rows name no image: .* below 3"),
        ("file,red\nx/a.jpg,1\n", r"2 columns \('file', 'red'\): it needs path or image_id"),
        ("path\nx/a.jpg\n", r"1 columns \('path'\): it needs path or image_id, and attribute"),
        ("path,red,red\nx/a.jpg,1,0\n", r"3 columns .* each name once"),
        ("path,colour\nx/a.jpg,red\n", r"column 'colour' holds string, and an attribute must be 0, 1 or a score"),
        ("path,attribute,colour\nx/a.jpg,big,red\n", r"1 that a long table does not know \('colour'\)"),
        ("path,attribute\nx/a.jpg,red\nx/a.jpg,\n", r"row 2: the attribute is empty \(1 such rows\)"),
        ("path,red\nx/a.jpg,0.4\n", r"1 rows, and 0 attributes are above 0.5: lower threshold"),
        ("image_id,red\nx/a.jpg,1\n", r"column 'image_id' holds string"),
        ("path,red\nx/a.jpg,1,2\n", r"cannot be read as a table: .*"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(CurationError, match=message):
        read(tmp_path / "t.csv", PICTURES)


def test_a_path_that_several_images_have(tmp_path):
    (tmp_path / "t.csv").write_text("path,red\nb.jpg,1\na.jpg,1\n")
    images = pa.table({"image_id": [0, 1, 2], "path": ["a.jpg", "a.jpg", "b.jpg"]})
    with pytest.raises(CurationError, match=r"row 2: several images have the path 'a.jpg'"):
        read(tmp_path / "t.csv", images)
    with pytest.raises(ArgumentError, match="there is no table of attributes"):
        read(tmp_path / "none.csv", images)
