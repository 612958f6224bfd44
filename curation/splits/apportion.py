"""Whole numbers in given proportions: largest remainders, row by row, with an upper bound for every cell."""

from __future__ import annotations

import numpy as np


def apportion(totals: np.ndarray, weights: np.ndarray, room: np.ndarray | None = None) -> np.ndarray:
    """Share each row's total out over its columns in proportion to the weights, by largest remainders.

    What a full column cannot take goes to the others in proportion; equal remainders go to the lower column. A row
    whose columns have less room than its total is filled up.

    Args:
        totals: non-negative integers (R,).
        weights: non-negative numbers, (R, K) or (K,) for all rows alike.
        room: the most a cell may hold, integers (R, K); no bound when None.

    Returns:
        int64 (R, K); rows sum to `totals`, or to their room where that is less.
    """
    totals = np.atleast_1d(np.asarray(totals, np.int64))
    weights = np.broadcast_to(np.asarray(weights, np.float64), (len(totals), np.shape(weights)[-1]))
    if room is None:
        return _largest_remainders(totals, weights)
    room = np.asarray(room, np.int64)
    given = np.zeros(weights.shape, np.int64)
    open_ = (room > 0) & (weights > 0)
    while True:
        left = totals - given.sum(1)
        quota = _quota(left, np.where(open_, weights, 0.0))
        full = open_ & (quota > room)
        if not full.any():
            return given + _largest_remainders(left, np.where(open_, weights, 0.0))
        given[full] = room[full]
        open_ &= ~full


def spread(totals: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Like `apportion` in proportion to the room itself, but no column is left out when the total reaches all.

    Args:
        totals: non-negative integers (R,).
        room: what each cell holds, integers (R, K).

    Returns:
        int64 (R, K), at most `room`. In a row whose total is at least its number of non-empty cells, each gets one.
    """
    totals, room = np.minimum(np.asarray(totals, np.int64), room.sum(1)), np.asarray(room, np.int64)
    enough = totals >= (room > 0).sum(1)
    one = np.zeros(room.shape, bool)
    while True:
        rest = np.where(one, 0, room)
        given = np.where(one, 1, apportion(totals - one.sum(1), rest, rest))
        missed = enough[:, None] & (room > 0) & (given == 0)
        if not missed.any():
            return given
        one |= missed


def _quota(totals: np.ndarray, weights: np.ndarray) -> np.ndarray:
    sums = weights.sum(1)
    return totals[:, None] * weights / np.where(sums > 0, sums, 1.0)[:, None]


def _largest_remainders(totals: np.ndarray, weights: np.ndarray) -> np.ndarray:
    quota = _quota(totals, weights)
    whole = np.floor(quota).astype(np.int64)
    missing = np.where(weights.sum(1) > 0, totals - whole.sum(1), 0)
    # Rounded, so that remainders equal but for the last bits of a float are a tie, and the lower column gets it.
    order = np.argsort(-np.round(quota - whole, 9), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(order.shape[1]), order.shape), axis=1)
    return whole + (rank < missing[:, None])
