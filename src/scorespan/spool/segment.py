"""Segments: files of frames, in order, read by whoever owns the directory."""

from __future__ import annotations

import os
from errno import EIO
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from scorespan.spool.frames import (
    FILE_PREFIX,
    FILE_VERSIONS,
    FLAG_HEADER,
    FLAGS_OF_SPOOL,
    FRAME_MAGIC,
    HEAD_SIZE,
    Damage,
    Frame,
    body_length,
    frame_of,
    read_frame,
)

SUFFIX = ".segment"
READ_BYTES = 128 * 1024
"""Read at a time: a buffer this small is reused by the allocator, a larger one is mapped anew."""
_HEADER_MOST = 16 * 1024
_FILE_HEAD = len(FILE_PREFIX) + 1
_PAGE = 4096
_UNKNOWN_FLAGS = ~FLAGS_OF_SPOOL


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
    found = [path for path in directory.glob("*" + SUFFIX) if path.stem.isdecimal()]
    return sorted(found, key=number_of)


def read_header(path: Path) -> dict[str, Any] | None:
    """What a segment says of itself, or None where that cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(_HEADER_MOST)
    except OSError:
        return None
    found = read_frame(start, _FILE_HEAD)
    if found is None or not found.flags & FLAG_HEADER:
        return None
    return known_of(found)


def known_of(found: Frame) -> dict[str, Any]:
    """What a frame of the spool's own says; nothing where that is no JSON object."""
    try:
        known = orjson.loads(found.body)
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}


def is_foreign(path: Path) -> bool:
    """Whether a file is a segment of a version that this library cannot read.

    One wrong byte does not make it so: the header says the version, too, and has a checksum.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_FILE_HEAD)
    except OSError:
        return False
    if len(start) < _FILE_HEAD or not start.startswith(FILE_PREFIX) or start[-1] in FILE_VERSIONS:
        return False
    return (read_header(path) or {}).get("version") not in FILE_VERSIONS


def read_segment(  # noqa: PLR0913 - where, how far and how much
    path: Path,
    offset: int,
    end: int,
    *,
    max_bytes: int,
    max_frames: int,
    alone: bool = True,
    stop_at_damage: bool = False,
) -> SegmentRead:
    """Frames of a segment from an offset on, with bodies of at most `max_bytes` together.

    Bytes that are no frame are reported and stepped over, one stretch from each place where a frame
    should begin to the next frame magic; a frame with a flag that nobody knows is one, too. They
    count like frames. A large frame is read as exactly one `bytes` of its body.

    Args:
        path: the segment file.
        offset: where to begin; 0 is the start of the file.
        end: the file's extent; bytes behind it are not looked at.
        max_bytes: how much to read.
        max_frames: upper bound of the number of frames and stretches.
        alone: whether a first one of more than `max_bytes` is read, all the same.
        stop_at_damage: do not go beyond the first stretch, nor report it.

    Raises:
        OSError: the file cannot be opened. A page that cannot be read is a page of zeros.
    """
    if offset == 0 and is_foreign(path):
        return SegmentRead([], 0, [])
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        reading = _Reading(descriptor, offset, end)
        return reading.read(max_bytes, max_frames, alone=alone, stop_at_damage=stop_at_damage)
    finally:
        os.close(descriptor)


def read_bytes(path: Path, start: int, end: int) -> bytes:
    """Bytes of a file as they are; pages that cannot be read as zeros."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _pread(descriptor, end - start, start)
    finally:
        os.close(descriptor)


