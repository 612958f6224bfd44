"""Recipe `match-histogram`: a train set whose class sizes match those of another split or of a frequency file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import ArgumentError, CurationError
from curation.splits import class_draw, histograms
from curation.splits.carving import POLICIES, Carving
from curation.splits.class_plan import ClassPlan, Counts, TooFew, allot
from curation.splits.inputs import Inputs
from curation.splits.kind import Kind
from curation.splits.result import Result
from curation.splits.settings import option
from curation.workspace import Workspace

SCALES = {
    "exact": "as told",
    "proportional": "largest multiple that fits",
    "fit": "as told, or less",
}


@dataclass(frozen=True, kw_only=True)
class MatchHistogram(Carving):
    """Parameters of `match-histogram`."""

    KIND: ClassVar[str] = "match-histogram"

    match: str = option("", "Split to match", "Name of a stored split, unless a file is given", reads=True)
    match_part: str = option("train", "Which of its splits", rare=True, reads=True)
    file: str = option("", "Or a file", "A frequency file: text, CSV or JSON", table="histogram")
    align: str = option("auto", "Classes are told", choices=histograms.ALIGN, rare=True, reads=True)
    scale: str = option("exact", "Sizes", choices=SCALES)
    policy: str = option("shrink", "A class too small", choices=POLICIES)

    def check(self) -> None:
        super().check()
        if self.match and self.file:
            raise ArgumentError(f"match is {self.match!r} and file is {self.file!r}: give one of the two")


def plan_match(counts: Counts, p: MatchHistogram) -> ClassPlan:
    """Sizes of a train set whose classes are as large as those in `counts.wanted`; val and test as for other recipes.

    Classes that the histogram does not name, or has no images of, are left out; the latter stay, without training
    images, when `least` is 0.

    Raises:
        ArgumentError: there is no histogram, or `classes` lists what it does not name.
        CurationError: no class is in both.
        TooFew: a class is too small and the policy is `error`.
    """
    if counts.wanted is None:
        raise ArgumentError("no histogram to match: set match to the name of a stored split, or file to a file")
    told = np.flatnonzero(counts.wanted >= (p.least if p.scale == "exact" else min(p.least, 1)))
    mine = Counts([counts.names[row] for row in told], counts.sources, counts.available[told])
    if not len(told):
        raise CurationError(
            f"none of {len(counts.names):,} classes has a number in the histogram: compare the names; a file in the "
            "order of labels can be told by place with align=position"
        )
    if strange := sorted(set(p.classes) & set(counts.names) - set(mine.names), key=str.encode):
        raise ArgumentError(
            f"{len(strange):,} of {len(p.classes):,} classes have no images in the histogram, such as {strange[0]!r}: "
            "take them off the list"
        )
    try:
        planned = allot(mine, p, train=lambda room, order: sizes(counts.wanted[told][order], room, p))
    except TooFew as error:
        raise TooFew(_among_all(error.plan, told, len(counts.names))) from None
    return _among_all(planned, told, len(counts.names))


def sizes(wanted: np.ndarray, room: np.ndarray, p: MatchHistogram) -> np.ndarray:
    """Training images to ask of every class, int64 (L,), from the histogram's (L,) and what there is (L,).

    By `scale`: `exact`, the numbers as they are; `proportional`, the largest multiple that all classes can fill; `fit`,
    the same but never more than the numbers. Multiples are rounded, and at least `least` where the histogram has any. A
    class with no room at all does not hold the others down: it is short.
    """
    both = (wanted > 0) & (room > 0)
    if p.scale == "exact" or not both.any():
        return wanted
    factor = float((room[both] / wanted[both]).min())
    if p.scale == "fit":
        factor = min(1.0, factor)
    return np.where(wanted > 0, np.maximum(np.floor(wanted * factor + 0.5), p.least), 0).astype(np.int64)


def match(inputs: Inputs, p: MatchHistogram) -> Result:
    """Carve a split whose train matches the table `histogram`; classes on one side only are listed in the report.

    Raises:
        ArgumentError, CurationError: as for `plan_match`.
    """
    found = class_draw.carve(inputs, p, plan=plan_match)
    names, images = (inputs.histogram[c].to_pylist() for c in ("class_name", "images"))
    told, classes = dict(zip(names, images, strict=True)), found.report["classes"]
    there = set(inputs.classes())
    train = found.split.filter(pc.equal(found.split["split"].cast(pa.string()), "train"))["label"].to_numpy()
    got = np.bincount(train, minlength=len(classes))
    wanted = np.array([told[name] for name in classes], np.int64)
    about = {
        "images": int(wanted.sum()),
        "matched_classes": int((got == wanted).sum()),
        "only_in_histogram": [name for name in names if name not in there],
        "only_in_images": sorted(there - told.keys(), key=str.encode),
        "zero": [name for name in names if name in there and told[name] == 0],
    }
    return Result(found.split, found.left_out, found.report | {"histogram": about})


def _among_all(planned: ClassPlan, told: np.ndarray, classes: int) -> ClassPlan:
    """A plan of some classes, with rows of all: `told` are those that it is of."""
    order, dropped = told[planned.order], told[planned.dropped]
    rest = np.setdiff1d(np.arange(classes), np.r_[order, dropped])
    return replace(planned, order=order, dropped=dropped, unwanted=rest)


def _histogram_tables(workspace: Workspace, p: MatchHistogram, inputs: Inputs) -> Mapping[str, pa.Table]:
    if not (p.match or p.file):
        raise ArgumentError("no histogram to match: set match to the name of a stored split, or file to a file")
    found = histograms.of_split(workspace, p.match, p.match_part) if p.match else histograms.read(p.file)
    what = f"split {p.match!r}" if p.match else p.file
    return {"histogram": histograms.tabled(found, workspace, inputs, align=p.align, what=what)}


KIND = Kind(
    name="match-histogram",
    title="Match histogram",
    about="Class sizes as in another split or in a frequency file",
    settings=MatchHistogram,
    carve=match,
    plan=plan_match,
    counted=True,
    tables=_histogram_tables,
)
