"""A file system that may lose power: what is not synced is lost, reordered or torn.

It writes through to a real folder, where reading finds everything, and knows of each file and each
folder what is on the disk and what is not. `crash` builds the folder that a machine would find
after its power was gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from errno import EIO, ENOSPC
from pathlib import Path
from random import Random

from scorespan.spool.files import Files, Piece

PAGE = 4096


class Change:
    """A write or a cut of a file that is not on the disk yet."""

    def __init__(self, offset: int, data: bytes | None) -> None:
        self.offset = offset
        self.data = data  # None: cut at the offset

    def apply(self, content: bytearray, start: int = 0, end: int | None = None) -> None:
        """Make the change, or the part of it between two of its bytes."""
        if self.data is None:
            del content[self.offset :]
            return
        end = len(self.data) if end is None else end
        content.extend(bytes(max(0, self.offset + end - len(content))))
        content[self.offset + start : self.offset + end] = self.data[start:end]

    def blocks(self, size: int) -> Iterator[tuple[int, int]]:
        """Its data in parts that reach the disk each for itself."""
        assert self.data is not None
        start = 0
        while start < len(self.data):
            end = min(len(self.data), start + size - (self.offset + start) % size)
            yield start, end
            start = end


class File:
    """A file: what is on the disk, and what came after.

    Changes whose sync has failed are `dropped`: the kernel calls them clean, and no later sync
    brings them to the disk; some of them may be there all the same.
    """

    def __init__(self, content: bytes = b"") -> None:
        self.durable = bytearray(content)
        self.dropped: list[Change] = []
        self.pending: list[Change] = []

    def sync(self) -> None:
        """What is pending is on the disk."""
        for change in self.pending:
            change.apply(self.durable)
        self.pending.clear()

    def after_crash(self, random: Random) -> bytes:
        """What a machine finds after its power was gone."""
        content = bytearray(self.durable)
        keep = random.choice([0.0, 0.5, 0.9, 1.0])
        size = random.choice([512, PAGE])
        for change in [*self.dropped, *self.pending]:
            if change.data is None:
                if random.random() < keep:
                    change.apply(content)
                continue
            for start, end in change.blocks(size):
                if random.random() < keep:
                    change.apply(content, start, end)
        return bytes(content)


class Folder:
    """A folder: the names that are on the disk, and what became of names after."""

    def __init__(self) -> None:
        self.durable: dict[str, File | Folder] = {}
        self.pending: list[tuple[str, str | None, File | Folder | None]] = []

    def sync(self) -> None:
        """All names are on the disk."""
        for change in self.pending:
            self._apply(self.durable, change)
        self.pending.clear()

    def after_crash(self, random: Random) -> dict[str, File | Folder]:
        """The names that a machine finds after its power was gone."""
        names = dict(self.durable)
        keep = random.choice([0.0, 0.5, 1.0])
        for change in self.pending:
            if random.random() < keep:
                self._apply(names, change)
        return names

    @staticmethod
    def _apply(
        names: dict[str, File | Folder], change: tuple[str, str | None, File | Folder | None]
    ) -> None:
        name, old, node = change
        if old is not None:
            names.pop(old, None)
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class ModelFiles(Files):
    """The file system of one folder, `root`, with faults on demand.

    Attributes:
        failing_syncs: how many of the next syncs fail.
        evicts: whether a failed sync's pages are gone from memory at once.
        failing_writes: how many of the next writes stop in the middle.
        failing_cuts: how many of the next cuts fail.
    """

    def __init__(self, root: Path, random: Random) -> None:
        self.root = root
        self.random = random
        self.failing_syncs = 0
        self.evicts = False
        self.failing_writes = 0
        self.failing_cuts = 0
        self._descriptors: dict[int, tuple[File, Path]] = {}
        self._nodes: dict[Path, File | Folder] = {root: Folder()}
        for path in sorted(root.rglob("*")):
            self._nodes[path] = node = Folder() if path.is_dir() else File(path.read_bytes())
            self._folder(path).durable[path.name] = node

    @property
    def failing(self) -> bool:
        """Whether the next sync may fail, or a torn write stay."""
        return self.failing_syncs > 0 or self.failing_cuts > 0

    def create(self, path: Path) -> int:
        """Make a file whose name is not on the disk yet."""
        descriptor = super().create(path)
        self._link(path, File())
        self._descriptors[descriptor] = (self._file(path), path)
        return descriptor

    def open_append(self, path: Path) -> int:
        """Open a file that is known, or make it."""
        descriptor = super().open_append(path)
        if path not in self._nodes:
            self._link(path, File())
        self._descriptors[descriptor] = (self._file(path), path)
        return descriptor

    def writev(self, descriptor: int, pieces: Sequence[Piece]) -> int:
        """Write what is not on the disk yet, or a part of it where that is to fail."""
        file, _ = self._descriptors[descriptor]
        data = b"".join(pieces)
        if self.failing_writes:
            # A short write, and then no room for the rest.
            self.failing_writes -= 1
            if self.random.random() < 0.5 or len(data) < 2:
                raise OSError(ENOSPC, os.strerror(ENOSPC))
            data = data[: self.random.randrange(1, len(data))]
            self.failing_writes += 1 if self.random.random() < 0.7 else 0
        offset = os.fstat(descriptor).st_size
        written = os.write(descriptor, data)
        file.pending.append(Change(offset, data[:written]))
        return written

    def datasync(self, descriptor: int) -> None:
        """Bring what is pending to the disk, or drop it where that is to fail."""
        file, path = self._descriptors[descriptor]
        if self._fails():
            if self.evicts:
                self._evict(file, path)
            file.dropped += file.pending
            file.pending.clear()
            raise OSError(EIO, os.strerror(EIO))
        file.sync()

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file; the cut is not on the disk yet."""
        if self.failing_cuts:
            self.failing_cuts -= 1
            raise OSError(EIO, os.strerror(EIO))
        super().truncate(descriptor, size)
        self._descriptors[descriptor][0].pending.append(Change(size, None))

    def allocate(self, descriptor: int, size: int) -> None:  # noqa: ARG002 - as its base has them
        """Refuse: the model has no room for ballast."""
        raise OSError(ENOSPC, "the model has no ballast")

    def close(self, descriptor: int) -> None:
        """Forget the descriptor."""
        self._descriptors.pop(descriptor, None)
        super().close(descriptor)

    def rename(self, path: Path, target: Path) -> None:
        """Rename; the names are not on the disk yet."""
        super().rename(path, target)
        node = self._nodes[path]
        for known in [known for known in self._nodes if known.is_relative_to(path)]:
            self._nodes[target / known.relative_to(path)] = self._nodes.pop(known)
        self._folder(target).pending.append((target.name, path.name, node))

    def unlink(self, path: Path) -> None:
        """Remove a name; on the disk it is still there."""
        super().unlink(path)
        del self._nodes[path]
        self._folder(path).pending.append((path.name, None, None))

    def mkdir(self, path: Path) -> None:
        """Make a folder whose name is not on the disk yet."""
        super().mkdir(path)
        self._link(path, Folder())

    def remove_tree(self, path: Path) -> None:
        """Remove all names; on the disk they are still there."""
        for inner in sorted(path.rglob("*"), reverse=True):
            self.unlink(inner)
        path.rmdir()
        del self._nodes[path]
        self._folder(path).pending.append((path.name, None, None))

    def sync_folder(self, path: Path) -> None:
        """Bring the names to the disk, or drop them where that is to fail."""
        folder = self._nodes[path]
        assert isinstance(folder, Folder)
        # The names of a failed sync stay lost only where they are never synced again; the spool
        # gives new names after a failure, and the root's it must try again.
        if path != self.root and self._fails():
            folder.pending.clear()
            raise OSError(EIO, os.strerror(EIO))
        folder.sync()

    def crash(self, target: Path) -> None:
        """Make of an empty folder what is found after the power was gone."""
        root = self._nodes[self.root]
        assert isinstance(root, Folder)
        self._restore(root, target)

    def _restore(self, folder: Folder, target: Path) -> None:
        for name, node in folder.after_crash(self.random).items():
            if isinstance(node, Folder):
                (target / name).mkdir(mode=0o700)
                self._restore(node, target / name)
            else:
                (target / name).write_bytes(node.after_crash(self.random))

    def _fails(self) -> bool:
        failing = self.failing_syncs > 0
        self.failing_syncs -= failing
        return failing

    def _evict(self, file: File, path: Path) -> None:
        """Have some pages of a failed sync read as what is on the disk."""
        if not path.exists():
            return
        descriptor = os.open(path, os.O_RDWR)
        try:
            size = os.fstat(descriptor).st_size
            for change in file.pending:
                if change.data is None:
                    continue
                first, last = change.offset // PAGE, (change.offset + len(change.data) - 1) // PAGE
                for page in range(first, last + 1):
                    if self.random.random() < 0.5:
                        end = min((page + 1) * PAGE, size)
                        old = bytes(file.durable[page * PAGE : end])
                        os.pwrite(descriptor, old.ljust(end - page * PAGE, b"\0"), page * PAGE)
        finally:
            os.close(descriptor)

    def _link(self, path: Path, node: File | Folder) -> None:
        self._nodes[path] = node
        self._folder(path).pending.append((path.name, None, node))

    def _folder(self, path: Path) -> Folder:
        folder = self._nodes[path.parent]
        assert isinstance(folder, Folder)
        return folder

    def _file(self, path: Path) -> File:
        file = self._nodes[path]
        assert isinstance(file, File)
        return file
