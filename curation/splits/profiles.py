"""Class size profiles: how many images the first, second, … last class of a long tail has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from curation.errors import ArgumentError
from curation.splits.random_keys import random_keys
from curation.splits.settings import MOST

# Training images a class in ImageNet-LT (Liu et al., CVPR 2019, arXiv 1904.05160), descending, as VALUE or
# VALUExTIMES: 1000 classes, 115,846 images.
_IMAGENET_LT = """
1280 1246 1173 1121 1053 819 787 775 714 683 679 652 642 625 619 611 604 566 534 516 511 507 502 496 481 480 472x2 469
459 456 454 446 428 422 418 413 411 398 393 392x2 391 382 381 376x2 372 370 367 354 352 349x2 346x2 343 340 333 332
330x2 328 323 317 315 310x3 306 305x2 303 302 299 298 297x2 296 292 290x2 288 287 285x2 284x2 283x2 282 281x2 279 278
275 274 272x2 271 268 264 263 258 257 253x2 252x2 250 248 247 246 245 244 242 241 240 239 238 236x3 233 232x3 231x2
229x2 226 224 222 221 220x2 218 217 216 215 214 211 209x2 208 205 204 203 202 201 199 198 197x2 194x3 192 191 189x3
188x2 187 186x4 184 183 182x2 181x2 180 179x2 178x2 177 175x3 174x3 173x2 172x3 171x3 170x3 169x2 168 167x5 166 165x4
164x2 163 162 161x2 159 158 157x4 156 155x3 154 153 152x2 151 150x6 149x2 148x2 147 146 145 143x6 142 141x4 140x3
138x3 137x9 135 134x7 133x5 132x2 131 130x3 129 128x5 127x3 126x4 125x4 124x3 123x3 122x4 121x2 120 119x6 118x2 117
116x4 115 114x5 113x3 112x4 111x3 110x5 109x2 108x4 107x2 106x2 105x3 104x3 103x4 102x6 101x4 100x6 99x2 98x2 97 96x6
95x2 94x2 93x5 92x3 91x2 90x4 89 88 87x8 86x8 85x7 84x2 83x6 82x8 81x7 80x7 79x3 78x3 77x4 76x3 75x7 74x2 73x5 72x8
71x6 70x2 69x6 68x2 67x4 66x7 65x5 64x6 63x8 62x4 61x3 60x4 59x6 58x4 57x4 56x8 55x7 54x7 53x7 52x3 51x4 50x9 49x4
48x7 47x6 46x5 45x8 44x7 43x13 42x7 41x8 40x2 39x9 38x7 37x5 36x9 35x11 34x10 33x6 32x13 31x12 30x8 29x5 28x9 27x7
26x9 25x12 24x5 23x8 22x10 21x6 20x10 19x13 18x5 17x8 16x9 15x12 14x11 13x5 12x5 11x11 10x16 9x5 8x11 7x8 6x12 5x5
"""

# Images of the largest class of ILSVRC 2012, to which the sizes of ImageNet-GLT belong.
_ILSVRC_CLASS = 1300

PROFILES = ("imagenet-glt", "pareto", "exp", "step", "balanced", "natural", "list")
"""Those that the recipe `glt` offers."""


def imagenet_lt() -> np.ndarray:
    """Training images a class in ImageNet-LT, int64 (1000,), descending."""
    runs = (entry.partition("x") for entry in _IMAGENET_LT.split())
    values, times = zip(*((int(value), int(count or 1)) for value, _, count in runs), strict=True)
    return np.repeat(np.array(values, np.int64), times)


def imagenet_glt() -> np.ndarray:
    """Class sizes of ImageNet-GLT (Tang et al., ECCV 2022, arXiv 2207.09504), int64 (1000,), non-increasing.

    They follow from those of ImageNet-LT: min(1500, floor(1.8 * (n + 5))).
    """
    return np.minimum(1500, 18 * (imagenet_lt() + 5) // 10)


def places_lt() -> np.ndarray:
    """Training images a class as in Places-LT (Liu et al., CVPR 2019, arXiv 1904.05160), int64 (365,), non-increasing.

    Not the published list, but a law fitted to what is published of it: a Zipf-Mandelbrot law (i + 1.1507) ** -0.694
    of rank i, stretched to run from 4,980 to 5. It has the published total of 62,500 images and the published groups:
    131 classes above 100 images, 163 from 100 to 20, 71 below 20.
    """
    law = (np.arange(365) + 1.1507) ** -0.694
    return np.floor(5 + 4975 * (law - law[-1]) / (law[0] - law[-1]) + 1e-6).astype(np.int64)


def sizes(
    profile: str,
    available: np.ndarray,
    *,
    imbalance: float = 100.0,
    power: float = 6.0,
    class_size: int | None = None,
    smallest: int | None = None,
    seed: int | None = None,
    given: Sequence[int] = (),
) -> np.ndarray:
    """Images wanted of every class by rank, the largest first (natural and list: in label order); some may have fewer.

    - `imagenet-glt`: the published list; for another number of classes C than 1000 entry floor(i * 1000 / C), scaled by
      the largest class to the 1,300 images of ILSVRC's.
    - `imagenet-lt`, `places-lt`: as for ImageNet-GLT, scaled so that the first is `class_size`; where that is None, the
      published number for 1000 (365) classes, and the largest class for others.
    - `pareto`: n_min + (n_max - n_min) * (x_i - x_last) / (x_0 - x_last), x the quantiles (i + 1/2) / C of a Lomax law
      of this power, or draws from it (ImageNet-LT was drawn with power 6).
    - `exp`: n_max * imbalance ** (-i / (C - 1)) (Cui et al., CVPR 2019).
    - `step`: n_max for the first half of the classes, n_min for the others (Cao et al., LDAM, 2019).
    - `uniform`: drawn from n_min, …, n_max, all alike.
    - `balanced`: the same for all, the smallest class unless `class_size` says how many.
    - `natural`: all that there are. `list`: those given.

    Args:
        available: images of every class in label order, int (C,).
        imbalance: largest to smallest class: n_min = n_max / imbalance.
        power: of the Lomax law (pareto).
        class_size: n_max, the size of balanced; the largest (smallest) class when None.
        smallest: n_min, instead of `imbalance`.
        seed: of draws; pareto takes the quantiles when None.
        given: sizes of the profile `list`.

    Returns:
        int64 (C,), at least 1.

    Raises:
        ArgumentError: unknown profile, or not as many sizes given as there are classes.
    """
    available = np.asarray(available, np.int64)
    count, largest = len(available), class_size or int(available.max(initial=1))
    least = largest / imbalance if smallest is None else min(smallest, largest)
    i = np.arange(count)
    if profile in ("imagenet-glt", "imagenet-lt", "places-lt"):
        wanted = _published(profile, available, class_size)
    elif profile == "pareto":
        x = _lomax(count, power, seed)
        wanted = least + (largest - least) * (x - x[-1:]) / (x[0] - x[-1] if count > 1 and x[0] > x[-1] else 1.0)
        wanted[:1] = largest
    elif profile == "exp":
        wanted = largest * (imbalance if smallest is None else largest / least) ** (-i / max(1, count - 1))
    elif profile == "step":
        wanted = np.where(i < max(1, count // 2), float(largest), least)
    elif profile == "uniform":
        low = max(1, int(least))
        wanted = -np.sort(-(random_keys(count, seed or 0, "uniform") % (largest - low + 1)).astype(np.int64)) + low
    elif profile == "balanced":
        wanted = np.full(count, class_size or int(available.min(initial=1 << 40)))
    elif profile == "natural":
        wanted = available
    elif profile == "list":
        wanted = _given(given, count)
    else:
        known = ", ".join((*PROFILES, "imagenet-lt", "places-lt", "uniform"))
        raise ArgumentError(f"unknown profile {profile!r}: choose one of {known}")
    # A hair above, since 5000 * 100 ** -0.5 may come out as 499.999….
    return np.maximum(1, np.floor(np.asarray(wanted, np.float64) + 1e-9)).astype(np.int64)


def check_listed(profile: str, given: Sequence[int]) -> None:
    """Raises ArgumentError when listed sizes cannot be, or the profile `list` has none."""
    if profile == "list" and not given:
        raise ArgumentError("profile is 'list' and sizes lists 0: give the training images of every class")
    bad = [n for n in given if not 1 <= n <= MOST]
    if bad:
        raise ArgumentError(f"sizes lists {bad[0]:,}, and each must be from 1 to {MOST:,}")


# -- below: parts of profiles ----------------------------------------------------------------------------------------


def _published(profile: str, available: np.ndarray, class_size: int | None) -> np.ndarray:
    """Entry floor(i * N / C) of a published list of N for each of C classes, scaled to their largest."""
    listed = {"imagenet-glt": imagenet_glt, "imagenet-lt": imagenet_lt, "places-lt": places_lt}[profile]()
    belongs = _ILSVRC_CLASS if profile == "imagenet-glt" else int(listed[0])
    largest = None if profile == "imagenet-glt" else class_size
    if largest is None:
        largest = belongs if len(available) == len(listed) else int(available.max(initial=1))
    return listed[np.arange(len(available)) * len(listed) // max(1, len(available))] * largest // belongs


def _lomax(count: int, power: float, seed: int | None) -> np.ndarray:
    """Quantiles (i + 1/2) / C of a Lomax law, or draws from it by falling size; float64 (C,)."""
    upper = (np.arange(count) + 0.5) / count
    if seed is not None:
        upper = np.sort((random_keys(count, seed, "pareto") >> np.uint64(11)) + 0.5) / 2.0**53
    return upper ** (-1.0 / power) - 1.0


def _given(given: Sequence[int], count: int) -> np.ndarray:
    if len(given) != count:
        raise ArgumentError(f"sizes lists {len(given):,} and there are {count:,} classes: give one size for each class")
    return np.array(given, np.int64)
