"""What a table says, as one number: for recipes that must know whether their inputs are still the same."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def digest(table: pa.Table) -> str:
    """SHA-256 of a table's content: names and values of its columns, whatever their encoding or chunks."""
    total = hashlib.sha256()
    for name in table.column_names:
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        total.update(f"{name} {column.type} {len(column)}\n".encode())
        total.update(np.packbits(column.is_null().to_numpy()).tobytes())
        if pa.types.is_string(column.type):
            _digest_texts(total, column.fill_null(""))
        else:
            values = (column.fill_null(0) if column.null_count else column).to_numpy()
            total.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()


def _digest_texts(total: Any, column: pa.ChunkedArray) -> None:
    """Lengths first, then the bytes of all texts end to end."""
    for chunk in column.chunks:
        total.update(pc.binary_length(chunk).to_numpy().astype("<i4").tobytes())
    for chunk in column.chunks:
        _, offsets, values = chunk.buffers()
        edges = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1] if len(chunk) else [0, 0]
        total.update(memoryview(values or b"")[edges[0] : edges[-1]])
