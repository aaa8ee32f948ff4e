"""Dead letters: entries that did not become records, with the reason, each in a file of its own.

A file is one line of JSON, the *head* (reason, status, answer, attempts, times, names, route), and
then the entry as it was put. Nothing here is ever deleted by itself.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import orjson

from scorespan.spool.files import Piece

DEAD = "dead"
"""The folder of a spool root for what could not become a record or was refused by the mart."""
WITHHELD = "withheld"
"""The folder of a spool root for failed scorings that the mart has no place for."""

SUFFIX = ".letter"
_HEAD_MOST = 1024 * 1024


class DeadLetter(NamedTuple):
    """One entry with what stopped it.

    `place` is where it stood in the spool, and names its file: written again, it is one letter.
    `code` is a stable word, `reason` a sentence; `status` and `answer` are the data mart's, where
    it was asked; `route` is where the entry was to go. `first_time` is when it failed first,
    `time` when it became a dead letter, both RFC 3339 in UTC: writing fills in what is open.
    """

    entry: Piece
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
    first_time: str | None = None
    time: str | None = None


_TEXTS = ("answer", "scoring_id", "subscription_id", "deployment_id", "producer_id", "first_time")
_NUMBERS = ("status", "sequence")


class LetterFile(NamedTuple):
    """A letter where it lies.

    `head` is the letter without its entry, which has `size` bytes from `entry_at` on; `moment` is
    the head's time; `check` the entry's CRC-32, None in a letter of an older version.
    """

    path: Path
    head: DeadLetter
    moment: datetime
    entry_at: int
    size: int
    check: int | None = None

    def read_entry(self) -> bytes:
        """The entry, as it was put.

        Raises:
            OSError: it cannot be read, or has gone.
        """
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.entry_at)
            return file.read()

    def is_damaged(self, entry: bytes) -> bool:
        """Whether an entry that was read here is not what was written."""
        return self.check is not None and crc32(entry) != self.check

    def letter(self) -> DeadLetter:
        """The letter with its entry; raises as `read_entry` does."""
        return self.head._replace(entry=self.read_entry())


def read_letters(
    folder: Path, *, on_unreadable: Callable[[Path], None] = lambda _: None
) -> Iterator[DeadLetter]:
    """Every letter of the folder with its entry, oldest first; otherwise as `letter_files`."""
    for file in letter_files(folder, on_unreadable=on_unreadable):
        with contextlib.suppress(FileNotFoundError):
            yield file.letter()


def letter_files(folder: Path, *, on_unreadable: Callable[[Path], None]) -> Iterator[LetterFile]:
    """The letters of a folder, oldest first; only their heads are read.

    Letters may come and go meanwhile. A folder that is not there has none.

    Args:
        folder: where they lie.
        on_unreadable: called with a file that is no letter, or cannot be read.

    Raises:
        OSError: the folder cannot be read.
    """
    found: list[tuple[int, str]] = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                with contextlib.suppress(FileNotFoundError):
                    found.append((entry.stat().st_mtime_ns, entry.name))
    # Those of one moment by place: of two numbers the longer is the greater.
    for _, name in sorted(found, key=lambda one: (one[0], len(one[1]), one[1])):
        path = folder / name
        try:
            yield read_letter(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            on_unreadable(path)


def read_letter(path: Path) -> LetterFile:
    """The letter in a file; its entry stays there.

    Raises:
        OSError: the file cannot be read, or has gone.
        ValueError: it is no letter.
    """
    # Unbuffered, and small at first: nearly every head is shorter than this.
    with path.open("rb", buffering=0) as file:
        start = file.read(2048)
        while b"\n" not in start[-2048:] and len(start) < _HEAD_MOST:
            more = file.read(_HEAD_MOST)
            if not more:
                break
            start += more
        whole = os.fstat(file.fileno()).st_size
    line, newline, _ = start.partition(b"\n")
    if not newline or path.suffix != SUFFIX:
        raise ValueError("there is no head")
    meta = orjson.loads(line)
    try:
        return LetterFile(
            path,
            _checked(meta),
            datetime.fromisoformat(meta["time"]).astimezone(timezone.utc),
            len(line) + 1,
            whole - len(line) - 1,
            meta.get("check"),
        )
    except (TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError("the head is not one of a letter") from error


def _checked(meta: dict[str, Any]) -> DeadLetter:
    """The letter that a head tells, each value of its kind; what the head lacks is not known."""
    known = {name: meta[name] for name in DeadLetter._fields if name in meta}
    route = known.pop("route", None)
    if route is not None:
        route = tuple(route)
    letter = DeadLetter(b"", **known, route=route)
    texts = (letter.place, letter.code, letter.reason, *(route or ()))
    optional = [getattr(letter, name) for name in _TEXTS]
    numbers = [letter.attempts, *(getattr(letter, name) for name in _NUMBERS)]
    if (
        not all(isinstance(text, str) for text in texts)
        or not all(text is None or isinstance(text, str) for text in optional)
        or not all(number is None or isinstance(number, int) for number in numbers)
    ):
        raise TypeError("a value of the head has the wrong kind")
    return letter
