"""Search a workspace for pictures that show the same, and write one table of pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import files
from curation.arrays import Features
from curation.duplicates import rule
from curation.duplicates.measures import Compared, Cosine, Exact, Measure, PerceptualHash, usable
from curation.duplicates.neighbours import unique_pairs
from curation.engine import Progress, default_workers, quiet
from curation.errors import ArgumentError, CurationError
from curation.exclusions import pairs_path
from curation.workspace import PAIRS, Workspace

COLUMNS = ("class_name", "source_split", "status", "flat", "pixels", "phash", "phash_mirror")
SCOPES = ("auto", "all", "class")
ALL_UP_TO = 100_000
GROUP = 1024
FOUND_BY = ("exact", "phash", "phash_mirror", "cosine")
_word = pa.dictionary(pa.int32(), pa.string())


def find(
    workspace: Workspace,
    *,
    features: str | None = None,
    scope: str = "auto",
    phash_radius: int = 8,
    cosine_margin: float = 0.05,
    neighbours: int = 30,
    workers: int | None = None,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Find exact copies and near duplicates within the workspace, between its source splits too.

    Every measure proposes pairs, every pair is then measured by all of them, and the rule (`curation.duplicates.rule`)
    decides. Pairs that the rule finds next to impossible are counted and left out of the table. Writes
    duplicates/pairs.parquet and its recipe; what people decided stays in the ledger.

    Args:
        features: feature set for cosine similarity; the first finished one when None, no cosine when there is none.
        scope: where cosine looks: `all` pairs, inside each `class` (small classes are searched together), or `auto`:
            `all` up to 100,000 images. The hashes always look everywhere.
        phash_radius: Hamming distance, 0 to 16 bits, to which perceptual hashes propose a pair.
        cosine_margin: cosine proposes a pair that is this much more similar than the surroundings of one of the two.
        neighbours: the most pairs that one measure may propose for one image, nearest first.
        workers: threads for the products of features; the table is the same from any number.

    Returns:
        images, pairs, pairs by decision and by measure, duplicates between source splits, pairs left out as
        improbable, images that had more neighbours than they may have, flat images (compared for exact copies only),
        notes, and set_aside: usable images that have no feature where features were used.

    Raises:
        ArgumentError: an impossible argument.
        CurationError: no images yet, or the features asked for are missing, unfinished or corrupted.
    """
    _check(scope, phash_radius, neighbours)
    images = workspace.images(COLUMNS)
    feature_set, notes = _features(workspace, features)
    settings = {
        "features": feature_set.name if feature_set else None,
        "scope": scope if scope != "auto" else "all" if len(images) <= ALL_UP_TO else "class",
        "phash_radius": phash_radius,
        "cosine_margin": cosine_margin,
        "neighbours": neighbours,
    }
    measures = measures_of(images, feature_set, settings, workers or default_workers())
    proposals = {measure.name: measure.propose(progress) for measure in measures}
    a, b = unique_pairs(*(np.concatenate([getattr(p, side) for p in proposals.values()]) for side in "ab"))
    table = _table(a, b, {measure.name: measure.compare(a, b, progress) for measure in measures})
    kept = table.filter(pc.greater_equal(table["probability"], rule.WORTH_KEEPING))
    summary = {
        "images": _count(pc.equal(images["status"].cast(pa.string()), "ok")),
        **_counts(kept, images["source_split"]),
        "improbable": len(table) - len(kept),
        "capped": {name: len(found.capped) for name, found in proposals.items()},
        "flat": _count(images["flat"]),
        "scope": settings["scope"],
        "features": settings["features"],
        "notes": notes,
        "set_aside": sum(int((usable(images) & ~m.known).sum()) for m in measures if isinstance(m, Cosine)),
    }
    _write(workspace, kept, settings | {"images": len(images), "summary": summary}, feature_set)
    return summary


def _write(workspace: Workspace, pairs: pa.Table, recipe: dict[str, Any], features: Features | None) -> None:
    made_from = {"workspace": workspace.id, "features_recipe": features.recipe_digest if features else None}
    path = pairs_path(workspace)
    files.write_json(path.with_suffix(".json"), made_from | {"rule": rule.numbers()} | recipe)
    files.write_table(path, pairs)


