"""One side compared with another: proposals of every measure, all of them measured, checked and weighed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.duplicates import probes, rule, scopes, sources, tables
from curation.duplicates.hashes import Exact, PerceptualHash
from curation.duplicates.measures import FAR, Compared, Measure, Proposals, Side
from curation.duplicates.neighbours import unique_pairs
from curation.duplicates.rendered import Dssim
from curation.duplicates.scopes import Plan
from curation.duplicates.sources import Settings
from curation.duplicates.vectors import Cosine
from curation.engine import Progress, quiet
from curation.judgements import PROBES
from curation.workspace import PAIRS


class Candidates(NamedTuple):
    """Pairs that measures propose, and what all measures say of them.

    Attributes:
        a, b: ids, int64 (P,), sorted; inside a workspace a < b.
        compared: by measure.
        capped: by measure, how many images may have had more neighbours than they could name.
        tables: by measure, how many shards its table has and how many were computed.
        set_aside: usable images of the first side that have no feature where features were used.
        notes: what could not be measured, and what to do.
    """

    a: np.ndarray
    b: np.ndarray
    compared: dict[str, Compared]
    capped: dict[str, int]
    tables: dict[str, dict[str, int]]
    set_aside: int
    notes: list[str]

    @property
    def exact(self) -> np.ndarray:
        """Bool (P,), same decoded pixels."""
        return self.compared["exact"].values["exact"] == 1

    @property
    def margins(self) -> dict[str, np.ndarray]:
        """By measure, how far each pair stands out; what the rule weighs."""
        return {name: one.margin for name, one in self.compared.items() if one.margin is not None}


class Comparison:
    """The workspace with itself, or with a reference set."""

    def __init__(self, first: Side, second: Side, settings: Settings, *, own: Cosine | None = None) -> None:
        """`own`: the cosine inside the first side, once it has learnt the surroundings there."""
        self.first, self.second, self.settings, self.own = first, second, settings, own
        self.inside = first is second
        self.cosine: Cosine | None = None

    def candidates(self, progress: Progress = quiet) -> Candidates:
        """Propose pairs by every measure that was asked for, and compare all of them by all."""
        settings = self.settings
        chosen = sources.choose(self.first, self.second, settings, self.own, progress)
        exact = Exact(self.first, self.second, neighbours=settings.top_k)
        proposals = {"exact": exact.propose(self._plan("exact"))}
        progress(1, 1, "exact copies")
        made: dict[str, dict[str, int]] = {}
        for measure in chosen.measures:
            if measure.name in settings.metrics:
                proposals[measure.name], made[measure.name] = self._propose(measure, progress)
        measures = list(chosen.measures)
        if chosen.dssim:
            measures.append(chosen.dssim(self._together(proposals)))
            proposals["dssim"], made["dssim"] = self._propose(measures[-1], progress)
        pairs = self._together(proposals)
        if self.second.name == PROBES:
            pairs = self._planted(pairs)
        compared = {"exact": exact.compare(pairs.a, pairs.b)}
        compared |= {measure.name: self._compare(measure, pairs, progress) for measure in measures}
        capped = {name: len(found.capped) for name, found in proposals.items()}
        lost = self.first.usable & ~self.cosine.known[0] if self.cosine else np.zeros(0, bool)
        return Candidates(pairs.a, pairs.b, compared, capped, made, int(lost.sum()), chosen.notes)

    def _plan(self, name: str) -> Plan:
        """Hashes look everywhere, unless only splits are compared; DSSIM looks where it was told to."""
        settings = self.settings
        if name == "dssim" and settings.compare != "proposed":
            return scopes.classes(self.first.images, self.second.images, settings.similar)
        if not self.inside or name == "dssim":
            return scopes.everything(len(self.first), len(self.second))
        everywhere = name in ("exact", "phash") and settings.scope != "splits"
        return scopes.within("all" if everywhere else settings.scope, self.first.images)

    def _propose(self, measure: Measure, progress: Progress) -> tuple[Proposals, dict[str, int]]:
        settings, workspace = self.settings, self.first.workspace
        plan, radius = self._plan(measure.name), settings.radii.get(measure.name)
        # The surroundings reach to the 30th nearest, whatever may be proposed.
        top_k = max(settings.top_k, FAR) if measure.name == "cosine" else settings.top_k
        scope = settings.compare if measure.name == "dssim" else settings.scope
        options = {"scope": scope, "top_k": top_k, "radius": radius, "progress": progress}
        made = tables.compute(workspace, measure, plan, **options)
        shards = (workspace, measure.name, self.second.name)
        if isinstance(measure, Cosine):
            self.cosine = measure
            measure.learn(tables.shards(*shards), plan)
            return measure.propose(tables.shards(*shards), settings.top_k, radius), made
        if isinstance(measure, PerceptualHash):
            return measure.propose(tables.shards(*shards), settings.top_k), made
        return measure.propose(tables.shards(*shards)), made

    def _together(self, proposals: Mapping[str, Proposals]) -> Proposals:
        """All proposed pairs, each once; only those between splits where that is the scope."""
        a, b = unique_pairs(*(np.concatenate([getattr(p, side) for p in proposals.values()]) for side in "ab"))
        if self.inside and self.settings.scope == "splits":
            split, _ = scopes.codes(self.first.images["source_split"])
            apart = split[a] != split[b]
            a, b = a[apart], b[apart]
        return Proposals(a, b, a[:0])

    def _planted(self, pairs: Proposals) -> Proposals:
        """Of planted probes only pairs whose truth is known: proposed ones with their originals, and look-alikes."""
        known = probes.planted(self.first.workspace)
        copy = pc.equal(known["truth"], "duplicate").to_numpy()
        a, b = (known[side].to_numpy().astype(np.int64) for side in ("image_a", "image_b"))
        found = ~copy | np.isin(a << 32 | b, pairs.a << 32 | pairs.b)
        return Proposals(*unique_pairs(a[found], b[found]), pairs.a[:0])

    def _compare(self, measure: Measure, pairs: Proposals, progress: Progress) -> Compared:
        if not isinstance(measure, Dssim):
            return measure.compare(pairs.a, pairs.b, progress)
        # It costs milliseconds a pair, and the table has most of them.
        found = tables.shards(self.first.workspace, measure.name, self.second.name)
        values = tables.lookup(found, pairs.a, pairs.b)
        todo = np.flatnonzero(np.isnan(values))
        values[todo] = measure.compare(pairs.a[todo], pairs.b[todo], progress).values[measure.name]
        return Compared({measure.name: values}, {measure.name: values <= measure.radius})


class Weighed(NamedTuple):
    """A table of pairs (schema PAIRS), how many were left out as improbable, and how many geometry looked at."""

    pairs: pa.Table
    improbable: int
    checked: int


def weigh(first: Side, second: Side, found: Candidates, settings: Settings, progress: Progress = quiet) -> Weighed:
    """Check by geometry the pairs that it could change, decide on all, and leave out those next to impossible.

    A pair within the review radius of a measure that was asked for stays: it is what people review.
    """
    exact, margins = found.exact, found.margins
    inliers, transform, score = np.full(len(exact), -1, np.int16), np.full((len(exact), 6), np.nan, np.float32), None
    worth = np.zeros(0, np.int64)
    if settings.geometry:
        from curation.duplicates import geometry

        worth = np.flatnonzero(rule.worth_checking(exact, margins))
        sides = first.workspace, found.a[worth], second.workspace, found.b[worth]
        checked = geometry.check(*sides, workers=settings.workers, progress=progress)
        score = np.full(len(exact), np.nan)
        inliers[worth], transform[worth], score[worth] = checked
    chances = rule.probability(exact, margins, score)
    close = {name: hit for one in found.compared.values() for name, hit in one.found.items()}
    kept = chances >= rule.WORTH_KEEPING
    if second.name == PROBES:
        kept[:] = True  # they measure what is found and what is mistaken, whatever the rule says of them
    for name in sources.REVIEWED:
        if name in settings.metrics and name in close:
            kept |= close[name]
    values = {name: value for one in found.compared.values() for name, value in one.values.items()}
    columns = {"image_a": found.a, "image_b": found.b, **values, "exact": exact, "probability": chances}
    columns = {name: value[kept] for name, value in columns.items()}
    arrays: dict[str, Any] = {name: pa.array(value, from_pandas=True) for name, value in columns.items()}
    arrays |= _words(second.name, chances[kept], {name: hit[kept] for name, hit in close.items()})
    arrays |= _geometry(inliers[kept], transform[kept])
    absent = pa.nulls(int(kept.sum()))
    table = pa.table({f.name: arrays.get(f.name, absent).cast(f.type) for f in PAIRS}, schema=PAIRS)
    return Weighed(table, int((~kept).sum()), len(worth))


def _words(reference: str, chances: np.ndarray, close: Mapping[str, np.ndarray]) -> dict[str, pa.Array]:
    """Reference set, decision, and the measures that call each pair close, joined by '+'."""
    names = list(close)
    bits = sum((hit.astype(np.int64) << i for i, hit in enumerate(close.values())), np.zeros(len(chances), np.int64))
    used, codes = np.unique(bits, return_inverse=True)
    words = ["+".join(name for i, name in enumerate(names) if code >> i & 1) for code in used.tolist()]
    code = pa.DictionaryArray.from_arrays
    return {
        "reference": code(np.zeros(len(chances), np.int32), pa.array([reference])),
        "decision": code(rule.decide(chances).astype(np.int32), pa.array(list(rule.DECISIONS))),
        "found_by": code(codes.astype(np.int32), pa.array(words, pa.string())),
    }


def _geometry(inliers: np.ndarray, transform: np.ndarray) -> dict[str, pa.Array]:
    """Null where geometry did not look, or found no transform."""
    none = np.isnan(transform).any(axis=1)
    flat = pa.array(np.ascontiguousarray(transform, np.float32).ravel())
    return {
        "inliers": pa.array(inliers, mask=inliers < 0),
        "transform": pa.FixedSizeListArray.from_arrays(flat, 6, mask=pa.array(none)),
    }
