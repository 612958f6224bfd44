"""What a table says, as one number: for recipes that must know whether their inputs are still the same."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import CurationError


def digest(table: pa.Table) -> str:
    """SHA-256 of a table's content: names and values of its columns, whatever their encoding or chunks.

    Raises:
        CurationError: a column holds other than numbers, truth values, times and texts.
    """
    total = hashlib.sha256()
    for name in table.column_names:
        column = _plain(table[name])
        total.update(f"{name} {column.type} {len(column)}\n".encode())
        total.update(np.packbits(column.is_null().to_numpy()).tobytes())
        if pa.types.is_string(column.type):
            _digest_texts(total, column.fill_null(""))
            continue
        values = (column.fill_null(_nothing(column.type)) if column.null_count else column).to_numpy()
        if values.dtype.hasobject:
            raise CurationError(f"column {name!r} has the type {column.type}, of which there is no digest")
        total.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without a dictionary, and texts of all kinds as one kind."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    text = any(test(kind) for test in texts)
    return column.cast(pa.string() if text else kind)


def _nothing(kind: pa.DataType) -> Any:
    """What stands for null in a column of a kind."""
    return pa.scalar(False) if pa.types.is_boolean(kind) else pa.scalar(0).cast(kind)


def _digest_texts(total: Any, column: pa.ChunkedArray) -> None:
    """Lengths first, then the bytes of all texts end to end."""
    for chunk in column.chunks:
        total.update(pc.binary_length(chunk).to_numpy().astype("<i4").tobytes())
    for chunk in column.chunks:
        _, offsets, values = chunk.buffers()
        edges = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1] if len(chunk) else [0, 0]
        total.update(memoryview(values or b"")[edges[0] : edges[-1]])
