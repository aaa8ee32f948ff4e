"""Dead letters: entries that did not become records, with the reason, each in a file of its own.

A file is one line of JSON (reason, status, answer, attempts, time) and then the entry as it was
put. Nothing here is ever deleted by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import orjson

SUFFIX = ".letter"
ANSWER_KEPT = 4096
"""Bytes of the data mart's answer that are kept with a dead letter."""


class DeadLetter(NamedTuple):
    """One entry with what stopped it.

    `place` is where it stood in the spool, and names its file: written again, it is one letter.
    `code` is a stable word, `reason` a sentence; `status` and `answer` are the data mart's, where
    it was asked; `route` is where the entry was to go.
    """

    entry: bytes
    place: str
    code: str
    reason: str
    status: int | None = None
    answer: str | None = None
    attempts: int = 0
    scoring_id: str | None = None
    subscription_id: str | None = None
    deployment_id: str | None = None
    producer_id: str | None = None
    sequence: int | None = None
    route: tuple[str, ...] | None = None


def write_letters(folder: Path, letters: Sequence[DeadLetter]) -> None:
    """Keep dead letters; they are on the disk when this returns.

    Raises:
        OSError: some may not have been kept; the entries must stay in the spool.
    """
    if not letters:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = datetime.now(timezone.utc)
    for letter in letters:
        meta = letter._asdict()
        del meta["entry"]
        if letter.answer is not None:
            meta["answer"] = letter.answer[:ANSWER_KEPT]
        meta["time"] = now.isoformat()
        hidden, path = folder / f".{letter.place}", folder / f"{letter.place}{SUFFIX}"
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(orjson.dumps(meta) + b"\n")
                file.write(letter.entry)
                file.flush()
                os.fdatasync(file.fileno())
            hidden.rename(path)
        except OSError:
            # It would stand there unseen and take the room that is needed.
            hidden.unlink(missing_ok=True)
            raise
    sync_folder(folder)


def read_letters(folder: Path) -> Iterator[DeadLetter]:
    """Every letter of the folder, oldest first. One that cannot be read is skipped over."""
    letters = [letter for path in folder.glob("*" + SUFFIX) if (letter := read_letter(path))]
    yield from (letter for _, letter in sorted(letters, key=lambda found: found[0]))


def read_letter(path: Path) -> tuple[str, DeadLetter] | None:
    """One letter and its time, or None where the file is no letter or has gone."""
    try:
        head, _, entry = path.read_bytes().partition(b"\n")
        meta = orjson.loads(head)
        known = {name: meta[name] for name in DeadLetter._fields if name in meta}
        return str(meta["time"]), DeadLetter(entry=entry, **known)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
