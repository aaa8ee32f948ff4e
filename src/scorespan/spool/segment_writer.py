"""The segment writer: one segment that is being written, and what of it is not on the disk yet."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from errno import EIO
from pathlib import Path
from typing import NamedTuple

import orjson

from scorespan.spool.files import DISK, Files, Piece
from scorespan.spool.frames import (
    FILE_MAGIC,
    FILE_VERSION,
    FLAG_HEADER,
    FLAG_SEAL,
    FLAGS_OF_SPOOL,
    HEAD_SIZE,
    frame,
    frames,
    head_of,
)
from scorespan.spool.segment import READ_BYTES, read_segment

KEPT_BYTES = 64 * 1024 * 1024
"""Bytes behind the last sync that are kept in memory; what is beyond is read back if need be."""
_MOST_PIECES = 1024
"""How many pieces the kernel takes with one system call."""


class Unsynced(NamedTuple):
    """An entry that is perhaps not on the disk."""

    sequence: int
    pieces: Sequence[Piece]
    length: int


class SegmentWriter:
    """One segment that is being written. Its owner brings the lock, and syncs one at a time.

    Entries are remembered until they are synced: after a failed sync the kernel may have dropped
    what it could not write, and calls the next sync of the same file a success.

    Attributes:
        size: bytes of whole frames in the file; what lies behind them is not there for a reader.
        synced: bytes of them that are on the disk.
        failed: a sync has failed; this file is never synced again.
        hidden: a reader is not to see it before it is closed.
        torn: bytes that are no frame could not be cut off; nothing may be appended.
        named: whether the file's name is on the disk; None: that was not tried yet.
        final_size: bytes that count when the file is given up; None before.
        unreadable: bytes that `unsynced` had to read back and could not.
    """

    def __init__(
        self,
        path: Path,
        number: int,
        header: Mapping[str, object],
        files: Files = DISK,
        *,
        hidden: bool = False,
    ) -> None:
        self.path = path
        self.number = number
        self.count = 0
        self.first: int | None = None
        self.last: int | None = None
        self.synced = 0
        self.failed = False
        self.hidden = hidden
        self.final_size: int | None = None
        self.torn = False
        self.named: bool | None = None
        self.unreadable = 0
        self._files = files
        self._writev = files.writev
        self._fd = files.create(path)
        self.size = 0
        try:
            self._write_rest([FILE_MAGIC], 0)
            self.size = len(FILE_MAGIC)
            self._write_own(FLAG_HEADER, {"version": FILE_VERSION, **header})
        except OSError:
            # Left there, it would stand in the way of the next try.
            self.close()
            files.unlink(path)
            raise
        self._entries_from = self.size
        self._sealed_at: int | None = None
        # Whole frames as pieces, without a gap from `_kept_from` on; before them, the same in
        # batches, each with its place.
        self._kept: list[Piece] = []
        self._kept_from = self.size
        self._kept_before: list[tuple[int, list[Piece]]] = []
        self._keep_to = KEPT_BYTES
        self._syncing_to = self.size
        self._forgotten = False

    def append(self, sequence: int, pieces: Sequence[Piece], length: int) -> int:
        """Write one entry of `length` bytes with one system call; returns the bytes it took.

        Raises:
            OSError: nothing of the entry was kept.
        """
        whole = frame(sequence, 0, pieces, length)
        return self._append(whole, HEAD_SIZE + length, sequence, sequence, 1)

    def append_all(self, sequences: Sequence[int], entries: Sequence[Sequence[Piece]]) -> int:
        """Write some entries with one system call; returns the bytes they took.

        Raises:
            OSError: none of them was kept.
        """
        whole = frames(sequences, entries)
        taken = sum(map(len, whole))
        return self._append(whole, taken, sequences[0], sequences[-1], len(sequences))

    def _append(self, whole: Sequence[Piece], taken: int, first: int, last: int, count: int) -> int:
        many = len(whole) > _MOST_PIECES
        try:
            written = self._writev(self._fd, [b"".join(whole)] if many else whole)
            if written != taken:
                self._write_rest(whole, written)
            size = self.size = self.size + taken
            if size <= self._keep_to:
                self._kept += whole
        except BaseException as error:
            if isinstance(error, OSError) and error.errno is not None:
                self._cut_back()
            else:
                # A signal handler raised in the middle, perhaps its own TimeoutError. What is in
                # the file counts, or all that follows would stand in the wrong place; that this
                # entry may be there is no harm. What is kept has a gap from here on.
                self.size = os.fstat(self._fd).st_size
                self._keep_to = 0
            raise
        if not self.count:
            self.first = first
        self.count += count
        self.last = last
        return taken

    def seal(self, **known: object) -> None:
        """Write the end of the segment: what a reader must have found in it.

        Raises:
            OSError: there is no seal; the segment is as good without.
        """
        known = {"count": self.count, "first": self.first, "last": self.last, **known}
        self._sealed_at = self.size
        try:
            self._write_own(FLAG_SEAL, known)
        except OSError:
            self._cut_back()
            raise

    def begin_sync(self) -> None:
        """What is in the file now is what the next `sync` is about. Under the lock."""
        self._kept_before.append((self._kept_from, self._kept))
        self._kept, self._kept_from = [], self.size
        self._syncing_to = self.size

    def sync(self) -> None:
        """Bring the file's bytes to the disk. Without the lock; `end_sync` is to follow.

        Raises:
            OSError: they are not, and never will be through this file.
        """
        if self.torn:
            raise OSError(EIO, "a torn write could not be cut back")
        if self.named is False:
            raise OSError(EIO, "the folder's sync failed")
        self._files.datasync(self._fd)

    def end_sync(self) -> None:
        """The sync went well: forget what was kept for it. Under the lock."""
        self.synced = self._syncing_to
        self._kept_before = [(self._kept_from, self._kept)]
        self._kept, self._kept_from = [], self.size
        self._keep_to = self.synced + KEPT_BYTES

    def unsynced(self) -> Iterator[Unsynced]:
        """The entries that are perhaps not on the disk; nothing may be appended meanwhile.

        Those that memory does not have are read back, and left out where they are damaged.
        """
        if self._forgotten:
            return
        position = max(self.synced, self._entries_from)
        for start, kept in [*self._kept_before, (self._kept_from, self._kept)]:
            if start > position:
                yield from self._read_back(position, start)
            position = max(position, start)
            # An entry may have pieces without a byte.
            pieces = iter([piece for piece in kept if len(piece)])
            for head in pieces:
                sequence, length = head_of(head)
                body: list[Piece] = []
                left = length
                while left:
                    body.append(next(pieces))
                    left -= len(body[-1])
                yield Unsynced(sequence, body, length)
                position += HEAD_SIZE + length
        yield from self._read_back(position, self._sealed_at or self.size)

    def forget(self) -> None:
        """Nobody waits for what is not synced: do not keep it."""
        self._kept_before, self._kept = [], []
        self._forgotten = True

    def give_up(self) -> None:
        """Cut the file to what is on the disk, and close it; what was behind is elsewhere.

        Raises:
            OSError: it was not cut.
        """
        try:
            self._files.truncate(self._fd, self.synced)
        finally:
            # Behind the cut, so that a reader who removes the file gives back what it had.
            self.final_size = self.synced
            self.close()

    def discard(self) -> None:
        """Remove the file; where that cannot be, nothing in it counts."""
        self.final_size = 0
        with contextlib.suppress(OSError):
            self._files.unlink(self.path)
        self.close()

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._fd >= 0:
            descriptor, self._fd = self._fd, -1
            self._files.close(descriptor)

    def _write_own(self, flags: int, known: Mapping[str, object]) -> None:
        """A frame that is the segment's own, not an entry."""
        body = orjson.dumps(known)
        self._write_rest(frame(0, flags, [body], len(body)), 0)
        self.size += HEAD_SIZE + len(body)

    def _write_rest(self, pieces: Sequence[Piece], written: int) -> None:
        # The kernel stops short when the disk is nearly full, and past 2 GiB.
        view = memoryview(b"".join(pieces))[written:]
        while view:
            view = view[self._writev(self._fd, [view]) :]

    def _cut_back(self) -> None:
        try:
            self._files.truncate(self._fd, self.size)
        except OSError:
            # All that follows would stand in the wrong place.
            self.torn = True
            raise

    def _read_back(self, start: int, end: int) -> Iterator[Unsynced]:
        while start < end:
            read = read_segment(self.path, start, end, max_bytes=READ_BYTES, max_frames=1000)
            for found in read.frames:
                if not found.flags & FLAGS_OF_SPOOL:
                    yield Unsynced(found.sequence, [found.body], len(found.body))
            if read.offset == start:
                break
            self.unreadable += sum(damage.end - damage.start for damage in read.damage)
            start = read.offset
