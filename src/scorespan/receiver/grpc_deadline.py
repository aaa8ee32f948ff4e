"""The deadline of what waits for a sender: one thread ends what takes too long."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Watched:
    __slots__ = ("end", "until")

    def __init__(self, until: float, end: Callable[[], object]) -> None:
        self.until = until
        self.end: Callable[[], object] | None = end


class Deadline:
    """Ends what takes longer than so many seconds. Any thread may come.

    Args:
        seconds: the same for all, so that they fall due in the order they came.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._watched: deque[_Watched] = deque()
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def watching(self, end: Callable[[], object]) -> Iterator[None]:
        """Call `end`, from another thread, where the block runs for longer than the deadline."""
        one = _Watched(time.monotonic() + self._seconds, end)
        with self._change:
            self._watched.append(one)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            elif len(self._watched) == 1:
                self._change.notify()
        try:
            yield
        finally:
            with self._change:
                one.end = None
                while self._watched and self._watched[0].end is None:
                    self._watched.popleft()

    def close(self) -> None:
        """End the thread; nothing is watched any more."""
        with self._change:
            self._closed = True
            self._change.notify()

    def _run(self) -> None:
        while True:
            with self._change:
                if self._closed:
                    return
                wait = self._watched[0].until - time.monotonic() if self._watched else None
                if wait is None or wait > 0:
                    self._change.wait(wait)
                    continue
                end = self._watched.popleft().end
            if end is not None:
                end()
