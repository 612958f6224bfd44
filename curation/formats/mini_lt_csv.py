"""The files of mini-ImageNet-LT (kitsch231/mini-imagenet-LT_longtail-dataset), a folder of lists without pictures.

- train.csv, val.csv, test.csv: `img,label`, with that header and CRLF line ends;
- gentrain.csv: the pictures that Stable Diffusion made to fill each class up, without a header; here the splits
  `gentrain` and `damaged`, whose `source` is `generated`;
- alltrain.csv: all of train.csv, then those of gentrain.csv that were not damaged, the split `gentrain`;
- cls_label.json: the number of training pictures of every label; classname.txt: names of all 1,000 WNIDs, as Keras has
  them; labels.csv, which the original lacks: label, WNID, name and training pictures of every class.

The original says nowhere which class a label is: the first nine characters of its pictures' names are the WNID.

How each file was written down is kept in `meta`. Where that would not give the same bytes again, so is its text,
together with the digest of its rows, and it is written as it was for as long as these rows have not changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats import csv_dialect
from curation.formats import mini_lt_sides as sides
from curation.formats.annotations import AnnotationSet, Options, annotation_table, names_of
from curation.formats.csv_dialect import Dialect, Parsed, Row

HOLDS = frozenset({"path", "class_name", "label", "split", "source", "classes"})
META = "mini_lt_csv"
LISTS = {"train": "train.csv", "val": "val.csv", "test": "test.csv", "gentrain": "gentrain.csv"}
ALL, DAMAGED = "alltrain.csv", "damaged"
GENERATED = ("gentrain", DAMAGED, "generated")  # splits; the last is another name of the first
_DEFAULTS = {"gentrain.csv": Dialect(header=None)}


def write(annotations: AnnotationSet, folder: Path, stem: str, options: Options = Options()) -> list[Path]:
    """Write the folder `<stem>/`: of a set that was read from such a folder the files that were there, else all.

    Training rows whose source is `generated` go to gentrain.csv.

    Raises:
        ArgumentError: other splits than train, val, test, gentrain and damaged, a row without label, an empty path.
        CurationError: the folder is there already, or the disk is full.
    """
    files.check_name(stem, "the name of the folder")
    lists = _lists(annotations)
    known = sides.Known(annotations.meta.get(META))
    fresh = not known.files
    digests = {name: csv_dialect.digest(_rows(lists[name])) for name in lists} if known.texts else {}
    written = []
    with files.replacing_folder(folder / stem) as place:
        for split, name in LISTS.items():
            if len(lists[split]) or split == "train" or name in known.files or (fresh and split in annotations.splits):
                _write(place / name, known, _rows(lists[split]), [digests.get(split)])
                written.append(name)
        if ALL in known.files or len(lists["kept"]) < len(lists["gentrain"]) or (fresh and len(lists["gentrain"])):
            both = chain(_rows(lists["train"]), _rows(lists["kept"]))
            _write(place / ALL, known, both, [digests.get("train"), digests.get("kept")])
            written.append(ALL)
        labels = lists["train"]["label"].to_numpy()
        told = _told(annotations, lists)
        written += sides.write(place, known, annotations, labels, digests.get("train"), told)
    return [folder / stem / name for name in written]


def read(path: Path) -> AnnotationSet:
    """Read such a folder, or the one that holds the file given; all files but train.csv may be missing.

    Raises:
        CurationError: there is no train.csv, or a file is damaged; names file and line.
    """
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    if not (folder / LISTS["train"]).is_file():
        raise CurationError(f"{folder} has no {LISTS['train']}: it is no folder of mini-ImageNet-LT")
    there = [name for name in (*LISTS.values(), ALL) if (folder / name).is_file()]
    parsed = {name: csv_dialect.parse(folder / name) for name in there}
    rows = {split: parsed[name].rows for split, name in LISTS.items() if name in parsed}
    kept = _kept(rows, parsed[ALL].rows if ALL in parsed else None)
    labels = np.array([label for split in rows.values() for _, label in split], np.int32)
    side = sides.read(folder, np.array([label for _, label in rows["train"]], np.int32), labels)
    classes = side.classes or _classes(folder, parsed, side.count)
    table = _table(rows, kept, labels, classes)
    splits = (*rows, *([] if kept.all() else [DAMAGED]))
    entries = _entries(parsed, rows, kept) | side.entries(csv_dialect.digest(rows["train"]), classes)
    return AnnotationSet(table, tuple(classes), splits, {META: {"files": entries}}, side.about(classes))


# -- below: writing ----------------------------------------------------------------------------------------------------


def _lists(annotations: AnnotationSet) -> dict[str, pa.Table]:
    """Path and label of the rows of every list, and `kept`, those of gentrain that were not damaged.

    Raises:
        ArgumentError: the format cannot hold the set.
    """
    table, splits = annotations.table, (*LISTS, *GENERATED)
    if other := [split for split in annotations.splits if split not in splits and len(annotations.of(split))]:
        raise ArgumentError(
            f"mini-lt-csv holds the splits {', '.join(LISTS)} and {DAMAGED}, and there are also: {', '.join(other)}"
        )
    if table["label"].null_count:
        raise ArgumentError(f"{table['label'].null_count:,} rows have no label")
    if (row := files.first_outside(table["path"], rooted=True)) is not None:
        path = table["path"][row].as_py() or ""
        raise ArgumentError(f"path {path!r:.200} {files.fault(path)}: rename it")
    split, made = table["split"].cast(pa.string()), _generated(table)
    of = {name: pc.equal(split, name) for name in ("train", "val", "test")}
    of["gentrain"] = pc.is_in(split, pa.array(GENERATED))
    of["gentrain"] = pc.or_(of["gentrain"], pc.and_(of["train"], made))
    of["train"] = pc.and_not(of["train"], made)
    of["kept"] = pc.and_not(of["gentrain"], pc.equal(split, DAMAGED))
    return {name: table.select(["path", "label"]).filter(mask) for name, mask in of.items()}


def _generated(table: pa.Table) -> pa.ChunkedArray:
    source = table["source"].cast(pa.string()) if "source" in table.column_names else pa.nulls(len(table), pa.string())
    return pc.fill_null(pc.equal(source, "generated"), False)


def unheld(annotations: AnnotationSet) -> dict[str, int]:
    """Rows whose split gets another name."""
    moved = pc.and_(pc.equal(annotations.table["split"].cast(pa.string()), "train"), _generated(annotations.table))
    return {"split": pc.sum(moved).as_py() or 0}


def _rows(table: pa.Table) -> Iterator[Row]:
    for batch in table.to_batches(max_chunksize=65_536):
        yield from zip(batch["path"].to_pylist(), batch["label"].to_pylist(), strict=True)


def _write(path: Path, known: sides.Known, rows: Iterator[Row], digests: list[str | None]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        if (text := known.text(path.name, digests)) is not None:
            file.write(text)
        else:
            default = _DEFAULTS.get(path.name, Dialect())
            file.writelines(csv_dialect.dialect_of(known.files.get(path.name), default).texts(rows))


def _told(annotations: AnnotationSet, lists: dict[str, pa.Table]) -> bool:
    """Whether the names of pictures tell what class every label is."""
    real = pa.concat_tables([lists[split] for split in ("train", "val", "test")])
    pairs = _wnids(real["path"], real["label"])
    told = {label: str(label) for label in range(len(annotations.classes))} | dict(pairs)
    return tuple(told.values()) == annotations.classes and len(dict(pairs)) == len({w for _, w in pairs}) == len(pairs)


# -- below: reading ----------------------------------------------------------------------------------------------------


def _wnids(paths: pa.ChunkedArray | pa.Array, labels: pa.ChunkedArray | pa.Array) -> list[tuple[int, str]]:
    """Every (label, WNID) that pictures' names begin with."""
    starts = pc.extract_regex(paths, r"^(?s:.*/)?(?P<wnid>n[0-9]{8})[^/]*$")
    table = pa.table({"label": labels, "wnid": pc.struct_field(starts, "wnid")}).drop_null()
    pairs = table.group_by(["label", "wnid"], use_threads=False).aggregate([])
    return list(zip(pairs["label"].to_pylist(), pairs["wnid"].to_pylist(), strict=True))


