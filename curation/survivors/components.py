"""Connected components of near duplicates, and who of a component survives: arrays in, arrays out.

A workspace and the files of ImageNetV2 are resolved by the same functions. The published rule is that of
modestyachts/ImageNetV2 (Recht et al., ICML 2019, arXiv 1902.10811).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

SCORES = (0.7, 0.6)
"""Selection frequencies that make a class of a component eligible: the second where none reaches the first."""
_IMAGENET = r"(?:ILSVRC2012_(?:val|test)_|n[0-9]{8}_)"


def imagenet(names: Iterable[str]) -> np.ndarray:
    """Which names are file names of ImageNet (train, validation or test), bool (N,); all others are candidates."""
    return pd.Series(list(names), dtype=object).str.match(_IMAGENET).to_numpy(bool)


def component_name(names: Iterable[str]) -> str:
    """What ImageNetV2 calls a component: the MD5, in hex, of its sorted names joined by commas."""
    return hashlib.md5(",".join(sorted(names)).encode(), usedforsecurity=False).hexdigest()


def components(first: np.ndarray, second: np.ndarray, count: int) -> np.ndarray:
    """The component of each of `count` nodes, int32, by falling size, then by smallest node. An edge joins its ends."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(first), np.int8)
    total, label = connected_components(coo_array((ones, (first, second)), shape=(count, count)), directed=False)
    sizes, smallest = np.bincount(label, minlength=total), np.full(total, count)
    np.minimum.at(smallest, label, np.arange(count))
    number = np.empty(total, np.int32)
    number[np.lexsort((smallest, -sizes))] = np.arange(total, dtype=np.int32)
    return number[label]


def best(label: np.ndarray, *keys: np.ndarray) -> np.ndarray:
    """The node of each component that comes first by `keys` (the first is the strongest, smallest values win)."""
    order = np.lexsort((*keys[::-1], label))
    _, start = np.unique(label[order], return_index=True)
    return order[start]


def chosen_class(label: np.ndarray, classes: np.ndarray, scores: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Which nodes are of the class that their component keeps an image of, by the published rule.

    A class scores what its best member does. Classes of at least 0.7 are eligible, or else of at least 0.6, or else
    the one class that is largest by (score, class). Of the eligible the poorest in good candidates is chosen, the
    first by name of equally poor ones.

    Args:
        label: component of each node, (N,).
        classes: class of each node as a number in the order of class names, (N,).
        scores: selection frequency, 0 to 1, 0 for those without one, (N,).
        good: how many good candidates (selection frequency of at least 0.7) there are of each class, (C,).

    Returns:
        bool (N,).
    """
    keys, group = np.unique(label.astype(np.int64) * len(good) + classes, return_inverse=True)
    owner, kind = np.divmod(keys, max(len(good), 1))
    score = np.zeros(len(keys))
    np.maximum.at(score, group, scores)
    top = np.zeros(int(label.max(initial=-1)) + 1)
    np.maximum.at(top, owner, score)
    reached = [top >= line for line in SCORES]
    line = np.select(reached, SCORES, np.inf)[owner]
    tiered = np.isfinite(line)
    chosen = np.zeros(len(keys), bool)
    chosen[
        best(
            owner,
            np.where(tiered, score < line, -score),
            np.where(tiered, good[kind], -kind),
            np.where(tiered, kind, 0),
        )
    ] = True
    return chosen[group]


class Ways(NamedTuple):
    """For each node the root that is nearest, and the next node on a shortest way there; -1 where there is none."""

    root: np.ndarray
    towards: np.ndarray


def ways(first: np.ndarray, second: np.ndarray, roots: np.ndarray, count: int) -> Ways:
    """Shortest ways from every node to the nearest of `roots`; a root is its own root and its own next node."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order

    # One node above all roots walks every component in one pass; sorted edges make equal ways come out the same.
    rows = np.concatenate([first, second, np.full(len(roots), count)])
    columns = np.concatenate([second, first, roots])
    order = np.lexsort((columns, rows))
    graph = coo_array((np.ones(len(rows), np.int8), (rows[order], columns[order])), shape=(count + 1, count + 1))
    _, towards = breadth_first_order(graph.tocsr(), count, directed=True)
    towards = towards[:count].astype(np.int64)
    towards[roots] = roots
    towards[towards < 0] = -1
    root = np.r_[towards, -1]
    while not np.array_equal(further := np.r_[root[root[:-1]], -1], root):
        root = further
    return Ways(root[:-1], towards)


class Graph(NamedTuple):
    """Nodes and undirected edges of a graph whose nodes have names.

    `names` sorted; `first` and `second` (E,) positions in them, without self-edges; `label` the component of each.
    """

    names: np.ndarray
    first: np.ndarray
    second: np.ndarray
    label: np.ndarray


def graph_of(first: Sequence[str], second: Sequence[str]) -> Graph:
    """The graph of edges given by the names of their ends. An edge from a name to itself adds its node only."""
    names, ends = np.unique(np.array([*first, *second], object), return_inverse=True)
    a, b = ends.reshape(2, -1)
    proper = a != b
    a, b = a[proper], b[proper]
    return Graph(names, a, b, components(a, b, len(names)))


def published(
    label: np.ndarray,
    *,
    outside: np.ndarray,
    classes: np.ndarray,
    scores: np.ndarray,
    good: np.ndarray,
    override: np.ndarray | None = None,
    able: np.ndarray | None = None,
) -> np.ndarray:
    """Who survives by the published rule, bool (N,): nobody beside an image of ImageNet, else an override, else one.

    Args:
        label: component of each node, (N,). Nodes must be in the order of their names, which settles equal scores.
        outside: nodes that are images of ImageNet (no candidates; False in the result), bool (N,).
        classes, scores, good: as for `chosen_class`.
        override: nodes that must survive, at most one in a component, bool (N,).
        able: nodes that may survive; all when None (as published, where one on the blacklist may win with score 0).
    """
    override = np.zeros(len(label), bool) if override is None else override
    able = ~outside if able is None else able & ~outside
    tainted = np.bincount(label, outside, minlength=int(label.max(initial=-1)) + 1) > 0
    choice = np.flatnonzero(able & ~tainted[label])
    survives = np.zeros(len(label), bool)
    if len(choice):
        part = label[choice]
        of_class = chosen_class(part, classes[choice], scores[choice], good)
        survives[choice[best(part, ~override[choice], ~of_class, -scores[choice], -choice)]] = True
    return survives
