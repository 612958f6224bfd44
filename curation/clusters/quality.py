"""How good the clusters of a class are: silhouettes, other numbers of clusters, other seeds."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pyarrow as pa

from curation import derived
from curation.arrays import Features
from curation.clusters import members
from curation.clusters.fit import by_size, class_seed, kmeans, mean_silhouette, one_thread
from curation.clusters.fit import silhouettes as _silhouettes
from curation.errors import ArgumentError, CurationError
from curation.workspace import Workspace

# Pairwise distances of this many images are 1.6 GB.
MOST_IMAGES = 20_000


def sweep(
    workspace: Workspace,
    *,
    features: str,
    class_name: str,
    clusters: Iterable[int] = range(2, 11),
    seed: int = 25,
    n_init: int = 10,
) -> pa.Table:
    """k-means of one class for several numbers of clusters, seeded as `cluster` seeds the class.

    Returns:
        One row each, up to the number of distinct features: clusters int16, inertia float64, silhouette float64 (null
        for one cluster).

    Raises:
        ArgumentError: a number below 1.
        CurationError: the class has no features.
    """
    wanted = sorted({int(k) for k in clusters})
    if not wanted or wanted[0] < 1:
        raise ArgumentError(f"numbers of clusters must be 1 or more, not {wanted[0] if wanted else 'none'}")
    x, start = members.rows(workspace, features, class_name), class_seed(seed, class_name)
    found: list[tuple[int, float, float | None]] = []
    with one_thread():
        for k in wanted:
            labels, _, inertia = kmeans(x, clusters=min(k, len(x)), n_init=n_init, seed=start)
            distinct = len(np.unique(labels))
            if found and distinct == found[-1][0]:
                break
            found.append((distinct, inertia, mean_silhouette(x, by_size(labels), seed=start)))
    types = {"clusters": pa.int16(), "inertia": pa.float64(), "silhouette": pa.float64()}
    return pa.table(
        [pa.array(c, t) for c, t in zip(zip(*found, strict=True), types.values(), strict=True)], list(types)
    )


def stability(
    workspace: Workspace,
    *,
    features: str,
    class_name: str,
    clusters: int = 6,
    seeds: int = 5,
    seed: int = 25,
    n_init: int = 10,
) -> float:
    """Mean adjusted Rand index (Hubert and Arabie 1985) over all pairs of clusterings with other seeds.

    Args:
        seeds: how many clusterings, with the run seeds `seed`, `seed` + 1, …

    Returns:
        1 when every seed gives the same clusters, about 0 when they have nothing in common.

    Raises:
        ArgumentError: fewer than two seeds or fewer than one cluster.
        CurationError: the class has no features.
    """
    from sklearn.metrics import adjusted_rand_score

    if seeds < 2 or clusters < 1:
        raise ArgumentError(f"stability needs 2 or more seeds and 1 or more clusters, not {seeds} and {clusters}")
    x = members.rows(workspace, features, class_name)
    starts = [class_seed(seed + i, class_name) for i in range(seeds)]
    with one_thread():
        found = [kmeans(x, clusters=min(clusters, len(x)), n_init=n_init, seed=s)[0] for s in starts]
    return float(np.mean([adjusted_rand_score(a, b) for a, b in combinations(found, 2)]))


def silhouettes(workspace: Workspace, name: str, class_name: str, *, until: int | None = None) -> pa.Table:
    """Silhouette of every image of a class in the clusters as they stand, people's edits included.

    Returns:
        image_id int32 ascending, cluster int16, silhouette float32 (null where the class has one cluster).

    Raises:
        CurationError: no such clusters or class, or it has more than `MOST_IMAGES` images.
    """
    table = derived.clusters(workspace, name, until=until, class_name=class_name)
    if not 0 < len(table) <= MOST_IMAGES:
        raise CurationError(
            f"class {class_name!r} has {len(table):,} images in clusters {name!r}: "
            f"silhouettes of every image are for 1 to {MOST_IMAGES:,}; the recipe has the mean of a sample"
        )
    cluster = table["cluster"].to_numpy()
    values = np.full(len(table), np.nan, np.float32)
    if len(np.unique(cluster)) > 1:
        features = Features(workspace, derived.base(workspace, name).settings["features"], check=False)
        values = _silhouettes(features.rows(table["image_id"].to_numpy()), cluster)
    return table.select(["image_id", "cluster"]).append_column("silhouette", pa.array(values, from_pandas=True))


def silhouette_means(table: pa.Table) -> dict[int, float | None]:
    """Mean silhouette of each cluster, by cluster number, from the table of `silhouettes`."""
    means = table.group_by("cluster", use_threads=False).aggregate([("silhouette", "mean")]).sort_by("cluster")
    return dict(zip(means["cluster"].to_pylist(), means["silhouette_mean"].to_pylist(), strict=True))
