"""The spool root: who may use it, and who owns which directory."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from faults.disks import needed
from scorespan.errors import SettingsError
from scorespan.spool.root import (
    Route,
    create_directory,
    default_root,
    directories,
    is_owned,
    prepare_root,
    route_of,
    take_orphan,
)
from scorespan.spool.segment_writer import SegmentWriter

ROUTE = Route("http://mart", "one")


def test_everything_in_it_is_for_the_owner_alone(root: Path):
    """Directories are 0700 and files 0600."""
    directory = create_directory(root, ROUTE)
    for path in (root, root / "dead", root / "ledger", directory.path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory.path / "owner").stat().st_mode) == 0o600


def test_a_root_that_others_may_read_is_closed(tmp_path: Path):
    """An existing root with wider permissions loses them."""
    root = tmp_path / "wide"
    root.mkdir(mode=0o755)
    prepare_root(root)
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_a_root_that_cannot_be_made_is_a_settings_error(tmp_path: Path):
    """The error names the variable and the path."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"SCORESPAN_SPOOL_DIR.*file/root"):
        prepare_root(tmp_path / "file" / "root")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_root_of_somebody_else_is_refused(tmp_path: Path):
    """The spool does not use a folder that another user owns."""
    root = tmp_path / "theirs"
    root.mkdir()
    os.chown(root, 12345, 12345)
    with pytest.raises(SettingsError, match="belongs to another user"):
        prepare_root(root)


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        ("nfs4", True), ("nfs", True), ("cifs", True), ("smb3", True), ("9p", True),
        ("fuse.sshfs", True), ("ceph", True), ("lustre", True), ("ext4", False), ("tmpfs", False),
        ("fuseblk", False), ("overlay", False),
    ],
)  # fmt: skip
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str, refused: bool):
    """The error names the setting, the mount and what is allowed; a local disk is taken."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        f"99 27 0:50 / {tmp_path}/a\\040share rw - {kind} server:/export rw\n"
    )
    root = tmp_path / "a share" / "spool"
    if not refused:
        prepare_root(root, mounts=mounts)
        return
    with pytest.raises(SettingsError, match=rf"SCORESPAN_SPOOL_DIR.*{kind}.*a share.*ext4"):
        prepare_root(root, mounts=mounts)
    assert not root.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_read_only_file_system_is_refused(tmp_path: Path):
    """Whoever asks, even root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "scorespan-test", str(folder)]
    needed(command)
    try:
        with pytest.raises(SettingsError, match=r"SCORESPAN_SPOOL_DIR.*Read-only file system"):
            prepare_root(folder / "spool")
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path):
    """Another user gets an error that names the setting."""
    tmp_path.chmod(0o755)
    script = (
        "import os, sys; from pathlib import Path; from scorespan.spool.root import prepare_root\n"
        "from scorespan.errors import SettingsError\n"
        "os.setuid(12345)\n"
        "try: prepare_root(Path(sys.argv[1]))\n"
        "except SettingsError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "spool")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("SCORESPAN_SPOOL_DIR: ")
    assert "Permission denied" in done.stdout


def test_a_directory_without_its_owner_file_is_adopted(root: Path):
    """A power loss may have taken it; the segments say the route, too."""
    directory = create_directory(root, ROUTE)
    directory.release()
    SegmentWriter(
        directory.path / "00000001.segment", 1, {"owner": "x", "route": list(ROUTE)}
    ).close()
    (directory.path / "owner").unlink()
    assert take_orphan(directory.path, Route("http://mart", "two")) is None
    taken = take_orphan(directory.path, ROUTE)
    assert taken is not None
    assert is_owned(directory.path)
    taken.release()
    (directory.path / "00000001.segment").unlink()
    assert route_of(directory.path) == ROUTE


def test_a_flipped_bit_in_the_owner_file_sends_nothing_elsewhere(root: Path):
    """Where its route is damaged, the segments say it, and the directory is adopted."""
    directory = create_directory(root, ROUTE)
    directory.release()
    SegmentWriter(
        directory.path / "00000001.segment", 1, {"owner": "x", "route": list(ROUTE)}
    ).close()
    owner = directory.path / "owner"
    whole = owner.read_bytes()
    for place in range(len(whole)):
        owner.write_bytes(whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :])
        assert route_of(directory.path) == ROUTE
    taken = take_orphan(directory.path, ROUTE)
    assert taken is not None
    taken.release()


def test_a_directory_that_says_nothing_and_holds_nothing_is_anybodys(root: Path):
    """It can be removed; one with segments of an unknown route stays for a person to look at."""
    directory = create_directory(root, ROUTE)
    directory.release()
    (directory.path / "owner").write_bytes(b"")
    (directory.path / "00000001.segment").write_bytes(b"noise")
    assert take_orphan(directory.path, ROUTE) is None
    (directory.path / "00000001.segment").unlink()
    assert take_orphan(directory.path, ROUTE) is not None


def test_a_held_directory_cannot_be_taken(root: Path):
    """While the owner lives nobody gets it, this process included."""
    directory = create_directory(root, ROUTE)
    assert is_owned(directory.path)
    assert take_orphan(directory.path, ROUTE) is None


def test_an_orphan_of_the_same_route_is_taken_once(root: Path):
    """The first to ask gets it; the second does not."""
    directory = create_directory(root, ROUTE)
    directory.release()
    assert not is_owned(directory.path)
    taken = take_orphan(directory.path, ROUTE)
    assert taken is not None
    assert take_orphan(directory.path, ROUTE) is None


def test_an_orphan_of_another_route_stays(root: Path):
    """Records for one data mart are never sent to another."""
    directory = create_directory(root, ROUTE)
    directory.release()
    assert take_orphan(directory.path, Route("http://mart", "two")) is None
    assert route_of(directory.path) == ROUTE


def test_a_killed_process_leaves_an_orphan(root: Path):
    """After SIGKILL the kernel has let go of the directory."""
    script = (
        "import signal; from pathlib import Path; from scorespan.spool.root import *;"
        f"d = create_directory(Path({str(root)!r}), Route(*{tuple(ROUTE)!r}));"
        "print(d.path.name, flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as it:
        name = it.stdout.readline().strip()
        assert is_owned(root / name)
        it.kill()
    assert take_orphan(root / name, ROUTE) is not None


def test_directories_come_oldest_first(root: Path):
    """The order is that of their making."""
    made = [create_directory(root, ROUTE).path for _ in range(3)]
    assert directories(root) == made


def test_the_default_root_follows_the_state_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """XDG_STATE_HOME wins where it is set."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "scorespan"
