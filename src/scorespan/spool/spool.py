"""The spool of one process: put at one end, claim and settle at the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from scorespan.errors import SpoolFullError
from scorespan.spool.ballast import FOLDER, Ballast
from scorespan.spool.dead import DeadLetter, write_letters
from scorespan.spool.frames import HEAD_SIZE
from scorespan.spool.reader import DirectoryReader, Entry, Extent, SegmentReading
from scorespan.spool.root import (
    OwnedDirectory,
    Route,
    bytes_under,
    create_directory,
    directories,
    take_orphan,
)
from scorespan.spool.writer import SEGMENT_BYTES, DirectoryWriter
from scorespan.telemetry import RepeatedLog
from scorespan.threads import native

ADOPT_SECONDS = 5.0
MOST_ADOPTED = 8
"""Directories of dead processes held at a time: each costs a descriptor, and others may help."""


class Claim(NamedTuple):
    """Claimed entries; `more` says that another claim may find some at once."""

    entries: list[Entry]
    more: bool


class Spool:
    """Entries on disk between the caller and the data mart.

    `put` may be called by any thread; `claim`, `settle` and `adopt` by one, the worker's.

    Args:
        root: the spool root, prepared.
        route: where the entries go; only orphans of the same route are adopted.
        max_bytes: bound of the root, in bytes.
        full_wait: seconds that a put may wait for room.
        min_free: bytes of the disk that must stay free; None: the smaller of 1 GiB and 5 % of it.
        durable: whether a put returns only when its entry is synced.
        log: where faults are reported.

    Attributes:
        arrived: set when entries may have come.
        orphans_left: whether the last adoption could not take all.
        damaged_bytes: bytes found that are no entries.
    """

    def __init__(
        self,
        root: Path,
        route: Route,
        *,
        max_bytes: int,
        full_wait: float = 0.0,
        min_free: int | None = None,
        durable: bool = False,
        log: RepeatedLog | None = None,
    ) -> None:
        self.root = root
        self._route = route
        self._max_bytes = max_bytes
        self._full_wait = full_wait
        self._log = log or RepeatedLog()
        # Each has one owner: callers write, the worker removes and looks at what others hold.
        self._others = 0
        self._removed = 0
        self.damaged_bytes = 0
        self._room = native.Condition()
        self._closed = False
        self._owned = create_directory(root, route)
        header = {"owner": self.name, "route": list(route)}
        try:
            self._writer = DirectoryWriter(self._owned.path, header, self._log)
        except OSError:
            self._owned.remove()
            raise
        self.arrived = self._writer.arrived
        self._own = self._reader(self._owned.path, self._writer.extent)
        self._adopted: list[tuple[OwnedDirectory, DirectoryReader]] = []
        self.orphans_left = False
        self._ballast = Ballast(root)
        self._starved = False

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
    def size(self) -> int:
        """Bytes that the root holds, as far as this process knows."""
        return self._others + self._writer.written - self._removed

    def put(self, pieces: Sequence[bytes]) -> None:
        """Write one entry; when this returns it survives the death of the process.

        Raises:
            SpoolFullError: the bound is reached or the disk is full; nothing was kept.
            SpoolClosedError: after `close`.
            SpoolError: the file could not be written; nothing was kept.
        """
        if self._starved:
            raise SpoolFullError("the disk is full; what is there is delivered first")
        length = sum(map(len, pieces))
        held = self._others + self._writer.written - self._removed + HEAD_SIZE + length
        if held > self._max_bytes and not self._wait_for_room(HEAD_SIZE + length):
            # What is settled in the segment that is being written gives its bytes back only then.
            self._writer.roll_soon()
            raise SpoolFullError(f"the spool holds {self.size} of {self._max_bytes} bytes")
        self._writer.append(pieces, length)

    def claim(self, max_bytes: int, max_entries: int) -> Claim:
        """Entries that are not settled yet, oldest first; dead owners' before our own.

        An entry is claimed once; it comes again after `release` or a restart.
        """
        entries: list[Entry] = []
        taken = 0
        for reader in [*(reader for _, reader in self._adopted), self._own]:
            if len(entries) >= max_entries or taken >= max_bytes:
                break
            found = reader.claim(max_bytes - taken, max_entries - len(entries))
            entries += found
            taken += sum(len(entry.body) for entry in found)
        made_room = self._drop_drained() or bool(entries)
        full = len(entries) >= max_entries or taken >= max_bytes
        return Claim(entries, more=full or (self.orphans_left and made_room))

    def release(self) -> None:
        """Make claimed entries that are not settled claimable again, after a fault of ours."""
        for reader in [*(reader for _, reader in self._adopted), self._own]:
            reader.release()

    def settle(self, entries: Iterable[Entry]) -> None:
        """Mark claimed entries as settled: they never come again.

        A failure to write this down is logged; it costs a resend after a restart, no more.
        """
        by_segment: dict[SegmentReading, list[int]] = {}
        for entry in entries:
            by_segment.setdefault(entry.reading, []).append(entry.sequence)
        for reading, sequences in by_segment.items():
            try:
                reading.reader.settle(reading, sequences)
            except OSError as error:
                self._log.warning("acks", "spool: acks not written: %s", error.strerror)

    def adopt(self) -> list[Path]:
        """Take over directories whose process is gone and whose route is ours; says which.

        A few at a time: more are taken when these are drained.
        """
        self._drop_drained()
        taken: list[Path] = []
        self.orphans_left = False
        for directory in directories(self.root):
            if len(self._adopted) >= MOST_ADOPTED:
                self.orphans_left = True
                break
            owned = take_orphan(directory, self._route)
            if owned is not None:
                self._adopted.append((owned, self._reader(directory, None)))
                taken.append(directory)
        return taken

    def make_room(self) -> None:
        """The disk is full: take nothing new, and give up the ballast for what must be written."""
        self._starved = True
        self._ballast.give_up()
        # What is settled in the segment that is being written can go only when it is closed.
        self._writer.roll_soon()

    def keep_ballast(self) -> None:
        """Keep the ballast where there is room for it; without it nothing new is taken."""
        self._starved = not self._ballast.keep()
        if self._starved:
            self._log.warning("ballast", "the disk is nearly full: new records are refused")

    def recount(self) -> None:
        """Look at what the root holds: other processes put and remove, too."""
        # The ledger is no backlog: it grows with what was delivered, and must not stop the rest.
        aside = (self.path, self.root / "ledger", self.root / FOLDER)
        self._others = bytes_under(self.root, without=aside)

    def close(self) -> None:
        """Sync and let go. Later puts raise; what is unsettled stays on disk. Idempotent.

        Raises:
            OSError: the last sync failed.
        """
        with self._room:
            if self._closed:
                return
            self._closed = True
            self._room.notify_all()
        try:
            self._writer.close()
        finally:
            for owned, reader in self._adopted:
                owned.remove() if reader.drained() else owned.release()
            self._finish_own()

    def abandon(self) -> None:
        """Drop descriptors without touching a file: for a forked child, whose parent owns them."""
        self._closed = True
        self._writer.abandon()
        for owned in (self._owned, *(owned for owned, _ in self._adopted)):
            owned.release()

    def _finish_own(self) -> None:
        """Remove our directory where nothing waits in it; else the next process adopts it."""
        if not self._own.claim(1, 1) and self._own.drained():
            self._owned.remove()
        else:
            self._owned.release()

    def _drop_drained(self) -> bool:
        drained = [(owned, reader) for owned, reader in self._adopted if reader.drained()]
        for owned, reader in drained:
            owned.remove()
            self._adopted.remove((owned, reader))
        return bool(drained)

    def _reader(
        self, directory: Path, extent: Callable[[], Extent | None] | None
    ) -> DirectoryReader:
        return DirectoryReader(
            directory, extent=extent, on_damage=self._damaged, on_removed=self._gave_back
        )

    def _damaged(self, segment: Path, start: int, end: int) -> None:
        """Keep bytes that are no entries as a dead letter; the segment will be deleted."""
        with segment.open("rb") as file:
            file.seek(start)
            content = file.read(min(end - start, SEGMENT_BYTES))
        reason = f"{end - start} bytes at {start} of {segment.parent.name}/{segment.name}"
        place = f"{segment.parent.name}.{segment.stem}.at-{start}"
        write_letters(self.root / "dead", [DeadLetter(content, place, "damaged", reason)])
        self.damaged_bytes += end - start
        self._log.warning("damage", "spool: damaged, kept as a dead letter: %s", reason)

    def _gave_back(self, segment: Path, size: int) -> None:
        with self._room:
            if segment.parent == self.path:
                self._removed += size
            else:
                self._others -= size
            self._room.notify_all()

    def _wait_for_room(self, size: int) -> bool:
        if self._full_wait <= 0:
            return False
        with self._room:
            return self._room.wait_for(
                lambda: self._closed or self.size + size <= self._max_bytes, self._full_wait
            )
