"""NPZ files of a subset: what NumPy reads from them, what is read back, and what is refused."""

import io
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from pictures import draw
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, Resize

from curation.errors import ArgumentError, CurationError
from curation.formats import subset_csv, subset_npz
from curation.formats.annotations import AnnotationSet, Options, annotation_table, names_of

CLASSES = ("n00000002", "n00000001", "n00000003")
KEYS = ["X_train", "y_train", "train_id", "X_val", "y_val", "val_id"]
TRAIN, VAL = 4, 2


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for place in range(len(CLASSES) * (TRAIN + VAL)):
        draw(place, (60 + place, 50)).save(folder / f"{place:02d}.jpg")
    return folder


@pytest.fixture
def options(root):
    return Options(locate=lambda path: root / path)


def subset(**changes):
    """Rows of three classes; numbers run against the order of rows, and labels are mixed."""
    rows = len(CLASSES) * (TRAIN + VAL)
    labels = np.arange(rows) % len(CLASSES)
    columns = {
        "path": [f"{place:02d}.jpg" for place in range(rows)],
        "label": labels,
        "class_name": names_of(labels, CLASSES),
        "split": ["train" if place < len(CLASSES) * TRAIN else "val" for place in range(rows)],
        "number": np.arange(rows, 0, -1),
    }
    about = pa.table({"class_name": CLASSES, "wnid": CLASSES, "lemmas": ["a", "b", "c"]})
    return AnnotationSet(annotation_table(columns | changes), CLASSES, ("train", "val"), {}, about)


def expected(root, found):
    """The arrays as the published program makes them."""
    transform, arrays = Compose([Resize(256), CenterCrop(224)]), {}
    for split in ("train", "val"):
        rows = sorted((r for r in found.table.to_pylist() if r["split"] == split), key=lambda row: row["number"])
        images = [np.asarray(transform(Image.open(root / row["path"]).convert("RGB"))) for row in rows]
        arrays[f"X_{split}"] = np.stack(images)
        arrays[f"y_{split}"] = np.array([row["label"] for row in rows], np.int32)
        arrays[f"{split}_id"] = np.array([row["number"] for row in rows], np.int32)
    return arrays


def loaded(path):
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def same(one, two):
    return list(one) == list(two) and all(
        one[key].dtype == two[key].dtype and np.array_equal(one[key], two[key]) for key in one
    )


def test_one_part_is_what_numpy_would_write(tmp_path, root, options):
    found = subset()
    written = subset_npz.write(found, tmp_path, "small", options)
    assert [p.name for p in written] == ["small_cls_part1.npz", "small_cls_metadata.csv"]
    arrays = loaded(written[0])
    assert same(arrays, expected(root, found))
    assert list(arrays) == KEYS
    np.savez(tmp_path / "numpy.npz", **arrays)
    with zipfile.ZipFile(written[0]) as ours, zipfile.ZipFile(tmp_path / "numpy.npz") as theirs:
        assert ours.namelist() == theirs.namelist()
        assert all(ours.read(name) == theirs.read(name) for name in ours.namelist())
    again = subset_npz.write(found, tmp_path / "again", "small", options)
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in written]


def test_parts_hold_consecutive_classes_with_global_labels(tmp_path, root, options):
    found = subset()
    written = subset_npz.write(found, tmp_path, "s", Options(locate=options.locate, max_ram=0.4))
    assert [p.name for p in written[:-1]] == ["s_cls_part1.npz", "s_cls_part2.npz"]
    parts, whole = [loaded(p) for p in written[:-1]], expected(root, found)
    assert [sorted(set(part["y_train"].tolist())) for part in parts] == [[0, 1], [2]]
    for part, labels in zip(parts, ([0, 1], [2]), strict=True):
        chosen = {key: whole[key][np.isin(whole[f"y_{'train' if 'train' in key else 'val'}"], labels)] for key in KEYS}
        assert same(part, chosen)
    concatenate = Options(locate=options.locate, max_ram=0.4, concatenate=True)
    single = subset_npz.write(found, tmp_path, "t", concatenate)
    assert [p.name for p in single] == ["t_cls.npz", "t_cls_metadata.csv"]
    assert same(loaded(single[0]), {key: np.concatenate([part[key] for part in parts]) for key in KEYS})
    with zipfile.ZipFile(single[0]) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_DEFLATED}


