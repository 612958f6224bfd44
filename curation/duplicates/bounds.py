"""Blocks of sketches against each other: which pairs are probably close, and which may be within a limit.

All sums are of whole numbers and exact, so that every device and any number of threads give the same.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from curation.duplicates.renditions import Renditions
from curation.duplicates.sketch import MEANS, SCALE

if TYPE_CHECKING:
    import torch

BLOCK = 1024
FAR = 2**31 - 1
_KEPT = 18  # blocks of one side in memory: those of 16,384 queries against any number of targets
_PART = 256  # squares of bytes that float32 adds up without rounding: 256 * 255**2 < 2**24
_SLACK = 1 + 1e-9  # float64 rounds to 2**-53


class Points(NamedTuple):
    """Sketches of n images: their bytes - 128 as int8 (n, 4096), and int32 (n,) squared lengths."""

    signed: torch.Tensor
    length: torch.Tensor
    means: torch.Tensor  # of the means alone
    left: torch.Tensor  # of what means leave out, before 128 was taken off
    error: np.ndarray  # float64 (n,), how far rounding moved each


class Side:
    """One side of a search: images with a rendition in ascending order, cut into blocks of `BLOCK`."""

    def __init__(self, renditions: Renditions, ids: np.ndarray, device: str) -> None:
        self.renditions, self.device = renditions, device
        self.ids = np.unique(renditions.check(ids))
        self.starts = range(0, len(self.ids), BLOCK)
        self.points = lru_cache(maxsize=_KEPT)(self._points)

    def block(self, start: int) -> np.ndarray:
        """Ids of the block that starts at a position."""
        return self.ids[start : start + BLOCK]

    def _points(self, start: int) -> Points:
        import torch

        rows = self.renditions.sketches(self.block(start))
        point = torch.from_numpy(np.ascontiguousarray(rows["point"])).to(self.device)
        signed = (point ^ 128).view(torch.int8)
        means, left = _squares(signed[:, :MEANS]), _squares(point[:, MEANS:])
        return Points(signed, means + _squares(signed[:, MEANS:]), means, left, rows["error"].astype(np.float64))


def probable(queries: Points, targets: Points) -> torch.Tensor:
    """Probable distances but for a term that is the same for all targets of a query, int32 (queries, targets).

    What means leave out of two pictures is taken to be orthogonal. In units of 64, as sketches are.
    """
    from curation.duplicates.integers import products

    products_of_means = products(queries.signed[:, :MEANS], targets.signed[:, :MEANS])
    return (targets.means + targets.left)[None].sub(products_of_means, alpha=2)


def within(
    queries: Points, targets: Points, limit: np.ndarray, target_limit: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that may be as close as the limit of their query, or of their target.

    Args:
        limit: squared distances of pictures, float64, one a query.
        target_limit: the same, one a target; None to go by the queries' alone.

    Returns:
        (query, target), int64 places in the blocks; no pair within a limit is missing.
    """
    import torch

    from curation.duplicates.integers import products

    apart = targets.length[None].sub(products(queries.signed, targets.signed), alpha=2).add_(queries.length[:, None])
    device = apart.device
    kept = apart <= torch.from_numpy(_reach(limit, queries, targets)).to(device)[:, None]
    if target_limit is not None:
        kept |= apart <= torch.from_numpy(_reach(target_limit, targets, queries)).to(device)[None]
    query, target = kept.nonzero().cpu().numpy().T
    return query, target


def _reach(limit: np.ndarray, points: Points, others: Points) -> np.ndarray:
    """Squared distance, int32, of the sketches of pictures within `limit` of each other, at most."""
    reach = np.sqrt(limit) / SCALE + points.error + others.error.max(initial=0)
    return np.minimum(np.ceil(reach * reach * _SLACK), FAR).astype(np.int32)


def _squares(values: torch.Tensor) -> torch.Tensor:
    """Sums of each row's squares, int32."""
    import torch

    parts = values.float().reshape(len(values), -1, _PART).square_().sum(2)
    return parts.to(torch.int32).sum(1, dtype=torch.int32)
