"""The intake: takes scoring spans from a door and answers for them.

It encodes a span, puts it in the spool, and only then says yes. It owns the spool and the delivery
worker of this process, and opens them with the first span, so that a process that forks before has
nothing to share.
"""

from __future__ import annotations

import os
import time
import weakref
from typing import Any

from scorespan import producer
from scorespan.conversion.span import ScoringSpan, encode, escape_surrogates
from scorespan.delivery.batch import ledger_item
from scorespan.delivery.delivery import Delivery
from scorespan.delivery.refused import Refused
from scorespan.errors import SpoolClosedError, SpoolError
from scorespan.settings import Settings
from scorespan.spool.ledger import REFUSED, LedgerItem
from scorespan.spool.root import default_root, prepare_root
from scorespan.telemetry import RepeatedLog
from scorespan.threads import native, wait_apart

_OPEN_SECONDS = 1.0
_META_BYTES = 512
"""About what an entry takes beside its bodies."""


class _Entry:
    """A span on its way into the spool, which calls it when the entry is about to be written.

    Only then it gets its number: one given earlier would be missing for ever where the process is
    killed before the write.
    """

    __slots__ = ("_number", "span")

    def __init__(self, span: ScoringSpan) -> None:
        self.span = span
        self._number: tuple[str, int] | None = None

    def __call__(self) -> list[bytes]:
        """The entry, in pieces; called again, it keeps its number."""
        return encode(self.span, self.number())

    def number(self) -> tuple[str, int] | None:
        """Producer and number where the span has none of its own."""
        if self._number is None and (self.span.sequence is None or self.span.producer_id is None):
            self._number = producer.next_number()
        return self._number

    def size(self) -> int:
        """About how many bytes it takes."""
        request, response = self.span.request, self.span.response
        return _META_BYTES + len(request or b"") + len(response or b"")


class Intake:
    """The way in for scoring spans of this process.

    Raises:
        SettingsError: from the constructor, where settings are missing or the spool root cannot
            be used.
    """

    def __init__(self, settings: Settings) -> None:
        settings.check_delivery()
        self.settings = settings
        self.root = settings.spool_dir or default_root()
        prepare_root(self.root)
        self._log = RepeatedLog()
        self._lock = native.RLock()
        self._delivery: Delivery | None = None
        self._open_again = 0.0
        self._refused = Refused()
        # Numbers that went to another spool would look like missing ones in this one's account.
        producer.renew()
        _after_fork(self)

    def accept(self, span: ScoringSpan) -> bool:
        """Take one span; true when it is in the spool.

        What the span leaves open (ids, producer, sequence) is filled in. A span that the spool
        refuses is counted as refused, and the reason is logged. Never raises for what happens
        on the disk; never waits for the network or a sync.
        """
        if (
            span.subscription_id is None
            or span.deployment_id is None
            or (span.binding_id is None and self.settings.binding_id is not None)
        ):
            span = self._completed(span)
        entry = _Entry(span)
        try:
            delivery = self._delivery or self._open()
            try:
                delivery.put(entry, entry.size())
            except SpoolClosedError:  # closed since; what comes then opens another
                self._reopened(delivery).put(entry, entry.size())
        except Exception as error:  # noqa: BLE001 - whatever it is, the scoring must not see it
            self._log.warning("refused", "a record is refused: %s", error)
            self._refuse(entry)
            return False
        return True

    def refuse(self) -> None:
        """Count a scoring of which nothing could be read."""
        self._refuse(_Entry(self._completed(ScoringSpan())))

    def flush(self, timeout: float = 10.0) -> bool:
        """Deliver what was accepted; false where that took longer than `timeout` seconds."""
        delivery = self._delivery
        return delivery is None or wait_apart(lambda: delivery.flush(timeout))

    def close(self) -> None:
        """Drain for `shutdown_seconds`, then stop; the rest is on disk. Idempotent.

        A span that comes later, as from a thread that outlives the end of its process, opens a
        spool again.
        """
        delivery = self._delivery
        if delivery is not None:
            wait_apart(lambda: delivery.close(self.settings.shutdown_seconds))
            with self._lock:
                if self._delivery is delivery:
                    self._delivery = None

    def _completed(self, span: ScoringSpan) -> ScoringSpan:
        """The span with ids from the settings where it has none."""
        settings = self.settings
        missing: dict[str, Any] = {}
        if span.subscription_id is None:
            missing["subscription_id"] = settings.subscription_id
        if span.binding_id is None:
            missing["binding_id"] = settings.binding_id
        if span.deployment_id is None:
            missing["deployment_id"] = settings.deployment_id
        return span._replace(**missing)

    def _open(self) -> Delivery:
        with self._lock:
            return self._delivery or self._adopted(self._made())

    def _reopened(self, closed: Delivery) -> Delivery:
        with self._lock:
            if self._delivery is closed:
                self._delivery = None
            return self._open()

    def _made(self) -> Delivery:
        if time.monotonic() < self._open_again:
            raise SpoolError("the spool could not be opened a moment ago")
        try:
            return Delivery(self.settings, self.root, self._log, self._refused)
        except Exception:
            # Not on every scoring while it fails: an attempt touches the disk.
            self._open_again = time.monotonic() + _OPEN_SECONDS
            raise

    def _adopted(self, made: Delivery) -> Delivery:
        """The delivery to use: a signal handler that scored while this was made was faster."""
        if self._delivery is not None:
            made.close(drain_seconds=0)
            return self._delivery
        self._delivery = made
        return made

    def _refuse(self, entry: _Entry) -> None:
        span, number = entry.span, entry.number()
        if number is not None:
            span = span._replace(producer_id=number[0], sequence=number[1])
        # As an entry is encoded: one that has no UTF-8 would stop the ledger for all that follow.
        item = LedgerItem._make(escape_surrogates(ledger_item(span, REFUSED)))
        if self._delivery is not None:
            self._delivery.refuse(item)
        else:
            # The spool could not be opened: told to the ledger when it can be.
            self._refused.add(item)

    def _forget(self) -> None:
        """In a forked child: what is open belongs to the parent."""
        self._lock = native.RLock()
        self._log = RepeatedLog()
        self._refused = Refused()
        self._open_again = 0.0
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            delivery.abandon()


def _after_fork(intake: Intake) -> None:
    # A weak reference: a hook can never be taken back, and must not keep every intake alive.
    held = weakref.ref(intake)

    def in_child() -> None:
        alive = held()
        if alive is not None:
            alive._forget()  # noqa: SLF001 - the hook is the intake's own

    os.register_at_fork(after_in_child=in_child)
