"""Adoption: the directories of dead processes that this one has taken over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from scorespan.spool.files import Files
from scorespan.spool.reader import DirectoryReader
from scorespan.spool.root import OwnedDirectory, Route, directories, take_orphan
from scorespan.spool.segment import segments_of

MOST_ADOPTED = 8
"""Directories of dead processes held at a time: each costs a descriptor, and others may help."""


class Adoption:
    """Adopted directories with their readers, oldest first. One thread changes it.

    Args:
        root: the spool root.
        route: only orphans of this route are taken.
        reader: makes a directory's reader.
        files: makes the changes on disk.

    Attributes:
        more: whether the last `take` could not take all.
    """

    def __init__(
        self, root: Path, route: Route, reader: Callable[[Path], DirectoryReader], files: Files
    ) -> None:
        self._root = root
        self._route = route
        self._reader = reader
        self._files = files
        self._held: list[tuple[OwnedDirectory, DirectoryReader]] = []
        self._left: set[Path] = set()
        self.more = False

    @property
    def paths(self) -> frozenset[Path]:
        """The directories that are held. Any thread may ask."""
        return frozenset(owned.path for owned, _ in list(self._held))

    def readers(self) -> Iterator[DirectoryReader]:
        """Their readers."""
        return (reader for _, reader in list(self._held))

    def take(self) -> list[Path]:
        """Take over directories whose process is gone and whose route is ours; says which.

        A few at a time: more are taken when these are drained.
        """
        self.drop_drained()
        taken: list[Path] = []
        self.more = False
        for directory in directories(self._root):
            if len(self._held) >= MOST_ADOPTED:
                self.more = True
                break
            if directory in self._left:
                continue
            owned = take_orphan(directory, self._route, self._files)
            if owned is not None:
                self._held.append((owned, self._reader(directory)))
                taken.append(directory)
        return taken

    def drop_drained(self) -> bool:
        """Let go of those that have nothing left for us; says whether there were any."""
        drained = [(owned, reader) for owned, reader in self._held if reader.drained()]
        for owned, reader in drained:
            let_go(owned)
            if owned.path.exists():
                # Segments of a newer version stay for whom can read them.
                self._left.add(owned.path)
            self._held.remove((owned, reader))
        return bool(drained)

    def let_go(self) -> None:
        """Let go of all; what is not drained stays for the next process."""
        for owned, _ in self._held:
            let_go(owned)

    def release(self) -> None:
        """Drop the descriptors without touching a file."""
        for owned, _ in self._held:
            owned.release()


def let_go(owned: OwnedDirectory) -> None:
    """Let go of a directory, and remove it where no segment is left in it."""
    if segments_of(owned.path):
        owned.release()
    else:
        owned.remove()
