"""Producers: who numbers the scorings of this process.

A producer is an id and gapless numbers from 1, so that a hole in the numbers that reached the mart
is a record that did not. Each intake has one, for the scorings that it writes; the process has one
for scorings that take their number along, to whatever door their provider leads. A forked child
has others.
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

    def next_number(self) -> tuple[str, int]:
        """This id and the next number. Never waits; no two threads get the same one."""
        return self.id, next(self.numbers)

    def give_again(self, first: int) -> None:
        """Give the numbers from this one on once more. Nobody may take one meanwhile."""
        self.numbers = itertools.count(first)


_all: list[Producer] = []


def new() -> Producer:
    """Another producer of this process."""
    made = Producer()
    _all.append(made)
    return made


_current = new()


def renew() -> None:
    """Begin a new producer of the process: where its scorings lead somewhere else."""
    global _current  # noqa: PLW0603 - one producer per process is what the numbers mean
    _current = new()


def _renew_in_child() -> None:
    _all.clear()
    renew()


os.register_at_fork(after_in_child=_renew_in_child)


def given() -> int:
    """How many numbers this process has given."""
    return sum(producer.last for producer in _all)


def current() -> Producer:
    """The producer of the process, as of now."""
    return _current


class Counted:
    """The producers whose numbers come to one intake.

    Attributes:
        own: numbers the scorings that bring no number.
        brought: the producer of the process, once a scoring has brought a number of it; how far it
            has counted says nothing before its scorings have all come, as from an exporter's queue.
    """

    def __init__(self) -> None:
        self.own = new()
        self.brought: Producer | None = None

    def note(self, producer_id: str) -> None:
        """A scoring has brought a number of this producer."""
        if self.brought is None and producer_id == _current.id:
            self.brought = _current
