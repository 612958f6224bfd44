"""The leak map: how many pairs of near duplicates lie between which splits and reference sets.

The sets are the splits as found on disk, or those of a saved split, and then every reference set. Planted probes are in
none of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from curation import exclusions, files, judgements, references
from curation.duplicates import searched
from curation.errors import ArgumentError
from curation.workspace import Workspace

FIRST = ("train", "val", "test")
STATUSES = ("settled", "duplicate", "undecided", "contested")
LEAKS = pa.schema(
    {
        "set_a": pa.string(),  # a split of this workspace
        "set_b": pa.string(),  # the same, a later one, or a reference set
        "reference": pa.bool_(),  # whether set_b is a reference set
        "searched": pa.bool_(),  # whether the last search looked between the two; null where it cannot be told
        "duplicates": pa.int64(),  # pairs
        "undecided": pa.int64(),
        "contested": pa.int64(),
        "images_a": pa.int64(),  # images of set_a that have a duplicate in set_b, another image than itself
        "images_b": pa.int64(),
    }
)
SHOWN = ["phash", "phash_mirror", "pixels", "dssim", "fc7", "cosine", "inliers", "probability", "decision"]
_word = pa.dictionary(pa.int32(), pa.string())


class Sets(NamedTuple):
    """The sets that a leak map has.

    Attributes:
        own: names of splits.
        others: names of reference sets.
        code: int16 (images,), which of `own` an image is in; -1 for none.
    """

    own: list[str]
    others: list[str]
    code: np.ndarray


def matrix(workspace: Workspace, *, split: str | None = None, until: int | None = None) -> pa.Table:
    """Every unordered pair of sets, a set with itself included, with its number of leaking pairs.

    A pair is a duplicate where people say so, or the rule where nobody judged; contested where reviewers disagree and
    nobody adjudicated; undecided where the rule calls it a candidate and nobody judged, or people are unsure.

    Args:
        split: name of a saved split whose splits are the sets; images outside it are in no set. The splits found on
            disk when None; where there are none, one set called ''.
        until: take verdicts only to this position of the ledger.

    Returns:
        Schema `LEAKS`: train, val, test, other splits by name, then reference sets by name.

    Raises:
        ArgumentError: there is no such split.
        CurationError: the pairs or a verdict name images that are not there.
    """
    sets = _sets(workspace, split)
    placed = _placed(_standing(workspace, until), sets)
    own, names = len(sets.own), [*sets.own, *sets.others]
    cells = [(a, b) for a in range(own) for b in range(a, len(names))]
    cell = placed["a"].to_numpy() * len(names) + placed["b"].to_numpy()
    counted = np.bincount(
        cell * len(STATUSES) + placed["status"].to_numpy(), minlength=own * len(names) * len(STATUSES)
    )
    counted = counted.reshape(own, len(names), len(STATUSES))
    images = _images(placed[placed["status"] == STATUSES.index("duplicate")], own, len(names))
    looked = _searched(workspace, saved=split is not None)
    rows = [
        {"set_a": names[a], "set_b": names[b], "reference": b >= own, "searched": looked(names[b], a == b, b >= own)}
        | dict(zip(("duplicates", "undecided", "contested"), counted[a, b, 1:].tolist(), strict=True))
        | {"images_a": int(images[0, a, b]), "images_b": int(images[1, a, b])}
        for a, b in cells
    ]
    return pa.Table.from_pylist(rows, schema=LEAKS)


def pairs(
    workspace: Workspace,
    set_a: str,
    set_b: str,
    *,
    split: str | None = None,
    reference: bool | None = None,
    until: int | None = None,
) -> pa.Table:
    """The pairs that one cell of the map counts, contested ones first, then undecided, then duplicates.

    Args:
        set_a, set_b: of the cell, in either order.
        split, until: as for `matrix`.
        reference: whether set_b is a reference set; when None, only where no split has that name.

    Returns:
        subject (of ledger events), image_a, image_b, reference, set_a, set_b (of the two images), status (duplicate,
        undecided or contested), verdict and reviewer (null where nobody judged), then the measures that the search has.

    Raises:
        ArgumentError: there is no such set.
    """
    sets = _sets(workspace, split)
    a, b = _codes(sets, set_a, set_b, reference)
    standing = _standing(workspace, until, SHOWN)
    placed = _placed(standing, sets)
    here = placed[(placed["a"] == a) & (placed["b"] == b) & (placed["status"] > 0)]
    chance = here["probability"].fillna(0.5).to_numpy(np.float64)
    order = np.lexsort((here["image_b"], here["image_a"], np.abs(chance - 0.5), -here["status"].to_numpy()))
    here = here.iloc[order]
    names = np.array([*sets.own, *sets.others], object)
    side = {"set_a": names[here["code_a"]], "set_b": names[here["code_b"]]}
    words = {"status": np.array(STATUSES, object)[here["status"]], "reference": here["reference"].astype(object)}
    columns = here.assign(**side, **words, decision=here["decision"].astype(object))
    shown = ["image_a", "image_b", "reference", "set_a", "set_b", "status", "verdict", "reviewer", *SHOWN]
    kinds = dict.fromkeys(("reference", "set_a", "set_b", "status", "verdict", "reviewer", "decision"), pa.string())
    table = pa.table({name: pa.array(columns[name], kinds.get(name), from_pandas=True) for name in shown})
    subject = judgements.subjects(table["image_a"], table["image_b"], table["reference"])
    return table.add_column(0, "subject", subject)


# -- below: sets, what stands about pairs, counting --------------------------------------------------------------------


def _sets(workspace: Workspace, split: str | None) -> Sets:
    images = workspace.images(["source_split"] if split is None else ["image_id"])
    if split is None:
        names, code = _coded(images["source_split"])
    else:
        if split not in workspace.split_names():
            known = ", ".join(workspace.split_names()) or "none"
            raise ArgumentError(f"there is no split {split!r} in {workspace.path}: it has {known}")
        table = files.read_table(workspace.path / "splits" / split / "split.parquet", columns=["image_id", "split"])
        names, members = _coded(table["split"])
        code = np.full(len(images), -1, np.int16)
        code[table["image_id"].to_numpy()] = members
    others = [name for name in references.paths(workspace) if name != judgements.PROBES]
    return Sets(names, others, code)


def _coded(words: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """Words in their order as sets, and which of them each row has, int16."""
    column = words.cast(_word).unify_dictionaries().combine_chunks()
    column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    known, codes = column.dictionary.fill_null("").to_pylist(), column.indices.fill_null(-1).to_numpy()
    used = np.unique(codes[codes >= 0])
    names = sorted((known[code] for code in used), key=lambda name: (_rank(name), name.encode()))
    place = np.full(len(known) + 1, -1, np.int16)
    for code in used.tolist():
        place[code] = names.index(known[code])
    return names, place[codes]


def _rank(name: str) -> int:
    return FIRST.index(name) if name in FIRST else len(FIRST)


def _standing(workspace: Workspace, until: int | None, more: list[str] | None = None) -> pd.DataFrame:
    """Pairs of the last search and judged pairs, with `status` (int64, a place in `STATUSES`)."""
    found = exclusions.read_pairs(
        workspace, list(dict.fromkeys(["image_a", "image_b", "reference", "decision", *(more or [])]))
    )
    rule = found["decision"].map({"duplicate": 1, "candidate": 2}).astype(float).fillna(0).to_numpy(np.int64)
    found = found.assign(status=rule)
    said = judgements.verdicts(workspace, until=until)
    if not len(said):
        return found.assign(verdict=None, reviewer=None)
    ruled = said["verdict"].map({"duplicate": 1, "unsure": 2, "contested": 3}).fillna(0).to_numpy(np.int64)
    said = said[["image_a", "image_b", "reference", "verdict", "reviewer"]].assign(ruled=ruled)
    both = found.astype({"reference": object}).merge(said, how="outer", on=["image_a", "image_b", "reference"])
    return both.assign(status=both["ruled"].fillna(both["status"]).astype(np.int64))


def _placed(standing: pd.DataFrame, sets: Sets) -> pd.DataFrame:
    """Pairs with both images in a set: code_a, code_b (sets of the images), and a <= b (the cell)."""
    reference = standing["reference"].astype("category")
    place = {name: len(sets.own) + i for i, name in enumerate(sets.others)} | {"": -2}
    other = np.array([place.get(name, -1) for name in reference.cat.categories] + [-1])[reference.cat.codes]
    first, second = (standing[side].to_numpy(np.int64) for side in ("image_a", "image_b"))
    inside = other == -2
    code_a = sets.code[first].astype(np.int64)
    code_b = np.where(inside, sets.code[np.where(inside, second, 0)], other).astype(np.int64)
    low, high = np.minimum(code_a, code_b), np.maximum(code_a, code_b)
    placed = standing.assign(code_a=code_a, code_b=code_b, a=low, b=high)
    return placed[(code_a >= 0) & (code_b >= 0)]


def _images(duplicates: pd.DataFrame, own: int, every: int) -> np.ndarray:
    """Distinct images on each side of every cell: int64 (2, own, every)."""
    a, b, code_a = (duplicates[name].to_numpy() for name in ("a", "b", "code_a"))
    swapped = code_a != a
    ends = duplicates[["image_a", "image_b"]].to_numpy(np.int64)
    ends[swapped] = ends[swapped, ::-1]
    cell, alone = a * every + b, a == b
    counts = np.zeros((2, own * every), np.int64)
    for side in (0, 1):
        # Within one set both images of a pair count on both sides.
        cells, images = np.r_[cell, cell[alone]], np.r_[ends[:, side], ends[alone, 1 - side]]
        distinct = np.unique(cells << 32 | images) >> 32
        counts[side] = np.bincount(distinct, minlength=own * every)
    return counts.reshape(2, own, every)


def _codes(sets: Sets, set_a: str, set_b: str, reference: bool | None) -> tuple[int, int]:
    names = {"split": sets.own, "reference set": sets.others}
    if reference is None:
        reference = set_b not in sets.own and set_b in sets.others
    if not reference and set_a not in sets.own and set_a in sets.others:
        set_a, set_b, reference = set_b, set_a, True
    for name, kind in ((set_a, "split"), (set_b, "reference set" if reference else "split")):
        if name not in names[kind]:
            raise ArgumentError(f"there is no {kind} {name!r}: there are {', '.join(map(repr, names[kind])) or 'none'}")
    a, b = sets.own.index(set_a), sets.others.index(set_b) + len(sets.own) if reference else sets.own.index(set_b)
    return min(a, b), max(a, b)


def _searched(workspace: Workspace, *, saved: bool) -> Any:
    """A function that tells whether the last search looked between two sets, from (second set, same, reference)."""
    recipe = searched.recipe(workspace)

    def looked(name: str, same: bool, reference: bool) -> bool | None:
        if recipe is None:
            return False
        if reference:
            return name in recipe.get("references", ())
        if recipe.get("scope") != "splits":
            return True
        return None if saved else not same

    return looked
