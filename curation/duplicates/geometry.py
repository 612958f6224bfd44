"""Whether one picture is the other cropped, framed, turned, scaled or mirrored: local features, then the pixels.

Local features that match propose one similarity transform (M. Fischler and R. Bolles, Random Sample Consensus, CACM
24(6), 1981, on SIFT: D. Lowe, Distinctive Image Features from Scale-Invariant Keypoints, IJCV 60(2), 2004). Pictures
that share a logo or a scene have such matches too, so the pictures are then laid over each other and compared
window by window where they overlap.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from curation.engine import Progress, default_workers, quiet
from curation.images.decode import BrokenImage, rgb
from curation.workspace import Workspace

SIDE = 256  # pixels of the longer side where features are sought; smaller pictures are enlarged, at most to double
PAD = 16  # pixels of reflection around it, so that features near the edge have surroundings
KEPT = 256  # features a picture, those of most contrast
CONTRAST = 0.02  # half of OpenCV's threshold: clothes and walls have little
FEWEST = 5  # a picture with fewer features says nothing about any other
RATIO = 0.85  # of the distances to the best and the second best match (Lowe, section 7.1)
TOLERANCE = 4.0  # pixels that a match may lie off the transform
CHANCE, ENOUGH = 3, 36  # so many matches fit some similarity transform by chance; more than 36 say nothing more
POWER = 4  # of the agreement: scenes with other things in them reach 0.8, edits of one picture 0.9 and more
LARGEST_SCALE = 5.0
SHRINK = 2  # pixels are compared at half of SIDE, where blur and JPEG noise weigh little
WINDOW = 9  # pixels a side, there
FEWEST_PIXELS = 100
PAIRS_AT_ONCE, HELD = 1024, 4096  # a picture's features take about 60 kB

# OpenCV's descriptor is 4 rows across the feature's direction x 4 columns along it x 8 directions relative to it. A
# mirror image has the rows in reverse and the directions the other way round: no second extraction is needed.
MIRROR = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].ravel()


class Checked(NamedTuple):
    """What the check found, by pair.

    Attributes:
        inliers: int16 (P,), matches that agree with the transform; 0 looked and found none; -1 could not look: a
            picture that is broken or has next to no local features.
        transform: float32 (P, 6), rows of the 2 x 3 matrix M: point (x, y) of image a, as displayed, lies at
            M @ (x, y, 1) in image b, in units of each picture's own longer side, from the top left corner. Negative
            determinant: a mirror image. NaN where there is none.
        score: float64 (P,), 0 to 2.48, what the rule weighs: agreement^4 * ln(inliers / 3), inliers counted from 3 to
            36; NaN where inliers is -1.
    """

    inliers: np.ndarray
    transform: np.ndarray
    score: np.ndarray


class Local(NamedTuple):
    """Local features of one picture: positions float32 (N, 2) in pixels of its working size, SIFT descriptors uint8
    (N, 128), the picture at 1/SHRINK of that size, uint8, and the matrix (2,) from pixels to longer sides."""

    points: np.ndarray
    descriptors: np.ndarray
    small: np.ndarray
    width: int
    unit: np.ndarray


NOTHING = (0, np.full((2, 3), np.nan), 0.0)
UNSEEN = (-1, np.full((2, 3), np.nan), np.nan)


def check(
    first: Workspace,
    a: np.ndarray,
    second: Workspace,
    b: np.ndarray,
    *,
    workers: int | None = None,
    progress: Progress = quiet,
) -> Checked:
    """Compare pairs of pictures by geometry, mirror images too.

    Pairs are gone through by their ids, and the local features of the last `HELD` pictures are kept, so memory is
    bounded; a picture that comes up again later is read again. The result of a pair depends on its two files alone:
    not on the number of workers, nor on the other pairs, nor on their order.

    Args:
        first, second: the workspaces of either side; may be the same.
        a, b: image ids (P,), a in `first`, b in `second`.
        workers: threads; as many as there are processors when None.
    """
    a, b = np.asarray(a, np.int64), np.asarray(b, np.int64)
    found = Checked(np.full(len(a), -1, np.int16), np.full((len(a), 6), np.nan, np.float32), np.full(len(a), np.nan))
    order = np.lexsort((b, a))
    with _single_threaded(), ThreadPoolExecutor(workers or default_workers()) as pool:
        held = _Held(first, second, pool)
        for start in range(0, len(order), PAIRS_AT_ONCE):
            some = order[start : start + PAIRS_AT_ONCE]
            pairs = held.pairs(a[some], b[some])
            for row, (inliers, transform, score) in zip(some, pool.map(_compare, *pairs), strict=True):
                found.inliers[row], found.transform[row], found.score[row] = inliers, transform.ravel(), score
            progress(min(start + PAIRS_AT_ONCE, len(order)), len(order), "geometry of pairs")
    return found


@contextmanager
def _single_threaded() -> Iterator[None]:
    """One thread a product and an OpenCV call: pairs are what runs side by side, and digits stay the same."""
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        cv2.setNumThreads(threads)


class _Held:
    """Local features by picture; those used longest ago are dropped."""

    def __init__(self, first: Workspace, second: Workspace, pool: ThreadPoolExecutor) -> None:
        alone = first.path == second.path
        self.pool = pool
        self.finders = [_finder(first)] if alone else [_finder(first), _finder(second)]
        self.second = len(self.finders) - 1
        self.known: OrderedDict[tuple[int, int], Local | None] = OrderedDict()

    def pairs(self, a: np.ndarray, b: np.ndarray) -> tuple[list[Local | None], list[Local | None]]:
        """The features of either side of each pair."""
        sides = [(0, i) for i in a.tolist()], [(self.second, i) for i in b.tolist()]
        wanted = sorted(set(sides[0]) | set(sides[1]))
        missing = [key for key in wanted if key not in self.known]
        fresh = self.pool.map(lambda key: extract(self.finders[key[0]](key[1])), missing)
        self.known.update(zip(missing, fresh, strict=True))
        for key in wanted:
            self.known.move_to_end(key)
        result = tuple([self.known[key] for key in side] for side in sides)
        while len(self.known) > HELD:
            self.known.popitem(last=False)
        return result


def _finder(workspace: Workspace) -> Callable[[int], Any]:
    images = workspace.images(["root", "path"])
    roots, paths = images["root"], images["path"]
    return lambda i: workspace.image_file(roots[i].as_py(), paths[i].as_py())


def extract(source: Any) -> Local | None:
    """Local features of a picture file (path or bytes); None where it cannot be decoded."""
    import cv2
    from PIL import Image

    try:
        image = rgb(source, fit=SIDE).convert("L")
    except BrokenImage:
        return None
    longer = max(image.size)
    size = np.maximum(1, np.rint(np.array(image.size) * min(2.0, SIDE / longer))).astype(int)
    grey = np.asarray(image.resize(tuple(size.tolist()), Image.Resampling.BILINEAR))
    padded = cv2.copyMakeBorder(grey, PAD, PAD, PAD, PAD, cv2.BORDER_REFLECT_101)
    keypoints, descriptors = cv2.SIFT_create(KEPT, contrastThreshold=CONTRAST).detectAndCompute(padded, None)
    points = np.array([k.pt for k in keypoints], np.float32).reshape(-1, 2) - PAD
    inside = ((points >= 0) & (points <= size - 1)).all(axis=1)
    descriptors = np.zeros((0, 128), np.uint8) if descriptors is None else descriptors.astype(np.uint8)
    small = np.asarray(Image.fromarray(grey).reduce(SHRINK))
    return Local(points[inside], descriptors[inside], small, int(size[0]), image.size / size / longer)


def _compare(one: Local | None, other: Local | None) -> tuple[int, np.ndarray, float]:
    """Inliers, transform in longer sides (2, 3) and score of one pair."""
    if one is None or other is None or min(len(one.points), len(other.points)) < FEWEST:
        return UNSEEN
    x, y = _root(one.descriptors), _root(other.descriptors)
    plain = _similarity(*_matched(x @ y.T, one.points, other.points))
    turned = np.array([one.width - 1, 0], np.float32) + one.points * np.array([-1, 1], np.float32)
    mirrored = _similarity(*_matched(x[:, MIRROR] @ y.T, turned, other.points))
    inliers, matrix = max(plain, mirrored, key=lambda found: found[0])
    if matrix is None:
        return NOTHING
    # Pixel centres lie at whole numbers for OpenCV and at halves here.
    matrix[:, 2] += 0.5 - matrix[:, :2] @ (0.5, 0.5)
    if inliers == mirrored[0] > plain[0]:
        matrix = matrix @ np.array([[-1.0, 0, one.width], [0, 1, 0], [0, 0, 1]])
    likeness = max(0.0, agreement(one.small, other.small, matrix / [1, 1, SHRINK]))
    evidence = np.log(np.clip(inliers, CHANCE, ENOUGH) / CHANCE)
    return inliers, other.unit[:, None] * matrix / [*one.unit, 1.0], float(likeness**POWER * evidence)


def _root(descriptors: np.ndarray) -> np.ndarray:
    """RootSIFT, float32, rows of length 1 (R. Arandjelovic and A. Zisserman, CVPR 2012, section 2)."""
    total = np.maximum(descriptors.sum(axis=1, keepdims=True, dtype=np.float32), 1.0)
    return np.sqrt(descriptors / total)


def _matched(products: np.ndarray, p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of mutually nearest features that stand out from the second nearest, (M, 2) each."""
    nearest = products.argmax(axis=1)
    i = np.flatnonzero(products.argmax(axis=0)[nearest] == np.arange(len(nearest)))
    j = nearest[i]
    best = products[i, j]
    rest = products[i]
    rest[np.arange(len(i)), j] = -1.0
    # The squared distance of two rows of length 1 is 2 - 2 * product.
    clear = 1.0 - best < RATIO**2 * (1.0 - rest.max(axis=1, initial=-1.0))
    return p[i[clear]], q[j[clear]]


