"""Candidates for nearest neighbours: all true neighbours and few others, from products in low precision.

Rows are rounded to bfloat16 where the machine multiplies it fast, so a score is off, but by no more than a slack that
follows from the norms of what rounding took away (Cauchy-Schwarz) and the number of additions (N. J. Higham, Accuracy
and Stability of Numerical Algorithms, 2nd edition, section 3.1). A target is dropped only if its score plus the slack
stays below k other scores less theirs. Only the largest of every `GROUP` scores is looked at first, as in TPU-KNN
(F. Chern et al., arXiv 2206.14286), but no neighbour is lost: a group whose largest may count is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

COLUMNS = 8192
GROUP = 16


class Rounded(NamedTuple):
    """Rows in low precision.

    Attributes:
        rows: (N, D), bfloat16 or float32.
        length: norms of the rows before rounding, float32 (N,).
        lost: norms of what rounding took away, float32 (N,).
    """

    rows: Tensor
    length: Tensor
    lost: Tensor


def precision(device: str) -> torch.dtype:
    """bfloat16 where the device has instructions for it, float32 elsewhere."""
    able = torch.cpu.get_capabilities()
    fast = device != "cpu" or able.get("avx512_bf16") or able.get("amx_bf16")
    return torch.bfloat16 if fast else torch.float32


def rounded(rows: np.ndarray, scale: np.ndarray, dtype: torch.dtype, device: str) -> Rounded:
    """`rows`, float32 (N, D), each times its float64 scale, in low precision on the device."""
    scaled = torch.from_numpy(np.array(rows)).to(device)
    scaled = scaled * torch.from_numpy(scale.astype(np.float32)).to(device)[:, None]
    low = scaled.to(dtype)
    length = torch.linalg.vector_norm(scaled, dim=1)
    lost = torch.linalg.vector_norm(scaled - low, dim=1)
    return Rounded(low, length, lost)


class Block(NamedTuple):
    """Every `blocks`-th target of a slab. Striding spreads targets that resemble each other over blocks and groups.

    Attributes:
        rows: low precision, (C, D), C a multiple of `GROUP`; rows from `count` on are zero.
        offset: added to the products, float32 (C,), or None.
        length, lost: the largest norm of a row and of what rounding took away.
    """

    rows: Tensor
    count: int
    offset: Tensor | None
    length: float
    lost: float


class Found(NamedTuple):
    """Candidates: row of the query block and place in the slab, int64 (P,); the most that the score can be, (P,)."""

    row: np.ndarray
    place: np.ndarray
    upper: np.ndarray


def block(rows: np.ndarray, scale: np.ndarray, norms: np.ndarray | None, dtype: torch.dtype, device: str) -> Block:
    """Targets ready to be multiplied: scores are q.t, or q.t - |t|²/2 where `norms`, float64 (C,), are given."""
    made = rounded(rows, scale, dtype, device)
    padded = torch.zeros((-(-len(rows) // GROUP) * GROUP, rows.shape[1]), dtype=dtype, device=device)
    padded[: len(rows)] = made.rows
    offset = None
    if norms is not None:
        offset = torch.zeros(len(padded), device=device)
        offset[: len(rows)] = torch.from_numpy(((norms * scale) ** 2 / -2).astype(np.float32)).to(device)
    return Block(padded, len(rows), offset, made.length.max().item(), made.lost.max().item())


class Cutoff:
    """What a score must reach for each row of a query block: the k-th largest lower bound so far, or `floor`.

    Attributes:
        least: that score, float32 (B,).
    """

    def __init__(self, query: Rounded, k: int, floor: np.ndarray, margin: float) -> None:
        """`floor` is float32 (B,); a score that misses the rest by less than `margin` is kept too."""
        self.query, self.margin = query, margin
        self.floor = torch.from_numpy(floor).to(query.rows.device)
        self.best = torch.full((len(floor), k), -torch.inf, device=query.rows.device)
        self.least = self.floor if not k else torch.full_like(self.floor, -torch.inf)
        # Half a unit in the last place, of bfloat16 (8 bits) or float32 (24 bits).
        self.half = torch.finfo(query.rows.dtype).eps / 2

    def slack(self, block: Block) -> tuple[Tensor, float]:
        """How far a score of this block may be off: float32 (B, 1), and a share of the score itself."""
        q, depth = self.query, self.query.rows.shape[1] + 8
        size = q.length * block.length
        # Each addition is rounded by at most 2**-24 of the sum; tensor cores may truncate, so four times that.
        slack = q.lost * (block.length + block.lost) + q.length * block.lost + size * (depth * 2.0**-22)
        if block.offset is not None:
            slack = slack + size * self.half + (size + block.length**2) * 2.0**-22
        # 1e-30 stands for what is too small for float32.
        return (slack + self.margin + 1e-30)[:, None], 0.0 if block.offset is not None else self.half

    def rise(self, tops: Tensor, slack: Tensor, share: float) -> None:
        """Take in the largest scores of disjoint groups, (B, G)."""
        if not self.best.shape[1]:
            return
        lower = torch.where(tops > -torch.inf, tops - tops.abs() * share - slack, -torch.inf)
        self.best = torch.cat([self.best, lower], 1).topk(self.best.shape[1], dim=1).values
        self.least = torch.minimum(self.best[:, -1], self.floor)


def search(blocks: list[Block], own: np.ndarray, cutoff: Cutoff) -> Iterator[Found]:
    """Candidates of one query block among the targets of a slab, block by block; raises `cutoff` as it goes.

    Args:
        own: int64 (B,), place in the slab of the query itself, -1 where it is not among the targets.
    """
    for number, each in enumerate(blocks):
        scores = cutoff.query.rows @ each.rows.T
        if each.offset is not None:
            scores = scores.float().add_(each.offset)
        scores[:, each.count :] = -torch.inf
        mine = np.flatnonzero((own >= 0) & (own % len(blocks) == number))
        scores[torch.from_numpy(mine), torch.from_numpy(own[mine] // len(blocks))] = -torch.inf
        yield _above(scores.view(len(scores), GROUP, -1), each, cutoff, number, len(blocks))


def _above(groups: Tensor, block: Block, cutoff: Cutoff, number: int, stride: int) -> Found:
    """What may count among scores (B, GROUP, G): the groups whose largest may count, then their elements."""
    slack, share = cutoff.slack(block)
    tops = groups.amax(1).float()
    cutoff.rise(tops, slack, share)
    least = cutoff.least[:, None]
    row, group = ((tops + tops.abs() * share + slack >= least) & (tops > -torch.inf)).nonzero(as_tuple=True)
    inside = groups[row, :, group].float()
    upper = inside + inside.abs() * share + slack[row]
    hit, element = ((upper >= least[row]) & (inside > -torch.inf)).nonzero(as_tuple=True)
    place = (element * groups.shape[2] + group[hit]) * stride + number
    return Found(*(x.cpu().numpy() for x in (row[hit], place, upper[hit, element])))
