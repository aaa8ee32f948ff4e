"""Acks: what was marked is known again, and damage only forgets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorespan.spool.acks import Acked, acks_path, append_acks

SETS = st.lists(st.sets(st.integers(1, 60), min_size=1), max_size=6)


@settings(deadline=None)
@given(SETS)
def test_what_is_appended_is_acked_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, groups: list[set[int]]
):
    """The file holds exactly the sequences of all appends, whatever their order."""
    segment = tmp_path_factory.mktemp("acks") / "00000001.segment"
    for group in groups:
        append_acks(segment, group)
    acked = Acked(segment)
    expected = set().union(*groups)
    assert {sequence for sequence in range(100) if sequence in acked} == expected


@settings(deadline=None)
@given(SETS, st.integers(0), st.integers(1, 255))
def test_damage_forgets_but_never_invents(
    tmp_path_factory: pytest.TempPathFactory, groups: list[set[int]], place: int, change: int
):
    """A wrong byte or a torn tail can cost a resend; it never settles an entry."""
    segment = tmp_path_factory.mktemp("acks") / "00000001.segment"
    for group in groups:
        append_acks(segment, group)
    content = bytearray(acks_path(segment).read_bytes() if groups else b"")
    if content:
        content[place % len(content)] ^= change
        acks_path(segment).write_bytes(content + b"torn")
    acked = Acked(segment)
    assert {sequence for sequence in range(100) if sequence in acked} <= set().union(*groups)


def test_no_file_means_nothing_is_acked(tmp_path: Path):
    """A segment without acks is unsettled as a whole."""
    assert 1 not in Acked(tmp_path / "00000001.segment")
