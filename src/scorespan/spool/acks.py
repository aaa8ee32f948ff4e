"""Acks: which entries of a segment are settled.

A file beside the segment, of fixed-size items appended one by one: ``first:u64 last:u64
crc32:u32``, each a run of settled sequences. Losing it, or a part of it, costs duplicates only, and
those the mart's key removes; so it is never synced.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections.abc import Iterable
from errno import ENOSPC
from pathlib import Path
from zlib import crc32

from scorespan.spool.files import DISK, Files

SUFFIX = ".acks"
_RUN = struct.Struct("<QQ")
_CHECK = struct.Struct("<I")
_LAST = 2**64
_SIZE = _RUN.size + _CHECK.size


def acks_path(segment: Path) -> Path:
    """The acks file that belongs to a segment."""
    return segment.with_suffix(SUFFIX)


def append_acks(segment: Path, sequences: Iterable[int], files: Files = DISK) -> None:
    """Mark entries as settled.

    Raises:
        OSError: nothing is lost by that; the entries are delivered again after a restart.
    """
    items = []
    for first, last in _merged((sequence, sequence) for sequence in sequences):
        run = _RUN.pack(first, last)
        items.append(run + _CHECK.pack(crc32(run)))
    descriptor = files.open_append(acks_path(segment))
    try:
        size = os.fstat(descriptor).st_size
        # A part of an item would put all that follow out of place.
        if size % _SIZE:
            size -= size % _SIZE
            files.truncate(descriptor, size)
        if files.writev(descriptor, [b"".join(items)]) != len(items) * _SIZE:
            files.truncate(descriptor, size)
            raise OSError(ENOSPC, "the acks were written in part")
    finally:
        files.close(descriptor)


class Acked:
    """The settled sequences of a segment, as its acks file tells."""

    def __init__(self, segment: Path) -> None:
        runs: list[tuple[int, int]] = []
        try:
            content = acks_path(segment).read_bytes()
        except OSError:
            content = b""
        for start in range(0, len(content) - _SIZE + 1, _SIZE):
            run = content[start : start + _RUN.size]
            if _CHECK.unpack_from(content, start + _RUN.size)[0] == crc32(run):
                runs.append(_RUN.unpack(run))
        self._runs = _merged(runs)

    def __bool__(self) -> bool:
        return bool(self._runs)

    def __contains__(self, sequence: int) -> bool:
        place = bisect_right(self._runs, (sequence, _LAST)) - 1
        return place >= 0 and sequence <= self._runs[place][1]


def _merged(runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same sequences in as few runs as possible, in order."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged
