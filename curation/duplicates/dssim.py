"""Structural dissimilarity of pictures, (1 - SSIM) / 2, with a uniform window (Z. Wang et al., IEEE TIP 13(4), 2004).

The same as scikit-image's `structural_similarity` with a window of 35, sample covariance, a data range of 255 and the
mean over channels and over windows that lie wholly in the picture, as ImageNetV2's review used it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from curation.engine import Progress, quiet
from curation.errors import ArgumentError

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
PAIRS = 64  # to a task
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
    """(1 - SSIM) / 2 of pairs of pictures, float64 (P,), from 0 (the same) to 1, in double precision.

    Args:
        first, second: uint8 (A, H, W, 3) and (B, H, W, 3); may be memory maps.
        pairs: integers (P,) and (P,), rows of `first` and of `second`; row by row when None.
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
    from curation.duplicates.ssim import mean_ssim

    result = np.empty(len(a))
    channels = first.shape[3]

    def some(start: int) -> None:
        for i in range(start, min(start + PAIRS, len(a))):
            x, y = (np.array(picture).reshape(len(picture), -1) for picture in (first[a[i]], second[b[i]]))
            # Rounding could leave a hair below 0 or above 1.
            result[i] = min(max((1.0 - mean_ssim(x, y, channels, window, C1, C2)) / 2.0, 0.0), 1.0)

    starts = range(0, len(a), PAIRS)
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
