"""Dead letters: entries that did not become records, with the reason, each in a file of its own.

A file is one line of JSON (reason, status, answer, attempts, time) and then the entry as it was
put. Nothing here is ever deleted by itself.
"""

from __future__ import annotations

import os
import uuid
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

    `code` is a stable word, `reason` a sentence; `status` and `answer` are the data mart's, where
    it was asked.
    """

    entry: bytes
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


def write_letters(folder: Path, letters: Sequence[DeadLetter]) -> None:
    """Keep dead letters; they are on the disk when this returns.

    Raises:
        OSError: some may not have been kept; the entries must stay in the spool.
    """
    if not letters:
        return
    now = datetime.now(timezone.utc)
    for letter in letters:
        meta = letter._asdict()
        del meta["entry"]
        if letter.answer is not None:
            meta["answer"] = letter.answer[:ANSWER_KEPT]
        meta["time"] = now.isoformat()
        name = f"{now:%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex}"
        hidden, path = folder / f".{name}", folder / f"{name}{SUFFIX}"
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
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
    for path in sorted(folder.glob("*" + SUFFIX)):
        letter = read_letter(path)
        if letter is not None:
            yield letter


def read_letter(path: Path) -> DeadLetter | None:
    """One letter, or None where the file is no letter or has gone."""
    try:
        head, _, entry = path.read_bytes().partition(b"\n")
        meta = orjson.loads(head)
        known = {name: meta[name] for name in DeadLetter._fields if name in meta}
        return DeadLetter(entry=entry, **known)
    except (OSError, ValueError, TypeError):
        return None


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
