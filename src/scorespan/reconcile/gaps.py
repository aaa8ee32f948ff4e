"""Gaps: numbers that a producer gave and of which nothing is known; and what is lost by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from scorespan.reconcile.reading import RootReader
from scorespan.reconcile.tally import Tally
from scorespan.spool.counts import Source, Spot
from scorespan.spool.ranges import Ranges

_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 2.0


class Gap(NamedTuple):
    """Numbers of one producer, from `first` to `last`, that are nowhere."""

    producer_id: str
    first: int
    last: int

    @property
    def size(self) -> int:
        """How many numbers."""
        return self.last - self.first + 1


class Lost(NamedTuple):
    """A record that is known by name, and is not where the ledger says."""

    spot: Spot
    scoring_id: str | None
    producer_id: str
    number: int

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        known = self._asdict()
        del known["spot"]
        return {**self.spot._asdict(), **known}


class Gaps:
    """The gaps of some sources, while they are looked for.

    A source's highest number is what it was in the beginning: what is scored later is no gap.

    Of a source that counts in this root, what is nowhere is missing. One that counts elsewhere
    sends through others: what is nowhere is outstanding, on the way or lost; and of what lies above
    all that is known of it, nothing can be said.

    Attributes:
        wanted: the numbers that are nowhere.
    """

    def __init__(self, tally: Tally, sources: Iterable[Source]) -> None:
        self.wanted: dict[Source, Ranges] = {}
        self._top: dict[Source, int] = {}
        self._is_own = tally.is_own
        for source in sorted(sources, key=str):
            known = tally.known(source)
            top = tally.highest(source)
            open_ = Ranges(known.missing(1, max(top, tally.scored.get(source, 0))))
            if open_:
                self.wanted[source] = open_
                self._top[source] = top

    def __bool__(self) -> bool:
        return bool(self.wanted)

    def drop_known(self, tally: Tally) -> None:
        """Look no more for what the tally knows by now."""
        for source, open_ in list(self.wanted.items()):
            known = tally.known(source)
            left = Ranges(
                stretch for first, last in open_ for stretch in known.missing(first, last)
            )
            if left:
                self.wanted[source] = left
                self._top[source] = max(self._top[source], tally.highest(source))
            else:
                del self.wanted[source]

    def drop(self, source: Source) -> list[Gap]:
        """Look no more for the numbers of a source; says which they were."""
        return [Gap(source.producer_id, *stretch) for stretch in self.wanted.pop(source, ())]

    def left(self, *, trailing: bool | None = None) -> Iterator[Gap]:
        """What is missing; `trailing`: only what lies behind all that is known, or not."""
        for source, open_ in self.wanted.items():
            if self._is_own(source):
                for first, last in open_:
                    if trailing is None or trailing == (first > self._top[source]):
                        yield Gap(source.producer_id, first, last)

    def outstanding(self) -> Iterator[Gap]:
        """What is on the way or lost."""
        for source, open_ in self.wanted.items():
            if not self._is_own(source):
                for stretch in open_:
                    yield Gap(source.producer_id, *stretch)


def look_again(  # noqa: PLR0913 - time and waiting are parameters
    reader: RootReader,
    gaps: Gaps,
    *,
    patience: float = 0.0,
    beyond: Callable[[Mapping[Source, Ranges]], None] = lambda _: None,
    wait: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[Gap]:
    """Look for numbers once more; what `gaps` holds afterwards is missing, or outstanding.

    A living process may be between a number and its put, or hold the name of a refused record that
    it has not written down. When it has written its status again, both are over. What comes from
    elsewhere comes in any order, as senders send side by side: for that there is only waiting.

    Args:
        reader: reads the root for them; what is found goes to its tally.
        gaps: what to look for.
        patience: seconds to wait for living processes, and for what comes from elsewhere.
        beyond: looks for numbers where the root does not have them.
        wait: waits so many seconds.
        clock: seconds that only grow.

    Returns:
        Numbers of processes that live and did not move in that time: of these nothing can be said.
    """
    alive = {source: process for source, process in reader.alive.items() if source in gaps.wanted}
    before = {source: process.said() for source, process in alive.items()}
    deadline = clock() + patience
    pause = _PAUSE_SECONDS
    while True:
        moved = {source for source, process in alive.items() if process.said() != before[source]}
        reader.read_again(gaps.wanted)
        beyond(gaps.wanted)
        gaps.drop_known(reader.tally)
        stuck = [source for source in alive if source in gaps.wanted and source not in moved]
        if patience <= 0 or not (stuck or any(gaps.outstanding())):
            return []
        if clock() >= deadline:
            return [gap for source in stuck for gap in gaps.drop(source)]
        wait(pause)
        # Each look reads the whole ledger.
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
