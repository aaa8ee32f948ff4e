"""Entries that tests put together, and find again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scorespan.spool.root import Route
from scorespan.spool.spool import Spool

ROUTE = Route("http://mart", "one")
MANY = 10**9


class Bodies:
    """A part of a put: entries with these bodies.

    Attributes:
        bodies: as given.
        taken_back: how often it was told that none of them was written.
    """

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self.bodies = bodies
        self.taken_back = 0

    def encode(self) -> list[list[bytes]]:
        """Each in two pieces."""
        return [[body[:3], body[3:]] for body in self.bodies]

    def take_back(self) -> None:
        """None of them was written."""
        self.taken_back += 1


def bodies(spool: Spool) -> list[bytes]:
    """Claim everything; nothing may be damaged."""
    entries = spool.claim(MANY, 10**6).entries
    assert not any(entry.damaged for entry in entries)
    return [entry.body for entry in entries]


def inherited(root: Path) -> list[bytes]:
    """What the next process finds."""
    heir = Spool(root, ROUTE, max_bytes=MANY)
    heir.adopt()
    found = bodies(heir)
    assert heir.damaged_bytes == heir.lost_entries == 0
    heir.abandon()
    return found
