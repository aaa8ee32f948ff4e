"""Counts: what the ledger keeps of records when their ids have gone.

One file of checked lines in the ledger's folder: a head, then a line for each route and producer::

    {"counts": 1, "cut": lines that could not be read}

    {"p": producer, "route": [url, data mart id, version],
     "n": how far it had counted here; -1: it counts elsewhere,
     "ended": {outcome: {"ranges": [[first sequence, last sequence], ...],
                         "places": [[subscription, deployment, [[minute, records], ...]], ...]}}}

The ranges keep gaps exact, and make it safe to count a ledger file twice: a number that is known
is not counted again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

import orjson

from scorespan.spool.ledger import DAMAGED, MOVED, STORED
from scorespan.spool.ledger_files import Cut, Line, Records, Scored
from scorespan.spool.lines import checked_line, read_line
from scorespan.spool.ranges import Ranges
from scorespan.spool.root import Route

FILE = "counts"
_ELSEWHERE = -1
_ID_START, _ID_END = b'{"p":"', b'","route":'


class Source(NamedTuple):
    """A producer, and where its records go; one producer may serve two routes."""

    route: Route | None
    producer_id: str


class Spot(NamedTuple):
    """What a record counts for; `minute` is the scoring timestamp's, from the epoch, in UTC."""

    subscription_id: str
    deployment_id: str
    minute: int


@dataclass(slots=True)
class Ended:
    """Records of one source that ended alike: their numbers, and how many where."""

    ranges: Ranges = field(default_factory=Ranges)
    spots: Counter[Spot] = field(default_factory=Counter)


class Counts:
    """Records by source and outcome. Each number of a source is counted once.

    Attributes:
        ended: what is counted.
        scored: how far each source had counted itself; not of those that count elsewhere.
        cut: lines that could not be read.
    """

    def __init__(self) -> None:
        self.ended: dict[Source, dict[str, Ended]] = {}
        self.scored: dict[Source, int] = {}
        self.cut = 0

    def outcome_of(self, source: Source, number: int) -> str | None:
        """What became of a number; None where these counts do not know it."""
        for outcome, ended in self.ended.get(source, {}).items():
            if number in ended.ranges:
                return outcome
        return None

    def take_out(self, source: Source, number: int, spot: Spot) -> None:
        """Count a number no more, which somebody knows better."""
        outcome = self.outcome_of(source, number)
        if outcome is None:
            return
        ended = self.ended[source][outcome]
        ended.ranges.remove(number)
        if not ended.spots[spot]:
            # The same record, so it ended at the same spot; a damaged line may have said another.
            spot = next((one for one, count in ended.spots.items() if count), spot)
        ended.spots[spot] -= 1

    def rename(self, source: Source, name: Source) -> None:
        """Count what is counted for one source for another, too, and for that alone."""
        if source == name:
            return
        for outcome, ended in self.ended.pop(source, {}).items():
            kept = self.ended.setdefault(name, {}).setdefault(outcome, Ended())
            for stretch in ended.ranges:
                kept.ranges.add(*stretch)
            kept.spots.update(ended.spots)
        if source in self.scored:
            self.scored[name] = max(self.scored.get(name, 0), self.scored.pop(source))

    def count(self, line: Line) -> None:
        """Count a line of a ledger file.

        Stored is the last word; else what comes later is, except for names from damaged bytes, and
        for a dead letter that was moved.

        Raises:
            TypeError: the line does not hold what it should; what came before that is counted.
            ValueError: likewise.
        """
        if isinstance(line, Cut):
            self.cut += 1
            return
        source = Source(line.route, line.producer_id)
        if isinstance(line, Scored):
            self.scored[source] = max(self.scored.get(source, 0), line.highest)
            return
        if line.named:
            self._count_named(source, line)
        spot = spot_of(line, line.minute)
        for first, last in line.stretches:
            for number in range(first, last + 1):
                self._count(source, line.outcome, number, spot)

    def _count_named(self, source: Source, line: Records) -> None:
        minutes = {number: minute for number, _, minute in line.named}
        spots = {minute: spot_of(line, minute) for minute in set(minutes.values())}
        stretches = stretches_of(minutes)
        known = self.ended.setdefault(source, {})
        if any(ended.ranges.has_any(*stretch) for ended in known.values() for stretch in stretches):
            for number, minute in minutes.items():
                self._count(source, line.outcome, number, spots[minute])
            return
        # Nearly always: a few stretches of numbers that are new.
        ended = known.get(line.outcome) or known.setdefault(line.outcome, Ended())
        for stretch in stretches:
            ended.ranges.add(*stretch)
        if len(spots) == 1:
            (spot,) = spots.values()
            ended.spots[spot] += len(minutes)
            return
        for minute, count in Counter(minutes.values()).items():
            ended.spots[spots[minute]] += count

    def _count(self, source: Source, outcome: str, number: int, spot: Spot) -> None:
        known = self.outcome_of(source, number)
        if known in {STORED, outcome} or (known is not None and outcome == DAMAGED):
            return
        if known == MOVED and outcome != STORED:
            return
        if known is not None:
            self.take_out(source, number, spot)
        ended = self.ended.setdefault(source, {}).setdefault(outcome, Ended())
        ended.ranges.add(number, number)
        ended.spots[spot] += 1


