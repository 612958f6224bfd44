"""The metadata CSV of a subset, and the table of all ILSVRC classes that it comes from."""

import csv

import numpy as np
import pyarrow as pa
import pytest

from curation.errors import CurationError
from curation.formats import subset_csv
from curation.formats.annotations import ABOUT

ABOUT_TWO = pa.table(
    {
        "class_name": ["n12267677", "n09472597"],
        "wnid": ["n12267677", "n09472597"],
        "lemmas": ["acorn", "volcano, or two"],
        "definition": ['fruit of the "oak"', "=a mountain"],
        "original_label": [327, 362],
        "human_label": ["acorn", None],
    },
    ABOUT,
)


def test_seven_columns_as_published(tmp_path):
    path = tmp_path / "a.csv"
    subset_csv.write(path, ("n12267677", "n09472597"), ABOUT_TWO, np.array([1300, 0]))
    assert path.read_bytes() == (
        b"subset_label,original_label,WNID,name,description,num_train_images,human_label\r\n"
        b'0,327,n12267677,acorn,"fruit of the ""oak""",1300,acorn\r\n'
        b'1,362,n09472597,"volcano, or two",\'=a mountain,0,\r\n'
    )
    found = subset_csv.read(path)
    assert found.select(ABOUT.names).equals(ABOUT_TWO)
    assert found["num_train_images"].to_pylist() == [1300, 0]


def test_what_is_not_known_stays_empty(tmp_path):
    path = tmp_path / "a.csv"
    subset_csv.write(path, ("n12267677", "ant"), None, np.array([1, 2]))
    assert path.read_text().splitlines()[1:] == ["0,,n12267677,,,1,", "1,,,ant,,2,"]
    assert subset_csv.read(path)["class_name"].to_pylist() == ["n12267677", "ant"]
    assert subset_csv.read(path)["original_label"].to_pylist() == [None, None]
    unknown = ABOUT_TWO.set_column(4, "original_label", pa.array([None, 362], pa.int32()))
    subset_csv.write(path, ("n12267677", "n09472597"), unknown, np.array([1, 2]))
    assert path.read_text().splitlines()[1].startswith("0,,n12267677,acorn")
    assert subset_csv.read(path)["original_label"].to_pylist() == [None, 362]


@pytest.mark.parametrize("header", subset_csv.KNOWN_HEADERS)
def test_known_headers(tmp_path, header):
    cells = dict(zip(subset_csv.HEADER, ("0", "429", "", "crane", "a bird", "1300", "crane"), strict=True))
    cells["original_id"] = "429"
    path = tmp_path / "a.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, [cells[c] for c in header], ["1", *[cells[c] for c in header][1:]]])
    found = subset_csv.read(path).to_pylist()
    assert [row["original_label"] for row in found] == [429, 429]
    assert found[0]["human_label"] == "crane"
    assert [row["class_name"] for row in found] == ["0", "1"]  # two cranes are told apart by their labels


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("label,WNID\n", "line 1: the header is 'label,WNID'"),
        ("subset_label,original_label,WNID,human_label\n1,2,n1,a\n", "line 2: the label is '1'.*should be 0"),
        ("subset_label,original_label,WNID,human_label\n0,2,n1\n", "line 2: 3 cells, and 4 columns"),
        ("subset_label,original_label,WNID,human_label\n0,x,n1,a\n", "line 2: original_label is 'x'"),
        ("subset_label,original_label,WNID,human_label\n0,1,n1,a\n1,2,n1,b\n", "line 3: class n1 is in line 2"),
        ("subset_label,original_label,WNID,human_label\n0,1,n1,\xff\n", "not UTF-8"),
    ],
)
def test_errors_name_the_line(tmp_path, rows, message):
    (tmp_path / "a.csv").write_bytes(rows.encode("latin-1"))
    with pytest.raises(CurationError, match=rf"a\.csv.*{message}"):
        subset_csv.read(tmp_path / "a.csv")


def test_all_classes_of_ilsvrc(shared_data, tmp_path):
    found = subset_csv.read_meta_clsloc(shared_data / "glt" / "meta_clsloc.csv")
    counts = found["num_train_images"].to_numpy()
    assert (len(found), counts.sum(), (counts == 1300).sum(), counts.min()) == (1000, 1_281_167, 895, 732)
    assert found["original_label"].to_pylist() == list(range(1, 1001))
    by_id = {row["original_label"]: row for row in found.to_pylist()}
    # Ground truth of the first pictures of val, and the first and last class of imagenet30.
    wnids = {490: "n01751748", 361: "n09193705", 171: "n02105855", 822: "n04263257", 449: "n01440764"}
    assert {label: by_id[label]["wnid"] for label in wnids} == wnids
    labels = {327: ("n12267677", "acorn"), 362: ("n09472597", "volcano")}
    assert {label: (by_id[label]["wnid"], by_id[label]["human_label"]) for label in labels} == labels
    assert [sum(row["human_label"] == name for row in by_id.values()) for name in ("crane", "maillot")] == [2, 2]
    subset_csv.write(tmp_path / "all.csv", found["class_name"].to_pylist(), found.select(ABOUT.names), counts)
    assert subset_csv.read(tmp_path / "all.csv").equals(found)
