"""The rewrite: what failed syncs left, written once more to a segment that has not failed.

The kernel may have dropped the pages that it could not write, and reports that once: the next sync
of the same file succeeds. So a file whose sync has failed is never synced again. Its entries count
as synced when another file that holds them is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from scorespan.spool.segment_writer import SegmentWriter
from scorespan.telemetry import RepeatedLog


class Rewrite:
    """The failed segments of one directory. Used by one thread at a time.

    Args:
        log: where faults are reported.
    """

    def __init__(self, log: RepeatedLog) -> None:
        self.failed: list[SegmentWriter] = []
        self._log = log

    def add(self, segment: SegmentWriter, error: OSError) -> None:
        """The sync of this segment has failed."""
        segment.failed = True
        self.failed.append(segment)
        self._log.warning("sync", "spool: sync failed: %s", error.strerror or error)

    def forget(self) -> None:
        """Nobody was told that these entries are safe: do not write them again."""
        for segment in self.failed:
            segment.forget()

    def write(
        self, create: Callable[[], SegmentWriter], sync_names: Callable[[], None]
    ) -> SegmentWriter | None:
        """All that the failed segments had not synced, on the disk; None where that is nothing.

        Args:
            create: makes a segment that no reader looks at.
            sync_names: brings the names of segments to the disk.

        Raises:
            OSError: it is not on the disk, and this can be tried again.
        """
        again: SegmentWriter | None = None
        try:
            for segment in self.failed:
                for entry in segment.unsynced():
                    again = again or create()
                    again.append(*entry)
                if segment.unreadable:
                    self._log.warning(
                        "dropped", "spool: the disk dropped %d bytes", segment.unreadable
                    )
            if again is not None:
                again.seal()
                again.begin_sync()
                again.sync()
            sync_names()
        except BaseException:
            if again is not None:
                again.discard()
            raise
        return again

    def give_up(self) -> Sequence[SegmentWriter]:
        """Cut the failed segments to what had been synced, and close them; says which they were."""
        given_up, self.failed = self.failed, []
        for segment in given_up:
            # Where it cannot be cut, the reader is told how far it counts.
            with contextlib.suppress(OSError):
                segment.give_up()
        return given_up
