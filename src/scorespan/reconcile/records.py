"""Our own data mart's records, compared with what the ledger says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from scorespan.reconcile.asked import Asked, Findings
from scorespan.reconcile.gaps import Gap, Lost
from scorespan.reconcile.payload import MartRecord, Payload
from scorespan.reconcile.report import Other
from scorespan.spool.counts import Source, Spot
from scorespan.spool.ranges import Ranges


class RecordsSide:
    """Compares by producer and number, and the scoring id of each; then once more by id alone.

    The second walk is made only where something seems to be missing. A record that was sent twice
    and got a number each time is there under one of them: the other one is no record.
    """

    def __init__(self, asked: Asked, payload: Payload) -> None:
        self._asked = asked
        self._payload = payload
        self._others: dict[str, Ranges] = {}
        self._other_records: Counter[str] = Counter()

    def walk(self) -> None:
        """Add to the tally what the mart has of the root's producers, and count the others'."""
        tally, sources = self._asked.tally, self._asked.sources()
        for record in self._payload.records():
            producer, number = record.producer_id, record.number
            source = None if producer is None else sources.get(producer)
            if source is not None and number is not None:
                tally.add_found(source, number, record.scoring_id, _spot(record))
                continue
            self._other_records[producer or ""] += 1
            if producer is not None and number is not None and number > 0:
                self._others.setdefault(producer, Ranges()).add(number, number)

    def look(self, wanted: Mapping[Source, Ranges]) -> None:
        """Look for numbers among what the mart has stored since the last walk."""
        for record in self._payload.newest():
            self._add_wanted(record, wanted)

    def find(self, wanted: Mapping[Source, Ranges]) -> Findings:
        """Walk once more for what the first walk has not met.

        That is what the ledger calls stored, and what comes from elsewhere and is wanted still.
        """
        asked, tally = self._asked, self._asked.tally
        sought = {
            (source, number): spot
            for source, number, spot in tally.sought()
            if asked.concerns(source.route, spot)
        }
        ids: dict[tuple[Source, int], str] = {}
        if sought or self._stretches():
            ids = {(source, number): found for source, number, _, found in asked.sought()}
        shown: set[tuple[str, str]] = set()
        if sought or self._stretches() or wanted:
            shown = self._walk_again(sought, ids, wanted)
        lost, repeated = [], []
        for (source, number), spot in sought.items():
            if tally.is_sought(source, number):
                scoring_id = ids.get((source, number))
                name = Lost(spot, scoring_id, source.producer_id, number)
                record = (spot.subscription_id, scoring_id or "")
                if record in shown:
                    repeated.append(name)
                else:
                    lost.append(name)
                if scoring_id is not None:
                    shown.add(record)
        unnamed = [
            Gap(source.producer_id, *stretch)
            for source, stretches in self._stretches().items()
            for stretch in stretches
        ]
        conflicts = self._payload.conflicts()
        return Findings(lost, unnamed, [], [], conflicts, self._other_producers(), repeated)

    def _walk_again(
        self,
        sought: dict[tuple[Source, int], Spot],
        ids: dict[tuple[Source, int], str],
        wanted: Mapping[Source, Ranges],
    ) -> set[tuple[str, str]]:
        """Walk once more; says which of the ids the mart has, under whatever number."""
        records = {
            (sought[name].subscription_id, scoring_id)
            for name, scoring_id in ids.items()
            if name in sought
        }
        shown: set[tuple[str, str]] = set()
        tally, sources, stretches = self._asked.tally, self._asked.sources(), self._stretches()
        for record in self._payload.records():
            if (record.subscription_id, record.scoring_id) in records:
                shown.add((record.subscription_id, record.scoring_id))
            producer, number = record.producer_id, record.number
            source = None if producer is None else sources.get(producer)
            if source is None or number is None:
                continue
            # Among what is sought are records that the ledger has only got since the first walk.
            if (source, number) in sought or number in stretches.get(source, ()):
                tally.add_found(source, number, record.scoring_id, _spot(record))
            self._add_wanted(record, wanted)
        return shown

    def _add_wanted(self, record: MartRecord, wanted: Mapping[Source, Ranges]) -> None:
        source = Source(self._asked.route, record.producer_id or "")
        if record.number is not None and record.number in wanted.get(source, ()):
            self._asked.tally.add_found(source, record.number, record.scoring_id, _spot(record))

    def _stretches(self) -> dict[Source, Ranges]:
        return {
            source: stretches
            for source, stretches in self._asked.tally.counted.sought().items()
            if source.route == self._asked.route
        }

    def _other_producers(self) -> list[Other]:
        others = []
        for producer, records in sorted(self._other_records.items()):
            known = self._others.get(producer, Ranges())
            open_ = sum(last - first + 1 for first, last in known.missing(1, known.highest))
            others.append(Other(producer, records, open_))
        return others


def _spot(record: MartRecord) -> Spot:
    return Spot(record.subscription_id, record.deployment_id, record.minute)
