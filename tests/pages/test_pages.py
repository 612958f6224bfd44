"""Every other page: what it shows, what its controls do, what it says when there is nothing yet."""

import numpy as np
import pytest

from curation import arrays, files, leases, policies
from curation.arrays import Features
from curation.cli import main
from curation.duplicates import leaks, verdicts
from curation.exclusions import pairs_path
from curation.ledger import Event
from curation.splits import documents, kinds, recipes
from curation.survivors import resolution
from curation.ui import court, recent
from curation.workspace import SCHEMA_VERSION, Workspace

PAGES = ("images", "features", "clusters", "map", "duplicates", "splits", "export")


@pytest.mark.parametrize("name", PAGES)
def test_page_draws(page, workspace, name):
    app = page(name)
    assert not app.error, app.error[0].value
    assert f"<h1>{name.capitalize()}</h1>" in "".join(html.proto.body for html in app.get("html"))


@pytest.mark.parametrize("name", PAGES)
def test_empty_page_says_how_to_get_there(page, bare, name):
    app = page(name)
    assert not app.error
    assert app.get("page_link"), "an empty page must lead to where its content is made"


@pytest.mark.parametrize("name", PAGES)
def test_no_workspace_at_all(page, name, jobs_started):
    app = page(name)
    assert not app.error


def test_images_of_one_class(page, workspace, sent):
    app = page("images")
    assert len(sent(app, "gallery")["ids"]) == 121
    app.selectbox(key="images_class").set_value("ant").run()
    assert len(sent(app, "gallery")["ids"]) == 41


def test_broken_pictures_are_listed_with_their_reason(page, workspace):
    app = page("images")
    app.get("button_group")[0].set_value("broken").run()
    (row,) = app.dataframe[0].value.to_dict("records")
    assert row["path"] == "ant/901-broken.jpg"
    assert row["reason"]


def test_flagged_pictures_can_be_seen(page, workspace, sent):
    workspace.ledger.append([Event(reviewer="a", kind="flag", subject="5", verdict="flag")])
    app = page("images")
    app.get("button_group")[0].set_value("flagged").run()
    assert sent(app, "gallery")["ids"] == [5]


def test_clusters_of_a_class_as_rows(page, workspace, sent):
    app = page("clusters", **{"class": "ant"})
    groups = sent(app, "gallery")["groups"]
    assert sum(g["end"] - g["start"] for g in groups) == 41
    sizes = [g["end"] - g["start"] for g in groups]
    assert sizes == sorted(sizes, reverse=True)


def test_cluster_edits_follow_the_ledger(page, workspace, sent):
    from curation.clusters import edits

    me = "test@example.com"  # whom AppTest takes for signed in
    edits.merge(workspace, "colours", "ant", [0, 1], reviewer=me)
    edits.rename(workspace, "colours", "ant", 0, "both <i>of them</i>", reviewer=me)
    app = page("clusters", **{"class": "ant"})
    groups = sent(app, "gallery")["groups"]
    assert len(groups) == 3
    assert groups[0]["title"] == "Cluster 0 · both <i>of them</i>"
    next(b for b in app.button if b.label.startswith("Undo name")).click().run()
    next(b for b in app.button if b.label.startswith("Undo merge")).click().run()
    assert len(sent(app, "gallery")["groups"]) == 4


def test_cluster_again_starts_a_job(page, workspace, jobs_started):
    app = page("clusters")
    app.number_input(key="k").set_value(8).run()
    next(b for b in app.button if b.label == "Cluster").click().run()
    ((kind, argv),) = jobs_started
    assert kind == "cluster"
    assert argv[argv.index("--clusters") + 1] == "8"
    assert argv[argv.index("--name") + 1] == "colours-k8"


def judge(workspace, subject: str, verdict: str, reviewer: str = "a") -> None:
    workspace.ledger.append([Event(reviewer=reviewer, kind="pair", subject=subject, verdict=verdict)])


def view(page, name: str):
    app = page("duplicates")
    return app.segmented_control(key="duplicates_view").set_value(name).run()


def test_duplicates_ask_about_pairs(page, workspace, sent):
    app = page("duplicates")
    data = sent(app, "pairs")
    assert data["total"] >= 1
    assert leases.held(workspace) == {pair["subject"]: ["test@example.com"] for pair in data["pairs"]}
    judge(workspace, data["pairs"][0]["subject"], "different")
    app.run()
    assert sent(app, "pairs")["pending"] == data["pending"] - 1


