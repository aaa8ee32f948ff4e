"""A daemon thread that scores until the process is gone."""

from __future__ import annotations

import itertools
import threading

from scorer import score

scored = threading.Event()
pause = threading.Event()


def hammer() -> None:
    """Score for ever."""
    for number in itertools.count():
        score(number)
        pause.wait(0.0005)  # as fast as it can, it would score faster than anybody delivers
        if number == 500:
            scored.set()


threading.Thread(target=hammer, daemon=True).start()
scored.wait()
