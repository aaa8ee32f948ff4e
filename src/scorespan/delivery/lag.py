"""The lag: how long records took from the end of their scoring until they were stored."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)
"""Upper bounds of the buckets, in seconds; the last bucket has none."""
_SECOND = 1_000_000_000


class Lag:
    """A histogram of seconds. One thread adds; any thread may read.

    Attributes:
        buckets: records in each bucket; one more than there are bounds.
        count: records in all.
        sum: their seconds together.
    """

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.count = 0
        self.sum = 0.0

    def add(self, ends: Sequence[int], now: int) -> None:
        """Records whose scorings ended then are stored now.

        Args:
            ends: nanoseconds since the epoch; one that lies ahead counts as now.
            now: likewise.
        """
        if not ends:
            return
        newest = max(ends)
        bucket = _bucket(newest, now)
        # A batch is of one moment as a rule: then nobody looks at its records one by one.
        if newest <= now and bucket == _bucket(min(ends), now):
            self.buckets[bucket] += len(ends)
            self.sum += (len(ends) * now - sum(ends)) / _SECOND
        else:
            for end in ends:
                self.buckets[_bucket(end, now)] += 1
                self.sum += max(now - end, 0) / _SECOND
        self.count += len(ends)


def _bucket(end: int, now: int) -> int:
    return bisect_left(BOUNDS, (now - end) / _SECOND)
