"""The places for messages that are being read: what a message needs before its size is known.

The library says nothing of a message until it is there as a whole, and keeps the bytes of those
that are coming: of as many as are read at a time, and no more.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from scorespan.errors import ReceiverError

_AGAIN_SECONDS = 1


class Places:
    """So many places, some of them for one sender at most. Any thread may ask.

    Args:
        total: how many messages are read at a time.
        each: how many of one sender, so that one that stands still leaves places to the others.
    """

    def __init__(self, total: int, each: int) -> None:
        self._free = total
        self._each = each
        self._taken: Counter[str] = Counter()
        self._change = threading.Condition()
        self._closed = False

    @contextmanager
    def place(self, sender: str, seconds: float) -> Iterator[None]:
        """One place while the block runs; waits for it.

        Raises:
            ReceiverError: 503, there was none in time, or there will be none any more.
        """
        with self._change:
            if not self._change.wait_for(lambda: self._closed or self._may(sender), seconds):
                raise ReceiverError(503, "too much is being read", retry_after=_AGAIN_SECONDS)
            if self._closed:
                raise ReceiverError(503, "the receiver is stopping", retry_after=_AGAIN_SECONDS)
            self._free -= 1
            self._taken[sender] += 1
        try:
            yield
        finally:
            with self._change:
                self._free += 1
                self._taken[sender] -= 1
                if not self._taken[sender]:
                    del self._taken[sender]
                self._change.notify_all()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def _may(self, sender: str) -> bool:
        return self._free > 0 and self._taken[sender] < self._each
