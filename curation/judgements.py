"""What people said about pairs of images, read from the ledger and settled when several of them did.

A pair's status is the latest adjudication (`pair.final`) where there is one; else what the latest `pair` verdicts of
all its reviewers agree on; else "contested".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.errors import CurationError
from curation.workspace import Workspace

KINDS = ("pair", "pair.final")
VERDICTS = ("duplicate", "related", "different", "unsure")
CONTESTED = "contested"
PROBES = "probes"
"""The reference set of planted probes: edited copies that count neither as duplicates nor as leaks."""
UNTOLD = 2**31
"""Number of images of a reference set that is on the list and cannot be opened now."""
SUBJECT = r"^(?P<a>[0-9]{1,10})-(?:(?P<reference>[A-Za-z0-9][A-Za-z0-9._-]{0,79}):)?(?P<b>[0-9]{1,10})$"


class Pairs(NamedTuple):
    """Subjects taken apart.

    Attributes:
        image_a, image_b: int64 (n,); of this workspace with the smaller first, or image_b is of the reference set.
        reference: object (n,), '' where both images are of this workspace.
        known: bool (n,), whether it is a pair of images that exist.
        elsewhere: bool (n,), whether it is about a reference set that is not on the list.
    """

    image_a: np.ndarray
    image_b: np.ndarray
    reference: np.ndarray
    known: np.ndarray
    elsewhere: np.ndarray


def subject(image_a: int, image_b: int, reference: str = "") -> str:
    """The ledger's name of a pair: `12-40`, or `12-NAME:40` for image 40 of a reference set."""
    return f"{image_a}-{reference}:{image_b}" if reference else f"{image_a}-{image_b}"


def subjects(image_a: pa.Array, image_b: pa.Array, reference: pa.Array) -> pa.Array:
    """`subject` of many pairs, as strings."""
    text = reference.cast(pa.string())
    named = pc.if_else(pc.equal(text, ""), "", pc.binary_join_element_wise(text, "", ":"))
    second = pc.binary_join_element_wise(named, image_b.cast(pa.string()), "")
    return pc.binary_join_element_wise(image_a.cast(pa.string()), second, "-")


def counts(workspace: Workspace) -> dict[str, int]:
    """How many images this workspace (under '') and each of its reference sets has; `UNTOLD` where one is missing."""
    from curation import references  # it takes PROBES from here

    there = {"": workspace, **references.listing(workspace)}
    return dict.fromkeys(references.paths(workspace), UNTOLD) | {name: _rows(source) for name, source in there.items()}


def _rows(source: Workspace) -> int:
    return pq.read_metadata(source.images_path).num_rows if source.images_path.is_file() else 0


def parse(text: pd.Series, images: Mapping[str, int]) -> Pairs:
    """Take the subjects of `pair` events apart; `images` is what `counts` gives."""
    parts = pc.extract_regex(pa.array(text, pa.string()), SUBJECT)
    well = pc.is_valid(parts).to_numpy(zero_copy_only=False)
    sides = [pc.struct_field(parts, side).fill_null("0").cast(pa.int64()).to_numpy() for side in "ab"]
    reference = pc.struct_field(parts, "reference").fill_null("").dictionary_encode()
    names = np.array(reference.dictionary.to_pylist(), object)
    codes = reference.indices.to_numpy(zero_copy_only=False)
    most = np.array([images.get(name, -1) for name in names], np.int64)[codes]
    own = (names == "")[codes]
    first, second = np.where(own, np.minimum(*sides), sides[0]), np.where(own, np.maximum(*sides), sides[1])
    well &= first < images[""]
    known = well & (second < most) & (~own | (first < second))
    return Pairs(first, second, names[codes], known, well & (most < 0))


def read(workspace: Workspace, *, until: int | None = None) -> pd.DataFrame:
    """Verdicts on pairs that stand, in the order in which they were given: `Ledger.standing` with the pair taken apart.

    Verdicts about a reference set that was taken off the list are left out; they count again when it is back.

    Columns image_a, image_b (int64), reference ('' where both are of this workspace), position, event_id, kind,
    subject, verdict, reviewer, note, time.

    Raises:
        CurationError: an event is about no pair of images of this workspace, or has an unknown verdict.
    """
    said = workspace.ledger.standing(KINDS, until=until)
    if not len(said):
        return said.assign(image_a=np.zeros(0, np.int64), image_b=np.zeros(0, np.int64), reference="")
    images = counts(workspace)
    pairs = parse(said["subject"], images)
    check(said, pairs, images)
    said = said.assign(image_a=pairs.image_a, image_b=pairs.image_b, reference=pairs.reference)
    return said[~pairs.elsewhere].reset_index(drop=True)


