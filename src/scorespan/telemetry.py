"""Our own diagnostics: a log that does not repeat itself.

What is logged never holds a secret or a payload value.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable

logger = logging.getLogger("scorespan")


class RepeatedLog:
    """Logs the same failure at most once a minute, with the count of what was kept quiet.

    Threads may share it. It has no lock, which a fork in another thread could leave locked for
    ever: a race costs a second line at most.
    """

    def __init__(
        self, *, period: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._period = period
        self._clock = clock
        self._last: dict[str, float] = {}
        self._quiet: dict[str, int] = {}
        self._said: set[str] = set()

    def warning(self, key: str, message: str, *arguments: object) -> None:
        """Log a warning, unless this key had one less than a minute ago. Never raises."""
        now = self._clock()
        last = self._last.get(key)
        if last is not None and now - last < self._period:
            self._quiet[key] = self._quiet.get(key, 0) + 1
            return
        self._last[key] = now
        self._said.add(key)
        quiet = self._quiet.pop(key, 0)
        if quiet:
            message += f" ({quiet} more like this since the last line)"
        # A server that configures logging disables the loggers that are there, and means no one.
        logger.disabled = False
        with contextlib.suppress(Exception):  # a filter or handler of the application's
            logger.warning(message, *arguments)

    def over(self, key: str) -> bool:
        """This failure has ended; says whether a line that told of it has had no answer yet."""
        said = key in self._said
        self._said.discard(key)
        return said


def said(value: object) -> str:
    """What a value says of itself, even an exception whose `str` raises."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - foreign code; the type is what is left
        return type(value).__name__
