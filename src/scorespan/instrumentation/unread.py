"""Unread answers: what becomes of scorings whose caller has left the answer open, or dropped it.

The collector may find such an answer on any thread, within anything that the thread does, also
while it holds a lock of the spool. There nothing is put: the exchange waits here for the next call
that counts, or for the exit. A forked child leaves it all to its parent.
"""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections import deque
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scorespan.instrumentation.call import Call
    from scorespan.instrumentation.exchange import Exchange

_WRITERS = (
    "opentelemetry.sdk.", "scorespan.delivery.", "scorespan.intake", "scorespan.outbox",
    "scorespan.sdk", "scorespan.spool.",
)  # fmt: skip
_NOTE = "response: its caller did not read it to the end"

_open: weakref.WeakSet[Call] = weakref.WeakSet()
_waiting: deque[Exchange] = deque()
_generation = 0


def generation() -> int:
    """How many forks lie between this process and the first one."""
    return _generation


def watch(call: Call) -> None:
    """The caller is going to read the answer of this call, or not."""
    _open.add(call)


def tell(exchange: Exchange) -> None:
    """Note on the record that there was more to read, unless its size says so."""
    if exchange.response.expected is None:
        exchange.tell(_NOTE)


def wait(exchange: Exchange) -> None:
    """Have an exchange ended later."""
    _waiting.append(exchange)


def end_waiting() -> None:
    """End those that wait."""
    while _waiting:
        try:
            exchange = _waiting.popleft()
        except IndexError:  # another thread has taken it
            return
        exchange.end()


def within_writing() -> bool:
    """Whether what writes records stands below: then only the collector can have come here."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - a quick look, for a rare case
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith(_WRITERS):
            return True
        frame = frame.f_back
    return False


def end_all() -> None:
    """At exit: what is not read by now is not going to be."""
    for call in tuple(_open):
        call.finish(unread_rest=True)
    end_waiting()


def _forget() -> None:
    global _generation  # noqa: PLW0603 - one per process is what it says
    _generation += 1
    _waiting.clear()


atexit.register(end_all)
os.register_at_fork(after_in_child=_forget)
