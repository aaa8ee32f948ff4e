"""The delivery worker: the thread that brings what the spool holds to the sender."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from scorespan.delivery.sender import Sender, Stopping
from scorespan.delivery.settle import Settler
from scorespan.spool.spool import ADOPT_SECONDS, Spool, SpoolMark
from scorespan.telemetry import RepeatedLog
from scorespan.threads import Bell, native, start

BATCH_BYTES = 1024 * 1024
BATCH_RECORDS = 1000
LINGER_SECONDS = 0.5


class _Flush:
    """Somebody waits until all that was put before the mark is settled."""

    def __init__(self, mark: SpoolMark) -> None:
        self.mark = mark
        self.done = False


class DeliveryWorker:
    """Delivers what the spool holds, oldest first, until it is stopped.

    Every entry ends in exactly one way: stored, dead-lettered, withheld or switched off. An entry
    whose delivery was interrupted stays in the spool and is sent again; the mart's key makes that
    safe.

    Args:
        spool: what to deliver.
        settler: writes down what became of an entry.
        sender: made from the event that stops it.
        at_end: called by the thread when it ends, however late that is.
        log: where faults are reported.
        linger: seconds to wait for a batch to fill.
        clock: seconds that only grow.

    Attributes:
        sender: what it counts can be read by any thread.
    """

    def __init__(  # noqa: PLR0913 - time is a parameter
        self,
        spool: Spool,
        settler: Settler,
        sender: Callable[[Bell], Sender],
        *,
        at_end: Callable[[], None] = lambda: None,
        log: RepeatedLog | None = None,
        linger: float = LINGER_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._settler = settler
        self._stop = Bell()
        self.sender = sender(self._stop)
        self._at_end = at_end
        self._log = log or RepeatedLog()
        self._linger = linger
        self._clock = clock
        self._hurry = Bell()
        self._idle = native.Condition()
        self._flushes: list[_Flush] = []
        self._next_adoption = 0.0
        self._faults = 0
        self._started = False
        self._thread = native.Thread(target=self._run, name="scorespan-deliver", daemon=True)

    @property
    def blocked(self) -> str | None:
        """Why delivery is paused; None while it is not."""
        return self.sender.blocked

    def start(self) -> None:
        """Start the thread; where the interpreter ends and has none, all stays in the spool."""
        self._started = start(self._thread)

    def flush(self, timeout: float) -> bool:
        """Settle what was put before this call; false where time ran out first.

        What is put meanwhile does not count. What is set aside does.
        """
        deadline = self._clock() + timeout
        flush = _Flush(self._spool.mark())
        with self._idle:
            self._flushes.append(flush)
            self._hurry.set()
            try:
                while not flush.done:
                    left = deadline - self._clock()
                    if left <= 0 or not self._thread.is_alive() or self._spool.gone:
                        return False
                    self._spool.arrived.set()
                    self._idle.wait(min(left, 0.05))
            finally:
                self._flushes.remove(flush)
                if not self._flushes:
                    self._hurry.clear()
        return True

    def stop(self, drain_seconds: float) -> bool:
        """Drain for at most so many seconds, then end; the rest stays in the spool.

        Returns:
            Whether the thread has ended. It has not where a request is still without an answer;
            the spool is its own until then.
        """
        deadline = self._clock() + drain_seconds
        if drain_seconds > 0:
            self.flush(drain_seconds)
        self.end()
        if not self._started:
            self._at_end()
            return True
        self._thread.join(timeout=max(0.25, deadline - self._clock()))
        return not self._thread.is_alive()

    def end(self) -> None:
        """Have the thread end soon, without waiting for it; what is claimed is not settled."""
        for event in (self._stop, self._spool.arrived, self._hurry):
            if not event.is_set():  # a signal handler may interrupt another's `set`, and its lock
                event.set()

    def _run(self) -> None:
        with contextlib.suppress(Stopping):
            while not self._stop.is_set():
                self._pass()
                left = self.sender.left
                self._spool.arrived.wait(
                    ADOPT_SECONDS if left is None else min(left, ADOPT_SECONDS)
                )
                self._spool.arrived.clear()
                if not self._stop.is_set():
                    self._hurry.wait(timeout=self._linger)
        self._at_end()

    def _pass(self) -> None:
        """Deliver what is in the spool now."""
        try:
            more = True
            while more and not self._stop.is_set():
                taken = self._adopt()
                entries, more = self._spool.claim(BATCH_BYTES, BATCH_RECORDS)
                self.sender.deliver(entries)
                self._settler.write_status(blocked=self.blocked)
                self._tell_flushed()
                more = more or taken
        except Stopping:
            raise
        except Exception as error:  # noqa: BLE001 - the thread must outlive any fault; it is logged
            # The type alone: the text of a foreign error may hold what was being converted.
            self._log.warning("worker", "delivery: %s", type(error).__name__)
            self.sender.forget()
            self._spool.release()
            self._spool.arrived.set()
            self._faults += 1
            self.sender.wait_after(self._faults)
            return
        self._faults = 0

    def _tell_flushed(self) -> None:
        """Let go whoever waits for what is settled now, however much has come behind it."""
        with self._idle:
            for flush in self._flushes:
                flush.done = flush.done or self._spool.passed(flush.mark)
            self._idle.notify_all()

    def _adopt(self) -> bool:
        """Take over what dead processes left, now and then or while there is more of it."""
        due = self._clock() >= self._next_adoption
        if not due and not self._spool.orphans_left:
            return False
        if due:
            started = self._clock()
            self._spool.keep_ballast()
            self._spool.recount()
            # Many dead letters take long to count: at most one part in fifty of the time.
            took = self._clock() - started
            self._next_adoption = started + max(ADOPT_SECONDS, 50 * took)
        taken = self._spool.adopt()
        self._settler.inherit(taken)
        return bool(taken)
