"""Files are whole or absent."""

import errno
import os

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import files
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


def test_final_name_of_255_bytes(tmp_path):
    files.write_json(tmp_path / ("x" * 250 + ".json"), 1)
    assert [len(p.name) for p in tmp_path.iterdir()] == [255]


def test_broken_json_is_named_with_its_line(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text('{\n"a": 1,\n}')
    with pytest.raises(CurationError, match=r"recipe\.json, line 3"):
        files.read_json(path)


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
