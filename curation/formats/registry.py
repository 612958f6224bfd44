"""The formats by name, for the command line and the Export page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from curation.errors import ArgumentError
from curation.formats import comma_separated, glt_json, image_folder, imagenet_lt_text, parquet
from curation.formats.annotations import ANNOTATIONS, AnnotationSet, Options

LABELS = frozenset({"path", "label", "split"})
ALL = frozenset({*ANNOTATIONS.names, "meta"})


@dataclass(frozen=True)
class Format:
    """A format: `write(annotations, folder, stem, options)` gives the files it wrote, `read(path)` the annotations.

    One with `pictures` holds them, not only their names; it is written as the folder `stem`. `holds` are the columns
    (of ANNOTATIONS and EXTRAS) that it keeps, with `meta` where it keeps how the set was made.
    """

    name: str
    title: str
    write: Callable[[AnnotationSet, Path, str, Options], list[Path]]
    read: Callable[[Path], AnnotationSet]
    holds: frozenset[str]
    pictures: bool = False


FORMATS = {
    f.name: f
    for f in (
        Format("glt-json", "GLT JSON", glt_json.write, glt_json.read, ALL),
        Format("csv", "CSV", comma_separated.write, comma_separated.read, ALL - {"meta"}),
        Format("parquet", "Parquet", parquet.write, parquet.read, ALL),
        Format("imagenet-lt-txt", "OLTR text lists", imagenet_lt_text.write, imagenet_lt_text.read, LABELS),
        Format("folder", "ImageFolder tree", image_folder.write, image_folder.read, ALL - {"meta"}, pictures=True),
    )
}


def get(name: str) -> Format:
    """A format by name.

    Raises:
        ArgumentError: there is none of that name.
    """
    if name not in FORMATS:
        raise ArgumentError(f"unknown format {name!r}: choose one of {', '.join(FORMATS)}")
    return FORMATS[name]