@pytest.mark.parametrize(
    ("classes", "max_ram", "per_part", "parts"),
    [(100, 10, 50, 2), (100, 3, 15, 7), (30, 0.25, 2, 15), (30, None, 30, 1), (30, 100, 30, 1), (3, 1e-9, 1, 3)],
)
def test_parts_arithmetic(classes, max_ram, per_part, parts):
    assert subset_npz.classes_per_part(classes, max_ram) == per_part
    assert -(-classes // per_part) == parts


def test_no_part_takes_more_than_the_memory_there_is(tmp_path, options):
    """Four training and two validation pictures a class, of 150,536 bytes each with label and number."""

    def parts(max_ram, **more):
        folder = tmp_path / f"{max_ram}{len(more)}"
        written = subset_npz.write(subset(), folder, "s", Options(locate=options.locate, max_ram=max_ram, **more))
        return [sorted(set(loaded(p)["y_train"].tolist())) for p in written if p.suffix == ".npz"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subset_npz, "_GB_PER_CLASS", 1e-6)  # so that the published arithmetic wants one part
        assert parts(12 * 150_536 / 1e9) == [[0, 1], [2]]
        assert parts(12 * 150_536 / 1e9 - 1e-9) == [[0], [1], [2]]
        assert parts(1e-4, concatenate=True) == [[0, 1, 2]]
        with pytest.raises(
            ArgumentError, match=r"the 6 pictures of class 'n0.*' take 0.001 GB, .* 0.0001 GB: .* 0.001 or"
        ):
            parts(1e-4)


@pytest.mark.parametrize("max_ram", [0, -1, float("nan")])
def test_impossible_memory_is_refused(max_ram):
    with pytest.raises(ArgumentError, match="max_ram"):
        subset_npz.classes_per_part(3, max_ram)


@pytest.mark.parametrize("concatenate", [False, True])
def test_reading_back_and_packing_again_changes_nothing(tmp_path, options, concatenate):
    settings = Options(locate=options.locate, max_ram=0.2, concatenate=concatenate)
    written = subset_npz.write(subset(), tmp_path, "s", settings)
    found = subset_npz.read(tmp_path / "s")
    assert found.classes == CLASSES
    assert found.about["lemmas"].to_pylist() == ["a", "b", "c"]
    rows = {(r["split"], r["number"], r["label"]) for r in found.table.to_pylist()}
    assert rows == {(r["split"], r["number"], r["label"]) for r in subset().table.to_pylist()}
    path = found.table["path"][0].as_py()
    assert path == f"train/{CLASSES[0]}/{found.table['number'][0].as_py()}.png"
    arrays = subset_npz.open_npz(written[0])
    with Image.open(io.BytesIO(found.pictures(path))) as image:
        assert np.array_equal(np.asarray(image), arrays["X_train"][0])
    again = subset_npz.write(found, tmp_path / "again", "s", Options(max_ram=0.2, concatenate=concatenate))
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in written]
    assert len(subset_npz.read(written[0]).table) == (len(found.table) if concatenate else TRAIN + VAL)


def test_stored_arrays_are_mapped_in_place(tmp_path, options):
    arrays = subset_npz.open_npz(subset_npz.write(subset(), tmp_path, "s", options)[0])
    assert isinstance(arrays["X_train"], np.memmap)
    assert arrays["X_train"].filename == arrays.path
    assert same(dict(arrays), loaded(arrays.path))


def test_without_numbers_the_places_of_paths_in_byte_order_count(tmp_path, options):
    found = subset(number=None)
    arrays = loaded(subset_npz.write(found, tmp_path, "s", options)[0])
    assert arrays["train_id"].tolist() == list(range(1, len(CLASSES) * TRAIN + 1))
    assert arrays["y_train"].tolist() == [place % 3 for place in range(len(CLASSES) * TRAIN)]
    assert arrays["val_id"].tolist() == list(range(1, len(CLASSES) * VAL + 1))


