"""The opening: the delivery of this process, opened when it is needed first."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable

from scorespan.delivery.delivery import Delivery
from scorespan.errors import SettingsError, SpoolClosedError, SpoolError
from scorespan.threads import native

_AGAIN_SECONDS = 1.0


class Opening:
    """Opens a delivery with the first record, another where that was closed or its spool removed.

    Any thread may use it, a signal handler too, whatever it interrupts. In a forked child nothing
    is open.

    Args:
        make: opens a delivery.
        on_fork: called in a forked child, once what the parent has open is let go.

    Attributes:
        delivery: the one that is open, though its spool may be gone; None where there is none.
        ended: whether `opened_once` opens none any more.
    """

    def __init__(
        self, make: Callable[[], Delivery], on_fork: Callable[[], None] = lambda: None
    ) -> None:
        self._make = make
        self._on_fork = on_fork
        self._lock = native.RLock()
        self._again = 0.0
        self.delivery: Delivery | None = None
        self.ended = False
        # A weak reference: a hook can never be taken back, and must not keep everything alive.
        held = weakref.WeakMethod(self._forget)

        def in_child() -> None:
            forget = held()
            if forget is not None:
                forget()

        os.register_at_fork(after_in_child=in_child)

    def opened(self) -> Delivery:
        """The delivery that is open; opens one where none is, or its spool is gone.

        Raises:
            Exception: it cannot be opened. That is tried once a second: it touches the disk.
        """
        with self._lock:
            return self._usable() or self._adopted(self._made())

    def opened_once(self) -> Delivery:
        """The delivery that is open; opens one where none is, unless `end` was called.

        Raises:
            SpoolClosedError: it was.
            SpoolError: none can be opened.
        """
        with self._lock:
            if self.ended:
                raise SpoolClosedError("the spool is closed")
            try:
                return self.opened()
            except (OSError, SettingsError) as error:
                raise SpoolError(f"the spool cannot be opened: {error}") from error

    def end(self) -> Delivery | None:
        """The delivery that is open, for the one who closes it; `opened_once` opens none again."""
        with self._lock:
            self.ended = True
            return self.delivery

    def instead_of(self, closed: Delivery) -> Delivery:
        """The delivery that follows one that was closed or is gone; raises as `opened` does."""
        with self._lock:
            if not closed.gone:
                self.let_go(closed)
            return self.opened()

    def let_go(self, closed: Delivery) -> None:
        """This delivery is open no more."""
        with self._lock:
            if self.delivery is closed:
                self.delivery = None

    def _made(self) -> Delivery:
        if time.monotonic() < self._again:
            raise SpoolError("the spool could not be opened a moment ago")
        try:
            return self._make()
        except Exception:
            self._again = time.monotonic() + _AGAIN_SECONDS
            raise

    def _adopted(self, made: Delivery) -> Delivery:
        """The delivery to use: a signal handler that scored while this was made was faster."""
        usable = self._usable()
        if usable is not None:
            made.close(drain_seconds=0)
            return usable
        gone, self.delivery = self.delivery, made
        if gone is not None:
            gone.leave()
        return made

    def _usable(self) -> Delivery | None:
        return None if self.delivery is None or self.delivery.gone else self.delivery

    def _forget(self) -> None:
        """In a forked child: what is open belongs to the parent."""
        self._lock = native.RLock()
        self._again = 0.0
        delivery, self.delivery = self.delivery, None
        if delivery is not None:
            delivery.abandon()
        self._on_fork()
