"""k-means of one class is scikit-learn's; the order of its clusters depends on nothing but the rows."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_samples

from curation.clusters import fit

SHAPES = [(1300, 128, 6), (431, 1280, 6), (40, 5, 3), (12, 3, 12), (7, 2, 1), (1, 4, 1)]


@pytest.mark.parametrize(("rows", "dim", "clusters"), SHAPES)
def test_kmeans_gives_what_scikit_learn_gives(points, rows, dim, clusters):
    x = points(rows, dim, seed=rows)
    with fit.one_thread():
        expected = KMeans(clusters, n_init=10, random_state=7).fit(x)
        labels, centres, inertia = fit.kmeans(x, clusters=clusters, n_init=10, seed=7)
    np.testing.assert_array_equal(fit.by_size(labels), fit.by_size(expected.labels_))
    np.testing.assert_allclose(
        np.sort(centres, axis=0), np.sort(expected.cluster_centers_, axis=0), rtol=1e-4, atol=1e-4
    )
    assert inertia == pytest.approx(expected.inertia_, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(("rows", "dim", "clusters"), SHAPES)
def test_starts_are_those_of_scikit_learn(points, rows, dim, clusters):
    x, random = points(rows, dim), np.random.RandomState(3)
    expected = [kmeans_plusplus(x, clusters, random_state=random)[0] for _ in range(4)]
    starts, random = fit.PlusPlus(4), np.random.RandomState(3)
    for centres in expected:
        np.testing.assert_array_equal(starts(x, clusters, random), centres)


def test_fewer_distinct_rows_than_clusters_give_fewer_clusters(points):
    x = np.repeat(points(3, 4), [5, 4, 3], axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        result = fit.fit(x, clusters=6, attributes=3, n_init=10, seed=1)
    assert result.clusters == 3
    assert result.cluster.tolist() == [0] * 5 + [1] * 4 + [2] * 3
    assert result.attribute.tolist() == result.cluster.tolist()
    np.testing.assert_allclose(result.distance, 0, atol=1e-4)
    assert result.silhouette == pytest.approx(1, abs=1e-4)


def test_one_image_is_one_cluster(points):
    result = fit.fit(points(1, 4), clusters=6, attributes=3, n_init=10, seed=1)
    assert (result.clusters, result.cluster.tolist(), result.attribute.tolist()) == (1, [0], [0])
    assert result.silhouette is None


def test_distance_is_to_the_mean_of_the_own_cluster(points):
    x = points(200, 6)
    result = fit.fit(x, clusters=5, attributes=2, n_init=10, seed=1)
    centres = np.stack([x[result.cluster == c].mean(axis=0) for c in range(5)])
    np.testing.assert_allclose(result.distance, np.linalg.norm(x - centres[result.cluster], axis=1), rtol=1e-3)
    assert result.inertia == pytest.approx(float((result.distance**2).sum()), rel=1e-4)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.permutations(range(6)))
def test_numbers_do_not_depend_on_labels(labels, names):
    numbers = fit.by_size(np.array(labels))
    np.testing.assert_array_equal(numbers, fit.by_size(np.array(names)[labels]))
    # Same partition, sizes falling, equal sizes in the order of their first rows.
    assert len({*zip(labels, numbers.tolist(), strict=True)}) == len({*labels}) == numbers.max() + 1
    keys = [(-int((numbers == n).sum()), int(np.argmax(numbers == n))) for n in range(numbers.max() + 1)]
    assert keys == sorted(keys)


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 60), st.integers(2, 6), st.integers(0, 1000))
def test_silhouettes_are_scikit_learns(rows, clusters, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(100, 1, (rows, 5)).astype(np.float32)
    labels = rng.integers(0, clusters, rows)
    labels[:2] = [0, 1]
    if len(np.unique(labels)) == rows:
        return
    np.testing.assert_allclose(fit.silhouettes(x, labels), silhouette_samples(x, labels), atol=2e-3)


def test_silhouette_of_a_large_class_is_that_of_a_sample(points):
    x = points(4 * fit.SILHOUETTE_IMAGES, 4)
    cluster = fit.by_size(KMeans(5, n_init=1, random_state=0).fit_predict(x))
    sampled = fit.mean_silhouette(x, cluster, seed=5)
    assert sampled == fit.mean_silhouette(x, cluster, seed=5)
    assert sampled == pytest.approx(float(fit.silhouettes(x, cluster).mean()), abs=0.03)


def test_seed_of_a_class_never_changes():
    # First four bytes of SHA-256("25\nshirt").
    import hashlib

    assert fit.class_seed(25, "shirt") == int(hashlib.sha256(b"25\nshirt").hexdigest()[:8], 16)
    assert fit.class_seed(25, "shirt") != fit.class_seed(26, "shirt")
