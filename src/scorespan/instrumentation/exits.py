"""The exits: the ends of a service that `atexit` does not see.

A record is on disk when its answer has been sent, so nothing here saves it: it is delivered now
instead of at the next start. Spans that go to a Collector are in memory, and would be lost.
"""

from __future__ import annotations

import os
import signal
import sys

from scorespan.instrumentation import gate, switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, ModuleType

    from scorespan.threads import native

_LATE_SECONDS = 10.0
_EARLY = 100  # of the finalizers that a child of multiprocessing runs
_UNREAD = "scorespan.instrumentation.unread"  # only where a client has scored

_ending: list[tuple[native.Thread, int]] = []
"""The thread that ends this process, once it was told to end, and the signal that told it."""


def install() -> None:
    """Deliver before SIGTERM ends this process, unless somebody else handles that.

    To be called in the main thread; elsewhere, and where a handler is set, it does nothing. A
    server that sets a handler of its own later takes the place of this one. The first process of a
    container is not ended by a signal that it does not handle, and so left as it is.
    """
    import atexit  # noqa: PLC0415 - for services only

    if os.getpid() == 1 or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return
    try:
        signal.signal(signal.SIGTERM, _end)
    except ValueError:  # not the main thread
        return
    # Registered early, so called late: what ends by itself meanwhile ends by the signal.
    atexit.register(_await_end)


def instrument(module: ModuleType) -> None:
    """Deliver at the end of the children of `multiprocessing`, which run no `atexit`."""

    def finalize(_: object) -> None:
        module.Finalize(None, _drain, exitpriority=_EARLY)

    module.register_after_fork(switch, finalize)
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:  # a child already
        finalize(None)


def _end(number: int, _frame: FrameType | None) -> None:
    """Deliver on a thread, which then ends the process; the interrupted one goes on meanwhile.

    It may hold any lock. No scoring begins any more, as none would without us. A second signal ends
    the process at once, as the first would have.
    """
    signal.signal(number, signal.SIG_DFL)
    gate.close()
    if gate.answering or _UNREAD in sys.modules or switch.owes():
        from scorespan.threads import native  # noqa: PLC0415 - where there is something to do

        thread = native.Thread(target=_deliver_and_end, args=(number,), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads; what is left is on disk
            pass
        else:
            _ending.append((thread, number))
            return
    os.kill(os.getpid(), number)


def _deliver_and_end(number: int) -> None:
    try:
        _deliver()
    finally:
        os.kill(os.getpid(), number)


def _deliver() -> None:
    import time  # noqa: PLC0415 - as in _end

    from scorespan.threads import native  # noqa: PLC0415 - as in _end

    settings = switch.ready()
    if settings is None:
        return
    deadline = time.monotonic() + settings.shutdown_seconds
    # Half at most: a stream that goes on must not take the time of what is over.
    gate.wait(settings.shutdown_seconds / 2, native.Event())
    _drain(max(0.0, deadline - time.monotonic()))


def _drain(seconds: float | None = None) -> None:
    """Deliver; first what a caller has left open becomes a record, as `atexit` would have it."""
    unread = sys.modules.get(_UNREAD)
    if unread is not None:
        unread.end_all()
    switch.drain(seconds)


def _await_end() -> None:
    for thread, number in tuple(_ending):
        settings = switch.ready()
        thread.join((settings.shutdown_seconds if settings else 0.0) + _LATE_SECONDS)
        os.kill(os.getpid(), number)


def _renew_in_child() -> None:
    """In a forked child: what runs, and what was told to end, is the parent."""
    _ending.clear()


os.register_at_fork(after_in_child=_renew_in_child)
