"""The CLS-LOC tree with each of its ground-truth files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from curation.errors import CurationError
from curation.images import readers

A, B = "n01440764", "n02119789"
VAL = [f"ILSVRC2012_val_{i:08d}" for i in range(1, 5)]
TRUTH = dict(zip(VAL, [B, A, A, B], strict=True))


def tree(base: Path, *, val: bool = True) -> Path:
    for wnid in (A, B):
        (base / "train" / wnid).mkdir(parents=True)
        for i in range(2):
            (base / "train" / wnid / f"{wnid}_{i}.JPEG").touch()
    if val:
        (base / "val").mkdir()
        for stem in reversed(VAL):
            (base / "val" / f"{stem}.JPEG").touch()
    return base


def kaggle(folder: Path) -> None:
    lines = [f"{stem},{wnid} 1 2 3 4 {wnid} 5 6 7 8" for stem, wnid in reversed(TRUTH.items())]
    (folder / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *lines]) + "\n")


def devkit(folder: Path, *, meta: bool = True) -> None:
    # The kit's own numbers: 1 is n02119789, although n01440764 sorts before it.
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n2\n2\n1\n")
    if meta:
        kinds = [("ILSVRC2012_ID", "f8"), ("WNID", "O"), ("words", "O"), ("num_children", "f8")]
        rows = [(1, B, "kit fox", 0), (2, A, "tench", 0), (3, "n00000001", "animal", 2)]
        savemat(folder / "meta.mat", {"synsets": np.array(rows, dtype=kinds).reshape(-1, 1)})


def val_classes(found: readers.Listing) -> dict[str, str]:
    table = found.table.to_pydict()
    rows = zip(table["path"], table["class_name"], table["source_split"], strict=True)
    return {Path(path).stem: name for path, name, split in rows if split == "val"}


def test_kaggles_archive(tmp_path):
    base = tree(tmp_path / "ILSVRC" / "Data" / "CLS-LOC")
    (base / "test").mkdir()
    (base / "test" / "ILSVRC2012_test_00000001.JPEG").touch()
    kaggle(tmp_path)
    found = readers.find(tmp_path)
    assert found.layout == "ilsvrc"
    assert val_classes(found) == TRUTH
    assert found.table["path"].to_pylist() == sorted(found.table["path"].to_pylist())
    assert found.table["source_split"].to_pylist().count("train") == 4
    assert found.ignored == {"no picture extension": 1, "without a class (test)": 1}


def test_the_root_may_be_cls_loc_itself(tmp_path):
    base = tree(tmp_path / "ILSVRC" / "Data" / "CLS-LOC")
    kaggle(tmp_path)
    assert val_classes(readers.find(base)) == TRUTH


def test_the_development_kits_numbers_are_not_the_rank_of_the_wnid(tmp_path):
    base = tree(tmp_path)
    devkit(base / "ILSVRC2012_devkit_t12" / "data")
    assert val_classes(readers.find(base)) == TRUTH


def test_a_val_that_was_sorted_into_folders_needs_no_file(tmp_path):
    base = tree(tmp_path / "ILSVRC" / "Data" / "CLS-LOC", val=False)
    (base / "val" / A).mkdir(parents=True)
    (base / "val" / A / f"{VAL[1]}.JPEG").touch()
    found = readers.find(tmp_path)
    assert found.layout == "ilsvrc"
    assert val_classes(found) == {VAL[1]: A}


@pytest.mark.parametrize("named", [True, False])
def test_a_file_of_wnids_in_text(tmp_path, named):
    base = tree(tmp_path / "pictures")
    truth = tmp_path / "truth.txt"
    truth.write_text("".join(f"{stem}.JPEG {wnid}\n" if named else f"{wnid}\n" for stem, wnid in TRUTH.items()))
    assert val_classes(readers.find(base, layout="ilsvrc", table=truth)) == TRUTH


def test_pictures_that_the_file_does_not_name_are_counted(tmp_path):
    base = tree(tmp_path / "pictures")
    (tmp_path / "truth.txt").write_text(f"{VAL[0]}.JPEG {B}\n")
    found = readers.find(base, layout="ilsvrc", table=tmp_path / "truth.txt")
    assert val_classes(found) == {VAL[0]: B}
    assert found.ignored == {"not in truth.txt": 3}


def test_without_a_ground_truth_it_says_which_files_would_do(tmp_path):
    with pytest.raises(CurationError, match=r"4 pictures lie directly in .*val.*LOC_val_solution.csv.*meta.mat"):
        readers.find(tree(tmp_path / "a" / "b" / "c" / "d"))


def test_numbers_without_meta_mat_are_refused(tmp_path):
    base = tree(tmp_path / "a" / "b" / "c" / "d")
    devkit(base, meta=False)
    with pytest.raises(CurationError, match=r"numbers its classes, and meta.mat .* says which WNID"):
        readers.find(base)
    (base / "meta.mat").write_bytes(b"no MAT file")
    with pytest.raises(CurationError, match=r"cannot be read as the development kit's meta.mat"):
        readers.find(base)


def test_bad_ground_truth_files(tmp_path):
    base, truth = tree(tmp_path / "pictures"), tmp_path / "truth.txt"
    truth.write_text(f"{A}\n{B}\n{B}\n")
    with pytest.raises(CurationError, match="has 3 lines, but val has 4 pictures"):
        readers.find(base, layout="ilsvrc", table=truth)
    truth.write_text(f"{A}\n{B}\n\ntench\n{B}\n")
    with pytest.raises(CurationError, match=r"truth.txt, line 4: 'tench' is not a WNID"):
        readers.find(base, layout="ilsvrc", table=truth)
    truth.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CurationError, match="cannot be read as text"):
        readers.find(base, layout="ilsvrc", table=truth)
    with pytest.raises(CurationError, match="no folder train/WNID/"):
        readers.find(tmp_path / "pictures" / "train", layout="ilsvrc")
