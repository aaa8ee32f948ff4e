"""A large backlog: the start waits for none of it, and memory does not grow with it."""

from __future__ import annotations

from pathlib import Path

from faults.size import sized
from spool.backlog import build_backlog, start_on


def test_a_start_does_not_read_the_backlog(tmp_path: Path):
    """The soak has 4 GB in 4 million entries: accepting within 2 s, in less than 300 MB."""
    segments = sized(32, 256)
    build_backlog(tmp_path / "root", segments, 16_000)
    start = start_on(tmp_path / "root")
    assert start.adopted == 1
    assert start.claimed == 1000
    assert start.peak < 300
    assert start.grown < 30
    assert start.accepted_seconds < sized(30, 2)
    assert start.claimed_seconds < sized(30, 2)
