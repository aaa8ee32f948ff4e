"""The exits: the ends of a service that `atexit` does not see.

A record is on disk when its answer has been sent, so nothing here saves it: it is delivered now
instead of at the next start. Spans that go to a Collector are in memory, and would be lost.

Python runs a handler between two steps of the main thread. While that is inside C, such as in a
long computation, a signal that has a handler ends nothing, where one that has none ends the process
at once. So SIGTERM has none until something was scored, nor in a forked child that scored nothing.
Where another thread scores first, the main thread sets the handler at its next step: servers come
to one with each connection or each second. One that only waits never does, and its process ends
without us. After that an end may come as late as the main thread leaves C.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
from contextlib import suppress

from scorespan.instrumentation import gate, switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, ModuleType
    from typing import Any

    from scorespan.threads import native

_LATE_SECONDS = 10.0
_EARLY = 100  # of the finalizers that a child of multiprocessing runs
_UNREAD = "scorespan.instrumentation.unread"  # only where a client has scored

_ending: list[tuple[native.Thread, int]] = []
"""The thread that ends this process, once it was told to end, and the signal that told it."""
_held: dict[int, set[int]] = {}
"""By thread that forks: the signals that it had blocked before."""
_asked: Any = None
"""What the main thread calls at its next step, as C knows it."""


def install() -> None:
    """Deliver before SIGTERM ends a process that has scored, unless somebody else handles that.

    Any thread. A server that sets a handler of its own takes the place of this one; where that
    calls the one before, ours delivers, and leaves the end to it. The first process of a container
    is not ended by a signal that it does not handle, and so left as it is. Idempotent.
    """
    import atexit  # noqa: PLC0415 - for services only

    atexit.unregister(_await_end)
    # Registered early, so called late: what ends by itself meanwhile ends by the signal.
    atexit.register(_await_end)
    gate.at_first(_arm)


def _arm() -> None:
    """Set the handler; where this is not the main thread, have that one do it."""
    if os.getpid() == 1 or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return
    try:
        signal.signal(signal.SIGTERM, _end)
    except ValueError:
        _ask_main()


def _ask_main() -> None:
    global _asked  # noqa: PLW0603 - Python holds the address alone
    try:
        import ctypes  # noqa: PLC0415 - rare, and not in every build

        if _asked is None:
            _asked = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(_armed_in_main)
        ctypes.pythonapi.Py_AddPendingCall(_asked, None)
    except Exception:  # noqa: BLE001 - without a handler it ends as it would without us
        return


def _armed_in_main(_: object) -> int:
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        with suppress(ValueError):
            signal.signal(signal.SIGTERM, _end)
    return 0


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
    if signal.getsignal(number) is not _end:  # a handler that was set later calls this one
        _deliver_for_another()
        return
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


def _deliver_for_another() -> None:
    """Deliver for as long as an end may take; what follows is the caller's affair."""
    settings = switch.known()
    if settings is None or not (_UNREAD in sys.modules or switch.owes()):
        return
    from scorespan.threads import native  # noqa: PLC0415 - where there is something to do

    seconds = settings.shutdown_seconds
    thread = native.Thread(target=_drain, args=(seconds,), daemon=True)
    try:
        thread.start()
    except RuntimeError:  # see _end
        return
    thread.join(seconds)


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


def _hold_back() -> None:
    """Before a fork: Python forgets a signal that comes to a child of which it is not sure yet."""
    if signal.getsignal(signal.SIGTERM) is _end:
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        _held[_thread.get_ident()] = held


def _let_in() -> None:
    held = _held.pop(_thread.get_ident(), None)
    if held is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _renew_in_child() -> None:
    """In a forked child: what runs, what was told to end, and what has scored is the parent."""
    _ending.clear()
    if signal.getsignal(signal.SIGTERM) is _end:
        with suppress(ValueError):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _let_in()
    _held.clear()


os.register_at_fork(before=_hold_back, after_in_parent=_let_in, after_in_child=_renew_in_child)
