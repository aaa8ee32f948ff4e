"""Ledger files as they are read: line by line, oldest file first.

A reader holds the folder's lock for as long as it reads, so that no file turns into counts under
it. It waits for a compaction that is under way, and holds up the next one, nothing else.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from scorespan.spool.ledger import SCORED, SUFFIX
from scorespan.spool.lines import read_line
from scorespan.spool.root import Route, is_held, is_owned, route_of


class Records(NamedTuple):
    """Records that ended alike; each of `named` is sequence, scoring id and minute.

    Where ids were not kept, `stretches` are the numbers, all of one `minute`.
    """

    route: Route | None
    outcome: str
    subscription_id: str
    deployment_id: str
    producer_id: str
    named: list[tuple[int, str, int]]
    stretches: list[tuple[int, int]]
    minute: int


class Scored(NamedTuple):
    """How far a producer has counted; 0 only says that there is one, and in which directory."""

    route: Route | None
    producer_id: str
    highest: int
    directory: str | None = None


class Cut(NamedTuple):
    """A line that cannot be read: a crash cut it, or the disk damaged it."""


Line: TypeAlias = Records | Scored | Cut


@contextmanager
def locked(folder: Path, *, alone: bool = False) -> Iterator[bool]:
    """Hold the folder's lock, with other readers or alone; says whether it is held.

    Waits for a compaction to end; `alone` waits for nobody.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
            held = True
        except OSError:
            held = False
        yield held
    finally:
        os.close(descriptor)


def ledger_files(folder: Path) -> list[Path]:
    """Ledger files, those first that were written last the longest ago.

    By the clock of the machine: it decides only which word is the last where several are there.
    """
    found = []
    for path in folder.glob("*" + SUFFIX):
        try:
            found.append((path.stat().st_mtime_ns, path.name, path))
        except FileNotFoundError:
            continue  # counts have taken its place
    return [path for _, _, path in sorted(found)]


def is_finished(path: Path) -> bool:
    """Whether no living process writes a ledger file any more."""
    if not has_head(path) and is_owned(path.parent.parent / path.stem):
        return False  # by a process of the version before, which held nothing but its directory
    try:
        return not is_held(path)
    except OSError:
        return False


def has_head(path: Path) -> bool:
    """Whether the file begins with a line that names its route and directory."""
    try:
        with path.open("rb") as file:
            return b'"directory":' in file.readline()
    except OSError:
        return False


def read_ledger(path: Path) -> Iterator[Line]:
    """The lines of a file; nothing where it is gone."""
    route, checked = None, has_head(path)
    if not checked:
        # Of the version before; its directory may still be there, with the route in it.
        route = route_of(path.parent.parent / path.stem)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            if not line.endswith(b"\n") and not is_finished(path):
                return  # it is being written; its records still wait in the spool
            try:
                found = read_line(line, checked=checked)
                if "route" in found:
                    route = None if found["route"] is None else Route(*found["route"])
                yield _parsed(route, found)
            except (ValueError, TypeError, KeyError):
                yield Cut()


def _parsed(route: Route | None, found: dict[str, Any]) -> Line:
    outcome = found["o"]
    if outcome == SCORED:
        return Scored(route, str(found["p"]), int(found["n"]), found.get("directory"))
    return Records(
        route,
        str(outcome),
        str(found["s"]),
        str(found["d"]),
        str(found["p"]),
        found["r"],
        found.get("ranges", []),
        int(found.get("m", 0)),
    )
