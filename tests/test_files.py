"""Files are whole or absent."""

import errno
import os
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import files, renames
from curation.errors import ArgumentError, CurationError


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"n": 1})
    with pytest.raises(RuntimeError), files.replacing(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert files.read_json(path) == {"n": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_full_disk_says_so_and_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    files.write_json(path, {"n": 1})

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CurationError, match=r"no space left on the disk .* bytes free.*run the same command again"):
        files.write_json(path, {"n": 2})
    assert files.read_json(path) == {"n": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_is_whole_or_absent(tmp_path):
    with pytest.raises(RuntimeError), files.replacing_folder(tmp_path / "a" / "b") as part:
        (part / "half").write_text("x")
        raise RuntimeError
    assert not list((tmp_path / "a").iterdir())
    with files.replacing_folder(tmp_path / "a" / "b") as part:
        (part / "whole").write_text("x")
        assert not (tmp_path / "a" / "b").exists()
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["whole"]
    with pytest.raises(CurationError, match="b is there already: remove it or choose another name"):
        files.replacing_folder(tmp_path / "a" / "b").__enter__()


def test_a_folder_that_came_meanwhile_stays(tmp_path):
    with pytest.raises(CurationError, match="is there already"), files.replacing_folder(tmp_path / "a") as part:
        (part / "mine").write_text("x")
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "theirs").write_text("x")
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["a", "a/theirs"]


def test_a_folder_is_replaced_only_where_the_check_allows(tmp_path):
    def check(folder):
        if (folder / "precious").exists():
            raise ArgumentError("precious")

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("x")
    for name in ("new", "precious"):
        with files.replacing_folder(tmp_path / "a", check=check) as part:
            (part / name).write_text("x")
        assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["a", f"a/{name}"]
    with pytest.raises(ArgumentError, match="precious"):
        files.replacing_folder(tmp_path / "a", check=check).__enter__()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_cannot_be_replaced_comes_back(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("x")
    rename, calls = Path.rename, []

    def fails(path, target):
        calls.append(target.name)
        if calls.count("a") == 2:
            calls.append("once")
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with (
        pytest.raises(OSError, match=os.strerror(errno.EIO)),
        files.replacing_folder(tmp_path / "a", check=lambda _: None) as part,
    ):
        (part / "new").write_text("x")
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["a", "a/old"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_what_is_replaced_comes_back_when_a_move_fails(tmp_path, monkeypatch, error):
    (part := tmp_path / ".0123456789abcdef.part").mkdir()
    for place, text in ((tmp_path / "out", "old"), (part, "new")):
        for name in ("a/1", "b/1", "c"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text)
    rename = Path.rename

    def fails(path, target):
        if path == part / "b" and target.parent == tmp_path / "out":
            raise error
        return rename(path, target)

    with monkeypatch.context() as patch, pytest.raises(error):
        patch.setattr(Path, "rename", fails)
        renames.put_all(part, tmp_path / "out")
    assert [(tmp_path / "out" / name).read_text() for name in ("a/1", "b/1", "c")] == ["old"] * 3
    assert sorted(p.name for p in tmp_path.iterdir()) == [part.name, "out"]
    renames.put_all(part, tmp_path / "out")
    assert [(tmp_path / "out" / name).read_text() for name in ("a/1", "b/1", "c")] == ["new"] * 3
    assert sorted(p.name for p in tmp_path.iterdir()) == [part.name, "out"]


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CurationError, match=r"file/x cannot be written: .*: choose another place"):
        files.replacing_folder(tmp_path / "file" / "x").__enter__()
    for path in (tmp_path / "file" / "x.json", tmp_path / ("x" * 300), Path("/proc/none/x.json")):
        with pytest.raises(CurationError, match=r"cannot be written: .*: choose another place"):
            files.write_json(path, {})
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_killed_runs_left_is_swept_after_a_day(tmp_path, kind):
    now, names = time.time(), ("0" * 16, "1" * 16, "2" * 16)
    for name in names:
        tree = tmp_path / f".{name}.part" / "train" / "ant"
        tree.mkdir(parents=True)
        (tree / "1.jpg").write_text("x")
        (tmp_path / f".{name[1:]}a.part").write_text("half")
    for path in [tmp_path / "a.part", tmp_path / ".mine.part", tmp_path / ".0.new"]:
        path.write_text("another program's")
    for path in tmp_path.rglob("*"):
        os.utime(path, (now - 2 * files.DAY,) * 2)
    fresh = [
        tmp_path / f".{names[1]}.part" / "train",
        tmp_path / f".{names[2]}.part",
        tmp_path / f".{names[2][1:]}a.part",
    ]
    for path in fresh:
        os.utime(path, (now - files.DAY / 2,) * 2)
    if kind == "file":
        files.write_json(tmp_path / "written", {})
    else:
        with files.replacing_folder(tmp_path / "written"):
            pass
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["written", "a.part", ".mine.part", ".0.new", f".{names[1]}.part", f".{names[2]}.part", fresh[2].name]
    )


def test_final_name_of_255_bytes(tmp_path):
    files.write_json(tmp_path / ("x" * 250 + ".json"), 1)
    assert [len(p.name) for p in tmp_path.iterdir()] == [255]


def test_broken_json_is_named_with_its_line(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text('{\n"a": 1,\n}')
    with pytest.raises(CurationError, match=r"recipe\.json, line 3"):
        files.read_json(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 100_000, r"what: .* nested too deeply"),
        (b'{"a":\n' + b"9" * 5000 + b"}", r"what, line 2: a number has more than 4,300 digits"),
        (b'{"a":\n"\xff"}', r"what, line 2: .*not UTF-8"),
        ('{"a": 1,\n "b": {"x": 1, "x": 2}}', r"what: the key 'x' is there twice in one object"),
        ("", r"what, line 1: not a JSON file"),
    ],
)
def test_json_that_cannot_be_read_is_named(text, message):
    with pytest.raises(CurationError, match=message):
        files.parse_json(text, "what", once=True)


