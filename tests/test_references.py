"""Reference sets: registered, opened where they lie, never written to; folders of pictures are read in beside them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from paired import say
from pictures import draw

from curation import files, judgements, pipeline, references
from curation.arrays import write_features
from curation.duplicates.find import find
from curation.errors import ArgumentError, CurationError
from curation.images.ingest import read
from curation.images.thumbnails import thumbnail
from curation.workspace import Workspace


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file below a folder: when it was changed, and the hash of its bytes."""
    paths = sorted(path for path in folder.rglob("*"))
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "" for path in paths]
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, digest)
        for path, digest in zip(paths, hashes, strict=True)
    }


@pytest.fixture
def workspace(tmp_path, picture_tree) -> Workspace:
    made = Workspace.create(tmp_path / "ours", roots={"images": picture_tree})
    read(made, workers=1)
    write_features(made, "given", np.random.default_rng(0).normal(size=(20, 16)).astype(np.float32))
    return made


@pytest.fixture
def theirs(tmp_path, picture_tree) -> Workspace:
    """Another workspace: image 0 is a copy of one of ours, the others are pictures of their own."""
    folder = tmp_path / "their-pictures" / "wasp"
    folder.mkdir(parents=True)
    shutil.copy(picture_tree / "ant" / "004.jpg", folder / "copy.jpg")
    for i in range(5):
        draw(900 + i).save(folder / f"other-{i}.png")
    made = Workspace.create(tmp_path / "theirs", roots={"images": folder.parent})
    read(made, workers=1)
    return made


def test_a_workspace_is_registered_by_its_folder_or_a_name(workspace, theirs):
    assert references.listing(workspace) == {}
    assert references.register(workspace, theirs.path) == "theirs"
    assert references.register(workspace, theirs.path) == "theirs"
    assert references.register(workspace, theirs.path, name="Zoo") == "Zoo"
    assert list(references.listing(workspace)) == ["Zoo", "theirs"]
    assert references.listing(workspace)["theirs"].id == theirs.id
    assert references.open_image_source(workspace, "Zoo").path == theirs.path
    assert references.open_image_source(workspace, "") is workspace
    references.forget(workspace, "Zoo")
    assert list(references.paths(workspace)) == ["theirs"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("probes", "'probes' is kept for planted probes"),
        ("../up", "cannot be a file name"),
        ("a:b", "cannot be a file name"),
        ("", "cannot be a file name"),
    ],
)
def test_names_that_cannot_be_used(workspace, theirs, name, message):
    with pytest.raises(ArgumentError, match=message):
        references.register(workspace, theirs.path, name=name)
    with pytest.raises(ArgumentError, match=message):
        pipeline.add_reference(workspace, theirs.roots["images"], name=name)
    assert references.paths(workspace) == {}


@pytest.mark.parametrize("name", ["train", "val", "test", "night"])
def test_no_set_is_named_like_a_split(workspace, theirs, name):
    images = workspace.images()
    place = images.column_names.index("source_split")
    split = pa.array(["night"] * len(images)).cast(images.schema.field("source_split").type)
    files.write_table(workspace.images_path, images.set_column(place, images.schema.field(place), split))
    with pytest.raises(ArgumentError, match=f"cannot be called '{name}', as splits are: .*choose another name"):
        references.register(workspace, theirs.path, name=name)
    folder = theirs.path.parent / "their pictures" / name
    shutil.copytree(theirs.roots["images"], folder)
    with pytest.raises(ArgumentError, match="choose another name"):
        pipeline.add_reference(workspace, folder, name=name)
    assert pipeline.add_reference(workspace, folder, workers=1)["reference"].startswith(f"their-pictures-{name}-")
    theirs.path.rename(theirs.path.parent / name)
    moved = theirs.path.parent / name
    assert pipeline.add_reference(workspace, moved)["reference"] == f"{moved.parent.name}-{name}"
    assert references.register(workspace, moved) == f"{moved.parent.name}-{name}"
    assert len(references.listing(workspace)) == 2


def test_a_workspace_without_images_is_no_reference_set(workspace, tmp_path):
    empty = Workspace.create(tmp_path / "empty", roots={"images": workspace.roots["images"]})
    with pytest.raises(CurationError, match=r"empty has no images to compare with: run `init .*empty` first"):
        pipeline.add_reference(workspace, empty.path)
    assert references.paths(workspace) == {}


def test_a_name_stays_with_its_workspace(workspace, theirs, tmp_path):
    other = Workspace.create(tmp_path / "third", roots={"images": theirs.roots["images"]})
    references.register(workspace, theirs.path, name="zoo")
    theirs.path.rename(tmp_path / "moved")
    with pytest.raises(ArgumentError, match="choose another name, or take 'zoo' off the list first"):
        references.register(workspace, other.path, name="zoo")
    other.path.rename(theirs.path)
    assert references.listing(workspace) == {}
    assert f"is workspace {other.id} now" in references.missing(workspace)["zoo"]
    say(workspace, "pair", "2-zoo:1", "duplicate")
    references.forget(workspace, "zoo")
    with pytest.raises(ArgumentError, match=f"1 verdicts are about the reference set 'zoo' .*{theirs.id}.*{other.id}"):
        references.register(workspace, theirs.path, name="zoo")
    assert judgements.verdicts(workspace).empty
    references.register(workspace, tmp_path / "moved", name="zoo")
    assert len(judgements.verdicts(workspace)) == 1


