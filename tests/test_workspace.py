"""Opening and making workspaces."""

import pytest

from curation import files
from curation.errors import ArgumentError, CurationError
from curation.workspace import SCHEMA_VERSION, Workspace


def test_create_then_open(tmp_path, picture_tree):
    made = Workspace.create(tmp_path / "w", name="Ants", roots={"images": picture_tree})
    again = Workspace(tmp_path / "w")
    assert (again.name, again.id, again.roots) == ("Ants", made.id, {"images": picture_tree})


def test_create_twice_opens_the_same(tmp_path, picture_tree):
    first = Workspace.create(tmp_path / "w", roots={"images": picture_tree})
    assert Workspace.create(tmp_path / "w", roots={"images": picture_tree}).id == first.id


def test_another_folder_under_the_same_root_is_refused(tmp_path, picture_tree):
    Workspace.create(tmp_path / "w", roots={"images": picture_tree})
    with pytest.raises(ArgumentError, match="already reads its root 'images'"):
        Workspace.create(tmp_path / "w", roots={"images": picture_tree / "ant"})


def test_a_folder_with_other_things_is_refused(tmp_path, picture_tree):
    with pytest.raises(ArgumentError, match="2 files and is no workspace"):
        Workspace.create(picture_tree, roots={"images": picture_tree})


def test_a_newer_schema_is_refused_and_not_touched(tmp_path, picture_tree):
    workspace = Workspace.create(tmp_path / "w", roots={"images": picture_tree})
    meta = workspace.path / "workspace.json"
    files.write_json(meta, workspace.meta | {"schema_version": SCHEMA_VERSION + 1})
    before = meta.read_bytes()
    with pytest.raises(CurationError, match=rf"version {SCHEMA_VERSION + 1}.*knows version {SCHEMA_VERSION}: upgrade"):
        Workspace(workspace.path)
    assert meta.read_bytes() == before


def test_no_workspace_here(tmp_path):
    with pytest.raises(CurationError, match="is not a workspace"):
        Workspace(tmp_path)


@pytest.mark.parametrize("path", ["../secret.jpg", "/etc/passwd", "a/../../b.jpg"])
def test_paths_out_of_the_root_are_refused(tmp_path, picture_tree, path):
    workspace = Workspace.create(tmp_path / "w", roots={"images": picture_tree})
    with pytest.raises(CurationError, match="leads out of root"):
        workspace.image_file("images", path)


def test_no_images_yet(tmp_path, picture_tree):
    with pytest.raises(CurationError, match="has no images yet"):
        Workspace.create(tmp_path / "w", roots={"images": picture_tree}).images()
