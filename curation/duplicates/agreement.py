"""How far reviewers agree with each other and with what was adjudicated, and how fast they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from curation import judgements
from curation.workspace import Workspace

PAUSE = 300.0
"""Seconds; a longer gap between two verdicts of a person is a pause and counts for nothing."""
KAPPA = pa.schema(
    [("first", pa.string()), ("second", pa.string()), ("pairs", pa.int64()), ("agreed", pa.int64())]
    + [(name, pa.float64()) for name in ("kappa", "low", "high")]
)
REVIEWERS = pa.schema(
    {
        "reviewer": pa.string(),
        "verdicts": pa.int64(),  # pairs on which a verdict of the person stands
        "hours": pa.float64(),  # spent judging, pauses left out
        "pace": pa.float64(),  # verdicts an hour of these; null before there are two without a pause between them
        "adjudicated": pa.int64(),  # of the pairs, adjudicated since
        "upheld": pa.int64(),  # of those, as the person had said
    }
)


def kappa(workspace: Workspace, *, until: int | None = None) -> pa.Table:
    """Agreement of every two reviewers beyond chance, on the pairs that both judged: schema `KAPPA`.

    Cohen's kappa (Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement
    20, 1960) over the four verdicts, with a 95 % interval by the large-sample variance of Fleiss, Cohen and Everitt
    (Psychological Bulletin 72, 1969), cut at -1 and 1; null where both always said the same one thing. Planted probes
    count: reviewers do not know them. Sorted by the names, first < second.

    Args:
        until: take verdicts only to this position of the ledger.
    """
    said = _latest(_read(workspace, until))[["pair", "reviewer", "code"]]
    both = said.merge(said, on="pair", suffixes=("", "_too"))
    both = both[both["reviewer"] < both["reviewer_too"]]
    rows = []
    for (first, second), pairs in both.groupby(["reviewer", "reviewer_too"], sort=True):
        table = np.zeros((len(judgements.VERDICTS),) * 2)
        np.add.at(table, (pairs["code"].to_numpy(), pairs["code_too"].to_numpy()), 1)
        value, low, high = cohen(table)
        rows.append((first, second, len(pairs), int(np.trace(table)), value, low, high))
    columns = zip(*rows, strict=True) if rows else [[]] * len(KAPPA)
    return pa.table([pa.array(c, f.type, from_pandas=True) for c, f in zip(columns, KAPPA, strict=True)], schema=KAPPA)


def cohen(table: np.ndarray) -> tuple[float, float, float]:
    """Cohen's kappa of a square table of counts, and its 95 % interval; NaN where chance alone gives full agreement."""
    share = table / max(table.sum(), 1)
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    observed, expected = float(np.trace(share)), float(rows @ columns)
    if expected >= 1 or not table.sum():
        return (float("nan"),) * 3
    value = (observed - expected) / (1 - expected)
    mean = rows[None, :] + columns[:, None]  # of cell (i, j): row total of j plus column total of i
    on = (np.diag(share) * ((1 - expected) - (rows + columns) * (1 - observed)) ** 2).sum()
    off = (1 - observed) ** 2 * (share * mean**2)[~np.eye(len(share), dtype=bool)].sum()
    centre = (observed * expected - 2 * expected + observed) ** 2
    spread = 1.959964 * np.sqrt(max(on + off - centre, 0) / table.sum()) / (1 - expected) ** 2
    return value, max(value - spread, -1.0), min(value + spread, 1.0)


def reviewers(workspace: Workspace, *, until: int | None = None) -> pa.Table:
    """What each reviewer has done, how fast, and how often an adjudication upheld it: schema `REVIEWERS`, by name.

    Pace is the number of verdicts that followed another within five minutes, by the time between them; adjudications
    count as verdicts there. How often reviewers are right about planted probes is told by `probes.reviewers`.

    Args:
        until: take verdicts only to this position of the ledger.
    """
    events = _read(workspace, until)
    said = _latest(events)
    finals = events[events["kind"] == "pair.final"].drop_duplicates("pair", keep="last")
    ended = said["pair"].map(dict(zip(finals["pair"], finals["verdict"], strict=True)))
    said = said.assign(adjudicated=ended.notna(), upheld=ended == said["verdict"])
    table = said.groupby("reviewer").agg(
        verdicts=("pair", "size"), adjudicated=("adjudicated", "sum"), upheld=("upheld", "sum")
    )
    table = _pace(events).join(table, how="outer").sort_index().reset_index(names="reviewer")
    counted = {name: table[name].fillna(0).astype(np.int64) for name in ("verdicts", "adjudicated", "upheld")}
    table = table.assign(**counted)
    return pa.table({f.name: pa.array(table[f.name], f.type, from_pandas=True) for f in REVIEWERS}, schema=REVIEWERS)


def _read(workspace: Workspace, until: int | None) -> pd.DataFrame:
    """Standing events, and a number for each pair: subjects may be spelt in two ways."""
    events = judgements.read(workspace, until=until)
    return events.assign(pair=events.groupby(["reference", "image_a", "image_b"], sort=False).ngroup())


def _latest(events: pd.DataFrame) -> pd.DataFrame:
    """Everybody's last verdict on each pair, and its place in `judgements.VERDICTS` as code."""
    said = events[events["kind"] == "pair"].drop_duplicates(["reviewer", "pair"], keep="last")
    return said.assign(code=pd.Index(judgements.VERDICTS).get_indexer(said["verdict"]))


def _pace(events: pd.DataFrame) -> pd.DataFrame:
    """hours and pace by reviewer."""
    at = pd.to_datetime(events["time"], utc=True, format="ISO8601")
    frame = pd.DataFrame({"reviewer": events["reviewer"], "at": at}).sort_values(["reviewer", "at"], kind="stable")
    gap = frame.groupby("reviewer")["at"].diff().dt.total_seconds()
    frame = frame.assign(gap=gap.where(gap <= PAUSE))
    total = frame.groupby("reviewer")["gap"].agg(["sum", "count"])
    hours = total["sum"] / 3600
    return pd.DataFrame({"hours": hours, "pace": total["count"] / hours.where(hours > 0)})
