"""Images with several attributes each, made up, for tests of splits."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from curation.exclusions import EXCLUSIONS
from curation.splits.inputs import ATTRIBUTES, Inputs

NOBODY = pa.table({"image_id": [], "reason": []}, schema=EXCLUSIONS)


def matrix(sizes, attributes, *, mean=6.0, without=0.05, seed=0):
    """Which images have which attributes, bool (N, A): a few attributes are frequent, most are rare."""
    rng = np.random.default_rng(seed)
    share = 1 / (np.arange(attributes) + 1.0)
    share = np.minimum(share * mean / share.sum(), 0.9).astype(np.float32)
    has = rng.random((sum(sizes.values()), attributes), dtype=np.float32) < share
    has[rng.random(len(has)) < without] = False
    return has


def make(sizes, has, *, shuffle=None):
    """Inputs of classes with so many images each, with the attributes a00, a01, … of a matrix."""
    names = np.repeat(list(sizes), list(sizes.values()))
    order = np.arange(len(names)) if shuffle is None else np.random.default_rng(shuffle).permutation(len(names))
    images = pa.table(
        {
            "image_id": order.astype(np.int32),
            "root": pa.array(["r"] * len(order)).dictionary_encode(),
            "path": [f"{names[i]}/{i:06d}.jpg" for i in order],
            "class_name": pa.array(names[order]).dictionary_encode(),
            "source_split": pa.array([""] * len(order)).dictionary_encode(),
        }
    )
    row, code = np.nonzero(has[order])
    words = pa.DictionaryArray.from_arrays(code.astype(np.int32), [f"a{i:02d}" for i in range(has.shape[1])])
    attributes = pa.table({"image_id": order[row].astype(np.int32), "attribute": words}, schema=ATTRIBUTES)
    return Inputs(images, NOBODY, attributes=attributes)
