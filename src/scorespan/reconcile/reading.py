"""Reading a spool root into a tally, while processes may be at work in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from scorespan.delivery.settle import counted_by, read_status
from scorespan.reconcile.tally import Tally
from scorespan.reconcile.waiting import read_waiting
from scorespan.spool.counts import Source, read_counts
from scorespan.spool.ledger_files import (
    Scored,
    is_finished,
    ledger_files,
    locked,
    read_ledger,
)
from scorespan.spool.ranges import Ranges
from scorespan.spool.root import Route, directories, is_owned, route_of


class Living(NamedTuple):
    """A process that lives: the ledger file that it holds, and its directory."""

    ledger: Path
    directory: Path

    def said(self) -> tuple[object, ...]:
        """What changes when the process moves, or ends."""
        status = read_status(self.directory) or {}
        return self.ledger.exists(), is_finished(self.ledger), status.get("time")


class RootReader:
    """Adds what a root knows to a tally.

    The order matters: what moves on while this reads goes from status to spool to ledger, and so
    does the reading.

    Attributes:
        root: the spool root.
        tally: what is known.
        alive: living processes, by the source that counts in them.
        waiting: how many entries wait in a directory, and the oldest one's minute.
    """

    def __init__(self, root: Path, tally: Tally) -> None:
        self.root = root
        self.tally = tally
        self.alive: dict[Source, Living] = {}
        self.waiting: dict[Path, tuple[int, int | None]] = {}

    def read(self) -> None:
        """Read all of it."""
        for directory in directories(self.root):
            self._read_status(directory)
        for directory in directories(self.root):
            self.waiting[directory] = self._read_directory(directory)
        self._read_ledger(None)

    def read_again(self, wanted: Mapping[Source, Ranges]) -> None:
        """Read for these numbers alone."""
        for directory in directories(self.root):
            self._read_directory(directory, wanted)
        self._read_ledger(wanted)

    def _read_status(self, directory: Path) -> None:
        for producer_id, count in counted_by(read_status(directory), ended=not is_owned(directory)):
            self.tally.add_scored(self.tally.source(route_of(directory), producer_id), count)

    def _read_directory(
        self, directory: Path, wanted: Mapping[Source, Ranges] | None = None
    ) -> tuple[int, int | None]:
        count, oldest = 0, None
        route = route_of(directory)
        for item, damaged in read_waiting(directory):
            if wanted is None or item.sequence in wanted.get(
                self.tally.source(route, item.producer_id), ()
            ):
                self.tally.add_item(route, item, damaged=damaged)
            count += 1
            oldest = item.minute if oldest is None else min(oldest, item.minute)
        return count, oldest

    def _read_ledger(self, wanted: Mapping[Source, Ranges] | None) -> None:
        folder = self.root / "ledger"
        if not folder.is_dir():
            return
        with locked(folder):
            counts = read_counts(folder)
            if wanted is None:
                self.tally.add_counts(counts)
            else:
                self.tally.add_counted(counts, wanted)
            for path in ledger_files(folder):
                for line in read_ledger(path):
                    self.tally.add_line(line, wanted)
                    if isinstance(line, Scored) and line.directory and wanted is None:
                        self._note_alive(line, path)

    def _note_alive(self, head: Scored, path: Path) -> None:
        # By the ledger, which a process begins before it takes its first record, and which nobody
        # else ever holds: its directory may have been taken over.
        if not is_finished(path):
            directory = self.root / str(head.directory)
            # Once it has ended, what brought numbers is among those that it counted.
            counted = counted_by(read_status(directory), ended=True)
            for producer_id in {head.producer_id, *(producer_id for producer_id, _ in counted)}:
                source = self.tally.source(head.route, producer_id)
                self.tally.add_scored(source, 0)
                self.alive[source] = Living(path, directory)


def only_route(root: Path) -> Route | None:
    """The one route of a root; None where it has several, or none that is known."""
    routes = {route_of(directory) for directory in directories(root)}
    for path in ledger_files(root / "ledger"):
        line = next(read_ledger(path), None)
        routes.add(line.route if isinstance(line, Scored) else None)
    routes.discard(None)
    return routes.pop() if len(routes) == 1 else None
