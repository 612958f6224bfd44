"""The geometric check: edits of a picture are found and located, other pictures are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from curation.duplicates import geometry
from curation.workspace import Workspace

SIZE = (320, 240)


def leaves(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Discs and boxes of all sizes in front of each other: edges and corners at every scale, as in photographs."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(rng.integers(0, 256, 3).tolist()))
    pen = ImageDraw.Draw(image)
    for _ in range(160):
        x, y = rng.uniform(0, size[0]), rng.uniform(0, size[1])
        w, h = rng.pareto(1.5, 2) * 8 + 4
        shape = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        shape((x - w, y - h, x + w, y + h), fill=tuple(rng.integers(0, 256, 3).tolist()))
    return image.filter(ImageFilter.GaussianBlur(0.7))


@pytest.fixture
def album(make, tmp_path) -> Callable[..., Workspace]:
    """album(pictures): a workspace of these pictures, bytes for files that are none."""

    def build(*pictures: Image.Image | bytes) -> Workspace:
        before = len(list((tmp_path / "pictures").glob("*"))) if (tmp_path / "pictures").is_dir() else 0
        names = [f"{before + i}.png" for i in range(len(pictures))]
        workspace = make(len(pictures), path=names)
        for name, picture in zip(names, pictures, strict=True):
            path = workspace.image_file("images", name)
            path.write_bytes(picture) if isinstance(picture, bytes) else picture.save(path)
        return workspace

    return build


def one_pair(workspace: Workspace, a: int = 0, b: int = 1) -> tuple[int, np.ndarray, float]:
    found = geometry.check(workspace, np.array([a]), workspace, np.array([b]), workers=1)
    return int(found.inliers[0]), found.transform[0].reshape(2, 3).astype(float), float(found.score[0])


def crop(image: Image.Image) -> Image.Image:
    return image.crop((60, 30, 284, 198))


# Each edit, and where the point (x, y) of a 320 x 240 picture comes to lie in it, in pixels of a picture so long.
EDITS = {
    "crop": (crop, lambda x, y: (x - 60, y - 30), 224),
    "border": (lambda image: ImageOps.expand(image, 40, "white"), lambda x, y: (x + 40, y + 40), 400),
    "mirror": (ImageOps.mirror, lambda x, y: (320 - x, y), 320),
    "half": (lambda image: image.resize((160, 120)), lambda x, y: (x / 2, y / 2), 160),
    "upside down": (lambda image: image.rotate(180), lambda x, y: (320 - x, 240 - y), 320),
    "on its side": (lambda image: image.rotate(90, expand=True), lambda x, y: (y, 320 - x), 320),
    "cropped mirror": (lambda image: ImageOps.mirror(crop(image)), lambda x, y: (284 - x, y - 30), 224),
    "blurred grey": (lambda image: image.convert("L").filter(ImageFilter.GaussianBlur(2)), lambda x, y: (x, y), 320),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("way", ["to the edit", "from the edit"])
def test_edits_are_found_where_they_are(album, edit, way):
    change, moved, longer = EDITS[edit]
    workspace = album(leaves(1), change(leaves(1)))
    inliers, matrix, score = one_pair(workspace, *((0, 1) if way == "to the edit" else (1, 0)))
    assert inliers >= 15
    assert score > 1.2
    assert (np.linalg.det(matrix[:, :2]) < 0) == ("mirror" in edit)
    points = np.array([(80.0, 50.0), (250.0, 60.0), (160.0, 180.0)])
    there = np.array([moved(*point) for point in points]) / longer
    source, target = (points / 320, there) if way == "to the edit" else (there, points / 320)
    assert np.abs(source @ matrix[:, :2].T + matrix[:, 2] - target).max() < 0.01


def test_a_turned_picture_is_a_slight_rotation(album):
    inliers, matrix, score = one_pair(
        album(leaves(2), leaves(2).rotate(3, Image.Resampling.BICUBIC, fillcolor="white"))
    )
    assert np.degrees(np.arctan2(matrix[0, 1], matrix[0, 0])) == pytest.approx(3, abs=0.3)
    assert inliers >= 30
    assert score > 1.2


def test_pictures_are_compared_as_displayed(album):
    workspace = album(leaves(3), leaves(3))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise
    turned = leaves(3).rotate(90, expand=True)
    turned.save(workspace.image_file("images", "1.png"), exif=exif)
    assert np.abs(one_pair(workspace)[1] - np.eye(2, 3)).max() < 0.01


def test_a_mark_over_a_part_does_not_hide_a_copy(album):
    marked = leaves(4)
    ImageDraw.Draw(marked).rectangle((0, 200, 320, 240), fill=(20, 20, 20))
    assert one_pair(album(leaves(4), marked))[2] > 1.2


def test_other_pictures_do_not_match(album):
    workspace = album(*(leaves(seed) for seed in range(10, 18)))
    a, b = np.triu_indices(8, 1)
    found = geometry.check(workspace, a, workspace, b)
    assert found.inliers.max() < 8
    assert found.score.max() < 0.1


def test_pictures_that_share_a_badge_are_no_copies(album):
    pictures = [leaves(20), leaves(21)]
    for picture in pictures:
        picture.paste(leaves(22, (150, 110)), (20, 20))
    inliers, _, score = one_pair(album(*pictures))
    assert inliers >= 15
    assert score < 0.4


def test_the_result_depends_on_neither_workers_nor_order_nor_memory(album, monkeypatch):
    pictures = [change(leaves(seed)) for seed in (30, 31, 32) for change in (crop, ImageOps.mirror, ImageOps.flip)]
    workspace = album(*pictures)
    a, b = np.triu_indices(len(pictures), 1)
    whole = geometry.check(workspace, a, workspace, b, workers=1)
    shuffled = np.random.default_rng(0).permutation(len(a))
    monkeypatch.setattr(geometry, "PAIRS_AT_ONCE", 5)
    monkeypatch.setattr(geometry, "HELD", 3)
    again = geometry.check(workspace, a[shuffled], workspace, b[shuffled], workers=3)
    for one, other in zip(whole, again, strict=True):
        assert one[shuffled].tobytes() == other.tobytes()


def test_what_cannot_be_looked_at_says_so(album):
    workspace = album(leaves(40), leaves(40), b"no picture", Image.new("RGB", SIZE, "gray"))
    workspace.image_file("images", "1.png").unlink()
    calls = []
    found = geometry.check(
        workspace, np.array([0, 0, 2, 0]), workspace, np.array([3, 2, 3, 1]), progress=lambda *call: calls.append(call)
    )
    assert found.inliers.tolist() == [-1] * 4
    assert np.isnan(found.score).all()
    assert np.isnan(found.transform).all()
    assert calls == [(4, 4, "geometry of pairs")]


def test_pairs_of_two_workspaces(album):
    first, second = album(leaves(50), leaves(51)), album(ImageOps.mirror(leaves(51)), crop(leaves(50)))
    found = geometry.check(first, np.array([0, 1, 0]), second, np.array([1, 0, 0]))
    assert (found.score > 1.2).tolist() == [True, True, False]
    assert found.transform[0, 0] > 1 > 0 > found.transform[1, 0]


def test_no_pairs(album):
    workspace, none = album(leaves(60)), np.zeros(0, np.int64)
    found = geometry.check(workspace, none, workspace, none)
    assert [value.shape for value in found] == [(0,), (0, 6), (0,)]
