"""The sender: claimed entries in, every one of them settled out."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from errno import EDQUOT, ENOSPC
from typing import NamedTuple

from scorespan.delivery.batch import Ready, dead_letter, read_items
from scorespan.delivery.client import MartClient
from scorespan.delivery.retry import (
    BACKOFF_CAP,
    BACKOFF_FIRST,
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
from scorespan.telemetry import RepeatedLog, logger
from scorespan.threads import native

_LONGEST_SILENCE = 1.0


class Stopping(Exception):  # noqa: N818 - not an error: unwinds a delivery that shutdown ends
    """Shutdown has come; what is not settled stays in the spool."""


class Waits(NamedTuple):
    """Seconds: between attempts at first and at most, and while a route is blocked."""

    first: float = BACKOFF_FIRST
    longest: float = BACKOFF_CAP
    blocked: float = BLOCKED_SECONDS


class Sender:
    """Sends until every record of a claim is settled in exactly one way.

    Args:
        client: where to.
        settler: writes down what became of an entry.
        stop: ends every wait.
        log: where faults are reported.
        waits: how long to wait.
        chance: for jitter.
        clock: seconds that only grow.

    Attributes:
        blocked: why the route is paused; None while it is not.
    """

    def __init__(  # noqa: PLR0913 - time and chance are parameters
        self,
        client: MartClient,
        settler: Settler,
        stop: native.Event,
        *,
        log: RepeatedLog,
        waits: Waits | None = None,
        chance: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._settler = settler
        self._stop = stop
        self._log = log
        self._waits = waits or Waits()
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        self._clock = clock
        self._kind: str | None = None
        self.blocked: str | None = None

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Convert, send and settle.

        Raises:
            Stopping: shutdown came first; what is not settled stays in the spool.
        """
        ready, unreadable = read_items(entries)
        if unreadable:
            letters = [dead_letter(one, one.error.code, one.error.reason) for one in unreadable]
            self._write_down(lambda: self._settler.dead_letter(unreadable, letters))
        if ready and self._mart_kind() == "openscale":
            ready = self._without_openscale(ready)
        if ready:
            self._send(ready)

    def wait_after(self, faults: int) -> None:
        """Wait after so many faults in a row.

        Raises:
            Stopping: shutdown came first.
        """
        self._wait(self._backoff(faults))

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
        """Send until every record is settled; refused lists are parted and sent again."""
        lists = [ready]
        while lists:
            ready = lists.pop()
            body = wire_list([one.record for one in ready], extras=self._kind == "scorespan")
            outcome, attempts = self._post_until_answered(body, len(ready))
            if isinstance(outcome, Accepted):
                self._settle_stored(ready)
            elif outcome.refusals:
                self._settle_refused(ready, outcome, attempts)
                named = {refusal.position for refusal in outcome.refusals}
                rest = [one for position, one in enumerate(ready) if position not in named]
                lists += [rest] if rest else []
            elif len(ready) == 1:
                message = f"HTTP {outcome.status}"
                if outcome.status == 413:
                    message += f": the record has {len(body)} bytes"
                alone = outcome._replace(refusals=(Refusal(0, "refused", message),))
                self._settle_refused(ready, alone, attempts)
            else:
                middle = len(ready) // 2
                lists += [ready[middle:], ready[:middle]]

    def _settle_stored(self, ready: Sequence[Ready]) -> None:
        self._write_down(lambda: self._settler.settle(ready, STORED))

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
            wait = self._waits.blocked
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
                if error.errno in {ENOSPC, EDQUOT}:
                    self._settler.make_room()
                self._wait(self._backoff(attempt))
            else:
                return

    def _backoff(self, attempt: int) -> float:
        return backoff(attempt, self._chance, first=self._waits.first, cap=self._waits.longest)

    def _wait(self, seconds: float) -> None:
        """Wait, while people can see how it stands."""
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            if self._stop.wait(min(left, _LONGEST_SILENCE)):
                raise Stopping
            self._settler.write_status(blocked=self.blocked)
        if self._stop.is_set():
            raise Stopping
