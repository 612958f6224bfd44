"""Exact products of small integers, on whatever the machine is fastest with; imported only where torch may be."""

from __future__ import annotations

from functools import lru_cache

import torch

_EXACT = 1024  # products of two int8, 2**14 each, that float32 adds up to 2**24 without rounding
_MULTIPLE = 32  # rows and columns that CUDA's int8 products want


def products(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a @ b.T as int32, exact, for int8 (M, D) and (N, D) on one device; D is at most 65,536."""
    if not _int8_is_exact(str(a.device)):
        return _by_float(a, b)
    if a.device.type == "cpu":
        return torch._int_mm(a, b.T)
    return torch._int_mm(_padded(a), _padded(b).T)[: len(a), : len(b)]


def best_device() -> str:
    """The GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _padded(x: torch.Tensor) -> torch.Tensor:
    missing = -len(x) % _MULTIPLE
    return torch.nn.functional.pad(x, (0, 0, 0, missing)) if missing else x


def _by_float(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    result = torch.zeros(len(a), len(b), dtype=torch.int32, device=a.device)
    for start in range(0, a.shape[1], _EXACT):
        part = slice(start, start + _EXACT)
        result += (a[:, part].float() @ b[:, part].float().T).to(torch.int32)
    return result


@lru_cache(maxsize=8)
def _int8_is_exact(device: str) -> bool:
    """Whether int8 products are there and are exact: processors without VNNI add pairs of them up in 16 bits."""
    x = torch.tensor([-128, 127, -128, -1], dtype=torch.int8, device=device).repeat(64, 64)
    x[1::2] = -128
    try:
        return torch.equal(torch._int_mm(x, x.T), _by_float(x, x))
    except (RuntimeError, AttributeError):
        return False
