"""The bound: how many bytes a spool root may hold, and what counts against it."""

from __future__ import annotations

from scorespan.errors import SpoolFullError
from scorespan.spool.segment_log import SegmentLog
from scorespan.threads import native

_NEARLY_PART = 64


class Bound:
    """The bytes of a root, as far as one process knows. Any thread may ask.

    Args:
        segments: what this process writes.
        most: bytes that the root may hold.
        full_wait: seconds that one may wait for room.

    Attributes:
        most: as given.
        others: bytes that others hold; set by the worker's thread, which looks.
    """

    def __init__(self, segments: SegmentLog, most: int, full_wait: float) -> None:
        self.others = 0
        self._segments = segments
        self.most = most
        self._full_wait = full_wait
        self._removed = 0
        self._given_back = native.Condition()
        self._ended = False

    @property
    def held(self) -> int:
        """Bytes that the root holds."""
        return self.others + self._segments.written - self._removed

    @property
    def nearly_reached(self) -> str | None:
        """What the root holds, where it has no room for many entries at once; None: it has."""
        return None if self.held <= self.most - self.most // _NEARLY_PART else self._said()

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may come."""
        # As `held` has it: this is on the way of every put.
        return self.others + self._segments.written - self._removed + size <= self.most

    def wait_for_room(self, size: int) -> None:
        """Return when so many bytes may come, or nothing more is awaited after `end`.

        Raises:
            SpoolFullError: not in time.
        """
        with self._given_back:
            if not self._given_back.wait_for(
                lambda: self._ended or self.has_room(size), self._full_wait
            ):
                raise SpoolFullError(f"{self._said()}: no room for {size} more")

    def give_back(self, size: int, *, own: bool) -> None:
        """So many bytes of this process, or of others, are gone."""
        with self._given_back:
            if own:
                self._removed += size
            else:
                self.others -= size
            self._given_back.notify_all()

    def end(self) -> bool:
        """Let those who wait go on; whether this was the first call."""
        if self._ended:
            return False
        with self._given_back:
            first, self._ended = not self._ended, True
            self._given_back.notify_all()
        return first

    def abandon(self) -> None:
        """As `end`, in a forked child, where the lock may be held for ever."""
        self._ended = True

    def _said(self) -> str:
        return f"the spool holds {self.held} of {self.most} bytes"
