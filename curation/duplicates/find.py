"""Search a workspace, and its reference sets, for pictures that show the same, and write one table of pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import files
from curation import references as reference_sets
from curation.duplicates import rule, scopes, searched, sources
from curation.duplicates.comparison import Candidates, Comparison, Weighed, weigh
from curation.duplicates.measures import Side
from curation.duplicates.sources import Settings
from curation.engine import Progress, default_workers, quiet
from curation.errors import ArgumentError, CurationError
from curation.exclusions import pairs_path
from curation.judgements import PROBES
from curation.workspace import PAIRS, Workspace


def find(
    workspace: Workspace,
    *,
    metrics: Sequence[str] = ("phash", "cosine"),
    features: str | None = None,
    scope: str = "auto",
    references: Sequence[str] | None = None,
    top_k: int = 30,
    radii: Mapping[str, float] | None = None,
    cosine_margin: float = 0.03,
    compare: str = "proposed",
    geometry: bool = True,
    workers: int | None = None,
    device: str | None = None,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Find exact copies and near duplicates within the workspace, between its splits, and against reference sets.

    Every measure that is asked for proposes pairs from its table of neighbours (`tables`); every pair is then measured
    by all of them, checked by geometry where that could change anything, and the rule decides. Pairs that the rule
    finds next to impossible are counted and left out, unless a published measure that was asked for has them within
    its review radius. Writes duplicates/pairs.parquet and its recipe; what people decided stays in the ledger.

    Args:
        metrics: phash, pixels, fc7, dssim, cosine, or a feature set's name for cosine on it. Exact copies and the
            distances of hashes always count.
        features: feature set for cosine; the first finished one when None, no cosine when there is none.
        scope: where features and pixels look: `all` pairs, inside each `class` (small classes are searched
            together), only between different `splits` of the source, or `auto`: `all` up to 100,000 images, `class`
            beyond. Hashes look everywhere, but for `splits`. Reference sets are always searched in full.
        references: names of reference sets; all that are registered when None.
        top_k: neighbours an image in every table, besides all that are within the radius; the most that hashes may
            propose.
        radii: by measure, the distance at which it proposes a pair, instead of 8 bits of pHash (0 to 16) and the
            published review radii (`sources.REVIEWED`).
        cosine_margin: cosine proposes a pair that is this much more similar than the surroundings of one of the two.
        compare: what DSSIM compares: pairs `proposed` by the other measures, all of a `class`, all of the most
            `similar` classes by mean features, or those of a JSON file {class: [similar classes]}.
        geometry: check pairs by local features.
        workers: threads and processes; the table is the same from any number.
        device: `cpu` or `cuda` for distances; the GPU when there is one and None is given.

    Returns:
        images, pairs, pairs by decision and by measure, duplicates between source splits, duplicates by reference set
        (`against`), pairs left out as improbable, pairs checked by geometry, images that may have had more neighbours
        than they could name, flat images (compared for exact copies only), notes, shards of tables with those computed
        now, and set_aside: usable images that have no feature where features were used.

    Raises:
        ArgumentError: an impossible argument.
        CurationError: no images yet; the features asked for, or those that a measure needs, are missing, unfinished or
            corrupted; the disk is full.
    """
    first = Side(workspace)
    asked = {"top_k": top_k, "radii": radii, "cosine_margin": cosine_margin, "compare": compare, "geometry": geometry}
    settings, notes = settings_of(first, metrics, features, scope, workers=workers, device=device, **asked)
    sides, more = _sides(first, references)
    found: dict[str, tuple[Candidates, Weighed]] = {}
    own = None
    for side in sides:
        comparison = Comparison(first, side, settings, own=own)
        candidates = comparison.candidates(progress)
        own = own or comparison.cosine
        found[side.name] = candidates, weigh(first, side, candidates, settings, progress)
    away, told = _away(workspace) if references is None else (PAIRS.empty_table(), {})
    pairs = pa.concat_tables([*(weighed.pairs for _, weighed in found.values()), away]).unify_dictionaries()
    notes += [*more, *(note for candidates, _ in found.values() for note in candidates.notes)]
    summary = _summary(first, settings, found, pairs) | {"notes": notes}
    seen = dict(sorted((_identity(sides[1:]) | told).items(), key=lambda item: item[0].encode()))
    recipe = settings.recipe() | {"images": len(first), "references": seen, "summary": summary}
    searched.write(workspace, pairs, {"workspace": workspace.id, "rule": rule.numbers()} | recipe)
    tables = {_table_name(m, name): made for name, (c, _) in found.items() for m, made in c.tables.items()}
    return summary | {"tables": tables}


