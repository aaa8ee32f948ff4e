"""The letterless: records that the ledger calls dead-lettered, and of which there is no letter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scorespan.delivery.batch import is_place
from scorespan.reconcile.gaps import Gap, Lost
from scorespan.reconcile.reading import RootReader
from scorespan.reconcile.tally import Tally
from scorespan.reconcile.window import Window
from scorespan.spool.counts import Source, Spot, stretches_of
from scorespan.spool.dead import DEAD, letter_files
from scorespan.spool.dead_writer import head_text
from scorespan.spool.ranges import Ranges
from scorespan.spool.root import Route


class Letterless(NamedTuple):
    """Dead letters that are not there.

    `named` are records; `numbers` those whose ids have gone; `places` stretches of damaged bytes
    that said no name: of these, what the producers counted is missing by number.
    """

    named: tuple[Lost, ...] = ()
    numbers: tuple[Gap, ...] = ()
    places: tuple[Gap, ...] = ()

    @property
    def size(self) -> int:
        """How many records; places are none."""
        return len(self.named) + sum(gap.size for gap in self.numbers)

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "missing_letters": [lost.as_dict() for lost in self.named],
            "missing_letter_numbers": [gap._asdict() for gap in self.numbers],
            "missing_letter_places": [gap._asdict() for gap in self.places],
        }


def find_letterless(
    root: Path, tally: Tally, *, route: Route | None = None, window: Window | None = None
) -> Letterless:
    """Look for the letter of every record that counts as dead-lettered.

    To be called when the ledger was read: a letter is written before the ledger. What has none is
    looked up once more, as it may have been requeued meanwhile. Withheld records are not judged:
    beyond a cap their bodies are not kept. Nor are those of no known route. Only heads are read.

    Args:
        root: the spool root.
        tally: what is known; those without a letter count as nothing afterwards.
        route: whose records; of all routes where it is None.
        window: which records by name; numbers and places have no time, and all count.

    Raises:
        OSError: the letters cannot be read.
    """
    window = window or Window()

    def is_asked(source: Source, spot: Spot | None) -> bool:
        timeless = spot is None or is_place(source.producer_id)
        return (route is None or source.route == route) and (
            spot is None or timeless or window.holds(spot.minute)
        )

    open_: dict[Source, set[int]] = {}
    for source, number, _ in _unlettered(root, tally, is_asked):
        open_.setdefault(source, set()).add(number)
    if not open_:
        return Letterless()
    again = Tally(unknown_route=tally.unknown_route, names=True)
    wanted = {source: Ranges(stretches_of(numbers)) for source, numbers in open_.items()}
    RootReader(root, again).read_again(wanted)
    still = [
        (source, number, spot)
        for source, number, spot in _unlettered(root, again, is_asked)
        if number in open_.get(source, ())
    ]
    for source, number, _ in still:
        tally.take_away(source, number, number)
    return _told(still, again.names or {})


def _unlettered(
    root: Path, tally: Tally, is_asked: Callable[[Source, Spot | None], bool]
) -> Iterator[tuple[Source, int, Spot | None]]:
    sought = [
        (source, number, spot)
        for source, number, spot in tally.lettered()
        if source.route is not None and is_asked(source, spot)
    ]
    letters = _letters(root) if sought else {}
    for source, number, spot in sought:
        known_as = head_text(source.producer_id)
        # A letter of an older version does not say its route.
        if not any(
            number in letters.get(Source(one, known_as), ()) for one in (source.route, None)
        ):
            yield source, number, spot


def _letters(root: Path) -> dict[Source, set[int]]:
    """The numbers of the letters that are there."""
    letters: dict[Source, set[int]] = {}
    for file in letter_files(root / DEAD, on_unreadable=lambda _: None):
        head = file.head
        try:
            route = None if head.route is None else Route(*head.route)
        except TypeError:
            route = None  # not one of this version
        source = Source(route, head.producer_id or "")
        letters.setdefault(source, set()).add(head.sequence or 0)
    return letters


def _told(
    found: list[tuple[Source, int, Spot | None]], names: dict[tuple[Source, int], str]
) -> Letterless:
    named = []
    numbers: dict[Source, list[int]] = {}
    for source, number, spot in found:
        if spot is None or is_place(source.producer_id):
            numbers.setdefault(source, []).append(number)
        else:
            named.append(Lost(spot, names.get((source, number)), source.producer_id, number))
    gaps = [
        Gap(source.producer_id, *stretch)
        for source, known in numbers.items()
        for stretch in stretches_of(known)
    ]
    return Letterless(
        tuple(named),
        tuple(gap for gap in gaps if not is_place(gap.producer_id)),
        tuple(gap for gap in gaps if is_place(gap.producer_id)),
    )