@pytest.mark.parametrize("concatenate", [False, True])
def test_pictures_that_cannot_be_had_are_left_out_and_listed(tmp_path, root, concatenate):
    data = (root / "01.jpg").read_bytes()

    def pictures(path):
        if path == "02.jpg":
            raise OSError("the tape broke,\n=again")
        return None if path == "17.jpg" else data[:300] if path == "05.jpg" else (root / path).read_bytes()

    found = AnnotationSet(subset().table, CLASSES, ("train", "val"), {}, None, pictures)
    written = subset_npz.write(found, tmp_path, "s", Options(concatenate=concatenate))
    gone = ["02.jpg", "05.jpg", "17.jpg"]
    assert sorted((tmp_path / "s" / "missing.txt").read_text().splitlines()) == gone
    reasons = (tmp_path / "s" / "missing.csv").read_text()
    assert "the tape broke" in reasons
    assert "there is no such picture" in reasons
    assert "damaged" in reasons
    kept = found.table.filter(pa.array([path not in gone for path in found.table["path"].to_pylist()]))
    assert same(loaded(written[0]), expected(root, AnnotationSet(kept, CLASSES, ("train", "val"))))
    counts = subset_csv.read(tmp_path / "s" / "s_cls_metadata.csv")["num_train_images"].to_pylist()
    assert counts == [TRAIN, TRAIN, TRAIN - 2]
    assert {p.name for p in (tmp_path / "s").iterdir()} == {p.name for p in written}


def test_other_splits_and_numbers_are_refused(tmp_path, options):
    rows = len(subset().table)
    table = subset().table
    for splits, message in (
        (["train", "test_bl"], "two splits, train and val.*train, test_bl"),
        (["val", "test"], "val, test"),
    ):
        column = pa.array([splits[place % 2] for place in range(rows)])
        found = AnnotationSet(subset(split=column).table, CLASSES, tuple(splits))
        with pytest.raises(ArgumentError, match=message):
            subset_npz.write(found, tmp_path, "s", options)
    for numbers, message in (([1] * rows, "number 1 is given twice"), ([None, *range(1, rows)], "1 of 12 rows")):
        with pytest.raises(ArgumentError, match=message):
            subset_npz.write(subset(number=pa.array(numbers, pa.int32())), tmp_path, "s", options)
    with pytest.raises(ArgumentError, match="--root"):
        subset_npz.write(AnnotationSet(table, CLASSES, ("train", "val")), tmp_path, "s")
    assert not list(tmp_path.iterdir())


def test_a_split_test_stands_in_for_val_and_empty_splits_do_not_count(tmp_path, options):
    table = subset().table
    column = pa.array([{"val": "test"}.get(split, split) for split in table["split"].to_pylist()])
    found = AnnotationSet(subset(split=column).table, CLASSES, ("train", "test", "test_lt"))
    assert len(loaded(subset_npz.write(found, tmp_path, "s", options)[0])["y_val"]) == len(CLASSES) * VAL
    only = AnnotationSet(table.slice(0, len(CLASSES) * TRAIN), CLASSES, ("train",))
    written = subset_npz.write(only, tmp_path, "t", options)
    assert loaded(written[0])["X_val"].shape == (0, 224, 224, 3)
    assert len(subset_npz.read(tmp_path / "t").table) == len(CLASSES) * TRAIN


def test_a_full_disk_and_a_folder_that_is_there_leave_nothing_behind(tmp_path, options, full_disk):
    with full_disk(), pytest.raises(CurationError, match="no space left"):
        subset_npz.write(subset(), tmp_path, "s", options)
    assert not list(tmp_path.iterdir())
    (tmp_path / "s").mkdir()
    with pytest.raises(CurationError, match="is there already"):
        subset_npz.write(subset(), tmp_path, "s", options)


