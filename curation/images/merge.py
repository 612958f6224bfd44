"""Old rows, a new listing and what was read, merged into one images table whose ids never change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.images.walk import LISTING
from curation.workspace import IMAGES

PLACE = ("root", "path", "bytes", "modified")
_LABELS = ("class_name", "source_split")
GONE = "the file is not there any more"


def _plain(field: pa.Field) -> pa.Field:
    return field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field


# Words are plain here: dictionaries of different tables differ, and their order must not reach the file.
LISTED = pa.schema([_plain(field) for field in [IMAGES.field("root"), *LISTING]])
FACTS = pa.schema([_plain(field) for field in IMAGES if field.name not in ("image_id", *_LABELS)])
"""What is known of a file: where it lies, its size and time, and everything that was measured."""
# Reasons that may be gone next time although the file has not changed.
_PASSING = ("cannot be read", "too many pixels")


def plain(table: pa.Table) -> pa.Table:
    """The table with its dictionary columns as plain strings."""
    return table.cast(pa.schema([_plain(field) for field in table.schema]))


def one_table(listings: dict[str, pa.Table]) -> pa.Table:
    """Listings of several roots as one table (schema LISTED), by root, then path."""
    tables = [
        plain(table).add_column(0, LISTED.field("root"), pa.repeat(name, len(table)).cast(pa.string()))
        for name, table in sorted(listings.items())
    ]
    return pa.concat_tables(tables).combine_chunks()


def worth_another_look(facts: pa.Table) -> pa.ChunkedArray:
    """Rows that are read again although their file has not changed: gone ones, and failures that may have passed."""
    passing = pc.match_substring_regex(facts["reason"], f"^({'|'.join(_PASSING)})")
    status = facts["status"]
    return pc.or_(pc.equal(status, "gone"), pc.and_(pc.equal(status, "broken"), passing))


def match(rows: pa.Table, known: pa.Table, columns: Sequence[str] = PLACE) -> pa.Array:
    """Index into `known` of the first row that agrees in `columns`, null where there is none."""
    found = pc.index_in(_key(rows, columns), value_set=_key(known, columns))
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _key(table: pa.Table, columns: Sequence[str]) -> pa.Array:
    parts = [table[name].cast(pa.string()) for name in columns]
    key = pc.binary_join_element_wise(*parts, "\0")
    return key.combine_chunks() if isinstance(key, pa.ChunkedArray) else key


def merged(old: pa.Table, listing: pa.Table, facts: pa.Table, roots: Sequence[str]) -> pa.Table:
    """The new images table.

    Args:
        old: the images table so far (see `plain`).
        listing: what lies under `roots` now (LISTED); every row of it is in `facts`.
        facts: measured rows (FACTS); of several for the same file, the first holds.
        roots: the roots that were listed; rows of others stay as they are.
    """
    seat = pc.fill_null(match(listing, old, ("root", "path")), -1).to_numpy()  # the row that has an id already
    is_new = seat < 0
    row_of = np.where(is_new, len(old) + np.cumsum(is_new) - 1, seat)
    total = len(old) + int(is_new.sum())
    source = np.full(total, -1)  # row of the listing, -1 where the file is not listed
    source[row_of] = np.arange(len(listing))

    listed = facts.take(match(listing, facts))
    for name in _LABELS:
        listed = listed.append_column(name, listing[name])
    kept = _mark_gone(old, source[: len(old)] < 0, roots).select(listed.column_names)
    pick = np.where(source >= 0, len(old) + source, np.arange(total))
    table = pa.concat_tables([kept, listed]).take(pa.array(pick))
    table = table.append_column("image_id", pa.array(np.arange(total, dtype=np.int32)))
    return _coded(table.combine_chunks().select(IMAGES.names))


def _mark_gone(old: pa.Table, missing: np.ndarray, roots: Sequence[str]) -> pa.Table:
    here = pc.is_in(old["root"], pa.array(list(roots), pa.string()))
    gone = pc.and_(here, pa.chunked_array([pa.array(missing)]))
    for name, word in (("status", "gone"), ("reason", GONE)):
        column = pc.if_else(gone, word, old[name])
        old = old.set_column(old.schema.get_field_index(name), name, column)
    return old


def _coded(table: pa.Table) -> pa.Table:
    columns = [
        pc.dictionary_encode(table[field.name].combine_chunks()).cast(field.type)
        if pa.types.is_dictionary(field.type)
        else table[field.name]
        for field in IMAGES
    ]
    return pa.table(columns, schema=IMAGES)


class Changes(NamedTuple):
    """How a table differs from the one before."""

    counts: dict[str, int]
    notes: list[str]


def changes(old: pa.Table, new: pa.Table, here: Any) -> Changes:
    """Count new, changed, back, unchanged and newly gone rows among the rows `here` (a mask over `new`)."""
    here = np.asarray(here, bool)
    status = np.asarray(new["status"].cast(pa.string()), object)
    before = np.asarray(old["status"].cast(pa.string()), object)
    was, now, first = here[: len(old)], status[: len(old)], new.slice(0, len(old))
    same = np.asarray(pc.and_(pc.equal(old["bytes"], first["bytes"]), pc.equal(old["modified"], first["modified"])))
    there = was & (now != "gone")
    left = was & (now == "gone") & (before != "gone")
    counts = {
        "new": count(here[len(old) :]),
        "changed": count(there & (before != "gone") & ~same),
        "back": count(there & (before == "gone")),
        "unchanged": count(there & (before != "gone") & same),
        "newly_gone": count(left),
    }
    gone = pc.filter(old["sha256"], pc.and_(pa.array(left), pc.not_equal(old["sha256"], "")))
    moved = count(pc.is_in(new["sha256"].slice(len(old)), value_set=gone.combine_chunks()))
    notes = []
    if moved:
        notes.append(
            f"{moved:,} of {counts['new']:,} new files have the bytes of files that are gone: they seem to have moved; "
            "they got new ids, and what was decided about the old ones stays with those"
        )
    return Changes(counts, notes)


def count(mask: Any) -> int:
    """How many are true, of an Arrow or NumPy mask."""
    return int(np.count_nonzero(np.asarray(mask)))


def by_reason(reasons: pa.ChunkedArray) -> dict[str, int]:
    """How often each reason occurs, without its particulars, most frequent first."""
    short = pc.list_element(pc.split_pattern(reasons, pattern=":", max_splits=1), 0)
    found = pc.value_counts(short).to_pylist()
    return {row["values"]: row["counts"] for row in sorted(found, key=lambda row: (-row["counts"], row["values"]))}
