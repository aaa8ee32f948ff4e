"""The ledger: what became of every record, by name.

One file of JSON lines for each process, appended before the entry is settled::

    {"o": "stored", "s": subscription, "d": deployment, "p": producer, "r": [[sequence, id, minute]]}

A crash between ledger and settling leaves a line twice; readers count names, not lines. `minute` is
the scoring timestamp's, in minutes since the epoch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import orjson

SUFFIX = ".ledger"

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
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)

    def append(self, items: Iterable[LedgerItem]) -> None:
        """Write down what became of records.

        Raises:
            OSError: they must not be settled.
        """
        groups: dict[tuple[str, ...], list[tuple[int, str, int]]] = {}
        for item in items:
            groups.setdefault(item[:4], []).append(item[4:])
        lines = b"".join(
            orjson.dumps(
                {"o": outcome, "s": subscription, "d": deployment, "p": producer, "r": records},
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for (outcome, subscription, deployment, producer), records in groups.items()
        )
        view = memoryview(lines)
        while view:
            view = view[os.write(self._fd, view) :]

    def sync(self) -> None:
        """Bring the lines to the disk."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_ledgers(folder: Path) -> Iterator[LedgerItem]:
    """Every item of every ledger file. A line that a crash has cut is skipped over."""
    for path in sorted(folder.glob("*" + SUFFIX)):
        with path.open("rb") as file:
            for line in file:
                try:
                    found = orjson.loads(line)
                except ValueError:
                    continue
                for sequence, scoring_id, minute in found["r"]:
                    yield LedgerItem(
                        found["o"],
                        found["s"],
                        found["d"],
                        found["p"],
                        sequence,
                        scoring_id,
                        minute,
                    )
