"""The kind of recipe `mini-imagenet-lt`: a tenth of each class for val and test each, train sizes drawn alike.

kitsch231/mini-imagenet-LT_longtail-dataset (2023) took mini-ImageNet, 100 classes of 600 images: 60 for val, 60 for
test, and of the other 480 a random number between 10 and 480 for train. The sizes that came of it run from 12 to 479,
23,192 in all, and follow no order of the labels; 79 classes have more than 100 images, 4 fewer than 20. Which images
were drawn is told by its files alone, since the draw had no seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Self

import numpy as np

from curation.errors import ArgumentError
from curation.splits import class_draw
from curation.splits.apportion import apportion
from curation.splits.carving import Carving
from curation.splits.class_plan import ClassPlan, Counts, allot
from curation.splits.inputs import Inputs
from curation.splits.kind import Kind
from curation.splits.pool import gather
from curation.splits.random_keys import random_keys
from curation.splits.settings import MOST, option

# Label 0, 1, … of the published files: WNID of the image names, and training images (cls_label.json).
_WNIDS = """
n04522168 n04275548 n03272010 n03773504 n13054560 n03127925 n04258138 n03535780 n04251144 n03017168 n02687172 n02871525
n02981792 n02120079 n02950826 n04146614 n03980874 n03207743 n01855672 n02108915 n03527444 n02606052 n02114548 n02099601
n02101006 n02110063 n04149813 n07613480 n02795169 n01981276 n03770439 n04443257 n04596742 n02089867 n04296562 n02823428
n01558993 n03047690 n03146219 n02174001 n04418357 n03924679 n13133613 n04604644 n03676483 n09256479 n01843383 n07584110
n02966193 n03417042 n03854065 n04612504 n02111277 n02074367 n04389033 n02108089 n02110341 n03400231 n07697537 n04243546
n04509417 n03062245 n01770081 n07747607 n03775546 n02105505 n02091244 n04435653 n01910747 n02129165 n03220513 n02747177
n03476684 n03347037 n02113712 n09246464 n03075370 n06794110 n03337140 n02219486 n02108551 n02091831 n01930112 n03998194
n01532829 n02138441 n02165456 n03888605 n02116738 n02457408 n01749939 n03584254 n03908618 n04515003 n02971356 n01704323
n03838899 n02443484 n03544143 n04067472
"""
_COUNTS = """
147 106 82 82 228 231 22 409 176 146 373 351 407 330 346 231 211 41 184 297 404 321 325 236 319 149 361 36 230 65 252
277 62 427 316 111 446 329 479 275 258 321 343 166 302 367 364 103 49 13 288 15 473 69 132 12 399 260 375 218 252 161
142 38 317 311 453 12 284 167 38 188 313 354 75 359 42 349 178 195 451 22 171 60 264 424 334 313 98 280 207 119 128 75
418 151 279 243 419 161
"""

SIZES = {"uniform": "uniform at random", "published": "as published, by WNID"}


def published() -> dict[str, int]:
    """Training images of the 100 classes by WNID, in the order of labels."""
    return dict(zip(_WNIDS.split(), map(int, _COUNTS.split()), strict=True))


@dataclass(frozen=True, kw_only=True)
class MiniImageNetLT(Carving):
    """How a split of the manner of mini-ImageNet-LT is carved.

    Shares of val and test are exact by largest remainders, and leave at least one image a class. With the published
    sizes, the labels are those of the published files unless `classes` lists others.
    """

    KIND: ClassVar[str] = "mini-imagenet-lt"

    sizes: str = option("uniform", "Training images by class", choices=SIZES)
    low: int = option(10, "Smallest class", "Images", least=1, most=MOST, when={"sizes": ["uniform"]})
    high: int = option(480, "Largest class", "Images", least=1, most=MOST, when={"sizes": ["uniform"]})
    known: Mapping[str, int] = option({}, help="Published sizes by class name, of classes not called by their WNID")

    def check(self) -> None:
        super().check()
        if self.low > self.high:
            raise ArgumentError(f"low is {self.low:,} and high {self.high:,}: swap them")

    def named(self, resolve: Callable[[Sequence[str]], list[str]]) -> Self:
        found, known = super().named(resolve), published()
        called = dict(zip(resolve(list(known)), known.values(), strict=True)) if self.sizes == "published" else {}
        other = {name: size for name, size in called.items() if name not in known}
        if not other:
            return found
        listed = {} if self.classes else {"classes": list(called), "order": "given"}
        return found.replace(known={**self.known, **other}, **listed)

    def published(self) -> dict[str, int]:
        """Published training images by class name."""
        return {**published(), **self.known}


def plan(counts: Counts, p: MiniImageNetLT) -> ClassPlan:
    """Split sizes by class; see `class_plan.allot`.

    Raises:
        ArgumentError: published sizes are asked for, and classes have none, or have no images.
    """
    if p.sizes == "published":
        p = p if p.classes else p.replace(classes=list(published()), order="given")
        _check_published(counts, p)

    def sizes(has: np.ndarray, order: np.ndarray) -> np.ndarray:
        return np.stack([train_sizes([counts.names[row] for row in order], p), *_held_out(has, p)])

    return allot(counts, p, sizes=sizes)


def fitted(inputs: Inputs, p: MiniImageNetLT) -> MiniImageNetLT:
    """Train sizes up to what the smallest class has after val and test."""
    pool = gather(inputs)
    counts = Counts(pool.names, pool.sources, pool.by_source())
    room = int(allot(counts, p.replace(policy="shrink")).of("train").min())
    return p.replace(low=min(p.low, max(1, room)), high=max(1, min(p.high, room)))


def train_sizes(names: Sequence[str], p: MiniImageNetLT) -> np.ndarray:
    """Training images wanted of classes, int64 (L,); a draw depends on the seed and the class's name alone."""
    if p.sizes == "published":
        known = p.published()
        return np.array([known[name] for name in names], np.int64)
    keys = np.array([random_keys(1, p.seed, "size", name)[0] for name in names], np.uint64)
    return p.low + (keys % np.uint64(p.high - p.low + 1)).astype(np.int64)


