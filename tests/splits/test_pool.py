from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import tallied
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import CurationError
from curation.splits.pool import gather, place_of


@settings(max_examples=40, deadline=None)
@given(tallied.any_inputs(grouped=True), st.integers(0, 99))
def test_images_are_in_byte_order_whatever_the_order_of_rows(inputs, seed):
    pool = gather(inputs)
    other = gather(tallied.shuffled(inputs, seed))
    for name in ("image_id", "cls", "source", "group"):
        assert np.array_equal(getattr(pool, name), getattr(other, name))
    assert (pool.names, pool.sources, pool.images) == (other.names, other.sources, other.images)
    rows = {row["image_id"]: row for row in inputs.images.to_pylist()}
    found = [rows[i] for i in pool.image_id.tolist()]
    assert found == sorted(found, key=lambda row: (row["class_name"].encode(), row["path"].encode()))
    assert [row["class_name"] for row in found] == [pool.names[c] for c in pool.cls]
    assert [row["source_split"] for row in found] == [pool.sources[s] for s in pool.source]
    out = set(inputs.excluded["image_id"].to_pylist())
    assert sorted(pool.image_id.tolist()) == sorted(rows.keys() - out)
    group = dict(zip(*(inputs.groups[c].to_pylist() for c in ("image_id", "group")), strict=True))
    assert pool.group.tolist() == [group.get(i, -1) for i in pool.image_id.tolist()]


@settings(max_examples=20, deadline=None)
@given(tallied.any_inputs())
def test_counts_by_class_and_source_split(inputs):
    pool = gather(inputs)
    rows = list(zip(pool.cls.tolist(), pool.source.tolist(), strict=True))
    expected = [[rows.count((c, s)) for s in range(len(pool.sources))] for c in range(len(pool.names))]
    assert pool.by_source().tolist() == expected
    assert all(map(sum, expected))  # a class without images is none


def test_without_images():
    pool = gather(tallied.made({}))
    assert (pool.names, pool.images, len(pool.image_id)) == ([], 0, 0)
    assert pool.by_source().shape[0] == 0


def test_exclusions_of_strange_images_do_not_matter():
    inputs = tallied.made({"ant": 3}, excluded=[1])
    strange = pa.table({"image_id": [77, -1], "reason": ["gone", "gone"]}, schema=inputs.excluded.schema)
    both = replace(inputs, excluded=pa.concat_tables([strange, inputs.excluded, inputs.excluded]))
    pool = gather(both)
    assert len(pool.image_id) == 2
    assert [len(ids) for ids, _ in pool.left_out] == [1, 0]


def test_an_id_that_is_there_twice():
    inputs = tallied.made({"ant": 3})
    with pytest.raises(CurationError, match="6 images have only 3 different ids"):
        gather(replace(inputs, images=pa.concat_tables([inputs.images, inputs.images])))


def test_images_without_a_source_split_or_a_class():
    inputs = tallied.made({"ant": 2, "bee": 1}, sources=("train", "val"))
    for column, values in (("source_split", ["train", None, "train"]), ("class_name", ["ant", None, None])):
        at = inputs.images.column_names.index(column)
        table = replace(inputs, images=inputs.images.set_column(at, column, pa.array(values).dictionary_encode()))
        if column == "source_split":
            pool = gather(table)
            assert (pool.sources, pool.by_source().tolist()) == (["", "train"], [[1, 1], [0, 1]])
        else:
            with pytest.raises(CurationError, match="2 of 3 images have no class: read the images again"):
                gather(table)


def test_places_of_ids():
    assert place_of([3, 9, -1, 0, 7], np.array([7, 3])).tolist() == [1, -1, -1, -1, 0]
    assert place_of([0], np.array([], np.int64)).tolist() == [-1]


def test_tables_without_source_splits():
    inputs = tallied.made({"ant": 3, "bee": 2})
    pool = gather(replace(inputs, images=inputs.images.drop_columns(["source_split"])))
    assert pool.sources == [""]
    assert pool.by_source().tolist() == [[3], [2]]
