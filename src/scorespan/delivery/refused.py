"""The refused: records that the door turned away, until the ledger has them."""

from __future__ import annotations

from collections import deque

from scorespan.conversion.span import ScoringSpan, escape_surrogates
from scorespan.delivery.batch import ledger_item
from scorespan.spool.ledger import REFUSED, Ledger, LedgerItem
from scorespan.spool.ranges import Ranges
from scorespan.threads import native

MOST_NAMED = 100_000
"""Records that are remembered by name; of more, the numbers are."""


def refused_item(span: ScoringSpan) -> LedgerItem:
    """How the ledger names the record of a span that was refused.

    As an entry is encoded: one that has no UTF-8 would stop the ledger for all that follow.
    """
    return LedgerItem._make(escape_surrogates(ledger_item(span, REFUSED)))


class Refused:
    """What was refused and is not written down yet. Any thread adds; one writes."""

    def __init__(self) -> None:
        self._named: deque[LedgerItem] = deque()
        # By what such records share: one of them, and the numbers of all.
        self._numbers: dict[LedgerItem, Ranges] = {}
        self._lock = native.RLock()
        self._writing = native.Lock()

    def add(self, item: LedgerItem) -> None:
        """This record was refused."""
        if len(self._named) < MOST_NAMED:
            self._named.append(item)
            return
        shared = item._replace(sequence=0, scoring_id="")
        with self._lock:
            self._numbers.setdefault(shared, Ranges()).add(item.sequence, item.sequence)

    def write(self, ledger: Ledger) -> int:
        """Write down all that was refused until now; returns how many.

        Where another thread is at it, that one writes.

        Raises:
            OSError: it could not be written, and is kept.
        """
        if not self._writing.acquire(blocking=False):
            return 0
        try:
            return self._write(ledger)
        finally:
            self._writing.release()

    def _write(self, ledger: Ledger) -> int:
        # Callers add meanwhile; what comes later is written the next time.
        written = len(self._named)
        if written:
            ledger.append([self._named[place] for place in range(written)])
            for _ in range(written):
                self._named.popleft()
        while self._numbers:
            with self._lock:
                shared, numbers = self._numbers.popitem()
            try:
                ledger.append_ranges(shared, numbers)
            except OSError:
                with self._lock:
                    kept = self._numbers.setdefault(shared, Ranges())
                    for stretch in numbers:
                        kept.add(*stretch)
                raise
            written += numbers.count
        return written