def settings_of(
    first: Side,
    metrics: Sequence[str] = ("phash", "cosine"),
    features: str | None = None,
    scope: str = "auto",
    *,
    top_k: int = 30,
    radii: Mapping[str, float] | None = None,
    cosine_margin: float = 0.03,
    compare: str = "proposed",
    geometry: bool = True,
    workers: int | None = None,
    device: str | None = None,
) -> tuple[Settings, list[str]]:
    """What `find` was asked to do, with the feature sets opened; and what to say of it. Raises as `find` does."""
    scope, reach = scopes.resolve(scope, len(first)), sources.RADII | dict(radii or {})
    sources.check(top_k, reach, compare)
    chosen, named = sources.metrics_of(metrics, features, first.workspace)
    if chosen == ("dssim",) and compare == "proposed":
        raise ArgumentError(
            "DSSIM compares pairs that other measures propose, and no other was named: name one, or what to compare"
        )
    vectors, notes = sources.cosine_features(first.workspace, named) if "cosine" in chosen else (None, [])
    fc7 = sources.fc7_features(first.workspace) if "fc7" in chosen else None
    similar = sources.similar_classes(first, compare, vectors) if "dssim" in chosen else None
    if workers is not None and workers < 1:
        raise ArgumentError(f"{workers} workers cannot search: give 1 or more")
    if device is not None and device.split(":")[0] not in ("cpu", "cuda"):
        raise ArgumentError(f"unknown device {device!r}: choose cpu or cuda")
    workers = workers or default_workers()
    made = vectors, fc7, scope, top_k, reach, cosine_margin, compare, similar, geometry, workers, device
    return Settings(chosen, *made), notes


def _away(workspace: Workspace) -> tuple[pa.Table, dict[str, Any]]:
    """Pairs with reference sets that are on the list and out of reach, as the search before found them: a set that is
    away for a day must not take its leaks along. And what that search saw of those sets."""
    before = searched.recipe(workspace) or {}
    seen = before.get("references", {})
    gone = [name for name in reference_sets.missing(workspace) if name in seen and name != PROBES]
    if not gone or before.get("workspace") != workspace.id:
        return PAIRS.empty_table(), {}
    table = files.read_table(pairs_path(workspace))
    kept = table.filter(pc.is_in(table["reference"].cast(pa.string()), pa.array(gone, pa.string())))
    return kept.select(PAIRS.names).cast(PAIRS), {name: seen[name] for name in gone}


def _sides(first: Side, chosen: Sequence[str] | None) -> tuple[list[Side], list[str]]:
    """The workspace itself, then its reference sets in byte order of names; and what to say of those out of reach."""
    workspace, notes = first.workspace, []
    if chosen is None:
        there, gone = reference_sets.listing(workspace), reference_sets.missing(workspace)
        notes = [f"{reason}. Its pairs are those of the search before, if it had any." for reason in gone.values()]
    else:
        names = sorted(set(chosen), key=str.encode)
        there = {name: reference_sets.open_image_source(workspace, name) for name in names}
    sides = [first]
    for name, other in there.items():
        try:
            sides.append(Side(other, name))
        except CurationError as error:
            notes.append(f"reference set {name!r} was not compared: {error}")
    return sides, notes


def _identity(sides: list[Side]) -> dict[str, Any]:
    return {side.name: reference_sets.state(side.workspace) for side in sides}


def _table_name(measure: str, reference: str) -> str:
    return f"{measure}@{reference}" if reference else measure


def _summary(
    first: Side, settings: Settings, found: Mapping[str, tuple[Candidates, Weighed]], pairs: pa.Table
) -> dict[str, Any]:
    inside = found[""][0]
    return {
        "images": _count(pc.equal(first.images["status"].cast(pa.string()), "ok")),
        **_counts(pairs, first.images["source_split"], settings.metrics),
        "against": {name: _decided(weighed.pairs) for name, (_, weighed) in found.items() if name},
        "improbable": sum(weighed.improbable for _, weighed in found.values()),
        "checked": sum(weighed.checked for _, weighed in found.values()),
        "capped": inside.capped,
        "flat": _count(first.images["flat"]),
        "scope": settings.scope,
        "features": settings.features.name if settings.features else None,
        "set_aside": inside.set_aside,
    }


def _counts(pairs: pa.Table, source_split: pa.ChunkedArray, metrics: Sequence[str]) -> dict[str, Any]:
    """Pairs by decision and by measure, and those that the rule calls duplicates between two splits of the source."""
    found = pairs["found_by"].cast(pa.string())
    names = ("exact", "phash", "phash_mirror", *(name for name in metrics if name != "phash"))
    inside = pairs.filter(pc.equal(pairs["reference"].cast(pa.string()), ""))
    split = source_split.cast(pa.string())
    apart = pc.not_equal(*(split.take(inside[side]) for side in ("image_a", "image_b")))
    duplicate = pc.equal(inside["decision"].cast(pa.string()), "duplicate")
    return {
        "pairs": len(pairs),
        **_decided(pairs),
        "found_by": {m: _count(pc.match_substring_regex(found, rf"(^|\+){m}($|\+)")) for m in names},
        "duplicates_between_splits": _count(pc.and_(duplicate, apart)),
    }


def _decided(pairs: pa.Table) -> dict[str, int]:
    decision = pairs["decision"].cast(pa.string())
    return {name: _count(pc.equal(decision, name)) for name in rule.DECISIONS}


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)
