"""The window: which scoring timestamps are asked for."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Window(NamedTuple):
    """Which scoring timestamps are asked for; an end is open where it is None."""

    since: datetime | None = None
    until: datetime | None = None

    @property
    def first(self) -> float:
        """The first minute of it, from the epoch."""
        return float("-inf") if self.since is None else self.since.timestamp() // 60

    def holds(self, minute: int) -> bool:
        """Whether a minute lies in it, at least in part."""
        last = float("inf") if self.until is None else self.until.timestamp() // 60
        return self.first <= minute <= last
