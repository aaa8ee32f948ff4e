"""The refused: records that the door turned away, until the ledger has them.

There was no room for them, or the payload logging of their subscription is switched off.
"""

from __future__ import annotations

from collections import deque

from scorespan.conversion.span import escape_surrogates
from scorespan.spool.ledger import Ledger, LedgerItem
from scorespan.spool.ranges import Ranges
from scorespan.threads import native

MOST_NAMED = 100_000
"""Records that are remembered by name; of more, the numbers are."""


class Refused:
    """What was turned away and is not written down yet. Any thread adds; one writes."""

    def __init__(self) -> None:
        self._named: deque[LedgerItem] = deque()
        # By what such records share: one of them, and the numbers of all.
        self._numbers: dict[LedgerItem, Ranges] = {}
        self._lock = native.RLock()
        self._writing = native.Lock()

    def add(self, item: LedgerItem) -> None:
        """This record was turned away."""
        if len(self._named) < MOST_NAMED:
            self._named.append(item)
            return
        shared = item._replace(sequence=0, scoring_id="")
        with self._lock:
            self._numbers.setdefault(shared, Ranges()).add(item.sequence, item.sequence)

    def write(self, ledger: Ledger, counts: dict[str, int]) -> None:
        """Write down all that was turned away until now, and add it to the counts by outcome.

        Where another thread is at it, that one writes.

        Raises:
            OSError: it could not be written, and is kept.
        """
        if not self._writing.acquire(blocking=False):
            return
        try:
            self._write(ledger, counts)
        finally:
            self._writing.release()

    def _write(self, ledger: Ledger, counts: dict[str, int]) -> None:
        # Callers add meanwhile; what comes later is written the next time.
        named = [self._named[place] for place in range(len(self._named))]
        if named:
            ledger.append(map(_escaped, named))
            for item in named:
                counts[item.outcome] += 1
                self._named.popleft()
        while self._numbers:
            with self._lock:
                shared, numbers = self._numbers.popitem()
            try:
                ledger.append_ranges(_escaped(shared), numbers)
            except OSError:
                with self._lock:
                    kept = self._numbers.setdefault(shared, Ranges())
                    for stretch in numbers:
                        kept.add(*stretch)
                raise
            counts[shared.outcome] += numbers.count


def _escaped(item: LedgerItem) -> LedgerItem:
    """As an entry has it: what has no UTF-8 would stop the ledger for all that follow."""
    return LedgerItem._make(escape_surrogates(item))
