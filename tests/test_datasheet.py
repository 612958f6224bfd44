"""A datasheet tells what is known, nothing else, and nothing of it is taken for markup."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import clustered
import numpy as np
import pyarrow as pa
import pytest

from curation import datasheet_pages, datasheet_pictures, files
from curation.datasheet import Datasheet, datasheet, write
from curation.errors import ArgumentError
from curation.ledger import Event
from curation.splits import recipes

HOSTILE = "<script>alert(1)</script>|**x**\n![y](//z)\x00 ‮"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clustered")
    workspace = clustered.build(folder)
    workspace.ledger.append(
        [
            Event(reviewer="Ann Onymous", kind="exclude", subject="10", verdict="exclude", note="my cat"),
            Event(reviewer="Bob", kind="exclude", subject="11", verdict="exclude"),
            Event(reviewer="Bob", kind="flag", subject="12", verdict="flag", event_id="f"),
        ]
    )
    workspace.ledger.undo("f", reviewer="Bob")
    recipes.make(workspace, name="one", parameters=clustered.FIT)
    workspace.ledger.append([Event(reviewer="Cy", kind="flag", subject="20", verdict="flag")])
    return folder


@pytest.fixture
def workspace(template, tmp_path):
    return clustered.copy(template, tmp_path)


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append(tag)
        self.attributes += attributes


def test_what_it_tells(workspace):
    sheet = datasheet(workspace, "one")
    facts, text = sheet.facts, sheet.markdown()
    recipe, table, report = recipes.load(workspace, "one")
    assert {name: found["images"] for name, found in facts["splits"].items()} == report["funnel"]["splits"]
    assert sum(facts["funnel"]["left_out"].values()) + facts["images"] == facts["funnel"]["images"]
    assert facts["recipe"]["changed"] == clustered.FIT
    assert facts["recipe"]["seeds"] == {"recipe": 25, "clusters": 25}
    assert facts["decisions"] == {"position": 4, "people": 2, "kinds": {"exclude": 2}}
    assert facts["inputs"] == {k: v for k, v in recipe["inputs"].items() if k != "rows"}
    for words in (
        f"{len(table):,} images of 4 classes in 5 splits",
        "| per cell | 2 |",
        "| left out: excluded by people | 2 | 0.7% |",
        "| images excluded or brought back | 2 |",
        "By 2 people, up to position 4 of the ledger.",
        "Near duplicates were not searched for.",
        recipe["inputs"]["images"],
        "python -m curation rebuild manifest.json",
    ):
        assert words in text
    assert re.search(r"\| train \| +[\d,]+ \| 4 \|", text)


def test_pictures_of_a_reference_set_are_one_reason_in_splits_of_before_too(workspace):
    place = workspace.path / "splits" / "one"
    reasons = [f"near duplicate of a ({i}).png in reference set zoo (by rule)" for i in range(3)]
    left_out = files.read_table(place / "left_out.parquet")
    told = pa.array(reasons + left_out["reason"].to_pylist()[3:])
    files.write_table(place / "left_out.parquet", left_out.set_column(1, "reason", told))
    report = files.read_json(place / "report.json")
    report["funnel"]["left_out"] = {"near duplicate of a": 3}
    files.write_json(place / "report.json", report)
    text = datasheet(workspace, "one").markdown()
    assert re.search(r"\| left out: near duplicate in reference set zoo \| 3 \| 1.0% \|", text)
    assert "near duplicate of a" not in text


def test_quotes_are_no_entities_in_markdown(workspace):
    facts = datasheet(workspace, "one").facts
    sheet = Datasheet(facts | {"recipe": facts["recipe"] | {"about": 'ImageNet-LT\'s "own" <sizes>'}})
    assert 'ImageNet-LT\'s "own" &lt;sizes&gt;' in sheet.markdown()
    assert "<sizes>" not in sheet.html()


def test_no_names_of_people_no_folders_no_dates(workspace, tmp_path):
    sheet = datasheet(workspace, "one")
    for text in (sheet.markdown(), sheet.html(), *sheet.pictures().values()):
        for secret in ("Ann", "Onymous", "Bob", "my cat", str(tmp_path)):
            assert secret not in text
        assert not re.search(r"\b20[0-9]{2}-[0-9]{2}|\b[0-9]{2}:[0-9]{2}\b", text)


def test_what_is_not_known_is_left_out(workspace):
    text = datasheet(workspace, "one").markdown()
    assert "## Licences" not in text
    assert "null" not in text
    assert "None" not in text
    (workspace.roots["images"] / "LICENSE.txt").write_text("\n\n  Attribution 4.0 <b>\nmore\n")
    text = datasheet(workspace, "one").markdown()
    assert "## Licences" in text
    assert "| images/LICENSE.txt | Attribution 4.0 &lt;b&gt; |" in text


def test_leaks_are_told(workspace):
    from paired import store

    table = recipes.load(workspace, "one")[1]
    first = {
        split: table.filter(pa.compute.equal(table["split"], split))["image_id"][0].as_py()
        for split in ("train", "val")
    }
    store(workspace, [(min(first.values()), max(first.values()))])
    files.write_json(workspace.path / "duplicates" / "pairs.json", {"scope": "all"})
    assert "| train | val | 1 | 0 | 0 |" in datasheet(workspace, "one").markdown()
    store(workspace, [(min(first.values()), max(first.values()), {"decision": "candidate"})])
    assert "| train | val | 0 | 1 | 0 |" in datasheet(workspace, "one").markdown()
    store(workspace, [])
    assert "No pair between different splits is known" in datasheet(workspace, "one").markdown()


def test_the_same_split_gives_the_same_bytes(workspace, tmp_path):
    one, two = (write(datasheet(workspace, "one"), tmp_path / name) for name in ("a", "b"))
    assert [p.relative_to(tmp_path / "a").as_posix() for p in one] == [
        "datasheet.md",
        "datasheet.html",
        "datasheet/classes.svg",
    ]
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    assert f"]({one[2].relative_to(tmp_path / 'a').as_posix()})" in one[0].read_text()


def test_the_page_stands_alone(workspace):
    page = datasheet(workspace, "one").html()
    tags = Tags(page)
    assert set(tags.found).isdisjoint({"script", "link", "img", "iframe", "object"})
    assert not [name for name, _ in tags.attributes if name in ("src", "href") or name.startswith("on")]
    assert "url(" not in page
    assert "@import" not in page
    assert page.count("prefers-color-scheme:dark") == 2
    assert "@page{size:A4" in page


def test_nothing_is_taken_for_markup(workspace):
    facts = datasheet(workspace, "one").facts
    splits = {HOSTILE if name == "val" else name: found for name, found in facts["splits"].items()}
    hostile = {
        "name": HOSTILE,
        "workspace": HOSTILE,
        "classes": [HOSTILE, *facts["classes"][1:]],
        "splits": splits,
        "licences": [{"root": HOSTILE, "file": HOSTILE, "line": HOSTILE}],
        "recipe": facts["recipe"] | {"changed": {HOSTILE: HOSTILE, "class_order": [HOSTILE] * 9}},
        "decisions": {"position": 1, "people": 1, "kinds": {HOSTILE: 3}},
    }
    sheet = Datasheet(facts | hostile)
    usual = Datasheet(facts)
    assert set(Tags(sheet.html()).found) == set(Tags(usual.html()).found)
    for line in sheet.markdown().splitlines():
        bare = re.sub(r"\\.|&#?\w+;|`[^`]*`", "", line)
        assert "<" not in bare
        assert "**" not in bare
        assert "![" not in bare or bare.startswith("![Images by class")
    for svg in sheet.pictures().values():
        names = {element.tag.split("}")[1] for element in ElementTree.fromstring(svg).iter()}
        assert names <= {"svg", "style", "text", "tspan", "rect", "path", "title"}


def heights(svg, kind="c"):
    """Heights of all bars, by panel (the place of their foot)."""
    feet = {}
    for x, y, tall in re.findall(
        rf'<rect class="{kind}" x="([\d.]+)" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', svg
    ):
        feet.setdefault(round(float(y) + float(tall)), {})[float(x)] = float(tall)
    return list(feet.values())


def test_bars_are_true_and_aligned():
    counts = {"train": [40, 20, 0, 10], "val": [1, 2, 3, 4]}
    svg = datasheet_pictures.histograms(counts, {name: [] for name in counts}, list("abcd"), [None] * 4)
    train, val = heights(svg)
    assert np.allclose(list(train.values()), np.array([40, 20, 10]) / 40 * 78, atol=0.01)
    assert np.allclose(list(val.values()), np.array([1, 2, 3, 4]) / 4 * 78, atol=0.01)
    assert set(train) < set(val)
    assert "<title>b: 20</title>" in svg
    assert "40 to 10 images a class" in svg


def test_many_classes_share_columns_and_stay_true():
    counts = np.arange(21_000)
    svg = datasheet_pictures.histograms(
        {"train": counts}, {"train": []}, [f"c{i}" for i in counts], [None] * len(counts)
    )
    assert len(svg) < 60_000
    bars = [float(tall) for tall in re.findall(r"v-([\d.]+)h", svg)]
    assert len(bars) == 778
    assert bars == sorted(bars)
    assert "label 20,999" in svg


def test_long_lists_are_cut():
    assert datasheet_pages._value(list(range(1000))) == "0, 1, 2, 3, 4, 5 and 994 more"
    assert datasheet_pages._value({"a": 1}) == "a: 1"
    assert datasheet_pages._value(False) == "false"


def test_an_unknown_split(workspace):
    with pytest.raises(ArgumentError, match=r"there is no split 'two'"):
        datasheet(workspace, "two")