def _classes(folder: Path, parsed: dict[str, Parsed], count: int) -> list[str]:
    """WNID of every label by its pictures' names; the label itself where they tell none."""
    classes, labels = [str(label) for label in range(count)], {}
    for name in (LISTS[split] for split in ("train", "val", "test")):
        if name not in parsed:
            continue
        paths, numbers = zip(*parsed[name].rows, strict=True) if parsed[name].rows else ((), ())
        for label, wnid in _wnids(pa.array(paths, pa.string()), pa.array(numbers, pa.int32())):
            if (was := classes[label]) not in (str(label), wnid) or labels.setdefault(wnid, label) != label:
                wrong = (i for i, (p, n) in enumerate(parsed[name].rows) if n == label and f"/{wnid}" in f"/{p}")
                raise CurationError(
                    f"{folder / name}, line {parsed[name].lines[next(wrong)]}: label {label} is of class {wnid}, "
                    + (f"and elsewhere of {was}" if was not in (str(label), wnid) else f"as is {labels[wnid]}")
                )
            classes[label] = wnid
    return classes


def _kept(rows: dict[str, list[Row]], whole: list[Row] | None) -> np.ndarray:
    """Which rows of gentrain are in alltrain, bool; all when there is none. Rows that only alltrain has are added."""
    known = {row for split in rows.values() for row in split}
    if added := [row for row in whole or () if row not in known]:
        rows["gentrain"] = rows.get("gentrain", []) + added
    there = set(whole) if whole is not None else None
    return np.array([there is None or row in there for row in rows.get("gentrain", ())], bool)


def _table(rows: dict[str, list[Row]], kept: np.ndarray, labels: np.ndarray, classes: list[str]) -> pa.Table:
    sizes = [len(split) for split in rows.values()]
    split = np.repeat(np.arange(len(sizes)), sizes)
    real = len(split) - len(kept)
    split[real:] += ~kept
    columns = {
        "path": pa.array([path for split in rows.values() for path, _ in split], pa.string()),
        "label": labels,
        "class_name": names_of(labels, classes),
        "split": names_of(split, (*rows, DAMAGED)),
        "source": names_of(np.arange(len(split)) >= real, ("real", "generated")),
    }
    return annotation_table(columns)


def _entries(parsed: dict[str, Parsed], rows: dict[str, list[Row]], kept: np.ndarray) -> dict[str, dict[str, object]]:
    """What `meta` keeps of the lists: how each was written down, and its text where its rows would not give it."""
    generated = rows.get("gentrain", [])
    whole = [row for row, there in zip(generated, kept, strict=True) if there]
    parts = {name: [rows.get(split, [])] for split, name in LISTS.items()} | {ALL: [rows["train"], whole]}
    entries = {}
    for name, found in parsed.items():
        entries[name] = found.dialect.known()
        text = found.text
        if text is None and found.rows != list(chain(*parts[name])):
            text = "".join(found.dialect.texts(found.rows))
        if text is not None:
            entries[name] |= {"text": text, "digest": sides.joined([csv_dialect.digest(part) for part in parts[name]])}
    return entries
