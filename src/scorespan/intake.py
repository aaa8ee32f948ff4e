"""The intake: takes scoring spans from a door and answers for them.

It encodes a span, puts it in the spool, and only then says yes. It owns the spool and the delivery
worker of this process, and opens them with the first span, so that a process that forks before has
nothing to share.
"""

from __future__ import annotations

from collections.abc import Sequence

from scorespan.conversion.numbered import NumberedSpan, NumberedSpans
from scorespan.conversion.span import Ids, ScoringSpan
from scorespan.delivery.batch import ledger_item
from scorespan.delivery.delivery import Delivery
from scorespan.delivery.instruments import instruments
from scorespan.delivery.opening import Opening
from scorespan.delivery.refused import Refused
from scorespan.delivery.subscription_switch import PERIOD, place_of
from scorespan.errors import SpoolClosedError, SpoolError, SpoolGoneError
from scorespan.producer import Counted
from scorespan.settings import Settings
from scorespan.spool.ledger import REFUSED, SWITCHED_OFF
from scorespan.spool.root import default_root, prepare_root
from scorespan.telemetry import RepeatedLog
from scorespan.threads import wait_apart


class Intake:
    """The way in for scoring spans of this process.

    Args:
        settings: where to, and how.
        asked_every: seconds between two questions for the configuration of the subscriptions that
            are scored for, at least and at most.

    Raises:
        SettingsError: from the constructor, where settings are missing or the spool root cannot
            be used.
    """

    def __init__(self, settings: Settings, *, asked_every: tuple[float, float] = PERIOD) -> None:
        settings.check_delivery()
        self.settings = settings
        self._asked_every = asked_every
        self.root = settings.spool_dir or default_root()
        prepare_root(self.root)
        instruments.make()
        self._ids = Ids(settings.binding_id, settings.subscription_id, settings.deployment_id)
        self._opening = Opening(self._made, self._renew)
        self._renew()

    def accept(self, span: ScoringSpan) -> bool:
        """Take one span; true when it is in the spool, or was switched off.

        What the span leaves open (ids, producer, sequence) is filled in. A span that the spool
        refuses is counted as refused, and the reason is logged. One whose subscription's payload
        logging is known to be off is counted as switched off, by its id; its bodies go nowhere.
        Never raises for what happens on the disk; never waits for the network, and for a sync only
        where the settings say `durable`.
        """
        if span.producer_id is not None:
            self._counted.note(span.producer_id)
        numbered = NumberedSpan(span, self._counted.own, self._ids)
        try:
            delivery = self._opening.delivery or self._opening.opened()
            # Where its directory was removed the put finds out, and opens another.
            if (
                (off := delivery.switch.off)
                and place_of(span, self._ids) in off
                and not delivery.gone
            ):
                self._refuse(self._named(numbered), SWITCHED_OFF)
                return True
            try:
                delivery.put(numbered.encode, numbered.size)
            except (SpoolClosedError, SpoolGoneError):  # since; what comes then opens another
                self._opening.instead_of(delivery).put(numbered.encode, numbered.size)
        except Exception as error:  # noqa: BLE001 - whatever it is, the scoring must not see it
            self._log.warning("refused", "a record is refused: %s", error)
            self._refuse(self._named(numbered))
            return False
        return True

    def open(self) -> None:
        """Open the spool now instead of with the first span, and deliver what others left.

        Raises:
            SpoolClosedError: after `close`.
            SpoolError: it cannot be opened.
        """
        self._opening.opened_once()

    def accept_all(self, spans: Sequence[ScoringSpan]) -> None:
        """Take spans that their sender keeps until this has returned; any thread.

        When it returns all are in the spool; where the settings say `durable`, on the disk. Those
        whose subscription's payload logging is known to be off are counted as switched off instead.
        What they leave open is filled in. Where it raises, some may have been kept: the sender has
        all of them and sends them again, so none is counted as refused, but for a number that was
        given to one here and that nobody else will have.

        Raises:
            SpoolFullError: no room for all of them now; `SpoolSmallError`: never.
            SpoolClosedError: after `close`; no spool is opened again.
            SpoolGoneError: the spool was removed; the next call opens another.
            SpoolError: the disk fails, or the spool cannot be opened.
        """
        delivery = self._opening.opened_once()
        kept, off = delivery.switch.parted(spans, self._ids)
        if kept:
            numbered = NumberedSpans(kept, self._counted.own, self._ids)
            try:
                delivery.put_all(numbered.parts(), numbered.size)
            except BaseException:
                for span in numbered.named():
                    self._refuse(span)
                raise
        for span in off:
            single = NumberedSpan(span, self._counted.own, self._ids)
            self._refuse(self._named(single), SWITCHED_OFF)

    def not_ready(self) -> str | None:
        """Why `accept_all` would raise now, as far as is known; None: it would not."""
        if self._opening.delivery is None or self._opening.ended:
            return "the spool is not open"
        try:  # where the spool was removed this opens another, as a span would
            return self._opening.opened_once().refusal()
        except SpoolError as error:
            return str(error)

    def refuse(self) -> None:
        """Count a scoring of which nothing could be read."""
        self._refuse(self._named(NumberedSpan(ScoringSpan(), self._counted.own, self._ids)))

    def flush(self, timeout: float = 10.0) -> bool:
        """Deliver what was accepted; false where that took longer than `timeout` seconds."""
        delivery = self._opening.delivery
        return delivery is None or wait_apart(lambda: delivery.flush(timeout))

    def close(self) -> None:
        """Drain for `shutdown_seconds`, then stop; the rest is on disk. Idempotent.

        A span that comes later, as from a thread that outlives the end of its process, opens a
        spool again.
        """
        delivery = self._opening.end()
        if delivery is not None:
            wait_apart(lambda: delivery.close(self.settings.shutdown_seconds))
            self._opening.let_go(delivery)

    def _made(self) -> Delivery:
        prepare_root(self.root)  # it may have been removed since
        return Delivery(
            self.settings,
            self.root,
            self._log,
            self._refused,
            self._counted,
            asked_every=self._asked_every,
        )

    def _renew(self) -> None:
        """Begin anew; in a forked child, what was said, numbered and refused is the parent's."""
        # Its own: numbers that went to another spool would be missing in this one's account.
        self._counted = Counted()
        self._log = RepeatedLog()
        self._refused = Refused()

    def _named(self, numbered: NumberedSpan) -> ScoringSpan:
        delivery = self._opening.delivery
        # Numbers are given while nobody writes: those of a write that fails are given again.
        return numbered.named() if delivery is None else delivery.between_puts(numbered.named)

    def _refuse(self, span: ScoringSpan, outcome: str = REFUSED) -> None:
        delivery = self._opening.delivery
        # Where none could be opened, it is told to the ledger when one can be.
        (self._refused.add if delivery is None else delivery.refuse)(ledger_item(span, outcome))
