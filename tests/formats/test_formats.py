"""Round trips of every format, with names as people (and attackers) choose them."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats import (
    comma_separated,
    glt_json,
    image_folder,
    imagenet_lt_text,
    loose_pictures,
    parquet,
    registry,
    subset_csv,
)
from curation.formats.annotations import AnnotationSet, Options, annotation_table, names_of

SPLITS = glt_json.SPLITS


def annotations(rows, classes, *, splits=SPLITS, meta=None):
    """A set from rows of (path, label, split, frequency, attribute, cluster), in the order of splits."""
    rows = sorted(rows, key=lambda row: splits.index(row[2]))
    path, label, split, *rest = zip(*rows, strict=True) if rows else [()] * 6
    columns = dict(zip(("frequency", "attribute", "cluster"), rest, strict=True))
    columns |= {"path": pa.array(path, pa.string()), "label": pa.array(label, pa.int32())}
    columns |= {"class_name": names_of(label, classes), "split": pa.array(split, pa.string())}
    return AnnotationSet(annotation_table(columns), tuple(classes), splits, meta or {})


TWO = annotations(
    [
        ("ant/1.jpg", 0, "train", 0, 0, 1),
        ("ant/2.jpg", 0, "train", 0, 2, 5),
        ("bee/1.jpg", 1, "train", 2, 1, 2),
        ("bee/2.jpg", 1, "test_bbl", 2, 0, 0),
    ],
    ["ant", "bee"],
    meta={"schema_version": 1},
)

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
hostile = st.sampled_from(
    [
        "=1+1",
        "'=1+1",
        "''@x",
        "'plain",
        '"',
        ",",
        "a\nb",
        "a\r\nb",
        "\t",
        "..",
        "../../etc",
        "null",
        "NaN",
        "1",
        "é",
        "%",
    ]
)
classes = st.lists(text | hostile, min_size=1, max_size=4, unique=True)
sets = classes.flatmap(
    lambda names: st.lists(
        st.tuples(
            text | hostile,
            st.integers(0, len(names) - 1),
            st.sampled_from(SPLITS),
            st.integers(0, 2),
            st.integers(0, 5),
            st.none() | st.integers(0, 9),
        ),
        min_size=1,
        max_size=12,
        unique_by=lambda row: row[0],
    ).map(lambda rows: annotations(rows, names, meta={"schema_version": 1}))
)
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", ["glt-json", "parquet", "csv"])
@relaxed
@given(found=sets)
def test_round_trip(name, found, tmp_path):
    kind = registry.get(name)
    (path,) = kind.write(found, tmp_path, "x", Options())
    back = kind.read(path)
    assert back.table.to_pylist() == found.table.to_pylist()
    if name != "csv":  # a CSV knows only the classes that have rows, and no recipe
        assert (back.classes, back.splits, back.meta) == (found.classes, found.splits, found.meta)


@relaxed
@given(found=sets)
def test_round_trip_of_text_lists_or_a_clear_refusal(found, tmp_path):
    for old in tmp_path.iterdir():
        old.unlink()
    paths = found.table["path"].to_pylist()
    blank = any(re.search(r"\s", p) for p in paths) or any(len(f"{c}x".splitlines()) > 1 for c in found.classes)
    climbs = any(".." in re.split(r"[/\\]", p) for p in paths)
    if blank or climbs:
        with pytest.raises(ArgumentError, match="climbs out of its folder" if climbs else "choose csv"):
            imagenet_lt_text.write(found, tmp_path, "x")
        assert list(tmp_path.iterdir()) == []
        return
    imagenet_lt_text.write(found, tmp_path, "x")
    back = imagenet_lt_text.read(tmp_path / "x_classes.txt")
    assert back.classes == found.classes
    want = sorted(zip(paths, found.table["split"].to_pylist(), found.table["label"].to_pylist(), strict=True))
    got = (back.table[c].to_pylist() for c in ("path", "split", "label"))
    assert sorted(zip(*got, strict=True)) == want


def test_same_annotations_same_bytes(tmp_path):
    for name in ("glt-json", "csv", "parquet", "imagenet-lt-txt"):
        one, two = (registry.get(name).write(TWO, tmp_path / d, "x", Options()) for d in ("one", "two"))
        assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]


# -- GLT JSON ---------------------------------------------------------------------------------------------------------


def test_glt_json_is_that_of_json_dump(tmp_path):
    bare = AnnotationSet(TWO.table, TWO.classes, TWO.splits)
    (path,) = glt_json.write(bare, tmp_path, "x")
    empty = {"label": {}, "frequency": {}, "attribute": {}}
    wanted = {
        "cat2id": {"ant": "0", "bee": "1"},
        "id2cat": {"0": "ant", "1": "bee"},
        "train": {
            "label": {"ant/1.jpg": "0", "ant/2.jpg": "0", "bee/1.jpg": "1"},
            "frequency": {"ant/1.jpg": 0, "ant/2.jpg": 0, "bee/1.jpg": 2},
            "attribute": {"ant/1.jpg": 0, "ant/2.jpg": 2, "bee/1.jpg": 1},
        },
        "val": empty,
        "test_lt": empty,
        "test_bl": empty,
        "test_bbl": {"label": {"bee/2.jpg": "1"}, "frequency": {"bee/2.jpg": 2}, "attribute": {"bee/2.jpg": 0}},
    }
    assert path.read_text() == json.dumps(wanted)


def test_what_the_published_loader_does_with_it(tmp_path):
    """Iterates the labels of a split, casts them, and looks each path up in frequency (and attribute, when testing)."""
    (path,) = glt_json.write(TWO, tmp_path, "x")
    document = json.loads(path.read_text())
    for phase in ("train", "val", "test_lt", "test_bl", "test_bbl"):
        part = document[phase]
        for image, label in part["label"].items():
            assert document["cat2id"][document["id2cat"][str(int(label))]] == str(int(label))
            assert isinstance(part["frequency"][image], int)
            assert isinstance(part["attribute"][image], int)
            assert isinstance(part["cluster"][image], int)
    counts = np.bincount([int(v) for v in document["train"]["label"].values()])
    assert counts.tolist() == [2, 1]


def test_labels_as_numbers(tmp_path):
    (path,) = glt_json.write(TWO, tmp_path, "x")
    document = json.loads(path.read_text())
    document["train"]["label"] = {k: int(v) for k, v in document["train"]["label"].items()}
    path.write_text(json.dumps(document))
    assert glt_json.read(path).table.to_pylist() == TWO.table.to_pylist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("val"), "key val is missing"),
        (lambda d: d.pop("cat2id"), "key cat2id is missing"),
        (lambda d: d["train"].pop("frequency"), "key train.frequency is missing"),
        (lambda d: d["train"]["frequency"].pop("ant/1.jpg"), "key train.frequency has no entry for 'ant/1.jpg'"),
        (lambda d: d["train"]["label"].update({"ant/1.jpg": "7"}), r"key train.label\['ant/1.jpg'\] is 7.*2 classes"),
        (lambda d: d["train"]["label"].update({"ant/1.jpg": "x"}), r"key train.label\['ant/1.jpg'\] is 'x'"),
        (lambda d: d["train"]["label"].update({"ant/1.jpg": -1}), r"key train.label\['ant/1.jpg'\] is -1"),
        (lambda d: d["train"]["attribute"].update({"ant/1.jpg": []}), r"key train.attribute\['ant/1.jpg'\] is \[\]"),
        (lambda d: d["train"]["label"].update({"ant/1.jpg": "9" * 5000}), r"key train.label\['ant/1.jpg'\] is '9999"),
        (lambda d: d["train"]["label"].update({"ant/1.jpg": "\u0661"}), r"key train.label\['ant/1.jpg'\] is "),
        (lambda d: d["cat2id"].update({"ant": "1"}), r"cat2id\['bee'\]: id 1 of 2"),
        (lambda d: d.update(train=[]), "key train is missing or no object"),
    ],
)
def test_a_wrong_key_is_named(tmp_path, change, message):
    (path,) = glt_json.write(TWO, tmp_path, "x")
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(CurationError, match=message):
        glt_json.read(path)


def test_what_is_no_glt_json(tmp_path):
    path = tmp_path / "x.json"
    for content, message in (
        ("{", "line 1: not a JSON file"),
        ("[]", "holds a list"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
    ):
        path.write_text(content)
        with pytest.raises(CurationError, match=message):
            glt_json.read(path)
    with pytest.raises(CurationError, match="does not exist"):
        glt_json.read(tmp_path / "none.json")


def test_glt_json_refuses_what_it_cannot_hold(tmp_path):
    twice = annotations([("a.jpg", 0, "train", 0, 0, 0), ("a.jpg", 1, "train", 0, 0, 0)], ["x", "y"])
    with pytest.raises(ArgumentError, match="2 images and only 1 different paths"):
        glt_json.write(twice, tmp_path, "x")
    other = annotations([("a.jpg", 0, "dev", 0, 0, 0)], ["x"], splits=("dev",))
    with pytest.raises(ArgumentError, match="and not 'dev': choose csv"):
        glt_json.write(other, tmp_path, "x")
    alike = annotations([("a.jpg", 0, "train", 0, 0, 0), ("b.jpg", 1, "train", 0, 0, 0)], ["hat", "hat"])
    with pytest.raises(ArgumentError, match="labels 0 and 1 share the class name 'hat'"):
        glt_json.write(alike, tmp_path, "x")
    assert list(tmp_path.iterdir()) == []


# -- CSV --------------------------------------------------------------------------------------------------------------


def test_no_cell_is_a_formula(tmp_path):
    rows = [(name, 0, "train", 0, 0, 0) for name in ("=1+1", "+a", "-b", "@c", "'=d", "\tx", "'fine", "fine")]
    (path,) = comma_separated.write(annotations(rows, ["=cmd|' /C calc'!A0"]), tmp_path, "x")
    cells = pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=False))
    assert cells["path"].to_pylist() == ["'=1+1", "'+a", "'-b", "'@c", "''=d", "'\tx", "'fine", "fine"]
    assert set(cells["class_name"].to_pylist()) == {"'=cmd|' /C calc'!A0"}


def test_a_csv_of_other_people(tmp_path):
    (tmp_path / "x.csv").write_text("path,class_name,colour\na.jpg,bee,red\nb.jpg,ant,blue\n")
    found = comma_separated.read(tmp_path / "x.csv")
    assert (found.classes, found.splits) == (("ant", "bee"), ("all",))
    assert found.table["label"].to_pylist() == [1, 0]
    for content, message in (
        ("image,label\na,0\n", "it needs path and class_name or label"),
        ("path,label\na,x\n", "x.csv: not an annotation CSV: In column 'label': Row #2: .*'x'"),
        ("path,label\na\n", "x.csv: not an annotation CSV"),
        ("path,label,class_name\na,0,ant\nb,0,bee\n", "label 0 belongs to two classes"),
        ("path,label\na,-1\n", "label -1 of class '-1' is below 0"),
        ("", "x.csv: not an annotation CSV"),
    ):
        (tmp_path / "x.csv").write_text(content)
        with pytest.raises(CurationError, match=message):
            comma_separated.read(tmp_path / "x.csv")


def test_a_parquet_of_other_people(tmp_path):
    files.write_table(tmp_path / "x.parquet", pa.table({"path": ["=a"], "label": [0], "class_name": ["ant"]}))
    assert parquet.read(tmp_path / "x.parquet").table["path"].to_pylist() == ["=a"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"path": ["a"], "label": ["x"]}, "column 'label', row 1: 'x' is not a whole number of 32 bits"),
        ({"path": ["a", "b"], "label": [0, 1.5]}, "column 'label', row 2: 1.5 is not"),
        ({"path": ["a", "b", "c"], "label": [0, 1, 1 << 31]}, "column 'label', row 3: 2147483648 is not"),
        ({"path": ["a"], "label": pa.array([1 << 63], pa.uint64())}, "column 'label', row 1"),
        ({"path": ["a", "b"], "label": [0, None]}, "column 'label', row 2: there is none"),
        ({"path": [b"a", b"\xff"], "label": [0, 1]}, "column 'path', row 2"),
        ({"path": [["a"]], "label": [0]}, "column 'path', row 1"),
        ({"path": ["a", ""], "label": [0, 1]}, "column 'path', row 2: it is empty"),
        ({"path": ["a\0"], "label": [0]}, "column 'path', row 1: it holds a NUL character"),
        ({"path": [None], "label": [0]}, "column 'path', row 1: there is none"),
        ({"path": ["a"], "class_name": [None]}, "column 'class_name', row 1: "),
        ({"path": ["a"], "label": [0], "class_name": pa.array([None], pa.string())}, "'class_name', row 1: there is"),
        ({"path": ["a"], "label": [0], "split": pa.array([None], pa.string())}, "column 'split', row 1: there is none"),
        ({"path": ["a"], "label": [0], "frequency": ["head"]}, "column 'frequency', row 1: 'head' is not"),
        ({"path": ["a"], "label": [0], "frequency": [300]}, "column 'frequency', row 1: 300 is not .* 8 bits"),
        ({"path": ["a"], "label": [0], "width": [300.5]}, "column 'width', row 1: 300.5 is not"),
        ({"path": ["a"], "label": [-1]}, "x.parquet: label -1 of class '-1' is below 0"),
    ],
)
def test_a_wrong_cell_of_a_table_is_named(tmp_path, columns, message):
    files.write_table(tmp_path / "x.parquet", pa.table(columns))
    with pytest.raises(CurationError, match=message):
        registry.read(tmp_path / "x.parquet", "parquet")


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ("{", "metadata, line 1: not a JSON file"),
        ("[]", "key 'classes' is missing"),
        ('{"classes": [null], "meta": {}, "splits": []}', "key 'classes' holds None"),
        ('{"classes": ["ant", "bee"], "meta": {}}', "key 'splits' is missing"),
        ('{"classes": ["ant"], "meta": {}, "splits": ["train", "test_bbl"]}', "labels that are none of its 1 classes"),
        ('{"classes": ["ant", "bee"], "meta": {}, "splits": ["train"]}', "rows of the split 'test_bbl'"),
    ],
)
def test_damaged_metadata_of_a_table_is_named(tmp_path, known, message):
    files.write_table(tmp_path / "x.parquet", TWO.table.replace_schema_metadata({"annotations": known}))
    with pytest.raises(CurationError, match=message):
        parquet.read(tmp_path / "x.parquet")


def test_a_column_that_is_there_twice(tmp_path):
    (tmp_path / "x.csv").write_text("path,label,path\na,0,b\n")
    files.write_table(tmp_path / "x.parquet", pa.Table.from_arrays([["a"], [0], ["b"]], ["path", "label", "path"]))
    for name in ("csv", "parquet"):
        with pytest.raises(CurationError, match=f"x.{name} has 2 columns 'path': keep one"):
            registry.read(tmp_path / f"x.{name}", name)


# -- text lists -------------------------------------------------------------------------------------------------------


def test_text_lists_as_oltr_reads_them(tmp_path):
    written = imagenet_lt_text.write(TWO, tmp_path, "x")
    assert [p.name for p in written] == ["x_classes.txt", "x_train.txt", "x_test_bbl.txt"]
    lines = (tmp_path / "x_train.txt").read_text()
    assert lines == "ant/1.jpg 0\nant/2.jpg 0\nbee/1.jpg 1\n"
    assert [int(line.split()[1]) for line in lines.splitlines()] == [0, 0, 1]
    assert imagenet_lt_text.read(tmp_path / "x_train.txt").classes == ("ant", "bee")


@pytest.mark.parametrize(
    ("name", "what"), [("a b.jpg", "a blank"), ("a\tb.jpg", "a tab"), ("a\nb.jpg", "a line break")]
)
def test_white_space_in_a_path_is_refused_by_name(tmp_path, name, what):
    with pytest.raises(ArgumentError, match=f"{re.escape(repr(name))} holds {what}"):
        imagenet_lt_text.write(annotations([(name, 0, "train", 0, 0, 0)], ["ant"]), tmp_path, "x")


@pytest.mark.parametrize("line", ["b.jpg zero", "b.jpg", "b.jpg " + "9" * 5000, "b.jpg -2", "b.jpg \u0661"])
def test_a_wrong_line_is_named(tmp_path, line):
    (tmp_path / "x_train.txt").write_text(f"a.jpg 0\n{line}\n")
    with pytest.raises(CurationError, match=rf"x_train.txt, line 2: '{line[:50]}.* is not `path label`"):
        imagenet_lt_text.read(tmp_path / "x_train.txt")


@pytest.mark.parametrize("path", ["../b.jpg", "a\0b"])
def test_a_line_that_leads_anywhere(tmp_path, path):
    (tmp_path / "x_train.txt").write_text(f"a.jpg 0\n{path} 0\n")
    with pytest.raises(
        CurationError, match=r"x_train.txt: the path .* (climbs out of its folder|holds a NUL character)"
    ):
        imagenet_lt_text.read(tmp_path / "x_train.txt")


def lists(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def test_lists_without_a_final_line_end(tmp_path):
    lists(tmp_path, x_train="a.jpg 0\nb.jpg 1", x_classes="ant\nbee")
    found = registry.read(tmp_path)[1]
    assert found.table["path"].to_pylist() == ["a.jpg", "b.jpg"]
    assert found.classes == ("ant", "bee")
    lists(tmp_path, x_train="\n", x_val="")
    with pytest.raises(CurationError, match="its 2 lists hold 0 images"):
        imagenet_lt_text.read(tmp_path)


def test_published_lists_of_a_folder(tmp_path):
    a, b = "n01440764", "n01443537"
    train = f"train/{a}/{a}_1.JPEG 0\ntrain/{b}/{b}_1.JPEG 2\ntrain/{b}/{b}_2.JPEG 2\n"
    lists(tmp_path, ImageNet_LT_train=train, ImageNet_LT_test=f"val/{b}/ILSVRC2012_val_1.JPEG 2\n")
    lists(tmp_path, ImageNet_LT_open="ILSVRC2010_val_00017130.JPEG -1\n", notes="not a list")
    kind, found = registry.read(tmp_path)
    assert (kind.name, found.splits) == ("imagenet-lt-txt", ("train", "test", "open"))
    assert found.classes == (a, "1", b, "open")
    assert found.table["class_name"].to_pylist() == [a, b, b, b, "open"]
    imagenet_lt_text.write(found, tmp_path / "out", "ImageNet_LT")
    for split in found.splits:
        name = f"ImageNet_LT_{split}.txt"
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / name).read_bytes()
    assert imagenet_lt_text.read(tmp_path / "out").table.to_pylist() == found.table.to_pylist()
    alone = imagenet_lt_text.read(tmp_path / "ImageNet_LT_train.txt")
    assert (alone.splits, alone.classes) == (("train",), (a, "1", b))
    lists(tmp_path, Places_LT_train="x.jpg 0\n")
    with pytest.raises(CurationError, match="has lists of ImageNet_LT, Places_LT: give one list"):
        imagenet_lt_text.read(tmp_path)


@pytest.mark.parametrize(
    ("paths", "classes"),
    [
        (["train/bay/1.jpg 0", "val/bay/2.jpg 0", "val/cliff/1.jpg 1"], ("bay", "cliff")),
        (["data/b/bar/1.jpg 0", "data/b/bay/1.jpg 1", "data/c/car/1.jpg 2"], ("bar", "bay", "car")),
        (["train/house/in/1.jpg 0", "val/house/in/2.jpg 0", "val/house/out/1.jpg 1"], ("in", "out")),
        (
            ["a/hut/in/1.jpg 0", "b/hut/in/1.jpg 0", "a/hut/out/1.jpg 1", "a/bar/in/1.jpg 2"],
            ("hut/in", "hut/out", "bar/in"),
        ),
        (["train/bay/1/a.jpg 0", "train/bay/2/b.jpg 0", "train/cliff/1/c.jpg 1"], ("bay", "cliff")),
        (["val/1.jpg 0", "val/2.jpg 1"], ("0", "1")),
        (["1.jpg 0", "2.jpg 1"], ("0", "1")),
        (["train/bay/1.jpg 0", "train/bay/2.jpg 1"], ("0", "1")),
        (["train/1.jpg 0", "train/2.jpg 0"], ("0",)),
        (["train/n01440764/1.jpg 0"], ("n01440764",)),
        (["a/1/1.jpg 0", "a/x/2.jpg 2"], ("1", "1", "x")),
    ],
)
def test_classes_are_called_after_their_folders(tmp_path, paths, classes):
    lists(tmp_path, x_train="\n".join(paths))
    found = imagenet_lt_text.read(tmp_path / "x_train.txt").classes
    assert found == (classes if len(set(classes)) == len(classes) else ("0", "1", "2"))


def test_lists_of_two_stems_in_one_folder(tmp_path):
    for stem in ("glt", "glt_r2"):
        imagenet_lt_text.write(TWO, tmp_path, stem)
    assert imagenet_lt_text.read(tmp_path / "glt_classes.txt").splits == ("train", "test_bbl")
    for name in ("glt_test_bbl", "glt_r2_test_bbl"):
        found = imagenet_lt_text.read(tmp_path / f"{name}.txt")
        assert found.classes == TWO.classes
    with pytest.raises(CurationError, match="lists of glt, glt_r2: give one"):
        imagenet_lt_text.read(tmp_path)
    taken = annotations([("a", 0, "classes", 0, 0, 0)], ["x"], splits=("classes",))
    with pytest.raises(ArgumentError, match="split 'classes' would be taken for that of the classes"):
        imagenet_lt_text.write(taken, tmp_path, "y")
    with pytest.raises(CurationError, match=r"y_classes.txt does not exist"):
        imagenet_lt_text.read(tmp_path / "y_classes.txt")


# -- tree of folders --------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """The pictures of TWO, and where they are."""
    root = tmp_path / "pictures"
    for path in TWO.table["path"].to_pylist():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return lambda path: root / path


@pytest.mark.parametrize("link", loose_pictures.LINKS)
def test_a_tree_of_links_or_copies(tmp_path, pictures, link):
    image_folder.write(TWO, tmp_path, "tree", Options(link=link, locate=pictures))
    tree = tmp_path / "tree"
    assert sorted(p.name for p in (tree / "train").iterdir()) == ["ant", "bee"]
    picture = tree / "train" / "ant" / "2.jpg"
    assert picture.read_text() == "ant/2.jpg"
    assert picture.is_symlink() == (link == "link")
    assert not (picture.is_symlink() and picture.readlink().is_absolute())
    assert image_folder.missing(tree) == []
    assert image_folder.read(tree).table.to_pylist() == TWO.table.to_pylist()


def test_a_tree_without_an_index(tmp_path, pictures):
    image_folder.write(TWO, tmp_path, "tree", Options(locate=pictures))
    (tmp_path / "tree" / image_folder.INDEX).unlink()
    found = image_folder.read(tmp_path / "tree")
    assert (found.classes, found.splits) == (("ant", "bee"), ("test_bbl", "train"))
    assert found.table["path"].to_pylist()[0] == "test_bbl/bee/2.jpg"


def test_a_picture_that_is_gone_is_listed(tmp_path, pictures):
    pictures("ant/2.jpg").unlink()
    for link in loose_pictures.LINKS:
        image_folder.write(TWO, tmp_path, link, Options(link=link, locate=pictures))
        assert image_folder.missing(tmp_path / link) == ["train/ant/2.jpg"]


@relaxed
@given(found=sets)
def test_no_name_leads_out_of_the_tree_or_hits_another(found):
    names = image_folder.tree(found)
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        parts = name.split("/")
        assert len(parts) == 3
        assert all(part and part not in (".", "..") and len(part.encode()) <= 255 for part in parts)
        assert not re.search(r'[\x00-\x1f\\:*?"<>|]', name)


def test_classes_that_differ_in_letter_case():
    assert image_folder.class_folders(("Ant", "ant", "bee")) == ["Ant%7E0", "ant%7E1", "bee"]


def test_very_long_names():
    long = annotations([("x/" + "ä" * 200 + ".jpg", 0, "train", 0, 0, 0)], ["é" * 250])
    (name,) = image_folder.tree(long)
    assert max(len(part.encode()) for part in name.split("/")) <= 200
    assert name.endswith(".jpg")


def test_a_tree_that_is_there_is_not_overwritten(tmp_path, pictures):
    (tmp_path / "tree").mkdir()
    with pytest.raises(CurationError, match="tree is there already"):
        image_folder.write(TWO, tmp_path, "tree", Options(locate=pictures))
    with pytest.raises(ArgumentError, match="unknown link 'teleport'"):
        image_folder.write(TWO, tmp_path, "other", Options(link="teleport", locate=pictures))
    with pytest.raises(CurationError, match="is no tree of SPLIT/CLASS/PICTURE"):
        image_folder.read(tmp_path / "tree")


# -- all --------------------------------------------------------------------------------------------------------------


# The others have splits and classes of their own; their tests do the same.
@pytest.mark.parametrize(
    "name", [n for n in registry.FORMATS if n not in ("mini-lt-csv", "subset-npz", "imagenetv2-json")]
)
def test_a_full_disk_leaves_nothing_half_written(tmp_path, pictures, name, full_disk):
    target = tmp_path / "out"
    target.mkdir()
    with full_disk(), pytest.raises(CurationError, match="no space left on the disk"):
        registry.get(name).write(TWO, target, "x", Options(link="copy", locate=pictures))
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("name", ["glt-json", "inat-json", "imagenetv2-json", "croissant", "csv", "parquet"])
def test_a_folder_where_there_should_be_a_file(tmp_path, name):
    title = re.escape(registry.get(name).title)
    with pytest.raises(
        ArgumentError, match=f"is a folder, and {title} is one file: give the file, or say another --from"
    ):
        registry.read(tmp_path, name)
    with pytest.raises(ArgumentError, match="there is no file or folder"):
        registry.read(tmp_path / "none", name)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' + "9" * 5_000 + "}", "{", r'{"a": "\ud800"}'])
@pytest.mark.parametrize("name", ["glt-json", "inat-json", "imagenetv2-json", "croissant", "webdataset", "fiftyone"])
def test_json_that_no_one_can_read(tmp_path, name, text):
    path = tmp_path / {"webdataset": "dataset.json", "fiftyone": "labels.json"}.get(name, "x.json")
    path.write_text(text)
    with pytest.raises(CurationError, match=re.escape(str(path))):
        registry.read(path, name)


def test_no_message_quotes_a_value_of_thousands_of_characters(tmp_path):
    (tmp_path / "train.csv").write_text("img,label\na,0\n")
    (tmp_path / "cls_label.json").write_text(json.dumps({"9" * 5_000: 1}))
    with pytest.raises(CurationError, match=r"cls_label.json, key '9+ … 9+': no label from 0 to") as error:
        registry.read(tmp_path)
    assert len(str(error.value)) < 1_100


def test_a_header_that_is_no_text(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"path,label,\xff\na,0,b\n")
    (tmp_path / "long.csv").write_text("x" * 200_000)
    for name in ("x.csv", "long.csv"):
        with pytest.raises(CurationError, match=name):
            registry.read(tmp_path / name, "csv")
    with pytest.raises(CurationError, match=r"long.csv, line 1: not CSV: field larger"):
        subset_csv.read(tmp_path / "long.csv")
    with pytest.raises(ArgumentError, match="of no format that could be told"):
        registry.read(tmp_path / "long.csv")
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbfpath,label\na,0\n")
    assert registry.read(tmp_path / "bom.csv")[0].name == "csv"


def test_half_a_surrogate_pair_is_no_text(tmp_path):
    document = {"image_filenames": [["a", "n00000001"]], "annotation_set": {"split": "\ud800"}}
    (tmp_path / "v2.json").write_text(json.dumps(document))
    (path,) = glt_json.write(TWO, tmp_path, "glt")
    path.write_text(path.read_text().replace("ant/1.jpg", r"\ud800"))
    for name in ("v2.json", "glt.json"):
        with pytest.raises(CurationError, match=f"{name}: .*is no Unicode text"):
            registry.read(tmp_path / name)


def test_unknown_format():
    with pytest.raises(ArgumentError, match="unknown format 'yaml': choose one of glt-json, imagenet-lt-txt"):
        registry.get("yaml")
