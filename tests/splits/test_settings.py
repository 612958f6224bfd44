from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest

from curation.errors import ArgumentError
from curation.splits.settings import Settings, Share, check_share, is_list, option


@dataclass(frozen=True, kw_only=True)
class Sample(Settings):
    KIND: ClassVar[str] = "sample"

    name: str = option("a", "Name", choices={"a": "the first", "b": "the second"})
    size: int = option(3, "Size", least=1, most=9, when={"name": ["b"]})
    cap: float | None = option(None, least=0)
    part: Share = option(0.1)
    on: bool = option(False)
    words: tuple[str, ...] = option(())
    numbers: tuple[float, ...] | None = option(None)
    custom: Mapping[str, int] = option({})


def test_what_json_has_is_read_and_written_again():
    values = {
        "name": "b", "size": 4.0, "cap": 2, "part": 5, "on": True, "words": ["x", "y"], "numbers": [1, 2.5],
        "custom": {"ant": 2},
    }  # fmt: skip
    found = Sample.from_dict(values)
    assert (found.size, found.cap, found.part) == (4, 2.0, 5.0)
    assert isinstance(found.size, int)
    assert (found.words, found.numbers) == (("x", "y"), (1.0, 2.5))
    assert Sample.from_dict(found.to_dict()) == found
    assert found.to_dict() == values
    assert Sample.from_dict({"part": "source:val", "numbers": None}).changed() == {"part": "source:val"}
    assert found.replace(size=5).size == 5
    assert Sample().changed() == {}


def test_defaults_are_not_shared():
    Sample().custom["ant"] = 1
    assert Sample().custom == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nam": "a"}, r"unknown parameter 'nam' of recipe 'sample': did you mean 'name'\?"),
        ({"zzz": "a"}, "unknown parameter 'zzz' .*known are name, size, cap"),
        ({"name": "c"}, "name is 'c': choose one of a, b"),
        ({"name": 3}, r"name is 3 \(int\), and must be a text"),
        ({"size": 2.5}, r"size is 2.5 \(float\), and must be a whole number"),
        ({"size": "4"}, r"size is '4' \(str\)"),
        ({"size": True}, "size is True"),
        ({"size": None}, "size is None"),
        ({"size": 0}, "size is 0, and must be at least 1"),
        ({"size": 10}, "size is 10, and may be 9 at most"),
        ({"size": float("inf")}, "size is inf"),
        ({"cap": float("nan")}, "cap is nan"),
        ({"cap": float("inf")}, r"cap is inf \(float\), and must be a finite number"),
        ({"size": 10**400}, "size is a number of hundreds of digits, and must be a whole number"),
        ({"cap": -(10**5000)}, "cap is a number of hundreds of digits, and must be a finite number"),
        ({"part": 10**400}, "part is a number of hundreds of digits, and must be a number or source:NAME"),
        ({"numbers": [1, float("inf")]}, r"numbers\[1\] is inf \(float\), and must be a finite number"),
        ({"custom": {"ant": 10**400}}, r"custom\[ant\] is a number of hundreds of digits"),
        ({"on": 1}, r"on is 1 \(int\), and must be true or false"),
        ({"words": "xy"}, "words is 'xy' .*must be a list"),
        ({"words": ["x", 1]}, r"words\[1\] is 1 \(int\), and must be a text"),
        ({"numbers": [1, None]}, r"numbers\[1\] is None"),
        ({"custom": {"ant": 1.5}}, r"custom\[ant\] is 1.5"),
        ({"custom": ["ant"]}, "custom is .*must be a table of class names"),
        ({"part": [1]}, "part is .*must be a number or source:NAME"),
    ],
)
def test_bad_values_name_the_key(values, message):
    with pytest.raises(ArgumentError, match=message):
        Sample.from_dict(values)


@pytest.mark.parametrize("value", [None, 0, 0.5, 1, 1.0, 1_000_000, "source:val"])
def test_shares(value):
    check_share("val", value)


@pytest.mark.parametrize("value", [-1, -1.0, -0.5, 1.5, 1_000_001, float("inf"), float("-inf"), "", "val", "source:"])
def test_what_is_no_share(value):
    with pytest.raises(ArgumentError, match=r"val is .*give a share below 1, a whole number"):
        check_share("val", value)


def test_which_parameters_count():
    assert not Sample().counts("size")
    assert Sample(name="b").counts("size")
    assert Sample().counts("name")


def test_lists():
    assert is_list(Sample, "words")
    assert is_list(Sample, "words", of="str")
    assert is_list(Sample, "numbers", of="float")
    assert not is_list(Sample, "words", of="float")
    assert not is_list(Sample, "name")
