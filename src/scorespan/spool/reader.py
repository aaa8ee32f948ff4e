"""The reader of one directory: claims entries, and forgets them when they are settled.

Used by one thread at a time. Memory is bounded by one claim, whatever the backlog.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from scorespan.spool.acks import Acked, acks_path, append_acks
from scorespan.spool.frames import FLAGS_OF_SPOOL
from scorespan.spool.segment import number_of, read_segment, segments_of

READ_BYTES = 128 * 1024
"""Read at a time: a buffer this small is reused by the allocator, a larger one is mapped anew."""


class SegmentReading:
    """How far one segment has been read and settled, and by whom."""

    def __init__(self, path: Path, reader: DirectoryReader) -> None:
        self.path = path
        self.reader = reader
        self.offset = 0
        self.acked = Acked(path)
        self.claimed: set[int] = set()
        self.complete = False


class Entry(NamedTuple):
    """A claimed entry: `sequence` names it in the segment that is being read.

    A `damaged` one stands for bytes that are no entry: `body` is those bytes, and `sequence` their
    negative offset in the file.
    """

    reading: SegmentReading
    sequence: int
    body: bytes
    damaged: bool = False


class Extent(NamedTuple):
    """How far the segment that is being written may be read."""

    number: int
    size: int


class DirectoryReader:
    """Reads a directory's segments in order.

    Args:
        directory: the directory.
        extent: tells the segment that is being written and its size; None from it, or no
            callable: nobody writes here any more.
        on_damage: called with the segment, where in it bytes begin and end that are no entries.
        on_removed: called with a finished segment and the bytes that it gave back.
    """

    def __init__(
        self,
        directory: Path,
        *,
        extent: Callable[[], Extent | None] | None = None,
        on_damage: Callable[[Path, int, int], None],
        on_removed: Callable[[Path, int], None],
    ) -> None:
        self.directory = directory
        self._extent = extent
        self._on_damage = on_damage
        self._on_removed = on_removed
        self._open: dict[Path, SegmentReading] = {}

    def claim(self, max_bytes: int, max_entries: int) -> list[Entry]:
        """The next unsettled entries, oldest first; empty where there are none now.

        An entry is claimed once; it comes again only after a restart. One entry may be larger than
        `max_bytes`; then it comes alone.
        """
        entries: list[Entry] = []
        taken = 0
        live = self._extent() if self._extent is not None else None
        for path in segments_of(self.directory):
            if len(entries) >= max_entries or taken >= max_bytes:
                break
            if live is not None and number_of(path) > live.number:
                break
            reading = self._open.get(path)
            if reading is None:
                reading = self._open[path] = SegmentReading(path, self)
            writing = live is not None and number_of(path) == live.number
            while not reading.complete and len(entries) < max_entries and taken < max_bytes:
                end = live.size if live is not None and writing else path.stat().st_size
                if reading.offset >= end:
                    reading.complete = not writing
                    break
                new = self._read(reading, end, max_bytes - taken, max_entries - len(entries))
                entries += new
                taken += sum(len(entry.body) for entry in new)
            self._forget_if_done(reading)
        return entries

    def settle(self, reading: SegmentReading, sequences: Sequence[int]) -> None:
        """Mark entries of a segment as settled; a segment whose entries all are is deleted.

        Raises:
            OSError: the acks could not be written; the entries come again after a restart.
        """
        reading.claimed.difference_update(sequences)
        if not self._forget_if_done(reading):
            append_acks(reading.path, sequences)

    def release(self) -> None:
        """Make claimed entries that are not settled claimable again."""
        for reading in self._open.values():
            if reading.claimed:
                reading.offset = 0
                reading.complete = False
                reading.claimed.clear()
                reading.acked = Acked(reading.path)

    def drained(self) -> bool:
        """Whether nothing is left in the directory; only where nobody writes."""
        return not segments_of(self.directory)

    def _read(
        self, reading: SegmentReading, end: int, max_bytes: int, max_entries: int
    ) -> list[Entry]:
        read = read_segment(
            reading.path,
            reading.offset,
            end,
            max_bytes=min(max_bytes, READ_BYTES),
            max_frames=max_entries,
        )
        for damage in read.damage:
            self._on_damage(reading.path, damage.start, damage.end)
        # Behind the damage: where that could not be kept, it is met again.
        reading.offset = read.offset
        entries = [
            Entry(reading, sequence, body)
            for sequence, flags, body, _ in read.frames
            if not flags & FLAGS_OF_SPOOL
        ]
        if reading.acked:
            entries = [entry for entry in entries if entry.sequence not in reading.acked]
        reading.claimed.update([entry.sequence for entry in entries])
        return entries

    def _forget_if_done(self, reading: SegmentReading) -> bool:
        if not reading.complete or reading.claimed:
            return False
        with contextlib.suppress(FileNotFoundError):
            size = reading.path.stat().st_size
            reading.path.unlink()
            self._on_removed(reading.path, size)
        # Behind the segment, so that a crash between the two leaves acks without a segment,
        # never a segment whose settled entries come again.
        acks_path(reading.path).unlink(missing_ok=True)
        self._open.pop(reading.path, None)
        return True
