"""Compaction: old ledger files become counts, and many small ones become few.

Ids are kept for 7 days or 256 MiB of ledger, whichever comes first. A file's age is told by the
machine's clock: one that jumps ahead turns ids into counts early, and loses none of the counts.

Safe against a crash at every step: the new file is synced and named before an old one goes. What
a crash leaves standing twice is counted once, by its numbers.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from scorespan.spool.counts import FILE, lines_of_others, read_counts, write_counts
from scorespan.spool.files import DISK, Files
from scorespan.spool.ledger import HIDDEN_SUFFIX, PART_BYTES, SUFFIX
from scorespan.spool.ledger_files import (
    Cut,
    has_head,
    is_finished,
    ledger_files,
    locked,
    read_ledger,
)

KEPT_SECONDS = 7 * 24 * 3600.0
KEPT_BYTES = 256 * 1024 * 1024
MOST_SMALL = 64
"""Finished files well below the size of a part that may stand side by side."""
_SMALL = PART_BYTES // 4
_HIDDEN_SECONDS = 3600.0
_WRITE_BYTES = 256 * 1024


class Kept(NamedTuple):
    """How long and how much the ledger keeps by name, and how many small files."""

    seconds: float = KEPT_SECONDS
    size: int = KEPT_BYTES
    small: int = MOST_SMALL


class _File(NamedTuple):
    path: Path
    size: int
    written: float


def compact(
    folder: Path,
    kept: Kept | None = None,
    *,
    clock: Callable[[], float] = time.time,
    files: Files = DISK,
) -> bool:
    """Make one step of compaction if one is due: at most about one part's worth of lines.

    Any process may ask at any time: only one works, the others go on.

    Args:
        folder: the root's ledger folder.
        kept: what stays by name.
        clock: seconds since the epoch.
        files: what writes on the disk.

    Returns:
        Whether a step was made; another one may be due.

    Raises:
        OSError: the step was not finished; the next one begins it again.
    """
    kept = kept or Kept()
    if not _due(folder, kept, clock()):
        return False
    with locked(folder, alone=True) as held:
        if not held:
            return False
        # Once more, now that nobody else is at it.
        old, small = _chosen(folder, kept, clock())
        if old:
            _count(folder, old, files)
        elif small:
            _join(folder, small, files)
        _sweep(folder, clock(), files)
    return bool(old or small)


def _due(folder: Path, kept: Kept, now: float) -> bool:
    files = _listed(folder)
    return bool(_old(files, kept, now)) or sum(file.size < _SMALL for file in files) > kept.small


def _chosen(folder: Path, kept: Kept, now: float) -> tuple[list[Path], list[Path]]:
    """Finished files that are to be counted, or else those that are to be joined."""
    files = _listed(folder)
    old = _one_step(_old(files, kept, now))
    small = [file for file in files if file.size < _SMALL and has_head(file.path)]
    joined = [] if old or len(small) <= kept.small else _one_step(small)
    return old, joined if len(joined) > 1 else []


def _old(files: list[_File], kept: Kept, now: float) -> list[_File]:
    """Files that are too old, or stand for more bytes than are kept; the oldest first."""
    over = sum(file.size for file in files) - kept.size
    old = []
    for file in files:
        if over > 0 or now - file.written > kept.seconds:
            old.append(file)
        over -= file.size
    return old


def _one_step(files: list[_File]) -> list[Path]:
    """As many finished files as make about one part."""
    taken: list[Path] = []
    size = 0
    for file in files:
        if size >= PART_BYTES:
            break
        if is_finished(file.path):
            taken.append(file.path)
            size += file.size
    return taken


def _listed(folder: Path) -> list[_File]:
    files = []
    for path in ledger_files(folder):
        with contextlib.suppress(FileNotFoundError):
            known = path.stat()
            files.append(_File(path, known.st_size, known.st_mtime))
    return files


def _count(folder: Path, paths: list[Path], files: Files) -> None:
    # Of producers that have ended long ago there may be very many.
    producers = {
        line.producer_id
        for path in paths
        for line in read_ledger(path)
        if not isinstance(line, Cut)
    }
    counts = read_counts(folder, producers)
    for path in paths:
        for line in read_ledger(path):
            try:
                counts.count(line)
            except (TypeError, ValueError):
                counts.count(Cut())
    others = lines_of_others(folder, producers)
    _replace(folder / FILE, _joined(itertools.chain(write_counts(counts), others)), files)
    _remove(folder, paths, files)


def _join(folder: Path, paths: list[Path], files: Files) -> None:
    """One file with the lines of several. Every file's head says whose the lines behind it are."""
    written = max(path.stat().st_mtime_ns for path in paths)
    joined = folder / f"joined-{uuid.uuid4().hex}{SUFFIX}"
    _replace(joined, map(_whole_lines, paths), files)
    os.utime(joined, ns=(written, written))
    _remove(folder, paths, files)


def _whole_lines(path: Path) -> bytes:
    content = path.read_bytes()
    # A crash may have cut the last line.
    return content if content.endswith(b"\n") else content + b"\n"


def _joined(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines in pieces that are worth a write."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size >= _WRITE_BYTES:
            yield b"".join(piece)
            piece, size = [], 0
    yield b"".join(piece)


def _replace(path: Path, chunks: Iterable[bytes], files: Files) -> None:
    """Put a file in its place, whole or not at all; it is on the disk when this returns."""
    hidden = path.with_name(f".{path.name}-{uuid.uuid4().hex}{HIDDEN_SUFFIX}")
    descriptor = files.create(hidden)
    try:
        try:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[files.writev(descriptor, [view]) :]
            files.datasync(descriptor)
        finally:
            files.close(descriptor)
        files.rename(hidden, path)
    except OSError:
        files.unlink(hidden)
        raise
    files.sync_folder(path.parent)


def _remove(folder: Path, paths: Iterable[Path], files: Files) -> None:
    for path in paths:
        files.unlink(path)
    files.sync_folder(folder)


def _sweep(folder: Path, now: float, files: Files) -> None:
    """Remove what a crash left behind before it had a name."""
    for path in folder.glob("*" + HIDDEN_SUFFIX):
        with contextlib.suppress(FileNotFoundError):
            if now - path.stat().st_mtime > _HIDDEN_SECONDS and is_finished(path):
                files.unlink(path)
