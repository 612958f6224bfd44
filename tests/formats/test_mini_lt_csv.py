"""The lists of mini-ImageNet-LT: the same bytes back whatever the quirks, and from the rows once these change."""

import csv
import hashlib
import json
import random
import re
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.errors import ArgumentError, CurationError
from curation.formats import mini_lt_csv
from curation.formats.annotations import ABOUT, AnnotationSet, annotation_table, names_of
from curation.splits.mini_imagenet_lt import published

FILES = ("train.csv", "val.csv", "test.csv", "gentrain.csv", "alltrain.csv", "cls_label.json", "classname.txt")
relaxed = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def line(row):
    return f"{row[0]},{row[1]}\r\n"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Files as published, with the published sizes, in 29 and more lines where those have so many."""
    folder, rng = tmp_path_factory.mktemp("original"), random.Random(0)
    lists = {"train": [], "val": [], "test": []}
    for label, (wnid, count) in enumerate(published().items()):
        numbers = rng.sample(range(1, 1301), 600)
        for split, first, last in (("test", 0, 60), ("val", 60, 120), ("train", 120, 120 + count)):
            lists[split] += [(f"data/images/{wnid}{n:08d}.jpg", label) for n in numbers[first:last]]
    fill = [label for label, count in enumerate(published().values()) for _ in range(480 - count)]
    made = [(f"data/genimages/{k}.jpg", label) for k, label in enumerate(fill)]
    damaged = set(rng.sample(made, 364))
    lists["alltrain"] = lists["train"] + [row for row in made if row not in damaged]
    for name, rows in lists.items():
        (folder / f"{name}.csv").write_bytes(("img,label\r\n" + "".join(map(line, rows))).encode())
    (folder / "gentrain.csv").write_bytes("".join(map(line, made)).encode())
    (folder / "cls_label.json").write_text(json.dumps({str(i): n for i, n in enumerate(published().values())}))
    names = {str(i): [wnid, f"name_{i}"] for i, wnid in enumerate(sorted(published()))}
    (folder / "classname.txt").write_text(json.dumps(names).replace("], ", "],\n", 29))
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_published_files_come_back_byte_for_byte(original, tmp_path):
    found = mini_lt_csv.read(original)
    sizes = {split: len(found.of(split)) for split in found.splits}
    assert sizes == {"train": 23_192, "val": 6_000, "test": 6_000, "gentrain": 24_444, "damaged": 364}
    assert list(found.classes) == list(published())
    assert found.about["human_label"][0].as_py().startswith("name_")
    assert set(found.of("damaged")["source"].to_pylist()) == {"generated"}
    entries = found.meta[mini_lt_csv.META]["files"]
    assert [name for name, entry in entries.items() if "text" in entry] == ["classname.txt"]
    written = mini_lt_csv.write(found, tmp_path, "mini")
    assert sorted(p.name for p in written) == sorted(FILES)
    assert contents(tmp_path / "mini") == contents(original)


def test_counts_are_the_published_file(original):
    digest = hashlib.sha256((original / "cls_label.json").read_bytes()).hexdigest()
    assert digest.startswith("e909104873e76597")


def test_a_set_of_ones_own_is_written_as_published(original, tmp_path):
    found = replace(mini_lt_csv.read(original), meta={})
    mini_lt_csv.write(found, tmp_path, "own")
    ours, theirs = contents(tmp_path / "own"), contents(original)
    assert {name: ours[name] == theirs[name] for name in FILES[:-1]} == dict.fromkeys(FILES[:-1], True)
    assert json.loads(ours["classname.txt"]) == json.loads(theirs["classname.txt"])
    assert ours["labels.csv"].splitlines()[1] == b"0,n04522168,n04522168,147"
    again = mini_lt_csv.read(tmp_path / "own")
    assert again.table.equals(found.table)
    assert again.splits == found.splits


def test_after_an_edit_files_are_written_from_the_rows(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "train.csv").write_bytes(b'img,label\n\na.jpg,0\r\n"b,c.jpg",1')
    (tmp_path / "in" / "val.csv").write_bytes(b"img,label\n\nv.jpg,0\r\n")
    (tmp_path / "in" / "cls_label.json").write_bytes(b'{"1": 1, "0": 1}')
    found = mini_lt_csv.read(tmp_path / "in")
    mini_lt_csv.write(found, tmp_path, "same")
    assert contents(tmp_path / "same") == contents(tmp_path / "in")
    fewer = replace(found, table=found.table.slice(1))
    mini_lt_csv.write(fewer, tmp_path, "fewer")
    after = contents(tmp_path / "fewer")
    assert after["train.csv"] == b'img,label\r\n"b,c.jpg",1'
    assert after["cls_label.json"] == b'{"0": 0, "1": 1}'
    assert after["val.csv"] == contents(tmp_path / "in")["val.csv"]  # its rows have not changed


# Rows in any manner that Python's csv reads back, with what people and editors do to such files.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
paths = texts.filter(lambda path: ".." not in re.split(r"[/\\]", path))
hostile = st.sampled_from(["a,b", '"', "a\nb", "a\r\nb", "\t", " ", "\ufeff", "img", "=1"])
cells = st.tuples(paths | hostile, st.integers(0, 3))
ends = st.sampled_from(["\r\n", "\n", "\r"])


@st.composite
def quirky(draw, rows):
    """A file of rows: header or none, mark or none, mixed or even line ends, blank lines, quotes, swapped columns."""
    header = draw(st.sampled_from([None, ("img", "label"), ("label", "img")]))
    mixed, quoted, blank = (draw(st.booleans()) for _ in range(3))
    even = draw(ends)
    text = "\ufeff" if draw(st.booleans()) else ""
    lines = ([header] if header else []) + [row[::-1] if header == ("label", "img") else row for row in rows]
    for row in lines:
        parts = [str(cell) for cell in row]
        for place, cell in enumerate(parts):
            special = any(c in cell for c in ',"\r\n\ufeff')
            if special or (quoted and draw(st.booleans())):
                parts[place] = '"' + cell.replace('"', '""') + '"'
        text += ",".join(parts) + (draw(ends) if mixed else even)
        if blank and draw(st.booleans()):
            text += draw(st.sampled_from(["\n", "\r\n", "  \n"]))
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    return text


@st.composite
def folders(draw):
    lists = {name: draw(st.lists(cells, max_size=5)) for name in draw(st.sets(st.sampled_from(FILES[1:4])))}
    lists["train.csv"] = draw(st.lists(cells, max_size=5))
    if "gentrain.csv" in lists and draw(st.booleans()):
        chosen = [row for row in lists["gentrain.csv"] if draw(st.booleans())]
        more = draw(st.just([]) | st.lists(cells, max_size=2))
        lists["alltrain.csv"] = draw(st.permutations([*lists["train.csv"], *chosen, *more]))
    texts = {name: draw(quirky(rows)) for name, rows in lists.items()}
    if draw(st.booleans()):
        counts = draw(st.dictionaries(st.integers(0, 3).map(str), st.integers(0, 5)))
        end = draw(st.sampled_from(["", "\n"]))
        texts["cls_label.json"] = json.dumps(counts, indent=draw(st.sampled_from([None, 2]))) + end
    return lists, texts


@given(folders())
@relaxed
def test_quirky_files_come_back_byte_for_byte(tmp_path_factory, made):
    lists, texts = made
    folder = tmp_path_factory.mktemp("quirks")
    (folder / "in").mkdir()
    for name, text in texts.items():
        (folder / "in" / name).write_bytes(text.encode())
    found = mini_lt_csv.read(folder / "in")
    meta = json.loads(json.dumps(found.meta))  # as another format keeps it
    for split, name in (("train", "train.csv"), ("val", "val.csv"), ("test", "test.csv")):
        part = found.of(split).select(["path", "label"]).to_pylist()
        assert [(row["path"], row["label"]) for row in part] == lists.get(name, [])
    mini_lt_csv.write(replace(found, meta=meta), folder, "out")
    after = contents(folder / "out")
    assert {name: after[name] for name in texts} == {name: text.encode() for name, text in texts.items()}
    fewer = replace(found, table=found.table.slice(1))
    mini_lt_csv.write(fewer, folder, "fewer")
    again = mini_lt_csv.read(folder / "fewer")
    for split in ("train", "val", "test"):
        columns = [found.select(["path", "label"]).to_pylist() for found in (again.of(split), fewer.of(split))]
        assert columns[0] == columns[1]


def rows(split, paths, **more):
    labels = [0] * len(paths)
    columns = {"path": pa.array(paths, pa.string()), "label": labels, "class_name": names_of(labels, ["=ant"])}
    return annotation_table(columns | {"split": [split] * len(paths)} | more)


def test_names_and_generated_pictures_survive(tmp_path):
    table = rows("train", ["a\tb.jpg", 'c"d,e\r\nf.jpg', "=1"], source=["real", "generated", "real"])
    about = pa.table(
        {"class_name": ["=ant"], "wnid": ["n00000009"], "lemmas": ["sea ant, ant"]}, pa.schema(list(ABOUT)[:3])
    )
    mini_lt_csv.write(AnnotationSet(table, ("=ant",), ("train", "val"), {}, about), tmp_path, "own")
    with open(tmp_path / "own" / "alltrain.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["img", "label"], ["a\tb.jpg", "0"], ["=1", "0"], ['c"d,e\r\nf.jpg', "0"]]
    assert (tmp_path / "own" / "classname.txt").read_text() == '{"0": ["n00000009", "sea_ant"]}'
    assert (tmp_path / "own" / "labels.csv").read_bytes().splitlines()[1] == b"0,n00000009,'=ant,2"
    found = mini_lt_csv.read(tmp_path / "own" / "train.csv")
    assert found.classes == ("=ant",)
    assert found.about.to_pylist() == [{"class_name": "=ant", "wnid": "n00000009", "human_label": "sea_ant"}]
    assert found.table["split"].to_pylist() == ["train", "train", "gentrain"]
    assert found.splits == ("train", "val", "gentrain")


@pytest.mark.parametrize(
    ("table", "splits", "message"),
    [
        (rows("test_bl", ["a"]), ("test_bl",), "and there are also: test_bl"),
        (rows("train", ["a", ""]), ("train",), "path '' is empty: rename it"),
        (rows("train", ["a"], label=pa.array([None], pa.int32())), ("train",), "1 rows have no label"),
    ],
)
def test_what_the_lists_cannot_hold_is_refused(tmp_path, table, splits, message):
    with pytest.raises(ArgumentError, match=message):
        mini_lt_csv.write(AnnotationSet(table, ("=ant",), splits), tmp_path, "own")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train.csv", "img,label\r\na.jpg,0\r\nb.jpg\r\n", "line 3: 1 cells"),
        ("train.csv", "file,class\r\na.jpg,0\r\n", "line 1: label 'class' is no whole number"),
        ("train.csv", 'img,label\n"a\nb",0\nc,-1\n', "line 4: label '-1'"),
        ("train.csv", "img,label\na,99999999\n", "line 2: label '99999999'"),
        ("train.csv", "a,0\n../b,0\n", r"line 2: the path '\.\./b' climbs out"),
        ("train.csv", "a,0\nb\0,0\n", "line 2: .* holds a NUL character"),
        ("train.csv", 'a,0\n"b,0\nc,0\n', "line 2: 1 cells"),
        ("gentrain.csv", "a,0\nb\xff,0\n", "line 2: not UTF-8"),
        ("val.csv", "x/n00000001a.jpg,0\nx/n00000002a.jpg,0\n", "line 2: label 0 is of class n00000002.*n00000001"),
        ("val.csv", "n00000001a.jpg,0\nn00000001b.jpg,1\n", "line 2: label 1 is of class n00000001, as is 0"),
        ("cls_label.json", '{"0": 1,\n}', "line 2: not a JSON file"),
        ("cls_label.json", '{"a": 1}', "key 'a': no label"),
        ("cls_label.json", '{"0": "1"}', "key '0': '1' is no number"),
        ("cls_label.json", "[]", "a JSON list"),
        ("classname.txt", '{"0": ["n1"]}', "key '0'"),
        ("labels.csv", "a,b\n", "line 1: the header"),
        ("labels.csv", "label,WNID,name,count\n1,,a,2\n", "line 2: .*label 0"),
        ("labels.csv", "label,WNID,name,count\n", "has 0 labels, and label 0"),
    ],
)
def test_errors_name_file_and_line(tmp_path, name, text, message):
    (tmp_path / "train.csv").write_text("img,label\na.jpg,0\n")
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(CurationError, match=rf"{name}.*{message}"):
        mini_lt_csv.read(tmp_path)


def test_a_folder_without_train_csv_is_refused(tmp_path):
    with pytest.raises(CurationError, match=r"has no train\.csv"):
        mini_lt_csv.read(tmp_path)


@pytest.mark.parametrize("meta", [1, {"files": 2}, {"files": {"train.csv": {"newline": "x", "text": 3, "header": 1}}}])
def test_meta_that_makes_no_sense_does_no_harm(tmp_path, meta):
    found = AnnotationSet(rows("train", ["a"]), ("=ant",), ("train",), {mini_lt_csv.META: meta})
    mini_lt_csv.write(found, tmp_path, "own")
    assert (tmp_path / "own" / "train.csv").read_bytes() == b"img,label\r\na,0\r\n"
