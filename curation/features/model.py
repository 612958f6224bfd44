"""A backbone on a device, in the precision that suits it: bytes of pictures in, features out."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curation.engine import default_workers
from curation.errors import ArgumentError, CurationError
from curation.features.backbones import Backbone

if TYPE_CHECKING:
    import torch

# Rounding in the first layers costs most of the accuracy and little of the time: with these in full precision the
# smallest cosine to features of full precision was .9988 instead of .9968 (tf_efficientnet_lite0, 640 photographs).
EXACT_LAYERS = 2
# Pictures a thread computes alone. Threads that share every layer wait for the slowest of them a hundred times a batch,
# which on a busy machine took twice the time; a fixed number, so that the bytes do not depend on the threads.
CHUNK = 16


@dataclass(frozen=True)
class Model:
    """Call it with uint8 (N, crop, crop, 3), RGB, to get float32 (N, D)."""

    network: torch.nn.Module
    scale: torch.Tensor
    shift: torch.Tensor
    device: torch.device
    precision: str
    dim: int
    threads: ThreadPoolExecutor | None

    @property
    def device_name(self) -> str:
        """The device as a person knows it."""
        import torch

        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Features float32 (N, D) of `pictures`, uint8 (N, crop, crop, 3).

        Raises:
            CurationError: the GPU's memory is too small for so many.
        """
        import torch

        try:
            if self.threads is None:
                return self._forward(pictures)
            chunks = [pictures[start : start + CHUNK] for start in range(0, len(pictures), CHUNK)]
            return np.concatenate(list(self.threads.map(self._forward, chunks)))
        except torch.OutOfMemoryError:
            raise CurationError(
                f"{self.device_name} has too little memory for {len(pictures)} pictures at once: lower --batch-size"
            ) from None

    def _forward(self, pictures: np.ndarray) -> np.ndarray:
        import torch

        batch = torch.from_numpy(pictures)
        if self.device.type == "cuda":
            batch = batch.pin_memory().to(self.device, non_blocking=True)
        with torch.inference_mode(), _autocast(self.device, self.precision):
            # Bytes lie as (N, H, W, C): seen as (N, C, H, W) they are in the channels_last layout already.
            values = batch.permute(0, 3, 1, 2).to(torch.float32).mul_(self.scale).add_(self.shift)
            return self.network(values).float().cpu().numpy()


def prepare(backbone: Backbone, *, device: str | None = None) -> Model:
    """Put a backbone on the best device there is and find out its features' length.

    Args:
        device: `cpu`, `cuda` or `cuda:N`; None takes the GPU when there is one.

    Raises:
        ArgumentError: there is no such device.
        CurationError: the backbone does not return one vector a picture.
    """
    import torch

    place = _device(device)
    precision = "bfloat16" if place.type == "cuda" or _bf16_processor() else "float32"
    _keep_memory()
    torch.backends.cudnn.benchmark = False  # else the kernels, and so the last bits, may differ from run to run
    torch.backends.cudnn.deterministic = True
    network = backbone.network.to(place, memory_format=torch.channels_last).eval()
    side = backbone.transform.crop
    with torch.inference_mode():
        if precision != "float32":
            _first_layers_exact(network, torch.zeros(1, 3, side, side, device=place))
        shape = tuple(network(torch.zeros(1, 3, side, side, device=place)).shape)
    if len(shape) != 2:
        raise CurationError(f"backbone {backbone.name!r} returns shape {shape} for one picture, not (1, D)")
    mean, std = (
        torch.tensor(v, device=place).view(1, 3, 1, 1) for v in (backbone.transform.mean, backbone.transform.std)
    )
    scale = backbone.transform.largest / 255.0 / std
    threads = _threads() if place.type == "cpu" else None
    return Model(network, scale, -mean / std, place, precision, shape[1], threads)


def _threads() -> ThreadPoolExecutor:
    """A thread for every processor, or for every chunk of a usual batch, with the processors shared out among them."""
    import torch

    processors = default_workers()
    count = min(processors, 4)
    return ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(max(1, processors // count),))


def _device(name: str | None) -> torch.device:
    import torch

    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError:
        raise ArgumentError(f"unknown device {name!r}: choose 'cpu', 'cuda' or 'cuda:N'") from None
    count = torch.cuda.device_count()
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and (device.index or 0) >= count):
        raise ArgumentError(f"device {name!r} is not here; PyTorch sees {count} CUDA devices: choose another, or 'cpu'")
    return device


def _bf16_processor() -> bool:
    """Whether this processor computes in bf16, rather than imitating it."""
    import torch

    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(check() for check in checks if check)


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    import torch

    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def _first_layers_exact(network: torch.nn.Module, example: torch.Tensor) -> None:
    """Keep the first `EXACT_LAYERS` convolutions, in the order in which they run, out of autocast."""
    import torch

    order: list[torch.nn.Module] = []
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    hooks = [layer.register_forward_pre_hook(lambda layer, _: order.append(layer)) for layer in layers]
    network(example)
    for hook in hooks:
        hook.remove()
    for layer in dict.fromkeys(order[:EXACT_LAYERS]):
        layer.forward = _exact(layer.forward, example.device.type)


def _exact(forward: Callable[[torch.Tensor], torch.Tensor], device_type: str) -> Callable[[torch.Tensor], torch.Tensor]:
    import torch

    def exact(values: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device_type, enabled=False):
            return forward(values.float())

    return exact


def _keep_memory() -> None:
    """Let the allocator of the C library keep what is freed.

    It hands large blocks back to the kernel at once and gets every page of them anew for the next layer; on virtual
    machines that took up to nine tenths of the time. See mallopt(3).
    """
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(-8, 1)  # M_ARENA_MAX: only the main arena can keep blocks as large as these
        for parameter in (-3, -1):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
            libc.mallopt(parameter, 1 << 30)
    except (OSError, AttributeError):  # another C library
        return
