"""Images that people or near-duplicate pairs keep out of splits, each with the reason.

Everything here follows from duplicates/pairs.parquet and the ledger, up to any of its positions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.workspace import PAIRS, Workspace

EXCLUSIONS = pa.schema({"image_id": pa.int32(), "reason": pa.string()})
POLICIES = ("decided", "verdicts", "ignore")
PAIR = r"^(?P<a>[0-9]{1,10})-(?P<b>[0-9]{1,10})$"
MEASURES = ("exact", "phash", "phash_mirror", "cosine")


def exclusions(workspace: Workspace, *, duplicates: str = "decided", until: int | None = None) -> pa.Table:
    """Images to leave out: those a person excluded, and all but one image of every group of near duplicates.

    A group is a connected component of duplicate pairs. Its largest picture (width x height) stays, the smaller id
    where two are as large; a picture that is broken, gone or excluded by a person stays only out.

    Args:
        duplicates: `decided`: pairs that the rule calls duplicates, where a person's latest verdict overrules it
            either way (`unsure` leaves both images in); `verdicts`: only pairs that a person calls duplicates;
            `ignore`: none.
        until: take people's decisions only to this position of the ledger.

    Returns:
        image_id int32, ascending, and reason.

    Raises:
        ArgumentError: unknown `duplicates`.
        CurationError: the pairs, or an event of the ledger, name images that the workspace does not have.
    """
    if duplicates not in POLICIES:
        raise ArgumentError(f"unknown policy {duplicates!r} for duplicates: choose one of {', '.join(POLICIES)}")
    images = workspace.images(["width", "height", "status"])
    people = _by_people(workspace, until, len(images))
    ids, reasons = people["image_id"].to_numpy(), people["reason"].to_numpy(object)
    if duplicates != "ignore":
        pairs = duplicate_pairs(workspace, rule=duplicates == "decided", until=until)
        area = images["width"].to_numpy().astype(np.int64) * images["height"].to_numpy()
        usable = pc.equal(images["status"].cast(pa.string()), "ok").to_numpy().copy()
        usable[ids] = False
        more, why = _all_but_one(pairs, area, usable)
        ids, reasons = np.concatenate([ids, more]), np.concatenate([reasons, why])
    order = np.argsort(ids, kind="stable")
    return pa.table({"image_id": ids[order].astype(np.int32), "reason": list(reasons[order])}, schema=EXCLUSIONS)


def duplicate_pairs(workspace: Workspace, *, rule: bool = True, until: int | None = None) -> pd.DataFrame:
    """Pairs that stand as duplicates: image_a, image_b (int64, sorted), the measures, and who ruled (None: the rule).

    Args:
        rule: whether the rule's decision counts where no person decided.
        until: as for `exclusions`.
    """
    ruled = verdicts(workspace, until=until)
    found = read_pairs(workspace, ["image_a", "image_b", *MEASURES], duplicate=True)
    keys, ruled_keys = (_key(frame["image_a"], frame["image_b"]) for frame in (found, ruled))
    found["reviewer"] = None
    keep = found[~np.isin(keys, ruled_keys) & rule]
    said = ruled.loc[ruled["verdict"] == "duplicate", ["image_a", "image_b", "reviewer"]]
    return pd.concat([keep.astype({"reviewer": object}), said]).sort_values(["image_a", "image_b"], ignore_index=True)


def read_pairs(workspace: Workspace, columns: list[str] | None = None, *, duplicate: bool = False) -> pd.DataFrame:
    """The pairs table (some columns), or only what the rule calls duplicates; without rows when no search was made.

    Raises:
        CurationError: the table belongs to another workspace, or names images that this one does not have.
    """
    path = pairs_path(workspace)
    if not path.is_file():
        return PAIRS.empty_table().select(columns or PAIRS.names).to_pandas()
    recipe = path.with_suffix(".json")
    owner = files.read_json(recipe).get("workspace") if recipe.is_file() else None
    if owner not in (None, workspace.id):
        raise CurationError(
            f"{path} was made for workspace {owner}, and this is {workspace.id}: run `duplicates` again"
        )
    named = files.read_table(path, columns=["image_a", "image_b"])
    ids = np.concatenate([named[side].to_numpy() for side in named.column_names])
    count = workspace.images(["image_id"]).num_rows
    _check_ids(ids, count, str(path), "it belongs to another workspace; run `duplicates` again")
    filters = [("decision", "=", "duplicate")] if duplicate else None
    frame = files.read_table(path, columns=columns, filters=filters).to_pandas()
    return frame.astype({name: np.int64 for name in ("image_a", "image_b") if name in frame})


def pairs_path(workspace: Workspace) -> Path:
    """Where the table of pairs lies; its recipe has the suffix .json."""
    return workspace.path / "duplicates" / "pairs.parquet"


def verdicts(workspace: Workspace, *, until: int | None = None) -> pd.DataFrame:
    """The latest verdict on each pair that people decided, in the order in which they were given.

    Columns image_a < image_b (int64), verdict, reviewer, note, position, event_id.

    Raises:
        CurationError: an event is about no pair of images of this workspace.
    """
    said = workspace.ledger.standing("pair", until=until)
    parts = pc.extract_regex(pa.array(said["subject"], pa.string()), PAIR)
    good = pc.is_valid(parts).to_numpy(zero_copy_only=False)
    count = workspace.images(["image_id"]).num_rows if len(said) else 0
    sides = [pc.struct_field(parts, side).fill_null("0").cast(pa.int64()).to_numpy() for side in "ab"]
    low, high = np.minimum(*sides), np.maximum(*sides)
    good &= (low < high) & (high < count)
    if not good.all():
        bad = said.iloc[int(np.argmin(good))]
        raise CurationError(
            f"event {bad['event_id']} (position {bad['position']}) of the ledger is about the pair {bad['subject']!r}, "
            f"which is no pair of this workspace's {count:,} images: undo that event"
        )
    said = said.drop(columns="subject").assign(image_a=low, image_b=high)
    return said.drop_duplicates(["image_a", "image_b"], keep="last", ignore_index=True)


def _by_people(workspace: Workspace, until: int | None, count: int) -> pd.DataFrame:
    said = workspace.ledger.standing("exclude", until=until).drop_duplicates("subject", keep="last")
    said = said[said["verdict"] == "exclude"]
    number = said["subject"].str.fullmatch("[0-9]{1,10}")
    if not number.all():
        bad = said[~number.astype(bool)].iloc[0]
        raise CurationError(
            f"event {bad['event_id']} (position {bad['position']}) of the ledger excludes {bad['subject']!r}, "
            "which is no image id: undo that event"
        )
    ids = said["subject"].astype(np.int64).to_numpy()
    _check_ids(ids, count, "an `exclude` event of the ledger", "undo that event")
    notes = np.where(said["note"] == "", "", ": " + said["note"])
    frame = pd.DataFrame({"image_id": ids, "reason": "excluded by " + said["reviewer"] + notes})
    return frame.drop_duplicates("image_id", keep="last", ignore_index=True)


def _check_ids(ids: np.ndarray, count: int, what: str, remedy: str) -> None:
    if len(ids) and (ids.max() >= count or ids.min() < 0):
        beyond = ids.max() if ids.max() >= count else ids.min()
        raise CurationError(f"{what} names image {beyond}, but the workspace has {count:,} images: {remedy}")


def _key(a: pd.Series, b: pd.Series) -> np.ndarray:
    return a.to_numpy(np.int64) << 32 | b.to_numpy(np.int64)


def _all_but_one(pairs: pd.DataFrame, area: np.ndarray, usable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids that lose to the survivor of their component, int64, and the reasons."""
    if not len(pairs):
        return np.zeros(0, np.int64), np.zeros(0, object)
    ids, ends = np.unique(pairs[["image_a", "image_b"]].to_numpy(), return_inverse=True)
    first, second = ends.reshape(-1, 2).T
    survivor, parent = _trees(first, second, np.lexsort((ids, -area[ids], ~usable[ids])), len(ids))
    out = np.flatnonzero((survivor != np.arange(len(ids))) & usable[ids])
    order = np.argsort(keys := first * len(ids) + second)
    towards = np.minimum(out, parent[out]) * len(ids) + np.maximum(out, parent[out])
    edge = pairs.iloc[order[np.searchsorted(keys, towards, sorter=order)]]
    why = _evidence(edge)
    reasons = [
        f"near duplicate of image {kept}{'' if kept == by else f' by way of image {by}'} ({text})"
        for kept, by, text in zip(ids[survivor[out]].tolist(), ids[parent[out]].tolist(), why, strict=True)
    ]
    return ids[out], np.array(reasons, object)


