"""Fit the numbers of the rule for near duplicates (`curation/duplicates/rule.py`) and print how well they hold.

    python -m benchmarks.fit_duplicates DATA [--workspace DIR] [--digits DIR]

DATA as for `benchmarks.duplicates`. `--digits` names a workspace of the digits sample with features: pictures that all
look alike and are no copies, added to the pairs that the fit sees. Prints the numbers to put into `rule.py`; then
recall and precision of the default decision as fitted, by cross-validation over groups (neither group of a tested pair
was seen), and for each edit with all pairs of that edit left out of the fit. What is left out is left out of the
weights only: the terms, the thresholds and the constants in `measures.py` were chosen by trial on these same pictures
and on the digits, and surroundings are taken from the whole collection, so the numbers flatter.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.duplicates import Truth, prepare
from curation.arrays import Features
from curation.duplicates import rule
from curation.duplicates.find import COLUMNS, measures_of
from curation.duplicates.neighbours import unique_pairs
from curation.workspace import Workspace

FOLDS, SEED = 10, 25
SETTINGS = {"scope": "all", "phash_radius": 8, "cosine_margin": 0.05, "neighbours": 30}


def proposed(workspace: Workspace, *, use: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs that the measures in `use` propose, and their terms: (a, b, float64 (P, 2) with NaN where not in use)."""
    features = Features(workspace, workspace.feature_names()[0])
    chosen = [m for m in measures_of(workspace.images(COLUMNS), features, SETTINGS, 2) if m.name in use]
    found = [measure.propose() for measure in chosen]
    a, b = unique_pairs(*(np.concatenate([getattr(p, side) for p in found]) for side in "ab"))
    margins = {"phash": np.full(len(a), np.nan)} | {m.name: m.compare(a, b).margin for m in chosen}
    return a, b, rule.terms(margins)


def fitted(terms: np.ndarray, same: np.ndarray) -> rule.Fit:
    """A logistic fit of the terms that are there."""
    there = ~np.isnan(terms).any(axis=0)
    model = LogisticRegression(C=100.0, max_iter=2000).fit(terms[:, there], same)
    weights = np.zeros(2)
    weights[there] = model.coef_[0]
    return rule.Fit(round(float(model.intercept_[0]), 2), *(round(float(w), 2) for w in weights))


def chances(fit: rule.Fit, terms: np.ndarray) -> np.ndarray:
    """Probability of each row of terms under a fit."""
    return 1 / (1 + np.exp(-(fit.intercept + np.nan_to_num(terms) @ np.array(fit[1:]))))


def score(name: str, chance: np.ndarray, same: np.ndarray, pairs: int) -> None:
    """Print recall and precision of the decision `duplicate`."""
    hit = chance >= rule.DUPLICATE
    print(
        f"  {name:34} recall {same[hit].sum() / pairs:6.1%}   precision {same[hit].mean():6.1%}   {hit.sum():,} pairs"
    )


def cross_validate(terms: np.ndarray, same: np.ndarray, sides: np.ndarray, extra: np.ndarray) -> np.ndarray:
    """Chances of each pair by a fit that saw no pair with an image of either one's fold; folds are made of groups."""
    fold = np.sort(np.random.default_rng(SEED).integers(0, FOLDS, sides.max() + 1)[sides], axis=0)
    result = np.full(len(same), np.nan)
    for low, high in np.unique(fold, axis=1).T:
        seen, test = ~np.isin(fold, (low, high)).any(axis=0), (fold[0] == low) & (fold[1] == high)
        fit = fitted(np.concatenate([terms[seen], extra]), np.r_[same[seen], np.zeros(len(extra), bool)])
        result[test] = chances(fit, terms[test])
    return result


def report(use: tuple[str, ...], workspace: Workspace, truth: Truth, digits: Workspace | None) -> None:
    """Fit one set of measures and print its numbers."""
    a, b, terms = proposed(workspace, use=use)
    same = truth.same(a, b)
    extra = proposed(digits, use=use)[2] if digits else np.zeros((0, 2))
    fit = fitted(np.concatenate([terms, extra]), np.r_[same, np.zeros(len(extra), bool)])
    print(f"{' + '.join(use)}: {fit}; {len(same):,} pairs proposed, {same.sum():,} of {truth.pairs:,} true ones")
    score("as fitted", chances(fit, terms), same, truth.pairs)
    left_out = cross_validate(terms, same, truth.group[np.stack([a, b])], extra)
    score(f"groups left out, {FOLDS} folds", left_out, same, truth.pairs)
    if digits:
        print(f"  of the digits, called duplicates: {(chances(fit, extra) >= rule.DUPLICATE).sum()}")
    for edit in sorted(set(truth.edit.tolist()) - {"original"}) if len(use) > 2 else ():
        has = (truth.edit[a] == edit) | (truth.edit[b] == edit)
        one = fitted(np.concatenate([terms[~has], extra]), np.r_[same[~has], np.zeros(len(extra), bool)])
        of_edit = has & same
        there = sum(int((truth.group == group).sum()) - 1 for group in truth.group[truth.edit == edit])
        hits = int((chances(one, terms[of_edit]) >= rule.DUPLICATE).sum())
        print(f"    {edit:12} left out of the fit: recall {hits / there:6.1%} of its {there:,} pairs")


def main() -> None:
    """Fit all three sets of measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--workspace", type=Path, help="made there when absent, used again when present")
    parser.add_argument("--digits", type=Path, help="a workspace of the digits sample, with features")
    options = parser.parse_args()
    digits = Workspace(options.digits) if options.digits else None
    with tempfile.TemporaryDirectory() as temporary:
        workspace, truth = prepare(options.data, options.workspace or Path(temporary) / "workspace")
        for use in (("exact", "phash", "cosine"), ("exact", "phash"), ("exact", "cosine")):
            report(use, workspace, truth, digits)


if __name__ == "__main__":
    main()
