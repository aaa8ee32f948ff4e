"""The producer: who numbers the scorings of this process.

One producer id per process and gapless numbers from 1, so that a hole in the numbers that reached
the mart is a record that did not. A forked child is a producer of its own.
"""

from __future__ import annotations

import itertools
import os
import uuid


class Producer:
    """One id and its numbers."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.numbers = itertools.count(1)

    @property
    def last(self) -> int:
        """The highest number given so far; 0 before the first."""
        # The counter shows its next number, `count(7)`. Kept beside it by every caller, the
        # highest would be wrong whenever two threads store theirs in the other order.
        return int(repr(self.numbers).removeprefix("count(").removesuffix(")")) - 1


_current = Producer()
_former: list[Producer] = []


def renew() -> None:
    """Begin a new producer: where another spool begins."""
    global _current  # noqa: PLW0603 - one producer per process is what the numbers mean
    # A thread that has read it just now may still take a number from it.
    _former.append(_current)
    _current = Producer()


def _renew_in_child() -> None:
    renew()
    _former.clear()


os.register_at_fork(after_in_child=_renew_in_child)


def given() -> int:
    """How many numbers this process has given."""
    return sum(producer.last for producer in [*_former, _current])


def next_number() -> tuple[str, int]:
    """Producer id and the next sequence number. Never waits; no two threads get the same one."""
    producer = _current
    return producer.id, next(producer.numbers)


def current() -> Producer:
    """The producer of this process, as of now."""
    return _current
