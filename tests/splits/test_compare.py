import json

import numpy as np
import pyarrow as pa
import pytest

from curation.errors import CurationError
from curation.splits.compare import LEFT_OUT, compare
from curation.splits.result import split_table


def stored(name, rows, classes, *, splits=("train", "val"), images=10, parameters=None, **recipe):
    """A split from {image id: (split, class name)}."""
    ids = np.array(list(rows), np.int64)
    codes = np.array([splits.index(split) for split, _ in rows.values()])
    label = np.array([classes.index(name) for _, name in rows.values()])
    table = split_table(codes, list(splits), {"image_id": ids, "label": label})
    recipe = {"name": name, "kind": "k-shot", "parameters": parameters or {}, **recipe}
    return recipe, table, {"classes": classes, "funnel": {"images": images}}


@pytest.fixture(scope="module")
def found():
    a = stored(
        "one",
        {0: ("train", "ant"), 1: ("train", "ant"), 2: ("val", "bee"), 3: ("train", "cat"), 5: ("val", "cat")},
        ["ant", "bee", "cat"],
        parameters={"seed": 25, "val": 0.1, "only": 1},
        inputs={"images": "1", "excluded": "1", "rows": 10},
        duplicates="decided",
    )
    b = stored(
        "one.r2",
        {0: ("train", "ant"), 1: ("test", "ant"), 2: ("train", "cat"), 5: ("val", "cat"), 7: ("train", "dog")},
        ["cat", "ant", "dog"],
        splits=("val", "train", "test"),
        images=12,
        parameters={"seed": 25, "val": 0.2},
        inputs={"images": "1", "excluded": "2", "rows": 12, "groups": "1"},
        duplicates="together",
    )
    return compare(a, b)


def test_every_image_is_counted_once(found):
    assert found.splits == (["train", "val", LEFT_OUT], ["val", "train", "test", LEFT_OUT])
    assert found.moved.tolist() == [[0, 1, 1, 1], [1, 1, 0, 0], [0, 1, 0, 6]]
    assert found.moved.sum() == 12
    assert (found.kept, found.changed, found.added, found.dropped) == (2, 2, 1, 1)


def test_images_of_a_cell(found):
    cells = {(s, t): found.ids(s, t).tolist() for s in found.splits[0] for t in found.splits[1]}
    assert {key: ids for key, ids in cells.items() if ids} == {
        ("train", "train"): [0],
        ("train", "test"): [1],
        ("val", "train"): [2],
        ("train", LEFT_OUT): [3],
        ("val", "val"): [5],
        (LEFT_OUT, "train"): [7],
    }
    with pytest.raises(CurationError, match=r"split 'one' has no 'test': it has train, val, left out"):
        found.ids("test", "train")


def test_classes_are_aligned_by_name(found):
    assert found.classes == ["ant", "bee", "cat", "dog"]
    assert {name: counts.tolist() for name, counts in found.histograms.items()} == {
        "train": [[2, 0, 1, 0], [1, 0, 1, 1]],
        "val": [[0, 1, 1, 0], [0, 0, 1, 0]],
        "test": [[0, 0, 0, 0], [1, 0, 0, 0]],
    }
    assert (found.relabelled, found.renumbered) == (1, 2)


def test_what_was_asked_otherwise(found):
    assert found.parameters == {"val": (0.1, 0.2), "only": (1, None)}
    assert found.recipe == {"duplicates": ("decided", "together")}
    assert found.inputs == ["excluded", "groups", "rows"]


def test_json(found):
    document = json.loads(json.dumps(found.to_dict()))
    assert document["moved"] == found.moved.tolist()
    assert document["histograms"]["train"] == {"a": [2, 0, 1, 0], "b": [1, 0, 1, 1]}
    assert document["parameters"]["val"] == [0.1, 0.2]
    assert not any(key.startswith("_") for key in document)


def test_a_split_beside_itself_whatever_its_rows_and_chunks():
    one = stored("one", {4: ("val", "ant"), 2: ("train", "ant")}, ["ant"], images=5)
    two = (one[0], pa.concat_tables([one[1].slice(1), one[1].slice(0, 1)]), one[2])
    found = compare(one, two)
    assert (found.kept, found.changed, found.added, found.dropped, found.relabelled) == (2, 0, 0, 0, 0)
    assert found.moved.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 3]]
    assert found.parameters == found.recipe == {}
    assert found.ids(LEFT_OUT, LEFT_OUT).size == 0


def test_an_empty_split():
    empty = stored("none", {}, ["ant"], images=3)
    assert compare(empty, empty).moved.tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 3]]
