"""The sync of a directory's segments, and the rewrite of what a failed one left.

The kernel may have dropped the pages that it could not write, and reports that once: the next sync
of the same file succeeds. So a file whose sync has failed is never synced again. Its entries count
as synced when another file that holds them is.
"""

from __future__ import annotations

import contextlib

from scorespan.spool.segment_log import SegmentLog
from scorespan.spool.segment_writer import SegmentWriter
from scorespan.telemetry import RepeatedLog


class DiskSync:
    """Brings a directory's segments to the disk. Used by one thread at a time.

    Args:
        segments: what to bring there.
        log: where faults are reported.

    Attributes:
        failures: how many syncs have failed.
        failed: segments whose entries are still to be written again.
        written_again: numbers of segments with entries of earlier ones.
    """

    def __init__(self, segments: SegmentLog, log: RepeatedLog) -> None:
        self.failures = 0
        self.failed: list[SegmentWriter] = []
        self.written_again: set[int] = set()
        self._segments = segments
        self._log = log

    def sync(self) -> None:
        """Sync every segment that has not failed, and what is left of those that have.

        Raises:
            OSError: something is not on the disk; this can be tried again.
        """
        if self.failed:
            self._write_again()
        for segment in self._segments.begin_sync():
            try:
                segment.sync()
                self._segments.sync_names()
            except OSError as error:
                self.failures += 1
                self._log.warning("sync", "spool: sync failed: %s", error.strerror or error)
                segment.failed = True
                self.failed.append(segment)
                self._write_again()
            else:
                with self._segments.lock:
                    segment.end_sync()
                if segment is not self._segments.live:
                    self._segments.close(segment)

    def forget(self) -> None:
        """Nobody was told that these entries are safe: do not write them again."""
        for segment in self.failed:
            segment.forget()

    def _write_again(self) -> None:
        """Bring what failed syncs left to the disk, and leave their files."""
        segments = self._segments
        if segments.live.failed:
            self._replace_live()
        try:
            again = self._written_again()
            if again is None:
                self._try_live()
            with segments.lock:
                if again is not None:
                    again.end_sync()
                    segments.written += again.size
                    self.written_again.add(again.number)
                    segments.close(again)
                segments.written -= sum(segment.size - segment.synced for segment in self.failed)
            given_up, self.failed = self.failed, []
            for segment in given_up:
                # Where it cannot be cut, the reader is told how far it counts.
                with contextlib.suppress(OSError):
                    segment.give_up()
        finally:
            segments.leave_given_up()

    def _replace_live(self) -> None:
        failed, following = self._segments.live, self._segments.create()
        with self._segments.lock:
            self._segments.go_on_in(following)
            if failed.count:
                return
            self._segments.written -= failed.size
        # There may be many of these while the disk fails.
        self.failed.remove(failed)
        failed.discard()

    def _try_live(self) -> None:
        """See a sync work, where there was nothing to write again that would have shown it."""
        live = self._segments.live
        with self._segments.lock:
            live.begin_sync()
        try:
            live.sync()
        except OSError:
            live.failed = True
            self.failed.append(live)
            raise
        with self._segments.lock:
            live.end_sync()

    def _written_again(self) -> SegmentWriter | None:
        """All that the failed segments had not synced, on the disk; None where that is nothing."""
        again: SegmentWriter | None = None
        try:
            for segment in self.failed:
                for entry in segment.unsynced():
                    again = again or self._segments.create_hidden()
                    again.append(*entry)
                if segment.unreadable:
                    self._log.warning(
                        "dropped", "spool: the disk dropped %d bytes", segment.unreadable
                    )
            if again is not None:
                again.seal()
                again.begin_sync()
                again.sync()
            self._segments.sync_names()
        except BaseException:
            if again is not None:
                again.discard()
            raise
        return again
