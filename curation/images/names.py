"""Names and definitions of WNIDs, from the tables of 21,844 synsets that timm carries."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

WNID = re.compile(r"n\d{8}")


class Synset(NamedTuple):
    """One WordNet noun synset; empty strings where nothing is known."""

    wnid: str = ""
    lemmas: str = ""
    definition: str = ""


@cache
def synsets() -> dict[str, Synset]:
    """All synsets by WNID, read from timm's files without importing timm (or torch); empty where timm is absent.

    Source: huggingface/pytorch-image-models, timm/data/_info/imagenet_synset_to_{lemma,definition}.txt.
    """
    lemmas, definitions = _pairs("imagenet_synset_to_lemma.txt"), _pairs("imagenet_synset_to_definition.txt")
    return {wnid: Synset(wnid, text, definitions.get(wnid, "")) for wnid, text in lemmas.items()}


def describe(class_names: Sequence[str]) -> list[Synset]:
    """The synset of each class: of its WNID, or of a name that can only mean one of ILSVRC's 1,000 classes, else empty.

    Such a name is a lemma of that class and of no other of the 21,844 synsets, without regard to case, `_` standing
    for a space (`great_white_shark`). Beyond the 1,000 a single match misleads more often than not: the table knows
    `polo` only as the game on horseback, and `shoes` only as a situation.
    """
    known, by_name = synsets(), _by_lemma()
    return [
        known.get(name, Synset(name)) if WNID.fullmatch(name) else by_name.get(_plain(name), Synset())
        for name in class_names
    ]


@cache
def _by_lemma() -> dict[str, Synset]:
    pairs = [(lemma, s) for s in synsets().values() for lemma in {_plain(word) for word in s.lemmas.split(",")}]
    counts = Counter(lemma for lemma, _ in pairs)
    ilsvrc = frozenset(_lines("imagenet_synsets.txt"))
    return {lemma: synset for lemma, synset in pairs if counts[lemma] == 1 and synset.wnid in ilsvrc}


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())


def _pairs(file: str) -> dict[str, str]:
    return {wnid: text.strip() for wnid, _, text in (line.partition("\t") for line in _lines(file))}


def _lines(file: str) -> list[str]:
    spec = importlib.util.find_spec("timm")  # finds the folder; imports nothing
    if spec is None or not spec.submodule_search_locations:
        return []
    path = Path(spec.submodule_search_locations[0], "data", "_info", file)
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
