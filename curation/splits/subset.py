"""The kind of recipe `subset`: all images of some classes, with the val set that they were published with.

The published program is baunilhamarga/imagenet-subset: a text file of WNIDs, whose order is that of the labels.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import ArgumentError, CurationError
from curation.formats import subset_csv
from curation.formats.annotations import ABOUT
from curation.splits import class_draw
from curation.splits.carving import ORDERS, Carving
from curation.splits.class_plan import ClassPlan, Counts, allot
from curation.splits.inputs import Inputs
from curation.splits.kind import Kind
from curation.splits.settings import MOST, Share, option
from curation.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Subset(Carving):
    """Which classes, in the order of labels, and where their val images come from."""

    KIND: ClassVar[str] = "subset"

    classes: tuple[str, ...] = option((), "Classes", "By name or WNID, in the order of labels; all when empty")
    official: bool = option(True, "Val as published", "All of the source split val, where there is one")
    val: Share = option(0.1, "Val otherwise", "A share of each class, images a class, or source:NAME")
    test: Share = option(None, "Test", "A share of each class, images a class, or source:NAME", rare=True)
    order: str = option("given", "Order of labels", choices=ORDERS, rare=True)
    most: int | None = option(None, "Training images a class, at most", "All when empty", least=1, most=MOST, rare=True)
    metadata: str = option(
        "", "Class metadata", "Path of a file with the columns of meta_clsloc.csv", rare=True, table="class_metadata"
    )  # fmt: skip

    def check(self) -> None:
        _once(enumerate(self.classes, 1), "classes: entry")
        if self.classes or self.order != "given":
            super().check()
        else:
            # All classes then, in byte order.
            dataclasses.replace(self, order="name")


def read_classes(path: str | Path) -> list[str]:
    """Class names or WNIDs from a text file with one a line, in its order; blank lines do not count.

    Raises:
        CurationError: there is no such file, it is no text, or it names no class.
        ArgumentError: it names a class twice; says in which lines.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise CurationError(f"{path} does not exist") from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise CurationError(f"{path} is no text file with a class a line: {error}") from None
    found = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise CurationError(f"{path} has {len(lines)} lines and names 0 classes: write one a line")
    _once(found, f"{path}: line")
    return [name for _, name in found]


def plan(counts: Counts, p: Subset) -> ClassPlan:
    """Split sizes by class; see `class_plan.allot`.

    Raises:
        ArgumentError: a class is listed that has no images which may be used; names the nearest that has.
    """
    there = set(counts.names)
    for number, name in enumerate(p.classes, 1):
        if name not in there:
            near = difflib.get_close_matches(name, counts.names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "take it off the list"
            raise ArgumentError(
                f"classes, entry {number}: none of the {len(there):,} classes with images that may be used is called "
                f"{name!r}: {hint}"
            )
    if p.official and "val" in counts.sources:
        p = p.replace(val="source:val")
    if not p.pool and "train" in counts.sources:
        p = p.replace(pool="train")
    most = MOST if p.most is None else p.most
    return allot(counts, p, train=lambda room, _order: np.minimum(room, most))


def tables(workspace: Workspace, p: Subset, inputs: Inputs) -> Mapping[str, pa.Table]:
    """`class_metadata` (ABOUT, a row for each class in byte order), where a file tells it.

    Raises:
        CurationError: the metadata file is missing or damaged; names the line.
        ArgumentError: it describes none of the classes.
    """
    if not p.metadata:
        return {}
    names = inputs.classes()
    known = workspace.classes() if (workspace.path / "classes.parquet").is_file() else None
    about = _described(names, known)
    told = subset_csv.read_meta_clsloc(Path(p.metadata))
    rows = pc.index_in(about["wnid"].combine_chunks(), told["wnid"].combine_chunks(), skip_nulls=True)
    if rows.null_count == len(rows):
        raise ArgumentError(
            f"{p.metadata} describes {len(told):,} classes by WNID, and none of the {len(names):,} classes of the "
            "images is among them: give a file that has them"
        )
    for column in ABOUT.names[2:]:
        new = pc.coalesce(told[column].combine_chunks().take(rows), about[column].combine_chunks())
        about = about.set_column(about.column_names.index(column), ABOUT.field(column), new)
    return {"class_metadata": about}


KIND = Kind(
    name="subset",
    title="Subset of classes",
    about="All images of a list of classes, such as ImageNet-100, with the val set that they were published with",
    settings=Subset,
    carve=partial(class_draw.carve, plan=plan),
    plan=plan,
    tables=tables,
)


# -- below: names ----------------------------------------------------------------------------------------------------


def _once(places: Iterable[tuple[int, str]], what: str) -> None:
    """Raises ArgumentError when a name is there twice; says where."""
    first: dict[str, int] = {}
    for place, name in places:
        if name in first:
            raise ArgumentError(f"{what} {place} names {name!r}, as {first[name]} does: list every class once")
        first[name] = place


def _described(names: list[str], known: pa.Table | None) -> pa.Table:
    """ABOUT for classes from the schema CLASSES; one that is called by a WNID has that one."""
    rows = {row["class_name"]: row for row in known.to_pylist()} if known is not None else {}
    columns: dict[str, list[Any]] = {"class_name": names}
    for column in ("wnid", "lemmas", "definition"):
        columns[column] = [rows.get(name, {}).get(column) or None for name in names]
    columns["wnid"] = [
        name if subset_csv.WNID.fullmatch(name) else wnid for name, wnid in zip(names, columns["wnid"], strict=True)
    ]
    empty = {column: [None] * len(names) for column in ABOUT.names if column not in columns}
    return pa.table(columns | empty, schema=ABOUT)
