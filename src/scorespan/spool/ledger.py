"""The ledger: what became of every record, by name.

One file of JSON lines for each process, appended before the entry is settled::

    {"o": "stored", "s": subscription, "d": deployment, "p": producer,
     "r": [[sequence, scoring id, minute], ...]}

    {"o": "scored", "p": producer, "n": the highest number that this producer gave}

A crash between ledger and settling leaves a line twice; readers count names, not lines. `minute` is
the scoring timestamp's, in minutes since the epoch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import orjson

SUFFIX = ".ledger"

SCORED = "scored"
STORED = "stored"
DEAD_LETTERED = "dead-lettered"
WITHHELD = "withheld"
REFUSED = "refused"
SWITCHED_OFF = "switched off"
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
    """The ledger file of this process. One thread writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)

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
            orjson.dumps(
                {"o": outcome, "s": subscription, "d": deployment, "p": producer, "r": records},
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for (outcome, subscription, deployment, producer), records in groups.items()
        )
        self._write(lines)

    def append_scored(self, producer_id: str, highest: int) -> None:
        """Write down how far a producer has counted."""
        if highest:
            line = {"o": SCORED, "p": producer_id, "n": highest}
            self._write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def _write(self, lines: bytes) -> None:
        start = os.fstat(self._fd).st_size
        view = memoryview(lines)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            # A part of a line would swallow the next one.
            os.ftruncate(self._fd, start)
            raise

    def sync(self) -> None:
        """Bring the lines to the disk."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class LedgerReading(NamedTuple):
    """What the ledger files of a root say: records by name, and how far producers counted."""

    items: list[LedgerItem]
    scored: dict[str, int]


def read_ledgers(folder: Path) -> LedgerReading:
    """Every line of every ledger file. A line that a crash has cut is skipped over."""
    items: list[LedgerItem] = []
    scored: dict[str, int] = {}
    for path in sorted(folder.glob("*" + SUFFIX)):
        for line in path.read_bytes().splitlines():
            try:
                found = orjson.loads(line)
            except ValueError:
                continue
            producer_id = found["p"]
            if found["o"] == SCORED:
                scored[producer_id] = max(scored.get(producer_id, 0), found["n"])
                continue
            names = (found["o"], found["s"], found["d"], producer_id)
            items.extend(LedgerItem(*names, *record) for record in found["r"])
    return LedgerReading(items, scored)
