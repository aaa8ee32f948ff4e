"""The gate: the exchanges that are under way, and no more of them once the process ends.

A record is made when the last byte of its answer was handed over. A process that is killed between
the two would have answered without a record: who ends it closes the gate, and waits for those that
are inside.
"""

from __future__ import annotations

import _thread
import os
import sys
from weakref import WeakSet

from scorespan.instrumentation import switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from scorespan.instrumentation.exchange import Exchange

_LOOK_SECONDS = 0.02
_LEAST_SECONDS = 1.0
_HOLD_SECONDS = 30.0

answering: WeakSet[Exchange] = WeakSet()
"""The exchanges under way whose answers this process gives."""

_closed = False
_watched = False
_scored = False
_first: Callable[[], object] | None = None
_leaving: int | None = None
"""The thread that runs `atexit`, where a handler of the service may score; held, it never ends."""


def at_first(call: Callable[[], object]) -> None:
    """Have `call` called with the first scoring of each process, by the thread of that."""
    global _first  # noqa: PLW0603 - see close
    _first = call
    if _scored:
        call()


def scores() -> None:
    """A scoring begins in this process, or goes out of it."""
    global _scored  # noqa: PLW0603 - see close
    if not _scored:
        _scored = True
        if _first is not None:
            _first()


def enter(exchange: Exchange) -> None:
    """An exchange begins; where the gate is closed, it waits here for the end of the process."""
    if not _watched:
        _watch()
    exchange.thread = _thread.get_ident()
    answering.add(exchange)
    if _closed:
        _hold(exchange)


def close() -> None:
    """Let no exchange begin any more: the process ends. Those of event loops begin still."""
    global _closed  # noqa: PLW0603 - the gate of the process is what this module is
    _closed = True


def wait(seconds: float, pause: Event) -> None:
    """Return when those that have begun until now are over, or when their time is.

    Args:
        seconds: how long; a second at least, which an answer that was sent has for its record.
        pause: never set; waits as the calling thread must.
    """
    import time  # noqa: PLC0415 - nothing else of this module needs it

    deadline = time.monotonic() + max(seconds, _LEAST_SECONDS)
    begun = _begun()
    while time.monotonic() < deadline and any(exchange in answering for exchange in begun):
        pause.wait(_LOOK_SECONDS)


def _begun() -> list[Exchange]:
    while True:
        try:
            return list(answering)
        except RuntimeError:  # one of them ended meanwhile
            continue


def _hold(exchange: Exchange) -> None:
    events = sys.modules.get("asyncio.events")
    if events is not None and events._get_running_loop() is not None:  # noqa: SLF001 - the public one raises
        return  # it is needed by those that are inside
    if _leaving == _thread.get_ident():
        return
    import threading  # noqa: PLC0415 - as gevent or eventlet has patched it, if one has

    answering.discard(exchange)  # nobody need wait for it
    threading.Event().wait(_HOLD_SECONDS)
    answering.add(exchange)


def _watch() -> None:
    """Have the gate closed by `atexit`, before the delivery that was registered earlier."""
    global _watched  # noqa: PLW0603 - see close
    _watched = True
    import atexit  # noqa: PLC0415 - where scorings are

    atexit.register(_at_exit)


def _at_exit() -> None:
    """Daemon threads may still answer, and stop wherever they are when the interpreter ends.

    This thread answers nobody any more: neither does a loop of its go on, nor does anybody close
    what it has left open.
    """
    global _leaving  # noqa: PLW0603 - see close
    import threading  # noqa: PLC0415 - as in _hold

    _leaving = _thread.get_ident()
    close()
    settings = switch.ready()
    if settings is None:
        return
    for exchange in _begun():
        if exchange.thread == _leaving:
            exchange.leave()
    if answering:
        wait(settings.shutdown_seconds, threading.Event())
        for exchange in _begun():
            exchange.leave()


def _renew_in_child() -> None:
    """In a forked child: what runs, and what ends, is the parent, whose the records are."""
    global _closed, _scored  # noqa: PLW0603 - see close
    _closed = _scored = False
    for exchange in _begun():
        exchange.drop()


os.register_at_fork(after_in_child=_renew_in_child)
