"""A picture of 196,608 bytes as 4,096 bytes, such that distances between sketches bound distances between pictures.

A rendition is cut into 32 x 32 blocks of 8 x 8 pixels. The sketch holds each block's mean colour (3 x 1,024 numbers)
and the length of what the mean leaves out of the block, over its 192 bytes and divided by 8 (1,024 numbers). Means
divide each block's space orthogonally, and two vectors are at least as far apart as their lengths, so that

    |x - y|^2 >= 64 |f(x) - f(y)|^2        f: the 4,096 numbers before they are rounded to bytes

(block means: Yi and Faloutsos, Fast time sequence indexing for arbitrary Lp norms, VLDB 2000; lengths of what is left:
Cauchy and Schwarz). Rounding moves f(x) by a length that the sketch keeps, `error`; a bound adds both.
"""

from __future__ import annotations

import numpy as np

SIDE = 256
GRID = 32
BLOCK = SIDE // GRID
MEANS = GRID * GRID * 3
LENGTH = MEANS + GRID * GRID
SCALE = float(BLOCK)
"""Distance of pictures for each unit of distance of their sketches."""
SKETCH = np.dtype([("point", np.uint8, LENGTH), ("error", np.float32)])

_AT_ONCE = 4  # pictures, whose float32 copies then stay in the processor's cache
_ROW = BLOCK * 3  # bytes of one block's row
_COLOURS = np.tile(np.eye(3, dtype=np.float32), (BLOCK, 1))


def sketch(pictures: np.ndarray) -> np.ndarray:
    """Sketches of renditions.

    Args:
        pictures: uint8 (n, 256, 256, 3).

    Returns:
        `SKETCH` (n,): `point`, and `error`, which is never smaller than the distance of `point` from the exact numbers.
    """
    result = np.empty(len(pictures), SKETCH)
    for start in range(0, len(pictures), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        sums, squares = _block_sums(pictures[part])
        means = sums / np.float64(BLOCK * BLOCK)
        left = np.sqrt(BLOCK * BLOCK * squares - (sums * sums).sum(2)) / (BLOCK * BLOCK)
        exact = np.concatenate([means.reshape(len(means), -1), left], axis=1)
        rounded = np.rint(exact)
        result["point"][part] = rounded
        # Enlarged by more than float64 and float32 can have lost.
        result["error"][part] = np.linalg.norm(exact - rounded, axis=1) * (1 + 1e-6) + 1e-4
    return result


def _block_sums(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of each block's colours (n, 1024, 3), and of all its bytes' squares (n, 1024); int32, exact."""
    count = len(pictures)
    # Every sum stays below 2**24, up to where float32 holds whole numbers exactly.
    values = pictures.reshape(count, GRID, BLOCK, SIDE * 3).astype(np.float32)
    sums = values.sum(axis=2).reshape(-1, _ROW) @ _COLOURS
    squares = np.einsum("nrjc,nrjc->nrc", values, values).reshape(-1, _ROW).sum(axis=1)
    return sums.astype(np.int32).reshape(count, -1, 3), squares.astype(np.int32).reshape(count, -1)
