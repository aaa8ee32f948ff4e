"""The reading of one segment: how far it was read, and what of it is claimed and settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from scorespan.spool.acks import Acked
from scorespan.spool.frames import FLAG_SEAL, FLAGS_OF_SPOOL, Damage, Frame
from scorespan.spool.segment import is_foreign, known_of, read_bytes, read_segment
from scorespan.telemetry import RepeatedLog

if TYPE_CHECKING:
    from scorespan.spool.reader import DirectoryReader

_FRAMES_AT_A_TIME = 1000


class Entry(NamedTuple):
    """A claimed entry: `sequence` names it in the segment that is being read.

    A `damaged` one stands for bytes that are no entry: `body` is those bytes, and `sequence` their
    negative offset in the file.
    """

    reading: SegmentReading
    sequence: int
    body: bytes
    damaged: bool = False


class Claimed(NamedTuple):
    """Entries of `taken` bytes that were claimed; `more` says that the next one did not fit."""

    entries: list[Entry]
    taken: int
    more: bool


class Limit(NamedTuple):
    """How far a segment may be read.

    `size` is the end for a reader. Up to `sure` the bytes are on the disk; behind it, what is
    broken is no damage, but what a failed sync has dropped and its writer still has. An `open` one
    may grow.
    """

    size: int
    sure: int
    open: bool


@dataclass
class Faults:
    """What was wrong on the disk.

    Attributes:
        damaged_bytes: bytes that are no entries.
        lost_entries: entries that sealed segments should hold and do not, damaged ones included.
    """

    _log: RepeatedLog
    damaged_bytes: int = 0
    lost_entries: int = 0

    def tell(self, key: str, message: str, *arguments: object) -> None:
        """Report a fault."""
        self._log.warning(key, message, *arguments)


class SegmentReading:
    """A segment that is being read, on behalf of its directory's reader.

    Attributes:
        offset: how far it was read.
        claimed: sequences that are claimed and not settled.
        complete: whether it was read to its end, and will not grow.
        foreign: whether it is of a version that is not ours.
    """

    def __init__(self, path: Path, reader: DirectoryReader, faults: Faults) -> None:
        self.path = path
        self.reader = reader
        self._faults = faults
        self.foreign = is_foreign(path)
        self.claimed: set[int] = set()
        self.rewind()
        self._lost = 0
        # What no acks tell: damaged bytes, and entries whose acks could not be written.
        self._damage_seen: set[int] = set()
        self._settled_here: set[int] = set()

    def rewind(self) -> None:
        """Read again from the start what is not settled."""
        self.offset = 0
        self.complete = False
        self.claimed.clear()
        self._acked = Acked(self.path)
        # Entries that were whole, between the start and `offset`.
        self._whole = 0

    def claim(
        self, limit: Limit | None, max_bytes: int, max_entries: int, *, alone: bool
    ) -> Claimed:
        """The next entries that are not settled, up to the limit; None: the file's size.

        Raises:
            OSError: the file cannot be opened.
        """
        entries: list[Entry] = []
        taken = 0
        try:
            if limit is None:
                size = self.path.stat().st_size
                limit = Limit(size, size, open=False)
            while not self.complete:
                if self.offset >= limit.size:
                    self.complete = not limit.open
                    break
                if len(entries) >= max_entries:
                    return Claimed(entries, taken, more=True)
                unsure = self.offset >= limit.sure
                read = read_segment(
                    self.path,
                    self.offset,
                    limit.size if unsure else limit.sure,
                    max_bytes=max_bytes - taken,
                    max_frames=min(max_entries - len(entries), _FRAMES_AT_A_TIME),
                    alone=alone and not entries,
                    stop_at_damage=unsure,
                )
                if read.offset == self.offset:
                    return Claimed(entries, taken, more=not unsure)
                found = self._entries(read.frames, read.damage)
                self.offset = read.offset
                entries += found
                taken += sum([len(entry.body) for entry in found])
        except FileNotFoundError:
            # Somebody removed it: what is in no file cannot be read, and stops nothing else.
            self.complete = True
        return Claimed(entries, taken, more=False)

    def settle(self, entries: Sequence[Entry]) -> list[int]:
        """These entries are settled; the sequences that acks can name."""
        self.claimed.difference_update([entry.sequence for entry in entries])
        self._settled_here.update(entry.sequence for entry in entries if entry.damaged)
        return [entry.sequence for entry in entries if not entry.damaged]

    def remember(self, sequences: Sequence[int]) -> None:
        """The acks of these entries could not be written; at least here they are settled."""
        self._settled_here.update(sequences)

    def _entries(self, frames: Sequence[Frame], damage: Sequence[Damage]) -> list[Entry]:
        entries = [
            Entry(self, sequence, body)
            for sequence, flags, body, _ in frames
            if not flags & FLAGS_OF_SPOOL
        ]
        self._whole += len(entries)
        if len(entries) < len(frames) and frames[-1].flags & FLAG_SEAL:
            self._check_seal(known_of(frames[-1]).get("count"))
        if self._acked:
            entries = [entry for entry in entries if entry.sequence not in self._acked]
        if self._settled_here:
            entries = [entry for entry in entries if entry.sequence not in self._settled_here]
        if damage:
            entries += self._damaged(damage)
        self.claimed.update([entry.sequence for entry in entries])
        return entries

    def _check_seal(self, count: object) -> None:
        lost = count - self._whole if isinstance(count, int) else 0
        if lost > self._lost:
            self._faults.lost_entries += lost - self._lost
            self._lost = lost
            self._faults.tell(
                "lost", "spool: %s lacks %d of its %d entries", self._name, lost, count
            )

    def _damaged(self, damage: Sequence[Damage]) -> list[Entry]:
        entries = []
        for start, end in damage:
            if -start in self._settled_here:
                continue
            if start not in self._damage_seen:
                self._damage_seen.add(start)
                self._faults.damaged_bytes += end - start
                self._faults.tell(
                    "damage",
                    "spool: %d bytes at %d of %s are damaged",
                    end - start,
                    start,
                    self._name,
                )
            body = read_bytes(self.path, start, end)
            entries.append(Entry(self, -start, body, damaged=True))
        return entries

    @property
    def _name(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}"