def test_json_as_it_should_be(tmp_path):
    assert files.parse_json(b'\xef\xbb\xbf{"a": {"b": 1}}', "what", once=True, made=lambda o: list(o)) == ["a"]
    assert files.parse_json('{"a": 1, "a": 2}', "what") == {"a": 2}
    with pytest.raises(CurationError, match="is a folder, not a JSON file"):
        files.read_json(tmp_path)


def test_paths_that_lead_out():
    sound = ["a/b.jpg", "..a", "a..", "a/...", "a:b", "..."]
    assert files.first_outside(pa.array(sound)) is None
    for path in ("", "..", "a/..", "../a", "a/../b", "a\\..\\b", "..\\b", "a\0", None):
        assert files.first_outside(pa.chunked_array([sound, [path]], pa.string()), rooted=True) == len(sound)
        assert path is None or files.leads_out(path, rooted=True)
    for path in ("/a", "\\a", "C:/a", "c:\\a"):
        assert files.leads_out(path)
        assert not files.leads_out(path, rooted=True)
    assert files.leads_out("\ud800")
    faults = {
        "": "is empty",
        "a\0": "holds a NUL character",
        "a/../b": "climbs out of its folder",
        "/a": "starts at a root",
    }
    assert {path: files.fault(path) for path in faults} == faults


def test_missing_and_broken_tables_are_named(tmp_path):
    with pytest.raises(CurationError, match="does not exist"):
        files.read_table(tmp_path / "no.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 this is no table")
    with pytest.raises(CurationError, match=r"bad\.parquet cannot be read as a Parquet table"):
        files.read_table(tmp_path / "bad.parquet")


def test_same_table_same_bytes(tmp_path):
    table = pa.table({"x": list(range(1000)), "name": pa.array(["a", "b"] * 500).dictionary_encode()})
    files.write_table(tmp_path / "1.parquet", table)
    files.write_table(tmp_path / "2.parquet", table)
    assert files.sha256_file(tmp_path / "1.parquet") == files.sha256_file(tmp_path / "2.parquet")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 81, "a\nb", "é"])
def test_names_that_are_no_file_names(name):
    with pytest.raises(ArgumentError, match="cannot be a file name"):
        files.check_name(name, "split")


@given(st.text(min_size=1), st.text(min_size=1))
def test_slugs_are_safe_and_tell_names_apart(a, b):
    if not any("\ud800" <= c <= "\udfff" for c in a + b):
        assert files.NAME.fullmatch(files.slug(a))
        assert (files.slug(a) == files.slug(b)) == (a == b)
