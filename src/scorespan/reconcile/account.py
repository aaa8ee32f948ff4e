"""The account: what became of every record that was scored.

`scored = stored + waiting + dead-lettered + withheld + refused + switched off`

"Scored" is what the producers counted; the other terms are what ledger and spool know by name. A
number that a producer gave and that neither knows is missing, and named. Producers that count
elsewhere, and send through a Collector, are another matter: what this root has not got of theirs
may be on its way, or with another root. It is outstanding, and not in the sum of a root.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from scorespan.reconcile.gaps import Gap, Gaps, look_again
from scorespan.reconcile.letterless import Letterless, find_letterless
from scorespan.reconcile.reading import RootReader, only_route
from scorespan.reconcile.tally import TERMS, Tally
from scorespan.reconcile.waiting import DirectoryReport, report_of
from scorespan.spool.counts import Spot
from scorespan.spool.ledger import LedgerItem
from scorespan.spool.root import Route


class Place(NamedTuple):
    """What one line of the account is about; `minute` counts from the epoch, in UTC.

    `minute` is 0 and `route` None where they are not told apart.
    """

    subscription_id: str
    deployment_id: str
    minute: int
    route: Route | None = None


@dataclass(frozen=True)
class Account:
    """Every record that ledger and spool know, and the numbers they do not know.

    Attributes:
        tally: what is known.
        missing: numbers that were given and are nowhere.
        chosen: which records it is about, by route, and by where they count.
        directories: every process's directory, where the account is that of a root.
        held: numbers of living processes that did not move: nothing can be said of them.
        letterless: dead letters that are not there; they are in no term.
        nameless: entries that are no spans and say no name, by outcome; they are in no term, and
            what the producers counted of them is missing.
        outstanding: numbers of producers elsewhere that have not come, though higher ones have.
    """

    tally: Tally = field(default_factory=Tally)
    missing: list[Gap] = field(default_factory=list)
    chosen: Callable[[Route | None, Spot], bool] = lambda _route, _spot: True
    directories: list[DirectoryReport] = field(default_factory=list)
    held: list[Gap] = field(default_factory=list)
    letterless: Letterless = field(default_factory=Letterless)
    nameless: Mapping[str, int] = field(default_factory=dict)
    outstanding: list[Gap] = field(default_factory=list)

    @classmethod
    def of(cls, items: Iterable[LedgerItem]) -> Account:
        """An account of these records alone."""
        tally = Tally(names=True)
        for item in items:
            tally.add_item(None, item)
        return cls(tally)

    @property
    def cut(self) -> int:
        """Ledger lines that could not be read; what they said is told by nothing else."""
        return self.tally.cut

    @property
    def missing_count(self) -> int:
        """How many records are missing."""
        return sum(gap.size for gap in self.missing) + self.letterless.size

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing: no record, and no letter of a damaged stretch.

        Of what is outstanding a root alone cannot tell.
        """
        return not self.missing_count and not self.letterless.places

    @property
    def letterless_by_place(self) -> dict[Place, int]:
        """Records by name whose letters are missing."""
        spots = (lost.spot for lost in self.letterless.named)
        return dict(Counter(Place(spot.subscription_id, spot.deployment_id, 0) for spot in spots))

    @property
    def scored(self) -> int:
        """Records that the producers counted."""
        return sum(self.totals.values()) + self.missing_count

    @property
    def totals(self) -> dict[str, int]:
        """Records by outcome; every term is there."""
        counts = dict.fromkeys(TERMS, 0)
        for route, outcome, spot, count in self.tally.totals():
            if self.chosen(route, spot):
                counts[outcome] += count
        return counts

    @property
    def items(self) -> dict[tuple[str, int], LedgerItem]:
        """Records by producer and number, where the account was read with names."""
        names = self.tally.names or {}
        return {
            (source.producer_id, number): LedgerItem(
                standing.outcome,
                standing.spot.subscription_id,
                standing.spot.deployment_id,
                source.producer_id,
                number,
                names[source, number],
                standing.spot.minute,
            )
            for source, number, standing in self.tally.items()
            if (source, number) in names
        }

    def ids(self, outcome: str) -> set[str]:
        """Scoring ids of the records that ended so, where the account was read with names."""
        return {item.scoring_id for item in self.items.values() if item.outcome == outcome}

    def by_place(
        self, *, minutes: bool = False, routes: bool = False
    ) -> dict[Place, dict[str, int]]:
        """The terms for each subscription and deployment, and for each minute or route if asked."""
        places: dict[Place, dict[str, int]] = {}
        for route, outcome, spot, count in self.tally.totals():
            if not self.chosen(route, spot):
                continue
            place = Place(
                spot.subscription_id,
                spot.deployment_id,
                spot.minute if minutes else 0,
                route if routes else None,
            )
            places.setdefault(place, dict.fromkeys(TERMS, 0))[outcome] += count
        return {place: places[place] for place in sorted(places, key=_order)}


def nameless_of(
    tally: Tally, chosen: Callable[[Route | None], bool] = lambda _: True
) -> dict[str, int]:
    """Entries that say no name, by outcome, of the routes that are chosen."""
    counts: Counter[str] = Counter()
    for route, outcome, count in tally.nameless():
        if count and chosen(route):
            counts[outcome] += count
    return dict(counts)


def _order(place: Place) -> tuple[object, ...]:
    return (place.route or (), *place[:3])


def read_account(root: Path, *, names: bool = True, patience: float = 0.0) -> Account:
    """The account of a spool root; processes may be running.

    A number that seems to be missing is looked for once more: a caller may just have been between
    its number and its put. What is outstanding is not: another root may have it.

    Args:
        root: the spool root.
        names: keep every scoring id, for `items` and `ids`; some 250 bytes a record instead of 5.
        patience: seconds to wait for living processes whose numbers are open; 0: all are missing.
    """
    tally = Tally(unknown_route=only_route(root), names=names)
    reader = RootReader(root, tally)
    reader.read()
    sources = tally.sources()
    gaps = Gaps(tally, filter(tally.is_own, sources))
    elsewhere = Gaps(tally, itertools.filterfalse(tally.is_own, sources))
    held = look_again(reader, gaps, patience=patience) if gaps else []
    reports = [report_of(path, *waiting) for path, waiting in reader.waiting.items()]
    return Account(
        tally,
        [*gaps.left()],
        directories=reports,
        held=held,
        letterless=find_letterless(root, tally),
        nameless=nameless_of(tally),
        outstanding=[*elsewhere.outstanding()],
    )