def check(said: pd.DataFrame, pairs: Pairs, images: Mapping[str, int]) -> None:
    """Name the first event that is about no pair, or says what no verdict says.

    Raises:
        CurationError: there is one.
    """
    a_pair, spoken = pairs.known | pairs.elsewhere, said["verdict"].isin(VERDICTS).to_numpy(bool)
    if (a_pair & spoken).all():
        return
    at = int(np.argmin(a_pair & spoken))
    bad, name = said.iloc[at], pairs.reference[at]
    about = f"event {bad['event_id']} (position {bad['position']}) of the ledger"
    if a_pair[at]:
        raise CurationError(
            f"{about} says {bad['verdict']!r} of the pair {bad['subject']!r}, and a verdict is one of "
            f"{', '.join(VERDICTS)}: undo that event"
        )
    among = f" and the {images[name]:,} images of {name!r}" if name else ""
    raise CurationError(
        f"{about} is about the pair {bad['subject']!r}, which is no pair of this workspace's {images['']:,} images"
        f"{among}: undo that event"
    )


class Settled(NamedTuple):
    """Pairs with at least one standing event, ascending; each array has one row for each.

    Attributes:
        pair: the pair's number.
        verdict: what it is settled as, -1 while contested.
        row: the event to name for it: the adjudication where there is one, else the last verdict.
        reviewers: how many people's `pair` verdicts stand.
        final: whether it was adjudicated.
        words: rows of the events that count: everybody's last verdict on a pair, and its last adjudication.
    """

    pair: np.ndarray
    verdict: np.ndarray
    row: np.ndarray
    reviewers: np.ndarray
    final: np.ndarray
    words: np.ndarray


def settle(pair: np.ndarray, reviewer: np.ndarray, verdict: np.ndarray, final: np.ndarray) -> Settled:
    """Settle pairs from standing events in their order.

    Args:
        pair: (n,) integers that name the pair of each event.
        reviewer, verdict: (n,) integers from 0.
        final: bool (n,), adjudications.
    """
    if not len(pair):
        empty = np.zeros(0, np.int64)
        return Settled(empty, empty, empty, empty, empty.astype(bool), empty)
    who = np.where(final, -1, reviewer)  # the last adjudication counts, whoever gave it
    row = np.lexsort((np.arange(len(pair)), who, final, pair))
    differs = [np.diff(column[row]) != 0 for column in (pair, final, who)]
    row = row[np.append(np.logical_or.reduce(differs), True)]  # the last word of each reviewer
    start = np.flatnonzero(np.append(True, np.diff(pair[row]) != 0))
    end = np.append(start[1:], len(row)) - 1
    said, closing = verdict[row], final[row]
    closed = closing[end]
    low = np.minimum.reduceat(np.where(closing, len(VERDICTS), said), start)
    high = np.maximum.reduceat(np.where(closing, -1, said), start)
    latest = np.maximum.reduceat(np.where(closing, -1, row), start)
    return Settled(
        pair[row[end]],
        np.where(closed, said[end], np.where(low == high, low, -1)),
        np.where(closed, row[end], latest),
        end - start + 1 - closed,
        closed,
        row,
    )


def verdicts(workspace: Workspace, *, until: int | None = None) -> pd.DataFrame:
    """What people settled on each pair that anybody judged, in the order of the events that settled it.

    An adjudication (`pair.final`) stands above all; else what the latest verdicts of all reviewers agree on; else the
    pair is `contested`.

    Args:
        until: take events only to this position of the ledger.

    Returns:
        Columns image_a, image_b (int64; image_a < image_b where both are of this workspace), reference ('' or the
        reference set that image_b is of), verdict (duplicate, related, different, unsure or contested), then reviewer,
        note, position and event_id of the event that settled it or came last, reviewers (people whose verdicts stand)
        and final (whether it was adjudicated).

    Raises:
        CurationError: an event is about no pair of images of this workspace, or its verdict is unknown.
    """
    said = read(workspace, until=until)
    pair = said.groupby(["reference", "image_a", "image_b"], sort=False).ngroup().to_numpy()
    reviewer = pd.factorize(said["reviewer"])[0]
    verdict = pd.Index(VERDICTS).get_indexer(said["verdict"])
    settled = settle(pair, reviewer, verdict, (said["kind"] == "pair.final").to_numpy(bool))
    words = np.array([*VERDICTS, CONTESTED], object)[settled.verdict]
    found = said.iloc[settled.row][["image_a", "image_b", "reference", "reviewer", "note", "position", "event_id"]]
    found.insert(3, "verdict", words)
    found = found.assign(reviewers=settled.reviewers, final=settled.final)
    return found.sort_values("position", ignore_index=True)
