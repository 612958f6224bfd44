"""The pairs that the last search found, joined with classes and sets, in memory for as long as nothing changes them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import exclusions, files, judgements, references
from curation.duplicates import orders
from curation.errors import ArgumentError, CurationError
from curation.workspace import PAIRS, Workspace

_word = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [*PAIRS, *((name, _word) for name in ("class_a", "class_b", "set_a", "set_b")), ("subject", pa.string())]
)
"""Of the pairs that people are shown. A set is a split of the source, or a reference set."""
KEPT = 4


@dataclass(frozen=True, eq=False)
class Found:
    """Pairs of the last search whose images can be shown.

    Attributes:
        table: schema `SCHEMA`, in one chunk.
        images: how many images this workspace ('') and each reference set has.
        first: where the numbers of a set's images begin when all sets are numbered through.
        keys: int64 (N,), see `key`.
        probe: bool (N,), planted probes.
        draw: float64 (N,), decides by lot which pairs two people judge.
    """

    table: pa.Table
    images: dict[str, int]
    first: dict[str, int]
    keys: np.ndarray
    probe: np.ndarray
    draw: np.ndarray
    seed: str
    _sorted: np.ndarray
    _memory: dict[Any, Any] = field(default_factory=dict)

    def column(self, name: str) -> np.ndarray:
        """A column of numbers as float64, NaN for null."""
        return self._once(("column", name), lambda: _numbers(self.table[name]))

    def distance(self, measure: str) -> np.ndarray:
        """A measure as a distance, NaN where it did not look; see `orders.distance`.

        Raises:
            ArgumentError: unknown measure.
        """
        if measure not in orders.MEASURES:
            raise ArgumentError(f"unknown measure {measure!r}: choose one of {', '.join(orders.MEASURES)}")
        names = ("phash", "phash_mirror") if measure == "phash" else (measure,)
        return orders.distance({name: self.column(name) for name in names}, measure)

    def codes(self, name: str) -> tuple[list[str], np.ndarray]:
        """Words of a column, and the number of each row's word."""
        column = self.table[name].combine_chunks()
        return column.dictionary.to_pylist(), column.indices.to_numpy(zero_copy_only=False)

    def is_word(self, name: str, word: str) -> np.ndarray:
        """Rows whose column has this word, bool (N,)."""
        words, codes = self.codes(name)
        return codes == words.index(word) if word in words else np.zeros(len(codes), bool)

    def order(self, order: str, measure: str | None = None) -> np.ndarray:
        """All row numbers in one of `orders.ORDERS`.

        Raises:
            ArgumentError: unknown order or measure.
        """
        if order not in orders.ORDERS:
            raise ArgumentError(f"unknown order {order!r}: choose one of {', '.join(orders.ORDERS)}")
        if (order == "measure") != (measure is not None):
            raise ArgumentError(f"a measure goes with the order 'measure', not with {order!r}: name both or neither")
        return self._once(("order", order, measure), lambda: self._arranged(order, measure))

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Row of each key, -1 where the last search did not find that pair."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        at = self._sorted[np.minimum(np.searchsorted(self.keys, keys, sorter=self._sorted), len(self.keys) - 1)]
        return np.where(self.keys[at] == keys, at, -1)

    def key(self, image_a: np.ndarray, image_b: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """One int64 for each pair, -1 where its reference set cannot be opened."""
        names, codes = np.unique(reference.astype(str), return_inverse=True)
        first = np.array([self.first.get(name, -1) for name in names.tolist()], np.int64)[codes.reshape(-1)]
        return np.where(first < 0, -1, image_a << 32 | first + image_b)

    def planted(self, keys: np.ndarray) -> np.ndarray:
        """Which keys are of planted probes, bool (N,)."""
        if judgements.PROBES not in self.first:
            return np.zeros(len(keys), bool)
        first, low = self.first[judgements.PROBES], keys & 0xFFFFFFFF
        return (low >= first) & (low < first + self.images[judgements.PROBES])

    def _arranged(self, order: str, measure: str | None) -> np.ndarray:
        chance = np.nan_to_num(self.column("probability"), nan=0.5)
        near, draw = np.abs(chance - 0.5), _lot(self.table, self.seed, "probes")
        if order == "class":  # each probe within its class, at a place like any other's
            words, codes = self.codes("class_a")
            rank = np.argsort(np.argsort(np.array(words, object)))[codes] if words else codes
            near = np.where(self.probe, draw / 2, near)
            return orders.arrange((rank, near), np.zeros(len(rank), bool), draw)
        keys = {
            "uncertain": lambda: (near,),
            "distance": lambda: (-chance,),
            "measure": lambda: (self.distance(str(measure)),),
            "splits": lambda: (~self.across(), near),
        }
        return orders.arrange(keys[order](), self.probe, draw)

    def across(self) -> np.ndarray:
        """Pairs between two sets, bool (N,)."""
        return self._once("across", lambda: pc.not_equal(*_plain(self.table, "set_a", "set_b")).to_numpy(False))

    def _once(self, name: Any, make: Any) -> np.ndarray:
        if name not in self._memory:
            self._memory[name] = make()
        return self._memory[name]


def _plain(table: pa.Table, *names: str) -> list[pa.Array]:
    return [table[name].combine_chunks().cast(pa.string()) for name in names]


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.float64(), safe=False).to_numpy()


