"""The writer of one directory: a log of segments that many threads append to."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from errno import ENOENT, ETIMEDOUT
from pathlib import Path
from typing import Protocol, TypeVar

from scorespan.errors import SpoolClosedError, SpoolError, SpoolFullError, SpoolGoneError
from scorespan.spool.disk_sync import DiskSync
from scorespan.spool.files import DISK, FULL, Files, Piece
from scorespan.spool.reader import Extent
from scorespan.spool.segment_log import SegmentLog
from scorespan.spool.segment_writer import SegmentWriter
from scorespan.spool.sync import Group, Turns
from scorespan.telemetry import RepeatedLog
from scorespan.threads import Bell, native

_CLOSE_SECONDS = 5.0

_Made = TypeVar("_Made")
_Answer = TypeVar("_Answer")


class Part(Protocol):
    """Entries that are written with one system call."""

    def encode(self) -> Sequence[Sequence[Piece]]:
        """The entries, at least one, each in pieces. Called under the lock of the write."""

    def take_back(self) -> None:
        """None of them was written. Called under the same lock."""


class DirectoryWriter:
    """Appends entries to a directory's segments; any thread may.

    An append is one `write(2)` under a lock and nothing else. A sync brings what was appended to
    the disk, seals a segment that is large or old enough, and opens the next. Where a sync fails,
    that file is left, and what it had not synced is written to another and synced there; where
    that fails, too, appends are refused until it has worked.

    Args:
        directory: where; held by this process, and empty.
        header: what every segment says of itself.
        log: where faults are reported.
        files: makes the changes on disk.
        durable: whether a reader gets only what is synced, and entries of a failed sync are
            forgotten, because nobody was told that they are safe.

    Raises:
        OSError: from the constructor, where no file can be made.

    Attributes:
        appended: entries that they took.
        arrived: set after each sync that followed an append.
        wake: set when a sync should follow soon.
        gone: whether the directory was removed under us; appends raise then.
    """

    def __init__(
        self,
        directory: Path,
        header: Mapping[str, object],
        log: RepeatedLog,
        *,
        files: Files = DISK,
        durable: bool = False,
    ) -> None:
        self._log = log
        self._durable = durable
        self.segments = SegmentLog(directory, header, files, durable=durable)
        self._lock = self.segments.lock
        self.disk = DiskSync(self.segments, log)
        self.appended = 0
        self.arrived = Bell()
        self.wake = Bell()
        self.gone = False
        self._numbers = itertools.count(1)
        self._turns = Turns()
        self._group = Group()
        self._inside: set[int] = set()
        self._dirty = False
        self._roll_asked = False
        self._closed = False
        self._refusal: tuple[type[SpoolError], str] | None = None

    @property
    def refusing(self) -> bool:
        """Whether appends are refused because the disk fails."""
        return self._refusal is not None and not self._closed and not self.gone

    @property
    def refusal(self) -> str | None:
        """Why appends are refused: closed, gone, or the disk fails; None: they are not."""
        refusal = self._refusal
        return None if refusal is None else refusal[1]

    @property
    def synced(self) -> bool:
        """Whether all that was appended is on the disk."""
        return self.segments.synced()

    def append(self, make: Callable[[], Sequence[Piece]]) -> None:
        """Write the entry that `make` returns in pieces; it then survives the process's death.

        `make` is called under the lock of the write: what it counts has the order of the file.

        Raises:
            SpoolClosedError: after `close`.
            SpoolGoneError: the directory was removed.
            SpoolFullError: the disk is full; nothing was kept.
            SpoolError: the file could not be written; nothing was kept.
        """
        with self._lock:
            if self._refusal is not None:
                self._check_open()
            try:
                segments = self.segments
                pieces = make()
                length = sum(map(len, pieces))
                segments.written += segments.live.append(next(self._numbers), pieces, length)
            except OSError as error:
                raise self._not_written(error) from error
            self.appended += 1
        if not self._dirty:
            self._have_synced()

    def append_all(self, parts: Iterable[Part]) -> None:
        """Write entries part by part as `append` does one: all of a part, or nothing of it.

        Raises:
            SpoolError: as `append` does. Parts before the one that failed were kept.
        """
        for part in parts:
            self._append_part(part)

    def _append_part(self, part: Part) -> None:
        with self._lock:
            self._check_open()
            segments = self.segments
            try:
                entries = part.encode()
                numbers = list(itertools.islice(self._numbers, len(entries)))
                segments.written += segments.live.append_all(numbers, entries)
            except OSError as error:
                # What could not be cut off, or was interrupted, may be there all the same.
                if error.errno is not None and not segments.live.torn:
                    part.take_back()
                raise self._not_written(error) from error
            self.appended += len(entries)
        if not self._dirty:
            self._have_synced()

    def _have_synced(self) -> None:
        self._dirty = True
        try:
            self.wake.set()
        except BaseException:  # of a signal handler: the next who appends has it synced
            self._dirty = False
            raise

    def append_synced(self, make: Callable[[], Sequence[Piece]]) -> None:
        """Write one entry as `append` does; when this returns it survives the death of the machine.

        The first thread that waits syncs for all that have appended until then.

        Raises:
            SpoolError: as `append` does, and where the sync failed.
        """
        self._append_and_sync(self.append, (make,))

    def append_all_synced(self, parts: Iterable[Part]) -> None:
        """Write entries as `append_all` does; when this returns, all survive the machine's death.

        They are synced once, and each time that a segment is full.

        Raises:
            SpoolError: as `append_all` does, and where a sync failed.
        """
        self._append_and_sync(self._append_part, parts)

    def _append_and_sync(self, append: Callable[[_Made], None], makes: Iterable[_Made]) -> None:
        thread = native.get_ident()
        if thread in self._inside:
            # Of a signal handler or finalizer: what it interrupted must go on before.
            raise SpoolError("a put inside of a put cannot wait for the disk")
        try:
            self._inside.add(thread)
            # Others sync meanwhile, so there may be several, and the sync of each may have failed.
            groups: list[Group] = []
            for make in makes:
                if groups and self.segments.is_due():
                    self._turns.wait_for(groups[-1], self._sync)
                with self._lock:
                    append(make)
                    if self._group not in groups:
                        groups.append(self._group)
            for group in groups:
                self._turns.wait_for(group, self._sync)
        finally:
            self._inside.discard(thread)
            self._turns.give_back()  # whatever a signal handler raised, and where

    def between_appends(self, ask: Callable[[], _Answer]) -> _Answer:
        """What `ask` returns while nobody appends."""
        with self._lock:
            return ask()

    def extent(self) -> Extent | None:
        """How far a reader may go; None when nobody writes any more."""
        return None if self._closed else self.segments.extent()

    def roll_soon(self) -> None:
        """Have the next sync go on in a new segment, so that this one can be deleted."""
        self._roll_asked = True
        self.wake.set()

    def roll(self) -> None:
        """Seal the segment and go on in a new one, unless it is empty.

        Raises:
            OSError: a sync failed.
        """
        self._roll_asked = True
        self.sync()

    def tend(self) -> bool:
        """Sync what needs it, for a thread that does so after each `wake`.

        Returns:
            Whether this is to be tried again, because the disk fails.
        """
        if self.refusing or self._is_due() or (self._dirty and not self._durable):
            with contextlib.suppress(OSError):  # reported where it failed
                self.sync()
        if self.refusing:
            # Nothing is appended that would need it sooner.
            self.wake.clear()
        return self.refusing

    def sync(self) -> None:
        """Bring what was appended to the disk.

        Raises:
            OSError: some of it is not there; appends are refused until a later sync works.
        """
        self._turns.take()
        try:
            self._sync()
        finally:
            self._turns.give_back()

    def close(self) -> None:
        """Sync and close. Later appends raise. Idempotent.

        Raises:
            OSError: the last sync failed.
        """
        with self._lock:
            if self._closed:
                return
            self._refuse(SpoolClosedError, "the spool is closed")
            self._closed = True
        if not self._turns.take(timeout=_CLOSE_SECONDS):
            raise OSError(ETIMEDOUT, "a sync does not come back")
        try:
            self._sync()
        finally:
            self._turns.give_back()
            self.segments.close_all()

    def abandon(self) -> None:
        """Drop descriptors without writing: for a forked child, whose parent owns the files."""
        self._refusal = (SpoolClosedError, "the spool is closed")
        self._closed = True
        self.segments.close_all()

    def _sync(self) -> None:
        """Sync, for whoever has the turn."""
        groups: list[Group] = []
        reason = "the sync was interrupted"
        try:
            self._dirty = False
            following = self._following()
            with self._lock:
                rolled = self.segments.live
                self._take_group(groups)
                if following is not None:
                    self.segments.go_on_in(following)
            if following is not None:
                # Without its seal a segment is as good; what counts is that its entries are synced.
                with contextlib.suppress(OSError):
                    rolled.seal()
            self._check_there()
            self.disk.sync()
        except BaseException as error:
            if isinstance(error, OSError) and error.errno is not None:
                reason = f"the disk fails: {error.strerror}"
                with self._lock:
                    # Those who came meanwhile are in the same files.
                    self._take_group(groups)
                    self._refuse(SpoolError, reason)
                # Refused appends wake nobody, and this may not be the thread that tries again.
                self.wake.set()
                if self._durable:
                    self.disk.forget()
            for group in groups:
                group.error = reason
            raise
        else:
            with self._lock:
                if not self._closed and not self.gone:
                    self._refusal = None
        finally:
            for group in groups:
                group.done = True
            self.arrived.set()

    def _take_group(self, groups: list[Group]) -> None:
        groups.append(self._group)
        self._group = Group()

    def _check_there(self) -> None:
        if not self.segments.live.path.exists():
            # Bytes in a file without a name are lost with the process: say so, and take no more.
            reason = "the spool's directory was removed"
            self._refuse(SpoolGoneError, reason)
            self.gone = True
            self._log.warning("gone", "spool: %s", reason)
            raise FileNotFoundError(ENOENT, reason)

    def _is_due(self) -> bool:
        asked = self._roll_asked and self.segments.live.count > 0
        return asked or self.segments.is_due()

    def _following(self) -> SegmentWriter | None:
        """The segment to go on in, where it is time to and there can be one."""
        due, self._roll_asked = self._is_due(), False
        if not due or self.disk.failed or self._closed:
            return None
        try:
            return self.segments.create()
        except OSError as error:
            self._log.warning("roll", "spool: no new segment: %s", error.strerror or error)
            return None

    def _check_open(self) -> None:
        """Raise the error that an append would meet now, if any."""
        if self._refusal is not None:
            kind, reason = self._refusal
            raise kind(reason)

    def _not_written(self, error: OSError) -> SpoolError:
        reason = f"the spool cannot be written: {error.strerror or type(error).__name__}"
        if self.segments.live.torn:
            self._refuse(SpoolError, reason)
            self.wake.set()
        return SpoolFullError(reason) if error.errno in FULL else SpoolError(reason)

    def _refuse(self, kind: type[SpoolError], reason: str) -> None:
        """Refuse appends from now on. What is closed or gone stays so."""
        if not self._closed and not self.gone:
            self._refusal = (kind, reason)