def _similarity(p: np.ndarray, q: np.ndarray) -> tuple[int, np.ndarray | None]:
    """How many of the matches agree on one similarity transform, and that transform (2, 3); (0, None) without."""
    import cv2

    if len(p) < CHANCE:
        return 0, None
    # OpenCV draws its samples from a generator that starts anew in every call.
    matrix, kept = cv2.estimateAffinePartial2D(p, q, ransacReprojThreshold=TOLERANCE, maxIters=1000)
    if matrix is None or not np.isfinite(matrix).all():
        return 0, None
    scale = np.hypot(matrix[0, 0], matrix[1, 0])
    if not 1 / LARGEST_SCALE < scale < LARGEST_SCALE:
        return 0, None
    return int(kept.sum()), matrix


def agreement(one: np.ndarray, other: np.ndarray, matrix: np.ndarray) -> float:
    """How alike two grey pictures are where they overlap, -1 to 1, whatever their brightness and contrast.

    The covariance of all windows that lie within the overlap, over the product of the standard deviations of either
    picture in each: a mean of window correlations that weighs windows by what they show.

    Args:
        one, other: uint8, two axes.
        matrix: (2, 3), from points of `one` to points of `other`, in pixels, the first pixel's centre at (1/2, 1/2).
    """
    import cv2

    centred = np.array(matrix, np.float64)
    centred[:, 2] += centred[:, :2] @ (0.5, 0.5) - 0.5
    size = other.shape[::-1]
    laid = cv2.warpAffine(one.astype(np.float32), centred, size)
    seen = cv2.warpAffine(np.ones(one.shape, np.float32), centred, size) > 0.99
    if seen.sum() < FEWEST_PIXELS:
        return 0.0
    x, y = (np.where(seen, values - values[seen].mean(), 0.0).astype(np.float32) for values in (laid, other))
    box = (WINDOW, WINDOW)
    whole = cv2.boxFilter(seen.astype(np.float32), -1, box, borderType=cv2.BORDER_CONSTANT) > 0.9
    mean_x, mean_y, xx, yy, xy = (cv2.boxFilter(v, -1, box)[whole] for v in (x, y, x * x, y * y, x * y))
    spread = np.sqrt(np.maximum(xx - mean_x**2, 0) * np.maximum(yy - mean_y**2, 0))
    return float(np.sum(xy - mean_x * mean_y, dtype=np.float64) / (np.sum(spread, dtype=np.float64) + 1e-3))
