"""What the formats whose pictures are files of their own share: safe names, links and copies."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import unicodedata
from pathlib import Path, PurePosixPath

import numpy as np

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats import containers
from curation.formats.annotations import AnnotationSet, Options, check_pictures

LINKS = ("link", "hardlink", "copy")
# The last are names of devices, which Windows takes for them whatever suffix follows.
_UNSAFE = re.compile(
    r'[\x00-\x1f\x7f/\\:*?"<>|%]|^\.|[. ]$|^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?=\.|$)', re.IGNORECASE
)
_BLOCK = 1024


def check(annotations: AnnotationSet, options: Options) -> None:
    """Raises ArgumentError when nothing says where the pictures are, or for an unknown kind of link."""
    if options.link not in LINKS:
        raise ArgumentError(f"unknown link {options.link!r}: choose one of {', '.join(LINKS)}")
    check_pictures(annotations, options)


def safe_name(text: str) -> str:
    """The text as a file name on any system: unsafe characters percent-encoded; a very long one by its hash."""
    name = _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text) or "%00"
    if len(name.encode()) <= 200:
        return name
    suffix = PurePosixPath(name).suffix
    return files.slug(text) + (suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", suffix) else "")


def folded(name: str) -> str:
    """What is the same for names that are one file on some system: letter case and ways to write an accent aside."""
    return unicodedata.normalize("NFC", name).casefold()


def unique(name: str, path: str) -> str:
    """The name with a hash of the path, for one that would be there twice."""
    place = PurePosixPath(name)
    return str(place.with_name(f"{place.stem}-{hashlib.sha256(path.encode()).hexdigest()[:12]}{place.suffix}"))


def place_all(
    paths: list[str], names: list[str], part: Path, final: Path, annotations: AnnotationSet, options: Options
) -> np.ndarray:
    """Put pictures of a set into `part`, which later moves to `final`; gives which were there, (N,) bool.

    Args:
        paths: of the pictures in the set.
        names: where each goes, relative to `part`; its folders are there.
        part, final: folders.
        annotations, options: of the set; one that gives the bytes of its pictures gets copies.
    """
    put = np.ones(len(names), bool)
    for row, (path, name) in enumerate(zip(paths, names, strict=True)):
        if row % _BLOCK == 0:
            options.progress(row, len(names), "writing pictures")
        if annotations.pictures is None:
            put[row] = _place(options.locate(path), part / name, final / name, options.link)
        elif (data := containers.encoded(annotations, options, path)) is None:
            put[row] = False
        else:
            (part / name).write_bytes(data)
    options.progress(len(names), len(names), "writing pictures")
    return put


def _place(source: Path, target: Path, final: Path, link: str) -> bool:
    """Put one picture at `target`, which later moves to `final`; False when there is no such picture."""
    try:
        if link == "link":
            if not source.is_file():
                return False
            # Relative, so that images and tree can move together and no home folder is told.
            target.symlink_to(os.path.relpath(source.resolve(), final.parent))
        elif link == "hardlink":
            os.link(source.resolve(), target)
        else:
            shutil.copyfile(source, target)
    except FileNotFoundError:
        return False
    except OSError as error:
        what = {28: "no space left on the disk", 122: "disk quota used up", 18: "on another disk (choose copy)"}
        raise CurationError(f"cannot {link} {source.name} into the tree: {what.get(error.errno, error)}") from error
    return True