class _Reading:
    """A walk over the frames of an open file: `position` in a buffer that begins at `base`."""

    def __init__(self, descriptor: int, offset: int, end: int) -> None:
        self._descriptor = descriptor
        self._end = end
        self._base = offset
        self._buffer = b""
        self._position = 0
        if offset == 0 and _pread(descriptor, len(FILE_PREFIX), 0) == FILE_PREFIX:
            self._base = _FILE_HEAD

    def read(
        self, max_bytes: int, max_frames: int, *, alone: bool, stop_at_damage: bool
    ) -> SegmentRead:
        frames: list[Frame] = []
        damage: list[Damage] = []
        left = max_bytes
        while len(frames) + len(damage) < max_frames:
            first = alone and not frames and not damage
            left = self._read_whole(frames, left, max_frames - len(damage), first=first)
            here = self._base + self._position
            if here >= self._end or left < 0 or len(frames) + len(damage) == max_frames:
                break
            if self._position or not self._buffer:
                self._go_to(here, READ_BYTES)
                continue
            first = alone and not frames and not damage
            length = body_length(self._buffer, 0)
            if length is not None and len(self._buffer) < HEAD_SIZE + length <= self._end - here:
                if length > left and not first:
                    break
                found = self._large(here, length)
                if found is not None and not found.flags & _UNKNOWN_FLAGS:
                    frames.append(found)
                    left -= length
                    self._position = found.end
                    continue
            end = self._end_of_damage(here)
            if stop_at_damage or (end - here > left and not first):
                break
            damage.append(Damage(here, end))
            left -= end - here
            self._go_to(end, READ_BYTES)
        return SegmentRead(frames, self._base + self._position, damage)

    def _read_whole(self, frames: list[Frame], left: int, max_frames: int, *, first: bool) -> int:
        """Take the buffer's whole frames; the bytes left, below 0 where nothing more fits."""
        buffer, position = self._buffer, self._position
        while len(frames) < max_frames:
            found = read_frame(buffer, position)
            if found is None or found.flags & _UNKNOWN_FLAGS:
                break
            length = found.end - position - HEAD_SIZE
            if length > left and not first:
                left = -1
                break
            first = False
            frames.append(found)
            left -= length
            position = found.end
        self._position = position
        return left

    def _large(self, here: int, length: int) -> Frame | None:
        head = _pread(self._descriptor, HEAD_SIZE, here)
        body = _pread(self._descriptor, length, here + HEAD_SIZE)
        if len(head) < HEAD_SIZE or len(body) < length:
            return None
        return frame_of(head, body, HEAD_SIZE + length)

    def _end_of_damage(self, here: int) -> int:
        """Where the next frame may begin behind `here`, at which the buffer begins; or the end."""
        unknown = read_frame(self._buffer, 0)
        if unknown is not None:
            return here + unknown.end
        start = here + 1
        chunk = self._buffer[1:]
        while start < self._end:
            found = chunk.find(FRAME_MAGIC)
            if found >= 0:
                return start + found
            if len(chunk) < len(FRAME_MAGIC):
                break
            # The magic may lie across the edge.
            start += len(chunk) - len(FRAME_MAGIC) + 1
            chunk = _pread(self._descriptor, min(READ_BYTES, self._end - start), start)
        return self._end

    def _go_to(self, place: int, size: int) -> None:
        self._base, self._position = place, 0
        size = min(size, self._end - place)
        self._buffer = _pread(self._descriptor, size, place) if size > 0 else b""
        if len(self._buffer) < size:
            self._end = place + len(self._buffer)


def _pread(descriptor: int, size: int, offset: int) -> bytes:
    """Bytes of an open file, fewer only at its end; pages that cannot be read as zeros."""
    try:
        found = os.pread(descriptor, size, offset)
    except OSError as error:
        if error.errno != EIO:
            raise
        return _pread_pages(descriptor, size, offset)
    if len(found) == size or not found:
        return found
    # The kernel gives 2 GiB at most.
    return found + _pread(descriptor, size - len(found), offset + len(found))


def _pread_pages(descriptor: int, size: int, offset: int) -> bytes:
    found = []
    size = min(size, os.fstat(descriptor).st_size - offset)
    end = offset + max(0, size)
    while offset < end:
        piece = min(_PAGE - offset % _PAGE, end - offset)
        try:
            found.append(os.pread(descriptor, piece, offset))
        except OSError:
            found.append(bytes(piece))
        offset += piece
    return b"".join(found)
