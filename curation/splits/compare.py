"""Two stored splits of one workspace side by side: which images moved, how class sizes differ, and what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from curation.errors import CurationError
from curation.splits.result import coded

LEFT_OUT = "left out"
_OF_A_RECIPE = ("kind", "clusters", "duplicates", "ledger_position")

Stored = tuple[Mapping[str, Any], pa.Table, Mapping[str, Any]]
"""Recipe, split table and report of a stored split, as `recipes.load` gives them."""


@dataclass(frozen=True)
class Comparison:
    """How split `b` differs from split `a`. S and T splits, each with LEFT_OUT as the last; C classes of either.

    - `names`: of the two; `splits`: of each.
    - `moved` int64 (S, T): images by their split in `a` and in `b`.
    - `kept`: images in the same split of both; `added`, `dropped`: only in `b`, only in `a`; `changed`: in both, but in
      other splits; `relabelled`: in both, of another class; `renumbered`: classes of both, with another label.
    - `classes`: in the order of labels of `a`, then those that `b` alone has; `histograms`: images int64 (2, C) in `a`
      and `b` of every split of either.
    - `parameters`, `recipe`: what differs, as {key: (a, b)}, None where one has none; `inputs`: names of tables that
      differ in content, or that one alone was made from.
    """

    names: tuple[str, str]
    splits: tuple[list[str], list[str]]
    moved: np.ndarray
    kept: int
    added: int
    dropped: int
    changed: int
    relabelled: int
    renumbered: int
    classes: list[str]
    histograms: dict[str, np.ndarray]
    parameters: dict[str, tuple[Any, Any]]
    recipe: dict[str, tuple[Any, Any]]
    inputs: list[str]
    _codes: tuple[np.ndarray, np.ndarray]

    def ids(self, from_split: str, to_split: str) -> np.ndarray:
        """Ids of images in one split of `a` and one of `b`, int32, ascending; LEFT_OUT for those in none.

        Images that both leave out are not told apart from images that neither knew, and are never among them.

        Raises:
            CurationError: there is no such split.
        """
        wanted = np.ones(len(self._codes[0]), bool)
        for of, there, codes, asked in zip(self.names, self.splits, self._codes, (from_split, to_split), strict=True):
            if asked not in there:
                raise CurationError(f"split {of!r} has no {asked!r}: it has {', '.join(there)}")
            wanted &= codes == there.index(asked)
        if from_split == to_split == LEFT_OUT:
            wanted[:] = False
        return np.flatnonzero(wanted).astype(np.int32)

    def to_dict(self) -> dict[str, Any]:
        """The same without images, for JSON."""
        plain = {key: value for key, value in vars(self).items() if not key.startswith("_")}
        return plain | {
            "names": list(self.names),
            "splits": list(self.splits),
            "moved": self.moved.tolist(),
            "histograms": {name: {"a": a.tolist(), "b": b.tolist()} for name, (a, b) in self.histograms.items()},
            "parameters": {key: list(pair) for key, pair in self.parameters.items()},
            "recipe": {key: list(pair) for key, pair in self.recipe.items()},
        }


def compare(a: Stored, b: Stored) -> Comparison:
    """Compare two stored splits of one workspace, image by image and class by class.

    Classes are aligned by name, so that splits that number them otherwise can be compared.
    """
    count = 1 + max((int(table["image_id"].to_numpy().max(initial=-1)) for _, table, _ in (a, b)), default=-1)
    classes = list(dict.fromkeys([*a[2]["classes"], *b[2]["classes"]]))
    one, two = (_by_image(stored, count, classes) for stored in (a, b))
    # Images that neither has: what the larger of the two workspaces' states knew, and not only ids up to the last one.
    known = max(count, *(int(report.get("funnel", {}).get("images", count)) for _, _, report in (a, b)))
    moved = _moved(one, two, known)
    both = one.inside & two.inside
    kept = sum(int(moved[i, two.splits.index(s)]) for i, s in enumerate(one.splits) if s in two.splits)
    numbers = [{name: label for label, name in enumerate(report["classes"])} for _, _, report in (a, b)]
    return Comparison(
        names=(str(a[0].get("name", "a")), str(b[0].get("name", "b"))),
        splits=([*one.splits, LEFT_OUT], [*two.splits, LEFT_OUT]),
        moved=moved,
        kept=kept,
        added=int(moved[-1, :-1].sum()),
        dropped=int(moved[:-1, -1].sum()),
        changed=int(both.sum()) - kept,
        relabelled=int((both & (one.cls != two.cls)).sum()),
        renumbered=sum(numbers[1].get(name, label) != label for name, label in numbers[0].items()),
        classes=classes,
        histograms=_histograms(one, two, len(classes)),
        parameters=_differences(a[0].get("parameters", {}), b[0].get("parameters", {})),
        recipe=_differences(*({key: s[0][key] for key in _OF_A_RECIPE if key in s[0]} for s in (a, b))),
        inputs=sorted(_differences(a[0].get("inputs", {}), b[0].get("inputs", {}))),
        _codes=(one.code, two.code),
    )


# -- below: by image ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _ByImage:
    """By image id, int64 (N,): `code`, the row of `splits`, S where it is in none; `cls`, the row of classes."""

    splits: list[str]
    code: np.ndarray
    cls: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        return self.code < len(self.splits)


def _by_image(stored: Stored, count: int, classes: list[str]) -> _ByImage:
    _, table, report = stored
    splits, codes = coded(table["split"])
    ids = table["image_id"].to_numpy()
    code, cls = np.full(count, len(splits), np.int64), np.full(count, -1, np.int64)
    code[ids] = codes
    place = {name: row for row, name in enumerate(classes)}
    cls[ids] = np.array([place[name] for name in report["classes"]], np.int64)[table["label"].to_numpy()]
    return _ByImage(splits, code, cls)


def _moved(one: _ByImage, two: _ByImage, known: int) -> np.ndarray:
    """Images by their splits on both sides, int64 (S, T); `known` images that there are in all."""
    shape = len(one.splits) + 1, len(two.splits) + 1
    moved = np.bincount(one.code * shape[1] + two.code, minlength=shape[0] * shape[1]).reshape(shape)
    moved[-1, -1] = known - int((one.inside | two.inside).sum())
    return moved


def _histograms(one: _ByImage, two: _ByImage, classes: int) -> dict[str, np.ndarray]:
    found = {name: np.zeros((2, classes), np.int64) for name in dict.fromkeys([*one.splits, *two.splits])}
    for side, by_image in enumerate((one, two)):
        inside = by_image.inside
        cell = by_image.code[inside] * classes + by_image.cls[inside]
        counts = np.bincount(cell, minlength=len(by_image.splits) * classes).reshape(-1, classes)
        for row, name in enumerate(by_image.splits):
            found[name][side] = counts[row]
    return found


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {key: (a.get(key), b.get(key)) for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)}
