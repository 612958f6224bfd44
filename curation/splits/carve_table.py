"""Carve a cluster table {class: {cluster: [paths]}} from a JSON file into the two published annotation files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import curation
from curation import files
from curation.derived import attribute_of
from curation.errors import ArgumentError, CurationError
from curation.exclusions import EXCLUSIONS
from curation.formats import glt_json
from curation.formats.annotations import AnnotationSet, annotation_table, names_of
from curation.splits import glt, legacy
from curation.splits.parameters import Parameters
from curation.splits.plan import SPLITS
from curation.workspace import CLUSTERS

Table = Mapping[str, Mapping[str, list[str]]]


def glt_carve(
    table: str | Path,
    *,
    out: str | Path,
    mode: str = "legacy",
    seed: int = 25,
    profile: str = "imagenet-glt",
    parameters: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Carve a cluster table and write `imagenet_sup_intra_lt_inter_lt.json` and `…_bl.json` into the folder `out`.

    Args:
        table: JSON file; in mode legacy classes, clusters and paths count in the order in which it lists them.
        out: folder, made when it is not there; files of these names are replaced.
        mode: legacy (the published procedure to the letter) or default.
        seed: of every draw.
        profile: of class sizes; legacy has but one.
        parameters: others of the recipe `glt`, in mode default.

    Returns:
        images, set_aside (0), and a file's path, SHA-256, bytes and images by split under `files`.

    Raises:
        CurationError: the table cannot be read or carved; neither file is written.
    """
    content = read(Path(table))
    asked = Parameters.from_dict({**(parameters or {}), "mode": mode, "seed": seed, "profile": profile})
    carve = _legacy if mode == "legacy" else _default
    prepared = legacy.from_table(content) if mode == "legacy" else tables(content, asked.attributes or 3)
    carved = {inter: carve(prepared, asked.replace(inter=inter)) for inter in ("lt", "bl")}
    written = []
    for inter, found in carved.items():
        (path,) = glt_json.write(found, Path(out), f"imagenet_sup_intra_lt_inter_{inter}")
        images = {split: len(found.of(split)) for split in SPLITS}
        written.append(
            {"path": str(path), "sha256": files.sha256_file(path), "bytes": path.stat().st_size, "images": images}
        )
    total = sum(len(paths) for clusters in content.values() for paths in clusters.values())
    return {"images": total, "classes": len(content), "files": written, "set_aside": 0}


def read(path: Path) -> Table:
    """Read and check a cluster table.

    Raises:
        CurationError: it is no {class: {cluster: [paths]}}, or a path is there twice; names class and cluster.
    """
    content = files.read_json(path)
    if not isinstance(content, dict) or not content:
        raise CurationError(f"{path} holds no cluster table {{class: {{cluster: [paths]}}}}")
    for name, clusters in content.items():
        if not isinstance(clusters, dict):
            raise CurationError(
                f"{path}, class {name!r}: clusters are a {type(clusters).__name__}, and must be an object"
            )
        for label, paths in clusters.items():
            if not isinstance(paths, list) or set(map(type, paths)) - {str}:
                raise CurationError(f"{path}, class {name!r}, cluster {label}: must be a list of paths")
    lists = [paths for clusters in content.values() for paths in clusters.values()]
    often = Counter() if len(set(chain(*lists))) == sum(map(len, lists)) else Counter(chain(*lists))
    for name, clusters in content.items() if often else ():
        for label, paths in clusters.items():
            if (twice := next((p for p in paths if often[p] > 1), None)) is not None:
                raise CurationError(f"{path}, class {name!r}, cluster {label}: {twice!r} is there {often[twice]} times")
    return content


def _legacy(prepared: tuple[list[str], legacy.Cells, list[str]], parameters: Parameters) -> AnnotationSet:
    legacy.check_parameters(parameters)
    paths, cells, names = prepared
    drawn = legacy.draw(cells, names, parameters)
    label_of = np.repeat(np.arange(len(cells)), [sum(map(len, row)) for row in cells])
    place = np.concatenate([items for row in cells for items in row])
    labels = np.empty(len(paths), np.int64)
    labels[place] = label_of
    attributes = legacy.attribute_of_rows(cells, len(paths))
    rows = np.concatenate([drawn[split] for split in SPLITS])
    codes = np.repeat(np.arange(len(SPLITS)), [len(drawn[split]) for split in SPLITS])
    return _annotations(
        [paths[row] for row in rows.tolist()], labels[rows], codes, names,
        frequency=legacy.frequency(labels[rows]), attribute=attributes[rows],
    )  # fmt: skip


def _default(prepared: tuple[pa.Table, pa.Table, list[str]], parameters: Parameters) -> AnnotationSet:
    images, clusters, paths = prepared
    result = glt.carve(images, clusters, EXCLUSIONS.empty_table(), parameters)
    split = result.split.unify_dictionaries().combine_chunks()
    ids = split["image_id"].to_numpy()
    meta = {
        "schema_version": 1,
        "tool": {"name": "curation", "version": curation.__version__},
        "recipe": {"kind": "glt", "parameters": parameters.to_dict()},
        "funnel": result.report["funnel"],
    }
    columns = {name: split[name] for name in ("frequency", "attribute", "cluster")}
    codes = split["split"].chunk(0).indices.to_numpy() if len(split) else np.empty(0, np.int32)
    return _annotations(
        [paths[i] for i in ids.tolist()],
        split["label"].to_numpy(),
        codes,
        result.report["classes"],
        meta=meta,
        **columns,
    )


def tables(content: Table, attributes: int) -> tuple[pa.Table, pa.Table, list[str]]:
    """Images (image_id, class_name, path), clusters (CLUSTERS) and paths by image id of a cluster table.

    Clusters are numbered by size, equal sizes by their smallest path, and get their attributes from `attribute_of`.

    Raises:
        ArgumentError: more attributes than clusters.
    """
    most = max(len(clusters) for clusters in content.values())
    if attributes > most:
        raise ArgumentError(f"attributes is {attributes}, and no class has more than {most} clusters: ask for fewer")
    paths: list[str] = []
    names, ranks, groups = [], [], []
    for name, of_class in content.items():
        ranked = sorted((c for c in of_class.values() if c), key=lambda c: (-len(c), min(c)))
        of_rank = attribute_of(np.arange(len(ranked)), len(ranked), attributes).tolist()
        for rank, members in enumerate(ranked):
            paths += members
            names += [name] * len(members)
            ranks += [rank] * len(members)
            groups += [of_rank[rank]] * len(members)
    ids = pa.array(np.arange(len(paths)), pa.int32())
    classes = pa.array(names, pa.string()).dictionary_encode()
    distances = pa.array(np.zeros(len(paths), np.float32))
    columns = [ids, classes, pa.array(ranks, pa.int16()), pa.array(groups, pa.int16()), distances]
    images = pa.table({"image_id": ids, "class_name": classes, "path": pa.array(paths, pa.string())})
    return images, pa.Table.from_arrays(columns, schema=CLUSTERS), paths


def _annotations(
    paths: list[str],
    labels: np.ndarray,
    codes: np.ndarray,
    classes: list[str],
    *,
    meta: dict[str, Any] | None = None,
    **columns: Any,
) -> AnnotationSet:
    given = {"path": pa.array(paths, pa.string()), "label": labels, "class_name": names_of(labels, classes)}
    table = annotation_table(given | {"split": names_of(codes, SPLITS)} | columns)
    return AnnotationSet(table, tuple(classes), SPLITS, meta or {})
