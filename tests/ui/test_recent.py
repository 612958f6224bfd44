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
    assert recent.open_workspace(one.id).path == one.path
    with pytest.raises(CurationError, match="not among the recent ones"):
        recent.find(two.id)


def test_a_moved_workspace_is_found_where_it_is_opened(tmp_path, picture_tree):
    workspace = Workspace.create(tmp_path / "here", roots={"images": picture_tree})
    recent.remember(workspace)
    moved = shutil.move(workspace.path, tmp_path / "there")
    recent.remember(Workspace(moved))
    assert recent.open_workspace(workspace.id).path == tmp_path / "there"


def test_a_damaged_list_is_an_empty_one(tmp_path):
    recent.home().mkdir(exist_ok=True)
    (recent.home() / "recent.json").write_text("{broken")
    assert recent.listing() == []
