"""The writer of dead letters: on the disk, many at a time, or not at all."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from zlib import crc32

import orjson

from scorespan.spool.dead import SUFFIX, DeadLetter, read_letter
from scorespan.spool.files import DISK, Files, Piece

ANSWER_KEPT = 4096
"""Bytes of the data mart's answer that are kept with a dead letter."""
_TEXT_KEPT = 4096
_TOGETHER = 64
"""Files that are written before the first of them is synced; each holds a descriptor."""


def write_letters(
    folder: Path,
    letters: Sequence[DeadLetter],
    *,
    files: Files = DISK,
    clock: Callable[[], float] = time.time,
) -> None:
    """Keep dead letters; they are on the disk when this returns.

    Large entries are not copied. A letter that was written before, after a crash, replaces itself
    and keeps its first time.

    Raises:
        OSError: some may not have been kept; the entries must stay in the spool.
    """
    if not letters:
        return
    with contextlib.suppress(FileExistsError):
        files.mkdir(folder)
        files.sync_folder(folder.parent)
    letters = list({letter.place: letter for letter in letters}.values())
    now = datetime.fromtimestamp(clock(), timezone.utc).isoformat(timespec="microseconds")
    for start in range(0, len(letters), _TOGETHER):
        _write_together(folder, letters[start : start + _TOGETHER], now, files)
    files.sync_folder(folder)


def _write_together(folder: Path, letters: Sequence[DeadLetter], now: str, files: Files) -> None:
    """Write files, then sync them, then name them: the disk takes many in one go."""
    hidden: dict[Path, int] = {}
    try:
        for letter in letters:
            path = folder / f".{letter.place}"
            hidden[path] = descriptor = files.open_append(path)
            # A crash may have left a part of it.
            files.truncate(descriptor, 0)
            head = _head(letter, _first_time(folder, letter) or now, now)
            _write(descriptor, [head, letter.entry], files)
            with contextlib.suppress(OSError):
                # A hint: the disk begins now, and the sync below finds most of it done.
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        for descriptor in hidden.values():
            files.datasync(descriptor)
        for path in hidden:
            files.rename(path, folder / f"{path.name[1:]}{SUFFIX}")
    except OSError:
        # They would stand there unseen and take the room that is needed.
        for path in hidden:
            with contextlib.suppress(OSError):
                files.unlink(path)
        raise
    finally:
        for descriptor in hidden.values():
            files.close(descriptor)


def _write(descriptor: int, pieces: Sequence[Piece], files: Files) -> None:
    views = [memoryview(piece) for piece in pieces]
    while views:
        written = files.writev(descriptor, views)
        # The kernel stops short when the disk is nearly full, and past 2 GiB.
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if views:
            views[0] = views[0][written:]


def _head(letter: DeadLetter, first_time: str, now: str) -> bytes:
    meta = letter._asdict()
    del meta["entry"]
    if letter.answer is not None:
        meta["answer"] = letter.answer.encode(errors="replace")[:ANSWER_KEPT].decode(
            errors="ignore"
        )
    meta["route"] = None if letter.route is None else list(letter.route)
    meta["first_time"], meta["time"] = first_time, now
    meta = {
        name: head_text(value) if isinstance(value, str) else value for name, value in meta.items()
    }
    meta["check"] = crc32(letter.entry)
    return orjson.dumps(meta, option=orjson.OPT_APPEND_NEWLINE)


def head_text(value: str) -> str:
    """A text as the head has it, which stays small enough to be read at once.

    The entry has it whole.
    """
    # Lone surrogates have no UTF-8.
    text = value.encode("utf-8", "backslashreplace").decode()
    if len(text) <= _TEXT_KEPT:
        return text
    return f"{text[:_TEXT_KEPT]}… ({len(text)} characters)"


def _first_time(folder: Path, letter: DeadLetter) -> str | None:
    """When this letter failed first: as it says, or as it said when it was written before."""
    path = folder / f"{letter.place}{SUFFIX}"
    before = None
    with contextlib.suppress(OSError, ValueError):
        before = read_letter(path).head.first_time
    return min(filter(None, (letter.first_time, before)), default=None)
