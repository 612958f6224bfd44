"""How likely pairs are duplicates by distance, learnt from verdicts, and how many are left unseen: when to stop.

Pairs at one distance that were judged stand for those that were not. That is true where the choice of what to judge
went by that distance; the queue by uncertainty chooses by probability, so `probability` is the measure that this
choice cannot mislead, and others need some verdicts in their own order.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curation import policies
from curation.duplicates import monotone
from curation.duplicates.court import CONTESTED, UNJUDGED, court
from curation.errors import ArgumentError
from curation.judgements import VERDICTS
from curation.workspace import Workspace

BAND = 0.96
"""Level of the band; the rest of 95 % is left for what chance does to a count."""
SLACK = 0.005
"""With what each end of a count may fail beyond the band."""
NOTE = (
    "Pairs at one distance that were judged stand for those that were not. The queue by uncertainty chooses by "
    "probability: judge some pairs in the order of this measure too."
)
FEW = 50
"""With fewer verdicts an estimate is told with a warning."""
DUPLICATE = VERDICTS.index("duplicate")
CURVE = pa.schema([(name, pa.float64()) for name in ("distance", "chance", "low", "high")])
RATES = pa.schema(
    [("nearest", pa.float64()), ("farthest", pa.float64()), ("judged", pa.int64()), ("duplicates", pa.int64())]
    + [(name, pa.float64()) for name in ("rate", "low", "high")]
)
LINES = pa.schema(
    [("threshold", pa.float64()), ("undecided", pa.int64())] + [(n, pa.float64()) for n in ("estimated", "low", "high")]
)


class Calibration(NamedTuple):
    """What verdicts say about one measure, as distances (see `orders.distance`); planted probes are left out.

    Attributes:
        measure: its name.
        judged, duplicate: float64 and bool (N,), distances of the judged pairs and what they were settled as; related,
            different, unsure and contested are not duplicates here.
        undecided: float64 (M,) ascending, distances of the pairs that nobody judged.
        told: pairs by verdict, `contested` among them.
        curve: the fit and its band.
    """

    measure: str
    judged: np.ndarray
    duplicate: np.ndarray
    undecided: np.ndarray
    told: dict[str, int]
    curve: monotone.Curve


def calibrate(workspace: Workspace, measure: str, *, until: int | None = None) -> Calibration:
    """Fit the share of duplicates against a measure's distance.

    Args:
        measure: one of `orders.MEASURES`.
        until: take verdicts only to this position of the ledger.

    Raises:
        ArgumentError: unknown measure.
    """
    now = court(workspace, until=until)
    distance, status = now.found.distance(measure), now.status[: len(now.found.keys)]
    looked = ~np.isnan(distance) & ~now.found.probe
    judged = looked & (status != UNJUDGED)
    told = {word: int((judged & (status == code)).sum()) for code, word in enumerate(VERDICTS)}
    told["contested"] = int((judged & (status == CONTESTED)).sum())
    duplicate = status[judged] == DUPLICATE
    curve = monotone.fit(distance[judged], duplicate, level=BAND)
    undecided = np.sort(distance[looked & (status == UNJUDGED)])
    return Calibration(measure, distance[judged], duplicate, undecided, told, curve)


def curve(calibration: Calibration) -> pa.Table:
    """The fit and its band where they change, to be drawn as steps: schema `CURVE`."""
    steps = np.column_stack([calibration.curve.chance, calibration.curve.low, calibration.curve.high])
    changes = np.ones(len(steps), bool)
    changes[1:-1] = (np.diff(steps, axis=0) != 0).any(axis=1)[:-1]
    kept = np.column_stack([calibration.curve.distance, steps])[changes]
    return pa.table(list(kept.reshape(-1, 4).T), schema=CURVE)


def rates(calibration: Calibration, *, bins: int = 20) -> pa.Table:
    """The share of duplicates among judged pairs, by groups of like size from near to far: schema `RATES`.

    low and high are the 95 % Clopper-Pearson interval of each group by itself.
    """
    order = np.argsort(calibration.judged, kind="stable")
    distance, yes = calibration.judged[order], calibration.duplicate[order]
    cuts = np.linspace(0, len(distance), min(bins, len(distance)) + 1).astype(int)
    # Equal distances stay in one group.
    cuts = np.unique(np.searchsorted(distance, distance[cuts[1:-1]])) if len(cuts) > 2 else cuts[:0]
    cuts = np.unique(np.concatenate([[0], cuts, [len(distance)]])).astype(int)
    begin, end = cuts[:-1], cuts[1:]
    duplicates = np.append(0, np.cumsum(yes))
    duplicates = duplicates[end] - duplicates[begin]
    low, high = monotone.clopper_pearson(duplicates, end - begin, 0.025)
    columns = [distance[begin], distance[end - 1], end - begin, duplicates, duplicates / (end - begin), low, high]
    return pa.table([pa.array(c).cast(f.type) for c, f in zip(columns, RATES, strict=True)], schema=RATES)


def lines(calibration: Calibration, *, count: int = 60) -> pa.Table:
    """How many undecided pairs lie within a distance, and how many of them are duplicates: schema `LINES`.

    At up to `count` thresholds among the distances of undecided pairs. low and high hold together for all thresholds.
    """
    if not len(calibration.undecided):
        return LINES.empty_table()
    thresholds = np.unique(np.quantile(calibration.undecided, np.linspace(0, 1, count), method="higher"))
    within = np.searchsorted(calibration.undecided, thresholds, side="right")
    sums = [np.append(0, np.cumsum(part))[within] for part in calibration.curve.at(calibration.undecided)]
    low, high = _count(within, sums[1], sums[2])
    return pa.table([thresholds, within, sums[0], low, high], schema=LINES)


def line(calibration: Calibration, *, threshold: float | None = None) -> dict[str, Any]:
    """The stopping line: of the undecided pairs within `threshold` (all, when None), how many are duplicates.

    Returns:
        measure, threshold, undecided, estimated (the sum of their chances), error (to the upper end), low, high (95 %,
        at whatever threshold one looks), verdicts, the verdicts by kind, note (on what the estimate rests) and text,
        which says it in a sentence.
    """
    inside = calibration.undecided
    inside = inside if threshold is None else inside[inside <= threshold]
    sums = [float(part.sum()) for part in calibration.curve.at(inside)]
    low, high = (float(end[0]) for end in _count(np.array([len(inside)]), np.array(sums[1:2]), np.array(sums[2:])))
    verdicts = calibration.curve.observed
    where = "" if threshold is None else f" within {calibration.measure} {threshold:g}"
    text = (
        f"{len(inside):,} pairs{where} are unseen, of which an estimated {sums[0]:,.1f} are duplicates "
        f"({low:,.0f} to {high:,.0f})"
    )
    if verdicts < FEW:
        text += f"; only {verdicts} verdicts tell so far"
    return {
        "measure": calibration.measure,
        "threshold": threshold,
        "undecided": len(inside),
        "estimated": sums[0],
        "error": high - sums[0],
        "low": low,
        "high": high,
        "verdicts": verdicts,
        **calibration.told,
        "note": "" if calibration.measure == "probability" else NOTE,
        "text": text,
    }


def stop(
    workspace: Workspace,
    measure: str,
    tolerated: float | None = None,
    *,
    threshold: float | None = None,
    until: int | None = None,
) -> dict[str, Any]:
    """What `advise` says of a measure as the verdicts stand.

    Args:
        tolerated: the workspace's policy of that name when None.
        threshold: care only for pairs within this distance.
        until: take verdicts, and the policy, only to this position of the ledger.

    Raises:
        ArgumentError: unknown measure, or `tolerated` is below 0.
    """
    tolerated = policies.number(workspace, "tolerated", until=until) if tolerated is None else float(tolerated)
    return advise(calibrate(workspace, measure, until=until), tolerated, threshold=threshold)


def advise(calibration: Calibration, tolerated: float, *, threshold: float | None = None) -> dict[str, Any]:
    """Whether enough pairs were judged for at most `tolerated` duplicates to stay unseen.

    Args:
        threshold: care only for pairs within this distance.

    Returns:
        What `line` gives, tolerated, advice (`stop` or `look`), next (how many pairs to look at, nearest first, if
        chances are what the band's upper end says; verdicts narrow the band, so it is an upper bound), to (the
        distance that these pairs reach), and needed (judged pairs without a duplicate, no farther than the undecided
        ones, that would let the band say so by itself).

    Raises:
        ArgumentError: `tolerated` is below 0.
    """
    if not tolerated >= 0:
        raise ArgumentError(f"{tolerated:g} duplicates cannot be tolerated: name a number from 0")
    found = line(calibration, threshold=threshold)
    inside = calibration.undecided[: found["undecided"]]
    upper = np.append(np.cumsum(calibration.curve.at(inside)[2][::-1])[::-1], 0.0)

    def enough(looked: int) -> bool:
        rest = np.array([len(inside) - looked])
        return bool(_count(rest, np.zeros(1), upper[looked : looked + 1])[1][0] <= tolerated)

    next_ = bisect_left(range(len(inside) + 1), True, key=enough)
    advice = "look" if next_ else "stop"
    verb = "stop"
    if next_:
        verb = f"look at the next {next_:,} pairs, up to {calibration.measure} {inside[next_ - 1]:g}"
    return found | {
        "tolerated": tolerated,
        "advice": advice,
        "next": next_,
        "to": float(inside[next_ - 1]) if next_ else None,
        "needed": _needed(len(inside), tolerated, calibration.curve) if next_ else 0,
        "text": f"{found['text']}; {tolerated:g} are tolerated: {verb}",
    }


def _count(of: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of a count of yes among `of` independent ones whose chances sum to something from `low` to `high`.

    Of all such counts the binomial one has the heaviest tails: Hoeffding, "On the distribution of the number of
    successes in independent trials", Annals of Mathematical Statistics 27 (1956).
    """
    from scipy.stats import binom

    most = np.maximum(of, 1)
    ends = binom.ppf(SLACK, of, np.clip(low / most, 0, 1)), binom.ppf(1 - SLACK, of, np.clip(high / most, 0, 1))
    return np.where(of > 0, np.maximum(ends[0], 0), 0.0), np.where(of > 0, np.maximum(ends[1], 0), 0.0)


def _needed(undecided: int, tolerated: float, found: monotone.Curve) -> int:
    """Observations without a yes after which the band's upper end is low enough for so many undecided pairs."""
    share = min(max(tolerated, 0.5) / max(undecided, 1), 0.5)
    tail = found.tail if found.observed else (1 - BAND) / (monotone.RUNS * (monotone.RUNS + 1))
    return int(np.ceil(np.log(tail) / np.log1p(-share)))
