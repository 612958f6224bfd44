"""Recent workspaces: the latest first, the lost ones left out."""

import shutil

import pytest

from curation.errors import CurationError
from curation.ui import recent
from curation.workspace import Workspace


def test_latest_first_and_no_workspace_twice(tmp_path, picture_tree):
    one, two = (Workspace.create(tmp_path / name, roots={"images": picture_tree}) for name in ("one", "two"))
    for workspace in (one, two, one):
        recent.remember(workspace)
    assert [entry["name"] for entry in recent.listing()] == ["one", "two"]
    shutil.rmtree(two.path)
    assert [entry["name"] for entry in recent.listing()] == ["one"]
    assert recent.open_workspace(one.key).path == one.path
    with pytest.raises(CurationError, match="not among the recent ones"):
        recent.find(two.key)


def test_a_moved_workspace_is_found_where_it_is_opened(tmp_path, picture_tree):
    workspace = Workspace.create(tmp_path / "here", roots={"images": picture_tree})
    recent.remember(workspace)
    moved = shutil.move(workspace.path, tmp_path / "there")
    recent.remember(Workspace(moved))
    assert recent.open_workspace(Workspace(moved).key).path == tmp_path / "there"


@pytest.mark.parametrize("text", ["{broken", "{}", "[1, null]", '[{"path": "/tmp"}]', '"x"'])
def test_a_damaged_list_is_an_empty_one(text):
    recent.home().mkdir(exist_ok=True)
    (recent.home() / "recent.json").write_text(text)
    assert recent.listing() == []


def test_a_copy_stands_beside_its_original(tmp_path, picture_tree):
    one = Workspace.create(tmp_path / "one", roots={"images": picture_tree})
    copy = Workspace(shutil.copytree(one.path, tmp_path / "copy"))
    recent.remember(one)
    recent.remember(copy)
    assert recent.open_workspace(one.key).path == one.path
    assert recent.open_workspace(copy.key).path == copy.path


def test_a_stale_link_leaves_open_workspaces_open(tmp_path, picture_tree):
    one = Workspace.create(tmp_path / "one", roots={"images": picture_tree})
    recent.remember(one)
    before = recent.open_workspace(one.key)
    with pytest.raises(CurationError):
        recent.open_workspace("nobody")
    assert recent.open_workspace(one.key) is before
