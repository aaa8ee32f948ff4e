"""The room on the disk: what must stay free, and what is kept for the moment when nothing is.

A spool that has filled its disk can only be emptied by writing: what became of a record has to be
in the ledger before its entry may go. The ballast, a file of zeros, is given up for that, and kept
again when there is room. Before it comes to that, nothing new is taken once less than the floor is
free: the disk is others', too.
"""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

from scorespan.spool.files import DISK, Files
from scorespan.threads import native

FOLDER = "ballast"
LARGEST_BALLAST = 16 * 1024 * 1024
_BALLAST_PART = 8
LARGEST_FLOOR = 1024 * 1024 * 1024
_FLOOR_PART = 20
_TO_BEGIN = 256 * 1024


class Room:
    """The room on a spool root's disk, looked after by each process that uses the root.

    Args:
        root: the spool root.
        min_free: bytes that must stay free; None: the smaller of 1 GiB and 5 % of the disk; 0: it
            may be filled.
        files: makes the changes on disk.

    Attributes:
        short: whether there is too little for anything new.
    """

    def __init__(self, root: Path, min_free: int | None = None, *, files: Files = DISK) -> None:
        self._root = root
        self._ballast = root / FOLDER / "space"
        self._min_free = min_free
        self._files = files
        self._looking = native.Lock()
        self.short = False

    def look(self) -> bool:
        """See what is free, and keep the ballast where that can be; says whether it is too little.

        Any thread may; one looks at a time.
        """
        if self._looking.acquire(blocking=False):
            try:
                self.short = not self._is_enough()
            except OSError:
                # What cannot be asked stops nobody; a disk that fails says so at the put.
                self.short = False
            finally:
                self._looking.release()
        return self.short

    def begin(self) -> None:
        """Make room for what a process needs to begin, where the disk has nothing left for it.

        What lies in a root on a full disk goes only if somebody can begin to deliver it.
        """
        with contextlib.suppress(OSError):
            if self._measured()[0] < _TO_BEGIN:
                self.give_up_ballast()

    def fits(self, size: int) -> bool:
        """Whether so many bytes leave free what must stay so. Asks the disk, and changes nothing.

        What cannot be asked stops nobody.
        """
        try:
            free, total, floor = self._measured()
        except OSError:
            return True
        return not total or free - size >= floor

    def most(self) -> float:
        """How many bytes the disk could take at most, were nothing else on it.

        What cannot be asked stops nobody.
        """
        try:
            _, total, floor = self._measured()
        except OSError:
            return math.inf
        return total - floor if total else math.inf

    def give_up_ballast(self) -> None:
        """The disk took nothing: take nothing new, and give it the ballast's space."""
        self.short = True
        with contextlib.suppress(OSError):
            self._files.unlink(self._ballast)

    def _is_enough(self) -> bool:
        free, total, floor = self._measured()
        if not total:
            return True  # a file system without a notion of it
        if self._ballast.exists():
            return free >= floor
        size = min(LARGEST_BALLAST, total // _BALLAST_PART)
        # As much again stays free, or it would have to be given up at once.
        return free >= max(floor, size) + size and self._keep(size)

    def _measured(self) -> tuple[int, int, int]:
        """Bytes that are free, that the disk has, and that must stay free."""
        disk = os.statvfs(self._root)
        free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        floor = self._min_free
        if floor is None:
            floor = min(LARGEST_FLOOR, total // _FLOOR_PART)
        return free, total, floor

    def _keep(self, size: int) -> bool:
        try:
            with contextlib.suppress(FileExistsError):
                self._files.mkdir(self._ballast.parent)
            descriptor = self._files.open_append(self._ballast)
            try:
                self._files.allocate(descriptor, size)
            finally:
                self._files.close(descriptor)
        except OSError:
            self.give_up_ballast()
            return False
        return True
