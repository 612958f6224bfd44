"""What a search uses: which measures, with which feature sets, and what to say where one cannot run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from curation import files
from curation.arrays import Features
from curation.duplicates import scopes
from curation.duplicates.hashes import PerceptualHash
from curation.duplicates.measures import Measure, Proposals, Side
from curation.duplicates.neighbours import unit
from curation.duplicates.rendered import Dssim, Pixels
from curation.duplicates.vectors import Cosine, Fc7
from curation.engine import Progress
from curation.errors import ArgumentError, CurationError
from curation.workspace import Workspace

if TYPE_CHECKING:
    from curation.duplicates.renditions import Renditions

METRICS = ("phash", "cosine", "fc7", "pixels", "dssim")
"""Measures in the order in which they propose; a feature set's name stands for cosine on it."""
REVIEWED = {"pixels": 1.2e8, "dssim": 0.2205, "fc7": 1.32e4}
"""Distances up to which ImageNetV2's authors looked at every pair (github.com/modestyachts/ImageNetV2)."""
RADII = {"phash": 8, **REVIEWED}
COMPARED = ("proposed", "class", "similar")
VGG16 = "vgg16"
# What may differ between two feature sets that can be compared with each other.
ASIDE = ("device", "versions", "weights", "batch_size", "shard_rows", "dtype", "precision")


class Settings(NamedTuple):
    """What a search was asked to do; see `find.find`."""

    metrics: tuple[str, ...]
    features: Features | None
    fc7: Features | None
    scope: str
    top_k: int
    radii: dict[str, float]
    cosine_margin: float
    compare: str
    similar: dict[str, list[str]] | None
    geometry: bool
    workers: int
    device: str | None

    def recipe(self) -> dict[str, Any]:
        """The settings that decide on the pairs."""
        chosen = {
            name: getattr(self, name) for name in ("scope", "top_k", "radii", "cosine_margin", "compare", "geometry")
        }
        names = {name: made.name if made else None for name, made in (("features", self.features), ("fc7", self.fc7))}
        digests = {f"{n}_recipe": made.recipe_digest if made else None for n, made in (("features", self.features),)}
        return {"metrics": list(self.metrics)} | names | digests | chosen


def metrics_of(asked: Sequence[str], features: str | None, workspace: Workspace) -> tuple[tuple[str, ...], str | None]:
    """Measures in the order of `METRICS`, and the feature set that one of them names, or `features`.

    Raises:
        ArgumentError: a name is no measure and no feature set, or two feature sets are named.
    """
    asked = [name.strip() for name in asked if name.strip()]
    if not asked:
        raise ArgumentError(f"no measure was named: choose from {', '.join(METRICS)}, or the name of a feature set")
    sets = [name for name in dict.fromkeys(asked) if name not in METRICS]
    known = workspace.feature_names()
    if unknown := [name for name in sets if name not in known]:
        raise ArgumentError(
            f"unknown measure {unknown[0]!r}: choose from {', '.join(METRICS)}, or the name of a feature set "
            f"({', '.join(known) or 'there is none yet'})"
        )
    named = list(dict.fromkeys([*sets, *([features] if features else [])]))
    if len(named) > 1:
        raise ArgumentError(f"cosine looks at one feature set, and {', '.join(named)} were named: choose one")
    chosen = {*asked, *(["cosine"] if sets else [])}
    return tuple(name for name in METRICS if name in chosen), named[0] if named else None


def check(top_k: int, radii: Mapping[str, float], compare: str) -> None:
    """Raises ArgumentError for numbers with which nothing can be searched."""
    if top_k < 1:
        raise ArgumentError(f"{top_k} neighbours leave no pairs: choose a top-k of 1 or more")
    if unknown := sorted(set(radii) - set(METRICS)):
        raise ArgumentError(f"a radius was given for {unknown[0]!r}: choose from {', '.join(METRICS)}")
    if not 0 <= radii["phash"] <= 16:
        raise ArgumentError(f"a pHash radius of {radii['phash']} bits cannot be searched: choose 0 to 16")
    if negative := [name for name in sorted(radii) if radii[name] < 0]:
        raise ArgumentError(f"a radius of {radii[negative[0]]} for {negative[0]}: choose 0 or more")
    if compare not in COMPARED and not Path(compare).is_file():
        raise ArgumentError(
            f"dssim cannot compare {compare!r}: choose {', '.join(COMPARED)}, or a JSON file of classes"
        )


def cosine_features(workspace: Workspace, name: str | None) -> tuple[Features | None, list[str]]:
    """The features for cosine, the first finished set where none is named; and what to say where there are none."""
    if name is not None:
        return Features(workspace, name).verify(), []
    notes = []
    for known in workspace.feature_names():
        try:
            return Features(workspace, known).verify(), notes
        except CurationError as error:
            notes.append(f"features {known!r} were not used: {error}")
    return None, [*notes, "no features: only hashes were compared; run `extract`, then this again, to find more"]


def fc7_features(workspace: Workspace) -> Features:
    """The feature set of VGG-16's fc7.

    Raises:
        CurationError: there is none, or it is unfinished or corrupted.
    """
    for name in workspace.feature_names():
        if files.read_json(workspace.path / "features" / name / "recipe.json").get("backbone") == VGG16:
            return Features(workspace, name).verify()
    known = ", ".join(workspace.feature_names()) or "none yet"
    raise CurationError(
        f"fc7 cannot be measured: no feature set was made with {VGG16} (there are: {known}): run `extract --backbone "
        f"{VGG16}`, then this again, or leave out fc7"
    )


