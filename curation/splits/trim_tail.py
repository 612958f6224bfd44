"""Recipe `trim-tail`: a given split without its smallest classes, or with a bound on the size of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa

from curation.errors import ArgumentError, CurationError
from curation.splits.carving import RULES, Carving
from curation.splits.class_draw import TO_SPARE, finished, random_order
from curation.splits.class_plan import ClassPlan, Counts, frequency
from curation.splits.inputs import BASE, Inputs
from curation.splits.kind import Kind
from curation.splits.pool import Pool, gather, place_of
from curation.splits.result import Reasons, Result
from curation.splits.settings import MOST, Settings, option
from curation.workspace import Workspace

NOT_IN_BASE = "not in the split that is trimmed"
TAIL = "tail cut"
STRADDLES = "near duplicate: of an image in another split"
CUT_IN = {"all": "all splits", "train": "train alone"}
LABELS = {"compact": "renumbered", "keep": "as before"}


@dataclass(frozen=True, kw_only=True)
class TrimTail(Settings):
    """Parameters of `trim-tail`."""

    KIND: ClassVar[str] = "trim-tail"
    CLASS_LISTS: ClassVar[tuple[str, ...]] = ("drop",)

    base: str = option("", "Split to trim", "Name of a stored split", reads=True)
    at_least: int = option(20, "Training images a class, at least", "Smaller classes are cut", least=0, most=MOST)
    keep: float | None = option(
        None, "Largest classes to keep", "A share below 1, or how many; all when empty", least=0
    )
    at_most: int | None = option(None, "Training images a class, at most", "No bound when empty", least=1, most=MOST)
    drop: tuple[str, ...] = option((), "Classes to cut", "These too, by name", rare=True)
    tail_images: int = option(0, "Training images that a cut class keeps", least=0, most=MOST, rare=True)
    cut_in: str = option("all", "Cut classes leave", choices=CUT_IN, when={"tail_images": [0]})
    labels: str = option("compact", "Labels", choices=LABELS, rare=True)
    frequency: str = option("count", "Head, medium, tail", choices=RULES, rare=True)
    thresholds: tuple[float, ...] = option(
        (100.0, 20.0), "Head above, tail below (images)", rare=True, when={"frequency": ["count"]}
    )
    fractions: tuple[float, ...] = option(
        (0.40, 0.85), "Medium and tail begin at (share of classes)", rare=True, when={"frequency": ["rank"]}
    )
    seed: int = option(25, "Seed", "Every random draw comes from it", least=0, rare=True)

    def check(self) -> None:
        self.ranking()
        if self.keep is not None and self.keep >= 1 and self.keep != int(self.keep):
            raise ArgumentError(f"keep is {self.keep}: give a share below 1, or a whole number of classes")

    def ranking(self) -> Carving:
        """The rule of head, medium and tail, checked."""
        return Carving(frequency=self.frequency, thresholds=self.thresholds, fractions=self.fractions)


def plan_trim(counts: Counts, p: TrimTail, *, rows: np.ndarray | None = None) -> ClassPlan:
    """What trimming leaves of every class.

    With `tail_images` a cut class stays, with at most so many training images, as in the tail-trimmed caption sets of
    Wen et al. (NeurIPS 2024; repository CVMI-Lab/clip-beyond-tail, data_utils).

    Args:
        counts: with `base`: images by class in each of its splits; one is `train`.
        p: parameters.
        rows: of the counts, in the order of the base's labels; classes that it has images of when None.

    Raises:
        ArgumentError: the base has no train split, or a class to cut is none of its classes.
        CurationError: every class is cut.
    """
    splits = tuple(counts.base)
    rows = np.flatnonzero(sum(counts.base.values())) if rows is None else rows
    cut = tail(counts, p, rows)
    base, train = np.stack([counts.base[split][rows] for split in splits]), splits.index("train")
    got, most = base.copy(), MOST if p.at_most is None else p.at_most
    got[train] = np.minimum(base[train], np.where(cut, min(p.tail_images, most), most))
    if p.cut_in == "all" and not p.tail_images:
        got[:, cut] = 0
    if not got[train].any():
        raise CurationError(f"all of {len(rows):,} classes are cut: lower at_least ({p.at_least:,}), or keep more")
    full = got.any(0)
    stay = full if p.labels == "compact" else np.ones(len(rows), bool)
    ranks = np.zeros(len(rows), np.int8)
    ranks[full] = frequency(got[train, full], p.ranking())
    return ClassPlan(
        splits=splits,
        carving=splits,
        order=rows[stay],
        counts=got[:, stay],
        asked=got[:, stay],
        available=base.sum(0)[stay],
        pool=(),
        whole={},
        frequency=ranks[stay],
        shortfalls=[],
        dropped=np.sort(rows[cut & ~full]),
        unwanted=np.setdiff1d(np.arange(len(counts.names)), rows),
    )


def tail(counts: Counts, p: TrimTail, rows: np.ndarray) -> np.ndarray:
    """Which classes are cut, bool (L,): too small, not among the largest asked for, or named.

    Of classes of one size the first in byte order counts as the larger.

    Raises:
        ArgumentError: as for `plan_trim`.
    """
    if "train" not in counts.base:
        raise ArgumentError(f"the split to trim has {len(counts.base)} splits and none is 'train': {list(counts.base)}")
    names = [counts.names[row] for row in rows]
    if strange := sorted(set(p.drop) - set(names)):
        raise ArgumentError(
            f"{len(strange):,} of {len(p.drop):,} classes to cut are none of the split's {len(names):,}, such as "
            f"{strange[0]!r}: take them off the list"
        )
    train, there = counts.base["train"][rows], sum(counts.base.values())[rows] > 0
    cut = (train < p.at_least) | np.isin(names, p.drop)
    if p.keep is not None:
        keep = int(p.keep if p.keep >= 1 else np.floor(there.sum() * p.keep + 0.5))
        by_name = np.argsort([name.encode() for name in names], kind="stable")
        by_size = by_name[np.lexsort((-train[by_name], ~there[by_name]))]
        cut[by_size[keep:]] = True
    return cut & there


def trim(inputs: Inputs, p: TrimTail) -> Result:
    """Trim the split that `base` tells: every image stays where it is, or is left out.

    Which images of a class stay under a bound is drawn at random by seed and class name, so that a lower bound keeps
    some of what a higher one does. Of near duplicates that the base has on several sides, those in its last split stay.

    Raises:
        ArgumentError, CurationError: as for `plan_trim`.
    """
    if inputs.base is None:
        raise ArgumentError("no split to trim is named: set base to the name of a stored split")
    pool, rows = _with_classes(gather(inputs), inputs)
    splits, codes = _codes(pool, inputs.base)
    stands = codes >= 0
    straddles = _straddling(pool, codes)
    codes[straddles] = -1
    base = {name: np.bincount(pool.cls[codes == i], minlength=len(pool.names)) for i, name in enumerate(splits)}
    counts = Counts(pool.names, pool.sources, pool.by_source(), base)
    rows = np.append(rows, np.setdiff1d(pool.cls[codes >= 0], rows))
    planned, cut = plan_trim(counts, p, rows=rows), rows[tail(counts, p, rows)]
    over = _over(pool, planned, codes, random_order(pool, p.seed))
    codes[over] = -1
    of_tail = over & np.isin(pool.cls, cut)
    named = np.array([f"{TAIL}: class {name!r}" for name in pool.names], object)
    reasons: list[Reasons] = [
        (pool.image_id[straddles], STRADDLES),
        (pool.image_id[~stands], NOT_IN_BASE),
        (pool.image_id[of_tail], named[pool.cls[of_tail]].tolist()),
        (pool.image_id[over & ~of_tail], TO_SPARE),
    ]
    about = {"images": len(inputs.base), "excluded_since": len(inputs.base) - int(stands.sum()), "labels": p.labels}
    return finished(pool, planned, p, codes, reasons, {"base": about, "cut_classes": [pool.names[r] for r in cut]})


# -- below: tables -----------------------------------------------------------------------------------------------------


def _base_tables(workspace: Workspace, p: TrimTail, _inputs: Inputs) -> Mapping[str, pa.Table]:
    """The split to trim as `base`, and its classes in the order of labels as `class_metadata`."""
    from curation.splits.recipes import load  # it registers this recipe

    if not p.base:
        raise ArgumentError("no split to trim is named: set base to the name of a stored split")
    _, table, report = load(workspace, p.base)
    workspace.check_ids(table["image_id"].to_numpy(), f"split {p.base!r}", "it belongs to another workspace")
    classes = pa.table({"class_name": pa.array(report["classes"], pa.string())})
    return {"base": table.select(BASE.names).cast(BASE), "class_metadata": classes}


# -- below: a split that is there --------------------------------------------------------------------------------------


def _with_classes(pool: Pool, inputs: Inputs) -> tuple[Pool, np.ndarray]:
    """The pool with all classes of the base, those without images last; and their rows, int64, in order of labels."""
    told = [] if inputs.class_metadata is None else inputs.class_metadata["class_name"].to_pylist()
    there = set(pool.names)
    names = pool.names + [name for name in told if name not in there]
    place = {name: row for row, name in enumerate(names)}
    return replace(pool, names=names), np.array([place[name] for name in told], np.int64)


def _codes(pool: Pool, base: pa.Table) -> tuple[list[str], np.ndarray]:
    """Splits of the base, in the order of its rows, and which each image of the pool is in: int64 (N,), -1 for none."""
    # Not the order of the dictionary, which a file need not keep.
    words = base["split"].cast(pa.string()).combine_chunks().dictionary_encode()
    place = place_of(pool.image_id, base["image_id"].to_numpy())
    return words.dictionary.to_pylist(), np.append(words.indices.to_numpy(), -1)[place]


def _straddling(pool: Pool, codes: np.ndarray) -> np.ndarray:
    """Images with a near duplicate in a later split of the base, bool (N,)."""
    last = np.full(int(pool.group.max(initial=-1)) + 1, -1, np.int64)
    grouped = (pool.group >= 0) & (codes >= 0)
    np.maximum.at(last, pool.group[grouped], codes[grouped])
    found = np.zeros(len(codes), bool)
    found[grouped] = codes[grouped] < last[pool.group[grouped]]
    return found


def _over(pool: Pool, planned: ClassPlan, codes: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Images beyond what the plan has of their class and split, those with the highest keys, bool (N,)."""
    most = np.zeros((len(planned.splits), len(pool.names)), np.int64)
    most[:, planned.order] = planned.counts
    rows = np.flatnonzero(codes >= 0)
    cell = codes[rows] * len(pool.names) + pool.cls[rows]
    rows = rows[(np.bincount(cell, minlength=most.size) > most.ravel())[cell]]
    rows = rows[np.lexsort((keys[rows], codes[rows] * len(pool.names) + pool.cls[rows]))]
    cell = codes[rows] * len(pool.names) + pool.cls[rows]
    position = np.arange(len(rows)) - np.searchsorted(cell, cell)
    over = np.zeros(len(codes), bool)
    over[rows[position >= most.ravel()[cell]]] = True
    return over


KIND = Kind(
    name="trim-tail",
    title="Trim tail",
    about="A given split without its smallest classes, or with a bound on the size of the others",
    settings=TrimTail,
    carve=trim,
    plan=plan_trim,
    counted=True,
    tables=_base_tables,
)
