"""Settling: what became of an entry is written down, then the entry is done.

The order is what makes it safe: the dead letter, then the ledger, then the spool. A crash in
between repeats a step; it never skips one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from scorespan.delivery.batch import Item, ledger_item
from scorespan.delivery.refused import Refused
from scorespan.producer import Counted
from scorespan.spool.compaction import compact
from scorespan.spool.dead import DeadLetter
from scorespan.spool.dead_writer import write_letters
from scorespan.spool.files import FULL
from scorespan.spool.ledger import (
    DAMAGED,
    DEAD_LETTERED,
    OUTCOMES,
    WITHHELD,
    Ledger,
    LedgerItem,
)
from scorespan.spool.lines import checked_line, read_line
from scorespan.spool.root import bytes_under
from scorespan.spool.spool import Spool
from scorespan.telemetry import RepeatedLog
from scorespan.threads import native

STATUS_FILE = "status.json"
STATUS_SECONDS = 1.0
_COMPACTION_SECONDS = 60.0
WITHHELD_BYTES = 64 * 1024 * 1024
"""Bytes of withheld bodies that are kept; beyond them the ledger alone names the record."""


class Settler:
    """Writes dead letters, ledger and status, and settles entries. Used by the worker's thread.

    Args:
        spool: whose entries are settled.
        refused: what the door turned away; written down with the rest.
        counted: who numbers what is put.
        log: where faults are reported.
        clock: seconds that only grow.

    Attributes:
        counts: records by outcome, of this process.
        told: what else the status tells; asked by the worker's thread, once a second at most.
        set_aside: how many records the mart does not take for now, and why; for the status.
    """

    def __init__(
        self,
        spool: Spool,
        refused: Refused | None = None,
        counted: Counted | None = None,
        *,
        log: RepeatedLog | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._log = log or RepeatedLog()
        self._clock = clock
        self._root = spool.root
        self._counted = counted or Counted()
        self._ledger = self._open_ledger(spool.name)
        self._withheld_bytes = bytes_under(self._root / "withheld")
        self._status_due = 0.0
        self._compaction_due = 0.0
        self._refused = refused or Refused()
        self._late = native.RLock()  # a signal handler may score, too
        self._closed = False
        self.counts = dict.fromkeys(OUTCOMES, 0)
        self.set_aside: tuple[int, str | None] = (0, None)
        self.told: Callable[[], dict[str, Any]] = dict

    def settle(self, items: Sequence[Item], outcome: str) -> None:
        """These entries ended so.

        Raises:
            OSError: the ledger could not be written; the entries stay.
        """
        if outcome == DEAD_LETTERED:
            # The account must know which names are not to be relied on.
            words = [DAMAGED if item.entry.damaged else DEAD_LETTERED for item in items]
            self._ledger.append(map(ledger_item, (item.span for item in items), words))
        else:
            self._ledger.append(ledger_item(item.span, outcome) for item in items)
        self._ledger.sync()
        self.counts[outcome] += len(items)
        self._spool.settle(item.entry for item in items)

    def dead_letter(self, items: Sequence[Item], letters: Sequence[DeadLetter]) -> None:
        """These entries ended as these dead letters.

        Raises:
            OSError: they could not be kept; the entries stay.
        """
        write_letters(self._root / "dead", [self._with_route(letter) for letter in letters])
        self.settle(items, DEAD_LETTERED)

    def withhold(self, items: Sequence[Item], letters: Sequence[DeadLetter]) -> None:
        """These failed scorings have no place in the data mart; keep what the cap allows."""
        held = self._withheld_bytes
        if held + sum(len(letter.entry) for letter in letters) > WITHHELD_BYTES:
            held = bytes_under(self._root / "withheld")  # some may have been requeued since
        kept = []
        for letter in letters:
            if held + len(letter.entry) <= WITHHELD_BYTES:
                held += len(letter.entry)
                kept.append(self._with_route(letter))
        write_letters(self._root / "withheld", kept)
        self._withheld_bytes = held
        self.settle(items, WITHHELD)

    def refuse(self, item: LedgerItem) -> None:
        """This record was refused, or switched off, at the door; any thread. Never raises."""
        self._refused.add(item)
        if self._closed:
            try:
                self.write_late()
            except OSError as error:
                self._log.warning("late", "the ledger was not written: %s", error.strerror)

    def inherit(self, directories: Iterable[Path]) -> None:
        """Note how far the producers of adopted directories had counted when they died."""
        for directory in directories:
            for counted in counted_by(read_status(directory), ended=True):
                self._ledger.append_scored(*counted)

    def write_status(self, *, blocked: str | None, force: bool = False) -> None:
        """Write down the refused; rewrite the directory's `status.json`, at most once a second.

        Now and then a part of the ledger turns into counts as well. Never raises: people read it,
        and nothing is decided by it. What was refused is kept until it can be written.
        """
        try:
            self._write_refused(self._ledger)
            now = self._clock()
            if now >= self._status_due or force:
                self._status_due = now + STATUS_SECONDS
                status = self._status(blocked)
                # It may tell the number of one that was refused a moment ago.
                self._write_refused(self._ledger)
                replace_file(self._spool.path / STATUS_FILE, checked_line(status))
            if now >= self._compaction_due and not force:
                self._compaction_due = now + _COMPACTION_SECONDS
                if compact(self._root / "ledger"):
                    self._compaction_due = now + STATUS_SECONDS
        except OSError as error:
            self._log.warning("status", "the status was not written: %s", error.strerror)

    def _status(self, blocked: str | None) -> dict[str, Any]:
        brought = self._counted.brought
        return {
            "pid": os.getpid(),
            "producer": self._counted.own.id,
            "scored": self._scored(),
            "brought": None if brought is None else [brought.id, brought.last],
            "time": time.time(),
            "blocked": blocked,
            "set_aside": self.set_aside[0],
            "set_aside_reason": self.set_aside[1],
            "bytes": self._spool.size,
            "damaged_bytes": self._spool.damaged_bytes,
            "outcomes": self.counts,
            **self.told(),
        }

    def make_room(self) -> None:
        """The disk took nothing: have the spool free what it can."""
        self._spool.make_room()

    def close(self, *, blocked: str | None) -> None:
        """Write down what is left to write, and close the ledger.

        Raises:
            OSError: some of it could not be written, not even with the ballast given up.
        """
        self.write_status(blocked=blocked, force=True)
        try:
            self._write_end()
        except OSError as error:
            if error.errno not in FULL:
                raise
            self.make_room()
            self._write_end()
        finally:
            self._ledger.close()
            self._closed = True

    def _write_end(self) -> None:
        self._write_counts(self._ledger)
        self._ledger.sync()

    def _write_counts(self, ledger: Ledger) -> None:
        """Write down the refused, and how far the producers have counted."""
        self._write_refused(ledger)
        ledger.append_scored(self._counted.own.id, self._scored())
        brought = self._counted.brought
        if brought is not None:
            ledger.append_scored(brought.id, brought.last)

    def abandon(self) -> None:
        """Drop the descriptor without writing: for a forked child, whose parent owns the ledger."""
        self._ledger.close()

    def write_late(self) -> None:
        """What the worker's thread cannot write: it has ended, or hangs at the mart's answer.

        Goes to a ledger file of its own, so that no two threads write to one.
        """
        with self._late:
            ledger = self._open_ledger(f"{self._spool.name}-late")
            try:
                self._write_counts(ledger)
            finally:
                ledger.close()

    def _scored(self) -> int:
        """How far the producer has counted. A number that is told has been written."""
        return self._spool.between_puts(lambda: self._counted.own.last)

    def _write_refused(self, ledger: Ledger) -> None:
        self._refused.write(ledger, self.counts)

    def _open_ledger(self, name: str) -> Ledger:
        folder = self._root / "ledger"
        return Ledger(folder, name, route=self._spool.route, producer_id=self._counted.own.id)

    def _with_route(self, letter: DeadLetter) -> DeadLetter:
        return letter._replace(route=tuple(self._spool.route))


def read_status(directory: Path) -> dict[str, Any] | None:
    """The `status.json` of a directory, or None where there is none that can be read."""
    try:
        return read_line((directory / STATUS_FILE).read_bytes(), checked=False)
    except (OSError, ValueError, TypeError):
        return None


def counted_by(status: dict[str, Any] | None, *, ended: bool) -> list[tuple[str, int]]:
    """Producers and how far they had counted, as a status says it.

    Args:
        status: what a process last said of itself.
        ended: whether it is dead. What a producer counted whose scorings bring their numbers along
            is to be expected here only then: until then they may be in an exporter's queue.
    """
    known = status or {}
    pairs: list[Any] = [[known.get("producer"), known.get("scored")]]
    if ended:
        pairs.append(known.get("brought"))
    return [
        (pair[0], pair[1])
        for pair in pairs
        if type(pair) is list and list(map(type, pair)) == [str, int] and pair[0] and pair[1] > 0
    ]


def replace_file(path: Path, content: bytes) -> None:
    """Put a small file in the place of another, whole or not at all."""
    hidden = path.with_name(f".{path.name}")
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    hidden.replace(path)
