"""SSIM of two pictures in one pass, compiled: sums over windows slide, and are whole numbers, so nothing is lost."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, error_model="numpy")
def mean_ssim(x: np.ndarray, y: np.ndarray, channels: int, window: int, c1: float, c2: float) -> float:
    """Mean SSIM over the windows that lie wholly in the pictures; equal pictures give exactly 1.

    Args:
        x, y: uint8 (H, W * channels).
    """
    height, width = x.shape
    inner = width - (window - 1) * channels
    # Of x, y, x², y² and xy: sums over the last `window` rows, then over windows.
    columns, sums = np.zeros((5, width), np.int32), np.empty((5, inner), np.int32)
    total = np.zeros(inner)
    for row in range(height):
        _add(columns, x[row], y[row], 1)
        if row >= window:
            _add(columns, x[row - window], y[row - window], -1)
        if row >= window - 1:
            _slide(columns, sums, channels, window)
            _compare(sums, total, window * window, c1, c2)
    return total.sum() / (inner * (height - window + 1))


@njit(nogil=True, error_model="numpy")
def _add(columns: np.ndarray, x: np.ndarray, y: np.ndarray, sign: int) -> None:
    """Add a row of pictures to the sums of columns, or take it away."""
    for j in range(len(x)):
        a, b = np.int32(x[j]), np.int32(y[j])
        columns[0, j] += sign * a
        columns[1, j] += sign * b
        columns[2, j] += sign * (a * a)
        columns[3, j] += sign * (b * b)
        columns[4, j] += sign * (a * b)


@njit(nogil=True, error_model="numpy")
def _slide(columns: np.ndarray, sums: np.ndarray, channels: int, window: int) -> None:
    """Sums of columns over every window."""
    reach = (window - 1) * channels
    for channel in range(channels):
        # Five at once: each is a chain of additions, and together they need not wait for one another.
        s0 = s1 = s2 = s3 = s4 = np.int32(0)
        for j in range(channel, reach, channels):
            s0 += columns[0, j]
            s1 += columns[1, j]
            s2 += columns[2, j]
            s3 += columns[3, j]
            s4 += columns[4, j]
        for j in range(channel, sums.shape[1], channels):
            s0 += columns[0, j + reach]
            s1 += columns[1, j + reach]
            s2 += columns[2, j + reach]
            s3 += columns[3, j + reach]
            s4 += columns[4, j + reach]
            sums[0, j], sums[1, j], sums[2, j], sums[3, j], sums[4, j] = s0, s1, s2, s3, s4
            s0 -= columns[0, j]
            s1 -= columns[1, j]
            s2 -= columns[2, j]
            s3 -= columns[3, j]
            s4 -= columns[4, j]


@njit(nogil=True, error_model="numpy")
def _compare(sums: np.ndarray, total: np.ndarray, count: int, c1: float, c2: float) -> None:
    """Add the SSIM of a row of windows to `total`; every factor is multiplied by N² or N (N - 1)."""
    k1, k2 = c1 * count * count, c2 * count * (count - 1)
    for j in range(len(total)):
        x, y = np.float64(sums[0, j]), np.float64(sums[1, j])
        xx, yy, xy = x * x, y * y, x * y
        spread = (count * np.float64(sums[2, j]) - xx) + (count * np.float64(sums[3, j]) - yy)
        common = count * np.float64(sums[4, j]) - xy
        total[j] += ((2 * xy + k1) * (2 * common + k2)) / ((xx + yy + k1) * (spread + k2))
