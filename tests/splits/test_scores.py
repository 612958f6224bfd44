from itertools import combinations

import numpy as np
import paired
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as np_arrays
from threadpoolctl import threadpool_limits

from curation import arrays
from curation.splits import scores

POINTS = st.integers(1, 12).flatmap(lambda n: np_arrays(np.int8, (n, 2), elements=st.integers(-6, 6)))


def squares(points):
    """Squared distances of all pairs of whole numbers, exact."""
    points = points.astype(np.int64)
    return ((points[:, None] - points[None]) ** 2).sum(2)


def naive(distances, first, count):
    """Greedy k-centre as one would write it."""
    chosen = [first]
    while len(chosen) < count:
        rest = [i for i in range(len(distances)) if i not in chosen]
        chosen.append(max(rest, key=lambda i: (min(distances[i][j] for j in chosen), -i)))
    return chosen


@settings(max_examples=60, deadline=None)
@given(POINTS, st.data())
def test_k_centre(points, data):
    distances = squares(points).astype(float)
    images = len(points)
    first, count = data.draw(st.integers(0, images - 1)), data.draw(st.integers(1, images))
    order = scores.k_centre(distances.__getitem__, first, count, images)
    assert sorted(order.tolist()) == list(range(images))
    assert order[:count].tolist() == naive(distances, first, count)
    whole = scores.k_centre(distances.__getitem__, first, images, images)
    assert order[:count].tolist() == whole[:count].tolist()
    nearest = distances[:, order[:count]].min(1)[order[count:]]
    assert (np.diff(nearest) <= 0).all()  # the others by falling distance


@settings(max_examples=30, deadline=None)
@given(POINTS.filter(lambda points: len(points) <= 8), st.integers(1, 4))
def test_k_centre_covers_within_twice_the_smallest_radius(points, count):
    distances = np.sqrt(squares(points))
    count = min(count, len(points))
    chosen = scores.k_centre(distances.__getitem__, 0, count, len(points))[:count]
    best = min(distances[:, list(some)].min(1).max() for some in combinations(range(len(points)), count))
    assert distances[:, chosen].min(1).max() <= 2 * best + 1e-12


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """40 images, the last two without a feature; two that are alike."""
    folder = tmp_path_factory.mktemp("scores") / "w"
    workspace = paired.build(folder, 40)
    values = np.random.default_rng(1).normal(0, 1, (40, 6)).astype(np.float32)
    values[7] = values[3]
    values[38:] = np.nan
    return arrays.write_features(workspace, "f", values)


def ranked(features, ids, method, metric="euclidean", cls=None, needed=99):
    ids = np.asarray(ids)
    cls = np.zeros(len(ids), np.int64) if cls is None else np.asarray(cls)
    wanted = np.full(int(cls.max(initial=0)) + 1, needed)
    found = scores.ranks(features, ids, cls, method=method, metric=metric, needed=wanted)
    return found.tolist()


def unit(points):
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("metric", scores.METRICS)
def test_hard_and_typical_are_by_distance_to_the_class_centre(features, metric):
    ids = np.arange(10, 30)
    points = features.rows(ids).astype(float)
    if metric == "cosine":
        mean = unit(points).mean(0)
        far = 1 - unit(points) @ mean / np.linalg.norm(mean)
    else:
        far = np.linalg.norm(points - points.mean(0), axis=1)
    expected = np.argsort(np.argsort(far)).tolist()
    assert ranked(features, ids, "typical", metric) == expected
    assert ranked(features, ids, "hard", metric) == [19 - r for r in expected]


@pytest.mark.parametrize("metric", scores.METRICS)
def test_diverse_starts_at_the_centre_and_goes_far(features, metric):
    ids = np.arange(30)
    points = features.rows(ids).astype(float)
    points = unit(points) if metric == "cosine" else points
    distances = np.linalg.norm(points[:, None] - points[None], axis=2).round(7)
    first = int(np.linalg.norm(points - points.mean(0), axis=1).argmin())
    order = np.argsort(ranked(features, ids, "diverse", metric, needed=30)).tolist()
    assert order == naive(distances, first, 30)
    assert order[-1] == 7  # the picture of image 3 again


@pytest.mark.parametrize("method", scores.METHODS)
def test_classes_are_ranked_each_by_itself(features, method):
    both = ranked(features, range(30), method, cls=[0] * 12 + [2] * 18)
    assert both[:12] == ranked(features, range(12), method)
    assert both[12:] == ranked(features, range(12, 30), method)


@pytest.mark.parametrize("method", scores.METHODS)
def test_images_without_a_feature_come_last(features, method):
    found = ranked(features, [38, 5, 39, 6, 9], method)
    assert (found[0], found[2]) == (3, 4)
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert ranked(features, [39, 38], method) == [0, 1]
    assert ranked(features, [], method) == []


@pytest.mark.parametrize("method", ["hard", "typical"])
def test_equal_distances_are_in_the_order_of_the_rows(features, method):
    for ids in ([3, 7, 5], [7, 3, 5]):
        found = ranked(features, ids, method)
        assert found[1] == found[0] + 1


def test_pictures_that_are_all_alike(features):
    for method in scores.METHODS:
        assert ranked(features, [3, 7, 3, 7], method, "cosine") == [0, 1, 2, 3]


@pytest.mark.parametrize("metric", scores.METRICS)
@pytest.mark.parametrize("method", scores.METHODS)
def test_a_class_in_blocks_is_ranked_as_in_one_go(features, monkeypatch, method, metric):
    whole = ranked(features, range(38), method, metric, needed=20)
    monkeypatch.setattr(scores, "BLOCK", 5)
    assert ranked(features, range(38), method, metric, needed=20) == whole


def test_the_number_of_threads_does_not_matter(features):
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append([ranked(features, range(38), method, "cosine") for method in scores.METHODS])
    assert found[0] == found[1]
