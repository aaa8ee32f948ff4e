"""What is asked of a reconcile: which root, data mart and time; and what is known so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from scorespan.reconcile.gaps import Gap, Lost
from scorespan.reconcile.payload import Conflict
from scorespan.reconcile.report import Doubled, Other, Short
from scorespan.reconcile.tally import Tally
from scorespan.reconcile.window import Window
from scorespan.spool.counts import Source, Spot
from scorespan.spool.ledger import STORED
from scorespan.spool.ledger_files import Records, ledger_files, locked, read_ledger
from scorespan.spool.ranges import Ranges
from scorespan.spool.root import Route


class Findings(NamedTuple):
    """What a data mart says to the records that it should have; see `Report`."""

    lost: list[Lost]
    unnamed: list[Gap]
    short: list[Short]
    doubled: list[Doubled]
    conflicts: list[Conflict]
    others: list[Other]
    repeated: list[Lost]


class Side(Protocol):
    """One kind of data mart, as it is compared."""

    def walk(self) -> None:
        """Add to the tally what the mart has.

        Raises:
            DeliveryError: it did not answer as one.
        """

    def look(self, wanted: Mapping[Source, Ranges]) -> None:
        """Look for numbers that are nowhere else.

        Raises:
            DeliveryError: it did not answer as one.
        """

    def find(self, wanted: Mapping[Source, Ranges]) -> Findings:
        """Look for what it should have and has not shown.

        Args:
            wanted: numbers that are nowhere else still.

        Raises:
            DeliveryError: it did not answer as one.
        """


@dataclass(frozen=True)
class Asked:
    """One comparison.

    Attributes:
        root: the spool root.
        route: what of the root goes to the data mart.
        window: what to compare by name; numbers without a name cannot be dated, and all count.
        tally: what is known so far.
    """

    root: Path
    route: Route
    window: Window
    tally: Tally

    def concerns(self, route: Route | None, spot: Spot) -> bool:
        """Whether a record of this route and spot is asked for."""
        return route == self.route and self.window.holds(spot.minute)

    def sources(self) -> dict[str, Source]:
        """The sources of the route, by producer."""
        known = self.tally.sources()
        return {source.producer_id: source for source in known if source.route == self.route}

    def sought(self) -> Iterator[tuple[Source, int, Spot, str]]:
        """Records that the ledger calls stored and the data mart has not shown, with their ids.

        Those whose ids have gone in the meantime are left out.
        """
        folder = self.root / "ledger"
        if not folder.is_dir():
            return
        with locked(folder):
            for path in ledger_files(folder):
                for line in read_ledger(path):
                    if isinstance(line, Records) and line.outcome == STORED:
                        yield from self._sought_of(line)

    def _sought_of(self, line: Records) -> list[tuple[Source, int, Spot, str]]:
        source = self.tally.source(line.route, line.producer_id)
        if source.route != self.route:
            return []
        found = []
        try:
            for number, scoring_id, minute in line.named:
                if self.tally.is_sought(source, number) and self.window.holds(minute):
                    spot = Spot(line.subscription_id, line.deployment_id, minute)
                    found.append((source, number, spot, scoring_id))
        except (TypeError, ValueError):
            pass  # a damaged line: it was counted as such when the tally read it
        return found
