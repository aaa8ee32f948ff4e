"""The lag: every record counts once, in the bucket of its own time."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan.delivery.lag import BOUNDS, Lag

SECOND = 10**9


@given(st.lists(st.lists(st.integers(0, 10**6), max_size=20), max_size=5))
def test_batches_count_like_single_records(batches: list[list[int]]):
    """Whether a batch is of one moment or of many."""
    now = 2 * 10**6 * SECOND
    lag = Lag()
    for batch in batches:
        lag.add([now - seconds * SECOND for seconds in batch], now)
    seconds = [one for batch in batches for one in batch]
    expected = [0] * (len(BOUNDS) + 1)
    for one in seconds:
        expected[bisect_left(BOUNDS, one)] += 1
    assert lag.buckets == expected
    assert lag.count == len(seconds)
    assert lag.sum == pytest.approx(sum(seconds))


def test_a_scoring_that_ends_ahead_of_the_clock_took_no_time():
    """A clock that was set back makes no negative seconds."""
    lag = Lag()
    lag.add([10 * SECOND, 11 * SECOND], 5 * SECOND)
    assert (lag.buckets[0], lag.count, lag.sum) == (2, 2, 0.0)
