import importlib
import pkgutil
import re

import pytest

import curation.splits
from curation.splits import documents
from curation.splits.kind import Kind
from curation.splits.presets import PRESETS


@pytest.fixture(scope="module")
def kinds():
    """Every kind of recipe that a module of `curation.splits` defines, by name."""
    modules = (
        importlib.import_module(f"curation.splits.{m.name}") for m in pkgutil.iter_modules(curation.splits.__path__)
    )
    return {k.name: k for module in modules for k in vars(module).values() if isinstance(k, Kind)}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_accepted_by_its_recipe(name, kinds):
    preset = PRESETS[name]
    settings = kinds[preset.recipe].settings
    found = settings.from_dict(preset.parameters)
    assert settings.from_dict(found.to_dict()) == found
    assert all(found.counts(key) for key in preset.parameters), "a parameter of the preset has no say"


def test_names_and_references_are_complete():
    assert all(name == preset.name for name, preset in PRESETS.items())
    assert (
        len({preset.title for preset in PRESETS.values()}) == len({p.about for p in PRESETS.values()}) == len(PRESETS)
    )
    for preset in PRESETS.values():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", preset.name)
        assert re.search(r"\b20\d\d\b", preset.reference), preset.name
        assert re.search(r"arXiv \d{4}\.\d{5}|github\.com/\w+/", preset.reference), preset.name
        assert preset.about
        assert not preset.about.endswith(".")
        assert "\n" not in preset.about + preset.reference


def test_a_preset_is_had_by_its_name(kinds):
    assert not PRESETS.keys() & kinds.keys()
    for preset in PRESETS.values():
        found = documents.document(preset.name)
        assert found == {"kind": preset.recipe, "parameters": dict(preset.parameters)}


def test_what_was_published_can_be_had():
    assert {
        "imagenet-glt", "imagenet-glt-balanced", "mscoco-glt", "imagenet-lt", "places-lt", "cifar-10-lt",
        "cifar-100-lt", "cifar-step", "inaturalist-2018", "mini-imagenet-lt-published", "imagenet-30", "imagenet-100",
    } <= PRESETS.keys()  # fmt: skip
