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


def _renew() -> None:
    global _id, _numbers  # noqa: PLW0603 - one producer per process is what the numbers mean
    _id = uuid.uuid4().hex
    _numbers = itertools.count(1)


_renew()
os.register_at_fork(after_in_child=_renew)


def next_number() -> tuple[str, int]:
    """Producer id and the next sequence number. Never waits; no two threads get the same one."""
    return _id, next(_numbers)
