"""Entries that tests put together."""

from __future__ import annotations

from collections.abc import Sequence


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
