"""Croissant: what MLCommons' own library makes of it, and what we read."""

import dataclasses
import itertools
import json
import socket

import pictured
import pyarrow as pa
import pyarrow.parquet
import pytest

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.formats import comma_separated, croissant, parquet
from curation.formats.annotations import AnnotationSet, annotation_table, names_of

FOUND = pictured.pictured()
# Names that a reader of CSV would take for nothing, a number or a formula.
ODD = ("null", "01", "=1+1", "NaN", "")


def annotations(classes=ODD, **more):
    """Three images a class: two of train, one of `extra`; frequency is known of some."""
    labels = [label for label in range(len(classes)) for _ in range(3)]
    columns = {"path": pa.array([f"{i}/{label}.jpg" for i, label in enumerate(labels)]), "label": pa.array(labels)}
    columns |= {"class_name": names_of(labels, classes), "frequency": pa.array([None, 1, 2] * len(classes))}
    columns |= {"split": names_of([i % 3 // 2 for i in range(len(labels))], ["train", "extra"])}
    return AnnotationSet(annotation_table(columns), tuple(classes), ("train", "extra"), **more)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return croissant.write(FOUND, tmp_path_factory.mktemp("out"), "x")


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def records(path, name):
    """The records of a record set as mlcroissant gives them, texts decoded and names without the set's."""
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(path))
    issues = dataset.metadata.ctx.issues
    assert issues.errors == set()
    assert {warning.split('"')[1].rpartition("/")[2] for warning in issues.warnings} <= {
        *("citeAs", "datePublished", "license", "version")
    }
    for record in dataset.records(name):
        yield {
            key.removeprefix(f"{name}/"): value.decode() if isinstance(value, bytes) else value
            for key, value in record.items()
        }


def test_mlcroissant_reads_every_row(written, offline):
    rows = list(records(written[0], "records"))
    keys = ["path", "class_name", "label", "split", "frequency", "attribute", "number", "source"]
    assert rows == FOUND.table.select(keys).to_pylist()
    assert all(list(row) == keys for row in rows)
    classes = list(records(written[0], "classes"))
    wanted = zip(range(12), FOUND.classes, pictured.WNIDS, strict=True)
    assert classes == [{"label": label, "name": name, "wnid": wnid} for label, name, wnid in wanted]
    splits = list(records(written[0], "splits"))
    assert [split["name"] for split in splits] == list(FOUND.splits)
    meanings = ["cr:TrainingSplit", "cr:ValidationSplit"] + ["cr:TestSplit"] * 3
    assert [split["url"] for split in splits] == meanings


def test_mlcroissant_takes_odd_names_for_what_they_are(tmp_path, offline):
    path, _ = croissant.write(annotations(), tmp_path, "x")
    rows = list(itertools.islice(records(path, "records"), 5))
    assert [row["class_name"] for row in rows] == ["null"] * 3 + ["01"] * 2
    assert [row["frequency"] for row in rows] == [None, 1, 2, None, 1]
    assert [row["split"] for row in rows] == ["train", "train", "extra", "train", "train"]
    assert next(records(path, "splits"))["name"] == "train"


def test_round_trip_and_the_same_bytes_again(written, tmp_path):
    for found in (FOUND, annotations(), AnnotationSet(FOUND.table.slice(0, 0), (), ())):
        paths = croissant.write(found, tmp_path / "one", "x")
        again = croissant.write(found, tmp_path / "two", "x")
        assert [p.read_bytes() for p in paths] == [p.read_bytes() for p in again]
        back = croissant.read(paths[0])
        assert back.table.schema.names == found.table.schema.names
        assert back.table.to_pylist() == found.table.to_pylist()
        assert (back.classes, back.splits, back.meta) == (found.classes, found.splits, found.meta)
        assert (back.about is None) == (found.about is None)
    assert croissant.read(written[0]).about.to_pylist() == FOUND.about.to_pylist()
    assert parquet.read(written[1]).classes == FOUND.classes


def test_nothing_is_told_that_is_not_known(written, tmp_path):
    plain = json.loads(written[0].read_text())
    assert not {"license", "datePublished", "creator", "url", "version", "citeAs"} & set(plain)
    assert plain["description"].startswith("85 labelled images of 12 classes; splits: train (37), val (12)")
    meta = {
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "description": "Cats.",
        "version": 3,
        "url": None,
    }
    (path, _) = croissant.write(dataclasses.replace(FOUND, meta=meta), tmp_path, "x")
    told = json.loads(path.read_text())
    assert (told["license"], told["description"]) == (meta["license"], "Cats.")
    assert not {"version", "url"} & set(told)
    assert croissant.read(path).meta == meta


def test_records_of_others(tmp_path):
    comma_separated.write_table(tmp_path / "r.csv", annotations().table)
    pa.parquet.write_table(annotations().table, tmp_path / "r.parquet")
    for name, kind in (("r.csv", "text/csv"), ("r.parquet", "application/x-parquet")):
        file = {"contentUrl": name, "encodingFormat": kind, "sha256": files.sha256_file(tmp_path / name)}
        zipped = {"contentUrl": "a.zip", "encodingFormat": "application/zip", "sha256": "0"}
        (tmp_path / "x.json").write_text(json.dumps({"distribution": [zipped, file]}))
        back = croissant.read(tmp_path / "x.json")
        assert back.table.to_pylist() == annotations().table.to_pylist()
        assert (back.classes, back.splits) == (ODD, ("train", "extra"))


def _entry(document):
    return document["distribution"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("distribution"), "key distribution is missing"),
        (lambda d: d["distribution"].append(_entry(d)), "distribution has 2 files of records"),
        (lambda d: _entry(d).update(encodingFormat="x"), "distribution has 0 files of records"),
        (lambda d: _entry(d).pop("sha256"), "without the text 'sha256'"),
        (
            lambda d: _entry(d).update(sha256="0" * 64),
            "is not what .* describes: its SHA-256 is [0-9a-f]{12}…, not 0000",
        ),
        (lambda d: _entry(d).update(contentUrl="https://example.org/r.parquet"), "the records lie at https://example"),
        (lambda d: _entry(d).update(contentUrl="file:///etc/passwd"), "the records lie at file:"),
        (lambda d: _entry(d).update(contentUrl="../x/x-records.parquet"), "leads out of the folder"),
        (lambda d: _entry(d).update(contentUrl="/etc/passwd"), "leads out of the folder"),
        (lambda d: _entry(d).update(contentUrl="gone.parquet"), r"gone\.parquet does not exist"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, change, message, offline):
    path, _ = croissant.write(annotations(), tmp_path / "x", "x")
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(CurationError, match=message):
        croissant.read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.set_column(0, "path", pa.array(["../a.jpg"] + ["b"] * 14)), "row 1: '../a.jpg' climbs out"),
        (lambda t: t.set_column(2, "label", pa.array([9] * 15)), "labels that are none of its 5 classes"),
        (lambda t: t.set_column(2, "label", pa.nulls(15, pa.int32())), "column 'label', row 1: there is none"),
        (lambda t: t.set_column(2, "label", pa.array(["x"] * 15)), "column 'label', row 1: 'x' is not a whole number"),
        (lambda t: t.drop_columns(["path"]), "has no column 'path'"),
        (lambda t: t.replace_schema_metadata({"annotations": "{"}), "metadata, line 1: not a JSON file"),
        (lambda t: t.replace_schema_metadata({"annotations": "[]"}), "metadata: key 'classes' is missing"),
    ],
)
def test_wrong_records_are_named(tmp_path, change, message):
    path, place = croissant.write(annotations(), tmp_path, "x")
    before = files.sha256_file(place)
    files.write_table(place, change(files.read_table(place)))
    path.write_text(path.read_text().replace(before, files.sha256_file(place)))
    with pytest.raises(CurationError, match=message):
        croissant.read(path)


def test_what_it_cannot_hold_is_refused_before_anything_is_written(tmp_path, full_disk):
    with pytest.raises(ArgumentError, match="has the label 4, and there are 1 classes"):
        croissant.write(
            dataclasses.replace(annotations(), classes=("a",), table=annotations().table[-1:]), tmp_path, "x"
        )
    with full_disk(), pytest.raises(CurationError, match="no space left"):
        croissant.write(FOUND, tmp_path, "x")
    assert list(tmp_path.iterdir()) == []
