import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curation.splits.apportion import apportion, spread


def test_published_shares():
    assert apportion([60, 30, 145], [7, 2, 1]).tolist() == [[42, 12, 6], [21, 6, 3], [102, 29, 14]]


def test_a_full_column_gives_to_the_others():
    assert apportion([10], [7, 2, 1], [[3, 9, 9]]).tolist() == [[3, 5, 2]]


def test_more_than_there_is_room_for():
    assert apportion([50], [1, 1], [[3, 4]]).tolist() == [[3, 4]]


rows = st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=1, max_size=5)


@given(rows, st.integers(0, 130), st.lists(st.floats(0.01, 100), min_size=3, max_size=3))
def test_apportion_is_exact_and_keeps_within_the_room(room, total, weights):
    room = np.array(room)
    found = apportion(np.full(len(room), total), weights, room)
    assert (found >= 0).all()
    assert (found <= room).all()
    assert (found.sum(1) == np.minimum(total, room.sum(1))).all()


@given(st.integers(0, 5000), st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_every_share_is_its_quota_rounded_up_or_down(total, weights):
    found = apportion([total], weights)[0]
    quota = total * np.array(weights) / sum(weights)
    assert found.sum() == total
    assert (np.abs(found - quota) < 1).all()


@given(rows, st.integers(0, 130))
def test_spread_leaves_no_column_out_when_it_need_not(room, total):
    room = np.array(room)
    found = spread(np.full(len(room), total), room)
    assert (found <= room).all()
    assert (found.sum(1) == np.minimum(total, room.sum(1))).all()
    enough = np.minimum(total, room.sum(1)) >= (room > 0).sum(1)
    assert ((found > 0) == (room > 0))[enough].all()
