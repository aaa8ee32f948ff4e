"""Patience: how long an answer is waited for.

A read timeout says nothing about the records: the mart may still be at work on that copy. The next
copy is waited for longer, or a slow mart would get one after the other and be slower for it.
"""

from __future__ import annotations

LONGEST_SECONDS = 600.0
_FACTOR = 3.0
"""An answer that takes four times the setting comes within three copies."""


class Patience:
    """The read timeout of one route.

    Args:
        setting: seconds that an answer may take as a rule.

    Attributes:
        seconds: how long the next answer is waited for.
    """

    def __init__(self, setting: float) -> None:
        self._setting = setting
        self.seconds = setting

    def timed_out(self) -> None:
        """There was no answer in that time."""
        self.seconds = max(self._setting, min(LONGEST_SECONDS, self.seconds * _FACTOR))

    def answered(self, took: float) -> None:
        """An answer came after so many seconds."""
        self.seconds = max(self._setting, min(self.seconds, took * _FACTOR))
