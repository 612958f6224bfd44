"""Synset tables come from timm's files, without timm or torch."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

from curation.images import names


def test_all_synsets_have_lemmas_and_a_definition():
    known = names.synsets()
    assert len(known) == 21_844
    assert all(s.lemmas and s.definition for s in known.values())
    assert known["n01440764"].lemmas == "tench, Tinca tinca"


def test_classes_are_described_by_wnid_or_by_an_unmistakable_name():
    found = names.describe(["n02119789", "tench", "Great_White_Shark", "n99999999", "my class"])
    assert [s.wnid for s in found] == ["n02119789", "n01440764", "n01484850", "n99999999", ""]
    assert found[0].definition.startswith("small grey fox")
    assert found[3] == names.Synset("n99999999")


def test_names_that_may_mean_something_else_stay_empty():
    # crane: a bird and a machine, both of ILSVRC; polo and shoes have one meaning in the table, and not the clothes.
    assert set(names.describe(["crane", "polo", "shoes", "maillot"])) == {names.Synset()}


def test_nothing_heavy_is_imported():
    script = (
        "import sys, curation.images.names as n; n.describe(['tench']); print({'timm', 'torch'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_without_timm_nothing_is_known(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for cached in (names.synsets, names._by_lemma):
        cached.cache_clear()
    try:
        assert names.describe(["n01440764", "tench"]) == [names.Synset("n01440764"), names.Synset()]
    finally:
        for cached in (names.synsets, names._by_lemma):
            cached.cache_clear()
