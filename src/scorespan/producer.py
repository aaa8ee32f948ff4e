"""The producer: who numbers the scorings of this process.

One producer id per process and gapless numbers from 1, so that a hole in the numbers that reached
the mart is a record that did not. A forked child is a producer of its own.
"""

from __future__ import annotations

import itertools
import os
import uuid

_id = ""
_numbers = itertools.count(1)
_last = 0


def _renew() -> None:
    global _id, _numbers, _last  # noqa: PLW0603 - one producer per process is what the numbers mean
    _id = uuid.uuid4().hex
    _numbers = itertools.count(1)
    _last = 0


_renew()
os.register_at_fork(after_in_child=_renew)


def next_number() -> tuple[str, int]:
    """Producer id and the next sequence number. Never waits; no two threads get the same one."""
    global _last  # noqa: PLW0603 - see _renew
    number = next(_numbers)
    # Threads may store out of order; the highest number is right again with the next one.
    _last = max(_last, number)
    return _id, number


def last_number() -> tuple[str, int]:
    """Producer id and the highest number given so far; 0 before the first."""
    return _id, _last
