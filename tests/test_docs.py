"""The documentation names what there is."""

import json
import re
from pathlib import Path

import pytest
from typer.main import get_command

from curation.cli import app
from curation.formats.registry import FORMATS
from curation.splits import documents
from curation.splits.inputs import DUPLICATES
from curation.splits.kinds import RECIPES
from curation.splits.presets import PRESETS

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("splits.md", [f"`{name}`" for name in (*RECIPES, *PRESETS, *DUPLICATES)]),
        ("splits.md", [preset.reference for preset in PRESETS.values()]),
        ("files.md", [f"`{name}`" for name in FORMATS]),
    ],
)
def test_everything_is_named(page, names):
    text = (REPOSITORY / "docs" / page).read_text()
    assert [name for name in names if name not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_links_exist(page):
    text = page.read_text()
    commands = set(re.findall(r"python -m curation ([a-z][a-z-]+)", text))
    assert commands <= set(get_command(app).commands)
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
    for script in re.findall(r"python -m (benchmarks\.[a-z_]+)", text):
        assert (REPOSITORY / script.replace(".", "/")).with_suffix(".py").is_file(), script


def test_the_recipe_that_is_shown_is_one():
    text = (REPOSITORY / "docs" / "splits.md").read_text()
    shown = re.search(r"```json\n(.*?)```", text, re.S)
    assert documents.checked(json.loads(shown[1]), "splits.md")["parameters"]["seed"] == 7
