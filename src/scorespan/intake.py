"""The intake: takes scoring spans from a door and answers for them.

It encodes a span, puts it in the spool, and only then says yes. It owns the spool and the delivery
worker of this process, and opens them with the first span, so that a process that forks before has
nothing to share.
"""

from __future__ import annotations

from typing import Any

from scorespan.conversion.numbered import NumberedSpan
from scorespan.conversion.span import ScoringSpan, escape_surrogates
from scorespan.delivery.batch import ledger_item
from scorespan.delivery.delivery import Delivery
from scorespan.delivery.instruments import instruments
from scorespan.delivery.opening import Opening
from scorespan.delivery.refused import Refused
from scorespan.errors import SpoolClosedError
from scorespan.producer import Counted
from scorespan.settings import Settings
from scorespan.spool.ledger import REFUSED, LedgerItem
from scorespan.spool.root import default_root, prepare_root
from scorespan.telemetry import RepeatedLog
from scorespan.threads import wait_apart


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
        instruments.make()
        self._opening = Opening(self._made, self._renew)
        self._renew()

    def open(self) -> None:
        """Open spool and delivery now, before the first span; what others left is delivered.

        Raises:
            SpoolError: the spool cannot be used.
            OSError: likewise.
        """
        self._opening.opened()

    def accept(self, span: ScoringSpan) -> bool:
        """Take one span; true when it is in the spool.

        What the span leaves open (ids, producer, sequence) is filled in. A span that the spool
        refuses is counted as refused, and the reason is logged. Never raises for what happens
        on the disk; never waits for the network, and for a sync only where the settings say
        `durable`.
        """
        if (
            span.subscription_id is None
            or span.deployment_id is None
            or (span.binding_id is None and self.settings.binding_id is not None)
        ):
            span = self._completed(span)
        if span.producer_id is not None:
            self._counted.note(span.producer_id)
        numbered = NumberedSpan(span, self._counted.own)
        try:
            delivery = self._opening.delivery or self._opening.opened()
            try:
                delivery.put(numbered.encode, numbered.size)
            except SpoolClosedError:  # closed since; what comes then opens another
                self._opening.instead_of(delivery).put(numbered.encode, numbered.size)
        except Exception as error:  # noqa: BLE001 - whatever it is, the scoring must not see it
            self._log.warning("refused", "a record is refused: %s", error)
            self._refuse(numbered.named())
            return False
        return True

    def refuse(self) -> None:
        """Count a scoring of which nothing could be read."""
        self._refuse(NumberedSpan(self._completed(ScoringSpan()), self._counted.own).named())

    def flush(self, timeout: float = 10.0) -> bool:
        """Deliver what was accepted; false where that took longer than `timeout` seconds."""
        delivery = self._opening.delivery
        return delivery is None or wait_apart(lambda: delivery.flush(timeout))

    def close(self) -> None:
        """Drain for `shutdown_seconds`, then stop; the rest is on disk. Idempotent.

        A span that comes later, as from a thread that outlives the end of its process, opens a
        spool again.
        """
        delivery = self._opening.delivery
        if delivery is not None:
            wait_apart(lambda: delivery.close(self.settings.shutdown_seconds))
            self._opening.let_go(delivery)

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

    def _made(self) -> Delivery:
        return Delivery(self.settings, self.root, self._log, self._refused, self._counted)

    def _renew(self) -> None:
        """Begin anew; in a forked child, what was said, numbered and refused is the parent's."""
        # Its own: numbers that went to another spool would be missing in this one's account.
        self._counted = Counted()
        self._log = RepeatedLog()
        self._refused = Refused()

    def _refuse(self, span: ScoringSpan) -> None:
        # As an entry is encoded: one that has no UTF-8 would stop the ledger for all that follow.
        item = LedgerItem._make(escape_surrogates(ledger_item(span, REFUSED)))
        delivery = self._opening.delivery
        if delivery is not None:
            delivery.refuse(item)
        else:
            # The spool could not be opened: told to the ledger when it can be.
            self._refused.add(item)
