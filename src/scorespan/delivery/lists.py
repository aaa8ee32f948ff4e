"""Lists: records that are sent together, and those that are set aside.

A list that the data mart cannot take, for whatever reason of its own, must not hold up the others,
and must not be lost: it is set aside, parted when it keeps failing until the record that is the
cause stands alone, and tried for ever at a pace of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from scorespan.delivery.batch import Ready
from scorespan.delivery.retry import Pace, Retryable

KEPT_FAILING = 3
"""After so many failures it is no passing fault."""
MOST_RECORDS = 10_000
MOST_BYTES = 64 * 1024 * 1024
"""Of what is set aside: beyond these bounds the route waits for what is in hand."""
_LONGEST_TIMES = 6
_LONGEST_TIMEOUT = 60.0
"""How long an answer to what is set aside is waited for: so many times the setting, or seconds."""


class RecordList:
    """Records that are sent together.

    Attributes:
        items: the records; never empty.
        posts: how often they were sent, in whatever company.
        failures: how often the mart could not take the list.
        timeout: seconds that its answer is waited for at least, once it is set aside.
        wire_bytes: length of the last post.
    """

    def __init__(self, items: Sequence[Ready], *, posts: int = 0, failures: int = 0) -> None:
        self.items = items
        self.posts = posts
        self.failures = failures
        self.timeout = 0.0
        self.wire_bytes = 0

    @property
    def size(self) -> int:
        """Bytes of the entries."""
        return sum(len(item.entry.body) for item in self.items)

    @property
    def oldest(self) -> int:
        """When the oldest scoring ended, in nanoseconds since the epoch."""
        return min(item.span.end_time for item in self.items)

    def halves(self) -> tuple[RecordList, RecordList]:
        """Both halves of two records or more. One more failure parts a half again."""
        middle = len(self.items) // 2
        failures = min(self.failures, KEPT_FAILING - 1)
        first, second = (
            RecordList(items, posts=self.posts, failures=failures)
            for items in (self.items[:middle], self.items[middle:])
        )
        return first, second

    def failed(self, outcome: Retryable, timeout: float) -> None:
        """The mart could not take the list; where it had no time, the next copy is given more."""
        self.failures += 1
        if outcome.timed_out:
            longest = min(_LONGEST_TIMES * timeout, _LONGEST_TIMEOUT)
            self.timeout = min(longest, 3 * max(self.timeout, timeout))


class Aside:
    """Lists that are set aside. They are taken in turn, each when all before it have been.

    Args:
        pace: when the next one may be tried.
        most_records: bound, in records.
        most_bytes: bound, in bytes of their entries; one list may go beyond it.

    Attributes:
        records: how many records are set aside.
        reason: why the last one is; None where there is none.
    """

    def __init__(
        self, pace: Pace, *, most_records: int = MOST_RECORDS, most_bytes: int = MOST_BYTES
    ) -> None:
        self.pace = pace
        self._most_records = most_records
        self._most_bytes = most_bytes
        self._lists: deque[RecordList] = deque()
        self._bytes = 0
        self.records = 0
        self.reason: str | None = None

    @property
    def full(self) -> bool:
        """Whether no more may be set aside."""
        return self.records >= self._most_records or self._bytes >= self._most_bytes

    @property
    def left(self) -> float | None:
        """Seconds until the next list may be tried; None where there is none."""
        return self.pace.left if self._lists else None

    @property
    def oldest(self) -> int | None:
        """When the oldest scoring ended, in nanoseconds since the epoch."""
        return min((one.oldest for one in self._lists), default=None)

    def add(self, failed: RecordList, reason: str) -> None:
        """Set a list aside, behind the others; one that kept failing is parted."""
        parted = failed.failures >= KEPT_FAILING and len(failed.items) > 1
        self._lists.extend(failed.halves() if parted else [failed])
        self._count(failed, 1)
        self.reason = reason

    def take(self) -> RecordList:
        """The next list; it is no longer set aside."""
        taken = self._lists.popleft()
        self._count(taken, -1)
        return taken

    def put_back(self, taken: RecordList) -> None:
        """The route was not there: this list is the next one still."""
        self._lists.appendleft(taken)
        self._count(taken, 1)

    def clear(self) -> None:
        """Forget them: they are claimed again."""
        self._lists.clear()
        self._bytes = self.records = 0
        self.reason = None
        self.pace.passed()

    def _count(self, one: RecordList, sign: int) -> None:
        self.records += sign * len(one.items)
        self._bytes += sign * one.size
        if not self.records:
            self.reason = None
