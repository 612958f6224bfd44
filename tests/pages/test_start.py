"""The first page: a sample by itself, a folder of one's own, how far a workspace is."""

from curation.ui import recent
from curation.workspace import Workspace


def test_first_visit_starts_the_sample(page, jobs_started):
    page("start")
    assert [entry["name"] for entry in recent.listing()] == ["Handwritten digits"]
    assert jobs_started == [("run", ["--source", "digits"])]


def test_a_second_visit_starts_nothing(page, workspace, jobs_started):
    app = page("start")
    assert jobs_started == []
    assert app.query_params["w"] == workspace.key


def test_steps_say_what_there_is(page, workspace, sent):
    app = page("start")
    text = " ".join(caption.value for caption in app.caption)
    assert "121 pictures in 3 classes, 1 set aside" in text.replace("\\", "")
    assert [group["title"] for group in sent(app, "gallery")["groups"]] == [
        "*b*ee & <b>bold</b>".replace("/", "-"),
        "ant",
        "猫 cat",
    ]


def test_a_folder_of_ones_own(page, workspace, picture_tree, jobs_started):
    app = page("start")
    app.text_input(key="folder").set_value(str(picture_tree)).run()
    next(b for b in app.button if b.label == "Read pictures in").click().run()
    assert not app.exception
    assert jobs_started == [("init", ["--images", str(picture_tree), "--layout", "auto"])]
    assert recent.listing()[0]["name"] == "pictures"


def test_a_folder_that_is_not_there(page, workspace, jobs_started):
    app = page("start")
    app.text_input(key="folder").set_value("/no/such/folder").run()
    next(b for b in app.button if b.label == "Read pictures in").click().run()
    assert "there is no folder" in app.error[0].value
    assert jobs_started == []


def test_a_workspace_folder_is_opened(page, workspace, tmp_path, picture_tree, jobs_started):
    other = Workspace.create(tmp_path / "other", name="Other", roots={"images": picture_tree})
    app = page("start")
    app.text_input(key="folder").set_value(str(other.path)).run()
    next(b for b in app.button if b.label == "Read pictures in").click().run()
    assert recent.listing()[0]["key"] == other.key
    assert jobs_started == []


def test_two_folders_of_one_name_are_two_workspaces(page, workspace, tmp_path, picture_tree, jobs_started):
    import shutil

    for parent in ("a", "b"):
        shutil.copytree(picture_tree, tmp_path / parent / "train")
    app = page("start")
    for parent in ("a", "b", "a"):
        app.text_input(key="folder").set_value(str(tmp_path / parent / "train")).run()
        next(b for b in app.button if b.label == "Read pictures in").click().run()
        assert not app.error, app.error[0].value
    names = [entry["path"].split("/")[-1] for entry in recent.listing()]
    assert names[0] == "train"
    assert names[1].startswith("train-")
    assert len(names) == 3


def test_a_table_of_paths_and_labels(page, workspace, picture_tree, jobs_started):
    table = picture_tree / "labels.csv"
    table.write_text("path,label\nant/000.jpg,a\n")
    app = page("start")
    app.text_input(key="folder").set_value(str(table)).run()
    next(b for b in app.button if b.label == "Read pictures in").click().run()
    ((kind, argv),) = jobs_started
    assert (kind, argv[2:]) == ("init", ["--layout", "table", "--table", str(table)])


def test_a_workspace_can_be_taken_off_the_list(page, workspace, tmp_path, picture_tree):
    recent.remember(Workspace.create(tmp_path / "other", name="Other", roots={"images": picture_tree}))
    app = page("start")
    next(b for b in app.button if b.label == "Remove from this list").click().run()
    assert [entry["name"] for entry in recent.listing()] == ["Small"]
    assert (tmp_path / "other" / "workspace.json").is_file()
    assert app.selectbox(key="workspace_choice").value == workspace.key


def test_a_link_to_an_unknown_workspace_says_so(page, workspace):
    assert "not known here" in page("start", w="nobody").sidebar.caption[0].value


def test_a_job_that_cannot_go_on_says_why(page, workspace, tmp_path):
    from curation import jobs

    job_id = jobs._insert(workspace, "extract", [str(tmp_path / "elsewhere")])
    jobs._update(workspace, job_id, state="failed", message="no features")
    app = page("start")
    next(b for b in app.button if b.label == "Try again").click().run()
    assert not app.exception
    assert "start it anew" in app.error[0].value
