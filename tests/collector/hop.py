"""The hop: a process that records travel through, to be killed and started again at its place."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from running import wait_until

_PORTS = range(10_240, 32_000)
_MOST_KEPT = 256
_kept: deque[socket.socket] = deque()


def free_port() -> int:
    """A port that nobody has, and that is given to nobody else, in any process of the tests.

    Below those that the system gives to whoever connects: a hop that is down must not find its own
    taken when it comes back, be it by a sender that looks for it. A bound socket keeps it, beside
    which who says that addresses are reused may listen, as servers do.
    """
    while True:
        keeper = socket.socket()
        try:
            keeper.bind(("127.0.0.1", random.choice(_PORTS)))
        except OSError:
            keeper.close()
            continue
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _kept.append(keeper)
        if len(_kept) > _MOST_KEPT:
            _kept.popleft().close()
        return int(keeper.getsockname()[1])


class Hop:
    """One process of a pipeline.

    Args:
        command: how it is started, each time.
        environment: of the process.
        port: where it takes connections when it is up.
        said: file for all that it says.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        port: int,
        said: Path,
    ) -> None:
        self.command = [*map(str, command)]
        self.environment = dict(environment)
        self.port = port
        self._said = said
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def said(self) -> str:
        """The end of what it said, in all its lives."""
        return self._said.read_text()[-4000:] if self._said.exists() else ""

    def start(self) -> None:
        """Start it; returns when it takes connections."""
        assert self._process is None, "it runs already"
        with self._said.open("ab") as said:
            self._process = process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        wait_until(lambda: self._is_up() or process.poll() is not None, f"{self._said.stem} is up")
        assert process.poll() is None, self.said

    def signal(self, number: int) -> None:
        """Send a signal to the process alone, as a supervisor does."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, to it and its children; returns when it is gone. Nothing where it is not up."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _is_up(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True


class Mortal(Protocol):
    """What can be killed and started again."""

    def start(self) -> None:
        """Returns when it is up."""

    def kill(self) -> None:
        """Returns when it is gone."""


@contextmanager
def killed(hop: Mortal) -> Iterator[None]:
    """Killed while the block runs, and up again at the end."""
    hop.kill()
    yield
    hop.start()
