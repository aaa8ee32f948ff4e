"""The reader of one directory: claims entries, and forgets them when they are settled.

Used by one thread at a time. Memory is bounded by one claim, whatever the backlog.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scorespan.spool.acks import acks_path, append_acks
from scorespan.spool.files import DISK, Files
from scorespan.spool.segment import READ_BYTES, is_foreign, number_of, read_header, segments_of
from scorespan.spool.segment_reading import Claimed, Entry, Faults, Limit, SegmentReading

__all__ = ["READ_BYTES", "Claimed", "DirectoryReader", "Entry", "Extent", "Mark"]


class Extent(NamedTuple):
    """What a directory's writer says: its newest segment, and the limits of those not closed."""

    newest: int
    limits: Mapping[int, Limit]


class Mark(NamedTuple):
    """A moment in a directory: the segment that was written, its size, the last sequence."""

    segment: int
    size: int
    sequence: int


class DirectoryReader:
    """Reads a directory's segments in order.

    A segment of a version that is not ours is left as it is.

    Args:
        directory: the directory.
        extent: what the writer says; None from it, or no callable: nobody writes here any more.
        on_removed: called with a finished segment and the bytes that it gave back.
        faults: where what is wrong on the disk is counted.
        files: makes the changes on disk.
    """

    def __init__(
        self,
        directory: Path,
        *,
        extent: Callable[[], Extent | None] = lambda: None,
        on_removed: Callable[[Path, int], None],
        faults: Faults,
        files: Files = DISK,
    ) -> None:
        self.directory = directory
        self._extent = extent
        self._on_removed = on_removed
        self._faults = faults
        self._files = files
        self._open: dict[Path, SegmentReading] = {}

    def claim(self, max_bytes: int, max_entries: int, *, alone: bool = True) -> Claimed:
        """The next unsettled entries, oldest first; empty where there are none now.

        An entry is claimed once; it comes again only after a restart. One that is larger than
        `max_bytes` comes alone, and only where `alone` allows it.
        """
        entries: list[Entry] = []
        taken = 0
        extent = self._extent()
        for path in segments_of(self.directory):
            if extent is not None and number_of(path) > extent.newest:
                break
            reading = self._open.get(path)
            if reading is None:
                reading = self._open[path] = SegmentReading(path, self, self._faults)
                if reading.foreign:
                    self._faults.tell(
                        "foreign", "spool: segments of a newer version are left as they are"
                    )
            if reading.foreign:
                continue
            found, size, more = reading.claim(
                extent.limits.get(number_of(path)) if extent is not None else None,
                max_bytes - taken,
                max_entries - len(entries),
                alone=alone and not entries,
            )
            entries += found
            taken += size
            self._forget_if_done(reading)
            if more:
                return Claimed(entries, taken, more=True)
        return Claimed(entries, taken, more=False)

    def settle(self, reading: SegmentReading, entries: Sequence[Entry]) -> None:
        """Mark entries of a segment as settled; a segment whose entries all are is deleted.

        Damaged ones are not written down: they are met again after a restart.

        Raises:
            OSError: the acks could not be written; the entries come again after a restart.
        """
        sequences = reading.settle(entries)
        if not self._forget_if_done(reading) and sequences:
            try:
                append_acks(reading.path, sequences, self._files)
            except OSError:
                reading.remember(sequences)
                raise

    def release(self) -> None:
        """Make claimed entries that are not settled claimable again."""
        for reading in self._open.values():
            if reading.claimed:
                reading.rewind()

    def drained(self) -> bool:
        """Whether nothing is left in the directory that is ours; only where nobody writes."""
        return all(self._is_foreign(path) for path in segments_of(self.directory))

    def passed(self, mark: Mark, written_again: Collection[int]) -> bool:
        """Whether all that was put before the mark is settled.

        Args:
            mark: the moment.
            written_again: numbers of segments whose entries were put before it was made.
        """
        for path in segments_of(self.directory):
            number = number_of(path)
            if number > mark.segment and number not in written_again:
                continue
            reading = self._open.get(path)
            if reading is None:
                return False
            if any(sequence <= mark.sequence for sequence in reading.claimed):
                return False
            at_mark = number == mark.segment and reading.offset >= mark.size
            if not (at_mark or reading.complete or reading.foreign):
                return False
        return True

    def oldest(self) -> float | None:
        """When the oldest segment was begun that is not settled, in seconds since the epoch."""
        extent = self._extent()
        for path in segments_of(self.directory):
            reading = self._open.get(path)
            limit = extent.limits.get(number_of(path)) if extent is not None else None
            if reading is not None and not reading.claimed:
                read = limit is not None and reading.offset >= limit.size
                if reading.foreign or reading.complete or read:
                    continue
            created = (read_header(path) or {}).get("created")
            if isinstance(created, int | float):
                return float(created)
            with contextlib.suppress(OSError):
                return path.stat().st_mtime
        return None

    def _is_foreign(self, path: Path) -> bool:
        reading = self._open.get(path)
        return reading.foreign if reading is not None else is_foreign(path)

    def _forget_if_done(self, reading: SegmentReading) -> bool:
        if not reading.complete or reading.claimed:
            return False
        with contextlib.suppress(FileNotFoundError):
            size = reading.path.stat().st_size
            self._files.unlink(reading.path)
            self._on_removed(reading.path, size)
        # Behind the segment, so that a crash between the two leaves acks without a segment,
        # never a segment whose settled entries come again.
        with contextlib.suppress(FileNotFoundError):
            self._files.unlink(acks_path(reading.path))
        self._open.pop(reading.path, None)
        return True
