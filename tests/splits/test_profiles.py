import hashlib

import numpy as np
import pytest

from curation.errors import ArgumentError
from curation.splits import profiles, statistics


def groups(sizes):
    """Classes above 100 images, from 100 to 20, below 20."""
    return [(sizes > 100).sum(), ((sizes <= 100) & (sizes >= 20)).sum(), (sizes < 20).sum()]


def sha256(sizes):
    return hashlib.sha256(",".join(map(str, sizes.tolist())).encode()).hexdigest()


def test_the_published_lists():
    counts = profiles.imagenet_lt()
    assert (len(counts), counts.sum(), counts.max(), counts.min()) == (1000, 115_846, 1280, 5)
    assert groups(counts) == [385, 479, 136]
    assert sha256(counts).startswith("2d32e9530b62")
    profile = profiles.imagenet_glt()
    assert sha256(profile) == "652657c207cb19ba34b8d69b2ed6614c255844752643e3edaf01a211a1e8517a"
    assert (profile.sum(), profile[0], profile[-1], profile[399], profile[850]) == (214_005, 1500, 18, 181, 46)
    assert (np.diff(profile) <= 0).all()
    assert groups(profile) == [613, 370, 17]
    assert [part.sum() for part in np.split(profile, [400, 850])] == [162_624, 46_618, 4_763]
    assert (np.median(profile), round(statistics.gini(profile), 4)) == (140, 0.4965)
    floors = [int((profile * weight // 10).sum()) for weight in (7, 2, 1)]
    assert (floors, sum(floors)) == ([149_354, 42_378, 20_929], 212_661)


def test_the_exponential_profile_of_imagenet_glt():
    found = profiles.sizes("exp", np.full(1000, 1800), imbalance=20)
    assert (found.sum(), found[0], found[-1]) == (570_696, 1800, 90)


def test_the_law_of_places_lt_has_all_that_is_published_of_it():
    counts = profiles.places_lt()
    assert (len(counts), counts.sum(), counts.max(), counts.min()) == (365, 62_500, 4980, 5)
    assert groups(counts) == [131, 163, 71]
    assert (np.diff(counts) <= 0).all()


@pytest.mark.parametrize(
    ("profile", "published"),
    [("imagenet-glt", profiles.imagenet_glt()), ("imagenet-lt", profiles.imagenet_lt()),
     ("places-lt", profiles.places_lt())],
)  # fmt: skip
def test_a_published_list_for_other_classes(profile, published):
    belongs = 1300 if profile == "imagenet-glt" else published[0]
    exact = profiles.sizes(profile, np.full(len(published), 10))
    assert exact.tolist() == published.tolist()  # as published, whether or not the classes have room
    ten = profiles.sizes(profile, np.full(10, belongs))
    assert ten.tolist() == [published[i * len(published) // 10] for i in range(10)]
    tenth = profiles.sizes(profile, np.full(10, belongs // 10))
    assert tenth.tolist() == np.maximum(1, ten * (belongs // 10) // belongs).tolist()


def test_a_published_list_scaled_to_another_largest_class():
    found = profiles.sizes("imagenet-lt", np.full(1000, 1300), class_size=640)
    assert found.tolist() == np.maximum(1, profiles.imagenet_lt() // 2).tolist()
    assert profiles.sizes("places-lt", np.full(4, 9), class_size=498)[0] == 498


def test_exponential_and_step_as_published_for_cifar():
    ten = profiles.sizes("exp", np.full(10, 5000), imbalance=100)
    assert ten.tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    totals = {10: [20_431, 17_023, 13_996, 12_406, 11_203], 100: [19_573, 15_907, 12_608, 10_847, 9_502]}
    for classes, expected in totals.items():
        found = [
            profiles.sizes("exp", np.full(classes, 50_000 // classes), imbalance=f) for f in (10, 20, 50, 100, 200)
        ]
        assert [f.sum() for f in found] == expected
        for factor, total in ((10, 27_500), (100, 25_250)):
            assert profiles.sizes("step", np.full(classes, 50_000 // classes), imbalance=factor).sum() == total
    assert profiles.sizes("exp", np.full(3, 80), smallest=20).tolist() == [80, 40, 20]
    assert profiles.sizes("step", np.full(5, 80), smallest=20).tolist() == [80, 80, 20, 20, 20]


def test_pareto():
    assert profiles.sizes("pareto", np.full(1000, 1280), imbalance=256).sum() == 104_345
    assert profiles.sizes("pareto", np.full(1000, 1280), smallest=5, power=7).sum() == 112_655
    drawn = [profiles.sizes("pareto", np.full(1000, 1280), smallest=5, seed=seed) for seed in range(300)]
    assert all(d[0] == 1280 and d[-1] == 5 and (np.diff(d) <= 0).all() for d in drawn)
    low, middle, high = np.percentile([d.sum() for d in drawn], [5, 50, 95])
    assert 60_000 < low < 80_000 < 100_000 < middle < 125_000 < 140_000 < high < 170_000
    assert profiles.sizes("pareto", np.full(1, 9)).tolist() == [9]


def test_uniform_is_flat_between_its_ends():
    drawn = profiles.sizes("uniform", np.full(4000, 999), class_size=480, smallest=10, seed=1)
    assert (drawn.min(), drawn.max()) == (10, 480)
    assert (np.diff(drawn) <= 0).all()
    assert abs(drawn.mean() - 245) < 4 * 136 / 4000**0.5
    assert drawn.tolist() != profiles.sizes("uniform", np.full(4000, 999), class_size=480, smallest=10, seed=2).tolist()


def test_balanced_natural_and_given():
    assert profiles.sizes("balanced", np.array([9, 5, 7])).tolist() == [5, 5, 5]
    assert profiles.sizes("balanced", np.array([9, 5, 7]), class_size=6).tolist() == [6, 6, 6]
    assert profiles.sizes("natural", np.array([9, 5, 7])).tolist() == [9, 5, 7]
    assert profiles.sizes("list", np.array([9, 5, 7]), given=[2, 8, 4]).tolist() == [2, 8, 4]
    with pytest.raises(ArgumentError, match="sizes lists 2 and there are 3 classes"):
        profiles.sizes("list", np.array([9, 5, 7]), given=[2, 8])


def test_unknown_profile():
    with pytest.raises(ArgumentError, match=r"unknown profile 'zipf'.*imagenet-glt"):
        profiles.sizes("zipf", np.array([3, 2]))
