"""Images that people or near-duplicate pairs keep out of splits, each with the reason.

Everything here follows from duplicates/pairs.parquet and the ledger, up to any of its positions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from curation import files, judgements, references
from curation.errors import ArgumentError, CurationError
from curation.workspace import PAIRS, Workspace

EXCLUSIONS = pa.schema({"image_id": pa.int32(), "reason": pa.string()})
POLICIES = ("decided", "verdicts", "ignore")
PAIR = ("image_a", "image_b", "reference")
MEASURES = ("exact", "phash", "phash_mirror", "pixels", "dssim", "fc7", "cosine", "inliers")


def exclusions(workspace: Workspace, *, duplicates: str = "decided", until: int | None = None) -> pa.Table:
    """Images to leave out: those a person excluded, and those that near duplicates keep out.

    Of every component of near duplicates one image stays, by the policy in force (see `survivors`); none where an image
    of a reference set is among them. A picture that is broken, gone or excluded by a person stays only out.

    Args:
        duplicates: `decided`: pairs that the rule calls duplicates, where people's verdicts overrule it either way
            (`unsure` and contested pairs leave both images in); `verdicts`: only pairs that people call duplicates;
            `ignore`: none. Images of one burst are near duplicates under the first two.
        until: take people's decisions only to this position of the ledger.

    Returns:
        image_id int32, ascending, and reason.

    Raises:
        ArgumentError: unknown `duplicates`.
        CurationError: the pairs, or an event of the ledger, name images that the workspace does not have, or people
            keep two images of a component.
    """
    from curation.survivors import resolution  # it imports this module, whose pairs it connects

    if duplicates not in POLICIES:
        raise ArgumentError(f"unknown policy {duplicates!r} for duplicates: choose one of {', '.join(POLICIES)}")
    out = excluded_by_people(workspace, until=until)
    if duplicates != "ignore":
        found = resolution.resolve(workspace, until=until, rule=duplicates == "decided").members.to_pandas()
        lost = found[~found["survives"] & ~found["image_id"].isin(out["image_id"])]
        usable = np.isin(lost["image_id"], workspace.usable())
        out = pd.concat([out, lost.loc[usable, ["image_id", "reason"]]])
    out = out.sort_values("image_id")
    return pa.table({"image_id": out["image_id"].astype(np.int32), "reason": list(out["reason"])}, schema=EXCLUSIONS)


def duplicate_pairs(workspace: Workspace, *, rule: bool = True, until: int | None = None) -> pd.DataFrame:
    """Pairs that stand as duplicates, sorted by reference, image_a and image_b.

    Pairs with a reference set that was taken off the list are none, whoever decided them.

    Columns image_a, image_b (int64), reference ('' or the set that image_b is of), MEASURES (of what the rule decided),
    and reviewer (None: the rule).

    Args:
        rule: whether the rule's decision counts where no person said anything.
        until: as for `exclusions`.
    """
    ruled = judgements.verdicts(workspace, until=until)
    found = read_pairs(workspace, [*PAIR, *MEASURES], duplicate=True)
    found = found[found["reference"].isin(["", judgements.PROBES, *references.paths(workspace)])]
    keep = found[~_among(found, ruled)] if rule else found.iloc[:0]
    said = ruled.loc[ruled["verdict"] == "duplicate", [*PAIR, "reviewer"]]
    both = pd.concat([keep.assign(reviewer=None).astype({"reviewer": object}), said])
    return both.sort_values(["reference", "image_a", "image_b"], ignore_index=True)


def read_pairs(workspace: Workspace, columns: list[str] | None = None, *, duplicate: bool = False) -> pd.DataFrame:
    """The pairs table (some columns), or only what the rule calls duplicates; without rows when no search was made.

    Raises:
        CurationError: the table belongs to another workspace, or names images that this one does not have.
    """
    path = pairs_path(workspace)
    if not path.is_file():
        return _typed(PAIRS.empty_table().select(columns or PAIRS.names).to_pandas())
    recipe = path.with_suffix(".json")
    made = files.read_json(recipe) if recipe.is_file() else {}
    if not isinstance(made, dict):
        raise CurationError(f"{recipe} is no record of a search: run `duplicates` again")
    owner = made.get("workspace")
    if owner not in (None, workspace.id):
        raise CurationError(
            f"{path} was made for workspace {owner}, and this is {workspace.id}: run `duplicates` again"
        )
    if lacking := set(PAIRS.names) - set(files.read_table(path, columns=None, filters=ds.scalar(False)).column_names):
        raise CurationError(
            f"{path} lacks {len(lacking)} of {len(PAIRS.names)} columns ({', '.join(sorted(lacking))}): an earlier "
            "version wrote it; run `duplicates` again"
        )
    named = _typed(files.read_table(path, columns=list(PAIR)).to_pandas())
    ids = np.concatenate([named["image_a"].to_numpy(), named.loc[named["reference"] == "", "image_b"].to_numpy()])
    workspace.check_ids(ids, str(path), "it belongs to another workspace; run `duplicates` again")
    selves = np.flatnonzero((named["reference"] == "") & (named["image_a"] == named["image_b"]))
    if len(selves):
        row = named.iloc[selves[0]]
        raise CurationError(
            f"{path}, row {selves[0]}: image {row['image_a']} paired with itself: run `duplicates` again"
        )
    filters = [("decision", "=", "duplicate")] if duplicate else None
    return _typed(files.read_table(path, columns=columns, filters=filters).to_pandas())


def pairs_path(workspace: Workspace) -> Path:
    """Where the table of pairs lies; its recipe has the suffix .json."""
    return workspace.path / "duplicates" / "pairs.parquet"


def excluded_by_people(workspace: Workspace, *, until: int | None = None) -> pd.DataFrame:
    """Images that people excluded: image_id (int64), each once, and reason.

    Raises:
        CurationError: an event excludes what is no image of the workspace.
    """
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
    workspace.check_ids(ids, "an `exclude` event of the ledger", "undo that event")
    notes = np.where(said["note"] == "", "", ": " + said["note"])
    frame = pd.DataFrame({"image_id": ids, "reason": "excluded by " + said["reviewer"] + notes})
    return frame.drop_duplicates("image_id", keep="last", ignore_index=True)


def _among(pairs: pd.DataFrame, others: pd.DataFrame) -> np.ndarray:
    """Which pairs are also among `others`, bool (P,)."""
    both = pd.concat([pairs[list(PAIR)], others[list(PAIR)]])
    number = both.groupby(list(PAIR), sort=False).ngroup().to_numpy()
    return np.isin(number[: len(pairs)], number[len(pairs) :])


def _typed(pairs: pd.DataFrame) -> pd.DataFrame:
    pairs = pairs.astype({name: np.int64 for name in ("image_a", "image_b") if name in pairs})
    if "reference" in pairs:
        pairs["reference"] = pairs["reference"].astype(object).fillna("")
    return pairs
