"""Ids never change, whatever comes and goes: the merge against a plain model, over random histories."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.images import merge
from curation.workspace import IMAGES

PATHS = ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/ü.jpg"]
State = dict[tuple[str, str], tuple[int, str]]  # (root, path) to (mtime, label)

states = st.dictionaries(
    st.tuples(st.sampled_from(["one", "two"]), st.sampled_from(PATHS)),
    st.tuples(st.integers(1, 3), st.sampled_from(["x", "y"])),
)


def listed(state: State, roots: set[str]) -> pa.Table:
    rows = [
        {"root": root, "path": path, "class_name": label, "source_split": "", "bytes": 5, "modified": modified}
        for (root, path), (modified, label) in sorted(state.items())
        if root in roots
    ]
    return pa.Table.from_pylist(rows, schema=merge.LISTED)


def measured(listing: pa.Table) -> pa.Table:
    """Facts that tell which path and which time they are of; the order is turned round."""
    rows = []
    for row in reversed(listing.to_pylist()):
        fact = dict.fromkeys(merge.FACTS.names, 0) | {k: row[k] for k in merge.PLACE}
        fact |= {
            "sha256": f"{row['path']}@{row['modified']}",
            "pixels": "",
            "flat": False,
            "status": "ok",
            "reason": "",
        }
        rows.append(fact)
    return pa.Table.from_pylist(rows, schema=merge.FACTS)


@given(st.lists(st.tuples(states, st.sampled_from([{"one"}, {"two"}, {"one", "two"}])), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_any_history_of_readings(history):
    table, ids, last = IMAGES.empty_table(), {}, {}
    for state, roots in history:
        listing = listed(state, roots)
        old = merge.plain(table)
        known = old.select(merge.FACTS.names)
        known = known.filter(pa.compute.invert(merge.worth_another_look(known)))
        todo = listing.filter(pa.compute.is_null(merge.match(listing, known)))
        before, table = table, merge.merged(old, listing, pa.concat_tables([measured(todo), known]), sorted(roots))

        fresh = sorted(key for key in state if key[0] in roots and key not in ids)
        ids |= {key: len(ids) + i for i, key in enumerate(fresh)}
        last |= {key: value for key, value in state.items() if key[0] in roots}
        there = {key for key in ids if key[0] in roots and key in state}
        gone = {key for key in ids if key[0] in roots and key not in state}
        rows = {(row["root"], row["path"]): row for row in table.to_pylist()}
        assert {key: row["image_id"] for key, row in rows.items()} == ids
        assert table["image_id"].to_pylist() == list(range(len(ids)))
        for key, row in rows.items():
            assert (row["modified"], row["class_name"]) == last[key]
            assert row["sha256"] == f"{key[1]}@{last[key][0]}"
            if key[0] in roots:
                assert row["status"] == ("gone" if key in gone else "ok")
        found = merge.changes(merge.plain(before), table, [row["root"] in roots for row in table.to_pylist()]).counts
        assert found["new"] == len(fresh)
        assert found["new"] + found["changed"] + found["back"] + found["unchanged"] == len(there)
        again = merge.merged(merge.plain(table), listing, merge.plain(table).select(merge.FACTS.names), sorted(roots))
        assert again.equals(table)
        assert merge.plain(again).equals(merge.plain(table))


def test_reasons_are_counted_without_their_particulars():
    reasons = pa.chunked_array([["damaged JPEG file: 1", "empty file (0 bytes)", "damaged JPEG file: 2"]])
    assert list(merge.by_reason(reasons).items()) == [("damaged JPEG file", 2), ("empty file (0 bytes)", 1)]
    assert merge.by_reason(pa.chunked_array([], pa.string())) == {}
