"""Clusters as they stand: replaying edits keeps a partition, and undoing them restores it exactly."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import derived, files
from curation.errors import CurationError
from curation.ledger import Event
from curation.workspace import CLUSTERS, Workspace

CLASSES = {"ant": 20, "bee/queen": 12}
CLUSTERS_A_CLASS, ATTRIBUTES = 4, 2


def build(folder: Path, *, merge: str = "rank", seed: int = 0) -> Workspace:
    """A workspace with clusters `c` of two classes whose images alternate."""
    (folder / "pictures").mkdir(exist_ok=True)
    workspace = Workspace.create(folder / "w", roots={"images": folder / "pictures"})
    rng = np.random.default_rng(seed)
    names = rng.permutation(np.repeat(list(CLASSES), list(CLASSES.values())))
    cluster = np.empty(len(names), np.int16)
    for name, count in CLASSES.items():
        drawn = np.concatenate([np.arange(CLUSTERS_A_CLASS), rng.integers(0, CLUSTERS_A_CLASS, count)])[:count]
        sizes = np.bincount(drawn, minlength=CLUSTERS_A_CLASS)
        cluster[names == name] = np.argsort(np.argsort(-sizes, kind="stable"))[drawn]
    table = pa.table(
        {
            "image_id": np.arange(len(names)) + 5,
            "class_name": names.tolist(),
            "cluster": cluster,
            "attribute": derived.attribute_of(cluster, CLUSTERS_A_CLASS, ATTRIBUTES),
            "distance": rng.random(len(names)),
        }
    )
    meta = {"settings": json.dumps({"features": "f", "attributes": ATTRIBUTES, "merge": merge})}
    files.write_table(workspace.path / "clusters" / "c.parquet", table.cast(CLUSTERS).replace_schema_metadata(meta))
    return workspace


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return build(tmp_path)


def act(workspace, kind, number, data, *, class_name="ant", verdict="", clustering=None) -> Event:
    digest = clustering or derived.base(workspace, "c").digest(class_name)
    event = Event(
        reviewer="ada",
        kind=f"cluster.{kind}",
        subject=f"c/{number}/{class_name}",
        verdict=verdict,
        data=data | {"clustering": digest},
    )
    workspace.ledger.append([event])
    return event


def cluster_of(table) -> dict[int, int]:
    return dict(zip(table["image_id"].to_pylist(), table["cluster"].to_pylist(), strict=True))


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_attributes_of_ranks(clusters, attributes):
    found = derived.attribute_of(np.arange(clusters), clusters, attributes)
    kept = min(clusters, attributes)
    assert found.tolist() == [int(r * kept / clusters + 1e-9) for r in range(clusters)]
    counts = np.bincount(found, minlength=kept)
    assert len(counts) == kept
    assert counts.max() - counts.min() <= 1
    assert (np.diff(found) >= 0).all()


def test_six_clusters_make_three_pairs():
    assert derived.attribute_of(np.arange(6), 6, 3).tolist() == [0, 0, 1, 1, 2, 2]


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 39)), min_size=1), st.integers(1, 9))
def test_attributes_of_ranks_in_classes_of_unequal_numbers_of_clusters(cases, attributes):
    clusters, rank = np.array([(k, min(r, k - 1)) for k, r in cases]).T
    each = [int(derived.attribute_of(r, int(k), attributes)) for k, r in zip(clusters, rank, strict=True)]
    assert derived.attribute_of(rank, clusters, attributes).tolist() == each


def test_images_whose_class_changed_are_told(workspace):
    table = derived.clusters(workspace, "c")
    names = ["new"] * 5 + table["class_name"].to_pylist() + ["late"]
    names[9], names[30] = "cow", "dee"
    for column in (pa.array(names), pa.array(names).dictionary_encode()):
        found = derived.relabelled(pa.table({"class_name": column}), table)
        assert (found.tolist(), found.dtype) == ([9, 30], np.int32)


def test_without_events_the_table_is_as_written(workspace):
    table = derived.clusters(workspace, "c")
    assert table.schema.equals(CLUSTERS, check_metadata=True)
    assert table.equals(files.read_table(workspace.path / "clusters" / "c.parquet").replace_schema_metadata(None))
    one = derived.clusters(workspace, "c", class_name="ant")
    assert one["class_name"].to_pylist() == ["ant"] * 20
    assert len(derived.clusters(workspace, "c", class_name="cow")) == 0


def test_only_the_edited_class_changes(workspace):
    before = derived.clusters(workspace, "c")
    act(workspace, "merge", 1, {"clusters": [0, 2]})
    after = derived.clusters(workspace, "c")
    assert after.schema.equals(CLUSTERS)
    for i, name in enumerate(before["class_name"].to_pylist()):
        old, new = before["cluster"][i].as_py(), after["cluster"][i].as_py()
        assert new == (1 if name == "ant" and old in (0, 2) else old)
    ant = derived.clusters(workspace, "c", class_name="ant")
    # Two clusters are left, so attributes are 0 for the merged one and 1 for the other, which kept its number.
    assert {*zip(ant["cluster"].to_pylist(), ant["attribute"].to_pylist(), strict=True)} == {(1, 0), (3, 1)}


def test_attributes_follow_sizes_and_ties_follow_numbers():
    state = derived.ClassState(np.arange(8), np.array([7, 7, 2, 2, 5, 5, 5, 9], np.int16), np.zeros(8, np.float32))
    # By size: 5 (3), then 2 and 7 (2 each), then 9.
    assert state.attributes(4).tolist() == [2, 2, 1, 1, 0, 0, 0, 3]
    assert state.attributes(2).tolist() == [1, 1, 0, 0, 0, 0, 0, 1]
    assert state.attributes(9).tolist() == [2, 2, 1, 1, 0, 0, 0, 3]


def test_clusters_that_are_kept_as_attributes_stay_so(tmp_path):
    workspace = build(tmp_path, merge="none")
    act(workspace, "merge", 0, {"clusters": [1]})
    ant = derived.clusters(workspace, "c", class_name="ant")
    assert {*zip(ant["cluster"].to_pylist(), ant["attribute"].to_pylist(), strict=True)} == {(0, 0), (2, 1), (3, 2)}


def test_undo_and_earlier_positions_restore_exactly(workspace):
    seen = [derived.clusters(workspace, "c")]
    images = [i for i, c in cluster_of(derived.clusters(workspace, "c", class_name="ant")).items() if c == 0]
    act(workspace, "merge", 1, {"clusters": [2]})
    seen.append(derived.clusters(workspace, "c"))
    split = act(workspace, "split", 0, {"parts": {"4": images[:2], "5": images[2:]}})
    seen.append(derived.clusters(workspace, "c"))
    for position, table in enumerate(seen):
        assert derived.clusters(workspace, "c", until=position).equals(table)
    workspace.ledger.undo(split.event_id, reviewer="ada")
    assert derived.clusters(workspace, "c").equals(seen[1])
    undo = workspace.ledger.events("undo", undone=True)[-1]
    workspace.ledger.undo(undo.event_id, reviewer="ada")
    assert derived.clusters(workspace, "c").equals(seen[2])


def test_names(workspace):
    act(workspace, "name", 2, {}, verdict="dark")
    act(workspace, "name", 0, {}, verdict="side / view", class_name="bee/queen")
    assert derived.cluster_labels(workspace, "c") == {("ant", 2): "dark", ("bee/queen", 0): "side / view"}
    assert derived.cluster_labels(workspace, "c", until=1) == {("ant", 2): "dark"}
    act(workspace, "merge", 0, {"clusters": [2]})
    assert ("ant", 2) not in derived.cluster_labels(workspace, "c")


@pytest.mark.parametrize(
    ("kind", "number", "data"),
    [
        ("merge", 9, {"clusters": [0]}),
        ("merge", 0, {"clusters": [1, 9]}),
        ("merge", 0, {"clusters": []}),
        ("move", 9, {"images": [5]}),
        ("move", 0, {"images": [99_999]}),
        ("move", 0, {"images": []}),
        ("move", 0, {}),
        ("split", 9, {"parts": {"10": [5]}}),
        ("split", 0, {"parts": {"3": [5]}}),
        ("split", 0, {"parts": {"x": [5]}}),
        ("split", 0, {"parts": {"99999": [5]}}),
        ("split", 0, {"parts": [5]}),
        ("merge", "x", {"clusters": [0]}),
    ],
)
def test_an_event_that_does_not_fit_changes_nothing_and_is_counted(workspace, kind, number, data):
    before = derived.clusters(workspace, "c")
    act(workspace, kind, number, data)
    assert derived.clusters(workspace, "c").equals(before)
    assert derived.ignored_events(workspace, "c") == 1
    assert derived.ignored_events(workspace, "c", until=0) == 0
    assert derived.ignored_events(workspace, "never clustered") == 0


def test_events_of_another_clustering_are_left_aside(workspace):
    before = derived.clusters(workspace, "c")
    act(workspace, "merge", 0, {"clusters": [1]}, clustering="0123456789ab")
    assert derived.clusters(workspace, "c").equals(before)
    assert derived.ignored_events(workspace, "c") == 1


def test_a_split_leaves_images_that_were_moved_away(workspace):
    ant = cluster_of(derived.clusters(workspace, "c", class_name="ant"))
    first, second, *_ = [i for i, c in ant.items() if c == 0]
    act(workspace, "move", 1, {"images": [first]})
    act(workspace, "split", 0, {"parts": {"4": [first, second]}})
    after = cluster_of(derived.clusters(workspace, "c", class_name="ant"))
    assert (after[first], after[second]) == (1, 4)


def test_a_new_table_is_read_again(workspace):
    before = derived.clusters(workspace, "c")
    path = workspace.path / "clusters" / "c.parquet"
    table = files.read_table(path)
    files.write_table(path, table.slice(1))
    assert len(derived.clusters(workspace, "c")) == len(before) - 1


def test_missing_and_foreign_tables(workspace):
    with pytest.raises(CurationError, match="there are no clusters 'd': run `cluster` first"):
        derived.clusters(workspace, "d")
    files.write_table(workspace.path / "clusters" / "e.parquet", pa.table({"image_id": [1]}))
    with pytest.raises(CurationError, match="was not written by `cluster`"):
        derived.clusters(workspace, "e")


EDIT = st.tuples(st.sampled_from(["merge", "move", "split", "undo"]), st.randoms(use_true_random=False))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.lists(EDIT, max_size=12))
def test_random_edits_give_a_partition_and_undoing_all_restores(seed, edits):
    with tempfile.TemporaryDirectory() as folder:
        workspace = build(Path(folder), seed=seed)
        original, events = derived.clusters(workspace, "c"), []
        history = [(workspace.ledger.position(), original)]
        for kind, random in edits:
            class_name = random.choice(list(CLASSES))
            state = cluster_of(derived.clusters(workspace, "c", class_name=class_name))
            present, images = sorted({*state.values()}), sorted(state)
            chosen = random.choice(present)
            data = {
                "merge": {"clusters": random.sample(present, random.randint(1, len(present)))},
                "move": {"images": random.sample(images, random.randint(1, len(images)))},
                "split": None,
            }
            if kind == "undo":
                if events:
                    workspace.ledger.undo(events.pop(random.randrange(len(events))).event_id, reviewer="ada")
            else:
                inside = [i for i in images if state[i] == chosen]
                first = derived.highest_number(workspace, "c", class_name) + 1
                cut = random.randint(0, len(inside) - 1)
                parts = {str(first): inside[cut:]} | ({str(first + 1): inside[:cut]} if cut else {})
                event = act(workspace, kind, chosen, data[kind] or {"parts": parts}, class_name=class_name)
                events.append(event)
            table = derived.clusters(workspace, "c")
            history.append((workspace.ledger.position(), table))
            assert_sound(table, original)
        for position, table in history:
            assert derived.clusters(workspace, "c", until=position).equals(table)
        for event in events:
            workspace.ledger.undo(event.event_id, reviewer="ada")
        assert derived.clusters(workspace, "c").equals(original)


def assert_sound(table, original):
    """Every image once, in its class, in one cluster; attributes are 0 to A' - 1 and never fall with the rank."""
    assert table["image_id"].equals(original["image_id"])
    assert table["class_name"].equals(original["class_name"])
    assert table["cluster"].null_count == table["attribute"].null_count == 0
    names = np.array(table["class_name"].to_pylist())
    for name in CLASSES:
        cluster, attribute = (table[c].to_numpy()[names == name] for c in ("cluster", "attribute"))
        numbers, sizes = np.unique(cluster, return_counts=True)
        ranked = [attribute[cluster == n] for n in numbers[np.lexsort((numbers, -sizes))]]
        assert all(len(set(values.tolist())) == 1 for values in ranked)
        expected = derived.attribute_of(np.arange(len(numbers)), len(numbers), ATTRIBUTES)
        assert [int(values[0]) for values in ranked] == expected.tolist()