def test_a_pair_that_two_people_judge_otherwise_waits_for_adjudication(page, workspace, sent):
    policies.put(workspace, "double-review", "1", reviewer="a")
    subject = sent(page("duplicates"), "pairs")["pairs"][0]["subject"]
    judge(workspace, subject, "different")
    judge(workspace, subject, "duplicate", "b")
    app = page("duplicates")
    assert subject not in [pair["subject"] for pair in sent(app, "pairs")["pairs"]]
    app.toggle(key="contested").set_value(True).run()
    data = sent(app, "pairs")
    assert data["kind"] == "pair.final"
    assert [pair["subject"] for pair in data["pairs"]] == [subject]
    assert {said["reviewer"] for said in data["pairs"][0]["said"]} == {"a", "b"}


def test_settings_for_all_reviewers_are_kept_as_decisions(page, workspace):
    app = page("duplicates")
    app.slider(key="double_review").set_value(25).run()
    assert policies.value(workspace, "double-review") == "0.25"
    app.segmented_control(key="duplicates_view").set_value("When to stop").run()
    app.number_input(key="tolerated").set_value(3).run()
    assert policies.number(workspace, "tolerated") == 3


def test_groups_show_who_stays_by_the_policy_that_was_chosen(page, workspace, sent):
    app = view(page, "Groups")
    data = sent(app, "groups")
    assert data["total"] == resolution.summary(workspace, resolution.resolve(workspace))["components"] >= 1
    app.selectbox(key="policy").set_value("first").run()
    assert policies.value(workspace, "survivors") == "first"
    assert policies.SURVIVORS["first"] in sent(app, "groups")["policy"]


def test_groups_open_where_two_of_a_group_are_kept(page, workspace, sent):
    members = resolution.resolve(workspace).members.to_pylist()
    for member in [m for m in members if m["component"] == 0][:2]:
        image = str(member["image_id"])
        workspace.ledger.append([Event(reviewer="a", kind="survivor", subject=image, verdict="keep")])
    (group,) = [group for group in sent(view(page, "Groups"), "groups")["groups"] if group["place"] == 0]
    kept = [member for member in group["members"] if "kept" in member]
    assert [member["stays"] for member in kept] == [False, False]
    assert all(f"keeps image {member['id']} " in kept[0]["reason"] for member in kept)


def test_when_to_stop_says_how_many_are_unseen(page, workspace, sent):
    before = view(page, "When to stop")
    assert before.header[0].value.startswith("Judge ")
    assert "0 verdicts tell too little" in before.text[0].value
    left = sent(page("duplicates"), "pairs")["pending"]
    judge(workspace, sent(page("duplicates"), "pairs")["pairs"][0]["subject"], "duplicate")
    app = view(page, "When to stop")
    if left > 1:
        assert app.text[0].value.startswith(f"{left - 1:,} pairs are unseen")
    assert [row["reviewer"] for row in app.dataframe[0].value.to_dict("records")] == ["a"]


def test_settling_the_last_disagreement_leads_to_no_other_pair(page, workspace, sent):
    subject = sent(page("duplicates"), "pairs")["pairs"][0]["subject"]
    judge(workspace, subject, "different")
    judge(workspace, subject, "duplicate", "b")
    app = page("duplicates")
    app.toggle(key="contested").set_value(True).run()
    assert sent(app, "pairs")["total"] == 1
    workspace.ledger.append([Event(reviewer="c", kind="pair.final", subject=subject, verdict="duplicate")])
    app.run()
    data = sent(app, "pairs")
    assert (data["kind"], data["pairs"], data["total"]) == ("pair.final", [], 1)
    app.toggle(key="contested").set_value(False).run()
    assert sent(app, "pairs")["kind"] == "pair"


def test_leaks_lead_to_the_pairs_of_their_cell(page, workspace, sent, monkeypatch):
    app = view(page, "Leaks")
    assert app.dataframe[0].value.shape == (1, 1)
    with monkeypatch.context() as patch:
        patch.setattr(court.st, "session_state", opened := {})
        court.open_cell(workspace, None, "", "")
    for key, value in opened.items():
        app.session_state[key] = value
    app.run()
    counted = leaks.matrix(workspace).to_pylist()[0]
    data = sent(app, "pairs")
    assert data["total"] == counted["duplicates"] + counted["undecided"] > 0
    judge(workspace, data["pairs"][0]["subject"], "different")  # it is in the cell no longer
    after = sent(app.run(), "pairs")
    assert (after["total"], after["pending"]) == (data["total"], data["pending"] - 1)
    next(b for b in app.button if b.label.startswith("Only")).click().run()
    assert sent(app, "pairs")["total"] == verdicts.counts(workspace)["pairs"]


