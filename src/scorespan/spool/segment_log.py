"""The segment log of a directory: its open segments, and what a reader sees of them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from pathlib import Path

from scorespan.spool.files import Files
from scorespan.spool.reader import Extent, Mark
from scorespan.spool.segment import SUFFIX
from scorespan.spool.segment_reading import Limit
from scorespan.spool.segment_writer import SegmentWriter
from scorespan.threads import native

SEGMENT_BYTES = 16 * 1024 * 1024
SEGMENT_SECONDS = 60.0


class SegmentLog:
    """Makes segments and knows them until all of each is on the disk, or it is given up.

    Args:
        directory: where.
        header: what every segment says of itself.
        files: makes the changes on disk.
        durable: whether a reader gets only what is synced.

    Raises:
        OSError: from the constructor, where no file can be made.

    Attributes:
        live: the segment that is appended to.
        written: bytes that the segments took so far.
        lock: held while what a reader sees changes. Reentrant: a signal handler or a finalizer may
            score in the middle of an append.
    """

    def __init__(
        self, directory: Path, header: Mapping[str, object], files: Files, *, durable: bool
    ) -> None:
        self.lock = native.RLock()
        self._directory = directory
        self._header = header
        self._files = files
        self._durable = durable
        self._numbers = itertools.count(1)
        self._newest = 0
        self._open: dict[int, SegmentWriter] = {}
        self._names_synced = False
        self._last = 0
        self.live = self.create()
        self.written = self.live.size
        self._opened = time.monotonic()

    def create(self) -> SegmentWriter:
        """A new segment.

        Raises:
            OSError: there is none.
        """
        return self._create(hidden=False)

    def create_hidden(self) -> SegmentWriter:
        """A new segment that a reader does not see before it is closed."""
        return self._create(hidden=True)

    def go_on_in(self, following: SegmentWriter) -> None:
        """Append to this segment from now on. Under the lock."""
        self._last = self.live.last or self._last
        self.live = following
        self._opened = time.monotonic()
        self.written += following.size

    def is_due(self) -> bool:
        """Whether the live segment is large or old enough for another."""
        age = time.monotonic() - self._opened
        return bool(self.live.count) and (self.live.size > SEGMENT_BYTES or age > SEGMENT_SECONDS)

    def mark(self) -> Mark:
        """What has been appended until now."""
        with self.lock:
            if self.live.last is None:
                return Mark(self.live.number, 0, self._last)
            return Mark(self.live.number, self.live.size, self.live.last)

    def begin_sync(self) -> list[SegmentWriter]:
        """Those that can be synced, oldest first: what is in them now is what the sync is about."""
        with self.lock:
            found = [
                segment
                for segment in self._open.values()
                if not (segment.failed or segment.hidden or segment.final_size is not None)
            ]
            for segment in found:
                segment.begin_sync()
        return found

    def close(self, segment: SegmentWriter) -> None:
        """All of this segment is on the disk, and nothing more comes."""
        with self.lock:
            self._open.pop(segment.number, None)
        segment.close()

    def leave_given_up(self) -> None:
        """Forget the segments that were given up.

        One that could not be cut or removed stays, so that a reader is told how far it counts.
        """
        with self.lock:
            for number, segment in list(self._open.items()):
                if segment.final_size is not None and _size(segment.path) <= segment.final_size:
                    del self._open[number]

    def close_all(self) -> None:
        """Close every file."""
        for segment in list(self._open.values()):
            segment.close()

    def sync_names(self) -> None:
        """Bring the names of the segments to the disk, and the directory's own.

        Raises:
            OSError: they may not be there.
        """
        if self._names_synced:
            return
        unnamed = [segment for segment in list(self._open.values()) if segment.named is None]
        try:
            self._files.sync_folder(self._directory)
        except OSError:
            # Names are like pages: a later sync may succeed without them.
            for segment in unnamed:
                segment.named = False
            raise
        for segment in unnamed:
            segment.named = True
        self._files.sync_folder(self._directory.parent)
        self._names_synced = True

    def extent(self) -> Extent:
        """How far a reader may go."""
        with self.lock:
            limits = {number: self._limit(segment) for number, segment in self._open.items()}
            return Extent(self._newest, limits)

    def synced(self) -> bool:
        """Whether every entry is on the disk."""
        with self.lock:
            return not any(
                segment.final_size is None and segment.count and segment.synced < segment.size
                for segment in self._open.values()
            )

    def _create(self, *, hidden: bool) -> SegmentWriter:
        number = next(self._numbers)
        path = self._directory / f"{number:08d}{SUFFIX}"
        header = {**self._header, "created": time.time()}
        segment = SegmentWriter(path, number, header, self._files, hidden=hidden)
        self._names_synced = False
        with self.lock:
            self._open[number] = segment
            self._newest = number
        return segment

    def _limit(self, segment: SegmentWriter) -> Limit:
        if segment.final_size is not None:
            return Limit(segment.final_size, segment.final_size, open=False)
        if self._durable or segment.hidden:
            return Limit(segment.synced, segment.synced, open=True)
        return Limit(segment.size, segment.synced, open=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
