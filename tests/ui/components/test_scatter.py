"""Points as the browser draws them, groups, and the lasso."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.ledger import Event
from curation.ui.components import scatter
from curation.workspace import CLUSTERS, MAPS


@pytest.fixture
def mapped(workspace):
    ids = np.arange(12, dtype=np.int32)
    table = pa.table({"image_id": ids, "x": ids * 2.0, "y": ids * 0.5 - 100}).cast(MAPS)
    files.write_table(workspace.path / "maps" / "m.parquet", table)
    return workspace


def cluster(workspace, numbers: dict[int, int]) -> None:
    ids = list(numbers)
    table = pa.table(
        {
            "image_id": pa.array(ids, pa.int32()),
            "class_name": ["ant"] * len(ids),
            "cluster": pa.array(list(numbers.values()), pa.int16()),
            "attribute": pa.array([0] * len(ids), pa.int16()),
            "distance": pa.array([1.0] * len(ids), pa.float32()),
        }
    ).cast(CLUSTERS)
    table = table.replace_schema_metadata({"settings": '{"merge": "rank", "attributes": 3}'})
    files.write_table(workspace.path / "clusters" / "c.parquet", table)


def test_both_axes_have_one_scale(mapped):
    drawn = scatter.scatter(mapped, "m", "class")
    assert drawn.span == 22.0
    assert drawn.origin == (0.0, -100 + 5.5 / 2 - 11)
    at = np.frombuffer(drawn.points(), "<u2", 24).reshape(12, 2)
    assert at[:, 0].min() == 0
    assert at[:, 0].max() == 65535
    assert abs(int(at[:, 1].min()) + int(at[:, 1].max()) - 65535) <= 1  # in the middle


def test_points_without_a_place_are_left_out(workspace):
    table = pa.table({"image_id": [0, 1, 2], "x": [0.0, float("nan"), 1.0], "y": [0.0, 1.0, float("inf")]}).cast(MAPS)
    files.write_table(workspace.path / "maps" / "m.parquet", table)
    assert scatter.scatter(workspace, "m", "class").ids.tolist() == [0]


def test_an_empty_map_draws_nothing(workspace):
    files.write_table(workspace.path / "maps" / "m.parquet", MAPS.empty_table())
    drawn = scatter.scatter(workspace, "m", "class")
    assert (drawn.points(), drawn.labels) == (b"", [])


def test_groups_follow_the_clusters_in_natural_order(mapped):
    cluster(mapped, {0: 10, 1: 9, 2: 9, 5: 0})
    drawn = scatter.scatter(mapped, "m", "cluster:c")
    assert drawn.labels == ["cluster 0", "cluster 9", "cluster 10", scatter.NO_GROUP]
    assert drawn.counts == [1, 2, 1, 8]
    assert [drawn.labels[g] for g in drawn.group[:6]] == [
        "cluster 10",
        "cluster 9",
        "cluster 9",
        *[scatter.NO_GROUP] * 2,
        "cluster 0",
    ]


def test_a_changed_cluster_table_is_another_version_and_a_flag_is_not(mapped):
    cluster(mapped, {0: 0})
    first = scatter.version(mapped, "m", "cluster:c")
    mapped.ledger.append([Event(reviewer="a", kind="flag", subject="0", verdict="flag")])
    assert scatter.version(mapped, "m", "cluster:c") == first
    mapped.ledger.append(
        [Event(reviewer="a", kind="cluster.move", subject="c/1/ant", verdict="move", data={"images": [0]})]
    )
    assert scatter.version(mapped, "m", "cluster:c") != first


def test_more_groups_than_a_byte_tells_apart_are_folded():
    words = pa.array([f"class {i}" for i in range(300) for _ in range(1 + (i < 254))]).dictionary_encode()
    group, labels, counts = scatter._groups(words)
    assert len(labels) == 255
    assert labels[-1] == "46 smaller groups"
    assert counts[-1] == 46
    assert sum(counts) == len(words) == len(group)
    assert [labels[g] for g in group[:508]] == words[:508].to_pylist()
    assert set(group[508:].tolist()) == {254}


@pytest.mark.parametrize("colour", ["", "classes", "cluster:", "cluster:../c"])
def test_unknown_colours_are_refused(mapped, colour):
    with pytest.raises(ArgumentError):
        scatter.scatter(mapped, "m", colour)


@pytest.mark.parametrize(("name", "colour"), [("none", "class"), ("m", "cluster:none")])
def test_what_is_not_there_is_named(mapped, name, colour):
    with pytest.raises(CurationError, match=r"none\.parquet does not exist"):
        scatter.scatter(mapped, name, colour)


def slowly(x: float, y: float, corners: list[tuple[float, float]]) -> bool:
    """PNPOLY, one point at a time, as published."""
    inside, j = False, len(corners) - 1
    for i, (xi, yi) in enumerate(corners):
        xj, yj = corners[j]
        if (yi > y) != (yj > y) and x < (xj - xi) * (y - yi) / (yj - yi) + xi:
            inside = not inside
        j = i
    return inside


whole = st.integers(-20, 20).map(float)


@given(
    st.lists(st.tuples(whole, whole), min_size=3, max_size=9),
    st.lists(st.tuples(whole, whole), min_size=1, max_size=30),
)
def test_inside_agrees_with_the_published_rule(corners, points):
    x, y = np.array(points, float).T
    assert scatter.inside(x, y, np.array(corners)).tolist() == [slowly(a, b, corners) for a, b in points]


def test_a_lasso_that_crosses_itself_and_a_line():
    bow_tie = [(0, 0), (4, 4), (4, 0), (0, 4)]
    x, y = np.array([0.5, 3.5, 2.0]), np.array([2.0, 2.0, 1.0])
    assert scatter.inside(x, y, np.array(bow_tie)).tolist() == [True, True, False]
    assert not scatter.inside(x, y, np.array(bow_tie[:2])).any()
    assert not scatter.inside(x, y, np.array([])).any()
