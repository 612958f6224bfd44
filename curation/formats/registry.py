"""The formats by name, for the command line and the Export page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

from curation.errors import ArgumentError, CurationError
from curation.formats import (
    comma_separated,
    croissant,
    fiftyone_layout,
    glt_json,
    hugging_face,
    image_folder,
    imagenet_lt_text,
    imagenetv2_dataset,
    inat_json,
    mini_lt_csv,
    parquet,
    subset_npz,
    webdataset_shards,
)
from curation.formats.annotations import ANNOTATIONS, EXTRAS, AnnotationSet, Options
from curation.formats.containers import MISSING
from curation.formats.guess import guess

__all__ = ["FORMATS", "LISTED", "MISSING", "Format", "get", "guess", "read"]

TABLE = frozenset({*ANNOTATIONS.names, *EXTRAS.names})
_LONG = 1000  # characters of a message
LISTED = "pictures.parquet"
"""In a folder of pictures that are files of their own: their names, and of copies the hashes."""


@dataclass(frozen=True)
class Format:
    """A format: `write(annotations, folder, stem, options)` gives the files it wrote, `read(path)` the annotations.

    - `name`, `title`, `use`: as files, pages and help call it, and one line on who reads it.
    - `holds`: the columns (of ANNOTATIONS and EXTRAS) that it keeps, `meta` where it keeps how the set was made,
      `about` where it keeps what is known of the classes, `classes` and `splits` where it keeps those without images.
    - `folder`: it is written as the folder `stem`.
    - `folders`: it can be read from a folder, as those that are one can.
    - `pictures`: it holds them, not only their names; always a folder.
    - `loose`: its pictures are files of their own, links or copies.
    - `texts`: files of the folder that hold no picture, as patterns of paths in it.
    - `index`: the text that follows from the annotations alone, with no picture at hand.
    - `needs`: columns that published readers of the format cannot do without.
    - `unheld`: rows of a set that lose what `holds` says is kept, by column.
    """

    name: str
    title: str
    use: str
    write: Callable[[AnnotationSet, Path, str, Options], list[Path]]
    read: Callable[[Path], AnnotationSet]
    holds: frozenset[str]
    folder: bool = False
    folders: bool = False
    pictures: bool = False
    loose: bool = False
    texts: tuple[str, ...] = ()
    index: str = ""
    needs: frozenset[str] = frozenset()
    unheld: Callable[[AnnotationSet], dict[str, int]] = lambda _: {}

    def is_text(self, inside: PurePath) -> bool:
        """Whether a file of the folder, by its path in it, holds no picture."""
        return any(
            len(PurePath(pattern).parts) == len(inside.parts) and inside.match(pattern)
            for pattern in (LISTED, MISSING, *self.texts)
        )


FORMATS = {
    f.name: f
    for f in (
        Format(
            "glt-json",
            "GLT JSON",
            "Loaders of ImageNet-GLT: one file, every split with labels, frequencies and attributes",
            glt_json.write,
            glt_json.read,
            frozenset({*ANNOTATIONS.names, "meta", "classes", "splits"}),
            needs=frozenset({"frequency", "attribute"}),
            unheld=glt_json.unheld,
        ),
        Format(
            "imagenet-lt-txt",
            "OLTR text lists",
            "Long-tail code in the manner of OLTR: one `path label` list a split",
            imagenet_lt_text.write,
            imagenet_lt_text.read,
            frozenset({"path", "class_name", "label", "split", "classes"}),
            folders=True,
        ),
        Format(
            "inat-json",
            "iNaturalist JSON",
            "Loaders of iNaturalist and of COCO: images, annotations and categories, one file a split",
            inat_json.write,
            inat_json.read,
            inat_json.HOLDS,
        ),
        Format(
            "mini-lt-csv",
            "mini-ImageNet-LT CSVs",
            "Code for mini-ImageNet-LT: `img,label` lists, class counts and class names",
            mini_lt_csv.write,
            mini_lt_csv.read,
            mini_lt_csv.HOLDS,
            folder=True,
            unheld=mini_lt_csv.unheld,
        ),
        Format(
            "subset-npz",
            "imagenet-subset NPZ",
            "NumPy: pictures of 224 x 224 as arrays, with a table of the classes",
            subset_npz.write,
            subset_npz.read,
            subset_npz.HOLDS,
            folder=True,
            pictures=True,
            texts=("*.csv",),
            unheld=subset_npz.unheld,
        ),
        Format(
            "imagenetv2-json",
            "ImageNetV2 JSON",
            "Tools of ImageNetV2: pictures with their WNIDs, one file a split",
            imagenetv2_dataset.write,
            imagenetv2_dataset.read,
            imagenetv2_dataset.HOLDS,
        ),
        Format(
            "csv",
            "CSV",
            "Spreadsheets and scripts: one row an image",
            comma_separated.write,
            comma_separated.read,
            TABLE,
        ),
        Format(
            "parquet",
            "Parquet",
            "Tables of any size: pandas, Arrow, DuckDB",
            parquet.write,
            parquet.read,
            TABLE | {"meta", "classes", "splits"},
        ),
        Format(
            "folder",
            "ImageFolder tree",
            "torchvision's ImageFolder: split / class / picture, as links or copies",
            image_folder.write,
            image_folder.read,
            image_folder.HOLDS,
            folder=True,
            pictures=True,
            loose=True,
            texts=(image_folder.INDEX, f"*/{image_folder.METADATA}"),
            index=image_folder.INDEX,
        ),
        Format(
            "webdataset",
            "WebDataset shards",
            "Training on clusters and from object stores: tar files that are read as streams",
            webdataset_shards.write,
            webdataset_shards.read,
            webdataset_shards.HOLDS,
            folder=True,
            pictures=True,
            texts=(webdataset_shards.INDEX,),
        ),
        Format(
            "hf",
            "Hugging Face Parquet",
            "Hugging Face `datasets`: Parquet files with the pictures inside",
            hugging_face.write,
            hugging_face.read,
            hugging_face.HOLDS,
            folder=True,
            pictures=True,
            texts=(hugging_face.CARD,),
            unheld=hugging_face.unheld,
        ),
        Format(
            "croissant",
            "Croissant",
            "Search engines and TensorFlow Datasets: MLCommons' description, and the records as Parquet",
            croissant.write,
            croissant.read,
            croissant.HOLDS,
        ),
        Format(
            "fiftyone",
            "FiftyOne layout",
            "FiftyOne: pictures and labels.json, one folder a split",
            fiftyone_layout.write,
            fiftyone_layout.read,
            fiftyone_layout.HOLDS,
            folder=True,
            pictures=True,
            loose=True,
            texts=(f"*/{fiftyone_layout.LABELS}",),
        ),
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


def read(path: str | Path, name: str | None = None) -> tuple[Format, AnnotationSet]:
    """The format of a file or folder, and the annotations in it.

    Args:
        path: of the file or folder.
        name: of the format; told from the name and content of the file when None.

    Raises:
        ArgumentError: an unknown format, none that could be told, nothing at `path`, or a folder where the format is
            one file.
        CurationError: not such a file.
    """
    path = Path(path)
    kind = get(guess(path) if name is None else name)
    if not path.exists():
        raise ArgumentError(f"there is no file or folder {path}")
    if path.is_dir() and not (kind.folder or kind.folders):
        raise ArgumentError(f"{path} is a folder, and {kind.title} is one file: give the file, or say another --from")
    try:
        return kind, kind.read(path)
    except CurationError as error:
        text = str(error) if path.name in str(error) else f"{path}: {error}"
        # Of a value of thousands of characters the beginning will do.
        raise type(error)(text if len(text) <= _LONG else f"{text[: _LONG // 2]} … {text[-_LONG // 2 :]}") from error
    except UnicodeEncodeError as error:  # JSON can hold half of a surrogate pair
        raise CurationError(f"{path}: {error.object!r:.200} is no Unicode text") from None
