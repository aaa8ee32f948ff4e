"""Syncing: who brings to the disk what was put, and who waits for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from scorespan.errors import SpoolError
from scorespan.threads import Bell, native, start

SYNC_SECONDS = 0.04
"""From an append to the sync that follows it."""
AGAIN_SECONDS = 1.0
"""Between two tries while something is wrong with the disk."""
_CLOSE_SECONDS = 5.0


class Group:
    """Entries that go to the disk with one sync. `done` and `error` are set when it has ended."""

    __slots__ = ("done", "error")

    def __init__(self) -> None:
        self.done = False
        self.error: str | None = None


class Turns:
    """Lets one thread sync at a time: for itself, and for all that wait meanwhile."""

    def __init__(self) -> None:
        self._condition = native.Condition()
        self._holder: int | None = None

    def wait_for(self, group: Group, sync: Callable[[], None]) -> None:
        """Return when the group is on the disk; the first of those that wait syncs for all.

        Raises:
            SpoolError: it is not.
        """
        while not group.done and self.take(unless=lambda: group.done):
            try:
                sync()
            except OSError:
                pass  # said by the group's error
            finally:
                self.give_back()
        if group.error is not None:
            raise SpoolError(group.error)

    def take(
        self, *, unless: Callable[[], bool] = lambda: False, timeout: float | None = None
    ) -> bool:
        """Wait for the turn; false where it is not needed any more, or time ran out."""
        with self._condition:
            self._condition.wait_for(lambda: unless() or self._holder is None, timeout)
            if self._holder is not None or unless():
                return False
            self._holder = native.get_ident()
            return True

    def give_back(self) -> None:
        """Let the next one have the turn, and those who wait look whether theirs is done.

        Does nothing where the turn is not this thread's.
        """
        with self._condition:
            if self._holder == native.get_ident():
                self._holder = None
                self._condition.notify_all()


class SyncThread:
    """Calls `work` soon after each `wake`; each second again while it returns true, or raises."""

    def __init__(self, wake: Bell, work: Callable[[], bool], interval: float) -> None:
        self._wake = wake
        self._work = work
        self._interval = interval
        self._stop = Bell()
        self._thread = native.Thread(target=self._run, name="scorespan-sync", daemon=True)

    def start(self) -> None:
        """Start the thread; where the interpreter ends and has none, `work` is not called.

        Raises:
            RuntimeError: the process may not have more threads.
        """
        start(self._thread)

    def stop(self) -> None:
        """End the thread; it may be at a sync that hangs."""
        self.drop()
        if self._thread.is_alive():
            self._thread.join(timeout=_CLOSE_SECONDS)

    def drop(self) -> None:
        """Have the thread end, without waiting for it."""
        # In a forked child there is none.
        if self._thread.is_alive():
            self._stop.set()
            self._wake.set()

    def _run(self) -> None:
        again = False
        while True:
            self._wake.wait(AGAIN_SECONDS if again else None)
            if self._stop.wait(self._interval):
                return
            self._wake.clear()
            again = True
            with contextlib.suppress(Exception):  # the thread must outlive any fault
                again = self._work()
