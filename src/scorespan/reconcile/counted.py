"""The counted: records whose ids have gone, of which the ledger keeps numbers and counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scorespan.delivery.batch import is_place
from scorespan.spool.counts import Counts, Ended, Source, Spot
from scorespan.spool.ledger import DAMAGED, DEAD_LETTERED, MOVED, STORED
from scorespan.spool.ranges import Ranges
from scorespan.spool.root import Route


class Counted:
    """What the ledger's counts say, and which of it the data mart has shown.

    Attributes:
        counts: what the ledger kept.
    """

    def __init__(self) -> None:
        self.counts = Counts()
        self._found: dict[Source, Ranges] = {}

    def add(self, counts: Counts, wanted: Mapping[Source, Ranges]) -> None:
        """Count those of the wanted numbers that are among these counts."""
        for source, open_ in wanted.items():
            for outcome, ended in counts.ended.get(source, {}).items():
                kept = self.counts.ended.setdefault(source, {}).setdefault(outcome, Ended())
                # Which number counts where is not known any more: one is as good as another.
                spots = (ended.spots - kept.spots).elements()
                for number in ended.ranges.among(open_):
                    if number not in kept.ranges:
                        kept.ranges.add(number, number)
                        kept.spots[next(spots, Spot("", "", 0))] += 1

    def find(self, source: Source, number: int) -> bool:
        """The data mart has this number; says whether it is counted as stored."""
        if self.counts.outcome_of(source, number) != STORED:
            return False
        self._found.setdefault(source, Ranges()).add(number, number)
        return True

    def sought(self) -> dict[Source, Ranges]:
        """Numbers that are counted as stored and the data mart has not shown."""
        left: dict[Source, Ranges] = {}
        for source, stored in self._stored():
            found = self._found.get(source, Ranges())
            open_ = Ranges(
                stretch for first, last in stored.ranges for stretch in found.missing(first, last)
            )
            if open_:
                left[source] = open_
        return left

    def stored(self) -> Iterator[tuple[Source, Spot, int]]:
        """How many records are counted as stored, and where."""
        for source, stored in self._stored():
            for spot, count in stored.spots.items():
                yield source, spot, count

    def take(self, route: Route | None, spot: Spot, count: int) -> None:
        """So many records that count as stored there, whichever they are, are missing."""
        for source, stored in self._stored():
            if source.route == route:
                taken = min(count, stored.spots[spot])
                stored.spots[spot] -= taken
                count -= taken

    def totals(self, *, nameless: bool) -> Iterator[tuple[Route | None, str, Spot, int]]:
        """How many records count as what, and where; or entries that only have a place."""
        for source, ended in self.counts.ended.items():
            if is_place(source.producer_id) != nameless:
                continue
            for outcome, one in ended.items():
                term = DEAD_LETTERED if outcome in {DAMAGED, MOVED} else outcome
                for spot, count in one.spots.items():
                    yield source.route, term, spot, count

    def lettered(self) -> Iterator[tuple[Source, int]]:
        """Every record that should have a letter among the dead ones."""
        for source, ended in self.counts.ended.items():
            for outcome in (DEAD_LETTERED, DAMAGED):
                for first, last in ended[outcome].ranges if outcome in ended else ():
                    for number in range(first, last + 1):
                        yield source, number

    def highest(self, source: Source) -> int:
        """The highest number of a source that is certain; 0 where there is none."""
        ended = self.counts.ended.get(source, {})
        return max(
            (one.ranges.highest for outcome, one in ended.items() if outcome != DAMAGED), default=0
        )

    def _stored(self) -> Iterator[tuple[Source, Ended]]:
        for source, ended in self.counts.ended.items():
            if STORED in ended:
                yield source, ended[STORED]
