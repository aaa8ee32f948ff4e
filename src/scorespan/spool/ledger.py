"""The ledger: what became of every record, by name.

Each process appends JSON lines to a file of its own, before the entry is settled, and goes on in a
new one at 16 MiB. The first line says where the records go::

    {"o": "scored", "p": producer, "n": 0, "route": [url, data mart id, version], "directory": name}

    {"o": "stored", "s": subscription, "d": deployment, "p": producer,
     "r": [[sequence, scoring id, minute], ...]}

    {"o": "refused", "s": subscription, "d": deployment, "p": producer, "r": [], "m": minute,
     "ranges": [[first sequence, last sequence], ...]}

    {"o": "scored", "p": producer, "n": the highest number that this producer gave}

A crash between ledger and settling leaves a line twice; readers count names, not lines. `minute` is
the scoring timestamp's, in minutes since the epoch. A line with ranges stands for records whose ids
were not kept. Every line is a checked one (see `lines`). The version before this one reads these
files, too: to it a first line says nothing.

A file is held by flock while it is written, so that `compaction` leaves it alone.
"""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from scorespan.spool.files import DISK, Files
from scorespan.spool.lines import checked_line

SUFFIX = ".ledger"
HIDDEN_SUFFIX = ".new"
"""Of a file that has not got its name yet."""
PART_BYTES = 16 * 1024 * 1024
"""Size from which a process goes on in a new file."""

SCORED = "scored"
STORED = "stored"
DEAD_LETTERED = "dead-lettered"
WITHHELD = "withheld"
REFUSED = "refused"
SWITCHED_OFF = "switched off"
DAMAGED = "damaged"
"""Dead-lettered under the name that damaged bytes gave: it may be another record's, or nobody's."""
MOVED = "moved"
"""Dead-lettered, and requeued to another route under another name: its letter went on purpose."""
OUTCOMES = (STORED, DEAD_LETTERED, WITHHELD, REFUSED, SWITCHED_OFF)


class LedgerItem(NamedTuple):
    """One record and what became of it."""

    outcome: str
    subscription_id: str
    deployment_id: str
    producer_id: str
    sequence: int
    scoring_id: str
    minute: int


class Ledger:
    """The ledger of this process. One thread writes.

    Args:
        folder: the root's ledger folder.
        name: what the files are called by: the process's directory in the root.
        route: where the records go.
        producer_id: whose numbers are counted here.
        part_bytes: size from which a new file is begun.
        files: what writes on the disk.

    Raises:
        OSError: no file can be made; nothing stays behind.
    """

    def __init__(  # noqa: PLR0913 - the file system is a parameter
        self,
        folder: Path,
        name: str,
        *,
        route: Sequence[str] | None = None,
        producer_id: str = "",
        part_bytes: int = PART_BYTES,
        files: Files = DISK,
    ) -> None:
        self._folder = folder
        self._files = files
        self._name = name
        self._part_bytes = part_bytes
        self._part = 0
        sent_to = None if route is None else list(route)
        self._head = checked_line(
            {"o": SCORED, "p": producer_id, "n": 0, "route": sent_to, "directory": name}
        )
        self._fd = self._begin()
        self._size = len(self._head)
        self._named = False

    def append(self, items: Iterable[LedgerItem]) -> None:
        """Write down what became of records.

        Raises:
            OSError: they must not be settled.
        """
        groups: dict[tuple[str, str, str, str], list[tuple[int, str, int]]] = {}
        key, records = None, []
        for outcome, subscription, deployment, producer, sequence, scoring_id, minute in items:
            # Neighbours mostly share all but the record itself.
            if key != (outcome, subscription, deployment, producer):
                key = (outcome, subscription, deployment, producer)
                records = groups.setdefault(key, [])
            records.append((sequence, scoring_id, minute))
        lines = b"".join(
            checked_line(
                {"o": outcome, "s": subscription, "d": deployment, "p": producer, "r": records}
            )
            for (outcome, subscription, deployment, producer), records in groups.items()
        )
        self._write(lines)

    def append_ranges(self, first: LedgerItem, stretches: Iterable[tuple[int, int]]) -> None:
        """Write down what became of records whose ids are not known any more.

        Args:
            first: one of them, for all that they share: everything but sequence and scoring id.
            stretches: their numbers.

        Raises:
            OSError: nothing was written.
        """
        line = {
            "o": first.outcome,
            "s": first.subscription_id,
            "d": first.deployment_id,
            "p": first.producer_id,
            "r": [],
            "m": first.minute,
            "ranges": list(stretches),
        }
        self._write(checked_line(line))

    def append_scored(self, producer_id: str, highest: int) -> None:
        """Write down how far a producer has counted."""
        if highest:
            self._write(checked_line({"o": SCORED, "p": producer_id, "n": highest}))

    def sync(self) -> None:
        """Bring the lines, and the file's name, to the disk."""
        self._files.datasync(self._fd)
        if not self._named:
            self._files.sync_folder(self._folder)
            self._named = True

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._fd >= 0:
            self._files.close(self._fd)
            self._fd = -1

    def _write(self, lines: bytes) -> None:
        if self._size >= self._part_bytes:
            self._roll()
        try:
            self._write_whole(self._fd, lines)
        except OSError:
            # A part of a line would swallow the next one.
            self._files.truncate(self._fd, self._size)
            raise
        self._size += len(lines)

    def _write_whole(self, descriptor: int, lines: bytes) -> None:
        view = memoryview(lines)
        while view:
            view = view[self._files.writev(descriptor, [view]) :]

    def _roll(self) -> None:
        """Go on in a new file; where there can be none, in the old one."""
        try:
            # What was appended without a sync, such as the refused, must not wait for ever.
            self._files.datasync(self._fd)
            following = self._begin()
        except OSError:
            return
        self._files.close(self._fd)
        self._fd, self._size, self._named = following, len(self._head), False

    def _begin(self) -> int:
        # Held before it gets its name, so that nobody can take it for a finished one in between.
        hidden = self._folder / f".{self._name}-{uuid.uuid4().hex}{HIDDEN_SUFFIX}"
        descriptor = self._files.create(hidden)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._write_whole(descriptor, self._head)
            path = self._folder / f"{self._name}{SUFFIX}"
            while path.exists():
                self._part += 1
                path = self._folder / f"{self._name}.{self._part:04d}{SUFFIX}"
            self._files.rename(hidden, path)
        except OSError:
            self._files.close(descriptor)
            self._files.unlink(hidden)
            raise
        return descriptor
