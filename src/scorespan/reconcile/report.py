"""The report: what reconcile found, for people and machines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from scorespan.reconcile.account import Account, Place
from scorespan.reconcile.gaps import Gap, Lost
from scorespan.reconcile.payload import Conflict
from scorespan.spool.counts import Spot
from scorespan.spool.root import Route


class Doubled(NamedTuple):
    """A record whose rows the data mart has more than once."""

    subscription_id: str
    scoring_id: str
    times: int


class Other(NamedTuple):
    """A producer of another spool root: its records in the data mart, and its open numbers.

    They may be waiting where this root does not look; so nothing is said of them.
    """

    producer_id: str
    records: int
    open: int


class Short(NamedTuple):
    """Records that are counted as stored, whose ids have gone, and that the data mart lacks."""

    spot: Spot
    lacking: int


@dataclass(frozen=True)
class Report:
    """What ledger, spool and data mart say together.

    Attributes:
        kind: `scorespan` or `openscale`.
        route: what was compared.
        account: the records of this route and time, without those that are missing.
        lost: records by name that were stored and are not there any more.
        unnamed: the same, where the ledger has kept the numbers only.
        gaps: numbers of which nothing is known, though higher ones are.
        trailing: numbers behind everything that is known of their producer.
        short: towards openscale: the same as `unnamed`, as counts.
        held: numbers of living processes that did not move: nothing can be said of them.
        unexpected: records that count as stored by the data mart's word alone.
        by_others: the same, of producers elsewhere, who may have sent them to another root.
        repeated: numbers of records that are known under another number: they were sent twice.
        doubled: records that the data mart has twice.
        conflicts: records that came under the id of another one.
        others: producers of other spool roots.
        elsewhere: records of this root that go to other routes; they were not compared.
    """

    kind: str
    route: Route
    account: Account
    lost: list[Lost] = field(default_factory=list)
    unnamed: list[Gap] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    trailing: list[Gap] = field(default_factory=list)
    short: list[Short] = field(default_factory=list)
    held: list[Gap] = field(default_factory=list)
    unexpected: int = 0
    doubled: list[Doubled] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    others: list[Other] = field(default_factory=list)
    elsewhere: dict[Route | None, int] = field(default_factory=dict)
    by_others: int = 0
    repeated: list[Lost] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """How many records are missing."""
        stretches = (*self.unnamed, *self.gaps, *self.trailing)
        counted = sum(short.lacking for short in self.short)
        letters = self.account.letterless.size
        return len(self.lost) + sum(gap.size for gap in stretches) + counted + letters

    @property
    def outstanding(self) -> int:
        """How many records of producers elsewhere are on the way, or lost.

        Such a producer gave their numbers, for higher ones have come, and neither this root nor the
        data mart knows them: they are in the application's queue, a Collector's, another root's
        spool or dead letters, or nowhere.
        """
        return sum(gap.size for gap in self.account.outstanding)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing or outstanding: no record, no letter of a damaged stretch."""
        return not (self.missing or self.outstanding or self.account.letterless.places)

    @property
    def scored(self) -> int:
        """Records that the producers counted."""
        return sum(self.account.totals.values()) + self.missing + self.outstanding

    @property
    def missing_by_place(self) -> dict[Place, int]:
        """Missing records whose subscription and deployment are known."""
        places = Counter(self.account.letterless_by_place)
        for spot in [lost.spot for lost in self.lost]:
            places[Place(spot.subscription_id, spot.deployment_id, 0)] += 1
        for short in self.short:
            places[Place(short.spot.subscription_id, short.spot.deployment_id, 0)] += short.lacking
        return dict(places)

    @property
    def verdict(self) -> str:
        """One sentence."""
        terms = [f"{count:,} {term}" for term, count in self.account.totals.items() if count]
        if self.is_complete:
            said = "nothing is missing"
        elif not self.missing and not self.outstanding:
            said = "no record is missing, and letters of damaged stretches are"
        else:
            said = " and ".join(
                f"{count:,} {'record is' if count == 1 else 'records are'} {word}"
                for count, word in (
                    (self.missing, "missing"),
                    (self.outstanding, "outstanding, on the way or lost"),
                )
                if count
            )
        if self.missing:
            terms.append(f"{self.missing:,} missing")
        if self.outstanding:
            terms.append(f"{self.outstanding:,} outstanding")
        return f"{said}: {self.scored:,} scored = {' + '.join(terms) or 0}"

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "verdict": self.verdict,
            "kind": self.kind,
            "route": list(self.route),
            "scored": self.scored,
            **self.account.totals,
            "missing": self.missing,
            "outstanding": self.outstanding,
            "places": [
                {
                    "subscription_id": place.subscription_id,
                    "deployment_id": place.deployment_id,
                    **terms,
                    "missing": self.missing_by_place.get(place, 0),
                }
                for place, terms in self.account.by_place().items()
            ],
            "missing_records": [lost.as_dict() for lost in self.lost],
            **self.account.letterless.as_dict(),
            "missing_numbers": [gap._asdict() for gap in (*self.unnamed, *self.gaps)],
            "missing_at_the_end": [gap._asdict() for gap in self.trailing],
            "missing_counts": [
                {**short.spot._asdict(), "count": short.lacking} for short in self.short
            ],
            "outstanding_numbers": [gap._asdict() for gap in self.account.outstanding],
            "not_judged": [gap._asdict() for gap in self.held],
            "nameless": dict(self.account.nameless),
            "unexpected": self.unexpected,
            "stored_by_others": self.by_others,
            "repeated": [name.as_dict() for name in self.repeated],
            "doubled": [doubled._asdict() for doubled in self.doubled],
            "conflicts": [conflict._asdict() for conflict in self.conflicts],
            "other_producers": [other._asdict() for other in self.others],
            "other_routes": [
                {"route": None if route is None else list(route), "records": count}
                for route, count in self.elsewhere.items()
            ],
            "unreadable_ledger_lines": self.account.cut,
        }
