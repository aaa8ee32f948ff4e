"""The instruments of OpenTelemetry that show how delivery stands.

They come from the global meter provider, under the name `scorespan`; without an SDK they cost
nothing, and none of their attributes holds a payload value. What they show is counted by this
process anyhow: reading them takes no lock that a scoring waits for, and touches no disk. A forked
child reports its own, from 0.

========================= ============== ======== =================================================
instrument                kind           unit     what it shows
========================= ============== ======== =================================================
scorespan.records         counter        {record} by `outcome`: `scored` (numbered here), `refused`
                                                  (here), and `stored`, `dead_lettered`, `withheld`,
                                                  `switched_off` (settled here: what dead processes
                                                  left is among them)
scorespan.resent          counter        {record} records in posts that were not their first
scorespan.posts           counter        {post}   posts by `outcome`: `accepted`, `rejected`,
                                                  `retryable`, `blocked`
scorespan.delivery.lag    histogram      s        from the end of a scoring until its record was
                                                  stored: the longest of each post
scorespan.delivery.paused gauge          1        1 while address or token are refused, else 0
scorespan.delivery.aside  updown counter {record} records that are set aside and tried again
scorespan.spool.records   updown counter {record} records that were put here and wait
scorespan.spool.age       gauge          s        since the oldest that waits; 0 where none does
scorespan.spool.size      gauge          By       bytes of the spool root, as far as is known here
scorespan.spool.damaged   counter        By       bytes found that are no entries
scorespan.sync.failures   counter        {sync}   syncs that failed
scorespan.dead_letters    gauge          {letter} dead letters in the spool root
========================= ============== ======== =================================================

Counters go on when a spool is closed and another opened; the others show what is open. Those of the
spool root are the same for every process on it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation, get_meter

from scorespan import producer
from scorespan.telemetry import logger
from scorespan.threads import native


class Reading(NamedTuple):
    """What one delivery has counted until now."""

    outcomes: Mapping[str, int]
    posts: Mapping[str, int]
    resent: int
    damaged_bytes: int
    sync_failures: int
    waiting: int
    oldest: float | None
    """When the oldest that waits began to, in seconds since the epoch."""
    spool_bytes: int
    set_aside: int
    dead_letters: int
    paused: bool


Source: TypeAlias = Callable[[], Reading]


class _Instrument(NamedTuple):
    name: str
    unit: str
    description: str


_RECORDS = _Instrument("scorespan.records", "{record}", "Records by what became of them.")
_RESENT = _Instrument("scorespan.resent", "{record}", "Records in posts that were not their first.")
_POSTS = _Instrument("scorespan.posts", "{post}", "Posts by their outcome.")
_DAMAGED = _Instrument("scorespan.spool.damaged", "By", "Bytes found that are no entries.")
_FAILURES = _Instrument("scorespan.sync.failures", "{sync}", "Syncs that failed.")
_LAG = _Instrument(
    "scorespan.delivery.lag", "s", "From the end of a scoring until its record was stored."
)
_WAITING = _Instrument("scorespan.spool.records", "{record}", "Records that wait.")
_ASIDE = _Instrument("scorespan.delivery.aside", "{record}", "Records that are set aside.")
_AGE = _Instrument("scorespan.spool.age", "s", "Since the oldest record that waits.")
_SIZE = _Instrument("scorespan.spool.size", "By", "Bytes of the spool root.")
_LETTERS = _Instrument("scorespan.dead_letters", "{letter}", "Dead letters in the spool root.")
_PAUSED = _Instrument("scorespan.delivery.paused", "1", "Whether address or token are refused.")

_COUNTERS = (_RECORDS, _RESENT, _POSTS, _DAMAGED, _FAILURES)
_SUMS: dict[_Instrument, Callable[[Reading], int]] = {
    _WAITING: lambda reading: reading.waiting,
    _ASIDE: lambda reading: reading.set_aside,
}
_GAUGES: dict[_Instrument, Callable[[Reading], float]] = {
    _AGE: lambda reading: 0.0 if reading.oldest is None else max(0.0, time.time() - reading.oldest),
    _SIZE: lambda reading: reading.spool_bytes,
    _LETTERS: lambda reading: reading.dead_letters,
    _PAUSED: lambda reading: int(reading.paused),
}

_Count: TypeAlias = tuple[_Instrument, str | None]


def _counts(reading: Reading) -> dict[_Count, int]:
    """What only grows, by instrument and outcome."""
    return {
        (_RESENT, None): reading.resent,
        (_DAMAGED, None): reading.damaged_bytes,
        (_FAILURES, None): reading.sync_failures,
        **{(_POSTS, outcome): count for outcome, count in reading.posts.items()},
        **{
            (_RECORDS, outcome.replace("-", "_").replace(" ", "_")): count
            for outcome, count in reading.outcomes.items()
        },
    }


class Instruments:
    """What this process reports: the deliveries that are open, and the counts of those that were.

    The meter's thread reads, any other opens and ends. The instruments are made once, and
    last as long as the process.

    Args:
        meter: makes them; of the global provider, unless given.
    """

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = meter
        self._made = False
        self._lag: Histogram | None = None
        self.forget()

    def forget(self) -> None:
        """Begin anew, in a forked child: what was open is the parent's."""
        self._lock = native.RLock()
        self._open: list[Source] = []
        self._ended: Counter[_Count] = Counter()

    def make(self) -> None:
        """Make the instruments, better early: a provider that has ended complains. Idempotent."""
        with self._lock:
            made, self._made = self._made, True
        if not made:
            try:
                self._make()
            except Exception as error:  # noqa: BLE001 - foreign code; no scoring is refused for it
                logger.warning("there are no instruments: %s", type(error).__name__)

    def report(self, source: Source) -> None:
        """Report what this source reads, until it ends."""
        with self._lock:
            self._open.append(source)
        self.make()

    def end(self, source: Source) -> None:
        """Keep what this source has counted, and read it no more. Idempotent."""
        with self._lock:
            if source in self._open:
                self._open.remove(source)
                self._ended.update(_counts(source()))

    def stored_after(self, seconds: float) -> None:
        """The records of a post were stored so long after the first of their scorings ended."""
        if self._lag is not None:
            with contextlib.suppress(Exception):  # foreign code; what was stored is stored
                self._lag.record(seconds)

    def _make(self) -> None:
        meter = self._meter or get_meter("scorespan")
        for one in _COUNTERS:
            meter.create_observable_counter(one.name, [self._reader(self._counted, one)], *one[1:])
        for one in _SUMS:
            callback = self._reader(self._summed, one)
            meter.create_observable_up_down_counter(one.name, [callback], *one[1:])
        for one in _GAUGES:
            meter.create_observable_gauge(one.name, [self._reader(self._highest, one)], *one[1:])
        self._lag = meter.create_histogram(*_LAG)

    def _reader(
        self, read: Callable[[_Instrument], list[Observation]], one: _Instrument
    ) -> Callable[[CallbackOptions], list[Observation]]:
        def callback(_: CallbackOptions) -> list[Observation]:
            try:
                with self._lock:
                    return read(one)
            except Exception:  # noqa: BLE001 - the application's meter must not see our fault
                return []

        return callback

    def _counted(self, one: _Instrument) -> list[Observation]:
        counts = self._ended.copy()
        for source in self._open:
            counts.update(_counts(source()))
        counts[_RECORDS, "scored"] = producer.given()
        return [
            Observation(count, {} if outcome is None else {"outcome": outcome})
            for (counted, outcome), count in counts.items()
            if counted is one
        ]

    def _summed(self, one: _Instrument) -> list[Observation]:
        return [Observation(sum(_SUMS[one](source()) for source in self._open))]

    def _highest(self, one: _Instrument) -> list[Observation]:
        values = [_GAUGES[one](source()) for source in self._open]
        return [Observation(max(values))] if values else []


instruments = Instruments()
os.register_at_fork(after_in_child=instruments.forget)
