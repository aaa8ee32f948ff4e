"""The writer of one directory: a log of segments, synced by a thread of its own."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from errno import ENOENT
from pathlib import Path

from scorespan.errors import SpoolClosedError, SpoolError
from scorespan.spool.dead import sync_folder
from scorespan.spool.reader import Extent
from scorespan.spool.segment import SUFFIX, SegmentWriter
from scorespan.telemetry import RepeatedLog
from scorespan.threads import native, start

SEGMENT_BYTES = 16 * 1024 * 1024
SEGMENT_SECONDS = 60.0
SYNC_SECONDS = 0.04


class DirectoryWriter:
    """Appends entries to a directory's segments; any thread may.

    An append is one `write(2)` under a lock and nothing else. The thread syncs what was written
    within 50 ms, seals a segment that is large or old enough, and opens the next.

    Args:
        directory: where; held by this process, and empty.
        header: what every segment says of itself.
        log: where faults of the thread are reported.

    Raises:
        OSError: from the constructor, where no file can be made.

    Attributes:
        written: bytes written so far.
        arrived: set after each sync that followed an append.
        gone: whether the directory was removed under us; appends raise then.
    """

    def __init__(self, directory: Path, header: Mapping[str, object], log: RepeatedLog) -> None:
        self._directory = directory
        self._header = header
        self._log = log
        self.written = 0
        self.arrived = native.Event()
        # Reentrant: a signal handler or a finalizer may score in the middle of an append.
        self._lock = native.RLock()
        self._numbers = itertools.count(1)
        self._segment = self._new_segment(1)
        self._opened = time.monotonic()
        self._names_synced = False
        self._dirty = False
        self._roll_asked = False
        self.gone = False
        self._closed = False
        self._wake = native.Event()
        self._stop = native.Event()
        self._thread = native.Thread(target=self._run, name="scorespan-sync", daemon=True)
        # Where there is none, at exit, entries are written all the same.
        start(self._thread)

    def append(self, pieces: Sequence[bytes], length: int) -> None:
        """Write one entry of `length` bytes; it then survives the death of the process.

        Raises:
            SpoolClosedError: after `close`.
            SpoolError: the file could not be written; nothing was kept.
        """
        with self._lock:
            if self._closed:
                raise SpoolClosedError("the spool is closed")
            if self.gone:
                raise SpoolError("the spool's directory was removed")
            try:
                self.written += self._segment.append(next(self._numbers), pieces, length)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise SpoolError(f"the spool cannot be written: {reason}") from error
        if not self._dirty:
            self._dirty = True
            self._wake.set()

    def extent(self) -> Extent | None:
        """How far a reader may go; None when nobody writes any more."""
        with self._lock:
            return None if self._closed else Extent(self._segment.number, self._segment.size)

    def roll_soon(self) -> None:
        """Have the thread go on in a new segment, so that this one can be deleted."""
        self._roll_asked = True
        self._wake.set()

    def roll(self) -> None:
        """Seal the segment and go on in a new one.

        Raises:
            OSError: there is no new one; the old one is used on.
        """
        segment = self._segment
        following = self._new_segment(segment.number + 1)
        with self._lock:
            self._segment = following
            self._opened = time.monotonic()
        self._names_synced = False
        try:
            segment.seal()
        finally:
            # Without its seal a segment is as good; what counts is that its entries are synced.
            try:
                segment.sync()
            finally:
                segment.close()

    def close(self) -> None:
        """Sync and close. Later appends raise. Idempotent.

        Raises:
            OSError: the last sync failed.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        try:
            self._segment.sync()
        finally:
            self._segment.close()

    def abandon(self) -> None:
        """Drop the descriptor without writing: for a forked child, whose parent owns the file."""
        self._closed = True
        self._stop.set()
        self._wake.set()
        self._segment.close()

    def _new_segment(self, number: int) -> SegmentWriter:
        path = self._directory / f"{number:08d}{SUFFIX}"
        segment = SegmentWriter(path, number, {**self._header, "created": time.time()})
        with self._lock:
            self.written += segment.size
        return segment

    def _sync(self) -> None:
        """Bring what was written to the disk; open the next segment where it is time to."""
        self._dirty = False
        segment = self._segment
        if not segment.path.exists():
            # Bytes in a file without a name are lost with the process: say so, and take no more.
            self.gone = True
            raise FileNotFoundError(ENOENT, "the spool's directory was removed")
        age = time.monotonic() - self._opened
        asked, self._roll_asked = self._roll_asked, False
        large = segment.size > SEGMENT_BYTES
        if segment.count and (large or age > SEGMENT_SECONDS or asked):
            self.roll()
        else:
            segment.sync()
        if not self._names_synced:
            sync_folder(self._directory)
            sync_folder(self._directory.parent)
            self._names_synced = True

    def _run(self) -> None:
        while self._wake.wait() and not self._stop.wait(SYNC_SECONDS):
            self._wake.clear()
            try:
                self._sync()
            except OSError as error:
                self._log.warning("sync", "spool: sync failed: %s", error.strerror)
            self.arrived.set()
