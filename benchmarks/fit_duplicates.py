"""Fit the numbers of the rule for near duplicates (`curation/duplicates/rule.py`) and print how well they hold.

    python -m benchmarks.fit_duplicates DATA [--workspace DIR] [--digits DIR]

DATA as for `benchmarks.duplicates`. `--digits` names a workspace of the digits sample with features (tables of
neighbours are written to it): pictures that all look alike and are no copies, added to the pairs that the fit sees.
Prints the numbers to put into `rule.py`; then recall and precision of the default decision as fitted and by
cross-validation over groups (neither group of a tested pair was seen), and the recall of each edit as fitted, with
groups left out, and with all pairs of that edit left out of the fit. What is left out is left out of the weights
only: the terms, the thresholds and the constants of measures and geometry were chosen by trial on these same pictures
and on the digits, and surroundings are taken from the whole collection, so the numbers flatter.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.duplicates import Truth, prepare
from curation.duplicates import geometry, rule
from curation.duplicates.comparison import Comparison
from curation.duplicates.find import settings_of
from curation.duplicates.measures import Side
from curation.workspace import Workspace

FOLDS, SEED = 10, 25
USES = (("phash", "cosine"), ("phash",), ("cosine",), ())
Fits = dict[tuple[str, ...], rule.Fit]


class Sample(NamedTuple):
    """Proposed pairs that are not exact copies: ids (P,), `rule.terms` (P, 3), and `by`, which measures call each
    close, bool (P,) by name."""

    a: np.ndarray
    b: np.ndarray
    terms: np.ndarray
    by: dict[str, np.ndarray]

    def used(self, margins: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Which rows these measures propose (all, for none), and the terms, NaN for margins not in use."""
        absent = [name not in (*margins, "score") for name in rule.TERMS]
        return np.any([self.by[name] for name in margins or self.by], axis=0), np.where(absent, np.nan, self.terms)


def sample(workspace: Workspace) -> Sample:
    """What a search by hashes and features proposes in a workspace, geometry included."""
    side = Side(workspace)
    found = Comparison(side, side, settings_of(side)[0]).candidates()
    worth = rule.worth_checking(found.exact, found.margins)
    score = np.full(len(worth), np.nan)
    score[worth] = geometry.check(workspace, found.a[worth], workspace, found.b[worth]).score
    close = {name: hit for one in found.compared.values() for name, hit in one.found.items()}
    by = {"phash": close["phash"] | close["phash_mirror"], "cosine": close["cosine"]}
    kept = np.flatnonzero(~found.exact)
    values = rule.terms(found.margins, score)[kept]
    return Sample(found.a[kept], found.b[kept], values, {name: hit[kept] for name, hit in by.items()})


class Case(NamedTuple):
    """One set of margins: all pairs with their terms (P, 3) and truth, bool (P,), and which of them it proposes."""

    margins: tuple[str, ...]
    values: np.ndarray
    same: np.ndarray
    proposed: np.ndarray

    def fit(self, seen: np.ndarray) -> Fits:
        """Logistic fits with and without the score, from the rows of `seen` where all of their terms are known.

        Those without are fitted to what the margins in use propose. With it, all pairs are of use: few of those that
        hashes propose on photographs are unlike.
        """
        fits: Fits = {}
        for known in [self.margins, (*self.margins, "score")] if self.margins else [("score",)]:
            columns = [rule.TERMS.index(name) for name in known]
            rows = seen & ~np.isnan(self.values[:, columns]).any(axis=1) & (self.proposed | ("score" in known))
            model = LogisticRegression(C=100.0, max_iter=5000).fit(self.values[rows][:, columns], self.same[rows])
            weight = dict(zip(known, (round(float(w), 2) for w in model.coef_[0]), strict=True))
            fits[known] = rule.Fit(
                round(float(model.intercept_[0]), 2), *(weight.get(name, 0.0) for name in rule.TERMS)
            )
        return fits


def cross_validate(case: Case, sides: np.ndarray) -> np.ndarray:
    """Chances of each pair by fits that saw no pair with an image of either one's fold; folds are made of groups.

    Args:
        sides: groups of either image, (2, P); -1 for pairs that every fit sees.
    """
    fold = np.sort(np.r_[np.random.default_rng(SEED).integers(0, FOLDS, sides.max() + 1), -1][sides], axis=0)
    result = np.full(len(case.same), np.nan)
    for low, high in np.unique(fold[:, fold[0] >= 0], axis=1).T:
        seen, test = ~np.isin(fold, (low, high)).any(axis=0), (fold[0] == low) & (fold[1] == high)
        result[test] = rule.weigh(case.values[test], case.fit(seen))
    return result


