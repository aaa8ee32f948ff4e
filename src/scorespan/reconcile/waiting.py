"""What waits in the spool, as its files tell; nothing is held or changed, whoever is at work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scorespan.conversion.span import decode
from scorespan.delivery.batch import ledger_item, nameless_span
from scorespan.delivery.settle import read_status
from scorespan.errors import SpoolDamagedError
from scorespan.reconcile.tally import WAITING
from scorespan.spool.acks import Acked
from scorespan.spool.frames import FLAGS_OF_SPOOL, Frame
from scorespan.spool.ledger import LedgerItem
from scorespan.spool.reader import READ_BYTES
from scorespan.spool.root import Route, bytes_under, directories, is_owned, route_of
from scorespan.spool.segment import read_segment, segments_of

_FRAMES = 1000


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
        waiting, oldest = 0, None
        for item in read_waiting(directory):
            waiting += 1
            oldest = item.minute if oldest is None else min(oldest, item.minute)
        reports.append(
            DirectoryReport(
                name=directory.name,
                alive=is_owned(directory),
                route=route_of(directory),
                waiting=waiting,
                oldest=oldest,
                size=bytes_under(directory),
                status=read_status(directory),
            )
        )
    return reports


def read_waiting(directory: Path) -> Iterator[LedgerItem]:
    """Every entry of a directory that is not settled; memory is bounded by one read."""
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
                    yield _waiting_item(segment, frame)
            if read.offset == offset:
                break
            offset = read.offset


def _waiting_item(segment: Path, frame: Frame) -> LedgerItem:
    try:
        span = decode(frame.body)
    except SpoolDamagedError:
        span = nameless_span(segment, frame.sequence)
    return ledger_item(span, WAITING)