def measures_of(images: pa.Table, features: Features | None, settings: dict[str, Any], workers: int) -> list[Measure]:
    """The measures that a search uses, in the order of their columns."""
    neighbours = settings["neighbours"]
    chosen: list[Measure] = [
        Exact(images, neighbours=neighbours),
        PerceptualHash(images, radius=settings["phash_radius"], neighbours=neighbours),
    ]
    if features:
        groups = _by_class(images["class_name"]) if settings["scope"] == "class" else None
        margin = settings["cosine_margin"]
        options = {"groups": groups, "margin": margin, "neighbours": neighbours, "workers": workers}
        chosen.append(Cosine(images, features, **options))
    return chosen


def _check(scope: str, phash_radius: int, neighbours: int) -> None:
    if scope not in SCOPES:
        raise ArgumentError(f"unknown scope {scope!r}: choose one of {', '.join(SCOPES)}")
    if not 0 <= phash_radius <= 16:
        raise ArgumentError(f"a pHash radius of {phash_radius} bits cannot be searched: choose 0 to 16")
    if neighbours < 1:
        raise ArgumentError(f"{neighbours} neighbours an image leave no pairs: choose 1 or more")


def _features(workspace: Workspace, name: str | None) -> tuple[Features | None, list[str]]:
    """The features to use, and what to say where there are none."""
    if name is not None:
        return Features(workspace, name).verify(), []
    notes = []
    for known in workspace.feature_names():
        try:
            return Features(workspace, known).verify(), notes
        except CurationError as error:
            notes.append(f"features {known!r} were not used: {error}")
    return None, [*notes, "no features: only hashes were compared; run `extract`, then this again, to find more"]


def _by_class(names: pa.ChunkedArray) -> list[np.ndarray]:
    """Ids by class, in byte order of names; classes are put together until a group has `GROUP` images."""
    words = names.combine_chunks()
    words = words if pa.types.is_dictionary(words.type) else words.dictionary_encode()
    known = np.array([word.encode() for word in words.dictionary.to_pylist()], object)
    place = np.empty(len(known), np.int64)
    place[np.argsort(known, kind="stable")] = np.arange(len(known))
    codes = place[words.indices.to_numpy()]
    sizes = np.bincount(codes, minlength=len(known))
    group, filled = np.empty(len(known), np.int64), 0
    number = 0
    for code, size in enumerate(sizes.tolist()):
        group[code] = number
        filled += size
        if filled >= GROUP:
            number, filled = number + 1, 0
    of_image = group[codes]
    order = np.argsort(of_image, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(of_image[order])) + 1)


def _table(a: np.ndarray, b: np.ndarray, compared: dict[str, Compared]) -> pa.Table:
    values = {name: value for one in compared.values() for name, value in one.values.items()}
    values["exact"] = values["exact"] == 1
    chances = rule.probability(values["exact"], {name: one.margin for name, one in compared.items()})
    columns = {"image_a": a, "image_b": b, **values, "probability": chances}
    arrays = {name: pa.array(value, from_pandas=True) for name, value in columns.items()}
    arrays["decision"] = pa.DictionaryArray.from_arrays(rule.decide(chances).astype(np.int32), list(rule.DECISIONS))
    arrays["found_by"] = _found_by({name: hit for one in compared.values() for name, hit in one.found.items()})
    absent = pa.nulls(len(a))
    return pa.table({f.name: arrays.get(f.name, absent).cast(f.type) for f in PAIRS}, schema=PAIRS)


def _found_by(found: dict[str, np.ndarray]) -> pa.DictionaryArray:
    """Columns of the measures that call each pair close, joined by '+'."""
    names = list(found)
    bits = sum(hit.astype(np.int64) << i for i, hit in enumerate(found.values()))
    words = ["+".join(name for i, name in enumerate(names) if code >> i & 1) for code in range(1 << len(names))]
    used, codes = np.unique(bits, return_inverse=True)
    return pa.DictionaryArray.from_arrays(codes.astype(np.int32), pa.array([words[code] for code in used], pa.string()))


def _counts(pairs: pa.Table, source_split: pa.ChunkedArray) -> dict[str, Any]:
    """Pairs by decision and by measure, and those that the rule calls duplicates between two splits of the source."""
    decision = pairs["decision"].cast(pa.string())
    found = pairs["found_by"].cast(pa.string())
    apart = pc.not_equal(*(source_split.take(pairs[side]).cast(pa.string()) for side in ("image_a", "image_b")))
    duplicate = pc.equal(decision, "duplicate")
    return {
        "pairs": len(pairs),
        **{name: _count(pc.equal(decision, name)) for name in rule.DECISIONS},
        "found_by": {m: _count(pc.match_substring_regex(found, rf"(^|\+){m}($|\+)")) for m in FOUND_BY},
        "duplicates_between_splits": _count(pc.and_(duplicate, apart)),
    }


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)
