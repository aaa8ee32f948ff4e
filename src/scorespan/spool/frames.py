"""Frames: how entries stand in a segment file.

A segment is a file magic and then frames, the first of which is its header::

    file     b"scspool" version:u8
    frame    magic:4  length:u32  crc32:u32  sequence:u64  flags:u16  body[length]

All integers are little-endian. The checksum covers sequence, flags and body. The magic holds bytes
that no UTF-8 text has, so a reader that meets damage finds the next whole frame.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from zlib import crc32

from scorespan.spool.files import Piece

FILE_PREFIX = b"scspool"
FILE_VERSION = 1
FILE_VERSIONS = (1, 2)
"""What this library reads alike: what it writes, and the next one."""
FILE_MAGIC = FILE_PREFIX + bytes([FILE_VERSION])
FRAME_MAGIC = b"\xf8Sp\xff"

FLAG_HEADER = 0x8000
"""The segment's header: JSON with owner, route and time."""
FLAG_SEAL = 0x4000
"""The segment's end: JSON with count, first and last sequence."""
FLAGS_OF_SPOOL = FLAG_HEADER | FLAG_SEAL

_FRAME_HEAD = struct.Struct("<4sIIQH")
_SEQUENCE_FLAGS = struct.Struct("<QH")
HEAD_SIZE = _FRAME_HEAD.size
_CHECKED_FROM = HEAD_SIZE - _SEQUENCE_FLAGS.size


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


def frame(sequence: int, flags: int, pieces: Sequence[Piece], length: int) -> list[Piece]:
    """A frame around a body of `length` bytes that comes in pieces, for one gathering write."""
    checksum = crc32(_SEQUENCE_FLAGS.pack(sequence, flags))
    for piece in pieces:
        checksum = crc32(piece, checksum)
    return [_FRAME_HEAD.pack(FRAME_MAGIC, length, checksum, sequence, flags), *pieces]


def frames(sequences: Iterable[int], entries: Iterable[Sequence[Piece]]) -> list[Piece]:
    """The frames of entries, one behind the other, without flags."""
    whole: list[Piece] = []
    for sequence, pieces in zip(sequences, entries, strict=True):
        checksum, length = crc32(_SEQUENCE_FLAGS.pack(sequence, 0)), 0
        for piece in pieces:
            checksum = crc32(piece, checksum)
            length += len(piece)
        whole += _FRAME_HEAD.pack(FRAME_MAGIC, length, checksum, sequence, 0), *pieces
    return whole


def body_length(buffer: bytes, start: int) -> int | None:
    """The length a frame at `start` announces, or None where there is no frame's head."""
    if len(buffer) - start < HEAD_SIZE:
        return None
    magic, length, *_ = _FRAME_HEAD.unpack_from(buffer, start)
    return length if magic == FRAME_MAGIC else None


def head_of(head: Piece) -> tuple[int, int]:
    """Sequence and body length that the head of a frame of ours says."""
    _, length, _, sequence, _ = _FRAME_HEAD.unpack(head)
    return sequence, length


def frame_of(head: bytes, body: bytes, end: int) -> Frame | None:
    """The frame of a head and a body that were read apart, or None where it is damaged."""
    _, _, checksum, sequence, flags = _FRAME_HEAD.unpack(head)
    if crc32(body, crc32(head[_CHECKED_FROM:])) != checksum:
        return None
    return Frame(sequence, flags, body, end)


def read_frame(buffer: bytes, start: int) -> Frame | None:
    """The frame at `start`, or None where no whole and undamaged frame stands."""
    body_start = start + HEAD_SIZE
    if body_start > len(buffer):
        return None
    magic, length, checksum, sequence, flags = _FRAME_HEAD.unpack_from(buffer, start)
    end = body_start + length
    if magic != FRAME_MAGIC or end > len(buffer):
        return None
    if crc32(memoryview(buffer)[start + _CHECKED_FROM : end]) != checksum:
        return None
    return Frame(sequence, flags, buffer[body_start:end], end)
