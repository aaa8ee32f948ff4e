"""The producer: who numbers the scorings of this process.

One producer id per process and gapless numbers from 1, so that a hole in the numbers that reached
the mart is a record that did not. A forked child is a producer of its own.
"""

from __future__ import annotations

import itertools
import os
import uuid


class _Producer:
    """One id and its numbers."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.numbers = itertools.count(1)
        self.last = 0


_current = _Producer()


def renew() -> None:
    """Begin a new producer: in a forked child, and where another spool begins."""
    global _current  # noqa: PLW0603 - one producer per process is what the numbers mean
    _current = _Producer()


os.register_at_fork(after_in_child=renew)


def next_number() -> tuple[str, int]:
    """Producer id and the next sequence number. Never waits; no two threads get the same one."""
    current = _current
    number = next(current.numbers)
    # Threads may store out of order; it is right again with the next one.
    current.last = number
    return current.id, number


def last_number() -> tuple[str, int]:
    """Producer id and the highest number given so far; 0 before the first."""
    return _current.id, _current.last
