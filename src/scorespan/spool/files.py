"""Files: every change that the spool makes on disk, in one place.

Reading goes straight to the disk. What changes it goes through here, so that a test can stand in
for a disk that loses, reorders or tears what was not synced.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from errno import EDQUOT, ENOSPC
from pathlib import Path

FULL = frozenset({ENOSPC, EDQUOT})
"""Numbers of the errors that say that there is no room on the disk."""

Piece = bytes | memoryview
"""A part of what is written with one gathering write."""

_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class Files:
    """The file system itself. Every method raises the `OSError` of its system call."""

    def create(self, path: Path) -> int:
        """Make a file that is not there yet and open it for appending; its descriptor."""
        return os.open(path, _APPEND | os.O_EXCL, 0o600)

    def open_append(self, path: Path) -> int:
        """Open a file for appending, made where it is not there; its descriptor."""
        return os.open(path, _APPEND, 0o600)

    def writev(self, descriptor: int, pieces: Sequence[Piece]) -> int:
        """Append pieces with one system call; the bytes that were taken, perhaps not all."""
        return os.writev(descriptor, pieces)

    def datasync(self, descriptor: int) -> None:
        """Bring a file's bytes to the disk; its name only with `sync_folder`."""
        os.fdatasync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut a file."""
        os.ftruncate(descriptor, size)

    def allocate(self, descriptor: int, size: int) -> None:
        """Have the disk give room to a file."""
        os.posix_fallocate(descriptor, 0, size)

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)

    def rename(self, path: Path, target: Path) -> None:
        """Give a file or folder another name."""
        path.rename(target)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def mkdir(self, path: Path) -> None:
        """Make a folder for its owner alone."""
        path.mkdir(mode=0o700)

    def remove_tree(self, path: Path) -> None:
        """Remove a folder with what is in it, as far as that can be done; never raises."""
        shutil.rmtree(path, ignore_errors=True)

    def sync_folder(self, path: Path) -> None:
        """Bring the names in a folder to the disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


DISK = Files()
"""The file system itself, for all who are not told otherwise."""
