"""Edits of planted copies: each bears any picture, and the same generator gives the same copy."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import draw

from curation.duplicates import edits


@pytest.mark.parametrize("name", edits.EDITS)
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (3, 40)])
def test_every_edit_bears_tiny_pictures(name, size):
    image, words = edits.apply(name, draw(3, size), np.random.default_rng(0))
    assert image.mode == "RGB"
    assert min(image.size) >= 1
    assert words


def test_grey_pictures_get_no_edit_of_colour():
    assert set(edits.EDITS) - set(edits.applicable(draw(1).convert("L").convert("RGB"))) == {"grey", "hue"}
    assert edits.applicable(draw(1)) == tuple(edits.EDITS)


@pytest.mark.parametrize("name", edits.EDITS)
def test_the_same_generator_gives_the_same_copy(name):
    first, second = (edits.apply(name, draw(4), np.random.default_rng(5)) for _ in range(2))
    assert first[1] == second[1]
    assert (np.asarray(first[0]) == np.asarray(second[0])).all()
    assert first[0].tobytes() != draw(4).tobytes()
