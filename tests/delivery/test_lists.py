"""Lists that are set aside: none is lost, in whatever order they fail and pass."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from delivery.bench import span
from scorespan.conversion.convert import convert
from scorespan.conversion.span import ScoringSpan, encode
from scorespan.delivery.batch import Ready
from scorespan.delivery.lists import KEPT_FAILING, Aside, RecordList
from scorespan.delivery.retry import Pace, Retryable, Waits
from scorespan.record import PayloadRecord
from scorespan.spool.reader import Entry


class Clock:
    """Seconds that pass when told."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


class Reading:
    """A segment that an entry is from."""

    path = Path("/root/w-1-a/00000003.segment")


def ready(number: int) -> Ready:
    """An item."""
    one: ScoringSpan = span(number, end_time=number)
    record = convert(one)
    assert isinstance(record, PayloadRecord)
    return Ready(Entry(Reading(), number, b"".join(encode(one))), one, record)


ITEMS = [ready(number) for number in range(1, 41)]
FAILED = Retryable("HTTP 500", of_list=True)


def make(clock: Clock, **bounds: int) -> Aside:
    """What is set aside, at the pace of production."""
    return Aside(Pace(Waits(), random.Random(1), clock), **bounds)


@given(st.lists(st.integers(1, 10), min_size=1, max_size=4), st.sets(st.integers(1, 40)))
def test_every_record_is_there_until_it_passes(sizes: list[int], bad: set[int]):
    """In the end exactly the bad records are set aside, each alone."""
    clock = Clock()
    aside = make(clock)
    left = list(ITEMS)
    for size in sizes:
        aside.add(RecordList([left.pop(0) for _ in range(size)]), "HTTP 500")
    total = sum(sizes)
    bad = {number for number in bad if number <= total}
    passed: set[int] = set()
    for _ in range(400):
        if not aside.records:
            break
        clock.now += 60
        assert aside.left == 0
        one = aside.take()
        numbers = {item.span.sequence for item in one.items}
        if numbers & bad:
            one.failed(FAILED, 30)
            aside.add(one, "HTTP 500")
            aside.pace.failed()
        else:
            passed |= numbers
            aside.pace.passed()
        assert aside.records == total - len(passed)
    assert passed == set(range(1, total + 1)) - bad
    assert aside.oldest == min(bad, default=None)
    assert (aside.reason is None) == (not bad)


def test_the_pace_grows_to_the_cap_and_no_further():
    """What keeps failing is tried about twice a minute in the end, for ever."""
    clock = Clock()
    aside = make(clock)
    aside.add(RecordList(ITEMS[:1]), "HTTP 500")
    tries = 0
    while clock.now < 24 * 3600:
        assert aside.left is not None
        clock.now += aside.left
        one = aside.take()
        one.failed(FAILED, 30)
        aside.add(one, "HTTP 500")
        aside.pace.failed()
        tries += 1
    assert 24 * 60 < tries < 24 * 60 * 3


def test_the_bounds_are_records_and_bytes():
    """One list may go beyond."""
    assert make(Clock(), most_records=0).full
    by_records, by_bytes = make(Clock(), most_records=2), make(Clock(), most_bytes=1)
    for aside in (by_records, by_bytes):
        assert not aside.full
        aside.add(RecordList(ITEMS[:2]), "HTTP 500")
        assert aside.full
        aside.take()
        assert not aside.full


def test_what_is_forgotten_leaves_nothing():
    """After a fault of ours all comes again with the next claims."""
    aside = make(Clock())
    aside.add(RecordList(ITEMS[:3]), "HTTP 500")
    aside.pace.failed()
    aside.clear()
    assert (aside.records, aside.full, aside.left, aside.oldest) == (0, False, None, None)


def test_more_time_is_given_within_bounds_to_what_timed_out():
    """A copy after the other is waited for longer; a 500 asks for no more time."""
    one = RecordList(ITEMS[:1])
    one.failed(FAILED, 5)
    assert one.timeout == 0
    waits = []
    for _ in range(5):
        one.failed(FAILED._replace(timed_out=True), 5)
        waits.append(one.timeout)
    assert waits == [15, 30, 30, 30, 30]
    assert one.failures > KEPT_FAILING
