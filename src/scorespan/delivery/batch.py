"""Items and batches: claimed entries with what conversion made of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from scorespan.conversion.convert import convert
from scorespan.conversion.span import ScoringSpan, decode
from scorespan.errors import ConversionError, SpoolDamagedError
from scorespan.record import GENERIC_DEPLOYMENT, PayloadRecord
from scorespan.spool.dead import DeadLetter
from scorespan.spool.ledger import LedgerItem
from scorespan.spool.reader import Entry

_MINUTE_NS = 60_000_000_000


class Item(NamedTuple):
    """One entry on its way: its span, and its record or the reason why there is none."""

    entry: Entry
    span: ScoringSpan
    outcome: PayloadRecord | ConversionError

    def ledger_item(self, outcome: str) -> LedgerItem:
        """How the ledger names this record."""
        span = self.span
        return LedgerItem(
            outcome,
            span.subscription_id or "",
            span.deployment_id or GENERIC_DEPLOYMENT,
            span.producer_id or "",
            span.sequence or 0,
            span.key,
            span.start_time // _MINUTE_NS,
        )

    def dead_letter(
        self,
        code: str,
        reason: str,
        *,
        status: int | None = None,
        answer: str | None = None,
        attempts: int = 0,
    ) -> DeadLetter:
        """The entry as a dead letter with this reason."""
        span = self.span
        return DeadLetter(
            self.entry.body,
            code,
            reason,
            status,
            answer,
            attempts,
            span.key,
            span.subscription_id,
            span.deployment_id,
            span.producer_id,
            span.sequence,
        )


def read_items(entries: Iterable[Entry]) -> list[Item]:
    """Claimed entries, decoded and converted. Never raises: what cannot be read says so."""
    items = []
    for entry in entries:
        try:
            span = decode(entry.body)
        except SpoolDamagedError as error:
            items.append(Item(entry, ScoringSpan(), ConversionError("damaged", str(error))))
        else:
            items.append(Item(entry, span, convert(span)))
    return items
