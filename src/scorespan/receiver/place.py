"""The place of a worker: who has it, and when it is filled again."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import NamedTuple

from scorespan.receiver.plan import Plan

_COMMAND = (sys.executable, "-m", "scorespan.receiver.worker")
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
_STEADY_SECONDS = 60.0


class Running(NamedTuple):
    """A worker's process, the socket to it, and when it was started."""

    process: subprocess.Popen[bytes]
    link: socket.socket
    since: float


class Place:
    """One place among the workers, empty at first.

    Times are seconds of a monotonic clock.

    Attributes:
        running: who has it; None: nobody.
        due: when it may be filled.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.running: Running | None = None
        self.due = 0.0
        self._pause = 0.0

    def fill(self, plan: Plan, listener: socket.socket, now: float) -> socket.socket:
        """Start a worker; returns the socket to it, which it closes when it ends.

        Raises:
            OSError: the system has no process for it.
        """
        link, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(link, [plan.encode()], [listener.fileno()])
                process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    _COMMAND,
                    stdin=theirs.fileno(),
                    # A terminal's Ctrl-C is for the parent, which ends them in order.
                    start_new_session=True,
                )
            except OSError:
                link.close()
                raise
        self.running = Running(process, link, now)
        return link

    def empty(self, now: float) -> float:
        """Nobody has it any more; returns the pause before it is filled, in seconds.

        The pause doubles with each worker that did not live for a while.
        """
        steady = False
        if self.running is not None:
            self.running.link.close()
            steady = now - self.running.since >= _STEADY_SECONDS
            self.running = None
        doubled = _FIRST_PAUSE if steady else self._pause * 2
        self._pause = min(max(doubled, _FIRST_PAUSE), _LONGEST_PAUSE)
        self.due = now + self._pause
        return self._pause