def score(name: str, chance: np.ndarray, same: np.ndarray, pairs: int) -> None:
    """Print recall and precision of the decision `duplicate`."""
    hit = chance >= rule.DUPLICATE
    print(
        f"  {name:28} recall {same[hit].sum() / pairs:6.1%}   precision {same[hit].mean():6.1%}   {hit.sum():,} pairs"
    )


class Photographs(NamedTuple):
    """What is known of the photographs among all pairs: which rows they are, (P,), edits (2, P) and the truth."""

    here: np.ndarray
    edit: np.ndarray
    truth: Truth


def by_edit(case: Case, known: Photographs, chances: dict[str, np.ndarray]) -> None:
    """Print the recall of each edit's pairs (with the original and with other edits) by column of chances."""
    print(f"    {'recall by edit':14}{'pairs':>8}" + "".join(f"{name:>18}" for name in (*chances, "edit left out")))
    truth = known.truth
    for edit in sorted(set(truth.edit.tolist()) - {"original"}):
        has = (known.edit == edit).any(axis=0)
        alone = rule.weigh(case.values, case.fit(~has))
        there = sum(int((truth.group == group).sum()) - 1 for group in truth.group[truth.edit == edit])
        hits = [(chance[has & case.same] >= rule.DUPLICATE).sum() for chance in (*chances.values(), alone)]
        print(f"    {edit:14}{there:8,}" + "".join(f"{hit / there:18.1%}" for hit in hits))


def report(margins: tuple[str, ...], pairs: Sample, known: Photographs, sides: np.ndarray) -> Fits:
    """Fit one set of margins, print how well it does, and return the fits."""
    proposed, values = pairs.used(margins)
    case = Case(margins, values, (sides[0] == sides[1]) & known.here, proposed)
    fits = case.fit(np.ones(len(values), bool))
    rows, total = proposed & known.here, known.truth.pairs
    true = f"{case.same[rows].sum():,} of {total:,} true ones"
    print(f"{' + '.join(margins) or 'neither'}: {rows.sum():,} pairs proposed, {true}")
    chances, left_out = rule.weigh(values, fits), cross_validate(case, sides)
    score("as fitted", chances[rows], case.same[rows], total)
    score(f"groups left out, {FOLDS} folds", left_out[rows], case.same[rows], total)
    if margins:
        bare = np.where([name == "score" for name in rule.TERMS], np.nan, values)
        score("as fitted, no geometry", rule.weigh(bare, fits)[rows], case.same[rows], total)
    others = proposed & ~known.here
    print(f"  of {others.sum():,} pairs of digits, duplicates: {(chances[others] >= rule.DUPLICATE).sum()}")
    if len(margins) > 1:
        by_edit(case, known, {"as fitted": chances, "groups left out": left_out})
    return fits


def together(photographs: Sample, truth: Truth, digits: Sample | None) -> tuple[Sample, Photographs, np.ndarray]:
    """All pairs as one sample, what is known of the photographs among them, and the groups of both sides (2, P)."""
    here = np.stack([photographs.a, photographs.b])
    sides, edit = truth.group[here], truth.edit[here]
    if digits:
        more = len(digits.a)
        parts = [np.concatenate(pair) for pair in zip(photographs[:3], digits[:3], strict=True)]
        by = {name: np.concatenate([hit, digits.by[name]]) for name, hit in photographs.by.items()}
        photographs = Sample(*parts, by)
        sides, edit = np.pad(sides, ((0, 0), (0, more)), constant_values=-1), np.pad(edit, ((0, 0), (0, more)))
    return photographs, Photographs(sides[0] >= 0, edit, truth), sides


def main() -> None:
    """Fit all sets of margins, and print the numbers as they stand in `rule.py`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--workspace", type=Path, help="made there when absent, used again when present")
    parser.add_argument("--digits", type=Path, help="a workspace of the digits sample, with features")
    options = parser.parse_args()
    digits = sample(Workspace(options.digits)) if options.digits else None
    with tempfile.TemporaryDirectory() as temporary:
        workspace, truth = prepare(options.data, options.workspace or Path(temporary) / "workspace")
        photographs = sample(workspace)
    fits: Fits = {}
    pairs = together(photographs, truth, digits)
    for margins in USES:
        fits |= report(margins, *pairs)
    print("FITS = {")
    for known, fit in fits.items():
        print(f"    {known!r}: Fit{tuple(fit)},".replace("'", '"'))
    print("}")


if __name__ == "__main__":
    main()