def counterpart(features: Features, reference: Workspace) -> Features:
    """The feature set of a reference set that was made as `features` were.

    Raises:
        CurationError: there is none, or it is unfinished or corrupted.
    """
    wanted = _comparable(features.recipe)
    names = sorted(reference.feature_names(), key=lambda name: (name != features.name, name))
    for name in names:
        recipe = files.read_json(reference.path / "features" / name / "recipe.json")
        if _comparable(recipe) == wanted and (recipe.get("backbone") != "given" or name == features.name):
            return Features(reference, name).verify()
    raise CurationError(
        f"it has no features made as {features.name!r} were (backbone {features.recipe.get('backbone')}; there are: "
        f"{', '.join(names) or 'none'}): run `extract` on {reference.path} with the same backbone and weights"
    )


def _comparable(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in recipe.items() if name not in ASIDE}


def similar_classes(side: Side, compare: str, features: Features | None) -> dict[str, list[str]] | None:
    """The most similar classes of each, the own one first: from a file, or by the cosine of mean features.

    Raises:
        ArgumentError: the file is no JSON object of lists.
        CurationError: `similar` was asked for, and there are no features.
    """
    if compare in ("proposed", "class"):
        return None
    if compare != "similar":
        known = files.read_json(compare)
        if not isinstance(known, dict) or not all(isinstance(some, list) for some in known.values()):
            raise ArgumentError(f'{compare} does not list classes by class, as {{"n01440764": ["n01443537", …]}} does')
        return known
    if features is None:
        raise CurationError("the most similar classes follow from features, and there are none: run `extract` first")
    code, names = scopes.codes(side.images["class_name"])
    sums, counts = np.zeros((len(names), features.dim)), np.bincount(code[features.ids], minlength=len(names))
    for ids, rows in features.shards():
        np.add.at(sums, code[ids], unit(rows))
    means = unit((sums / np.maximum(counts, 1)[:, None]).astype(np.float32))
    order = np.argsort(-(means @ means.T), axis=1, kind="stable")
    return {
        name: [names[i] for i in row if counts[i]][: scopes.SIMILAR + 1] for name, row in zip(names, order, strict=True)
    }


class Chosen(NamedTuple):
    """Measures between two sides that can run, DSSIM's maker, and what to say of those that cannot."""

    measures: list[Measure]
    dssim: Callable[[Proposals], Dssim] | None
    notes: list[str]


def choose(first: Side, second: Side, settings: Settings, own: Cosine | None, progress: Progress) -> Chosen:
    """The measures of a search; `own` is the cosine inside the workspace, whose surroundings it takes."""
    on_features, notes = _on_features(first, second, settings, own)
    measures: list[Measure] = [PerceptualHash(first, second, radius=int(settings.radii["phash"])), *on_features]
    dssim = None
    if {"pixels", "dssim"} & set(settings.metrics):
        sides = first, second, *_renditions(first, second, settings.workers, progress)
        options = {"workers": settings.workers, "device": settings.device}
        if sides[3].failed:
            notes.append(_lost(second, sides[3]))
        if "pixels" in settings.metrics:
            measures.append(Pixels(*sides, radius=settings.radii["pixels"], **options))
        if "dssim" in settings.metrics:

            def dssim(pairs: Proposals) -> Dssim:
                asked = pairs if settings.compare == "proposed" else None
                return Dssim(*sides, pairs=asked, radius=settings.radii["dssim"], **options)

    return Chosen(measures, dssim, notes)


def _on_features(
    first: Side, second: Side, settings: Settings, own: Cosine | None
) -> tuple[list[Cosine | Fc7], list[str]]:
    """Measures on features, and what to say where a reference set has none."""
    measures: list[Cosine | Fc7] = []
    notes: list[str] = []
    options = {"workers": settings.workers, "device": settings.device}
    for name, features in (("cosine", settings.features), ("fc7", settings.fc7)):
        if features is None:
            continue
        try:
            others = features if first is second else counterpart(features, second.workspace)
        except CurationError as error:
            notes.append(f"reference set {second.name!r} was not compared by {name}: {error}")
            continue
        sides = first, second, features, others
        if name == "cosine":
            measures.append(Cosine(*sides, own=own, margin=settings.cosine_margin, **options))
        else:
            measures.append(Fc7(*sides, radius=settings.radii["fc7"], **options))
    return measures, notes


def _lost(side: Side, made: Renditions) -> str:
    first, where = min(made.failed), f" of reference set {side.name!r}" if side.name else ""
    return (
        f"{len(made.failed):,} pictures{where} could not be decoded and were not compared by pixels (image {first}: "
        f"{made.failed[first]}): run `init` again, which sets them aside"
    )


def _renditions(first: Side, second: Side, workers: int, progress: Progress) -> tuple[Renditions, Renditions]:
    from curation.duplicates import renditions

    ours = renditions.make(first.workspace, workers=workers, progress=progress)
    if first is second:
        return ours, ours
    keeper = {"keeper": first.workspace, "name": second.name}
    return ours, renditions.make(second.workspace, **keeper, workers=workers, progress=progress)
