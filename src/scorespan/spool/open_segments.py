"""The open segments of a directory: those that may still change, and what a reader sees of them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from pathlib import Path

from scorespan.spool.files import Files
from scorespan.spool.reader import Extent
from scorespan.spool.segment import SUFFIX
from scorespan.spool.segment_reading import Limit
from scorespan.spool.segment_writer import SegmentWriter
from scorespan.threads import native


class OpenSegments:
    """Makes segments and knows them until all of each is on the disk, or it is given up.

    Args:
        directory: where.
        header: what every segment says of itself.
        files: makes the changes on disk.
        durable: whether a reader gets only what is synced.

    Attributes:
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

    def create(self) -> SegmentWriter:
        """A new segment.

        Raises:
            OSError: there is none.
        """
        return self._create(hidden=False)

    def create_hidden(self) -> SegmentWriter:
        """A new segment that a reader does not see before it is closed."""
        return self._create(hidden=True)

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
