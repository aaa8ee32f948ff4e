"""Requests share a budget, and one large one has a place beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.door import payload_of
from scorespan.errors import ReceiverError
from scorespan.receiver.body_format import JSON_MARKS, PROTOBUF_MARKS
from scorespan.receiver.memory import (
    DECOMPRESSED_BYTES,
    WIRE_BYTES,
    Memory,
    Share,
    to_read,
)

MIB = 1024 * 1024


def refused(share: Share, size: int) -> None:
    """So much is not had now, and may be later; what is held stays."""
    before = share.held
    with pytest.raises(ReceiverError) as caught:
        share.hold(size)
    assert (caught.value.status, share.held) == (503, before)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 0


def test_small_requests_share_the_budget():
    """What one holds the others cannot, until it gives it back."""
    memory = Memory(budget=100, large=60)
    with memory.share() as first, memory.share() as second:
        first.hold(60)
        refused(second, 41)
        second.hold(40)
        first.hold(10)
        second.hold(60)
        assert memory.held == 70
    assert memory.held == 0


def test_large_requests_come_one_at_a_time():
    """The place beside the budget is taken once, and free when that request ends."""
    memory = Memory(budget=100, large=60)
    small, other = memory.share(), memory.share()
    small.hold(60)
    with memory.share() as large:
        large.hold(40)
        large.hold(5000)
        assert memory.held == 60
        refused(other, 61)
        large.hold(6000)
    other.hold(61)
    assert memory.held == 60


def test_a_large_request_stays_the_large_one_to_its_end():
    """What it gives back of the budget may be held by others when it needs less again."""
    memory = Memory(budget=100, large=60)
    first, second = memory.share(), memory.share()
    first.hold(500)
    second.hold(60)
    first.hold(60)
    assert memory.held == 60
    refused(second, 61)
    first.hold(0)
    second.hold(61)


def test_a_request_at_every_limit_has_room_alone():
    """The largest request there may be is not refused for ever, whatever its records are of."""
    with Memory().share() as share:
        share.hold(WIRE_BYTES + DECOMPRESSED_BYTES)
        for marks in (PROTOBUF_MARKS, JSON_MARKS):
            record = payload_of("x") + b'{"fields": ["age"], "values": [[41, "skilled", 2]]}' * 20
            most = record * (DECOMPRESSED_BYTES // len(record))
            share.hold(to_read(most, marks))


def test_a_body_of_nothing_but_parts_is_too_large():
    """What would take gigabytes is 413, whoever else is there."""
    body = b'"",' * (64 * MIB)
    with Memory().share() as share, pytest.raises(ReceiverError) as caught:
        share.hold(to_read(body, JSON_MARKS))
    assert caught.value.status == 413


@pytest.mark.parametrize("part", [b"\x12\x00", b"\x4a\x00", b"1\n"])
def test_no_more_is_counted_than_is_read(part):
    """Where the reader gives up at so many parts, a body of short lines is none too large."""
    body = part * (32 * MIB)
    with Memory().share() as share:
        share.hold(to_read(body, PROTOBUF_MARKS))
        assert share.held < 8 * len(body)


@given(
    steps=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 120)), max_size=60),
    budget=st.integers(60, 150),
)
def test_the_budget_is_never_passed(steps, budget):
    """Whoever holds what: small ones keep within the budget, and large ones are one at most."""
    memory = Memory(budget=budget, large=60)
    shares = [memory.share() for _ in range(5)]
    for which, size in steps:
        try:
            shares[which].hold(size)
        except ReceiverError:
            assert size > 0
        assert memory.held <= budget
        assert sum(share.held > 60 for share in shares) <= 1
    for share in shares:
        share.hold(0)
    assert memory.held == 0
