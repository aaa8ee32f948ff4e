"""Checked lines: what was written, or an error."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan.spool.lines import checked_line, read_line

members = st.dictionaries(
    st.sampled_from(["p", "n", "r"]), st.text() | st.integers(0, 2**63) | st.none(), min_size=1
)


@given(members)
def test_a_line_comes_back_as_it_was_written(known: dict[str, object]):
    """Also to a reader that knows of no checksum."""
    line = checked_line(known)
    assert line.endswith(b"}\n")
    found = read_line(line, checked=True)
    del found["c"]
    assert found == known
    assert orjson.loads(line).items() >= known.items()


@given(members, st.data())
def test_a_flipped_bit_is_met(known: dict[str, object], data: st.DataObject):
    """Wherever it is, where a checksum is asked for; the line's end is none of it."""
    line = bytearray(checked_line(known))
    place = data.draw(st.integers(0, len(line) - 2))
    line[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises((ValueError, TypeError)):
        read_line(bytes(line), checked=True)


def test_a_line_of_the_version_before_is_read_where_it_may_be_one():
    """It has no checksum."""
    assert read_line(b'{"p":"x"}\n', checked=False) == {"p": "x"}
    with pytest.raises(ValueError, match="damaged"):
        read_line(b'{"p":"x"}\n', checked=True)
    with pytest.raises(TypeError, match="no object"):
        read_line(b"[]\n", checked=False)
