"""Planted probes: edited copies whose truth is known, so that the search and every reviewer can be measured.

The copies are a reference set of their own, called `probes`; they never count as duplicates of the data set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curation import files, judgements, references
from curation.duplicates import edits, lookalikes
from curation.duplicates.monotone import clopper_pearson
from curation.engine import Progress, quiet
from curation.errors import ArgumentError, CurationError
from curation.exclusions import pairs_path
from curation.images import decode
from curation.workspace import Workspace

if TYPE_CHECKING:
    from PIL import Image

NAME = judgements.PROBES
ALL = "all"
TAIL = 0.025
"""With what each end of an interval may fail: both hold with 95 %."""
_word = pa.dictionary(pa.int32(), pa.string())
PROBES = pa.schema(
    {
        "path": pa.string(),  # below pictures/, in the folder of a class, with a name that tells nothing
        "image_id": pa.int32(),  # the image of this workspace that it is a copy of
        "class_name": _word,  # of that image
        "edit": _word,
        "parameters": pa.string(),  # what exactly was done, in words
        "lookalike": pa.int32(),  # an image that it is no copy of, though it might seem so; null where there is none
        "sha256": pa.string(),  # of the files of the image and of the look-alike when the probe was made
        "lookalike_sha256": pa.string(),
        "seed": pa.int64(),
    }
)
RECALL = pa.schema(
    {
        "edit": pa.string(),  # `all` in the last row
        "planted": pa.int64(),
        "proposed": pa.int64(),  # pairs of the search; null, as are the others, when it did not look at the probes
        "duplicates": pa.int64(),  # of those, called duplicate by the rule
        "recall": pa.float64(),
        "low": pa.float64(),  # 95 % interval of the recall
        "high": pa.float64(),
        "lookalikes": pa.int64(),  # pairs of a copy with its look-alike
        "alarms": pa.int64(),  # of those, called duplicate by the rule
    }
)
REVIEWERS = pa.schema(
    {
        "reviewer": pa.string(),
        "judged": pa.int64(),  # pairs of a probe on which the reviewer's verdict stands, other than `unsure`
        "right": pa.int64(),
        "copies": pa.int64(),  # of those judged, pairs of a copy and its original
        "copies_right": pa.int64(),
        "unsure": pa.int64(),
        "rate": pa.float64(),  # right / judged, and its 95 % interval
        "low": pa.float64(),
        "high": pa.float64(),
    }
)


def folder(workspace: Workspace) -> Path:
    """Where the probes lie: `probes.parquet`, and the copies below `pictures/`."""
    return references.folder(workspace, NAME)


def write(workspace: Workspace, *, count: int = 60, seed: int = 25, progress: Progress = quiet) -> Path:
    """Make edited copies of usable images, spread over classes and kinds of edit, in place of any earlier ones.

    Every copy also gets a look-alike: another image of the same class that it is known not to be a copy of. The same
    seed, images, features and pairs give the same bytes. Each name is a hash of the picture, the edit and the seed,
    so that a verdict on an earlier probe is never taken for one on a later.

    Returns:
        The folder of the probes; see `folder`.

    Raises:
        ArgumentError: count is below 1.
        CurationError: no image can be used.
    """
    if count < 1:
        raise ArgumentError(f"{count} probes measure nothing: plant 1 or more")
    place = folder(workspace)
    with files.replacing_folder(place / "pictures", check=lambda _: None) as part:
        rows = []
        for row, picture in _copies(workspace, seed):
            target = part / row["path"]
            target.parent.mkdir(exist_ok=True)
            picture.save(target, **({"quality": 95} if target.suffix == ".jpg" else {}))
            rows.append(row)
            progress(len(rows), count, "making edited copies")
            if len(rows) == count:
                break
        if not rows:
            raise CurationError(f"{workspace.path} has no usable picture to make a copy of: look at its broken files")
        near = lookalikes.choose(workspace, np.array([row["image_id"] for row in rows]), seed=seed)
        table = _with_lookalikes(workspace, rows, near)
    files.write_table(place / "probes.parquet", table)
    return place


def planted(workspace: Workspace) -> pa.Table:
    """Pairs whose truth is known: image_a, image_b (int32; of the reference set `probes`), truth, edit.

    Of every probe that has been read in and whose original has not changed since: the pair with the original (truth
    `duplicate`) and that with the look-alike (truth `different`). Sorted by image_a, image_b; without rows when no
    probes were planted.
    """
    names = ["image_a", "image_b", "truth", "edit"]
    inner = references.listing(workspace).get(NAME)
    path = folder(workspace) / "probes.parquet"
    if inner is None or not path.is_file() or not inner.images_path.is_file():
        return pa.schema(zip(names, [pa.int32(), pa.int32(), pa.string(), pa.string()], strict=True)).empty_table()
    made = files.read_table(path).to_pandas()
    read = inner.images(["image_id", "path", "status"]).to_pandas()
    read = read.loc[read["status"] == "ok", ["image_id", "path"]].rename(columns={"image_id": "image_b"})
    made = made.merge(read, on="path").rename(columns={"image_id": "image_a"})
    other = made.drop(columns=["image_a", "sha256"])
    other = other.rename(columns={"lookalike": "image_a", "lookalike_sha256": "sha256"}).dropna(subset=["image_a"])
    both = pd.concat([made.assign(truth="duplicate"), other.assign(truth="different")])
    both = both[_unchanged(workspace, both["image_a"].to_numpy(np.int64), both["sha256"].to_numpy(object))]
    both = both.astype({"image_a": np.int32, "image_b": np.int32, "edit": object})
    return pa.Table.from_pandas(both.sort_values(["image_a", "image_b"])[names], preserve_index=False)


def recall(workspace: Workspace) -> pa.Table:
    """How many probes the last search proposed, and how many the rule called duplicates, by edit and in all.

    Returns:
        Schema `RECALL`, in the order of `edits.EDITS`, the row `all` last; without rows when nothing is planted.
    """
    pairs = planted(workspace).to_pandas()
    if not len(pairs):
        return RECALL.empty_table()
    known, copy = searched(workspace), pairs["truth"] == "duplicate"
    if known:
        pairs = pairs.merge(_proposed(workspace), how="left", on=["image_a", "image_b"])
    called = pairs["decision"] if known else pd.Series(None, pairs.index, object)
    duplicate = called == "duplicate"
    counted = {"planted": copy, "proposed": copy & called.notna(), "duplicates": copy & duplicate}
    counted |= {"lookalikes": ~copy, "alarms": ~copy & duplicate}
    pairs = pairs.assign(**counted)
    table = pd.concat([pairs, pairs.assign(edit=ALL)]).groupby("edit")[list(counted)].sum()
    table = table.reindex([name for name in (*edits.EDITS, ALL) if name in table.index])
    low, high = clopper_pearson(table["duplicates"], table["planted"], TAIL)
    share = table["duplicates"] / table["planted"].where(table["planted"] > 0)
    columns = dict(table.assign(recall=share, low=low, high=high).reset_index())
    if not known:
        columns |= dict.fromkeys(set(RECALL.names) - {"edit", "planted", "lookalikes"}, pa.nulls(len(table)))
    arrays = {name: pa.array(column, from_pandas=True) for name, column in columns.items()}
    return pa.table({f.name: arrays[f.name].cast(f.type) for f in RECALL}, schema=RECALL)


def reviewers(workspace: Workspace, *, until: int | None = None) -> pa.Table:
    """How often every reviewer was right about planted pairs: schema `REVIEWERS`, sorted by reviewer.

    Right is `duplicate` for a copy and its original, and `related` or `different` for a copy and its look-alike. A
    look-alike that was adjudicated to be a duplicate after all is left out.

    Args:
        until: take verdicts only to this position of the ledger.
    """
    said = judgements.read(workspace, until=until)
    said = said.loc[said["reference"] == NAME].merge(planted(workspace).to_pandas(), on=["image_a", "image_b"])
    final = said["kind"] == "pair.final"
    doubted = said.loc[final & (said["truth"] == "different") & (said["verdict"] == "duplicate"), "subject"]
    said = said[~final & ~said["subject"].isin(doubted)].drop_duplicates(["reviewer", "subject"], keep="last")
    unsure, copies = said["verdict"] == "unsure", said["truth"] == "duplicate"
    right = ~unsure & ((said["verdict"] == "duplicate") == copies)
    said = said.assign(unsure=unsure, judged=~unsure, right=right, copies=copies & ~unsure, copies_right=right & copies)
    counted = ["judged", "right", "copies", "copies_right", "unsure"]
    table = said.groupby("reviewer", sort=True)[counted].sum().astype(np.int64).reset_index()
    low, high = clopper_pearson(table["right"], table["judged"], TAIL)
    columns = table.assign(rate=table["right"] / table["judged"].where(table["judged"] > 0), low=low, high=high)
    return pa.table({f.name: pa.array(columns[f.name], f.type, from_pandas=True) for f in REVIEWERS}, schema=REVIEWERS)


def searched(workspace: Workspace) -> bool:
    """Whether the last search for pairs compared the workspace with the probes that are planted now."""
    recipe, inner = pairs_path(workspace).with_suffix(".json"), references.listing(workspace).get(NAME)
    seen = files.read_json(recipe).get("references", {}).get(NAME) if recipe.is_file() else None
    return seen is not None and inner is not None and seen == references.state(inner)


# -- below: making copies, reading pairs -------------------------------------------------------------------------------


def _copies(workspace: Workspace, seed: int) -> Iterator[tuple[dict, Image.Image]]:
    """Rows of `PROBES` (without look-alikes) and pictures, class after class, each edit as often as the others."""
    images = workspace.images(["root", "path", "class_name", "sha256", "status", "flat"])
    rng, used = np.random.default_rng(seed), dict.fromkeys(edits.EDITS, 0)
    for number in _spread(images, seed).tolist():
        row = images.slice(number, 1).to_pylist()[0]
        try:
            picture = decode.rgb(workspace.image_file(row["root"], row["path"]))
        except decode.BrokenImage:
            continue  # gone or damaged since it was read in: another one will do
        possible = edits.applicable(picture)
        least = min(used[name] for name in possible)
        edit = str(rng.choice([name for name in possible if used[name] == least]))
        used[edit] += 1
        name = hashlib.sha256(f"{seed} {edit} {row['sha256']}".encode()).hexdigest()[:16]
        copy, words = edits.apply(edit, picture, np.random.default_rng(int(name, 16)))
        kind = "jpg" if Path(row["path"]).suffix.lower() in decode.SUFFIXES["JPEG"] else "png"
        path = f"{files.slug(row['class_name'])}/{name}.{kind}"
        about = {"class_name": row["class_name"], "sha256": row["sha256"], "seed": seed}
        yield {"path": path, "image_id": number, "edit": edit, "parameters": words, **about}, copy


def _spread(images: pa.Table, seed: int) -> np.ndarray:
    """Ids of usable images in an order that is drawn: one of every class, then a second one of every class, …"""
    ok = pc.and_(pc.equal(images["status"].cast(pa.string()), "ok"), pc.invert(images["flat"].fill_null(False)))
    ids = np.flatnonzero(ok.to_numpy())
    classes = images["class_name"].cast(pa.string()).take(pa.array(ids)).combine_chunks().dictionary_encode()
    rng = np.random.default_rng([seed, 1])
    order = rng.permutation(len(ids))
    codes = classes.indices.to_numpy()[order]
    by_class = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[by_class], np.arange(len(classes.dictionary)))
    turn = np.empty(len(ids), np.int64)
    turn[by_class] = np.arange(len(ids)) - starts[codes[by_class]]
    place = rng.permutation(len(classes.dictionary))
    return ids[order[np.lexsort((place[codes], turn))]]


def _with_lookalikes(workspace: Workspace, rows: list[dict], near: np.ndarray) -> pa.Table:
    sha256 = workspace.images(["sha256"])["sha256"]
    chosen = pa.array(near, mask=near < 0)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns |= {"lookalike": chosen, "lookalike_sha256": sha256.take(chosen).combine_chunks()}
    table = pa.table({f.name: pa.array(columns[f.name]).cast(f.type) for f in PROBES}, schema=PROBES)
    return table.sort_by("path")


def _unchanged(workspace: Workspace, ids: np.ndarray, sha256: np.ndarray) -> np.ndarray:
    images = workspace.images(["sha256", "status"])
    there = ids < len(images)
    taken = images.take(pa.array(np.where(there, ids, 0)))
    usable = pc.equal(taken["status"].cast(pa.string()), "ok").to_numpy()
    return there & usable & (taken["sha256"].to_numpy() == sha256)


def _proposed(workspace: Workspace) -> pd.DataFrame:
    columns, own = ["image_a", "image_b", "decision"], [("reference", "=", NAME)]
    table = files.read_table(pairs_path(workspace), columns=columns, filters=own)
    return table.set_column(2, "decision", table["decision"].cast(pa.string())).to_pandas()
