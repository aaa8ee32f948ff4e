"""64 threads that score; each fourth ends by `sys.exit`."""

from __future__ import annotations

import sys
import threading

from scorer import score_many


def work(number: int) -> None:
    """Score, and end."""
    score_many(50)
    if number % 4 == 0:
        sys.exit(number)


threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
for thread in threads:
    thread.start()
