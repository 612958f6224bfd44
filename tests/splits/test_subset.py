import csv

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.exclusions import EXCLUSIONS
from curation.splits import class_names, subset
from curation.splits.class_plan import Counts
from curation.splits.inputs import IMAGE_COLUMNS, Inputs
from curation.splits.presets import PRESETS
from curation.splits.subset import KIND
from curation.workspace import CLASSES, Workspace

WNIDS = {"acorn": "n12267677", "volcano": "n09472597", "crane": "n02012849"}


def inputs(sizes, *, backwards=False):
    """Images of {(class, source split): how many}."""
    rows = [(n, s, f"{s}/{n}/{i:04d}.jpg") for (n, s), count in sizes.items() for i in range(count)]
    names, sources, paths = zip(*rows, strict=True)
    ids = pa.array(range(len(rows)), pa.int32())
    table = pa.table([ids, ["r"] * len(rows), paths, names, sources], names=IMAGE_COLUMNS)
    order = list(range(len(rows)))[:: -1 if backwards else 1]
    return Inputs(table.take(order), EXCLUSIONS.empty_table())


def typed(**parameters):
    return KIND.settings.from_dict(parameters)


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "pictures").mkdir()
    made = Workspace.create(tmp_path / "w", roots={"r": tmp_path / "pictures"})
    rows = [{"class_name": n, "wnid": w, "lemmas": f"{n}, {n} itself", "definition": "", "images": 5}
            for n, w in sorted(WNIDS.items())]  # fmt: skip
    files.write_table(made.path / "classes.parquet", pa.Table.from_pylist(rows, schema=CLASSES))
    return made


TREE = {(name, source): count for name in WNIDS for source, count in (("train", 12), ("val", 3), ("test", 2))}


def test_all_of_train_and_val_in_the_order_listed():
    result = KIND.carve(inputs(TREE), typed(classes=["volcano", "acorn"]))
    assert result.report["classes"] == ["volcano", "acorn"]
    assert result.report["funnel"]["splits"] == {"train": 24, "val": 6}
    assert result.report["funnel"]["left_out"] == {
        "class not asked for": 17,
        "in a source split that the recipe does not use": 4,
    }
    assert KIND.carve(inputs(TREE, backwards=True), typed(classes=["volcano", "acorn"])).split.equals(result.split)
    capped = KIND.carve(inputs(TREE), typed(classes=["volcano"], most=5, test="source:test"))
    assert capped.report["funnel"]["splits"] == {"train": 5, "val": 3, "test": 2}


def test_where_no_val_was_published_it_is_drawn():
    result = KIND.carve(inputs({("acorn", ""): 20, ("crane", ""): 30}), typed())
    assert result.report["classes"] == ["acorn", "crane"]
    assert result.report["funnel"]["splits"] == {"train": 45, "val": 5}
    own = KIND.carve(inputs(TREE), typed(official=False, val=2))
    assert own.report["funnel"]["splits"] == {"train": 30, "val": 6}


def test_imagenet_30_and_100_as_packed(shared_data):
    with (shared_data / "glt" / "meta_clsloc.csv").open(newline="") as file:
        sizes = {row["WNID"]: int(row["num_train_images"]) for row in csv.DictReader(file)}
    names = sorted(sizes)
    counts = Counts(names, ["train", "val"], np.array([[sizes[name], 50] for name in names]))
    assert (len(names), counts.available[:, 0].sum(), counts.available[:, 0].min()) == (1000, 1_281_167, 732)
    assert (counts.available[:, 0] == 1300).sum() == 895
    for name, classes, train, val in (("imagenet-30", 30, 39_000, 1_500), ("imagenet-100", 100, 126_689, 5_000)):
        wnids = PRESETS[name].parameters["classes"]
        planned = KIND.plan(counts, typed(**PRESETS[name].parameters))
        assert [names[row] for row in planned.order] == wnids
        assert (len(planned.order), planned.of("train").sum(), planned.of("val").sum()) == (classes, train, val)
    assert PRESETS["imagenet-30"].parameters["classes"][::29] == ["n12267677", "n09472597"]


def test_the_least_of_train_goes_before_val_and_test():
    there = inputs({("acorn", ""): 2, ("crane", ""): 30})
    found = KIND.carve(there, typed(official=False, val=2, policy="shrink")).report
    assert found["funnel"]["splits"] == {"train": 29, "val": 3}
    assert [(s["class_name"], s["split"], s["wanted"], s["has"]) for s in found["short_cells"]] == [
        ("acorn", "val", 2, 1)
    ]


