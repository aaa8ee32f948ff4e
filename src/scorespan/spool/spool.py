"""The spool of one process: put at one end, claim and settle at the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from scorespan.errors import SpoolFullError, SpoolSmallError
from scorespan.spool.adoption import Adoption, let_go
from scorespan.spool.bound import Bound
from scorespan.spool.files import DISK, Files, Piece
from scorespan.spool.frames import HEAD_SIZE
from scorespan.spool.reader import DirectoryReader, Entry, Extent, Mark
from scorespan.spool.room import FOLDER, Room
from scorespan.spool.root import Route, bytes_under, create_directory
from scorespan.spool.segment_reading import Faults, SegmentReading
from scorespan.spool.sync import SYNC_SECONDS, SyncThread
from scorespan.spool.writer import DirectoryWriter, Part
from scorespan.telemetry import RepeatedLog

ADOPT_SECONDS = 5.0

_Answer = TypeVar("_Answer")


class Claim(NamedTuple):
    """Claimed entries; `more` says that another claim may find some at once."""

    entries: list[Entry]
    more: bool


class SpoolMark(NamedTuple):
    """A moment: what had been put then, and whose directories were adopted."""

    own: Mark
    adopted: frozenset[Path]


class Spool:
    """Entries on disk between the caller and the data mart.

    `put` and `mark` may be called by any thread; what claims, settles, adopts or asks for what is
    settled by one, the worker's.

    Args:
        root: the spool root, prepared.
        route: where the entries go; only orphans of the same route are adopted.
        max_bytes: bound of the root, in bytes.
        full_wait: seconds that a put may wait for room.
        min_free: bytes of the disk that must stay free; None: the smaller of 1 GiB and 5 % of it.
        durable: whether a put returns only when its entry is synced.
        log: where faults are reported.
        files: makes the changes on disk.
        sync_seconds: from a put to the sync that follows it; None: `sync` is called instead.

    Attributes:
        arrived: set when entries may have come.
    """

    def __init__(  # noqa: PLR0913 - disk and time are parameters
        self,
        root: Path,
        route: Route,
        *,
        max_bytes: int,
        full_wait: float = 0.0,
        min_free: int | None = None,
        durable: bool = False,
        log: RepeatedLog | None = None,
        files: Files = DISK,
        sync_seconds: float | None = SYNC_SECONDS,
    ) -> None:
        self.root = root
        self._route = route
        self._log = log or RepeatedLog()
        self._files = files
        self._settled = 0
        self._faults = Faults(self._log)
        self._room = Room(root, min_free, files=files)
        self._room.begin()
        self._owned = create_directory(root, route, files)
        header = {"owner": self.name, "route": list(route)}
        try:
            self._writer = DirectoryWriter(
                self._owned.path, header, self._log, files=files, durable=durable
            )
        except OSError:
            self._owned.remove()
            raise
        self._segments = self._writer.segments
        self._bound = Bound(self._segments, max_bytes, full_wait)
        writer = self._writer
        self._append = writer.append_synced if durable else writer.append
        self._append_all = writer.append_all_synced if durable else writer.append_all
        self.arrived = self._writer.arrived
        self._own = self._reader(self._owned.path, self._writer.extent)
        self._adoption = Adoption(root, route, self._reader, files)
        self._thread: SyncThread | None = None
        if sync_seconds is not None:
            self._thread = SyncThread(self._writer.wake, self._tend, sync_seconds)
            try:
                self._thread.start()
            except RuntimeError:
                self.close()
                raise

    @property
    def path(self) -> Path:
        """This process's directory."""
        return self._owned.path

    @property
    def name(self) -> str:
        """The name of this process's directory in the root."""
        return self._owned.path.name

    @property
    def route(self) -> Route:
        """Where the entries go."""
        return self._route

    @property
    def gone(self) -> bool:
        """Whether somebody removed this process's directory."""
        return self._writer.gone

    @property
    def orphans_left(self) -> bool:
        """Whether the last adoption could not take all."""
        return self._adoption.more

    @property
    def size(self) -> int:
        """Bytes that the root holds, as far as this process knows."""
        return self._bound.held

    @property
    def waiting(self) -> int:
        """How many entries were put here and are not settled."""
        return self._writer.appended - self._settled

    @property
    def synced(self) -> bool:
        """Whether all that was put is on the disk."""
        return self._writer.synced

    @property
    def sync_failures(self) -> int:
        """How many syncs have failed."""
        return self._writer.disk.failures

    @property
    def damaged_bytes(self) -> int:
        """Bytes found that are no entries."""
        return self._faults.damaged_bytes

    @property
    def lost_entries(self) -> int:
        """Entries that segments should hold by their seal, and do not; damaged ones included."""
        return self._faults.lost_entries

    def put(self, pieces: Sequence[Piece]) -> None:
        """Write one entry; see `put_made`."""
        self.put_made(lambda: pieces, sum(map(len, pieces)))

    def put_made(self, make: Callable[[], Sequence[Piece]], size: int) -> None:
        """Write the entry that `make` returns, of about `size` bytes.

        When this returns it survives the death of the process; where the spool is durable, that of
        the machine, too. `make` is called under the lock of the write, and perhaps for an entry
        that then cannot be written.

        Raises:
            SpoolFullError: the bound is reached or the disk is full; nothing was kept.
            SpoolClosedError: after `close`.
            SpoolGoneError: the directory was removed.
            SpoolError: the file could not be written or synced; nothing was kept for certain.
        """
        if self._room.short:
            raise SpoolFullError("the disk is nearly full; what is there is delivered first")
        if not self._bound.has_room(HEAD_SIZE + size):
            self._wait_for_room(HEAD_SIZE + size)
        self._append(make)

    def put_all(self, parts: Iterable[Part], size: int) -> None:
        """Write entries in parts, of about `size` bytes together.

        Each part is there as a whole or not at all. When this returns all are there as after
        `put_made`; where the spool is durable, with one sync for all, shared with those who put
        meanwhile. Bound and disk must have room for all, or nothing is written.

        Raises:
            SpoolFullError: the bound is reached or the disk is full; where `size` was wrong or
                others were faster, parts may have been kept.
            SpoolSmallError: they never have room for so much.
            SpoolClosedError: after `close`.
            SpoolGoneError: the directory was removed.
            SpoolError: a file could not be written or synced; parts may have been kept.
        """
        # Another thread looks at the disk once a second: too late for what is large.
        if self._room.short or not self._room.fits(size):
            self._writer.wake.set()
            self._check_not_small(size)
            raise SpoolFullError(f"the disk is nearly full: no room for {size} bytes more")
        if not self._bound.has_room(size):
            self._check_not_small(size)
            self._wait_for_room(size)
        self._append_all(parts)

    def refusal(self) -> str | None:
        """Why a put would be refused now; None: it would not. Touches no disk; any thread may ask.

        The bound counts as reached a little before it is: then there is no room for many at once.
        """
        if self._writer.refusal is not None:
            return self._writer.refusal
        if self._room.short:
            return "the disk is nearly full"
        return self._bound.nearly_reached

    def between_puts(self, ask: Callable[[], _Answer]) -> _Answer:
        """What `ask` returns while nobody puts: what is counted with the write is then written."""
        return self._writer.between_appends(ask)

    def sync(self) -> None:
        """Bring what was put to the disk.

        Raises:
            OSError: some of it is not there, or not certainly.
        """
        self._writer.sync()

    def claim(self, max_bytes: int, max_entries: int) -> Claim:
        """Entries that are not settled yet, oldest first; dead owners' before our own.

        An entry is claimed once; it comes again after `release` or a restart.
        """
        entries: list[Entry] = []
        more = False
        for reader in [*self._adoption.readers(), self._own]:
            found, size, more = reader.claim(
                max_bytes, max_entries - len(entries), alone=not entries
            )
            entries += found
            max_bytes -= size
            if more:
                break
        made_room = self._adoption.drop_drained() or bool(entries)
        return Claim(entries, more=more or (self.orphans_left and made_room))

    def release(self) -> None:
        """Make claimed entries that are not settled claimable again, after a fault of ours."""
        for reader in [*self._adoption.readers(), self._own]:
            reader.release()

    def settle(self, entries: Iterable[Entry]) -> None:
        """Mark claimed entries as settled: they never come again.

        A failure to write this down is logged; it costs a resend after a restart, no more.
        """
        by_segment: dict[SegmentReading, list[Entry]] = {}
        for entry in entries:
            by_segment.setdefault(entry.reading, []).append(entry)
        for reading, settled in by_segment.items():
            if reading.reader is self._own:
                self._settled += len(settled)
            try:
                reading.reader.settle(reading, settled)
            except OSError as error:
                self._log.warning("acks", "spool: acks not written: %s", error.strerror)

    def mark(self) -> SpoolMark:
        """What has been put until now, and what is adopted. Any thread may ask."""
        return SpoolMark(self._segments.mark(), self._adoption.paths)

    def passed(self, mark: SpoolMark) -> bool:
        """Whether all that was there at the mark is settled.

        It is not while entries of a failed sync are to be written again.
        """
        return (
            not mark.adopted & self._adoption.paths
            and not self._writer.disk.failed
            and self._own.passed(mark.own, self._writer.disk.written_again)
        )

    def oldest(self) -> float | None:
        """When the oldest segment was begun that is not settled, in seconds since the epoch.

        Lists directories: not for each record.
        """
        found = [reader.oldest() for reader in (*self._adoption.readers(), self._own)]
        return min((time for time in found if time is not None), default=None)

    def adopt(self) -> list[Path]:
        """Take over directories whose process is gone and whose route is ours; says which.

        A few at a time: more are taken when these are drained.
        """
        return self._adoption.take()

    def make_room(self) -> None:
        """The disk is full: take nothing new, and give up the ballast for what must be written."""
        self._room.give_up_ballast()
        # What is settled in the segment that is being written can go only when it is closed.
        self._writer.roll_soon()

    def keep_ballast(self) -> None:
        """Look at the room on the disk now; what syncs does so, too."""
        self._look()

    def recount(self) -> None:
        """Look at what the root holds: other processes put and remove, too."""
        # The ledger is no backlog: it grows with what was delivered, and must not stop the rest.
        aside = (self.path, self.root / "ledger", self.root / FOLDER)
        self._bound.others = bytes_under(self.root, without=aside)

    def close(self) -> None:
        """Sync and let go. Later puts raise; what is unsettled stays on disk. Idempotent.

        Raises:
            OSError: the last sync failed.
        """
        if not self._bound.end():
            return
        if self._thread is not None:
            self._thread.stop()
        try:
            self._writer.close()
        finally:
            self._adoption.let_go()
            self._own.claim(1, 1)  # what is settled to its end goes with that
            let_go(self._owned)

    def abandon(self) -> None:
        """Drop descriptors without touching a file: for a forked child, whose parent owns them."""
        self._bound.abandon()
        if self._thread is not None:
            self._thread.drop()
        self._writer.abandon()
        self._owned.release()
        self._adoption.release()

    def _tend(self) -> bool:
        """Sync, and look at the room; whether that is to be done again though nothing comes."""
        again = self._writer.tend()
        return self._look() or again

    def _look(self) -> bool:
        short = self._room.look()
        if short:
            self._log.warning("room", "the disk is nearly full: new records are refused")
        return short

    def _reader(
        self, directory: Path, extent: Callable[[], Extent | None] = lambda: None
    ) -> DirectoryReader:
        return DirectoryReader(
            directory,
            extent=extent,
            on_removed=lambda segment, size: self._bound.give_back(
                size, own=segment.parent == self.path
            ),
            faults=self._faults,
            files=self._files,
        )

    def _check_not_small(self, size: int) -> None:
        most = min(self._bound.most, self._room.most())
        if size > most:
            raise SpoolSmallError(
                f"{size} bytes at once have no room, however empty the spool is: it may hold {most}"
            )

    def _wait_for_room(self, size: int) -> None:
        # What is settled in the segment that is being written gives its bytes back only then.
        self._writer.roll_soon()
        self._bound.wait_for_room(size)
