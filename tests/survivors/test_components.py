"""Components, ways and the published choice, on arrays alone."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.survivors import components

EDGES = st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=20)


def closure(edges, count):
    part = list(range(count))
    for _ in range(count):
        for a, b in edges:
            part[a] = part[b] = min(part[a], part[b])
    return part


@given(EDGES)
@settings(max_examples=60, deadline=None)
def test_components_are_numbered_by_size_then_by_smallest_node(edges):
    a, b = np.array(edges, np.int64).reshape(-1, 2).T
    found = components.components(a, b, 15)
    expected = closure(edges, 15)
    order = sorted(set(expected), key=lambda root: (-expected.count(root), root))
    assert found.tolist() == [order.index(root) for root in expected]


@given(EDGES, st.sets(st.integers(0, 14), min_size=1))
@settings(max_examples=60, deadline=None)
def test_ways_are_shortest_and_lead_to_a_root(edges, roots):
    a, b = np.array(edges, np.int64).reshape(-1, 2).T
    found = components.ways(a, b, np.array(sorted(roots)), 15)
    distance = dict.fromkeys(roots, 0)
    for step in range(15):
        for x, y in [*edges, *((y, x) for x, y in edges)]:
            if distance.get(x) == step:
                distance.setdefault(y, step + 1)
    for node in range(15):
        if node not in distance:
            assert found.root[node] == found.towards[node] == -1
        elif node in roots:
            assert found.root[node] == found.towards[node] == node
        else:
            towards = int(found.towards[node])
            assert distance[towards] == distance[node] - 1
            assert (node, towards) in edges or (towards, node) in edges
            assert found.root[node] == found.root[towards]


def test_a_name_is_imagenets_or_a_candidates():
    names = ["n01440764_18.JPEG", "ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_test_00000001.JPEG"]
    assert components.imagenet(names).all()
    assert not components.imagenet(["000b8ccc", "night_1.jpg", "n1_2", "ILSVRC2012_train_1"]).any()


def test_the_name_of_a_component():
    assert components.component_name(["b", "a"]) == hashlib.md5(b"a,b").hexdigest()


def survivors(members, edges, *, good=(), override=(), outside=()):
    """Who survives among {name: (class, score)}, by name."""
    names = sorted(members)
    kinds = sorted({kind for kind, _ in members.values()} | set(dict(good)))
    at = {name: i for i, name in enumerate(names)}
    ends = np.array([(at[a], at[b]) for a, b in edges], np.int64).reshape(-1, 2).T
    found = components.published(
        components.components(*ends, len(names)),
        outside=np.array([name in outside for name in names]),
        classes=np.array([kinds.index(members[name][0]) for name in names]),
        scores=np.array([members[name][1] for name in names], float),
        good=np.array([dict(good).get(kind, 0) for kind in kinds]),
        override=np.array([name in override for name in names]),
    )
    return [name for name, survives in zip(names, found, strict=True) if survives]


CHAIN = [("a", "b"), ("b", "c")]


@pytest.mark.parametrize(
    ("members", "good", "expected"),
    [
        ({"a": ("x", 0.5), "b": ("x", 0.9), "c": ("x", 0.8)}, {}, "b"),  # best of one class
        ({"a": ("x", 0.9), "b": ("x", 0.9), "c": ("x", 0.1)}, {}, "b"),  # the larger name of equals
        ({"a": ("x", 0.7), "b": ("y", 1.0), "c": ("y", 0.2)}, {"x": 3, "y": 9}, "a"),  # .7 is enough: poorest class
        ({"a": ("x", 0.69), "b": ("y", 0.7), "c": ("y", 0.2)}, {"x": 0, "y": 9}, "b"),  # below .7 beside .7: out
        ({"a": ("x", 0.6), "b": ("y", 0.65), "c": ("z", 0.5)}, {"x": 1, "y": 2}, "a"),  # second line
        ({"a": ("x", 0.6), "b": ("y", 0.65), "c": ("z", 0.5)}, {"x": 2, "y": 2}, "a"),  # as poor: smaller class
        ({"a": ("x", 0.3), "b": ("y", 0.5), "c": ("z", 0.5)}, {"z": 9}, "c"),  # no line: largest (score, class)
        ({"a": ("x", 0), "b": ("y", 0), "c": ("y", 0)}, {}, "c"),  # nobody labelled anything
    ],
)
def test_the_published_choice(members, good, expected):
    assert survivors(members, CHAIN, good=good) == [expected]


def test_imagenet_and_overrides_come_before_the_choice():
    members = {"a": ("x", 0.9), "b": ("x", 0.1), "c": ("x", 0.5), "d": ("x", 1.0), "e": ("x", 0.2)}
    edges = [*CHAIN, ("d", "e")]
    assert survivors(members, edges) == ["a", "d"]
    assert survivors(members, edges, override=["b"]) == ["b", "d"]
    assert survivors(members, edges, override=["b"], outside=["c"]) == ["d"]


def test_the_published_edges_give_the_published_components(shared_data):
    """Counts of the final near_duplicates.json of modestyachts/ImageNetV2, self-edges included."""
    near = json.loads((shared_data / "imagenetv2" / "metadata" / "near_duplicates.json").read_text())
    graph = components.graph_of([a for a in near for _ in near[a]], [b for a in near for b in near[a]])
    sizes = np.bincount(graph.label)
    outside = components.imagenet(graph.names)
    nothing = np.zeros(len(graph.names))
    kept = components.published(
        graph.label, outside=outside, classes=nothing.astype(int), scores=nothing, good=np.zeros(1, int)
    )
    assert len(sizes) == 4444
    assert int((np.bincount(graph.label, outside) > 0).sum()) == 106
    assert int((~kept & ~outside).sum()) == 13467
    assert [int((sizes == size).sum()) for size in (1, 2, 3, 4)] == [0, 2586, 742, 334]
    assert sizes.max() == sizes[0] == 396
    assert np.bincount(graph.label[kept]).max() == 1