def _trees(first: np.ndarray, second: np.ndarray, preference: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Each node's survivor (the most preferred of its component), and its next node on a shortest way there."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    ones = np.ones(len(first), np.int8)
    _, label = connected_components(coo_array((ones, (first, second)), shape=(count, count)), directed=False)
    _, place = np.unique(label[preference], return_index=True)
    survivors = preference[place]
    # One root above all survivors walks every component in one pass.
    rows, columns = np.r_[first, np.full(len(survivors), count)], np.r_[second, survivors]
    forest = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(count + 1, count + 1)).tocsr()
    _, parent = breadth_first_order(forest, count, directed=False)
    return survivors[label], parent[:count]


def _evidence(pairs: pd.DataFrame) -> list[str]:
    """What each pair rests on, in words."""
    texts = []
    for exact, phash, mirror, cosine, reviewer in pairs[[*MEASURES, "reviewer"]].itertuples(index=False):
        if isinstance(reviewer, str):
            texts.append(f"ruled by {reviewer}")
        elif exact:
            texts.append("by rule: same pixels")
        else:
            bits = [] if pd.isna(phash) else [f"pHash {phash:.0f}" if phash <= mirror else f"mirror pHash {mirror:.0f}"]
            texts.append("by rule: " + ", ".join(bits + ([] if pd.isna(cosine) else [f"cosine {cosine:.2f}"])))
    return texts
