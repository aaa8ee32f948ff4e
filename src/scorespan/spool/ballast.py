"""The ballast: disk space kept for what must be written when the disk is full.

A spool that has filled its disk can only be emptied by writing: what became of a record has to be
in the ledger before its entry may go. The ballast is given up for that, and kept again when there
is room; in between nothing new is taken.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

FOLDER = "ballast"
LARGEST = 16 * 1024 * 1024
_PART_OF_DISK = 8


class Ballast:
    """One file of zeros in a spool root, shared by the processes that use the root."""

    def __init__(self, root: Path) -> None:
        self._path = root / FOLDER / "space"

    def keep(self) -> bool:
        """Have the ballast; false where the disk has no room for it, and as much again."""
        if self._path.exists():
            return True
        try:
            disk = shutil.disk_usage(self._path.parent.parent)
            size = min(LARGEST, disk.total // _PART_OF_DISK)
            if disk.free < 2 * size:
                return False
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, size)
            finally:
                os.close(descriptor)
        except OSError:
            self.give_up()
            return False
        return True

    def give_up(self) -> None:
        """Give the space to the disk."""
        with contextlib.suppress(OSError):
            self._path.unlink()