def test_a_class_twice_or_unknown():
    with pytest.raises(ArgumentError, match="classes: entry 3 names 'acorn', as 1 does"):
        typed(classes=["acorn", "crane", "acorn"])
    with pytest.raises(
        ArgumentError, match=r"classes, entry 2: none of the 3 classes .* 'volcanoe': did you mean 'volcano'"
    ):
        KIND.carve(inputs(TREE), typed(classes=["crane", "volcanoe"]))
    with pytest.raises(CurationError, match=r"class 'crane' has 0 for train and needs 1"):
        KIND.carve(inputs({("acorn", "train"): 2, ("crane", "val"): 1}), typed(classes=["crane", "acorn"]))


def test_a_file_of_classes(tmp_path):
    path = tmp_path / "some.txt"
    path.write_text("\ufeffn02012849\r\n\r\n  n12267677 \nn09472597", encoding="utf-8")
    assert subset.read_classes(path) == ["n02012849", "n12267677", "n09472597"]
    path.write_text("n02012849\n\nn12267677\nn02012849\n")
    with pytest.raises(ArgumentError, match=r"some.txt: line 4 names 'n02012849', as 1 does: list every class once"):
        subset.read_classes(path)
    path.write_text("\n\n")
    with pytest.raises(CurationError, match="has 2 lines and names 0 classes"):
        subset.read_classes(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CurationError, match="is no text file"):
        subset.read_classes(path)
    with pytest.raises(CurationError, match="does not exist"):
        subset.read_classes(tmp_path / "other.txt")


def test_a_wnid_names_a_class(workspace):
    asked = class_names.named(workspace, typed(classes=["n09472597", "acorn"]))
    assert asked.classes == ("volcano", "acorn")
    assert class_names.named(workspace, asked) is asked
    with pytest.raises(ArgumentError, match="classes: entry 2 names 'volcano', as 1 does"):
        typed(classes=["volcano", "volcano"])
    assert class_names.named(workspace, typed(classes=["n09472597", "volcano"])).classes == ("n09472597", "volcano")


def test_class_metadata_from_a_file(workspace, tmp_path):
    path = tmp_path / "meta_clsloc.csv"
    header = "ILSVRC2015_CLSLOC_ID,WNID,name,description,num_train_images,human_label\n"
    path.write_text(
        header + '327,n12267677,acorn,"fruit of the oak, a nut",1300,acorn\n429,n02012849,crane,,1300,crane\n'
    )
    asked = typed(metadata=str(path))
    about = KIND.tables(workspace, asked, inputs(TREE))["class_metadata"]
    columns = {c: about[c].to_pylist() for c in about.column_names}
    assert columns == {
        "class_name": ["acorn", "crane", "volcano"],
        "wnid": ["n12267677", "n02012849", "n09472597"],
        "lemmas": ["acorn", "crane", "volcano, volcano itself"],
        "definition": ["fruit of the oak, a nut", None, None],
        "original_label": [327, 429, None],
        "human_label": ["acorn", "crane", None],
    }
    path.write_text(header + "327,n12267677,acorn,x,1300\n")
    with pytest.raises(CurationError, match=r"meta_clsloc.csv, line 2: 5 cells, and 6 columns"):
        KIND.tables(workspace, asked, inputs(TREE))
    path.write_text(header + "1,n00000001,a,b,1300,c\n")
    with pytest.raises(ArgumentError, match="describes 1 classes by WNID, and none of the 3 classes of the images"):
        KIND.tables(workspace, asked, inputs(TREE))


def test_classes_called_by_their_wnid_need_no_table(workspace, tmp_path):
    (workspace.path / "classes.parquet").unlink()
    path = tmp_path / "m.csv"
    path.write_text(
        "ILSVRC2015_CLSLOC_ID,WNID,name,description,num_train_images,human_label\n327,n12267677,acorn,x,1300,acorn\n"
    )
    found = inputs({("n12267677", "train"): 3, ("other", "train"): 3})
    about = KIND.tables(workspace, typed(metadata=str(path)), found)["class_metadata"]
    assert about.filter(pc.is_valid(about["original_label"]))["class_name"].to_pylist() == ["n12267677"]
