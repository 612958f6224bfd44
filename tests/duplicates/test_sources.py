"""Which measures and feature sets a search uses."""

from __future__ import annotations

import numpy as np
import pytest

from curation import files
from curation.arrays import Features, write_features
from curation.duplicates import scopes, sources
from curation.duplicates.measures import Side
from curation.errors import ArgumentError, CurationError


def test_measures_come_in_one_order_and_a_feature_set_stands_for_cosine(make):
    workspace = make(3, features=np.eye(3, dtype=np.float32))
    assert sources.metrics_of(("dssim", "phash", "pixels"), None, workspace) == (("phash", "pixels", "dssim"), None)
    assert sources.metrics_of(("given", "phash"), None, workspace) == (("phash", "cosine"), "given")
    assert sources.metrics_of(("cosine", "given"), "given", workspace) == (("cosine",), "given")
    assert sources.metrics_of(("phash",), "given", workspace) == (("phash",), "given")


def test_the_counterpart_of_features_is_made_alike(make):
    recipe = {"backbone": "net", "weights_sha256": "1", "device": "cpu"}
    ours, theirs = make(3, features=np.eye(3, dtype=np.float32), recipe=recipe), make(3)
    features = Features(ours, "given")
    with pytest.raises(CurationError, match=r"no features made as 'given' were \(backbone net; there are: none\)"):
        sources.counterpart(features, theirs)
    write_features(theirs, "given", np.eye(3, dtype=np.float32), recipe | {"weights_sha256": "2"})
    with pytest.raises(CurationError, match="run `extract` on"):
        sources.counterpart(features, theirs)
    write_features(theirs, "elsewhere", np.eye(3, dtype=np.float16), recipe | {"device": "cuda"})
    assert sources.counterpart(features, theirs).name == "elsewhere"


def test_features_of_unknown_origin_are_alike_only_by_name(make):
    ours, theirs = make(3, features=np.eye(3, dtype=np.float32)), make(3)
    write_features(theirs, "other", np.eye(3, dtype=np.float32))
    with pytest.raises(CurationError):
        sources.counterpart(Features(ours, "given"), theirs)
    write_features(theirs, "given", np.eye(3, dtype=np.float32))
    assert sources.counterpart(Features(ours, "given"), theirs).name == "given"


def test_fc7_is_the_feature_set_that_vgg16_made(make):
    workspace = make(3, features=np.eye(3, dtype=np.float32))
    with pytest.raises(CurationError, match=r"no feature set was made with vgg16 \(there are: given\)"):
        sources.fc7_features(workspace)
    write_features(workspace, "of-vgg", np.eye(3, dtype=np.float32), {"backbone": "vgg16"})
    assert sources.fc7_features(workspace).name == "of-vgg"


def test_similar_classes_follow_from_mean_features(make):
    rng = np.random.default_rng(0)
    centres = np.eye(9, dtype=np.float32)
    centres[3] = centres[1] * 0.9 + centres[2] * 0.1
    number = np.arange(90) % 9
    features = centres[number] + rng.normal(size=(90, 9)).astype(np.float32) * 0.01
    workspace = make(90, features=features, class_name=[f"c{i}" for i in number])
    side, known = Side(workspace), Features(workspace, "given")
    similar = sources.similar_classes(side, "similar", known)
    assert similar["c1"][:2] == ["c1", "c3"]
    assert all(names[0] == name for name, names in similar.items())
    plan = scopes.classes(side.images, side.images, similar)
    assert all(len(ids) == scopes.SIMILAR * 10 for ids in plan.targets)
    with pytest.raises(CurationError, match="there are none: run `extract` first"):
        sources.similar_classes(side, "similar", None)


def test_similar_classes_from_a_file(make, tmp_path):
    side, path = Side(make(2)), tmp_path / "similar.json"
    files.write_json(path, {"a": ["a", "b"]})
    assert sources.similar_classes(side, str(path), None) == {"a": ["a", "b"]}
    files.write_json(path, ["a"])
    with pytest.raises(ArgumentError, match=r"similar\.json does not list classes by class"):
        sources.similar_classes(side, str(path), None)
    assert sources.similar_classes(side, "proposed", None) is None