def test_pairs_of_another_workspace_are_refused_and_can_be_searched_anew(page, workspace):
    recipe = pairs_path(workspace).with_suffix(".json")
    files.write_json(recipe, files.read_json(recipe) | {"workspace": "another"})
    app = page("duplicates")
    assert "made for workspace another" in app.error[0].value.replace("\\", "")
    assert [b for b in app.button if b.label == "Find pairs"]


def design(page, recipe="Generalised long tail"):
    """The page of a new split by a recipe."""
    app = page("splits")
    app.selectbox(key="split").set_value("New split").run()
    chosen = next(box for box in app.selectbox if box.label == "Recipe")
    kind = next(kind.name for kind in kinds.RECIPES.values() if kind.title == recipe)
    return app if chosen.value == kind else chosen.set_value(kind).run()


def labelled(elements, label):
    return next(element for element in elements if element.label == label)


def test_split_design_moves_with_its_sliders(page, workspace):
    app = design(page)
    before = {m.label: m.value for m in app.metric}
    labelled(app.slider, "Test images a cell").set_value(2).run()
    after = {m.label: m.value for m in app.metric}
    assert before["Images"] == after["Images"] == "122"  # the broken one is among those left out
    assert before["In splits"] != after["In splits"]


def test_a_split_that_cannot_be_had_says_what_is_short(page, workspace):
    app = design(page)
    labelled(app.selectbox, "A class too small").set_value("error")
    labelled(app.slider, "Test images a cell").set_value(50).run()
    assert "too few" in app.warning[0].value
    table = app.dataframe[0].value
    assert (table["short"] == table["wanted"] - table["has"]).all()


@pytest.mark.parametrize("kind", [kind for kind in kinds.RECIPES.values() if not kind.counted])
def test_every_recipe_shows_what_it_would_contain(page, workspace, kind):
    app = design(page, kind.title)
    assert not app.exception
    short = [warning.value for warning in app.warning if "too few" in warning.value]
    assert not app.error, app.error[0].value
    assert "In splits" in {metric.label for metric in app.metric} or short


def test_what_was_short_is_told_by_class(page, workspace):
    app = design(page, "k-shot")
    labelled(app.slider, "Training images a class").set_value(50).run()
    assert "too few" in app.warning[0].value
    assert labelled(app.button, "Save split").disabled
    table = app.dataframe[0].value
    assert set(table["split"]) == {"train"}
    assert set(table["wanted"]) == {50}


def test_numbers_that_are_none_are_told_and_cannot_be_saved(page, workspace):
    app = design(page)
    labelled(app.text_input, "Weights of attributes").set_value("7;2;1").run()
    assert "is not numbers with commas between them" in app.error[0].value
    assert labelled(app.button, "Save split").disabled
    labelled(app.text_input, "Weights of attributes").set_value("0, 0, 0").run()
    assert "sum to 0" in app.error[0].value.replace("\\", "")


@pytest.mark.parametrize(("recipe", "field"), [("glt-multi", "Table of attributes"), ("match-histogram", "Or a file")])
def test_what_a_recipe_is_made_from_is_asked_for(page, workspace, recipe, field):
    app = design(page, kinds.RECIPES[recipe].title)
    if recipe == "match-histogram":
        labelled(app.selectbox, "Split to match").set_value("").run()
    assert not app.error
    assert field in app.info[0].value
    assert labelled(app.button, "Save split").disabled


def test_a_table_of_attributes_is_read_from_its_file_and_read_again_when_it_changes(page, workspace, tmp_path):
    table, paths = tmp_path / "attributes.csv", workspace.images(["path"])["path"].to_pylist()
    table.write_text("\n".join(["path,attribute", *(f"{path},{i % 3}" for i, path in enumerate(paths))]))
    app = design(page, kinds.RECIPES["glt-multi"].title)
    labelled(app.text_input, "Table of attributes").set_value(str(table)).run()
    assert not app.exception
    assert "In splits" in {metric.label for metric in app.metric}
    table.write_text("path,attribute\nnowhere.jpg,1\n")
    assert "nowhere.jpg" in app.run().error[0].value.replace("\\", "")


def test_attributes_merged_anew_are_those_of_the_preview(page, workspace):
    app = design(page)
    labelled(app.number_input, "Attributes").set_value(1).run()
    assert not app.exception
    assert "attribute 1" not in app.dataframe[0].value.columns
    labelled(app.number_input, "Attributes").set_value(99).run()
    assert "no class has more than" in app.error[0].value


def test_a_published_recipe_goes_into_the_fields(page, workspace):
    app = design(page)
    app.get("button_group")[0].set_value("published").run()
    app.button(key="use_five-shot").click().run()
    assert labelled(app.selectbox, "Recipe").value == "k-shot"
    assert labelled(app.slider, "Training images a class").value == 5
    assert labelled(app.text_input, "Name").value == "five-shot"


