"""The bound: what counts against it, and who waits for room."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from scorespan.errors import SpoolFullError
from scorespan.spool.bound import Bound
from scorespan.spool.files import DISK
from scorespan.spool.segment_log import SegmentLog


@pytest.fixture
def segments(tmp_path: Path) -> SegmentLog:
    """A log whose first segment has its header."""
    return SegmentLog(tmp_path, {}, DISK, durable=False)


def test_all_that_the_root_holds_counts(segments: SegmentLog):
    """Our own and others', without what was given back."""
    bound = Bound(segments, 10_000, 0)
    own = segments.written
    bound.others = 5000
    assert bound.held == own + 5000
    assert bound.has_room(5000 - own)
    assert not bound.has_room(5001 - own)
    bound.give_back(1000, own=False)
    bound.give_back(10, own=True)
    assert bound.held == own + 4000 - 10
    assert bound.others == 4000
    segments.close_all()


def test_it_is_nearly_reached_before_a_large_request_meets_it(segments: SegmentLog):
    """Who asks whether many can come is told no a little early."""
    bound = Bound(segments, 64_000, 0)
    bound.others = 63_000 - segments.written
    assert bound.nearly_reached is None
    bound.others += 1
    assert bound.nearly_reached == "the spool holds 63001 of 64000 bytes"
    assert bound.has_room(999)
    segments.close_all()


def test_who_waits_goes_on_when_there_is_room(segments: SegmentLog):
    """Not before, and not after the time that it may take; nor after the end."""
    bound = Bound(segments, 10_000, 60)
    bound.others = 9000
    waiting = threading.Thread(target=bound.wait_for_room, args=(5000,))
    waiting.start()
    bound.give_back(1, own=False)
    bound.give_back(6000, own=False)
    waiting.join(60)
    assert not waiting.is_alive()
    bound.others = 10_000
    waiting = threading.Thread(target=bound.wait_for_room, args=(5000,))
    waiting.start()
    assert bound.end()
    assert not bound.end()
    waiting.join(60)
    assert not waiting.is_alive()
    with pytest.raises(SpoolFullError, match="of 50 bytes: no room for 7 more"):
        Bound(segments, 50, 0).wait_for_room(7)
    segments.close_all()
