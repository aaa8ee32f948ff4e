"""The end of an interpreter, with everything that may still score then.

Argument 1: `scored` where payload logging was in use before, else `first`.
"""

from __future__ import annotations

import atexit
import gc
import sys
import threading


def first_registered() -> None:
    """Runs last: it was there before scorespan."""
    score_many(3)


atexit.register(first_registered)

from scorer import score, score_many


def outlive() -> None:
    """Score when the main thread has ended; the interpreter waits for this thread."""
    threading.main_thread().join()
    score_many(3)


class Finalized:
    """Scores when it is collected."""

    def __init__(self, members: list[object]) -> None:
        self.members = members

    def __del__(self) -> None:
        score()


if sys.argv[1] == "scored":
    score_many(100)
    for _ in range(100):
        members: list[object] = []
        members.append(Finalized(members))  # a cycle: collected in the midst of something else
        del members
        score()
    gc.collect()
atexit.register(score_many, 3)
threading.Thread(target=outlive).start()
