import pytest

from curation.errors import ArgumentError
from curation.splits.parameters import Parameters


def test_defaults_are_the_published_ones():
    found = Parameters()
    assert (found.per_cell, found.val_per_cell, found.cap, found.seed) == (20, 10, 0.25, 25)
    assert found.attribute_weights(3).tolist() == [7, 2, 1]
    assert found.attribute_weights(2).tolist() == [7, 1]


def test_round_trip_through_a_recipe():
    asked = Parameters(weights=(3.0, 1.0), custom={"ant": 2}, frequency="custom", class_size=9)
    assert Parameters.from_dict(asked.to_dict()) == asked


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"per_cel": 3}, "unknown parameter 'per_cel'.*did you mean 'per_cell'"),
        ({"per_cell": "20"}, "per_cell is '20' .str., and must be a whole number"),
        ({"per_cell": 2.5}, "per_cell is 2.5 .*whole number"),
        ({"per_cell": True}, "per_cell is True"),
        ({"per_cell": 0}, "per_cell is 0, and must be at least 1"),
        ({"per_cell": 10**9}, "per_cell is 1,000,000,000, and may be 1,000,000"),
        ({"seed": -1}, "seed is -1, and must be at least 0"),
        ({"weights": [0, 0, 0]}, "sum to 0.*3 are not"),
        ({"weights": [7, -2, 1]}, "weights are .*1 are not"),
        ({"weights": [7, float("nan")]}, r"weights\[1\] is nan"),
        ({"weights": "7,2,1"}, "weights is '7,2,1'"),
        ({"cap": 0}, "cap is 0.0, and must be above 0"),
        ({"cap": 1.5}, "cap is 1.5, .*at most 1"),
        ({"policy": "hope"}, "policy is 'hope': choose one of error, shrink"),
        ({"inter": "both"}, "inter is 'both': choose one of lt, bl"),
        ({"fractions": [0.9, 0.2]}, "must rise"),
        ({"fractions": [0.9]}, "fractions has 1 entries, and must have 2"),
        ({"thresholds": [20, 100]}, "first must not be below"),
        ({"order": "given"}, "class_order names 0 classes"),
        ({"custom": {"ant": 3}}, "use 0 .head."),
        ({"custom": {"ant": "tail"}}, r"custom\[ant\] is 'tail'"),
        ({"imbalance": float("inf")}, "imbalance is inf"),
        ({"power": 0}, "power is 0"),
        ({"attributes": 0}, "attributes is 0, and must be at least 1"),
    ],
)
def test_bad_values_name_the_key_and_both_numbers(values, message):
    with pytest.raises(ArgumentError, match=message):
        Parameters.from_dict(values)


def test_as_many_weights_as_attributes():
    with pytest.raises(ArgumentError, match="weights has 2 entries and the clusters have 3 attributes"):
        Parameters(weights=(2.0, 1.0)).attribute_weights(3)
