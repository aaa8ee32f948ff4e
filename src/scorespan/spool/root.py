"""The spool root: the place on disk, and who owns which directory in it.

::

    root/
      w-<pid>-<uuid>/    one process's entries, held by flock on its file `owner`
        owner            a checked line of JSON: pid, route, created
        00000001.segment, 00000001.acks, ...
        status.json      counts, rewritten at most once a second
      dead/              dead letters
      withheld/          failed scorings that the data mart has no place for
      ledger/            what became of every record
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from scorespan.errors import SettingsError
from scorespan.spool.files import DISK, Files
from scorespan.spool.lines import checked_line, read_line
from scorespan.spool.mounts import MOUNTS, mount_of
from scorespan.spool.segment import read_header, segments_of

_PREFIX = "w-"
_OWNER = "owner"


class Route(NamedTuple):
    """Where records go: mart URL, data mart id, API version."""

    url: str
    data_mart_id: str
    api_version: str = "v1"


class OwnedDirectory:
    """A directory of the root that this process holds. Another process cannot hold it, too."""

    def __init__(self, path: Path, route: Route, descriptor: int, files: Files = DISK) -> None:
        self.path = path
        self.route = route
        self._descriptor = descriptor
        self._files = files

    def release(self) -> None:
        """Let go; the entries stay for whoever holds it next. Idempotent."""
        if self._descriptor >= 0:
            self._files.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Remove the directory, which holds nothing any more, and let go."""
        self._files.remove_tree(self.path)
        self.release()


def default_root() -> Path:
    """The root where no setting names one."""
    state_home = os.environ.get("XDG_STATE_HOME")
    if state_home:
        return Path(state_home) / "scorespan"
    if os.geteuid() == 0:
        return Path("/var/lib/scorespan")
    return Path.home() / ".local/state/scorespan"


def prepare_root(root: Path, *, mounts: Path = MOUNTS) -> None:
    """Make the root and check that it can be used.

    Args:
        root: where.
        mounts: the system's table of mounts.

    Raises:
        SettingsError: it cannot be made or written, belongs to somebody else, or is on a file
            system of the network, whose locks and syncs promise too little.
    """
    variable = "SCORESPAN_SPOOL_DIR"
    mount = mount_of(root, mounts)
    if mount is not None and mount.is_network:
        raise SettingsError(
            variable,
            f"{root} is on a network file system ({mount.kind}, mounted at {mount.point}); the "
            "spool needs a local disk, such as ext4, xfs, btrfs or tmpfs",
        )
    try:
        for path in (root, root / "dead", root / "withheld", root / "ledger"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = root.stat()
        if found.st_uid != os.geteuid():
            raise SettingsError(variable, f"{root} belongs to another user (uid {found.st_uid})")
        if stat.S_IMODE(found.st_mode) & 0o077:
            root.chmod(0o700)
        probe = root / f".probe-{uuid.uuid4().hex}"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise SettingsError(
            variable, f"the spool root {root} cannot be used: {error.strerror or error}"
        ) from error


def create_directory(root: Path, route: Route, files: Files = DISK) -> OwnedDirectory:
    """Make a directory of this process's own and hold it."""
    # Held before it gets its name, so that nobody can take it for an orphan in between.
    hidden = root / f".new-{uuid.uuid4().hex}"
    files.mkdir(hidden)
    descriptor = -1
    try:
        descriptor = files.create(hidden / _OWNER)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _write_owner(descriptor, route, time.time(), files)
        path = root / f"{_PREFIX}{os.getpid()}-{uuid.uuid4().hex}"
        files.rename(hidden, path)
    except OSError:
        OwnedDirectory(hidden, route, descriptor, files).remove()
        raise
    return OwnedDirectory(path, route, descriptor, files)


def bytes_under(folder: Path, without: Collection[Path] = ()) -> int:
    """Bytes of the files in a folder and below, while other processes come and go in it.

    Args:
        folder: where to look.
        without: folders in it that do not count.
    """
    total = 0
    for parent, _, names in os.walk(folder):
        if Path(parent) in without:
            continue
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(parent) / name).stat().st_size
    return total


def directories(root: Path) -> list[Path]:
    """Every process's directory, oldest first."""
    found = [path for path in root.glob(_PREFIX + "*") if path.is_dir()]
    return sorted(found, key=lambda path: (_created(path), path.name))


def route_of(directory: Path) -> Route | None:
    """The route written in a directory; None where that cannot be read.

    After a power loss the `owner` file may be empty; every segment's header has the route, too.
    """
    written = _written_route(directory)
    if written is not None:
        return written
    for segment in segments_of(directory):
        header = read_header(segment)
        if header is not None:
            with contextlib.suppress(TypeError, KeyError):
                return Route(*header["route"])
    return None


def take_orphan(directory: Path, route: Route, files: Files = DISK) -> OwnedDirectory | None:
    """Hold a directory whose process is gone, if it is one and has this route.

    One that says no route and has no segment is nobody's, and taken, too: it can be removed.
    """
    found = route_of(directory)
    if found != route and (found is not None or segments_of(directory)):
        return None
    try:
        # Made anew where a power loss took it.
        descriptor = files.open_append(directory / _OWNER)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A former owner may have removed the directory between the open and the lock.
        still_there = (directory / _OWNER).stat().st_ino == os.fstat(descriptor).st_ino
        if still_there and _written_route(directory) is None:
            # It was told by a segment, which goes when it is settled.
            files.truncate(descriptor, 0)
            _write_owner(descriptor, route, 0.0, files)
            files.datasync(descriptor)
            files.sync_folder(directory)
    except OSError:
        still_there = False
    if not still_there:
        files.close(descriptor)
        return None
    return OwnedDirectory(directory, route, descriptor, files)


def _write_owner(descriptor: int, route: Route, created: float, files: Files) -> None:
    owner = {"pid": os.getpid(), "route": list(route), "created": created}
    files.writev(descriptor, [checked_line(owner)])


def _owner(directory: Path) -> dict[str, Any]:
    """What the `owner` file says; a wrong route would keep its entries here for ever.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged.
        TypeError: likewise.
    """
    return read_line((directory / _OWNER).read_bytes(), checked=False)


def _written_route(directory: Path) -> Route | None:
    """The route that the `owner` file says."""
    try:
        return Route(*_owner(directory)["route"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def is_owned(directory: Path) -> bool:
    """Whether some living process holds the directory."""
    try:
        return is_held(directory / _OWNER)
    except OSError:
        return False


def is_held(path: Path) -> bool:
    """Whether some living process holds a file's lock.

    Raises:
        OSError: the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Shared: whoever else asks at this moment holds nothing.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _created(directory: Path) -> float:
    try:
        return float(_owner(directory)["created"])
    except (OSError, ValueError, TypeError, KeyError):
        return 0.0
