"""Frames: how entries stand in a segment file.

A segment is a file magic and then frames, the first of which is its header::

    file     b"scspool" version:u8
    frame    magic:4  length:u32  crc32:u32  sequence:u64  flags:u16  body[length]

All integers are little-endian. The checksum covers sequence, flags and body. The magic holds bytes
that no UTF-8 text has, so a reader that meets damage finds the next whole frame.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

FILE_MAGIC = b"scspool\x01"
FRAME_MAGIC = b"\xf8Sp\xff"

FLAG_HEADER = 0x8000
"""The segment's header: JSON with owner, route and time."""
FLAG_SEAL = 0x4000
"""The segment's end: JSON with count, first and last sequence."""
FLAGS_OF_SPOOL = FLAG_HEADER | FLAG_SEAL

_HEAD = struct.Struct("<4sII")
_TAIL = struct.Struct("<QH")
HEAD_SIZE = _HEAD.size + _TAIL.size


class Frame(NamedTuple):
    """One frame; `end` is the offset in the buffer behind it."""

    sequence: int
    flags: int
    body: bytes
    end: int


class Damage(NamedTuple):
    """Bytes of the buffer, from `start` to `end`, that are not frames."""

    start: int
    end: int


def frame(sequence: int, flags: int, pieces: Sequence[bytes]) -> list[bytes]:
    """A frame around a body that comes in pieces, for one gathering write."""
    tail = _TAIL.pack(sequence, flags)
    checksum = crc32(tail)
    for piece in pieces:
        checksum = crc32(piece, checksum)
    return [_HEAD.pack(FRAME_MAGIC, sum(map(len, pieces)), checksum) + tail, *pieces]


def body_length(buffer: bytes, start: int) -> int | None:
    """The length a frame at `start` announces, or None where there is no frame's head."""
    if len(buffer) - start < HEAD_SIZE or buffer[start : start + 4] != FRAME_MAGIC:
        return None
    length: int = _HEAD.unpack_from(buffer, start)[1]
    return length


def read_frame(buffer: bytes, start: int) -> Frame | None:
    """The frame at `start`, or None where no whole and undamaged frame stands."""
    length = body_length(buffer, start)
    if length is None:
        return None
    body_start = start + HEAD_SIZE
    end = body_start + length
    if end > len(buffer):
        return None
    tail_start = start + _HEAD.size
    if crc32(memoryview(buffer)[tail_start:end]) != _HEAD.unpack_from(buffer, start)[2]:
        return None
    sequence, flags = _TAIL.unpack_from(buffer, tail_start)
    return Frame(sequence, flags, buffer[body_start:end], end)


def find_frame(buffer: bytes, start: int) -> int:
    """Offset of the next whole frame at or behind `start`, or -1."""
    while True:
        start = buffer.find(FRAME_MAGIC, start)
        if start < 0 or read_frame(buffer, start) is not None:
            return start
        start += 1
