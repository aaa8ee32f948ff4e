"""A service whose threads answer, and make their record only a while later."""

from __future__ import annotations

import atexit
import itertools
import os
import sys
import threading
import time

from scorespan import producer
from scorespan.instrumentation import exits, gate, switch
from scorespan.settings import Settings

CASE = sys.argv[1]
WHILE_SECONDS = 0.02
ANSWERS = 20

numbers = itertools.count()
enough = threading.Event()


class Exchange:
    """One that is answering."""

    def leave(self) -> None:
        """End it without its answer."""


def say(line: str) -> None:
    """Tell the test; in one write, as several threads may."""
    os.write(1, f"{line}\n".encode())


def serve() -> None:
    """Answer one request after the other."""
    while True:
        exchange = Exchange()
        gate.enter(exchange)
        number = next(numbers)
        say(f"answered {number}")
        if number == ANSWERS:
            enough.set()
        time.sleep(WHILE_SECONDS)
        say(f"recorded {number}")
        gate.answering.discard(exchange)


def score_late() -> None:
    """What a service may do at its end."""
    gate.enter(Exchange())
    say("late")


gate._HOLD_SECONDS = 1000
atexit.register(score_late)
settings = Settings.load({"shutdown_seconds": 60}, {})
switch.install(settings, lambda: None, lambda _seconds: say("drained"))
exits.install()
switch.ready()
gate.scores()
producer.current().next_number()
for _ in range(4):
    threading.Thread(target=serve, daemon=True).start()
enough.wait()
say("ready")
while CASE == "signal":
    time.sleep(1)
