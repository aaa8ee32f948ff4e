"""Four threads that score some hundred times a second, until killed; argument 1 is a file to make.

The file is there once the first scoring has been taken.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import scorespan

scorespan.configure()
pause = threading.Event()


def score() -> None:
    """One scoring."""
    with scorespan.scoring_span({"fields": ["number"], "values": [[1]]}) as scoring:
        scoring.set_response({"fields": ["double"], "values": [[2]]})


def keep_scoring() -> None:
    """Score until killed."""
    while True:
        score()
        pause.wait(0.005)


score()
Path(sys.argv[1]).touch()
for _ in range(4):
    threading.Thread(target=keep_scoring).start()