def test_saving_a_split_starts_its_job(page, workspace, jobs_started):
    app = design(page)
    next(b for b in app.button if b.label == "Save split").click().run()
    ((kind, argv),) = jobs_started
    assert kind == "split"
    assert argv[argv.index("--name") + 1] == "glt-lt"
    document = files.read_json(argv[argv.index("--recipe") + 1])
    assert documents.document(argv[argv.index("--recipe") + 1]) == document
    assert (document["kind"], document["clusters"]) == ("glt", "colours")
    assert "revision 2" in "".join(c.value for c in app.caption)


def test_a_saved_recipe_can_be_changed_and_compared(page, workspace, sent):
    app = page("splits")
    labelled(app.button, "Design from this one").click().run()
    assert app.selectbox(key="split").value == "New split"
    assert labelled(app.slider, "Test images a cell").value == 2
    recipes.make(workspace, name="glt-lt", recipe=recipes.load(workspace, "glt-lt")[0], parameters={"seed": 26})
    app = page("splits")
    app.selectbox(key="split").set_value("glt-lt.r2").run()
    app.get("button_group")[0].set_value("compare").run()
    assert labelled(app.selectbox, "Compared with").value == "glt-lt"
    moved = app.dataframe[0].value
    assert moved.to_numpy().sum() == 122
    asked = app.dataframe[1].value.set_index("")
    assert asked.loc["Seed", "glt-lt"] != asked.loc["Seed", "glt-lt.r2"] == "26"


def test_a_class_shows_who_is_in_and_why_not(page, workspace, sent):
    app = page("splits")
    app.get("button_group")[0].set_value("classes").run()
    groups = sent(app, "gallery")["groups"]
    titles = [group["title"] for group in groups]
    assert titles[0] == "train"
    assert any(title.startswith("left out: ") for title in titles)
    name = labelled(app.selectbox, "Class").value
    images = workspace.images(["class_name"])["class_name"].to_pylist().count(name)
    assert groups[-1]["end"] == images


def test_saved_split_shows_what_was_left_out(page, workspace, sent):
    app = page("splits")
    app.get("button_group")[0].set_value("left out").run()
    assert sent(app, "gallery")["words"]


def test_export_starts_its_job(page, workspace, jobs_started):
    app = page("export")
    next(b for b in app.button if b.label == "Export").click().run()
    assert jobs_started == [("export", ["glt-lt", "--format", "glt-json", "--format", "csv"])]


def test_verify_is_a_job_too(page, workspace, jobs_started):
    app = page("export")
    next(b for b in app.button if b.label == "Verify").click().run()
    assert jobs_started == [("verify", ["glt-lt"])]


def test_export_tells_what_a_check_found(page, workspace, capsys):
    assert main(["verify", str(workspace.path), "glt-lt"]) == 0
    assert "Rebuilt" in page("export").success[0].value
    changed = next(p for p in (workspace.path / "exports" / "glt-lt").iterdir() if p.suffix == ".csv")
    changed.write_text(changed.read_text().replace("ant", "bee", 1))
    assert main(["verify", str(workspace.path), "glt-lt"]) == 1
    assert changed.name in page("export").error[0].value.replace("\\", "")


def test_a_newer_workspace_is_told_and_others_stay_in_reach(page, workspace, tmp_path, picture_tree):
    other = Workspace.create(tmp_path / "newer", roots={"images": picture_tree})
    recent.remember(other)
    meta = other.path / "workspace.json"
    files.write_json(meta, other.meta | {"schema_version": SCHEMA_VERSION + 1})
    for name in ("start", "images"):
        app = page(name, w=other.key)
        assert "upgrade the program" in "".join(e.value for e in app.error)
        assert set(app.selectbox(key="workspace_choice").options) == {"newer", "Small"}


def test_features_page_follows_new_features(page, workspace, sent):
    before = sent(page("features", **{"class": "ant"}), "gallery")
    old = Features(workspace, "colours", check=False)
    rows = np.full((122, old.dim), np.nan, np.float32)
    rows[old.ids] = old.rows(old.ids)[:, ::-1] ** 3
    arrays.write_features(workspace, "colours", rows, {"backbone": "colours"})
    after = sent(page("features", **{"class": "ant"}), "gallery")
    assert before["words"] != after["words"]


def test_pairs_between_splits_are_offered_only_where_there_are_splits(page, workspace):
    app = page("duplicates")
    assert "Only between splits" not in [toggle.label for toggle in app.toggle]
