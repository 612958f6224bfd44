import json

import numpy as np
import paired
import pyarrow as pa
import pytest

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.splits import class_names, histograms
from curation.splits.inputs import HISTOGRAM, gather
from curation.workspace import CLASSES


def write(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Classes n1 (tench, Tinca), n2 (crane), n3 (crane, derrick) and Tabby Cat, which has the WNID n4."""
    folder = tmp_path_factory.mktemp("histograms") / "w"
    names = ["n1", "n2", "n3", "Tabby Cat"]
    found = paired.build(folder, 8, class_name=names * 2)
    lemmas = ["tench, Tinca_tinca", "crane", "crane, derrick", "tabby"]
    columns = {"class_name": names, "wnid": ["", "", "", "n4"], "lemmas": lemmas, "definition": [""] * 4}
    files.write_table(folder / "classes.parquet", pa.table({**columns, "images": [2] * 4}, schema=CLASSES))
    return found


def test_all_published_frequency_files(shared_data):
    folder = shared_data / "captions"
    wanted = json.loads((folder / "golden" / "expected_numbers.json").read_text())["freq_files_rows_sum_zeros_max"]
    paths = sorted((folder / "meta" / "freqs").glob("class_frequency_*.txt"))
    found = {}
    for path in paths:
        read = histograms.read(path)
        numbers = [len(read.names), read.images.sum(), (read.images == 0).sum(), read.images.max()]
        found[path.stem.removeprefix("class_frequency_")] = [int(number) for number in numbers]
    assert len(found) == 97
    assert found == wanted


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("a.txt", "great white shark\t12\nT-shirt\t0\n", True),
        ("a.txt", "\ufeffgreat white shark\t12\r\nT-shirt\t0\r\n\r\n", True),
        ("a.csv", "label,class_name,images\n0,great white shark,12\n1,T-shirt,0\n", True),
        ("a.csv", 'images,class_name\n12,"great white shark"\n\n0,T-shirt', True),
        ("a.json", '{"great white shark": 12, "T-shirt": 0}', True),
        ("a.json", "[12, 0]", False),
        ("a.txt", "12\n0", False),
    ],
)
def test_files_of_every_kind(tmp_path, name, text, names):
    found = histograms.read(write(tmp_path, name, text))
    assert found.images.tolist() == [12, 0]
    assert found.images.dtype == np.int64
    assert found.names == (["great white shark", "T-shirt"] if names else None)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", r"a.txt has 0 classes"),
        ("a.json", "{}", r"a.json has 0 classes"),
        ("a.txt", "tench\t12\ncrane\tmany\n", r"a.txt, line 2: 'many' is no number of images from 0 to"),
        ("a.txt", "tench\t12\n\ncrane\t1\n", r"a.txt, line 2: '' is not like line 1: all lines have names, or none"),
        ("a.txt", "tench\t1\ncrane\t2\ntench\t3", r"a.txt, line 3: class 'tench' was there before, in line 1: keep"),
        ("a.txt", "tench\t-1", r"a.txt, line 1: '-1' is no number"),
        ("a.txt", "12\n1.5", r"a.txt, line 2: '1.5' is no number"),
        ("a.txt", b"tench\xff\t1", r"a.txt cannot be read as UTF-8"),
        ("a.csv", "class,images\na,1", r"a.csv, line 1: the header is \['class', 'images'\], and lacks 'class_name'"),
        ("a.csv", "class_name,images\na,1\nb,2,3", r"a.csv, line 3: 3 columns, and the header has 2"),
        ("a.csv", "class_name,images\n" + "a" * 200_000 + ",1", r"a.csv, line 2: field larger than field limit"),
        ("a.json", '{"a": 1,\n "b": }', r"a.json, line 2: not a JSON file"),
        ("a.json", '{"a": 1, "a": 2}', r"a.json, entry 2 \(key 'a'\): class 'a' was there before"),
        ("a.json", '{"a": true}', r"a.json, entry 1 \(key 'a'\): 'True' is no number"),
        ("a.json", '{"a": {"b": 1}}', r"a.json, entry 1 \(key 'a'\): .* is no number"),
        ("a.json", '{"a": 1e99}', r"a.json, entry 1 \(key 'a'\): '1e\+99' is no number"),
        ("a.json", '[{"a": 1}]', r"a.json, entry 1: .* is no number"),
        ("a.json", "3", r"a.json holds a int: it must be \{class: images\} or a list of numbers"),
    ],
)
def test_a_wrong_file_is_named_with_its_line_or_key(tmp_path, name, text, message):
    with pytest.raises(CurationError, match=message):
        histograms.read(write(tmp_path, name, text))


def test_no_such_file(tmp_path):
    with pytest.raises(CurationError, match=r"none.txt does not exist"):
        histograms.read(tmp_path / "none.txt")


def test_classes_are_told_by_name_then_wnid_then_lemma(workspace):
    ours = ["Tabby Cat", "n1", "n2", "n3"]
    # 'crane' is a lemma of two classes; 'tabby' comes after the WNID of the same class.
    names = ["Tinca tinca", "crane", "Derrick", "tabby", "n4", "zebra"]
    assert class_names.resolved(names, ours, workspace) == ["n1", "crane", "n3", "tabby", "Tabby Cat", "zebra"]
    assert class_names.resolved(["n4", "tabby cat", "Tabby Cat"], ours, workspace) == ["n4", "tabby cat", "Tabby Cat"]
    assert class_names.resolved(["tabby_cat"], ours, workspace) == ["Tabby Cat"]


def test_a_table_has_the_names_of_the_workspace(workspace):
    inputs = gather(workspace)
    read = histograms.Histogram(["zebra", "tench", "n2"], np.array([1, 2, 3]))
    table = histograms.tabled(read, workspace, inputs, what="a.txt")
    assert table.schema.equals(HISTOGRAM)
    assert table.to_pydict() == {"class_name": ["n1", "n2", "zebra"], "images": [2, 3, 1]}


def test_classes_told_by_place(workspace):
    inputs = gather(workspace)
    bare = histograms.Histogram(None, np.array([4, 3, 2, 1]))
    wanted = {"class_name": ["Tabby Cat", "n1", "n2", "n3"], "images": [4, 3, 2, 1]}
    assert histograms.tabled(bare, workspace, inputs, what="a.txt").to_pydict() == wanted
    other = histograms.Histogram(["w", "x", "y", "z"], np.array([4, 3, 2, 1]))
    assert histograms.tabled(other, workspace, inputs, align="position", what="a.txt").to_pydict() == wanted
    with pytest.raises(ArgumentError, match=r"a.txt has 4 numbers and 0 names: set align=position"):
        histograms.tabled(bare, workspace, inputs, align="name", what="a.txt")
    short = histograms.Histogram(None, np.array([4, 3]))
    with pytest.raises(ArgumentError, match=r"a.txt has 2 numbers, and the workspace has 4 classes"):
        histograms.tabled(short, workspace, inputs, what="a.txt")
