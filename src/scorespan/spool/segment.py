"""Segments: files of frames, written by one process and read by whoever owns the directory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from scorespan.spool.frames import (
    FILE_MAGIC,
    FLAG_HEADER,
    FLAG_SEAL,
    HEAD_SIZE,
    Damage,
    Frame,
    body_length,
    find_frame,
    frame,
    read_frame,
)

SUFFIX = ".segment"
_HEADER_MOST = 16 * 1024


class SegmentWriter:
    """One segment that is being written. Its owner brings the lock.

    Attributes:
        size: bytes of whole frames in the file; what lies behind them is not there for a reader.
    """

    def __init__(self, path: Path, number: int, header: Mapping[str, object]) -> None:
        self.path = path
        self.number = number
        self.count = 0
        self.first: int | None = None
        self.last: int | None = None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self.size = 0
        try:
            os.write(self._fd, FILE_MAGIC)
            self.size = len(FILE_MAGIC)
            self._write_own(FLAG_HEADER, header)
        except OSError:
            # Left there, it would stand in the way of the next try.
            self.close()
            path.unlink()
            raise

    def append(self, sequence: int, pieces: Sequence[bytes], length: int) -> int:
        """Write one entry of `length` bytes with one system call; returns the bytes it took.

        Raises:
            OSError: nothing of the entry was kept.
        """
        whole = frame(sequence, 0, pieces, length)
        try:
            written = os.writev(self._fd, whole)
            if written != HEAD_SIZE + length:
                self._write_rest(whole, written)
            self.size += HEAD_SIZE + length
        except BaseException as error:
            if isinstance(error, OSError) and error.errno is not None:
                self._cut_back()
            else:
                # A signal handler raised in the middle, perhaps its own TimeoutError. What is in
                # the file counts, or all that follows would stand in the wrong place; that this
                # entry may be there is no harm.
                self.size = os.fstat(self._fd).st_size
            raise
        if not self.count:
            self.first = sequence
        self.count += 1
        self.last = sequence
        return HEAD_SIZE + length

    def seal(self) -> None:
        """Write the end of the segment: what a reader must have found in it."""
        known = {"count": self.count, "first": self.first, "last": self.last}
        self._write_own(FLAG_SEAL, known)

    def sync(self) -> None:
        """Bring the file's bytes to the disk."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write_own(self, flags: int, known: Mapping[str, object]) -> None:
        """A frame that is the segment's own, not an entry."""
        body = orjson.dumps(known)
        whole = frame(0, flags, [body], len(body))
        self._write_rest(whole, 0)
        self.size += HEAD_SIZE + len(body)

    def _write_rest(self, pieces: list[bytes], written: int) -> None:
        # The kernel stops short when the disk is nearly full, and past 2 GiB.
        view = memoryview(b"".join(pieces))[written:]
        while view:
            view = view[os.write(self._fd, view) :]

    def _cut_back(self) -> None:
        os.ftruncate(self._fd, self.size)


class SegmentRead(NamedTuple):
    """What one read of a segment found; `offset` is where the next read goes on."""

    frames: list[Frame]
    offset: int
    damage: list[Damage]


def number_of(path: Path) -> int:
    """The segment's place in its directory."""
    return int(path.name.removesuffix(SUFFIX))


def segments_of(directory: Path) -> list[Path]:
    """The segment files of a directory, oldest first. A gap between numbers is no obstacle."""
    found = [path for path in directory.glob("*" + SUFFIX) if path.stem.isdigit()]
    return sorted(found, key=number_of)


def read_header(path: Path) -> dict[str, Any] | None:
    """What a segment says of itself, or None where that cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(_HEADER_MOST)
    except OSError:
        return None
    found = read_frame(start, len(FILE_MAGIC))
    if found is None or not found.flags & FLAG_HEADER:
        return None
    header = orjson.loads(found.body)
    return header if isinstance(header, dict) else None


def read_segment(
    path: Path, offset: int, end: int, *, max_bytes: int, max_frames: int
) -> SegmentRead:
    """Frames of a segment from an offset on, about `max_bytes` of them and at least one.

    Damaged stretches are stepped over to the next whole frame and reported.

    Args:
        path: the segment file.
        offset: where to begin; 0 is the start of the file.
        end: the file's extent; bytes behind it are not looked at.
        max_bytes: how much to read at a time. One frame may be larger; it is read whole.
        max_frames: upper bound of the number of frames.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _read(descriptor, offset, end, max_bytes, max_frames)
    finally:
        os.close(descriptor)


def _read(descriptor: int, offset: int, end: int, max_bytes: int, max_frames: int) -> SegmentRead:
    frames: list[Frame] = []
    damage: list[Damage] = []
    if offset == 0:
        intact = os.pread(descriptor, len(FILE_MAGIC), 0) == FILE_MAGIC
        offset = len(FILE_MAGIC) if intact else 0
    buffer = os.pread(descriptor, min(max_bytes, end - offset), offset)
    position = 0
    while position < len(buffer) and len(frames) < max_frames:
        found = read_frame(buffer, position)
        if found is not None:
            frames.append(found)
            position = found.end
            continue
        whole = _announced_end(buffer, position, offset, end)
        if whole is not None and whole > offset + len(buffer):
            if frames:
                break
            offset, position = offset + position, 0
            buffer = os.pread(descriptor, whole - offset, offset)
            continue
        damaged_from = offset + position
        buffer = os.pread(descriptor, end - damaged_from, damaged_from)
        next_frame = find_frame(buffer, 1)
        offset, position = damaged_from, next_frame if next_frame >= 0 else len(buffer)
        damage.append(Damage(damaged_from, damaged_from + position))
    return SegmentRead(frames, offset + position, damage)


def _announced_end(buffer: bytes, position: int, offset: int, end: int) -> int | None:
    """Where the frame at `position` says it ends, if the file goes that far."""
    if len(buffer) - position < HEAD_SIZE:
        announced = offset + position + HEAD_SIZE
    else:
        length = body_length(buffer, position)
        if length is None:
            return None
        announced = offset + position + HEAD_SIZE + length
    return announced if announced <= end else None
