"""The certificate: what it counts, that it is the same every time, and that names in it are no markup."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pictures import draw

from curation import files
from curation.duplicates import certificate, certificate_text, probes, searched, tables
from curation.errors import ArgumentError
from curation.images import ingest
from curation.ledger import Event
from curation.references import inner, listing, register, state
from curation.workspace import PAIRS, SPLIT, Workspace

EVIL = "<script>alert(1)</script>|*b*\n# [x](http://evil.example)"


@pytest.fixture
def workspace(make) -> Workspace:
    """Twelve images of two classes, 0 to 7 of train and the others of test; number 11 is flat."""
    flat = np.arange(12) == 11
    return make(12, class_name=["a"] * 7 + ["b"] * 5, source_split=["train"] * 8 + ["test"] * 4, flat=flat)


def search(
    workspace: Workspace,
    rows: list[tuple],
    *,
    references: Sequence[str] = (),
    probability: float | None = None,
    **recipe: Any,
) -> None:
    """Write pairs (reference, a, b, decision) and a recipe as a search would."""
    rows = sorted(rows)
    known = {name: [row[i] for row in rows] for i, name in enumerate(("reference", "image_a", "image_b", "decision"))}
    known["probability"] = [probability] * len(rows)
    columns = {f.name: pa.array(known[f.name]) if f.name in known else pa.nulls(len(rows)) for f in PAIRS}
    path = workspace.path / "duplicates" / "pairs.parquet"
    files.write_table(path, pa.table({f.name: columns[f.name].cast(f.type) for f in PAIRS}, schema=PAIRS))
    there = {name: other for name, other in listing(workspace).items() if name in references}
    seen = {name: state(w) for name, w in there.items()}
    made = {"workspace": workspace.id, "scope": "all", "metrics": ["phash", "cosine"], "references": seen}
    count = workspace.images(["image_id"]).num_rows
    files.write_json(path.with_suffix(".json"), made | {"images": count} | recipe)


def say(workspace: Workspace, subject: str, verdict: str, reviewer: str = "anna", kind: str = "pair") -> int:
    return workspace.ledger.append([Event(reviewer=reviewer, kind=kind, subject=subject, verdict=verdict)])


def test_before_any_search_it_certifies_nothing(workspace):
    found = certificate.certificate(workspace)
    assert (found["search"], found["searched"], found["pairs"], found["probes"]) == (None, [], None, None)
    assert found["not_known"] == ["No search for near duplicates was made: nothing is known about any pair."]
    assert "this certifies nothing" in certificate_text.markdown(found)


def test_it_counts_what_there_is(workspace):
    search(
        workspace, [("", 0, 1, "duplicate"), ("", 2, 9, "duplicate"), ("", 3, 9, "candidate"), ("", 4, 5, "different")]
    )
    say(workspace, "3-9", "duplicate")
    say(workspace, "0-1", "duplicate")
    say(workspace, "0-1", "related", reviewer="ben")
    found = certificate.certificate(workspace)
    assert found["images"] == {"rows": 12, "ok": 12, "broken": 0, "gone": 0, "flat": 1} | {
        "sha256": found["images"]["sha256"]
    }
    assert found["pairs"] == {"all": 4, "duplicate": 2, "candidate": 1, "different": 1}
    verdicts = {"judged": 2, "duplicate": 1, "contested": 1, "reviewers": 2, "judged_by_two": 1, "adjudicated": 0}
    assert {name: found["verdicts"][name] for name in verdicts} == verdicts
    cell = next(cell for cell in found["leaks"] if (cell["set_a"], cell["set_b"]) == ("train", "test"))
    assert (cell["duplicates"], cell["contested"], cell["undecided"]) == (2, 0, 0)
    assert "Between different sets: 2 duplicates, 0 undecided, 0 contested" in certificate_text.markdown(found)


def test_an_earlier_position_gives_the_earlier_certificate(workspace):
    search(workspace, [("", 2, 9, "duplicate")])
    position = say(workspace, "2-9", "duplicate")
    before = certificate.certificate(workspace)
    say(workspace, "2-9", "different", reviewer="ben")
    assert certificate.certificate(workspace, until=position) == before
    assert certificate.certificate(workspace)["ledger_position"] == position + 1
    assert certificate.certificate(workspace, until=10**6) == certificate.certificate(workspace)


def test_files_have_the_same_bytes_every_time_and_no_folders_of_this_computer(workspace, make, tmp_path):
    register(workspace, make(3).path, name="other")
    search(workspace, [("", 2, 9, "duplicate")], weights=str(tmp_path / "weights.pt"), references=["other"])
    say(workspace, "2-9", "duplicate", reviewer="anna.smith")
    outs = [tmp_path / "one", tmp_path / "two"]
    for out in outs:
        assert certificate.write(workspace, out) == json.loads((out / "certificate.json").read_text())
    for name in ("certificate.json", "certificate.md"):
        first, second = ((out / name).read_bytes() for out in outs)
        assert first == second
        assert str(tmp_path).encode() not in first
        assert b"anna" not in first
        assert b"weights.pt" in first
    assert {path.name for path in outs[0].iterdir()} == {"certificate.json", "certificate.md"}


def test_pairs_searched_are_all_pairs_those_of_a_class_or_between_splits(make, monkeypatch):
    monkeypatch.setattr("curation.duplicates.scopes.GROUP", 1)  # classes are searched one by one
    features = np.ones((12, 4), np.float32)
    features[0] = np.nan
    split, flat = ["train"] * 8 + ["test"] * 4, np.arange(12) == 11
    workspace = make(12, class_name=["a"] * 7 + ["b"] * 5, source_split=split, flat=flat, features=features)
    for name in ("other", "probes"):
        register(workspace, make(3, class_name=["a", "a", "c"]).path, name=name, probes=name == "probes")
    files.write_json(tables.folder(workspace, "cosine", "other") / "recipe.json", {})
    # Image 0 has no feature, and image 11 is flat: hashes see 11 images, features 10.
    expected = {
        "all": (66, 55, 10 * 9 // 2),
        "class": (66, 55, 6 * 5 // 2 + 4 * 3 // 2),
        "splits": (8 * 4, 8 * 3, 7 * 3),
    }
    for scope, numbers in expected.items():
        search(workspace, [], scope=scope, references=["other", "probes"], features="given")
        rows = searched.pairs(workspace, searched.recipe(workspace))
        found = {(row["measure"], row["reference"]): row["pairs"] for row in rows}
        assert tuple(found[measure, ""] for measure in ("exact", "phash", "cosine")) == numbers
        others = tuple(found[measure, "other"] for measure in ("exact", "phash", "cosine"))
        assert others == (12 * 3, None, 10 * 3)  # there is no table of hashes against it
        assert len(rows) == 6


@pytest.mark.parametrize(
    ("compare", "pairs"), [("proposed", None), ("similar", None), ("class", 7 * 6 // 2 + 4 * 3 // 2)]
)
def test_what_dssim_compared_is_said(workspace, compare, pairs):
    search(workspace, [], metrics=["dssim"], compare=compare)
    row = searched.pairs(workspace, searched.recipe(workspace))[-1]
    assert (row["measure"], row["scope"], row["pairs"]) == ("dssim", compare, pairs)
    assert bool(row["note"]) == (pairs is None)


def test_agreement_and_the_estimate_come_from_verdicts(workspace, tmp_path):
    search(workspace, [("", a, b, "candidate") for a, b in ((0, 1), (0, 2), (1, 3), (2, 3), (4, 5))], probability=0.5)
    for subject, first, second in (("0-1", "duplicate", "duplicate"), ("0-2", "different", "different")):
        say(workspace, subject, first)
        say(workspace, subject, second, reviewer="ben")
    found = certificate.write(workspace, tmp_path)
    assert found["agreement"] == {"couples": 1, "pairs": 2, "agreed": 2, "kappa": 1.0, "lowest": 1.0}
    assert (found["verdicts"]["judged_by_two"], found["verdicts"]["double_review_share"]) == (2, 1.0)
    assert (found["unseen"]["verdicts"], found["unseen"]["undecided"], found["unseen"]["estimated"]) == (2, 3, 1.5)
    for text in ("1.00 (2 of 2 alike)", "1.5 (0 to 3) of 3, from 2 verdicts; 10 are tolerated"):
        assert text in certificate_text.markdown(found)


def test_what_is_not_known_is_said(workspace, make):
    register(workspace, make(3).path, name="other")
    search(workspace, [], scope="class", images=10)
    text = " ".join(certificate.certificate(workspace)["not_known"])
    for words in (
        "it saw 10, and there are 12 now",
        "train and other",
        "inside classes only",
        "no probes were planted",
    ):
        assert words in text
    for words in ("none judged a planted pair", "No pair was judged", "not estimated"):
        assert words.lower() in text.lower()
    search(workspace, [], references=["other"])
    text = " ".join(certificate.certificate(workspace)["not_known"])
    assert "did not look between" not in text
    assert "has changed" not in text
    register(workspace, make(4).path, name="more")
    search(workspace, [], references=["other", "more"])
    files.write_table(listing(workspace)["more"].images_path, make(5).images())
    said = certificate.certificate(workspace)["not_known"]
    assert [text for text in said if "has changed" in text] == [
        "Reference set 'more' has changed: the search saw 4 images of it."
    ]


def test_names_are_not_taken_for_markup(workspace, make):
    register(workspace, make(3).path, name="other")
    search(workspace, [("", 2, 9, "duplicate")], references=["other"], note=EVIL, **{EVIL: 1})
    workspace.meta["name"] = EVIL
    folder = workspace.path / "splits" / "mine"
    members = {"image_id": [2, 9], "split": [EVIL, "javascript:alert(1)"]}
    known = {f.name: pa.array(members.get(f.name, [0, 0])).cast(f.type) for f in SPLIT}
    files.write_table(folder / "split.parquet", pa.table(known, schema=SPLIT))
    text = certificate_text.markdown(certificate.certificate(workspace, split="mine"))
    assert "<" not in text
    assert not re.search(r"(?<!\\)\]\(|(?<!\\)\[", text)
    assert not re.search(r"\w://", text)
    for line in text.splitlines():
        if line.startswith("| "):
            cells = len(re.findall(r"(?<!\\)\|", line))
            assert cells in (3, 6, 9), line
    assert text.count("\n# ") == 0


def test_escaped_text_reads_as_it_was_written():
    markdown = pytest.importorskip("markdown_it")
    for text in (EVIL.replace("\n", " "), "a_b*c*", "`x`", "1.5 < 2 & 3 > 2", "www.example.com", "\\", "~~a~~", "中文"):
        shown = markdown.MarkdownIt("commonmark").render(certificate_text.escaped(text))
        plain = re.sub(
            r"&(lt|gt|amp|quot);", lambda hit: {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}[hit[1]], shown
        )
        assert plain == f"<p>{text}</p>\n"
    assert len(certificate_text.escaped("x" * 1000)) == certificate_text.LONGEST


def test_an_unknown_split_is_an_error(workspace):
    with pytest.raises(ArgumentError, match="no split 'mine'"):
        certificate.certificate(workspace, split="mine")


def test_recall_and_reviewers_come_from_planted_probes(tmp_path):
    root = tmp_path / "pictures" / "ant"
    root.mkdir(parents=True)
    for i in range(14):
        draw(i, (96, 72)).save(root / f"{i:02d}.png")
    workspace = Workspace.create(tmp_path / "workspace", roots={"images": root.parent})
    ingest.read(workspace, workers=1)
    place = probes.write(workspace, count=12)
    copies = Workspace.create(inner(workspace, "probes"), roots={"images": place / "pictures"})
    ingest.read(copies, layout="table", table=place / "probes.parquet", workers=1)
    register(workspace, copies.path, name="probes", probes=True)
    pairs = probes.planted(workspace).to_pylist()
    pairs = [row for row in pairs if row["truth"] == "duplicate"]
    rows = [("probes", row["image_a"], row["image_b"], "duplicate") for row in pairs[:9]]
    search(workspace, rows, references=["probes"])
    for row in pairs[:3]:
        say(workspace, f"{row['image_a']}-probes:{row['image_b']}", "duplicate")
    found = certificate.write(workspace, tmp_path / "out")
    whole = found["probes"][-1]
    assert (whole["edit"], whole["planted"], whole["duplicates"], whole["recall"]) == ("all", 12, 9, 0.75)
    assert (found["reviewers"]["judged"], found["reviewers"]["right"]) == (3, 3)
    assert found["verdicts"]["judged"] == found["pairs"]["all"] == 0
    assert "75.0% (42.8% to 94.5%)" in certificate_text.markdown(found)
