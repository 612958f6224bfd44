"""Files of weights: where they lie, how they are fetched, and how they are read without running what is in them."""

from __future__ import annotations

import importlib.util
import os
import pickle
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation import files
from curation.errors import CurationError

if TYPE_CHECKING:
    import torch

    State = Mapping[str, torch.Tensor]

TIMEOUT = 20.0  # seconds without an answer
CONTAINERS = ("state_dict", "model_state_dict", "model_state", "model", "module", "teacher")
MOCO_PREFIX = "module.encoder_q."


def read(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a weights file by name: safetensors, or a PyTorch file read with `weights_only=True`.

    Raises:
        CurationError: the file is missing, damaged, holds code instead of tensors, or holds no tensors.
    """
    import torch

    if not Path(path).is_file():
        raise CurationError(f"there is no weights file {path}: give the path of a .pth, .pt, .tar or .safetensors file")
    try:
        if Path(path).suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        first = str(error).split("\n")[0][:300]
        raise CurationError(
            f"{path} was not loaded: it is damaged, or would run code when read in full ({first}); "
            "ask its maker for a file of tensors only (a state_dict, or safetensors)"
        ) from None
    # Damaged files make the readers raise nearly anything.
    except Exception as error:
        raise CurationError(f"{path} cannot be read as weights: {error}") from None
    for key in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    tensors = {k: v for k, v in content.items() if torch.is_tensor(v)} if isinstance(content, dict) else {}
    if not tensors:
        raise CurationError(f"{path} holds no named tensors: give a file with a model's state_dict")
    return tensors


def packaged(module: str) -> Path | None:
    """The weights file inside an installed Python package that carries one; the package's code is not run."""
    spec = importlib.util.find_spec(module)
    places = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    return next((path for place in places for path in sorted(Path(place).glob("models/*.pth"))), None)


def fetched(url: str, name: str | None = None) -> Path:
    """The file at `url`, from PyTorch's own cache or, the first time, from the network.

    Raises:
        CurationError: it is not in the cache and cannot be fetched.
    """
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / (name or url.rsplit("/", 1)[-1])
    if path.is_file():
        return path
    try:
        with (
            urllib.request.urlopen(url, timeout=TIMEOUT) as answer,
            files.replacing(path) as part,
            open(part, "wb") as file,
        ):
            shutil.copyfileobj(answer, file, 1 << 20)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise CurationError(
            f"the weights are not on this machine and could not be fetched ({reason}): fetch {url} elsewhere and "
            f"pass it with --weights FILE, or put it at {path}"
        ) from None
    return path


def from_hub(repository: str, filename: str = "model.safetensors") -> Path:
    """A file of a Hugging Face repository, from either cache or from the network.

    Raises:
        CurationError: it is in no cache and cannot be fetched.
    """
    try:
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(repository, filename)
        if isinstance(cached, str):
            return Path(cached)
    except ImportError:
        pass
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    return fetched(f"{endpoint}/{repository}/resolve/main/{filename}", f"{repository.replace('/', '--')}--{filename}")


def moco(state: State) -> dict[str, torch.Tensor]:
    """A MoCo v2 checkpoint's query encoder, named as torchvision's ResNet-50 with a 2048-way `fc`.

    `fc` becomes the first linear layer of the projection head, as the features of ImageNet-GLT were made
    (github.com/KaihuaTang/Generalized-Long-Tailed-Benchmarks.pytorch); the head's second layer, the key encoder
    and the queue of a training checkpoint (github.com/facebookresearch/moco) are left out.

    Raises:
        CurationError: there is no query encoder in it.
    """
    plain = {key.removeprefix(MOCO_PREFIX): value for key, value in state.items() if key.startswith(MOCO_PREFIX)}
    if "fc.0.weight" not in plain:
        raise CurationError(
            f"not a MoCo v2 checkpoint: of its {len(state)} tensors, {len(plain)} are named {MOCO_PREFIX}… and none "
            f"of them {MOCO_PREFIX}fc.0.weight"
        )
    kept = {key: value for key, value in plain.items() if not key.startswith("fc.2.")}
    return {key.replace("fc.0.", "fc."): value for key, value in kept.items()}


def fit(
    net: torch.nn.Module, state: State, *, path: Path, optional: tuple[str, ...] = (), by_order: bool = False
) -> None:
    """Load `state` into `net`, every tensor in its place.

    Args:
        optional: beginnings of the names that may be missing or have another shape (a classifier that is dropped).
        by_order: when no name is shared, take the tensors in the order they come, if every shape agrees.

    Raises:
        CurationError: names or shapes do not agree; says how many and shows the first.
    """
    wanted = net.state_dict()
    state = {key.removeprefix("module."): value for key, value in state.items()}
    if by_order and not wanted.keys() & state.keys():
        shapes = [tuple(value.shape) for value in state.values()]
        if shapes == [tuple(value.shape) for value in wanted.values()]:
            state = dict(zip(wanted, state.values(), strict=True))
    dropped = tuple(optional) or ("\0",)
    missing = [k for k in wanted if k not in state and not k.startswith(dropped)]
    unknown = [k for k in state if k not in wanted and not k.startswith(dropped)]
    other = [k for k in wanted.keys() & state.keys() if wanted[k].shape != state[k].shape and not k.startswith(dropped)]
    # Counters of training steps are of no use here, and old files lack them.
    missing = [k for k in missing if not k.endswith("num_batches_tracked")]
    if missing or unknown or other:
        first = sorted(missing + unknown + other)[0]
        raise CurationError(
            f"{path} does not fit the backbone: of its {len(wanted)} tensors {len(missing)} are missing and "
            f"{len(other)} have another shape, and {len(unknown)} are unknown, {first!r} first: choose the backbone "
            "that these weights were made for"
        )
    fits = {k: v for k, v in state.items() if k in wanted and v.shape == wanted[k].shape}
    net.load_state_dict(fits, strict=False)