def stamp(workspace: Workspace) -> tuple[str, ...]:
    """Changes with the pairs, the images, or the reference sets."""
    path = exclusions.pairs_path(workspace)
    parts = [files.stamp(path), files.stamp(path.with_suffix(".json")), files.stamp(workspace.images_path)]
    for name, source in references.listing(workspace).items():
        parts += [name, str(source.path), files.stamp(source.images_path)]
    return tuple(parts)


_lock = threading.Lock()
_kept: OrderedDict[str, tuple[tuple[str, ...], Found]] = OrderedDict()


def looked(workspace: Workspace) -> list[str]:
    """Measures that looked at any pair, in the order of `orders.MEASURES`."""
    table = found(workspace).table
    return [name for name in orders.MEASURES if table[name].null_count < len(table)]


def found(workspace: Workspace) -> Found:
    """The pairs of the last search; read once until they, the images, or the reference sets change. Safe in threads.

    Raises:
        CurationError: the table belongs to another workspace, or names images that this one does not have.
    """
    where, now = str(workspace.path), stamp(workspace)
    with _lock:  # two pages that open at once read the table once
        kept = _kept.pop(where, None)
        if kept is None or kept[0] != now:
            kept = now, _read(workspace)
        _kept[where] = kept
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
        return kept[1]


def _read(workspace: Workspace) -> Found:
    exclusions.read_pairs(workspace, ["reference"])  # checks whose the table is, and its images of this workspace
    path = exclusions.pairs_path(workspace)
    table = files.read_table(path, columns=PAIRS.names) if path.is_file() else PAIRS.empty_table()
    sets = {"": workspace, **references.listing(workspace)}
    names = table["reference"].cast(pa.string()).fill_null("")
    table = table.set_column(table.column_names.index("reference"), "reference", names)
    known = pa.array([name for name in sets if name != judgements.PROBES or not _replaced(path, sets[name])])
    table = table.filter(pc.is_in(names, known)).combine_chunks()
    table = table.filter(pa.array(_ok(sets, table))).combine_chunks()
    images = {name: count for name, count in judgements.counts(workspace).items() if name in sets}
    first = dict(zip(images, np.cumsum([0, *images.values()]).tolist(), strict=False))
    table = _described(sets, table)
    empty = np.zeros(0, np.int64)
    made = Found(table, images, first, empty, empty, empty, workspace.id, empty)
    a, b = (table[side].to_numpy().astype(np.int64) for side in ("image_a", "image_b"))
    keys = made.key(a, b, table["reference"].cast(pa.string()).to_numpy()) if len(table) else empty
    draw = _lot(table, workspace.id, "double review")
    return Found(table, images, first, keys, made.planted(keys), draw, workspace.id, np.argsort(keys))


def _replaced(pairs: Path, probes: Workspace) -> bool:
    """Whether other probes were planted after the search: its pairs name pictures that are not there any more."""
    recipe = pairs.with_suffix(".json")
    if not recipe.is_file() or not probes.images_path.is_file():
        return recipe.is_file()
    return files.read_json(recipe).get("references", {}).get(judgements.PROBES) != references.state(probes)


def _ok(sets: dict[str, Workspace], table: pa.Table) -> np.ndarray:
    """Pairs of which both pictures can be shown, bool (N,)."""
    reference = table["reference"].to_numpy()
    shown = _words(sets[""], "status", table["image_a"].to_numpy()) == "ok"
    for name, source in sets.items():
        here = np.flatnonzero(reference == name)
        if len(here):
            shown[here] &= _words(source, "status", table["image_b"].to_numpy()[here], name) == "ok"
    return shown


def _lot(table: pa.Table, seed: str, what: str) -> np.ndarray:
    """A draw for each pair, float64 (N,), that neither another search nor another reference set changes."""
    numbers = table["image_a"].to_numpy().astype(np.int64) << 32 | table["image_b"].to_numpy()
    reference, draw = table["reference"].cast(pa.string()).to_numpy(), np.zeros(len(table))
    for name in table["reference"].unique().cast(pa.string()).to_pylist():
        here = reference == name
        draw[here] = orders.lot(numbers[here], seed, what, name)
    return draw


def _described(sets: dict[str, Workspace], table: pa.Table) -> pa.Table:
    """Schema `SCHEMA`: classes, sets and subjects beside the pairs."""
    reference = table["reference"].cast(pa.string()).to_numpy()
    columns = {name: table[name] for name in PAIRS.names}
    for column, short in (("class_name", "class"), ("source_split", "set")):
        first = _words(sets[""], column, table["image_a"].to_numpy())
        second = np.full(len(table), "", object)
        for name, source in sets.items():
            here = np.flatnonzero(reference == name)
            if name == judgements.PROBES:  # told apart by nothing
                second[here] = first[here]
            elif len(here):
                second[here] = _words(source, column, table["image_b"].to_numpy()[here], name)
                if short == "set" and name:
                    second[here] = name
        columns |= {f"{short}_a": pa.array(first, pa.string()), f"{short}_b": pa.array(second, pa.string())}
    columns["subject"] = judgements.subjects(table["image_a"], table["image_b"], table["reference"])
    return pa.table({f.name: columns[f.name].cast(f.type) for f in SCHEMA}, schema=SCHEMA).combine_chunks()


def _words(source: Workspace, column: str, ids: np.ndarray, name: str = "") -> np.ndarray:
    words = source.images([column])[column]
    if len(ids) and ids.max() >= len(words):
        raise CurationError(
            f"the pairs name image {ids.max()} of reference set {name!r}, which has {len(words):,} images: it has "
            "changed since the last search; run `duplicates` again"
        )
    return words.take(pa.array(ids)).cast(pa.string()).fill_null("").to_numpy().astype(object)
