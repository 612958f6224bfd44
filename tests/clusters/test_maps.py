"""Maps: the same bytes for the same seed, any number of images, progress that can stop the work."""

import warnings

import numpy as np
import pytest

from curation import arrays, files
from curation.clusters import maps
from curation.errors import ArgumentError, Cancelled, CurationError
from curation.workspace import MAPS


def read(workspace, name):
    table = files.read_table(workspace.path / "maps" / f"{name}.parquet")
    return table, np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)


def neighbours_kept(x, positions, labels):
    """Share of points whose nearest point in the plane is of the same group."""
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return (labels[distances.argmin(axis=1)] == labels).mean()


@pytest.mark.parametrize("method", ["tsne", "umap"])
def test_a_map_keeps_groups_together_and_is_the_same_again(make, paths, method):
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(4), 30)
    x = (np.eye(4, 60)[labels] * 9 + rng.normal(size=(120, 60))).astype(np.float32)
    workspace = make(paths(ant=70, bee=50), x)
    seen = []
    summary = maps.project(workspace, features="f", method=method, progress=lambda *a: seen.append(a))
    name = f"f-{method}"
    assert summary == {"name": name, "method": method, "images": 120, "set_aside": 0}
    table, positions = read(workspace, name)
    assert table.schema.equals(MAPS)
    assert table["image_id"].to_pylist() == list(range(120))
    assert neighbours_kept(x, positions, labels) > 0.9
    messages = {message for _, _, message in seen}
    assert messages == {"principal components", {"tsne": "t-SNE", "umap": "UMAP"}[method]}
    assert seen[-1][0] == seen[-1][1]
    first = files.sha256_file(workspace.path / "maps" / f"{name}.parquet")
    maps.project(workspace, features="f", method=method, name="again")
    assert files.sha256_file(workspace.path / "maps" / "again.parquet") == first
    recipe = files.read_json(workspace.path / "maps" / f"{name}.json")
    assert (recipe["features"], recipe["method"], recipe["seed"], recipe["class_name"]) == ("f", method, 25, None)


@pytest.mark.parametrize("method", ["tsne", "umap"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 8, 17])
def test_few_images(make, paths, points, method, count):
    workspace = make(paths(ant=count, bee=3), points(count + 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        summary = maps.project(workspace, features="f", method=method, class_name="ant")
    table, positions = read(workspace, summary["name"])
    assert table["image_id"].to_pylist() == list(range(count))
    assert np.isfinite(positions).all()
    assert len(np.unique(positions, axis=0)) == count
    used = files.read_json(workspace.path / "maps" / f"{summary['name']}.json")["method"]
    assert used == (method if count >= maps.FEW else "pca")


@pytest.mark.parametrize("method", ["tsne", "umap"])
def test_equal_features_lie_on_one_spot(make, paths, method):
    workspace = make(paths(ant=10), np.full((10, 3), 0.1, np.float32))
    maps.project(workspace, features="f", method=method, name="one")
    np.testing.assert_allclose(read(workspace, "one")[1], 0, atol=1e-5)


def test_components_are_those_of_the_features(animals):
    from sklearn.decomposition import PCA

    found = arrays.Features(animals, "f")
    ours = maps._components(found, found.ids, lambda *_: None)
    expected = PCA(ours.shape[1]).fit_transform(found.rows(found.ids))
    np.testing.assert_allclose(np.abs(ours), np.abs(expected), atol=1e-3)


def test_a_map_in_one_dimension_of_features(make, paths, points):
    workspace = make(paths(ant=4), points(4, 1))
    maps.project(workspace, features="f", name="line")
    assert read(workspace, "line")[1][:, 1].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("method", ["tsne", "umap"])
def test_cancelling_stops_in_the_middle(animals, method):
    heard = []

    def stop(done, total, message):
        if message != "principal components" and done:
            heard.append(done)
            raise Cancelled(f"stopped at {done} of {total}")

    with pytest.raises(Cancelled):
        maps.project(animals, features="f", method=method, progress=stop)
    assert len(heard) == 1
    assert animals.map_names() == []


def test_too_many_images_for_tsne(animals, monkeypatch):
    monkeypatch.setattr(maps, "MOST_TSNE", 100)
    with pytest.raises(ArgumentError, match=r"t-SNE of 136 images .* up to 100 are allowed: choose --method umap"):
        maps.project(animals, features="f", method="tsne")


def test_features_that_are_no_numbers(make, paths, points):
    x = points(20)
    x[7, 2] = np.inf
    with pytest.raises(CurationError, match="1 of 20 images are not finite numbers, image 7 first"):
        maps.project(make(paths(ant=20), x), features="f")


def test_unknown_method_features_and_class(animals):
    with pytest.raises(ArgumentError, match="unknown method 'mds'"):
        maps.project(animals, features="f", method="mds")
    with pytest.raises(CurationError, match="no features 'g'"):
        maps.project(animals, features="g")
    with pytest.raises(CurationError, match="class 'cow' has 0 images"):
        maps.project(animals, features="f", class_name="cow")
