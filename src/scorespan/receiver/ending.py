"""The ending: how a receiver process is told to stop, and that it has stopped in time."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LINGER_SECONDS = 1.0
"""How long open connections are told to leave, once the process is told to stop."""
ANSWER_SECONDS = 3.0
"""How long requests under way may take to their answer after that."""
_SPARE_SECONDS = 2.0


def longest_ending(shutdown_seconds: float) -> float:
    """Seconds from the signal to the end of a receiver process, at most."""
    return LINGER_SECONDS + ANSWER_SECONDS + shutdown_seconds + _SPARE_SECONDS


class Ending:
    """Tells of SIGTERM and SIGINT, and ends the process when it takes too long after one.

    Everything that was answered is on disk, so that the process may end at any moment; the exit
    code of one that was told to stop is 0. The main thread makes it, and only once: the handlers
    stay until the process ends, of which process 1 of a container has none by default.

    Args:
        seconds: how long the process may take, from the signal on.
        again_at_once: whether a second signal ends the process where it stands. A worker's does
            not: whoever stops a whole service signals it and its parent, which tells it, too.
    """

    def __init__(self, seconds: float, *, again_at_once: bool = True) -> None:
        self._seconds = seconds
        self._again_at_once = again_at_once
        self._then: Callable[[], None] = lambda: None
        self.asked = False
        if os.getpid() == 1:
            # Orphans become children of process 1; so the system takes them away itself.
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, self._too_late)
        for number in SIGNALS:
            signal.signal(number, self._signalled)

    def then(self, call: Callable[[], None]) -> None:
        """Call this when the process is told to stop, or now if it has been.

        It is called in a signal handler: it sets flags and takes no lock.
        """
        self._then = call
        if self.asked:
            call()

    def _signalled(self, number: int, _frame: object) -> None:
        if self.asked:
            if self._again_at_once:
                os._exit(128 + number)
            return
        self.asked = True
        # A timer of the system's: a thread could not be started here, whatever was interrupted.
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        self._then()

    @staticmethod
    def _too_late(_number: int, _frame: object) -> None:
        os._exit(0)
