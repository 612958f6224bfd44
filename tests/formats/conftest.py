import errno
import os
from contextlib import contextmanager
from unittest import mock

import pytest


@pytest.fixture
def full_disk():
    """Within the block, nothing that is written can be made to last: fsync finds the disk full."""

    @contextmanager
    def full():
        with mock.patch("os.fsync", side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))):
            yield

    return full
