"""What waits in the spool, as its files tell; nothing is held or changed, whoever is at work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scorespan.conversion.span import decode
from scorespan.delivery.batch import ledger_item, nameless_span, salvaged_span
from scorespan.delivery.settle import read_status
from scorespan.errors import SpoolDamagedError
from scorespan.reconcile.tally import WAITING
from scorespan.spool.acks import Acked
from scorespan.spool.frames import FLAGS_OF_SPOOL, Damage, Frame
from scorespan.spool.ledger import LedgerItem
from scorespan.spool.root import Route, bytes_under, directories, is_owned, route_of
from scorespan.spool.segment import READ_BYTES, read_bytes, read_segment, segments_of

_FRAMES = 1000
_NAME_BYTES = 64 * 1024
"""Of damaged bytes what may hold their name."""


class DirectoryReport(NamedTuple):
    """One process's directory. `status` is what the process last said of itself."""

    name: str
    alive: bool
    route: Route | None
    waiting: int
    oldest: int | None
    size: int
    status: dict[str, Any] | None


def read_directories(root: Path) -> list[DirectoryReport]:
    """Every process's directory in the root, dead or alive."""
    reports = []
    for directory in directories(root):
        minutes = [item.minute for item, _ in read_waiting(directory)]
        reports.append(report_of(directory, len(minutes), min(minutes, default=None)))
    return reports


def report_of(directory: Path, waiting: int, oldest: int | None) -> DirectoryReport:
    """A directory in which so many entries wait, the oldest since that minute."""
    return DirectoryReport(
        name=directory.name,
        alive=is_owned(directory),
        route=route_of(directory),
        waiting=waiting,
        oldest=oldest,
        size=bytes_under(directory),
        status=read_status(directory),
    )


def read_waiting(directory: Path) -> Iterator[tuple[LedgerItem, bool]]:
    """Every entry of a directory that is not settled, and whether its bytes are damaged.

    Damaged ones are not written down as settled: the ledger may know better. Memory is bounded by
    one read.
    """
    alive = is_owned(directory)
    for segment in segments_of(directory):
        acked = Acked(segment)
        offset, end = 0, -1
        while offset != end:
            try:
                end = segment.stat().st_size
                read = read_segment(segment, offset, end, max_bytes=READ_BYTES, max_frames=_FRAMES)
            except FileNotFoundError:
                break  # settled, while this was reading
            for frame in read.frames:
                if not frame.flags & FLAGS_OF_SPOOL and frame.sequence not in acked:
                    yield _waiting_item(segment, frame), False
            for damage in read.damage:
                # Behind all that is whole, an entry may just be written.
                if not (alive and damage.end >= end):
                    yield _damaged_item(segment, damage), True
            if read.offset == offset:
                break
            offset = read.offset


def _damaged_item(segment: Path, damage: Damage) -> LedgerItem:
    try:
        content = read_bytes(segment, damage.start, min(damage.end, damage.start + _NAME_BYTES))
    except FileNotFoundError:
        content = b""
    return ledger_item(salvaged_span(segment, -damage.start, content), WAITING)


def _waiting_item(segment: Path, frame: Frame) -> LedgerItem:
    try:
        span = decode(frame.body)
    except SpoolDamagedError:
        span = nameless_span(segment, frame.sequence)
    return ledger_item(span, WAITING)