GOOD = {
    "X_train": np.zeros((1, 224, 224, 3), np.uint8),
    "y_train": np.zeros(1, np.int32),
    "train_id": np.ones(1, np.int32),
    "X_val": np.zeros((0, 224, 224, 3), np.uint8),
    "y_val": np.zeros(0, np.int32),
    "val_id": np.zeros(0, np.int32),
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_val": None}, "has no array y_val"),
        ({"more": np.zeros(1)}, "has an array more"),
        ({"y_train": np.zeros(1, np.int64)}, r"y_train is int64 \(1,\), and it should be int32 \(1,\)"),
        ({"X_train": np.zeros((2, 224, 224, 3), np.uint8)}, r"X_train is uint8 \(2, 224"),
        ({"X_val": np.zeros((0, 32, 32, 3), np.uint8)}, "X_val is uint8"),
        ({"train_id": np.int32(1)}, "train_id is int32"),
        ({"y_train": np.array([{}])}, "y_train.npy: holds pickled objects"),
        ({"y_train": np.array([-1], np.int32)}, "label -1 in y_train or y_val"),
    ],
)
def test_wrong_arrays_are_named_by_key(tmp_path, changes, message):
    arrays = {key: value for key, value in (GOOD | changes).items() if value is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(CurationError, match=rf"a\.npz.*{message}"):
        subset_npz.read(tmp_path / "a.npz")


def test_damaged_and_doubtful_files_are_refused(tmp_path):
    path = tmp_path / "a_cls_part1.npz"
    np.savez(path, **GOOD)
    assert subset_npz.read(path).classes == ("0",)
    (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:5000])
    (tmp_path / "junk.npz").write_bytes(b"junk")
    for name, message in (("cut", "cut short"), ("junk", "no NPZ file"), ("none", "does not exist")):
        with pytest.raises(CurationError, match=message):
            subset_npz.read(tmp_path / f"{name}.npz")
    (tmp_path / "a_cls_metadata.csv").write_text(",".join(subset_csv.HEADER) + "\n")
    with pytest.raises(CurationError, match=r"label 0 .* the metadata CSV has 0 classes"):
        subset_npz.read(path)
    twice = {key: np.repeat(value, 2, axis=0) for key, value in GOOD.items()}
    np.savez(tmp_path / "twice.npz", **twice)
    with pytest.raises(CurationError, match="number 1 is twice in train_id"):
        subset_npz.read(tmp_path / "twice.npz")
    with zipfile.ZipFile(tmp_path / "header.npz", "w") as archive:
        archive.writestr("X_train.npy", b"\x93NUMPY\x01\x00\x10\x00__import__('os')")
    with pytest.raises(CurationError, match=r"X_train\.npy: no \.npy file"):
        subset_npz.read(tmp_path / "header.npz")


def test_folders_with_other_than_one_whole_subset_are_refused(tmp_path):
    with pytest.raises(CurationError, match="has no files"):
        subset_npz.read(tmp_path)
    np.savez(tmp_path / "a_cls_part3.npz", **GOOD)
    np.savez(tmp_path / "a_cls_part1.npz", **GOOD)
    with pytest.raises(CurationError, match="2 parts up to 3, and part 2 is missing"):
        subset_npz.read(tmp_path)
    np.savez(tmp_path / "a_cls.npz", **GOOD)
    with pytest.raises(CurationError, match=r"a_cls\.npz and its parts"):
        subset_npz.read(tmp_path)
    np.savez(tmp_path / "b_cls.npz", **GOOD)
    with pytest.raises(CurationError, match="the subsets a, b"):
        subset_npz.read(tmp_path)


def test_hostile_class_names_stay_out_of_paths(tmp_path):
    np.savez(tmp_path / "a_cls.npz", **GOOD)
    rows = [subset_csv.HEADER, ("0", "1", "../../etc", "x", "", "1", "x")]
    (tmp_path / "a_cls_metadata.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")
    found = subset_npz.read(tmp_path)
    assert found.table["path"].to_pylist() == ["train/0/1.png"]
    for path in ("train/0/2.png", "val/0/1.png", "../x", "train/0/1.jpg"):
        with pytest.raises(CurationError, match="no picture"):
            found.pictures(path)
