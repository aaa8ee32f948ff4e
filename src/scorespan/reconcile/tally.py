"""The tally: what each number of each producer counts as, in a few bytes a record.

A record is known by its name: route, producer and number. Where several words are said of one
name, the strongest holds: the data mart has it, the ledger calls it stored, it waits in the spool,
it was moved to another route, what the ledger said last, what damaged bytes say of themselves. So
a dead letter that was requeued waits, and then is stored.

A name that damaged bytes gave fills a gap, and makes none: the number in it may be a wrong one.
Entries without a name, known by their place, count beside the terms: their numbers are gaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from scorespan.delivery.batch import is_place
from scorespan.reconcile.counted import Counted
from scorespan.reconcile.numbers import Numbers
from scorespan.spool.counts import Counts, Source, Spot, spot_of, stretches_of
from scorespan.spool.ledger import (
    DAMAGED,
    DEAD_LETTERED,
    MOVED,
    REFUSED,
    STORED,
    SWITCHED_OFF,
    WITHHELD,
    LedgerItem,
)
from scorespan.spool.ledger_files import Line, Records, Scored
from scorespan.spool.ranges import Ranges
from scorespan.spool.root import Route

WAITING = "waiting"
TERMS = (STORED, WAITING, DEAD_LETTERED, WITHHELD, REFUSED, SWITCHED_OFF)

_DAMAGED, _LAST_WORD, _MOVED, _IN_SPOOL, _IN_LEDGER, _IN_MART = 1, 2, 3, 4, 5, 6
_STRENGTHS = {STORED: _IN_LEDGER, WAITING: _IN_SPOOL, MOVED: _MOVED, DAMAGED: _DAMAGED}
_ALL_BITS = 2**64 - 1


class Standing(NamedTuple):
    """What records count as; `strength` decides between two words about one name.

    `nameless` ones are entries that are known by their place.
    """

    strength: int
    outcome: str
    route: Route | None
    spot: Spot
    nameless: bool = False


def _standing(outcome: str, source: Source, spot: Spot) -> Standing:
    strength = _STRENGTHS.get(outcome, _LAST_WORD)
    term = DEAD_LETTERED if outcome in {DAMAGED, MOVED} else outcome
    return Standing(strength, term, source.route, spot, is_place(source.producer_id))


class Tally:
    """Records by name.

    About 5 bytes a record, 13 with `hashes`; with `names` some 200.

    Args:
        unknown_route: the route of records whose ledger file does not name one.
        hashes: keep a 64-bit hash of every scoring id, to compare with the data mart's.
        names: keep every scoring id.

    Attributes:
        unknown_route: as given.
        counted: records whose ids have gone.
        scored: how far each source had counted itself; it counts in this root, where all that it
            numbers comes. Others send from elsewhere, and some of it perhaps to other roots.
        cut: ledger lines that could not be read.
        names: scoring ids, where they are kept.
        unexpected: records that the data mart has and the ledger does not call stored.
        by_others: the same, of sources that do not count here: other roots sent it.
    """

    def __init__(
        self, *, unknown_route: Route | None = None, hashes: bool = False, names: bool = False
    ) -> None:
        self.unknown_route = unknown_route
        self._standings: list[Standing] = [Standing(0, "", None, Spot("", "", 0))]
        self._ids: dict[Standing, int] = {}
        self._totals: list[int] = [0]
        self._numbers: dict[Source, Numbers] = {}
        self._hashes: dict[Source, Numbers] | None = {} if hashes else None
        self.counted = Counted()
        self._last_alike: tuple[object, ...] = ()
        self._last: tuple[Source, int] = (Source(None, ""), 0)
        self.names: dict[tuple[Source, int], str] | None = {} if names else None
        self.scored: dict[Source, int] = {}
        self.cut = 0
        self.unexpected = 0
        self.by_others = 0

    def source(self, route: Route | None, producer_id: str) -> Source:
        """The source of a route and producer; records without a route have the usual one."""
        return Source(route or self.unknown_route, producer_id)

    def add_scored(self, source: Source, highest: int) -> None:
        """A source says how far it has counted."""
        self.scored[source] = max(self.scored.get(source, 0), highest)

    def is_own(self, source: Source) -> bool:
        """Whether a source counts in this root."""
        return source in self.scored

    def add_item(self, route: Route | None, item: LedgerItem, *, damaged: bool = False) -> None:
        """What became of one record, whose name damaged bytes may have given."""
        alike = (route, damaged, item.minute, item[:4])
        # Neighbours mostly share all but the record itself.
        if alike != self._last_alike:
            source = self.source(route, item.producer_id)
            spot = Spot(item.subscription_id, item.deployment_id, item.minute)
            standing = _standing(item.outcome, source, spot)
            if damaged:
                standing = standing._replace(strength=_DAMAGED)
            self._last_alike, self._last = alike, (source, self._id(standing))
        source, value = self._last
        self._put(source, item.sequence, value, item.scoring_id)

    def add_line(self, line: Line, wanted: Mapping[Source, Ranges] | None = None) -> None:
        """What the ledger says, of all numbers or of those that are wanted. Never raises."""
        try:
            if isinstance(line, Records):
                self._add_records(line, wanted)
            elif isinstance(line, Scored):
                if wanted is None:
                    self.add_scored(self.source(line.route, line.producer_id), line.highest)
            else:
                self.cut += wanted is None
        except (TypeError, ValueError, OverflowError):
            self.cut += wanted is None

    def _add_records(self, line: Records, wanted: Mapping[Source, Ranges] | None) -> None:
        source = self.source(line.route, line.producer_id)
        only = None if wanted is None else wanted.get(source, Ranges())
        if wanted is not None and not only:
            return
        minute, value = -1, 0
        for number, scoring_id, its_minute in line.named:
            if its_minute != minute:
                minute = its_minute
                value = self._id(_standing(line.outcome, source, spot_of(line, minute)))
            if only is None or number in only:
                self._put(source, number, value, scoring_id)
        if line.stretches:
            value = self._id(_standing(line.outcome, source, spot_of(line, line.minute)))
            for first, last in line.stretches:
                for number in range(first, last + 1):
                    if only is None or number in only:
                        self._put(source, number, value, None)

    def add_counts(self, counts: Counts) -> None:
        """What the ledger kept when the ids had gone. To be called before lines are added."""
        self._settle_routes(counts)
        self.counted.counts = counts
        self.cut += counts.cut
        for source, highest in counts.scored.items():
            self.add_scored(source, highest)
        for source in counts.ended:
            numbers = self._numbers.get(source)
            for number, value in numbers.items() if numbers is not None else ():
                if not self._take_over(source, number, value):
                    self._drop(source, number)

    def add_counted(self, counts: Counts, wanted: Mapping[Source, Ranges]) -> None:
        """What became of wanted numbers whose ids have gone since `add_counts`."""
        self._settle_routes(counts)
        self.counted.add(counts, wanted)

    def _settle_routes(self, counts: Counts) -> None:
        for source in [one for one in counts.ended | counts.scored if one.route is None]:
            counts.rename(source, self.source(None, source.producer_id))

    def add_found(self, source: Source, number: int, scoring_id: str, spot: Spot) -> None:
        """The data mart has a record of a source that is known here."""
        numbers = self._numbers.get(source)
        value = 0 if numbers is None else numbers.get(number)
        if not value:
            if self.counted.find(source, number):
                return
            self._add_unexpected(source)
        else:
            strength, its_spot = self._standings[value].strength, self._standings[value].spot
            if strength == _IN_LEDGER:
                if not self._same_id(source, number, scoring_id, spot, its_spot):
                    return
                spot = its_spot
            elif strength in {_LAST_WORD, _MOVED}:
                self._add_unexpected(source)
        found = Standing(_IN_MART, STORED, source.route, spot)
        self._put(source, number, self._id(found), scoring_id)

    def _add_unexpected(self, source: Source) -> None:
        if self.is_own(source):
            self.unexpected += 1
        else:
            self.by_others += 1

    def found_by_id(self, source: Source, number: int) -> None:
        """The data mart has the record, though under another number."""
        spot = self._standings[self._numbers[source].get(number)].spot
        found = Standing(_IN_MART, STORED, source.route, spot)
        self._put(source, number, self._id(found), None)

    def is_sought(self, source: Source, number: int) -> bool:
        """Whether the ledger calls a named record stored and the data mart has not shown it."""
        numbers = self._numbers.get(source)
        return numbers is not None and self._strength(numbers.get(number)) == _IN_LEDGER

    def sought(self) -> Iterator[tuple[Source, int, Spot]]:
        """Records by name that the ledger calls stored and the data mart has not shown."""
        for source, numbers in self._numbers.items():
            for number, value in numbers.items():
                if self._strength(value) == _IN_LEDGER:
                    yield source, number, self._standings[value].spot

    def take_away(self, source: Source, first: int, last: int) -> None:
        """These records count as nothing any more: they are missing."""
        numbers = self._numbers.get(source)
        for number in range(first, last + 1):
            if numbers is not None and numbers.get(number):
                self._drop(source, number)
            else:
                self.counted.counts.take_out(source, number, Spot("", "", 0))

    def items(self) -> Iterator[tuple[Source, int, Standing]]:
        """Every record by name, in order; not those whose ids have gone."""
        for source, numbers in self._numbers.items():
            for number, value in numbers.items():
                yield source, number, self._standings[value]

    def totals(self) -> Iterator[tuple[Route | None, str, Spot, int]]:
        """How many records count as what, and where; one place may come several times."""
        for standing, count in zip(self._standings, self._totals, strict=True):
            if count and not standing.nameless:
                yield standing.route, standing.outcome, standing.spot, count
        yield from self.counted.totals(nameless=False)

    def nameless(self) -> Iterator[tuple[Route | None, str, int]]:
        """How many entries without a name count as what; one route may come several times."""
        for standing, count in zip(self._standings, self._totals, strict=True):
            if count and standing.nameless:
                yield standing.route, standing.outcome, count
        for route, outcome, _, count in self.counted.totals(nameless=True):
            yield route, outcome, count

    def lettered(self) -> Iterator[tuple[Source, int, Spot | None]]:
        """Every record that should have a letter among the dead ones.

        Its spot is None where its id has gone. A record that was moved should have none.
        """
        values = {
            value
            for value, standing in enumerate(self._standings)
            if self._totals[value]
            and standing.outcome == DEAD_LETTERED
            and standing.strength != _MOVED
        }
        for source, numbers in self._numbers.items() if values else ():
            for number, value in numbers.items():
                if value in values:
                    yield source, number, self._standings[value].spot
        for source, number in self.counted.lettered():
            yield source, number, None

    def sources(self) -> set[Source]:
        """Every source that is known, but for entries that no producer numbered."""
        known = {*self._numbers, *self.counted.counts.ended, *self.scored}
        return {source for source in known if not is_place(source.producer_id)}

    def known(self, source: Source) -> Ranges:
        """Every number of a source of which something is known."""
        known = Ranges()
        numbers = self._numbers.get(source)
        if numbers is not None:
            for stretch in stretches_of(number for number, _ in numbers.items()):
                known.add(*stretch)
        for ended in self.counted.counts.ended.get(source, {}).values():
            for stretch in ended.ranges:
                known.add(*stretch)
        return known

    def highest(self, source: Source) -> int:
        """The highest number of a source that is certain; 0 where there is none."""
        numbers = self._numbers.get(source)
        named = (
            number
            for number, value in (numbers.from_the_end() if numbers is not None else ())
            if self._strength(value) > _DAMAGED
        )
        return max(next(named, 0), 0, self.counted.highest(source))

    def _put(self, source: Source, number: int, value: int, scoring_id: str | None) -> None:
        numbers = self._numbers.get(source)
        if numbers is None:
            numbers = self._numbers[source] = Numbers("I")
        old = numbers.get(number)
        strength = self._standings[value].strength
        if old:
            if self._standings[old].strength > strength:
                return
            self._totals[old] -= 1
        elif source in self.counted.counts.ended and not self._take_over(source, number, value):
            return
        numbers.set(number, value)
        self._totals[value] += 1
        if scoring_id is not None:
            self._keep_id(source, number, scoring_id)

    def _take_over(self, source: Source, number: int, value: int) -> bool:
        """Count a number no more that is known by name; false where the counts know better."""
        standing = self._standings[value]
        counted = self.counted.counts.outcome_of(source, number)
        if counted == STORED and standing.strength < _IN_LEDGER:
            return False
        if counted is not None and standing.strength == _DAMAGED:
            return False
        if counted == MOVED and standing.strength < _MOVED:
            return False
        if counted is not None:
            self.counted.counts.take_out(source, number, standing.spot)
        return True

    def _keep_id(self, source: Source, number: int, scoring_id: str) -> None:
        if self._hashes is not None:
            hashes = self._hashes.get(source)
            if hashes is None:
                hashes = self._hashes[source] = Numbers("Q")
            hashes.set(number, _hash(scoring_id))
        if self.names is not None:
            self.names[source, number] = scoring_id

    def _drop(self, source: Source, number: int) -> None:
        numbers = self._numbers[source]
        self._totals[numbers.get(number)] -= 1
        numbers.set(number, 0)

    def _same_id(
        self, source: Source, number: int, scoring_id: str, spot: Spot, known: Spot
    ) -> bool:
        if self._hashes is None or source not in self._hashes:
            return True
        kept = self._hashes[source].get(number)
        return spot.subscription_id == known.subscription_id and kept in {0, _hash(scoring_id)}

    def _strength(self, value: int) -> int:
        return self._standings[value].strength

    def _id(self, standing: Standing) -> int:
        known = self._ids.get(standing)
        if known is None:
            known = self._ids[standing] = len(self._standings)
            self._standings.append(standing)
            self._totals.append(0)
        return known


def _hash(scoring_id: str) -> int:
    return (hash(scoring_id) & _ALL_BITS) or 1
