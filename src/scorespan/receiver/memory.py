"""The memory budget that the requests of a process share.

What a request needs is counted before it is had: its bytes as they came, its bytes decompressed,
and what reading them takes. Small requests share the budget; of the large ones there is one at a
time, beside it, so that the most a process needs is the budget and one request at the limits.
"""

from __future__ import annotations

import math
import threading
from types import TracebackType
from typing import NamedTuple

from scorespan.errors import ReceiverError

WIRE_BYTES = 64 * 1024 * 1024
"""The most bytes of a request as it comes; more is answered with 413."""
DECOMPRESSED_BYTES = 256 * 1024 * 1024
"""The most bytes of a request after decompression; more is answered with 413."""
LEAST_SPOOL_BYTES = 2 * DECOMPRESSED_BYTES
"""The least bound of a receiver's spool: the largest request, and as much again for what entries
have beside their bodies. In a smaller one such a request never has room, though it is told to come
again, and its sender may send nothing else meanwhile."""

_BUDGET_BYTES = 256 * 1024 * 1024
_LARGE_BYTES = 64 * 1024 * 1024
_AGAIN_SECONDS = 1
_MOST_BYTES = 2560 * 1024 * 1024
_FLAT_BYTES = 1024 * 1024
_FLAT_PART = 4
_PART_BYTES = 64


class Marks(NamedTuple):
    """What tells the parts of a body in its format.

    Attributes:
        marks: a part has one of these; so may other bytes.
        cost: bytes that a part takes.
        most: how many parts are read, beside one for each 64 bytes of the body.
    """

    marks: tuple[bytes, ...]
    cost: int
    most: float = math.inf


def to_read(body: bytes, marks: Marks) -> int:
    """What it may take to read a body, itself included, in bytes: an estimate, from above.

    It goes by length for what is small, and for the rest by what may be a part of its own as well:
    two bytes can become an object of a hundred.
    """
    size = len(body) * _FLAT_PART
    if len(body) <= _FLAT_BYTES:
        return size
    parts = min(sum(map(body.count, marks.marks)), marks.most + len(body) / _PART_BYTES)
    return size + int(marks.cost * parts)


class Share:
    """What one request holds of the budget, until the block ends. Any thread may use it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.held = 0

    def hold(self, size: int) -> None:
        """Hold `size` bytes in all; less than before gives the rest back.

        Raises:
            ReceiverError: 503, the other requests leave no room; 413, nor would they if there
                were none. What was held before still is.
        """
        self._memory.change(self, size)

    def __enter__(self) -> Share:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hold(0)


class Memory:
    """The budget of a process; doors of any protocol share it, from any thread.

    Args:
        budget: bytes that small requests hold in all.
        large: bytes above which a request is a large one: one at a time, beside the budget.

    Attributes:
        held: bytes that small requests hold now.
    """

    def __init__(self, budget: int = _BUDGET_BYTES, large: int = _LARGE_BYTES) -> None:
        self._budget = budget
        self._large = large
        self._lock = threading.Lock()
        self._large_one: Share | None = None
        self.held = 0

    def share(self) -> Share:
        """The share of one request, with nothing in it yet."""
        return Share(self)

    def change(self, share: Share, size: int) -> None:
        """Let a share hold `size` bytes; see `Share.hold`."""
        if size > _MOST_BYTES:
            raise ReceiverError(413, "the body has more parts than can be read at once")
        with self._lock:
            if share is self._large_one:
                # It stays the large one to its end: what it gives back may be another's by now.
                if not size:
                    self._large_one = None
            elif size > self._large:
                if self._large_one is not None:
                    raise _no_room("another large request is being read")
                self._large_one = share
                self.held -= share.held
            else:
                held = self.held - share.held + size
                if held > self._budget and size > share.held:
                    raise _no_room("the requests being read leave no room")
                self.held = held
            share.held = size


def _no_room(reason: str) -> ReceiverError:
    return ReceiverError(503, reason, retry_after=_AGAIN_SECONDS)