KIND = Kind(
    name="mini-imagenet-lt",
    title="mini-ImageNet-LT",
    about="A tenth of each class for val and test each, and train sizes drawn between two numbers, or as published",
    settings=MiniImageNetLT,
    carve=partial(class_draw.carve, plan=plan),
    plan=plan,
    fitted=fitted,
)


# -- below: val and test -----------------------------------------------------------------------------------------------


def _held_out(has: np.ndarray, p: Carving) -> np.ndarray:
    """Images of val and test, int64 (2, L), of classes with `has` images; none of a split that is taken whole."""
    numbers = np.array([v if isinstance(v, float | int) else 0.0 for v in (p.val, p.test)])
    shares = np.where(numbers < 1, numbers, 0.0)
    parts = apportion(has, np.array([1 - shares.sum(), *shares])).T[1:]
    parts = np.where(shares[:, None] > 0, np.maximum(1, parts), parts)
    return np.where(numbers[:, None] >= 1, numbers[:, None].astype(np.int64), parts)


def _check_published(counts: Counts, p: MiniImageNetLT) -> None:
    """Raises ArgumentError when a class listed has no published size, or has no images."""
    known, there = p.published(), set(counts.names)
    told = f"sizes is 'published', for {len(published())} classes by WNID, and"
    other = [name for name in p.classes if name not in known]
    if other:
        raise ArgumentError(
            f"{told} {len(other)} of the classes listed are not among them, such as {other[0]!r}: take them off the "
            "list, or set sizes=uniform"
        )
    missing = [name for name in p.classes if name not in there]
    if missing:
        raise ArgumentError(
            f"{told} {len(missing)} of {len(p.classes)} have no images that may be used, such as {missing[0]!r}: set "
            "sizes=uniform, or list those that there are as classes"
        )
