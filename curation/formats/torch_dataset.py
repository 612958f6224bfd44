"""A split as a `torch.utils.data.Dataset`. Only this module of the formats imports torch."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image
from torch.utils.data import Dataset

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats import registry
from curation.formats.annotations import AnnotationSet

EXTRAS = ("frequency", "attribute", "cluster", "index")
MANY, FEW = 100, 20  # images of a head class are more, of a tail class fewer


class SplitDataset(Dataset):
    """The pictures of one split with their labels.

    Items are (image, label, *extras). The image is a PIL picture in RGB, or what `transform` makes of it; all else are
    ints. The loader of ImageNet-GLT (KaihuaTang/Generalized-Long-Tailed-Benchmarks.pytorch) has the extras
    ("frequency", "index") in training and ("frequency", "attribute", "index") in tests.

    Pictures are opened when they are asked for, and a data set can be sent to the workers of a DataLoader.

    Attributes:
        split: its name.
        classes: class names by label.
        targets: labels of the items, int64 (N,).
    """

    def __init__(
        self,
        source: AnnotationSet | str | Path,
        split: str,
        *,
        kind: str | None = None,
        root: str | Path | None = None,
        transform: Callable[[Image.Image], Any] | None = None,
        extras: Sequence[str] = (),
    ) -> None:
        """Take one split of a set.

        Args:
            source: the annotations, or a file or folder of them.
            split: its name.
            kind: the format of `source` where that is a file, a name of `curation.formats.registry`; told from its
                name and content when None.
            root: folder that the paths are relative to; not needed where they are absolute, or the files hold pictures.
            transform: applied to each picture.
            extras: what items have behind the label, of EXTRAS, in this order.

        Raises:
            ArgumentError: no such split or format, an unknown extra or one that the split does not know of all its
                images, nothing says where the pictures are, or a path leads out of the root.
            CurationError: the file cannot be read.
        """
        annotations = source if isinstance(source, AnnotationSet) else registry.read(source, kind)[1]
        if split not in annotations.splits:
            raise ArgumentError(f"there is no split {split!r}: choose one of {', '.join(annotations.splits)}")
        if (bad := next((name for name in extras if name not in EXTRAS), None)) is not None:
            raise ArgumentError(f"unknown extra {bad!r}: choose of {', '.join(EXTRAS)}")
        table = annotations.of(split)
        self.split, self.classes, self.transform = split, list(annotations.classes), transform
        self.targets = _ints(table, "label", split)
        # Arrays and not lists: a list would be copied, object by object, in every worker that touches it.
        self._paths: pa.Array = pa.concat_arrays(table["path"].chunks) if len(table) else pa.array([], pa.string())
        self._extras = [np.arange(len(table)) if n == "index" else _ints(table, n, split) for n in extras]
        self._frequency = None if table["frequency"].null_count else _ints(table, "frequency", split)
        self._pictures = _pictures(annotations, self._paths, root)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """The item at a place; below 0 from the end.

        Raises:
            IndexError: there is no such place.
            CurationError: its picture is gone or broken; names the path.
        """
        label = int(self.targets[index])
        image = self._open(self._paths[int(index)].as_py())
        return image if self.transform is None else self.transform(image), label, *(int(x[index]) for x in self._extras)

    def class_counts(self) -> np.ndarray:
        """Images of every class in this split, int64 (C,), in the order of labels as numbers; 0 where it has none."""
        return np.bincount(self.targets, minlength=len(self.classes))

    def class_priors(self) -> np.ndarray:
        """Share of every class in this split, float64 (C,), in the order of labels as numbers; sums to 1.

        What a balanced softmax (Ren et al. 2020) or a logit adjustment (Menon et al. 2021) takes the logarithm of.
        Labels sorted as texts ("0", "1", "10", ...), or classes without images left out, would give each class the
        prior of another.

        Raises:
            CurationError: the split has no images.
        """
        if not len(self):
            raise CurationError(f"split {self.split!r} has no images, and so no shares of classes")
        return self.class_counts() / len(self)

    def groups(self) -> np.ndarray:
        """Group of every class, int8 (C,): 0 head, 1 medium, 2 tail, -1 without images in this split.

        As the images' frequencies say; where those are not known, by the images of the class in this split: more than
        100, 20 to 100, fewer than 20 (Kang et al. 2020, facebookresearch/classifier-balancing).

        Raises:
            CurationError: images of one class are in two groups.
        """
        counts = self.class_counts()
        if self._frequency is None:
            found = np.where(counts > MANY, 0, np.where(counts >= FEW, 1, 2))
        else:
            found = np.full(len(counts), -1)
            found[self.targets] = self._frequency
            if (wrong := np.flatnonzero(found[self.targets] != self._frequency)).size:
                name = self.classes[self.targets[wrong[0]]]
                raise CurationError(f"images of class {name!r} are in more than one frequency group")
        return np.where(counts == 0, -1, found).astype(np.int8)

    def _open(self, path: str) -> Image.Image:
        try:
            data = self._pictures(path)
            if data is None:
                raise FileNotFoundError("there is no such file")
            with Image.open(io.BytesIO(data)) as image:
                return image.convert("RGB")
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            raise CurationError(f"the picture {path!r} of split {self.split!r} cannot be read: {error}") from error


class _Folder:
    """Pictures in a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, path: str) -> bytes:
        return (self._root / path).read_bytes()


def _pictures(annotations: AnnotationSet, paths: pa.Array, root: str | Path | None) -> Callable[[str], bytes | None]:
    """What gives the pictures; a root that is given holds, since an index can be read without its pictures."""
    if root is not None:
        if (row := files.first_outside(paths)) is not None:
            path = paths[row].as_py()
            raise ArgumentError(f"path {path!r} leads out of {root}: paths must be relative to the root, without '..'")
        return _Folder(Path(root))
    if annotations.pictures is not None:
        return annotations.pictures
    if (path := next((path for path in paths.to_pylist() if not Path(path).is_absolute()), None)) is not None:
        raise ArgumentError(f"nothing says where {path!r} is: give the folder (root) that the paths are relative to")
    return _Folder(Path())


def _ints(table: pa.Table, name: str, split: str) -> np.ndarray:
    """A column of numbers, int64 (N,)."""
    if table[name].null_count:
        raise ArgumentError(
            f"split {split!r} does not know the {name} of {table[name].null_count:,} of {len(table):,} images"
        )
    return pc.cast(table[name], pa.int64()).to_numpy()
