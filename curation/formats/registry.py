"""The formats by name, for the command line and the Export page."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

from curation.errors import ArgumentError
from curation.formats import comma_separated, glt_json, image_folder, imagenet_lt_text, parquet
from curation.formats.annotations import ANNOTATIONS, AnnotationSet, Options

LABELS = frozenset({"path", "label", "split"})
ALL = frozenset({*ANNOTATIONS.names, "meta"})
LISTED, MISSING = "pictures.parquet", "missing.txt"
"""What a folder of pictures may have beside them: a list of those that are files of their own, and of those gone."""


@dataclass(frozen=True)
class Format:
    """A format: `write(annotations, folder, stem, options)` gives the files it wrote, `read(path)` the annotations.

    - `name`, `title`, `use`: as files, pages and help call it, and one line on who reads it.
    - `holds`: the columns (of ANNOTATIONS and EXTRAS) that it keeps, `meta` where it keeps how the set was made, and
      `about` where it keeps what is known of the classes.
    - `folder`: it is written as the folder `stem`.
    - `pictures`: it holds them, not only their names; always a folder.
    - `loose`: its pictures are files of their own, links or copies.
    - `texts`: files of the folder that hold no picture, as patterns of paths in it.
    - `index`: writes the texts into a folder without any picture, where they follow from the annotations alone.
    """

    name: str
    title: str
    use: str
    write: Callable[[AnnotationSet, Path, str, Options], list[Path]]
    read: Callable[[Path], AnnotationSet]
    holds: frozenset[str]
    folder: bool = False
    pictures: bool = False
    loose: bool = False
    texts: tuple[str, ...] = ()
    index: Callable[[AnnotationSet, Path, Options], object] | None = None

    def is_text(self, inside: PurePath) -> bool:
        """Whether a file of the folder, by its path in it, holds no picture."""
        return any(
            len(PurePath(pattern).parts) == len(inside.parts) and inside.match(pattern)
            for pattern in (LISTED, MISSING, *self.texts)
        )


def _late(name: str) -> object | None:
    try:
        return importlib.import_module(f"curation.formats.{name}")
    except ImportError:
        return None


def _interim() -> list[Format]:
    found = []
    for name, title, module, use, more in (
        ("inat-json", "iNaturalist JSON", "inat_json", "", {}),
        ("mini-lt-csv", "mini-ImageNet-LT CSVs", "mini_lt_csv", "", {"folder": True}),
        ("subset-npz", "imagenet-subset NPZ", "subset_npz", "", {"folder": True, "pictures": True}),
        ("imagenetv2-json", "ImageNetV2 JSON", "imagenetv2_dataset", "", {}),
        ("webdataset", "WebDataset shards", "webdataset_shards", "", {"folder": True, "pictures": True}),
        ("hf", "Hugging Face Parquet", "hugging_face", "", {"folder": True, "pictures": True}),
        ("croissant", "Croissant", "croissant", "", {}),
        ("fiftyone", "FiftyOne layout", "fiftyone_layout", "", {"folder": True, "pictures": True, "loose": True}),
    ):
        m = _late(module)
        if m is not None and hasattr(m, "write"):
            found.append(Format(name, title, use, m.write, m.read, m.HOLDS, **more))
    return found


FORMATS = {
    f.name: f
    for f in (
        Format("glt-json", "GLT JSON", "", glt_json.write, glt_json.read, ALL),
        Format("imagenet-lt-txt", "OLTR text lists", "", imagenet_lt_text.write, imagenet_lt_text.read, LABELS),
        Format("csv", "CSV", "", comma_separated.write, comma_separated.read, ALL - {"meta"}),
        Format("parquet", "Parquet", "", parquet.write, parquet.read, ALL),
        Format(
            "folder",
            "ImageFolder tree",
            "",
            image_folder.write,
            image_folder.read,
            ALL - {"meta"},
            folder=True,
            pictures=True,
            loose=True,
            texts=(image_folder.INDEX,),
            index=lambda found, folder, _: image_folder.write_index(found, folder),
        ),
        *_interim(),
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
