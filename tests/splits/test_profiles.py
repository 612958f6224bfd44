import hashlib

import numpy as np
import pytest

from curation.errors import ArgumentError
from curation.splits import profiles


def test_the_published_lists():
    counts = profiles.imagenet_lt()
    assert (len(counts), counts.sum(), counts.max(), counts.min()) == (1000, 115_846, 1280, 5)
    assert ((counts > 100).sum(), (counts < 20).sum()) == (385, 136)
    profile = profiles.imagenet_glt()
    text = ",".join(map(str, profile.tolist()))
    assert hashlib.sha256(text.encode()).hexdigest().startswith("652657c207cb19ba34b8d69b2ed6614c")
    assert (profile.sum(), profile[0], profile[-1], profile[399], profile[850]) == (214_005, 1500, 18, 181, 46)
    assert (np.diff(profile) <= 0).all()


def test_imagenet_glt_for_another_number_of_classes():
    found = profiles.sizes("imagenet-glt", np.full(10, 1300))
    assert found.tolist() == profiles.imagenet_glt()[::100].tolist()
    assert profiles.sizes("imagenet-glt", np.full(10, 130)).tolist() == (found // 10).tolist()


def test_exponential_and_step_as_published_for_cifar():
    ten = profiles.sizes("exp", np.full(10, 5000), imbalance=100)
    assert ten.tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert profiles.sizes("exp", np.full(100, 500), imbalance=100).sum() == 10_847
    assert profiles.sizes("step", np.full(10, 5000), imbalance=10).sum() == 27_500


def test_pareto_balanced_and_natural():
    assert profiles.sizes("pareto", np.full(1000, 1280), imbalance=256).sum() == 104_345
    assert profiles.sizes("balanced", np.array([9, 5, 7])).tolist() == [5, 5, 5]
    assert profiles.sizes("balanced", np.array([9, 5, 7]), class_size=6).tolist() == [6, 6, 6]
    assert profiles.sizes("natural", np.array([9, 5, 7])).tolist() == [9, 5, 7]


def test_unknown_profile():
    with pytest.raises(ArgumentError, match=r"unknown profile 'zipf'.*imagenet-glt"):
        profiles.sizes("zipf", np.array([3, 2]))
