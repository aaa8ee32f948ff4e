"""The account: what became of every record that was scored, by name.

`scored = stored + waiting + dead-lettered + withheld + refused + switched off`

"Scored" is what the producers counted; the other terms are what ledger and spool know by name. A
number that a producer gave and that neither knows is missing, and named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from scorespan.conversion.span import decode
from scorespan.delivery.batch import is_place, ledger_item, nameless_span
from scorespan.delivery.client import MartClient
from scorespan.delivery.settle import read_status
from scorespan.errors import SpoolDamagedError
from scorespan.spool.acks import Acked
from scorespan.spool.frames import FLAGS_OF_SPOOL, Frame
from scorespan.spool.ledger import (
    DEAD_LETTERED,
    REFUSED,
    STORED,
    SWITCHED_OFF,
    WITHHELD,
    LedgerItem,
    read_ledgers,
)
from scorespan.spool.reader import READ_BYTES
from scorespan.spool.root import Route, bytes_under, directories, is_owned, route_of
from scorespan.spool.segment import read_segment, segments_of

WAITING = "waiting"
TERMS = (STORED, WAITING, DEAD_LETTERED, WITHHELD, REFUSED, SWITCHED_OFF)
_PAGE = 1000


class Place(NamedTuple):
    """What one line of the account is about; `minute` counts from the epoch, in UTC."""

    subscription_id: str
    deployment_id: str
    minute: int


class Gap(NamedTuple):
    """Numbers of one producer, from `first` to `last`, that are nowhere."""

    producer_id: str
    first: int
    last: int


@dataclass(frozen=True)
class Account:
    """Every record that ledger and spool know, and the numbers they do not know.

    Attributes:
        items: records by producer and number; each has exactly one outcome.
        missing: numbers that were given and are nowhere.
    """

    items: dict[tuple[str, int], LedgerItem] = field(default_factory=dict)
    missing: list[Gap] = field(default_factory=list)

    @property
    def missing_count(self) -> int:
        """How many numbers are missing."""
        return sum(gap.last - gap.first + 1 for gap in self.missing)

    @property
    def scored(self) -> int:
        """Records that the producers counted."""
        return len(self.items) + self.missing_count

    @property
    def totals(self) -> dict[str, int]:
        """Records by outcome; every term is there."""
        counts = Counter(item.outcome for item in self.items.values())
        return {term: counts[term] for term in TERMS}

    def ids(self, outcome: str) -> set[str]:
        """Scoring ids of the records that ended so."""
        return {item.scoring_id for item in self.items.values() if item.outcome == outcome}

    def by_place(self, *, minutes: bool = False) -> dict[Place, dict[str, int]]:
        """The terms for each subscription and deployment, and for each minute where asked."""
        places: dict[Place, Counter[str]] = {}
        for item in self.items.values():
            minute = item.minute if minutes else 0
            place = Place(item.subscription_id, item.deployment_id, minute)
            places.setdefault(place, Counter())[item.outcome] += 1
        return {
            place: {term: counts[term] for term in TERMS}
            for place, counts in sorted(places.items())
        }


class DirectoryReport(NamedTuple):
    """One process's directory. `status` is what the process last said of itself."""

    name: str
    alive: bool
    route: Route | None
    waiting: int
    oldest: int | None
    size: int
    status: dict[str, Any] | None


def read_account(root: Path) -> Account:
    """The account of a spool root; processes may be running.

    A number that seems to be missing is looked for once more: a caller may just have been between
    its number and its put.
    """
    items, highest = _read(root)
    missing = _gaps(items, highest)
    if missing:
        items.update(_read(root)[0])
        missing = _gaps(items, highest)
    return Account(items, missing)


def _read(root: Path) -> tuple[dict[tuple[str, int], LedgerItem], dict[str, int]]:
    """Every record that is known by name, and how far each producer has counted.

    The order matters: what moves on while this reads goes from status to spool to ledger, and so
    does the reading. A record that is in both is one that a crash will have sent again; the ledger
    is right about it.
    """
    highest: dict[str, int] = {}
    for directory in directories(root):
        status = read_status(directory)
        if status is not None and "producer" in status:
            _raise(highest, status["producer"], status["scored"])
    items = {
        (item.producer_id, item.sequence): item
        for directory in directories(root)
        for item in _waiting(directory)
    }
    reading = read_ledgers(root / "ledger")
    items.update({(item.producer_id, item.sequence): item for item in reading.items})
    for producer_id, count in reading.scored.items():
        _raise(highest, producer_id, count)
    for producer_id, number in items:
        if not is_place(producer_id):
            _raise(highest, producer_id, number)
    return items, highest


def _gaps(known: Iterable[tuple[str, int]], highest: Mapping[str, int]) -> list[Gap]:
    """The numbers up to each producer's highest that are not known, as few stretches."""
    expected = dict.fromkeys(highest, 1)
    gaps = []
    for producer_id, number in sorted(known):
        if number > highest.get(producer_id, 0):
            continue
        if number > expected[producer_id]:
            gaps.append(Gap(producer_id, expected[producer_id], number - 1))
        expected[producer_id] = max(expected[producer_id], number + 1)
    for producer_id, last in highest.items():
        if last >= expected[producer_id]:
            gaps.append(Gap(producer_id, expected[producer_id], last))
    return gaps


def read_directories(root: Path) -> list[DirectoryReport]:
    """Every process's directory in the root, dead or alive."""
    reports = []
    for directory in directories(root):
        waiting = list(_waiting(directory))
        reports.append(
            DirectoryReport(
                name=directory.name,
                alive=is_owned(directory),
                route=route_of(directory),
                waiting=len(waiting),
                oldest=min((item.minute for item in waiting), default=None),
                size=bytes_under(directory),
                status=read_status(directory),
            )
        )
    return reports


def stored_ids(client: MartClient, subscription_id: str) -> Iterator[str]:
    """Scoring ids that our own data mart holds for a subscription.

    Raises:
        DeliveryError: the mart did not answer as ours does.
    """
    after: str | None = None
    while True:
        page = client.get(
            "/scoring_payloads", subscription_id=subscription_id, limit=_PAGE, after=after
        )
        for record in page["records"]:
            yield str(record["scoring_id"])
        after = page["after"]
        if after is None:
            return


def _raise(highest: dict[str, int], producer_id: str, number: int) -> None:
    highest[producer_id] = max(highest.get(producer_id, 0), number)


def _waiting(directory: Path) -> Iterator[LedgerItem]:
    for segment in segments_of(directory):
        acked = Acked(segment)
        offset, end = 0, -1
        while offset != end:
            try:
                end = segment.stat().st_size
                read = read_segment(segment, offset, end, max_bytes=READ_BYTES, max_frames=_PAGE)
            except FileNotFoundError:
                break  # settled, while this was reading
            for frame in read.frames:
                if not frame.flags & FLAGS_OF_SPOOL and frame.sequence not in acked:
                    yield _waiting_item(segment, frame)
            if read.offset == offset:
                break
            offset = read.offset


def _waiting_item(segment: Path, frame: Frame) -> LedgerItem:
    try:
        span = decode(frame.body)
    except SpoolDamagedError:
        span = nameless_span(segment, frame.sequence)
    return ledger_item(span, WAITING)