def stretches_of(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Numbers as few stretches."""
    stretches: list[tuple[int, int]] = []
    first = last = None
    for number in sorted(numbers):
        if first is None or last is None or number != last + 1:
            if first is not None and last is not None:
                stretches.append((first, last))
            first = number
        last = number
    if first is not None and last is not None:
        stretches.append((first, last))
    return stretches


def spot_of(records: Records, minute: int) -> Spot:
    """Where records of one line and minute count.

    Raises:
        TypeError: the minute is no number; the line is damaged.
    """
    if type(minute) is not int:
        raise TypeError("a minute is a whole number")
    return Spot(records.subscription_id, records.deployment_id, minute)


def read_counts(folder: Path, producers: Collection[str] | None = None) -> Counts:
    """The counts of a ledger folder; empty where there are none. A damaged line counts as cut.

    Args:
        folder: the ledger's folder.
        producers: whose counts; `lines_of_others` has the rest. None: all.
    """
    counts = Counts()
    for line in _lines(folder):
        if producers is None or _is_of(line, producers):
            try:
                _take(counts, read_line(line, checked=True))
            except (ValueError, TypeError, KeyError):
                counts.cut += 1
    return counts


def lines_of_others(folder: Path, producers: Collection[str]) -> Iterator[bytes]:
    """The lines of all other producers as they stand; many may have ended long ago."""
    return (line for line in _lines(folder) if not _is_of(line, producers))


def _lines(folder: Path) -> Iterator[bytes]:
    try:
        file = (folder / FILE).open("rb")
    except FileNotFoundError:
        return
    with file:
        yield from file


def _is_of(line: bytes, producers: Collection[str]) -> bool:
    """Whether a line is one of these producers'; the head, and what is no line, is everybody's."""
    end = line.find(_ID_END)
    if not (line.startswith(_ID_START) and line.endswith(b"\n") and end > 0):
        return True
    try:
        return orjson.loads(line[len(_ID_START) - 1 : end + 1]) in producers
    except ValueError:
        return True


def write_counts(counts: Counts) -> Iterator[bytes]:
    """The lines of a counts file."""
    yield checked_line({"counts": 1, "cut": counts.cut})
    for source in sorted({*counts.ended, *counts.scored}, key=str):
        yield checked_line(
            {
                "p": source.producer_id,
                "route": None if source.route is None else list(source.route),
                "n": counts.scored.get(source, _ELSEWHERE),
                "ended": {
                    outcome: {"ranges": list(ended.ranges), "places": _places(ended.spots)}
                    for outcome, ended in counts.ended.get(source, {}).items()
                },
            }
        )


def _places(spots: Counter[Spot]) -> list[tuple[str, str, list[tuple[int, int]]]]:
    minutes: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for spot, count in sorted(spots.items()):
        if count:
            place = (spot.subscription_id, spot.deployment_id)
            minutes.setdefault(place, []).append((spot.minute, count))
    return [(*place, found) for place, found in minutes.items()]


def _take(counts: Counts, found: dict[str, Any]) -> None:
    if "counts" in found:
        counts.cut += int(found["cut"])
        return
    # Nearly all lines name the same few routes and places.
    route = None if found["route"] is None else Route(*map(intern, found["route"]))
    source = Source(route, str(found["p"]))
    ended = {
        intern(outcome): Ended(
            Ranges(one["ranges"]),
            Counter(
                {
                    Spot(intern(subscription), intern(deployment), minute): count
                    for subscription, deployment, minutes in one["places"]
                    for minute, count in minutes
                }
            ),
        )
        for outcome, one in found["ended"].items()
    }
    counts.ended[source] = ended
    if int(found["n"]) != _ELSEWHERE:
        counts.scored[source] = int(found["n"])
