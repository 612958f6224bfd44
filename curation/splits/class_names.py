"""Which classes of a workspace are meant: told by name, WNID, spelling or a lemma that one class alone has."""

from __future__ import annotations

from collections.abc import Sequence

from curation.splits.settings import Settings
from curation.workspace import Workspace


def named(workspace: Workspace, settings: Settings) -> Settings:
    """A recipe's parameters with the names of this workspace's classes, where they list them otherwise."""
    if not (workspace.path / "classes.parquet").is_file():
        return settings
    ours = workspace.classes()["class_name"].to_pylist()
    return settings.named(lambda told: told if set(told) <= {*ours} else resolved(told, ours, workspace))


def resolved(names: Sequence[str], ours: Sequence[str], workspace: Workspace) -> list[str]:
    """For each name the class of the workspace that it means, or the name itself where it means none.

    No class is meant twice: what is told by name goes before what is told by WNID, and that before lemmas.
    """
    found: dict[int, str] = {}
    taken: set[str] = set()
    wnids, lemmas = _other_names(workspace, ours)
    plain = _alone([(_plain(name), name) for name in ours])
    levels = ((dict(zip(ours, ours, strict=True)), str), (wnids, str), (plain, _plain), (lemmas, _plain))
    for level, key in levels:
        for i, name in enumerate(names):
            mine = level.get(key(name))
            if i not in found and mine is not None and mine not in taken:
                found[i] = mine
                taken.add(mine)
    return [found.get(i, name) for i, name in enumerate(names)]


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _other_names(workspace: Workspace, ours: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The workspace's classes by WNID, and by lemmas that one class alone has."""
    if not (workspace.path / "classes.parquet").is_file():
        return {}, {}
    table = workspace.classes()
    names, wnids, lemmas = (table[c].to_pylist() for c in ("class_name", "wnid", "lemmas"))
    there = set(ours)
    rows = [row for row in zip(names, wnids, lemmas, strict=True) if row[0] in there]
    by_lemma = [(word, name) for name, _, text in rows for word in {_plain(w) for w in (text or "").split(",")} - {""}]
    return _alone([(wnid, name) for name, wnid, _ in rows if wnid]), _alone(by_lemma)


def _alone(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The pairs whose key occurs once."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for key, name in pairs:
        if found.setdefault(key, name) != name:
            twice.add(key)
    return {key: name for key, name in found.items() if key not in twice}