def test_a_name_that_nobody_judged_by_is_free_again(workspace, theirs, tmp_path):
    other = Workspace.create(tmp_path / "third", roots={"images": theirs.roots["images"]})
    references.register(workspace, theirs.path, name="zoo")
    say(workspace, "pair", "2-other-zoo:1", "duplicate")
    references.forget(workspace, "zoo")
    assert references.register(workspace, other.path, name="zoo") == "zoo"


def test_a_folder_under_a_name_that_is_taken_is_not_read(workspace, theirs, monkeypatch):
    pipeline.add_reference(workspace, theirs.roots["images"], name="zoo", workers=1)
    shutil.rmtree(workspace.path / "references" / "zoo")
    monkeypatch.setattr("curation.images.ingest.read", None)
    with pytest.raises(ArgumentError, match="choose another name"):
        pipeline.add_reference(workspace, theirs.roots["images"], name="zoo", workers=1)


def test_a_list_of_an_earlier_version_is_read(workspace, theirs, tmp_path):
    files.write_json(workspace.path / "references.json", {"zoo": str(theirs.path), "lost": str(tmp_path / "lost")})
    assert references.listing(workspace)["zoo"].id == theirs.id
    other = Workspace.create(tmp_path / "third", roots={"images": theirs.roots["images"]})
    with pytest.raises(ArgumentError, match="choose another name"):
        references.register(workspace, other.path, name="zoo")
    say(workspace, "pair", "2-zoo:1", "duplicate")
    references.forget(workspace, "zoo")
    assert list(references.paths(workspace)) == ["lost"]
    with pytest.raises(ArgumentError, match="1 verdicts"):
        references.register(workspace, other.path, name="zoo")


def test_what_cannot_be_registered(workspace, theirs, tmp_path):
    with pytest.raises(ArgumentError, match="is this workspace"):
        references.register(workspace, workspace.path)
    with pytest.raises(CurationError, match="is not a workspace"):
        references.register(workspace, theirs.roots["images"])
    with pytest.raises(ArgumentError, match="there is no folder"):
        pipeline.add_reference(workspace, tmp_path / "nowhere")
    references.register(workspace, theirs.path, name="zoo")
    other = Workspace.create(tmp_path / "third", roots={"images": theirs.roots["images"]})
    with pytest.raises(ArgumentError, match=r"set 'zoo' is .*theirs \(.*\), not .*third \(.*choose another name"):
        references.register(workspace, other.path, name="zoo")
    with pytest.raises(ArgumentError, match="choose another name"):
        pipeline.add_reference(workspace, theirs.roots["images"], name="zoo")
    with pytest.raises(ArgumentError, match=r"no reference set 'bees' \(there are: zoo\)"):
        references.forget(workspace, "bees")


def test_a_set_that_moved_is_named_and_can_be_registered_again(workspace, theirs, tmp_path):
    references.register(workspace, theirs.path)
    theirs.path.rename(tmp_path / "moved")
    assert references.listing(workspace) == {}
    assert list(references.missing(workspace)) == ["theirs"]
    with pytest.raises(
        CurationError, match=r"reference set 'theirs' is not there: .*add it again by `--reference theirs=PATH`"
    ):
        references.open_image_source(workspace, "theirs")
    assert len(workspace.usable()) == 20  # nothing else minds
    assert pipeline.status(workspace)["reference sets"] == "theirs"
    references.register(workspace, tmp_path / "moved", name="theirs")
    assert references.listing(workspace)["theirs"].id == theirs.id
    assert references.missing(workspace) == {}


def test_a_damaged_list_is_named(workspace):
    files.write_json(workspace.path / "references.json", ["theirs"])
    with pytest.raises(CurationError, match=r"references\.json does not name folders"):
        references.listing(workspace)
    for entry in (3, {"path": "/tmp"}, {"path": None, "workspace": None}, {"path": 3, "workspace": "a"}):
        files.write_json(workspace.path / "references.json", {"theirs": entry})
        with pytest.raises(CurationError, match=r"references\.json does not name folders"):
            references.listing(workspace)
    files.write_json(workspace.path / "references.json", {"../x": "/tmp"})
    with pytest.raises(CurationError, match="cannot be a file name"):
        references.listing(workspace)


