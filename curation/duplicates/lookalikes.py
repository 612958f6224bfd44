"""Pictures that seem alike and are not the same: known-different partners for planted probes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.arrays import Features
from curation.errors import CurationError
from curation.exclusions import pairs_path, read_pairs
from curation.workspace import Workspace

MOST = 2048
NEAREST = 3
CHOICE = 10
BITS = 12


def choose(workspace: Workspace, ids: np.ndarray, *, seed: int) -> np.ndarray:
    """For each image another one of its class that is like it and that nothing takes for a near duplicate.

    The others of the class (at most `MOST`, drawn) are ranked by cosine similarity of the first finished feature set,
    else by perceptual hash. Left out are those within `BITS` bits of its hash or of its mirror image's, and those that
    the last search paired with the image, whatever its decision; where there was no search and enough remain, the
    `NEAREST` ones instead, since they might yet be copies. One of the next `CHOICE` is drawn.

    Args:
        ids: image ids (N,).

    Returns:
        int64 (N,); -1 where the class has no such image.
    """
    images = workspace.images(["class_name", "status", "flat", "phash", "phash_mirror"])
    features, paired, searched = _features(workspace), _paired(workspace), pairs_path(workspace).is_file()
    words = images["class_name"].cast(pa.string()).combine_chunks().dictionary_encode().indices.to_numpy()
    ok = pc.and_(pc.equal(images["status"].cast(pa.string()), "ok"), pc.invert(images["flat"].fill_null(False)))
    usable = ok.to_numpy()
    hashes = [images[name].fill_null(0).to_numpy() for name in ("phash", "phash_mirror")]
    chosen = np.full(len(ids), -1, np.int64)
    for row, one in enumerate(np.asarray(ids, np.int64).tolist()):
        rng = np.random.default_rng([seed, 2, one])
        others = np.flatnonzero(usable & (words == words[one]))
        others = others[~np.isin(others, paired[1][paired[0] == one])]
        others = np.sort(rng.permutation(others)[:MOST])
        bits = np.minimum(*(np.bitwise_count(hashes[0][one] ^ values[others]) for values in hashes))
        others, bits = others[bits > BITS], bits[bits > BITS]  # not the image itself either
        order = np.lexsort((others, bits if features is None else -_similarity(features, one, others)))
        first = 0 if searched else min(NEAREST, max(0, len(order) - CHOICE))
        if len(order):
            chosen[row] = others[rng.choice(order[first : first + CHOICE])]
    return chosen


def _features(workspace: Workspace) -> Features | None:
    for name in workspace.feature_names():
        try:
            return Features(workspace, name).verify()
        except CurationError:
            continue  # unfinished or damaged: hashes do as well
    return None


def _similarity(features: Features, one: int, others: np.ndarray) -> np.ndarray:
    """Cosine similarity, float64 (N,); -1 where a feature is missing."""
    found, known = np.full(len(others), -1.0), np.isin(others, features.ids)
    if known.any() and np.isin(one, features.ids):
        rows = features.rows(np.append(others[known], one)).astype(np.float64)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        found[known] = rows[:-1] @ rows[-1]
    return found


def _paired(workspace: Workspace) -> np.ndarray:
    """Pairs within the workspace of the last search, both ways round: int64 (2, P)."""
    pairs = read_pairs(workspace, ["image_a", "image_b", "reference"])
    a, b = pairs.loc[pairs["reference"] == "", ["image_a", "image_b"]].to_numpy(np.int64).T
    return np.array([np.r_[a, b], np.r_[b, a]])
