import numpy as np
from attributed import matrix
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.splits.greedy import evenest


def literally(has, wanted):
    """Picks by the definition, with squares and sums as whole numbers: variance · (A · sum)² = A · sum(c²) - sum²."""
    counts, taken = [0] * len(has[0]), []
    for _ in range(wanted):
        best = None
        for i, row in enumerate(has):
            if any(row) and i not in taken:
                after = [c + x for c, x in zip(counts, row, strict=True)]
                total = sum(after)
                above = len(row) * sum(c * c for c in after) - total**2
                if best is None or above * best[1] ** 2 < best[0] * total**2:
                    best = (above, total, i)
        if best is None:
            break
        taken.append(best[2])
        counts = [c + x for c, x in zip(counts, has[best[2]], strict=True)]
    return taken


def by_floats(has, wanted):
    """Picks as the original computes them."""
    counts, taken = np.zeros(has.shape[1]), []
    for _ in range(wanted):
        least, best = 999999999.9, None
        for i in range(len(has)):
            if has[i].any() and i not in taken:
                after = counts + has[i]
                spread = (after / (after.sum() + 1e-9)).std()
                if spread < least:
                    least, best = spread, i
        taken.append(best)
        counts = counts + has[best]
    return taken


def ours(classes, wanted):
    """Picks of each class by `evenest`, in order, from a matrix a class."""
    cls = np.repeat(np.arange(len(classes)), [len(c) for c in classes])
    image, attribute = np.nonzero(np.vstack(classes))
    turn = evenest(cls, np.arange(len(cls)), image, attribute, np.asarray(wanted))
    starts = np.searchsorted(cls, np.arange(len(classes)))
    found = [np.flatnonzero((cls == c) & (turn >= 0)) for c in range(len(classes))]
    return [(rows[np.argsort(turn[rows])] - start).tolist() for rows, start in zip(found, starts, strict=True)]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda a: st.lists(
            st.tuples(st.lists(st.lists(st.booleans(), min_size=a, max_size=a), min_size=1, max_size=14),
                      st.integers(0, 9)),
            min_size=1, max_size=3,
        )
    )
)  # fmt: skip
def test_the_greedy_is_its_definition_and_of_equal_ones_takes_the_first(drawn):
    classes = [np.array(rows, bool) for rows, _ in drawn]
    wanted = [count for _, count in drawn]
    if np.vstack(classes).any():
        expected = [literally(c.astype(int).tolist(), w) for c, w in zip(classes, wanted, strict=True)]
        assert ours(classes, wanted) == expected


def test_the_greedy_agrees_with_the_published_floats():
    classes = [matrix({"x": size}, 40, mean=5, seed=seed) for seed, size in enumerate((150, 90))]
    assert ours(classes, [25, 40]) == [by_floats(c, w) for c, w in zip(classes, (25, 40), strict=True)]


def test_what_floats_choose_is_as_good_as_any():
    """Where images are equal but for the last bits of a float, the original may take a later one, but no worse one."""
    has = matrix({"x": 400}, 12, mean=4, seed=7)
    picks, counts, left = by_floats(has, 60), np.zeros(12, int), has.any(1)
    for pick in picks:
        after = counts + has
        evenness = [(int((row * row).sum()), int(row.sum()) ** 2) for row in after[left]]
        mine = (int((after[pick] ** 2).sum()), int(after[pick].sum()) ** 2)
        assert all(mine[0] * other[1] <= other[0] * mine[1] for other in evenness)
        counts, left[pick] = after[pick], False
    assert ours([has], [60])[0] != picks


def test_the_rank_decides_between_equal_images():
    image, attribute = np.arange(4), np.zeros(4, int)
    turn = evenest(np.zeros(4, int), np.array([3, 1, 0, 2]), image, attribute, np.array([3]))
    assert turn.tolist() == [-1, 1, 0, 2]


def test_the_first_of_equal_images_with_different_numbers_of_attributes():
    """After seven attributes once each, one new attribute makes 8 / 8² of Q / S², three old and two new 18 / 12²."""
    one, five, seven = ([a in held for a in range(9)] for held in ({7}, {0, 1, 2, 7, 8}, set(range(7))))
    for rows in ([one, five, seven], [five, one, seven]):
        assert ours([np.array(rows)], [2]) == [[2, 0]] == [literally(np.array(rows).astype(int).tolist(), 2)]
