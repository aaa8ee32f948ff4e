"""The worker: one of several receiver processes, under a parent that holds the addresses.

Its standard input is a socket to the parent, which sends the plan and the bound socket of the HTTP
door, and nothing more. That it is closed says that the parent is gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading

from scorespan.errors import ScorespanError
from scorespan.receiver.diagnostics import say_on_stderr
from scorespan.receiver.ending import Ending, longest_ending
from scorespan.receiver.plan import Plan
from scorespan.receiver.server import run
from scorespan.settings import Settings

_MOST_BYTES = 65536

_logger = logging.getLogger("scorespan")


def main() -> int:
    """Run a worker on the socket at standard input; returns the exit code."""
    say_on_stderr()
    with socket.socket(fileno=os.dup(0)) as parent:
        data, descriptors, _, _ = socket.recv_fds(parent, _MOST_BYTES, 1)
        if not descriptors:
            return 1
        plan = Plan.decode(data)
        settings = Settings.load({"sync": "durable", "receiver_token": plan.token})
        ending = Ending(longest_ending(settings.shutdown_seconds), again_at_once=False)
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()
        try:
            with socket.socket(fileno=descriptors[0]) as listener:
                # One byte: it takes requests.
                run(
                    settings,
                    listener,
                    plan.doors,
                    ending,
                    lambda _: parent.sendall(b"1"),
                    shared=True,
                )
        except (OSError, ScorespanError) as error:
            _logger.error("a worker cannot run: %s", error)  # noqa: TRY400 - one line says it
            return 1
    return 0


def _follow(parent: socket.socket) -> None:
    """Stop when the parent is gone, however it went."""
    with contextlib.suppress(OSError):
        parent.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
