"""Structural dissimilarity of pictures, (1 - SSIM) / 2, with a uniform window (Z. Wang et al., IEEE TIP 13(4), 2004).

The same as scikit-image's `structural_similarity` with a window of 35, sample covariance, a data range of 255 and the
mean over channels and over windows that lie wholly in the picture, as ImageNetV2's review used it. Sums over windows
are whole numbers, so nothing is lost where variances are small differences of large numbers; what depends on one
picture alone is made once for all pairs that it is in.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from curation.engine import Progress, quiet
from curation.errors import ArgumentError

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
# Pictures whose sums a thread keeps, 2.8 MB each at 256 pixels; pairs to a task.
KEPT, PAIRS = 8, 64
# Sums of squares over larger windows do not fit in 32 bits.
LARGEST = 181


def dssim(
    first: np.ndarray,
    second: np.ndarray,
    *,
    pairs: tuple[np.ndarray, np.ndarray] | None = None,
    window: int = 35,
    workers: int = 1,
    progress: Progress = quiet,
) -> np.ndarray:
    """(1 - SSIM) / 2 of pairs of pictures, float64 (P,), from 0 (the same) to 1; to 1e-6.

    Args:
        first, second: uint8 (A, H, W, 3) and (B, H, W, 3); may be memory maps.
        pairs: integers (P,) and (P,), rows of `first` and of `second`; row by row when None. Pairs that share a
            picture are faster, most so when they follow each other.
        window: side of the uniform window, odd.
        workers: threads; the result does not depend on them.

    Raises:
        ArgumentError: pictures of other types or shapes, or a window that does not fit into them.
    """
    _check(first, second, window)
    if pairs is None:
        if len(first) != len(second):
            raise ArgumentError(f"{len(first):,} pictures cannot be paired with {len(second):,} row by row; give pairs")
        pairs = (np.arange(len(first)), np.arange(len(second)))
    a, b = (np.asarray(side, np.int64) for side in pairs)
    result = np.empty(len(a))
    starts = range(0, len(a), PAIRS)
    own = threading.local()

    def some(start: int) -> None:
        if not hasattr(own, "meter"):
            own.meter = _Meter(first, second, window)
        for i in range(start, min(start + PAIRS, len(a))):
            # Rounding could leave a hair below 0 or above 1.
            result[i] = min(max((1.0 - own.meter.mean(a[i], b[i])) / 2.0, 0.0), 1.0)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        try:
            for done, _ in enumerate(pool.map(some, starts)):
                progress(done + 1, len(starts), "structural dissimilarity")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return result


def _check(first: np.ndarray, second: np.ndarray, window: int) -> None:
    for pictures in (first, second):
        if pictures.dtype != np.uint8 or pictures.ndim != 4:
            raise ArgumentError(f"pictures are uint8 (P, H, W, C), but these are {pictures.dtype} {pictures.shape}")
    if first.shape[1:] != second.shape[1:]:
        raise ArgumentError(f"pictures of {first.shape[1:]} cannot be compared with pictures of {second.shape[1:]}")
    side = min(*first.shape[1:3], LARGEST)
    if not 3 <= window <= side or window % 2 == 0:
        raise ArgumentError(f"the window is {window}, but must be an odd number from 3 to {side}")


class _Meter:
    """Mean SSIM of one pair after another, in memory that it keeps: fresh arrays cost more than the arithmetic on them.

    Of each picture, by window and channel, with N = window²: `sums`, float64 whole numbers; `squares`, float32,
    sums² + N² C1 / 2; `spread`, float32, N² times the variance without Bessel's correction, + N (N - 1) C2 / 2.
    """

    def __init__(self, first: np.ndarray, second: np.ndarray, window: int) -> None:
        shape, margin, count = first.shape[1:], window // 2, window**2
        self.pictures, self.window, self.count = (first, second), window, float(count)
        self.constants = np.float32(count**2 * C1 / 2), count * (count - 1) * C2 / 2
        # Of the windows that lie wholly in the picture.
        self.inner = tuple(slice(margin, side - margin) for side in shape[:2])
        self.sums, self.boxes = np.empty((KEPT, *shape)), np.empty(shape)
        self.products = np.empty(shape, np.uint16)
        self.square = np.empty_like(self.boxes[self.inner], order="C")
        self.squares, self.spread = np.empty((2, KEPT, *self.square.shape), np.float32)
        self.upper, self.common, self.lower, self.other = np.empty((4, *self.square.shape), np.float32)
        # (0 for `first` or 1 for `second`, row) to slot, the least recently used first.
        self.slots: dict[tuple[int, int], int] = {}

    def mean(self, a: int, b: int) -> float:
        """Mean SSIM; factors are multiplied by N² / 2 or N (N - 1) / 2, and equal pictures give exactly 1."""
        import cv2

        x, y = self._slot(0, a), self._slot(1, b)
        self._moments(self.sums[x], self.sums[y], self.pictures[0][a], self.pictures[1][b], self.upper, self.common)
        np.add(self.squares[x], self.squares[y], out=self.lower)
        np.add(self.spread[x], self.spread[y], out=self.other)
        self.upper *= self.common
        self.lower *= self.other
        self.upper /= self.lower
        return 4.0 * sum(cv2.sumElems(self.upper)) / self.upper.size

    def _moments(
        self,
        sums: np.ndarray,
        others: np.ndarray,
        x: np.ndarray,
        y: np.ndarray,
        product: np.ndarray,
        spread: np.ndarray,
    ) -> None:
        """Fill `product` with Sx Sy and `spread` with N Sxy - Sx Sy, exact until rounded, and their constants."""
        import cv2

        np.multiply(sums[self.inner], others[self.inner], out=self.square)
        np.multiply(x, y, out=self.products, dtype=np.uint16)
        box = self._box(self.products, self.boxes)[self.inner]
        cv2.addWeighted(box, self.count, self.square, -1.0, self.constants[1], dst=spread, dtype=cv2.CV_32F)
        product[...] = self.square
        product += self.constants[0]

    def _slot(self, side: int, row: int) -> int:
        """Where the sums of a picture are; made when they are not there."""
        key = (side, row)
        if key in self.slots:
            slot = self.slots.pop(key)
        else:
            slot = len(self.slots) if len(self.slots) < KEPT else self.slots.pop(next(iter(self.slots)))
            picture = self.pictures[side][row]
            sums = self._box(picture, self.sums[slot])
            self._moments(sums, sums, picture, picture, self.squares[slot], self.spread[slot])
        self.slots[key] = slot
        return slot

    def _box(self, values: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Sums over the window around every place, float64."""
        import cv2

        return cv2.boxFilter(values, cv2.CV_64F, (self.window, self.window), dst=out, normalize=False)
