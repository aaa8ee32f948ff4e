"""The delivery worker: claim, convert, send, settle, in a thread of its own."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence

from scorespan.delivery.batch import Ready, dead_letter, read_items
from scorespan.delivery.client import MartClient
from scorespan.delivery.retry import (
    BLOCKED_SECONDS,
    SWITCHED_OFF,
    Accepted,
    Blocked,
    Outcome,
    Refusal,
    Rejected,
    Retryable,
    backoff,
)
from scorespan.delivery.settle import Settler
from scorespan.record import wire_list
from scorespan.spool.ledger import STORED
from scorespan.spool.ledger import SWITCHED_OFF as LEDGER_SWITCHED_OFF
from scorespan.spool.reader import Entry
from scorespan.spool.spool import ADOPT_SECONDS, Spool
from scorespan.telemetry import RepeatedLog, logger

BATCH_BYTES = 1024 * 1024
BATCH_RECORDS = 1000
LINGER_SECONDS = 0.5


class _Stopping(Exception):  # noqa: N818 - not an error: unwinds a delivery that shutdown ends
    """Shutdown has come; what is not settled stays in the spool."""


class DeliveryWorker:
    """Delivers what the spool holds, oldest first, until it is stopped.

    Every entry ends in exactly one way: stored, dead-lettered, withheld or switched off. An entry
    whose delivery was interrupted stays in the spool and is sent again; the mart's key makes that
    safe.

    Args:
        spool: what to deliver.
        client: where to.
        settler: writes down what became of an entry.
        log: where faults are reported.
        linger: seconds to wait for a batch to fill.
        chance: for jitter.
        first_wait, longest_wait: bounds of the waiting between attempts, in seconds.
    """

    def __init__(  # noqa: PLR0913 - time and chance are parameters
        self,
        spool: Spool,
        client: MartClient,
        settler: Settler,
        *,
        log: RepeatedLog | None = None,
        linger: float = LINGER_SECONDS,
        chance: random.Random | None = None,
        first_wait: float = 0.5,
        longest_wait: float = 60.0,
        blocked_wait: float = BLOCKED_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._client = client
        self._settler = settler
        self._log = log or RepeatedLog()
        self._linger = linger
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._blocked_wait = blocked_wait
        self._clock = clock
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._idle = threading.Condition()
        self._passes = 0
        self._flushing = 0
        self._next_adoption = 0.0
        self._faults = 0
        self._kind: str | None = None
        self.blocked: str | None = None
        self._thread = threading.Thread(target=self._run, name="scorespan-deliver", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def flush(self, timeout: float) -> bool:
        """Deliver what was put before this call; false where time ran out first."""
        deadline = self._clock() + timeout
        with self._idle:
            # A pass that is under way may have claimed before the last put: the next one has not.
            wanted = self._passes + 2
            self._flushing += 1
            self._hurry.set()
            try:
                while self._passes < wanted:
                    left = deadline - self._clock()
                    if left <= 0 or not self._thread.is_alive() or self._spool.gone:
                        return False
                    self._spool.arrived.set()
                    self._idle.wait(min(left, 0.05))
            finally:
                self._flushing -= 1
                if not self._flushing:
                    self._hurry.clear()
        return True

    def stop(self, drain_seconds: float) -> bool:
        """Drain for at most so many seconds, then end; the rest stays in the spool.

        Returns:
            Whether the thread has ended. It has not where a request is still without an answer;
            then the spool must be left to it until the process ends.
        """
        deadline = self._clock() + drain_seconds
        if drain_seconds > 0:
            self.flush(drain_seconds)
        self._stop.set()
        self._spool.arrived.set()
        self._hurry.set()
        self._thread.join(timeout=max(0.25, deadline - self._clock()))
        return not self._thread.is_alive()

    def _run(self) -> None:
        with contextlib.suppress(_Stopping):
            while not self._stop.is_set():
                self._pass()
                self._spool.arrived.wait(timeout=ADOPT_SECONDS)
                self._spool.arrived.clear()
                if not self._stop.is_set():
                    self._hurry.wait(timeout=self._linger)

    def _pass(self) -> None:
        """Deliver what is in the spool now."""
        try:
            more = True
            while more and not self._stop.is_set():
                taken = self._adopt()
                entries, more = self._spool.claim(BATCH_BYTES, BATCH_RECORDS)
                self._deliver(entries)
                self._settler.write_status(blocked=self.blocked)
                more = more or taken
        except _Stopping:
            raise
        except Exception as error:  # noqa: BLE001 - the thread must outlive any fault; it is logged
            # The type alone: the text of a foreign error may hold what was being converted.
            self._log.warning("worker", "delivery: %s", type(error).__name__)
            self._spool.release()
            self._spool.arrived.set()
            self._faults += 1
            self._wait(self._backoff(self._faults))
            return
        self._faults = 0
        with self._idle:
            self._passes += 1
            self._idle.notify_all()

    def _adopt(self) -> bool:
        """Take over what dead processes left, now and then or while there is more of it."""
        due = self._clock() >= self._next_adoption
        if not due and not self._spool.orphans_left:
            return False
        if due:
            started = self._clock()
            self._spool.recount()
            # Many dead letters take long to count: at most one part in fifty of the time.
            took = self._clock() - started
            self._next_adoption = started + max(ADOPT_SECONDS, 50 * took)
        taken = self._spool.adopt()
        self._settler.inherit(taken)
        return bool(taken)

    def _deliver(self, entries: Sequence[Entry]) -> None:
        ready, unreadable = read_items(entries)
        if unreadable:
            letters = [dead_letter(one, one.error.code, one.error.reason) for one in unreadable]
            self._write_down(lambda: self._settler.dead_letter(unreadable, letters))
        if ready and self._mart_kind() == "openscale":
            ready = self._without_openscale(ready)
        if ready:
            self._send(ready)

    def _without_openscale(self, ready: list[Ready]) -> list[Ready]:
        """Set aside what the hosted mart has no place for, or would refuse for lack of an id."""
        failed = [one for one in ready if one.record.failed]
        if failed:
            reason = "the data mart has no place for a failed scoring"
            letters = [dead_letter(one, "failed_scoring", reason) for one in failed]
            self._write_down(lambda: self._settler.withhold(failed, letters))
        rest = [one for one in ready if not one.record.failed]
        unbound = [one for one in rest if one.record.binding_id is None]
        if unbound:
            reason = "no scoring.binding.id on the span or its resource, no SCORESPAN_BINDING_ID"
            dead = [dead_letter(one, "no_binding", reason) for one in unbound]
            self._write_down(lambda: self._settler.dead_letter(unbound, dead))
        return [one for one in rest if one.record.binding_id is not None]

    def _send(self, ready: Sequence[Ready]) -> None:
        """Send until every record is settled."""
        body = wire_list([one.record for one in ready], extras=self._kind == "scorespan")
        outcome, attempts = self._post_until_answered(body, len(ready))
        if isinstance(outcome, Accepted):
            self._write_down(lambda: self._settler.settle(ready, STORED))
        elif outcome.refusals:
            self._settle_refused(ready, outcome, attempts)
            named = {refusal.position for refusal in outcome.refusals}
            rest = [one for position, one in enumerate(ready) if position not in named]
            if rest:
                self._send(rest)
        elif len(ready) == 1:
            message = f"HTTP {outcome.status}"
            if outcome.status == 413:
                message += f": the record has {len(body)} bytes"
            alone = outcome._replace(refusals=(Refusal(0, "refused", message),))
            self._settle_refused(ready, alone, attempts)
        else:
            middle = len(ready) // 2
            self._send(ready[:middle])
            self._send(ready[middle:])

    def _settle_refused(self, ready: Sequence[Ready], outcome: Rejected, attempts: int) -> None:
        """Settle the records that the mart named: payload logging is off, or dead letters."""
        off = [refusal for refusal in outcome.refusals if refusal.code == SWITCHED_OFF]
        if off:
            unwanted = [ready[one.position] for one in off]
            self._write_down(lambda: self._settler.settle(unwanted, LEDGER_SWITCHED_OFF))
        dead = [refusal for refusal in outcome.refusals if refusal.code != SWITCHED_OFF]
        if dead:
            items = [ready[one.position] for one in dead]
            letters = [
                dead_letter(
                    item,
                    refusal.code,
                    refusal.message,
                    status=outcome.status,
                    answer=outcome.answer,
                    attempts=attempts,
                )
                for item, refusal in zip(items, dead, strict=True)
            ]
            self._write_down(lambda: self._settler.dead_letter(items, letters))

    def _post_until_answered(self, body: bytes, count: int) -> tuple[Accepted | Rejected, int]:
        """Post until the mart says yes or no to the records; with the number of posts it took."""
        attempt = 0
        refreshed = False
        while True:
            attempt += 1
            outcome = self._client.post_records(body, count=count)
            if isinstance(outcome, Blocked) and outcome.token and not refreshed:
                refreshed = True
                self._client.forget_token()
                continue
            if isinstance(outcome, (Accepted, Rejected)):
                self._resumed()
                return outcome, attempt
            self._pause(outcome, attempt)
            refreshed = False

    def _pause(self, outcome: Outcome, attempt: int) -> None:
        if isinstance(outcome, Blocked):
            self.blocked = outcome.reason
            self._log.warning(
                "blocked", "delivery is paused, nothing is dropped: %s", outcome.reason
            )
            self._client.forget_token()
            wait = self._blocked_wait
        else:
            reason = outcome.reason if isinstance(outcome, Retryable) else ""
            self._log.warning("retry", "delivery is waiting, nothing is dropped: %s", reason)
            wait = self._backoff(attempt)
            if isinstance(outcome, Retryable) and outcome.after is not None:
                wait = max(wait, outcome.after)
        self._settler.write_status(blocked=self.blocked)
        self._wait(wait)

    def _resumed(self) -> None:
        self.blocked = None
        if self._log.over("blocked") | self._log.over("retry"):
            logger.warning("delivery goes on")

    def _mart_kind(self) -> str:
        """The data mart's kind, asked for until there is an answer, and then known."""
        attempt = 0
        while self._kind is None:
            attempt += 1
            found = self._client.kind()
            if isinstance(found, str):
                self._kind = found
                self._resumed()
            else:
                self._pause(found, attempt)
        return self._kind

    def _write_down(self, write: Callable[[], None]) -> None:
        """Write down what is known already; where the disk refuses, wait and try that again.

        The mart has said its word: asking again because our disk is full would only load it.
        """
        attempt = 0
        while True:
            try:
                write()
            except OSError as error:
                attempt += 1
                self._log.warning(
                    "write", "what became of records cannot be written down: %s", error.strerror
                )
                self._wait(self._backoff(attempt))
            else:
                return

    def _backoff(self, attempt: int) -> float:
        return backoff(attempt, self._chance, first=self._first_wait, cap=self._longest_wait)

    def _wait(self, seconds: float) -> None:
        """Wait, while people can see how it stands."""
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            if self._stop.wait(min(left, 1.0)):
                raise _Stopping
            self._settler.write_status(blocked=self.blocked)
        if self._stop.is_set():
            raise _Stopping
