"""The hosted mart's rows, compared by scoring id with what the ledger says.

It knows no producers, tells no whole records, and shows what it has taken only after a while.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from scorespan.reconcile.asked import Asked, Findings
from scorespan.reconcile.gaps import Lost
from scorespan.reconcile.payload import MartRecord, Payload
from scorespan.reconcile.report import Doubled, Short
from scorespan.spool.counts import Source, Spot
from scorespan.spool.ledger import STORED
from scorespan.spool.ranges import Ranges

_WALKS = 3
_SHOWING_SECONDS = 5.0
"""How long the hosted mart is given to show what it has taken."""


class RowsSide:
    """Compares one subscription after the other.

    Memory: the ids of one subscription's records, some 300 bytes each. A table that changes while
    it is read shows some rows twice, or late: then it is read again, and only what every walk says
    is said.
    """

    def __init__(
        self, asked: Asked, payload: Payload, *, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self._asked = asked
        self._payload = payload
        self._wait = wait

    def walk(self) -> None:
        """Nothing: the rows say nothing of numbers."""

    def look(self, wanted: Mapping[Source, Ranges]) -> None:
        """Nothing: the same."""

    def find(self, wanted: Mapping[Source, Ranges]) -> Findings:  # noqa: ARG002 - it has no numbers
        """Walk through the table of every subscription that the ledger knows."""
        found = Findings([], [], [], [], [], [], [])
        subscriptions = {
            spot.subscription_id
            for route, outcome, spot, _ in self._asked.tally.totals()
            if outcome == STORED and self._asked.concerns(route, spot)
        }
        for subscription_id in sorted(subscriptions):
            self._find(subscription_id, found)
        return found

    def _find(self, subscription_id: str, found: Findings) -> None:
        sought: dict[str, list[tuple[Source, int, Spot]]] = {}
        for source, number, spot, scoring_id in self._asked.sought():
            if spot.subscription_id == subscription_id:
                sought.setdefault(scoring_id, []).append((source, number, spot))
        walk = self._walked(subscription_id, set(sought))
        for scoring_id, ((source, number, spot), *again) in sought.items():
            if scoring_id in walk.sought:
                found.lost.append(Lost(spot, scoring_id, source.producer_id, number))
            else:
                self._asked.tally.found_by_id(source, number)
            # Numbers that share an id are one record, which was sent more than once.
            found.repeated.extend(
                Lost(its_spot, scoring_id, its_source.producer_id, its_number)
                for its_source, its_number, its_spot in again
            )
        found.doubled.extend(
            Doubled(subscription_id, scoring_id, times)
            for scoring_id, times in sorted((walk.doubled or {}).items())
        )
        # Of records whose ids have gone only the counts can be compared.
        for spot, count in sorted(self._counted(subscription_id).items()):
            lacking = count - len(walk.unknown.get(spot, ()))
            if lacking > 0:
                found.short.append(Short(spot, lacking))

    def _walked(self, subscription_id: str, sought: set[str]) -> _Walk:
        walk = _Walk(self._payload, subscription_id, self._asked.window.first, sought)
        steady = walk.take()
        for _ in range(_WALKS - 1):
            if steady and not walk.sought:
                break
            if walk.sought:
                self._wait(_SHOWING_SECONDS)
            steady = walk.take()
        return walk

    def _counted(self, subscription_id: str) -> Counter[Spot]:
        counted: Counter[Spot] = Counter()
        for source, spot, count in self._asked.tally.counted.stored():
            if spot.subscription_id == subscription_id and self._asked.concerns(source.route, spot):
                counted[spot] += count
        return counted


class _Walk:
    """What all walks through one table found together.

    Attributes:
        sought: scoring ids that no walk has met.
        doubled: records that every walk met more than once, or that a steady one did.
        unknown: hashes of the ids that were not sought, by where they count.
    """

    def __init__(
        self, payload: Payload, subscription_id: str, first: float, sought: set[str]
    ) -> None:
        self._payload = payload
        self._subscription_id = subscription_id
        self._first = first
        self._named = frozenset(sought)
        self.sought = sought
        self.doubled: dict[str, int] | None = None
        self.unknown: dict[Spot, set[int]] = {}

    def take(self) -> bool:
        """Walk once; says whether the table stood still meanwhile."""
        rows = self._payload.row_count(self._subscription_id)
        doubled: dict[str, int] = {}
        for record, times in self._payload.rows(self._subscription_id):
            if record.minute < self._first:
                break  # the newest come first
            scoring_id = self._id_of(record)
            if scoring_id in self._named:
                self.sought.discard(scoring_id)
            else:
                spot = Spot(record.subscription_id, record.deployment_id, record.minute)
                self.unknown.setdefault(spot, set()).add(hash(scoring_id))
            if times > 1:
                doubled[scoring_id] = max(times, doubled.get(scoring_id, 0))
        steady = self._payload.row_count(self._subscription_id) == rows
        if steady or self.doubled is None:
            self.doubled = doubled
        else:
            self.doubled = {one: times for one, times in doubled.items() if one in self.doubled}
        return steady

    def _id_of(self, record: MartRecord) -> str:
        """A row's id without the row's number."""
        scoring_id, dash, number = record.scoring_id.rpartition("-")
        if record.scoring_id in self._named or not dash or not number.isdigit():
            return record.scoring_id
        return scoring_id
