"""A backlog, built cheaply, and what it costs to start on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import orjson

from scorespan.spool.root import Route, create_directory, prepare_root
from scorespan.spool.segment_writer import SegmentWriter

ROUTE = Route("http://mart", "one")
ENTRY_BYTES = 1000

_START = """
import re, sys, time
from pathlib import Path
import orjson
from scorespan.spool.root import Route
from scorespan.spool.spool import Spool


def most():
    # The kernel's own peak of resources goes on from the process that started this one.
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = most()
started = time.monotonic()
spool = Spool(Path(sys.argv[1]), Route(*orjson.loads(sys.argv[2])), max_bytes=10**12)
spool.put([b"x" * 1000])
accepted = time.monotonic() - started
adopted = len(spool.adopt())
claimed = len(spool.claim(1024 * 1024, 1000).entries)
seconds = time.monotonic() - started
spool.recount()
for _ in range(20):
    entries = spool.claim(1024 * 1024, 1000).entries
    spool.settle(entries)
peak = most()
spool.abandon()
sizes = [peak / 1024, (peak - before) / 1024]
print(orjson.dumps([accepted, seconds, adopted, claimed, *sizes]).decode())
"""


class Start(NamedTuple):
    """What a process's start on a backlog took; sizes are MiB."""

    accepted_seconds: float
    claimed_seconds: float
    adopted: int
    claimed: int
    peak: float
    grown: float


def build_backlog(root: Path, segments: int, entries: int) -> None:
    """What a dead process left: so many segments of so many entries of 1 KB each.

    The segments are one file with many names; it is read like many files.
    """
    prepare_root(root)
    owned = create_directory(root, ROUTE)
    first = owned.path / "00000001.segment"
    writer = SegmentWriter(first, 1, {"owner": owned.path.name, "route": list(ROUTE)})
    body = b"x" * ENTRY_BYTES
    for number in range(1, entries + 1):
        writer.append(number, [body], ENTRY_BYTES)
    writer.seal()
    writer.close()
    for number in range(2, segments + 1):
        os.link(first, owned.path / f"{number:08d}.segment")
    owned.release()


def start_on(root: Path) -> Start:
    """Start a process of its own on the root: put, adopt, claim, and settle a few batches."""
    command = [sys.executable, "-c", _START, str(root), orjson.dumps(list(ROUTE)).decode()]
    return Start(*orjson.loads(subprocess.check_output(command)))
