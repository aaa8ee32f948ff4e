"""Ranges: the same numbers as a plain set, as few stretches."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan.spool.ranges import Ranges

small = st.integers(-20, 40)
changes = st.lists(st.tuples(st.booleans(), small, st.integers(0, 8)))


@given(changes)
def test_ranges_hold_what_a_set_holds(made: list[tuple[bool, int, int]]):
    """After any additions and removals."""
    ranges, expected = Ranges(), set()
    for adds, first, more in made:
        if adds:
            ranges.add(first, first + more)
            expected |= set(range(first, first + more + 1))
        else:
            ranges.remove(first)
            expected.discard(first)
    stretches = list(ranges)
    assert {one for start, end in stretches for one in range(start, end + 1)} == expected
    assert {one for one in range(-30, 60) if one in ranges} == expected
    assert ranges.count == len(expected)
    assert ranges.highest == max(expected, default=0)
    assert bool(ranges) == bool(expected)
    others = Ranges([(-9, 2), (5, 5), (8, 25)])
    assert list(ranges.among(others)) == sorted(one for one in expected if one in others)
    assert [ranges.has_any(one, one + 3) for one in range(-30, 60)] == [
        any(number in expected for number in range(one, one + 4)) for one in range(-30, 60)
    ]
    gaps = {one for start, end in ranges.missing(-5, 30) for one in range(start, end + 1)}
    assert gaps == set(range(-5, 31)) - expected
    # As few as can be: no two touch.
    assert all(end + 1 < start for (_, end), (start, _) in itertools.pairwise(stretches))


def test_a_stretch_of_any_length_costs_no_time():
    """Numbers are whatever somebody said."""
    ranges = Ranges([(1, 10), (2**62, 2**62)])
    assert list(ranges.missing(1, 2**62)) == [(11, 2**62 - 1)]


def test_a_stretch_that_ends_before_it_begins_is_refused():
    """It would be no set of numbers."""
    with pytest.raises(ValueError, match="before"):
        Ranges([(2, 1)])
