"""Write splits in the formats other programs read; download them; verify that they can be made again."""

import streamlit as st

from curation import files, jobs
from curation.formats import registry
from curation.splits import recipes
from curation.ui import frame, split_view, tables

workspace = frame.current()
frame.title("Export", "Annotation files that anyone can rebuild and verify")
names = workspace.split_names()
if not names:
    frame.empty("No splits yet", "Files are written from a saved split.", "splits", "Design a split")

with st.sidebar:
    seen = st.session_state.get("split")  # the one that was looked at
    splits = st.multiselect(
        "Splits", names, default=[seen if seen in names else split_view.latest(workspace)], key="exported"
    )
    chosen = st.pills(
        "Formats",
        list(registry.FORMATS),
        selection_mode="multi",
        default=["glt-json", "csv"] if split_view.has_attributes(workspace, splits) else ["csv", "parquet"],
        format_func=lambda name: registry.FORMATS[name].title,
        key="formats",
    )
    options: dict[str, object] = {}
    with st.expander("More"):
        options["copy"] = st.toggle("Copy pictures", key="copy", help="Into trees; links otherwise") or None
        options["absolute"] = st.toggle("Absolute paths", key="absolute", help="As published loaders want them") or None
        kinds = {"name": "by name", "index": "by label, zero-padded", "wnid": "by WNID"}
        folders = st.selectbox("Class folders", list(kinds), format_func=kinds.get, key="class_folders")
        options["class-folders"] = folders if folders != "name" else None
        if any(registry.FORMATS[name].pictures for name in chosen):
            shard = st.number_input("Pictures a shard", 1, 1_000_000, 10_000, key="shard_images")
            options["shard-images"] = int(shard) if shard != 10_000 else None
        if "subset-npz" in chosen:
            options["max-ram"] = st.number_input(
                "Memory for one part (GB)", 0.1, value=None, key="max_ram", placeholder="one part"
            )
            options["concatenate"] = st.toggle("One compressed file", key="concatenate") or None
    st.button(
        "Export",
        type="primary",
        width="stretch",
        disabled=not chosen or not splits or frame.busy(workspace, "export"),
        on_click=frame.start_job,
        args=(workspace, "export", *splits),
        kwargs={"format": chosen, **options},
    )
    if any(registry.FORMATS[name].pictures and not registry.FORMATS[name].loose for name in chosen):
        st.caption("Shards and arrays hold copies of the pictures: see that you may give them away.")


for name in splits:
    if (later := recipes.revisions(workspace, name)[-1]) != name:
        st.info(f"{frame.plain(name)} has a later revision: {frame.plain(later)}.")
    if late := split_view.ruled_out_since(workspace, tables.split(workspace, name)):
        st.warning(f"{late:,} images of {frame.plain(name)} were ruled out since it was saved: save it again first.")
latest = jobs.listing(workspace, limit=100)
exports = [job for job in latest[:20] if job.kind == "export" and job.state == "done"]
told = []
for made in exports[0].result.get("exports", [exports[0].result]) if exports else ():
    for entry in made.get("refused", ()):
        title = registry.FORMATS[entry["format"]].title if entry["format"] in registry.FORMATS else entry["format"]
        told.append(f"- {frame.plain(made['split'])} as {frame.plain(title)}: {frame.plain(entry['reason'])}")
if told:
    st.warning("\n".join(["Not written, since the format cannot hold it:", *told]))
checks = [job for job in latest if job.kind == "verify"]
manifests = sorted(workspace.path.glob("exports/[!.]*/manifest.json"), key=lambda p: -p.stat().st_mtime)
if not manifests:
    st.text("An export shows here with its files, their sizes and hashes. Every export has a manifest and a ZIP.")
with st.expander("What the formats are for", expanded=not manifests):
    st.dataframe(
        [{"format": kind.title, "for": kind.use.replace("`", "")} for kind in registry.FORMATS.values()],
        hide_index=True,
        height=37 + 35 * len(registry.FORMATS),
    )
for path in manifests:
    manifest = files.read_json(path)
    archive = path.parent / f"{path.parent.name}.zip"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(frame.plain(path.parent.name), anchor=False, width="stretch")
        address = f"/exports/{workspace.key}/{path.parent.name}"
        if (path.parent / "datasheet.html").is_file():
            link = f'<a class="download" href="{address}/datasheet.html" target="_blank">Datasheet</a>'
            st.html(link, width="content")
        if archive.is_file():
            label = f"Download ZIP, {archive.stat().st_size / 1e6:,.1f} MB"
            # Names are letters, digits, '.', '_' and '-' only (`files.check_name`).
            st.html(f'<a class="download" href="{address}.zip" download>{label}</a>', width="content")
        st.button(
            "Verify",
            key=f"verify{path.parent.name}",
            icon=":material/fact_check:",
            help="Makes every file again from the manifest and compares hashes",
            disabled=frame.busy(workspace, "verify"),
            on_click=frame.start_job,
            args=(workspace, "verify", path.parent.name),
        )
    check = next((c for c in checks if c.argv[1] == path.parent.name and c.started > path.stat().st_mtime), None)
    if check is not None and check.state == "done":
        lost = check.result.get("without_pictures", 0)
        told = f" {lost:,} files with pictures are not here, and were not checked." if lost else ""
        st.success(f"Rebuilt: all {check.result['files']:,} files have the hashes of the manifest.{told}")
    elif check is not None and check.state == "failed":
        st.error(frame.plain(check.message))
    st.dataframe(
        [{"file": entry["path"], "bytes": entry["bytes"], "SHA-256": entry["sha256"]} for entry in manifest["files"]],
        hide_index=True,
        height=min(460, 37 + 33 * len(manifest["files"])),
        column_config={
            "file": st.column_config.TextColumn(width="medium"),
            "bytes": st.column_config.NumberColumn(format="localized", width="small"),
            "SHA-256": st.column_config.TextColumn(width="large"),
        },
    )
    st.caption(frame.plain(path.parent))
