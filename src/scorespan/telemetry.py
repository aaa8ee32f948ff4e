"""Our own diagnostics: a log that does not repeat itself.

Messages never hold a secret or a payload value.
"""

from __future__ import annotations

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

    def warning(self, key: str, message: str, *arguments: object) -> None:
        """Log a warning unless one with this key was logged less than a minute ago."""
        now = self._clock()
        last = self._last.get(key)
        if last is not None and now - last < self._period:
            self._quiet[key] = self._quiet.get(key, 0) + 1
            return
        self._last[key] = now
        quiet = self._quiet.pop(key, 0)
        if quiet:
            message += f" ({quiet} more like this since the last line)"
        logger.warning(message, *arguments)

    def over(self, key: str) -> bool:
        """Forget a failure that has ended; says whether there was one."""
        self._quiet.pop(key, None)
        return self._last.pop(key, None) is not None


def said(value: object) -> str:
    """What a value says of itself, even an exception whose `str` raises."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - foreign code; the type is what is left
        return type(value).__name__
