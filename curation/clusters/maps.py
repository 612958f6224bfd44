"""2-D maps of features: t-SNE and UMAP, of one class or of the whole workspace."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa

from curation import engine, files
from curation.arrays import Features
from curation.clusters import members
from curation.errors import ArgumentError, CurationError
from curation.workspace import MAPS, Workspace

METHODS = ("tsne", "umap")
COMPONENTS = 50
# Fewer points than this have no neighbourhoods to keep: they are laid out by their principal components.
FEW = 6
MOST_TSNE = 200_000
# UMAP's spectral start needs eigenvectors of the whole graph; beyond this the principal components start it.
MOST_SPECTRAL = 50_000
MOST_ONE_THREAD = 5_000


def project(
    workspace: Workspace,
    *,
    features: str,
    method: str = "tsne",
    class_name: str | None = None,
    seed: int = 25,
    name: str | None = None,
    progress: engine.Progress = engine.quiet,
) -> dict[str, Any]:
    """Lay images out in the plane; writes maps/<name>.parquet (schema MAPS) and its recipe maps/<name>.json.

    Features are first reduced to 50 principal components. t-SNE is scikit-learn's (van der Maaten and Hinton 2008;
    perplexity 30, start from the components), UMAP umap-learn's (McInnes et al. 2018; 15 neighbours, min_dist 0.1);
    both numbers are lowered for few images. Positions are in the method's own units.

    Args:
        method: `tsne` or `umap`.
        class_name: only this class; the whole workspace when None.
        name: of the map; <features>-<method>, and a short form of the class name, when None.

    Returns:
        name, method, images, set_aside (usable images without a feature).

    Raises:
        ArgumentError: unknown method, or too many images for t-SNE.
        CurationError: no such features, or no images in the class.
        Whatever `progress` raises; it is called every 50 iterations of t-SNE, and every epoch of UMAP that it reports.
    """
    if method not in METHODS:
        raise ArgumentError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}")
    default = f"{features}-{method}" + (f"-{files.slug(class_name)}" if class_name is not None else "")
    name = files.check_name(name or default, "the name of the map")
    found = Features(workspace, features).verify()
    ids = found.ids if class_name is None else np.sort(members.of_class(workspace, found, class_name))
    if not len(ids):
        raise CurationError(f"features {features!r} hold 0 of {found.images:,} images: nothing to lay out")
    if method == "tsne" and len(ids) > MOST_TSNE:
        raise ArgumentError(
            f"t-SNE of {len(ids):,} images would take days, and up to {MOST_TSNE:,} are allowed: "
            "choose --method umap, or one class with --class"
        )
    with _threads(1):
        x = _components(found, ids, progress)
        positions, settings = _lay_out(x, method, seed, progress)
    return _write(workspace, name, found, ids, positions, settings | {"class_name": class_name, "seed": seed}, method)


def _write(
    workspace: Workspace,
    name: str,
    found: Features,
    ids: np.ndarray,
    positions: np.ndarray,
    settings: dict[str, Any],
    method: str,
) -> dict[str, Any]:
    table = pa.table([pa.array(ids), *(pa.array(np.ascontiguousarray(c)) for c in positions.T)], MAPS.names)
    summary = {"name": name, "method": method, "images": len(ids), "set_aside": len(found.failed)}
    if settings["class_name"] is not None:
        summary["class_name"] = settings["class_name"]
    recipe = {"features": found.name, "features_digest": found.recipe_digest} | settings | {"summary": summary}
    path = workspace.path / "maps" / f"{name}.parquet"
    files.write_json(path.with_suffix(".json"), recipe)
    files.write_table(path, table.cast(MAPS))
    return summary


def _components(found: Features, ids: np.ndarray, progress: engine.Progress) -> np.ndarray:
    """The first principal components of the features, float32 (N, 50 or fewer, at least 2), shard by shard.

    The sign of a component is that of its largest loading, so that it does not depend on the solver.
    """
    import scipy.linalg

    total, dim = len(ids), found.dim
    mean, scatter = np.zeros(dim), np.zeros((dim, dim))
    for done, x in _blocks(found, ids):
        progress(done, 2 * total, "principal components")
        mean += x.sum(axis=0, dtype=np.float64)
    mean /= total
    for done, x in _blocks(found, ids):
        progress(total + done, 2 * total, "principal components")
        centred = x - mean.astype(np.float32)
        scatter += centred.T @ centred
    kept = min(COMPONENTS, dim, total)
    _, vectors = scipy.linalg.eigh(scatter, subset_by_index=(dim - kept, dim - 1))
    vectors = vectors[:, ::-1]
    vectors *= np.where(vectors[np.abs(vectors).argmax(axis=0), np.arange(kept)] < 0, -1, 1)
    result = np.zeros((total, max(2, kept)), np.float32)
    for done, x in _blocks(found, ids):
        result[done : done + len(x), :kept] = (x - mean.astype(np.float32)) @ vectors.astype(np.float32)
    # What rounding leaves of features that are all alike is no map.
    return result if np.ptp(result[:, 0]) > 1e-6 * np.linalg.norm(mean) else np.zeros_like(result)


def _blocks(found: Features, ids: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(ids), 4096):
        block = ids[start : start + 4096]
        yield start, members.check_finite(found.rows(block), block, found.name)


def _lay_out(x: np.ndarray, method: str, seed: int, progress: engine.Progress) -> tuple[np.ndarray, dict[str, Any]]:
    """Positions float32 (N, 2) of the components `x`, and what the recipe says of how they were made."""
    common = {"method": method, "components": x.shape[1]}
    if len(x) < FEW or not x.any():
        return x[:, :2], common | {"method": "pca"}
    if method == "tsne":
        return _tsne(x, seed, progress, common)
    return _umap(x, seed, progress, common)


def _tsne(
    x: np.ndarray, seed: int, progress: engine.Progress, common: dict[str, Any]
) -> tuple[np.ndarray, dict[str, Any]]:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(x) - 1) / 3)
    model = TSNE(perplexity=perplexity, init="pca", random_state=seed, verbose=2)
    # A sum over more than two threads is not the same every time; for few images one is fastest.
    with _threads(2 if len(x) > MOST_ONE_THREAD else 1), redirect_stdout(_Heard(progress, model.max_iter, "t-SNE")):
        positions = model.fit_transform(x)
    return positions, common | {"perplexity": perplexity, "scikit-learn": version("scikit-learn")}


def _umap(
    x: np.ndarray, seed: int, progress: engine.Progress, common: dict[str, Any]
) -> tuple[np.ndarray, dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Tensorflow not installed")
        from umap import UMAP
    neighbours = min(15, len(x) - 1)
    start = "spectral" if len(x) <= MOST_SPECTRAL else "pca"
    heard = _Heard(progress, 0, "UMAP")
    with redirect_stdout(heard), warnings.catch_warnings():
        # It says that a seed means one thread, which is what we want.
        warnings.filterwarnings("ignore", message="n_jobs value")
        model = UMAP(
            n_neighbors=neighbours, init=start, random_state=seed, n_jobs=1, verbose=True, tqdm_kwds={"file": heard}
        )
        positions = model.fit_transform(x)
    settings = {"n_neighbors": neighbours, "min_dist": 0.1, "start": start, "umap-learn": version("umap-learn")}
    return positions.astype(np.float32), common | settings


@contextmanager
def _threads(openmp: int) -> Iterator[None]:
    import sklearn.manifold  # noqa: F401 - only libraries that are loaded can be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"), threadpool_limits(openmp, "openmp"):
        yield


class _Heard(io.TextIOBase):
    """A text file that makes progress calls of what both libraries print about their iterations."""

    _ITERATION = re.compile(r"Iteration (\d+)|(\d+)/(\d+)")

    def __init__(self, progress: engine.Progress, total: int, message: str) -> None:
        self._progress, self._total, self._message = progress, total, message
        self._stopped = False

    def write(self, text: str) -> int:
        if not self._stopped and (match := self._ITERATION.search(text)):
            done, total = int(match[1] or match[2]), int(match[3] or self._total)
            self._stopped = True  # whoever prints while an error passes through is not heard
            self._progress(min(done, total), total, self._message)
            self._stopped = False
        return len(text)
