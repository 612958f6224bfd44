"""Recipes in which features choose the images of one split: far from each other, typical of their class, or hard.

Only the split that chooses is biased. Where train chooses, val and test draw at random from all images first, and train
takes its images from the rest; where val or test chooses, it comes first, and the others draw from what it leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from curation.arrays import Features
from curation.errors import ArgumentError
from curation.splits import class_draw, scores
from curation.splits.carving import Carving
from curation.splits.class_plan import ClassPlan, Counts, allot
from curation.splits.even import check_train, shares
from curation.splits.inputs import SCORES, Inputs
from curation.splits.kind import Kind
from curation.splits.pool import Pool, gather, joined
from curation.splits.result import Result
from curation.splits.settings import Share, option
from curation.workspace import Workspace

CHOOSERS = {"train": "train, after val and test", "val": "val, before the others", "test": "test, before the others"}


@dataclass(frozen=True, kw_only=True)
class Chosen(Carving):
    """Parameters of recipes in which features choose."""

    features: str = option("", "Features", "May be left out where there is one set", reads=True)
    train: Share = option(0.5, "Train", "A share of each class, or images a class; all that is left when empty")
    choose_for: str = option("train", "Chosen for", "The other splits are random", choices=CHOOSERS)
    metric: str = option("cosine", "Distance", choices=scores.METRICS, rare=True, reads=True)

    def check(self) -> None:
        super().check()
        check_train(self.train, self.val, self.test)
        mine = getattr(self, self.choose_for)
        if self.choose_for != "train" and (not mine or isinstance(mine, str)):
            raise ArgumentError(
                f"choose_for is {self.choose_for!r}, and {self.choose_for} is {mine!r}: give it a share or a number"
            )


@dataclass(frozen=True, kw_only=True)
class Diverse(Chosen):
    """Parameters of `diverse`."""

    KIND: ClassVar[str] = "diverse"


@dataclass(frozen=True, kw_only=True)
class Hard(Chosen):
    """Parameters of `hard`."""

    KIND: ClassVar[str] = "hard"


@dataclass(frozen=True, kw_only=True)
class Typical(Chosen):
    """Parameters of `typical`."""

    KIND: ClassVar[str] = "typical"


def plan(counts: Counts, p: Chosen) -> ClassPlan:
    """Sizes as of a stratified split.

    Raises:
        ArgumentError, TooFew: as for `class_plan.allot`.
    """
    first = ("test", "val") if p.choose_for == "train" else (p.choose_for,)
    return allot(counts, p, sizes=lambda has, _: shares(p.train, p.val, p.test, has, p.least), first=first)


def tables(workspace: Workspace, p: Chosen, inputs: Inputs) -> Mapping[str, pa.Table]:
    """Scores of the images that the split which chooses may take: their rank in their class, from 0; see `scores`.

    They depend on all parameters, the seed too.

    Raises:
        ArgumentError: no features are named, and there is not one set.
        CurationError: features are missing, older than the images, or corrupted; or classes are too small.
    """
    features = Features(workspace, choose_features(workspace, p.features)).verify()
    pool = gather(inputs)
    planned = plan(Counts.of(pool, inputs), p)
    rows = np.flatnonzero(class_draw.undecided(pool, planned, class_draw.random_order(pool, p.seed), p.choose_for))
    needed = np.zeros(len(pool.names), np.int64)
    needed[planned.order] = planned.of(p.choose_for)
    ids = pool.image_id[rows]
    score = scores.ranks(features, ids, pool.cls[rows], method=p.KIND, metric=p.metric, needed=needed)
    order = np.argsort(ids, kind="stable")
    return {"scores": pa.table({"image_id": ids[order], "score": score[order]}).cast(SCORES)}


def carve(inputs: Inputs, p: Chosen) -> Result:
    """Carve a split in which the table `scores` chooses the images of one split, class by class.

    Raises:
        ArgumentError: there are no scores.
        CurationError: as for `class_draw.carve`; or the scores are of other images.
    """
    if inputs.scores is None:
        raise ArgumentError(f"recipe {p.KIND!r} has 0 scores: make features with `extract`, and name them by features=")

    def keys(pool: Pool, _: Chosen) -> np.ndarray:
        return joined(inputs.scores, "score", pool.image_id, missing=np.nan)

    return class_draw.carve(inputs, p, plan=plan, keys=keys, chooser=p.choose_for)


def choose_features(workspace: Workspace, name: str) -> str:
    """The features asked for, or the only set there is. Raises ArgumentError when that cannot be told."""
    there = workspace.feature_names()
    if name in there:
        return name
    if not name and len(there) == 1:
        return there[0]
    said = f"there are no features {name!r}" if name else "it must be said which features to use"
    raise ArgumentError(f"{said}: the workspace has {len(there)} ({', '.join(there) or 'run `extract` first'})")


_ABOUT = {
    Diverse: "Images of each class that lie far from each other: greedy k-centre on features",
    Hard: "Images of each class that are farthest from its centre",
    Typical: "Images of each class that are nearest to its centre",
}
DIVERSE, HARD, TYPICAL = (
    Kind(
        name=settings.KIND,
        title=settings.KIND.capitalize(),
        about=about,
        settings=settings,
        carve=carve,
        plan=plan,
        tables=tables,
    )
    for settings, about in _ABOUT.items()
)
