"""NPZ of 30 classes x 50 pictures, streamed, against all in memory: prints how much faster and smaller.

    python benchmarks/npz.py [--classes 30] [--images 50]

The plain way is that of baunilhamarga/imagenet-subset: class by class, torchvision's transforms on one thread, into
arrays made for all pictures, and numpy.savez at the end. Each side packs the same made-up JPEG files (500 x 375 and
sizes around it) in fresh processes, which read their peak memory (VmHWM) above what they took before; they take turns,
and medians are compared. The arrays must be equal. Exit code 1 when the claim does not hold.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.memory import peak, peak_from_here

TIME, MEMORY = 0.7, 0.1
SIZES = ((500, 375), (375, 500), (500, 333), (400, 300), (640, 480))
VAL = 5  # of the pictures of a class, those of val


def files_of(folder: Path) -> list[tuple[str, int, str, int]]:
    """(path, label, split, number) of every picture, by split and number."""
    found = []
    for label, place in enumerate(sorted(p for p in folder.iterdir() if p.is_dir())):
        for i, path in enumerate(sorted(place.iterdir())):
            found.append((path.relative_to(folder).as_posix(), label, "val" if i < VAL else "train", int(path.stem)))
    return sorted(found, key=lambda row: (row[2], row[3]))


def plain(folder: Path) -> Callable[[Path], object]:
    """All in memory."""
    from PIL import Image
    from torchvision.transforms import CenterCrop, Compose, Resize

    transform = Compose([Resize(256), CenterCrop(224)])
    rows = files_of(folder)

    def pack(out: Path) -> None:
        arrays: dict[str, np.ndarray] = {}
        for split in ("train", "val"):
            count = sum(row[2] == split for row in rows)
            arrays[f"X_{split}"] = np.zeros((count, 224, 224, 3), np.uint8)
            arrays[f"y_{split}"] = np.zeros(count, np.int32)
            arrays[f"{split}_id"] = np.zeros(count, np.int32)
            for place, (path, label, _, number) in enumerate(row for row in rows if row[2] == split):
                with Image.open(folder / path) as image:
                    arrays[f"X_{split}"][place] = np.asarray(transform(image.convert("RGB")))
                arrays[f"y_{split}"][place], arrays[f"{split}_id"][place] = label, number
        out.mkdir()
        np.savez(out / f"{out.name}_cls_part1.npz", **arrays)

    return pack


def ours(folder: Path) -> Callable[[Path], object]:
    """As a stream."""
    from curation.formats import subset_npz
    from curation.formats.annotations import AnnotationSet, Options, annotation_table, names_of

    path, label, split, number = zip(*files_of(folder), strict=True)
    classes = sorted(p.name for p in folder.iterdir() if p.is_dir())
    columns = {"path": path, "label": label, "split": split, "number": number, "class_name": names_of(label, classes)}
    annotations = AnnotationSet(annotation_table(columns), tuple(classes), ("train", "val"))
    options = Options(locate=lambda path: folder / path)
    return lambda out: subset_npz.write(annotations, out.parent, out.name, options)


def side(which: str, folder: Path, out: Path) -> dict[str, float]:
    """Seconds and bytes of one way, in this process."""
    pack = {"plain": plain, "ours": ours}[which](folder)
    before, start = peak_from_here(), time.perf_counter()  # libraries and the list are there
    pack(out)
    return {"seconds": time.perf_counter() - start, "bytes": peak() - before}


def measure(classes: int = 30, images: int = 50, rounds: int = 3) -> dict[str, Any]:
    """Both sides over the same pictures: seconds and peak bytes above the start, ratios, and whether arrays agree.

    The sides take turns; of their rounds the medians are compared.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = _drawn(Path(name) / "pictures", classes, images)
        turns: dict[str, list[dict[str, float]]] = {"plain": [], "ours": []}
        for _ in range(rounds):
            for which, done in turns.items():
                shutil.rmtree(f"{name}/{which}", ignore_errors=True)
                # -P: queue.py in this folder is not the queue of the standard library.
                command = [sys.executable, "-P", __file__, "--side", which, str(folder), f"{name}/{which}"]
                result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                done.append(json.loads(result.stdout))
        equal = _equal(*(Path(name) / which / f"{which}_cls_part1.npz" for which in turns))
    found = {which: {key: median(turn[key] for turn in done) for key in done[0]} for which, done in turns.items()}
    ratios = {f"{key}_ratio": found["ours"][key] / found["plain"][key] for key in ("seconds", "bytes")}
    return found | ratios | {"classes": classes, "images": classes * images, "equal": equal}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, default=30)
    parser.add_argument("--images", type=int, default=50, help="pictures a class")
    parser.add_argument("--side", nargs=3, metavar=("WHICH", "FOLDER", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(side(options.side[0], Path(options.side[1]), Path(options.side[2]))))
        return 0
    found = measure(options.classes, options.images)
    for which in ("plain", "ours"):
        print(f"{which:5}  {found[which]['seconds']:6.2f} s  {found[which]['bytes'] / 1e6:8.1f} MB above the start")
    line, good = verdict(found)
    print(line)
    return int(not good)


def verdict(found: dict[str, Any]) -> tuple[str, bool]:
    """What `measure` found in a line, and whether the claim holds."""
    good = found["seconds_ratio"] <= TIME and found["bytes_ratio"] <= MEMORY and found["equal"]
    line = f"time ratio {found['seconds_ratio']:.2f} (at most {TIME}), memory ratio {found['bytes_ratio']:.3f} "
    return f"{line}(at most {MEMORY}), arrays {'equal' if found['equal'] else 'DIFFER'}", good


def _drawn(folder: Path, classes: int, images: int) -> Path:
    from PIL import Image

    rng = np.random.default_rng(0)
    number = iter(rng.permutation(classes * images) + 1)
    for label in range(classes):
        (folder / f"n{label:08d}").mkdir(parents=True)
        for i in range(images):
            coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
            picture = coarse.resize(SIZES[i % len(SIZES)], Image.Resampling.BICUBIC)
            picture.save(folder / f"n{label:08d}" / f"{next(number)}.JPEG", "JPEG", quality=92)
    return folder


def _equal(first: Path, second: Path) -> bool:
    with np.load(first, allow_pickle=False) as a, np.load(second, allow_pickle=False) as b:
        return list(a) == list(b) and all(a[key].dtype == b[key].dtype and np.array_equal(a[key], b[key]) for key in a)


if __name__ == "__main__":
    raise SystemExit(main())
