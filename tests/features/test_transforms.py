"""Published transforms, against torchvision's and timm's own."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from curation.features import backbones
from curation.features.transforms import Transform
from curation.images import decode

SIZES = [(48, 40), (256, 341), (500, 375), (301, 299), (227, 900), (224, 224), (1000, 260), (7, 5)]


def picture(size: tuple[int, int]) -> Image.Image:
    rng = np.random.default_rng(size[0])
    return Image.fromarray(rng.integers(0, 256, (size[1] // 3 + 1, size[0] // 3 + 1, 3), np.uint8)).resize(size)


def normalised(transform: Transform, image: Image.Image) -> np.ndarray:
    values = transform.pixels(image) * np.float32(transform.largest / 255)
    return ((values - transform.mean) / transform.std).transpose(2, 0, 1)


@pytest.mark.parametrize("size", SIZES)
def test_standard_is_torchvisions_imagenet_transform(size):
    from torchvision.transforms._presets import ImageClassification

    expected = ImageClassification(crop_size=224, resize_size=256)(picture(size)).numpy()
    assert np.abs(normalised(backbones.STANDARD, picture(size)) - expected).max() < 1e-5


@pytest.mark.parametrize("size", SIZES)
def test_glt_resizes_to_260_and_crops_256_without_normalisation(size):
    from torchvision import transforms

    published = transforms.Compose([transforms.Resize(260), transforms.CenterCrop(256), transforms.ToTensor()])
    expected = published(picture(size)).numpy()
    assert expected.shape == (3, 256, 256)
    assert np.abs(normalised(backbones.GLT, picture(size)) - expected).max() < 1e-6


@pytest.mark.parametrize("size", SIZES)
def test_imagenetv2_sees_the_whole_picture_from_0_to_255(size):
    made = normalised(backbones.IMAGENETV2, picture(size))
    expected = np.asarray(picture(size).resize((224, 224), Image.Resampling.BILINEAR), np.float32)
    assert np.array_equal(made, expected.transpose(2, 0, 1))
    assert made.max() > 200


@pytest.mark.parametrize("model", ["tf_efficientnet_lite0", "vit_base_patch16_clip_224", "tf_efficientnet_lite4"])
@pytest.mark.parametrize("size", [(500, 375), (48, 40)])
def test_timms_models_get_timms_transform(model, size):
    import timm
    from timm.data import create_transform, resolve_data_config

    config = resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(model).to_dict())
    transform = backbones._timm_transform(model, config)
    expected = create_transform(**config)(picture(size)).numpy()
    assert np.abs(normalised(transform, picture(size)) - expected).max() < 1e-5


def test_default_backbone_sees_224_of_256_scaled_to_one():
    from timm.data import resolve_data_config
    from timm.models import get_pretrained_cfg

    config = resolve_data_config(pretrained_cfg=get_pretrained_cfg(backbones.DEFAULT).to_dict())
    half = (0.5, 0.5, 0.5)
    assert backbones._timm_transform("x", config) == Transform(256, 224, "bicubic", mean=half, std=half)


def test_a_very_long_picture_keeps_its_centre():
    long = Image.new("RGB", (20_000, 8), "red")
    long.paste("blue", (9_996, 0, 10_004, 8))
    made = backbones.STANDARD.pixels(long)
    assert made.shape == (224, 224, 3)
    assert (made[:, 60:160] == (0, 0, 255)).all()


def test_a_large_jpeg_may_be_decoded_smaller_and_looks_the_same(tmp_path):
    coarse = Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8))
    coarse.resize((3000, 2000), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg", quality=90)
    path = str(tmp_path / "large.jpg")
    whole = backbones.STANDARD.read(path).astype(int)
    fast = backbones.STANDARD.read(path, 3000, 2000).astype(int)
    assert decode.rgb(path, fit=768).size == (1500, 1000) or decode.rgb(path, fit=768).size == (750, 500)
    assert np.abs(whole - fast).mean() < 1.5


def test_the_shorter_side_keeps_twice_the_size_needed(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(decode, "rgb", lambda path, fit: asked.append(fit) or Image.new("RGB", (64, 64)))
    backbones.STANDARD.read("a.jpg", 4000, 1000)
    backbones.STANDARD.read("a.jpg", 1000, 1000)
    backbones.STANDARD.read("a.jpg")
    assert asked == [2048, 512, None]
