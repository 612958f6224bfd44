"""Published data sets as recipes, each with its reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """A published recipe: `recipe` is its kind; `reference` says where it was published."""

    name: str
    title: str
    recipe: str
    parameters: Mapping[str, Any]
    reference: str
    about: str


_TANG = (
    "Tang, Tao, Qi, Liu and Zhang: Invariant Feature Learning for Generalized Long-Tailed Classification. ECCV 2022, "
    "arXiv 2207.09504. github.com/KaihuaTang/Generalized-Long-Tailed-Benchmarks.pytorch"
)
_LIU = (
    "Liu, Miao, Zhan, Wang, Gong and Yu: Large-Scale Long-Tailed Recognition in an Open World. CVPR 2019, "
    "arXiv 1904.05160. github.com/zhmiao/OpenLongTailRecognition-OLTR"
)
_CUI = (
    "Cui, Jia, Lin, Song and Belongie: Class-Balanced Loss Based on Effective Number of Samples. CVPR 2019, "
    "arXiv 1901.05555; images as in github.com/kaidic/LDAM-DRW"
)
_CAO = (
    "Cao, Wei, Gaidon, Arechiga and Ma: Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss. "
    "NeurIPS 2019, arXiv 1906.07413. github.com/kaidic/LDAM-DRW"
)
_VAN_HORN = (
    "Van Horn, Mac Aodha, Song, Cui, Sun, Shepard, Adam, Perona and Belongie: The iNaturalist Species Classification "
    "and Detection Dataset. CVPR 2018, arXiv 1707.06642. github.com/visipedia/inat_comp"
)
_KITSCH = "kitsch231: mini-imagenet-LT. 2023. github.com/kitsch231/mini-imagenet-LT_longtail-dataset"
_HENDRYCKS = (
    "Hendrycks, Mazeika, Kadavath and Song: Using Self-Supervised Learning Can Improve Model Robustness and "
    "Uncertainty. NeurIPS 2019, arXiv 1906.12340; packed by github.com/baunilhamarga/imagenet-subset"
)
_TIAN = (
    "Tian, Krishnan and Isola: Contrastive Multiview Coding. ECCV 2020, arXiv 1906.05849. github.com/HobbitLong/CMC; "
    "also the imagenet100 of github.com/vturrisi/solo-learn"
)
_RAVI = (
    "Vinyals, Blundell, Lillicrap, Kavukcuoglu and Wierstra: Matching Networks for One Shot Learning. NeurIPS 2016, "
    "arXiv 1606.04080; query images as in Ravi and Larochelle: Optimization as a Model for Few-Shot Learning. ICLR 2017"
)

# In the order of labels.
_IMAGENET_30 = """
n12267677 n02690373 n02701002 n01698640 n02787622 n02793495 n02837789 n03196217 n02268443 n03255030 n03384352 n03443371
n03452741 n07697537 n03544143 n03717622 n03788195 n03804744 n03891332 n03938244 n04086273 n03187595 n04147183 n04252077
n04254680 n01498041 n07745940 n04389033 n04442312 n09472597
"""
_IMAGENET_100 = """
n02869837 n01749939 n02488291 n02107142 n13037406 n02091831 n04517823 n04589890 n03062245 n01773797 n01735189 n07831146
n07753275 n03085013 n04485082 n02105505 n01983481 n02788148 n03530642 n04435653 n02086910 n02859443 n13040303 n03594734
n02085620 n02099849 n01558993 n04493381 n02109047 n04111531 n02877765 n04429376 n02009229 n01978455 n02106550 n01820546
n01692333 n07714571 n02974003 n02114855 n03785016 n03764736 n03775546 n02087046 n07836838 n04099969 n04592741 n03891251
n02701002 n03379051 n02259212 n07715103 n03947888 n04026417 n02326432 n03637318 n01980166 n02113799 n02086240 n03903868
n02483362 n04127249 n02089973 n03017168 n02093428 n02804414 n02396427 n04418357 n02172182 n01729322 n02113978 n03787032
n02089867 n02119022 n03777754 n04238763 n02231487 n03032252 n02138441 n02104029 n03837869 n03494278 n04136333 n03794056
n03492542 n02018207 n04067472 n03930630 n03584829 n02123045 n04229816 n02100583 n03642806 n04336792 n03259280 n02116738
n02108089 n03424325 n01855672 n02090622
"""

# Val from the images that train leaves, the data set's own val as test.
_OLTR = {"val": 20, "test": "source:val"}
# Classes in the order of labels and images as LDAM-DRW shuffles them, the data set's own test.
_CIFAR = {"sizes_by": "label", "choose": "ldam", "seed": 0, "val": None, "test": "source:test", "imbalance": 100}

_ALL = (
    Preset(
        "imagenet-glt",
        "ImageNet-GLT, Train-GLT",
        "glt",
        {"inter": "lt"},
        _TANG,
        "Classes long-tailed, attributes within each 7:2:1; tests as train, with balanced classes, and all balanced",
    ),
    Preset(
        "imagenet-glt-balanced",
        "ImageNet-GLT, Train-CBL",
        "glt",
        {"inter": "bl"},
        _TANG,
        "Classes balanced, attributes within each 7:2:1; the same tests but the first",
    ),
    Preset(
        "mscoco-glt",
        "MSCOCO-GLT, Train-GLT",
        "glt-multi",
        {"inter": "lt"},
        _TANG,
        "29 classes of objects with up to 204 attributes each, long-tailed; takes a table of attributes",
    ),
    Preset(
        "mscoco-glt-balanced",
        "MSCOCO-GLT, Train-CBL",
        "glt-multi",
        {"inter": "bl"},
        _TANG,
        "The same with classes balanced; takes a table of attributes",
    ),
    Preset(
        "imagenet-lt",
        "ImageNet-LT",
        "long-tailed",
        {"profile": "imagenet-lt", **_OLTR},
        _LIU,
        "1,000 classes of 1,280 to 5 images, 115,846 in all: the published sizes, the largest class first",
    ),
    Preset(
        "places-lt",
        "Places-LT",
        "long-tailed",
        {"profile": "places-lt", **_OLTR},
        _LIU,
        "365 classes of 4,980 to 5 images, 62,500 in all: sizes by a law fitted to the published totals",
    ),
    Preset(
        "cifar-10-lt",
        "CIFAR-10-LT, imbalance factor 100",
        "long-tailed",
        {"profile": "exp", **_CIFAR},
        _CUI,
        "10 classes falling exponentially from 5,000 to 50 images, 12,406 in all",
    ),
    Preset(
        "cifar-100-lt",
        "CIFAR-100-LT, imbalance factor 100",
        "long-tailed",
        {"profile": "exp", **_CIFAR},
        _CUI,
        "100 classes falling exponentially from 500 to 5 images, 10,847 in all",
    ),
    Preset(
        "cifar-step",
        "CIFAR, step imbalance 100",
        "long-tailed",
        {"profile": "step", **_CIFAR},
        _CAO,
        "Half of the 10 or 100 classes whole, a hundredth of each other class; 25,250 in all",
    ),
    Preset(
        "inaturalist-2018",
        "iNaturalist 2018",
        "long-tailed",
        {"profile": "natural", "val": None, "test": "source:val"},
        _VAN_HORN,
        "8,142 species as they were photographed, 437,513 images; the 24,426 of val, three a species, as test",
    ),
    Preset(
        "mini-imagenet-lt-published",
        "mini-ImageNet-LT",
        "mini-imagenet-lt",
        {"sizes": "published"},
        _KITSCH,
        "100 classes of mini-ImageNet with 12 to 479 training images, 23,192 in all; 60 of each for val, 60 for test",
    ),
    Preset(
        "imagenet-30",
        "ImageNet-30",
        "subset",
        {"classes": _IMAGENET_30.split()},
        _HENDRYCKS,
        "30 classes of ImageNet, 39,000 training images and 1,500 of val, for tests of outlier detection",
    ),
    Preset(
        "imagenet-100",
        "ImageNet-100",
        "subset",
        {"classes": _IMAGENET_100.split()},
        _TIAN,
        "100 classes of ImageNet, 126,689 training images and 5,000 of val, for self-supervised learning",
    ),
    Preset(
        "one-shot",
        "One-shot, as miniImageNet",
        "k-shot",
        {"k": 1, "test": 15},
        _RAVI,
        "One support and 15 query images a class; list five classes for an episode",
    ),
    Preset(
        "five-shot",
        "Five-shot, as miniImageNet",
        "k-shot",
        {"k": 5, "test": 15},
        _RAVI,
        "Five support and 15 query images a class; list five classes for an episode",
    ),
)
PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}