def test_a_reference_workspace_is_only_read(workspace, theirs, tmp_path):
    write_features(theirs, "given", np.random.default_rng(1).normal(size=(6, 16)).astype(np.float32))
    before, pictures = tree(theirs.path), tree(theirs.roots["images"])
    result = pipeline.add_reference(workspace, theirs.path, name="zoo")
    assert result == {
        "reference": "zoo",
        "path": str(theirs.path),
        "images": 6,
        "features": ["given"],
        "notes": [],
        "set_aside": 0,
    }
    found = find(workspace, metrics=("phash", "cosine", "pixels", "dssim"), workers=1)
    assert found["against"]["zoo"]["duplicate"] == 1
    source = references.open_image_source(workspace, "zoo")
    data = thumbnail(source, 0, cache=workspace)
    assert tree(theirs.path) == before
    assert tree(theirs.roots["images"]) == pictures
    kept = list((workspace.path / "thumbnails").rglob("*.webp"))
    assert [path.stem for path in kept] == [source.images(["sha256"])["sha256"][0].as_py()]
    assert kept[0].read_bytes() == data


def test_a_folder_is_read_into_a_workspace_of_its_own(workspace, theirs):
    folder = theirs.roots["images"]
    before = tree(folder)
    result = pipeline.add_reference(workspace, folder, name="zoo", workers=1)
    assert (result["reference"], result["images"], result["features"]) == ("zoo", 6, [])
    assert "cannot be compared by 'given': they were made elsewhere" in result["notes"][-1]
    inner = references.open_image_source(workspace, "zoo")
    assert inner.path == workspace.path / "references" / "zoo"
    kept = files.read_json(workspace.path / "references.json")
    assert kept == {"zoo": {"path": "references/zoo", "workspace": inner.id}}
    assert tree(folder) == before
    draw(950).save(folder / "wasp" / "new.png")
    assert pipeline.add_reference(workspace, folder, name="zoo", workers=1)["images"] == 7


def test_a_folder_that_moved_keeps_its_ids(workspace, theirs, tmp_path):
    pictures = tmp_path / "their-pictures"
    pipeline.add_reference(workspace, pictures, name="zoo", workers=1)
    before = references.listing(workspace)["zoo"].images(["image_id", "path", "status"])
    moved = pictures.rename(tmp_path / "elsewhere")
    pipeline.add_reference(workspace, moved, name="zoo", workers=1)
    inner = references.listing(workspace)["zoo"]
    assert inner.images(["image_id", "path", "status"]).equals(before)
    assert inner.roots == {"images": moved}


def test_a_folder_without_pictures_leaves_nothing_behind(workspace, tmp_path):
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(CurationError):
        pipeline.add_reference(workspace, empty, workers=1)
    assert not references.inner(workspace, "empty").exists()


def test_a_copy_of_the_workspace_takes_inner_sets_along(workspace, theirs, tmp_path):
    pipeline.add_reference(workspace, theirs.roots["images"], name="zoo", workers=1)
    shutil.copytree(workspace.path, tmp_path / "copy")
    copy = Workspace(tmp_path / "copy")
    assert references.listing(copy)["zoo"].path == copy.path / "references" / "zoo"


def test_a_folder_gets_the_features_that_the_workspace_has(workspace, theirs, monkeypatch):
    recipe = {"backbone": "b", "weights": "w", "weights_sha256": "1", "dtype": "float32", "batch_size": 8}
    write_features(workspace, "net", np.ones((20, 4), np.float32), recipe)
    asked = []

    def extract(inner: Workspace, *, name: str, **options) -> None:
        asked.append((name, options["backbone"], options["batch_size"], options["shard_rows"]))
        write_features(inner, name, np.ones((6, 4), np.float32), recipe)

    class Loaded:
        weights_sha256 = "1"

    monkeypatch.setattr("curation.features.extract.extract", extract)
    monkeypatch.setattr("curation.features.backbones.load", lambda _: Loaded)
    result = pipeline.add_reference(workspace, theirs.roots["images"], name="zoo", workers=1)
    assert asked == [("net", "b", 8, 4096)]
    assert result["features"] == ["net"]
    Loaded.weights_sha256 = "2"
    folder = theirs.roots["images"]
    result = pipeline.add_reference(workspace, folder, name="again", workers=1)
    assert result["features"] == []
    assert any("other weights (w)" in note and "--weights FILE" in note for note in result["notes"])


def test_probes_are_an_inner_workspace_of_edited_copies(workspace):
    result = pipeline.plant_probes(workspace, count=6, seed=1, workers=1)
    assert (result["reference"], result["images"]) == ("probes", 6)
    inner = references.listing(workspace)["probes"]
    assert inner.roots["images"].is_relative_to(workspace.path)
    assert pipeline.plant_probes(workspace, count=3, seed=2, workers=1)["images"] == 3
    assert len(references.listing(workspace)["probes"].usable()) == 3


def test_probes_move_with_their_workspace(workspace, tmp_path):
    pipeline.plant_probes(workspace, count=3, seed=1, workers=1)
    workspace.path.rename(tmp_path / "moved")
    moved = Workspace(tmp_path / "moved")
    inner = references.listing(moved)["probes"]
    assert thumbnail(inner, 0, cache=moved)
    assert pipeline.plant_probes(moved, count=4, seed=1, workers=1)["images"] == 4
