"""Silhouettes, the sweep over numbers of clusters, and stability over seeds."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_samples

from curation.arrays import Features
from curation.clusters import edits, kmeans, quality
from curation.clusters.fit import class_seed
from curation.errors import ArgumentError, CurationError


def test_sweep(make, paths):
    rng = np.random.default_rng(0)
    x = (np.eye(5, 8)[np.arange(90) % 5] * 9 + rng.normal(size=(90, 8))).astype(np.float32)
    workspace = make(paths(ant=90), x)
    table = quality.sweep(workspace, features="f", class_name="ant", clusters=range(1, 8))
    assert table["clusters"].to_pylist() == [1, 2, 3, 4, 5, 6, 7]
    inertia = table["inertia"].to_pylist()
    assert inertia == sorted(inertia, reverse=True)
    assert table["silhouette"][0].as_py() is None
    assert np.argmax(table["silhouette"].to_pylist()[1:]) + 2 == 5  # there are five groups
    model = KMeans(5, n_init=10, random_state=class_seed(25, "ant")).fit(x)
    assert inertia[4] == pytest.approx(model.inertia_, rel=1e-5)


def test_sweep_ends_where_the_class_has_no_more_images(animals):
    assert quality.sweep(animals, features="f", class_name="cat")["clusters"].to_pylist() == [2, 3, 4, 5]


def test_stability(make, animals, paths, points):
    assert quality.stability(animals, features="f", class_name="ant", clusters=5, seeds=3) == pytest.approx(1, abs=0.05)
    noise = np.random.default_rng(0).random((300, 16)).astype(np.float32)
    workspace = make(paths(ant=300), noise, "noise")
    assert quality.stability(workspace, features="f", class_name="ant", clusters=9, seeds=3, n_init=1) < 0.6


def test_silhouettes_follow_edits(animals):
    kmeans.cluster(animals, features="f", workers=1)
    edits.merge(animals, "f", "ant", [0, 3], reviewer="ada")
    table = quality.silhouettes(animals, "f", "ant")
    labels = table["cluster"].to_numpy()
    assert 3 not in labels
    expected = silhouette_samples(Features(animals, "f").rows(table["image_id"].to_numpy()), labels)
    np.testing.assert_allclose(table["silhouette"].to_numpy(), expected, atol=1e-4)
    means = quality.silhouette_means(table)
    assert list(means) == [0, 1, 2, 4, 5]
    assert means[1] == pytest.approx(expected[labels == 1].mean(), abs=1e-4)


def test_a_class_with_one_cluster_has_no_silhouette(animals):
    kmeans.cluster(animals, features="f", workers=1)
    table = quality.silhouettes(animals, "f", "dog")
    assert table["silhouette"].to_pylist() == [None]
    assert quality.silhouette_means(table) == {0: None}


def test_what_cannot_be(animals):
    with pytest.raises(ArgumentError, match="1 or more, not 0"):
        quality.sweep(animals, features="f", class_name="ant", clusters=[0, 3])
    with pytest.raises(ArgumentError, match="not 1 and 6"):
        quality.stability(animals, features="f", class_name="ant", seeds=1)
    with pytest.raises(CurationError, match="class 'cow' has 0 images, and 0 of them have a feature in 'f'"):
        quality.sweep(animals, features="f", class_name="cow")
    kmeans.cluster(animals, features="f", workers=1)
    with pytest.raises(CurationError, match="class 'cow' has 0 images in clusters 'f'"):
        quality.silhouettes(animals, "f", "cow")
